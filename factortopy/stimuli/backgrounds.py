"""Backgrounds: 1/f textures, rooms, landscapes and streets.

Each returns (side, side, 3) pixels in 0 … 1 and the layout (openness, depth, horizon), None for textures.
"""

import numpy as np

from factortopy.stimuli.drawing import any_colour, hsv, noise
from factortopy.stimuli.materials import (
    Camera,
    Wall,
    block,
    finish,
    house,
    leaf_colour,
    measure,
    openings,
    ridge,
    skyline,
    start,
    tint,
    tree,
)


def plain_texture(rng, side):
    """1/f noise between two colours, no layout."""
    mixture = np.clip(noise(rng, side) * 0.45 + 0.5, 0, 1)[..., None]
    first, second = tint(rng) * rng.uniform(0.4, 1), any_colour(rng, (0, 0.6), (0.15, 0.85))
    pixels = first * mixture + second * (1 - mixture)
    return (pixels + noise(rng, side)[..., None] * rng.uniform(0.05, 0.17)).astype(np.float32), None


def indoor(rng, side):
    """A room, a corridor or a hall with windows, doors, furniture and plants."""
    deep = rng.random()
    long = 2.6 * (26 / 2.6) ** deep
    wide = rng.uniform(2.4, 5) * (1 + 1.4 * rng.random() * deep)
    high = rng.uniform(2.3, 3) * (1 + 1.2 * rng.random() * deep)
    camera = Camera(*(rng.uniform(*ends) for ends in ((0.3, 0.7), (0.3, 0.66), (0.55, 0.95), (1.0, 0.62 * high))))
    stand = rng.uniform(0.3, 0.7)
    left, right, near = -wide * stand, wide * (1 - stand), 0.35
    canvas = start(rng, "indoor", camera, side)
    colour, ceiling = tint(rng), tint(rng) * 0.4 + 0.55
    light = rng.uniform(0.65, 1.0)
    roof = [camera.project(x, high, z) for x, z in ((left, near), (right, near), (right, long), (left, long))]
    canvas.polygon(roof, ceiling, long / 2)
    for z in np.arange(1.2, long, rng.uniform(1.2, 3)) if rng.random() < 0.6 else ():  # beams or lamps
        beam = [camera.project(x, high, d) for x, d in ((left, z), (right, z), (right, z + 0.3), (left, z + 0.3))]
        canvas.polygon(beam, ceiling * rng.choice([0.75, 1.25]), z)
    back = Wall(camera, (left, long), (right, long), 0, high)
    sides = (
        (Wall(camera, (left, long), (left, near), 0, high), light),
        (Wall(camera, (right, long), (right, near), 0, high), 1.65 - light),
    )
    canvas.polygon(back.panel(), colour * 0.88, long, outline=colour * 0.5)
    glazed = rng.random()
    if glazed < 0.55:
        openings(canvas, back, rng, rng.integers(1, 4), 1, outdoors=True)
    elif glazed < 0.8:
        at = rng.uniform(0.05, 0.6)
        door = any_colour(rng, (0.2, 0.7), (0.2, 0.6))
        canvas.polygon(back.panel(at, at + 0.28, 0, 0.75), door, long, outline=colour * 0.4)
    for wall, brightness in sides:
        canvas.polygon(wall.panel(), colour * brightness, 0.45 * long + 0.6, outline=colour * 0.45)
        choice = rng.random()
        if choice < 0.45:
            openings(canvas, wall, rng, max(1, int(long / 2.2)), 1, outdoors=True)
        elif choice < 0.75:  # doors, shelves, pictures
            for _ in range(rng.integers(1, 4)):
                at, low = rng.uniform(0, 0.8), rng.choice([0.0, 0.4])
                panel = wall.panel(at, at + 0.13, low, low + 0.38)
                canvas.polygon(panel, any_colour(rng), 0.45 * long, outline=colour * 0.35)
    things = sorted(rng.uniform(1.3, max(1.6, min(long, 9) - 0.7), rng.integers(0, 5)), reverse=True)
    for away in things:
        across = rng.uniform(left + 0.2, right - 0.6)
        if rng.random() < 0.25:
            tree(canvas, camera, rng, across, away, rng.uniform(0.8, 1.7), pot=True)
        else:
            wide_thing, tall = rng.uniform(0.5, 1.5), rng.uniform(0.35, 1.5)
            colour_thing = any_colour(rng, (0.1, 0.8), (0.25, 0.75))
            block(
                canvas, camera, across, min(across + wide_thing, right), away, min(away + 0.7, long), tall, colour_thing
            )
    return finish(rng, canvas), measure(canvas, camera)


def landscape(rng, side):
    """Fields, hills, woods, water; sometimes a house, a path, a hedge that closes the view."""
    camera = Camera(rng.uniform(0.2, 0.8), rng.uniform(0.22, 0.7), rng.uniform(0.6, 1.1), rng.uniform(1.3, 5))
    road = (rng.uniform(0.6, 2.5), rng.uniform(-0.35, 0.35)) if rng.random() < 0.4 else None
    canvas = start(rng, "landscape", camera, side, road)
    for level in range(rng.integers(0, 3)):
        faint = hsv(rng.uniform(0.2, 0.65), rng.uniform(0.1, 0.45), rng.uniform(0.25, 0.75))
        skyline(canvas, camera, rng, rng.uniform(0.02, 0.2) / (1 + level), faint, 250 - 80 * level)
    if rng.random() < 0.25:  # water lies where the ground is 12 to 80 m away
        top, bottom = (camera.horizon + camera.focal * camera.eye / z for z in (80, rng.uniform(8, 25)))
        canvas.polygon([(0, top), (1, top), (1, bottom), (0, bottom)], tint(rng) * 0.9, 30)
    closed = rng.random()
    wood = 0
    if closed < 0.22:  # a hedge, a wall or a cliff across
        away = rng.uniform(5, 25)
        height = rng.uniform(0.5, 2.2) * camera.eye
        bank = leaf_colour(rng) if rng.random() < 0.6 else tint(rng) * 0.8
        foot = camera.project(0, 0, away)[1]
        x = np.linspace(-0.05, 1.05, 50)
        y = foot - camera.focal / away * height * (1 + 0.12 * ridge(rng, 50, 3))
        canvas.polygon([(-0.05, foot), *zip(x, y, strict=True), (1.05, foot)], bank, away)
    elif closed < 0.5:
        wood = rng.integers(8, 18)
    things = [(away, "tree") for away in rng.uniform(6, 32, wood + rng.choice([0, 2, 5]))]
    things += [(away, "house") for away in rng.uniform(12, 50, rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))]
    things += [(away, "stone") for away in rng.uniform(2.5, 15, rng.choice([0, 2, 4]))]
    leaves = leaf_colour(rng)
    for away, thing in sorted(things, reverse=True):
        across = rng.uniform(-0.65, 0.65) * away / camera.focal
        if thing == "tree":
            tree(canvas, camera, rng, across, away, rng.uniform(3, 9), leaves * rng.uniform(0.7, 1.25))
        elif thing == "house":
            house(canvas, camera, rng, across, across + rng.uniform(5, 10), away, away + 8, rng.uniform(3, 6))
        else:
            x, y = camera.project(across, 0, away)
            half = camera.focal * rng.uniform(0.15, 0.7) / away
            canvas.ellipse(x, y - half * 0.3, half, half * 0.6, hsv(0.1, 0.1, rng.uniform(0.25, 0.7)), away)
    return finish(rng, canvas), measure(canvas, camera)


def street(rng, side):
    """A road between houses or towers, trees and lamps along it; open ahead or closed by a building."""
    camera = Camera(rng.uniform(0.25, 0.75), rng.uniform(0.3, 0.7), rng.uniform(0.6, 1.0), rng.uniform(1.4, 4))
    half = rng.uniform(1.8, 7)
    canvas = start(rng, "street", camera, side, (half, 0.0))
    pavement = rng.uniform(1, 6)
    typical = rng.choice([4.0, 9.0, 22.0], p=[0.4, 0.35, 0.25])
    built = rng.uniform(0.35, 1)
    end = rng.uniform(18, 70)
    if rng.random() < 0.4:
        skyline(canvas, camera, rng, rng.uniform(0.01, 0.1), leaf_colour(rng) * 0.8 + 0.15, 150)
    if rng.random() < 0.45:
        house(canvas, camera, rng, -40, 40, end, end + 10, typical * rng.uniform(0.6, 1.3))
        canvas_end = Wall(camera, (-20, end), (20, end), 0, typical * 0.6)
        openings(canvas, canvas_end, rng, 8, 2, outdoors=False)
    things = []
    for direction in (-1, 1):
        away = rng.uniform(2, 6)
        while away < end:
            length = rng.uniform(4, 11)
            things.append((away, "house" if rng.random() < built else "tree", direction, length))
            away += length + rng.choice([0, 1.5])
        if rng.random() < 0.4:
            things += [(z, "lamp", direction, 0) for z in np.arange(rng.uniform(3, 6), end * 0.7, 9)]
        if rng.random() < 0.35:
            things += [(z, "avenue", direction, 0) for z in np.arange(rng.uniform(3, 6), end * 0.7, 7)]
    for away, thing, direction, length in sorted(things, reverse=True, key=lambda t: t[0]):
        edge = direction * (half + pavement)
        if thing == "house":
            left, right = sorted((edge, edge + direction * rng.uniform(7, 14)))
            house(canvas, camera, rng, left, right, away, away + length, typical * rng.uniform(0.6, 1.4))
        elif thing == "tree":
            for _ in range(2):
                tree(canvas, camera, rng, edge + direction * rng.uniform(0, 5), away + 1, rng.uniform(3, 8))
        elif thing == "avenue":
            tree(canvas, camera, rng, direction * (half + pavement * 0.4), away, rng.uniform(3, 5))
        else:
            foot, top = (camera.project(direction * (half + 0.4), up, away) for up in (0, 4.5))
            canvas.line([foot, top], (0.15, 0.15, 0.17), camera.focal * 0.12 / away)
            reach, tall = camera.focal * 0.3 / away, camera.focal * 0.12 / away
            canvas.ellipse(top[0] - direction * reach, top[1], reach, tall, (0.95, 0.93, 0.8), away)
    return finish(rng, canvas), measure(canvas, camera)


DRAW = {"none": plain_texture, "indoor": indoor, "landscape": landscape, "street": street}
