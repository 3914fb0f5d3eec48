"""What scenes are made of: a perspective camera over a ground plane, skies, grounds, walls, trees, houses, light.

Rooms, landscapes and streets share these, so that a scene is told by its layout more than by its colours; the layout is
measured from the map of distances, not declared.
"""

from dataclasses import dataclass

import numpy as np

from factortopy.stimuli.drawing import (
    DISTANCE_SIDE,
    NOISE_SIDE,
    SKY,
    Canvas,
    any_colour,
    distance_code,
    hsv,
    noise,
    noise_bank,
)

GROUND = ("green", "earth", "grey", "wood", "pale")
GROUND_CHANCE = {
    "indoor": (0.10, 0.12, 0.28, 0.35, 0.15),
    "landscape": (0.42, 0.25, 0.13, 0.02, 0.18),
    "street": (0.12, 0.18, 0.50, 0.08, 0.12),
}


@dataclass
class Camera:
    """Where the picture is taken from.

    ``x``, ``horizon``: vanishing point; ``focal``: focal length in picture widths; ``eye``: height in metres.
    """

    x: float
    horizon: float
    focal: float
    eye: float

    def project(self, across, up, away):
        """Picture coordinates of a point: metres to the right, above the ground, ahead."""
        return self.x + self.focal * across / away, self.horizon + self.focal * (self.eye - up) / away


@dataclass
class Wall:
    """An upright rectangle from ground point ``a`` to ``b`` (metres across, away), between two heights."""

    camera: Camera
    a: tuple
    b: tuple
    bottom: float
    top: float

    def panel(self, left=0.0, right=1.0, low=0.0, high=1.0):
        """Corners of a part of it, in shares of its length and height."""
        points = []
        for along, up in ((left, high), (right, high), (right, low), (left, low)):
            across = self.a[0] + (self.b[0] - self.a[0]) * along
            away = self.a[1] + (self.b[1] - self.a[1]) * along
            points.append(self.camera.project(across, self.bottom + (self.top - self.bottom) * up, away))
        return points

    @property
    def distance(self):
        return (self.a[1] + self.b[1]) / 2


def tint(rng):
    """Colour of walls and of skies alike: blues, greys, creams, the odd strong one."""
    family = rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])
    if family == 0:
        return hsv(rng.uniform(0.5, 0.66), rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.97))
    if family == 1:
        return hsv(rng.random(), rng.uniform(0, 0.1), rng.uniform(0.45, 0.95))
    if family == 2:
        return hsv(rng.uniform(0.04, 0.15), rng.uniform(0.1, 0.5), rng.uniform(0.6, 0.97))
    return any_colour(rng, (0.2, 0.6), (0.35, 0.85))


def ground_colour(rng, kind):
    """Colour of floors, fields and pavements; which is likelier depends on the kind, none belongs to one kind alone."""
    family = GROUND[rng.choice(5, p=GROUND_CHANCE[kind])]
    if family == "green":
        return hsv(rng.uniform(0.18, 0.38), rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.65))
    if family == "earth":
        return hsv(rng.uniform(0.05, 0.13), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.7))
    if family == "grey":
        return hsv(rng.uniform(0.05, 0.65), rng.uniform(0, 0.12), rng.uniform(0.25, 0.65))
    if family == "wood":
        return hsv(rng.uniform(0.03, 0.1), rng.uniform(0.35, 0.7), rng.uniform(0.3, 0.7))
    return hsv(rng.uniform(0.08, 0.6), rng.uniform(0, 0.25), rng.uniform(0.75, 0.97))


def leaf_colour(rng):
    return hsv(rng.uniform(0.16, 0.42), rng.uniform(0.25, 0.8), rng.uniform(0.18, 0.6))


def start(rng, kind, camera, side, road=None):
    """Sky above, textured ground below the horizon.

    Parameters
    ----------
    road : (half width in metres, metres that it shifts to the side for every metre ahead) or None

    Returns
    -------
    Canvas
    """
    pixels = np.empty((side, side, 3), np.float32)
    first = int(np.clip(camera.horizon * side, 0, side))
    share = np.linspace(0, 1, first, dtype=np.float32)[:, None, None] ** 0.8
    high, low = tint(rng), tint(rng) * 0.3 + 0.7 * np.array([0.93, 0.93, 0.95])
    clouds = np.clip(noise(rng, side, zoom=4)[:first, :, None] * 0.5 + rng.uniform(-0.7, 0.2), 0, 1) * 0.7
    pixels[:first] = (high * (1 - share) + low * share) * (1 - clouds) + clouds * rng.uniform(0.7, 1)

    rows = (np.arange(first, side, dtype=np.float32) + 0.5) / side
    columns = (np.arange(side, dtype=np.float32) + 0.5) / side
    away = (camera.focal * camera.eye / np.maximum(rows - camera.horizon, 1e-3))[:, None]
    across = (columns - camera.x)[None] * away / camera.focal
    pixels[first:] = ground(rng, kind, across, away, road)

    far = np.full((DISTANCE_SIDE, DISTANCE_SIDE), SKY, np.uint8)
    coarse = (np.arange(DISTANCE_SIDE) + 0.5) / DISTANCE_SIDE - camera.horizon
    below = coarse > 0
    far[below] = distance_code(camera.focal * camera.eye / coarse[below])[:, None]
    return Canvas(pixels, far)


def ground(rng, kind, across, away, road):
    """(rows, columns, 3) colours of the plane at these metres; patterns fade with distance."""
    bank = noise_bank()
    field = bank[rng.integers(len(bank))]
    grain = np.zeros(across.shape, np.float32)
    for per_metre, reach in ((rng.uniform(40, 90), 2.0), (rng.uniform(6, 14), 15.0)):
        columns = np.int32(across * per_metre) % NOISE_SIDE
        rows = np.int32(away * per_metre) % NOISE_SIDE
        grain += field[rows, columns] * (0.1 / (1 + away / reach))
    colour = ground_colour(rng, kind)
    base = np.broadcast_to(colour.astype(np.float32), (*across.shape, 3))
    if road is not None:
        half, shift = road
        middle = shift * away
        edge = np.abs(across - middle)
        base = np.where((edge < half)[..., None], ground_colour(rng, "street").astype(np.float32), base)
        if rng.random() < 0.5:  # a marking along the middle
            dash = (edge < 0.12) & ((away % 4 < 2.2) | (rng.random() < 0.3))
            base = np.where(dash[..., None], np.float32(0.9), base)
    pattern = rng.choice(4, p={"indoor": (0.3, 0.3, 0.2, 0.2)}.get(kind, (0.65, 0.15, 0.15, 0.05)))
    fade = 0.35 / (1 + away / 6)
    width = rng.uniform(0.15, 1.2)
    if pattern in (1, 2):  # boards along or across, or slabs
        grain -= fade * ((across / width) % 1 < 0.07)
    if pattern == 2:
        grain -= fade * ((away / width) % 1 < 0.07)
    if pattern == 3:  # checks
        grain += fade * (((np.floor(across / width) + np.floor(away / width)) % 2) - 0.5)
    return base * (1 + grain)[..., None]


def tree(canvas, camera, rng, across, away, height, colour=None, pot=False):
    """A conifer or a round tree standing at a place; with ``pot`` a house plant."""
    colour = leaf_colour(rng) if colour is None else colour
    x, y = camera.project(across, 0, away)
    tall = camera.focal * height / away
    trunk = hsv(0.07, 0.45, rng.uniform(0.15, 0.4))
    thin, thick, up = tall * 0.03, tall * 0.05, y - tall * 0.5
    canvas.polygon([(x - thin, up), (x + thin, up), (x + thick, y), (x - thick, y)], trunk, away)
    if pot:
        top, foot = tall * 0.17, tall * 0.12
        outline = [(x - top, y - tall * 0.28), (x + top, y - tall * 0.28), (x + foot, y), (x - foot, y)]
        canvas.polygon(outline, any_colour(rng, (0.2, 0.7), (0.3, 0.9)), away)
    if rng.random() < 0.4 and not pot:
        for level in range(3):
            half, bottom = tall * (0.3 - 0.07 * level), tall * (0.18 + 0.23 * level)
            points = [(x - half, y - bottom), (x + half, y - bottom), (x, y - bottom - tall * 0.4)]
            canvas.polygon(points, colour * (0.85 + 0.14 * level), away)
        return
    for dx, dy in sorted(rng.normal(0, 0.13, (11, 2)).clip(-0.3, 0.3).tolist(), key=lambda d: -d[1]):
        radius = tall * rng.uniform(0.09, 0.17)
        centre = (x + dx * tall, y - tall * 0.7 + dy * tall * 0.75)
        canvas.ellipse(*centre, radius, radius, colour * (1 - 0.9 * dy + rng.uniform(-0.12, 0.12)), away)


def block(canvas, camera, left, right, near, far, height, colour):
    """A box on the ground: furniture, a crate, a house without openings."""
    if height < camera.eye:
        top = [camera.project(x, height, z) for x, z in ((left, far), (right, far), (right, near), (left, near))]
        canvas.polygon(top, colour * 1.2, near)
    if left > 0 or right < 0:  # the side that faces the middle
        x = left if left > 0 else right
        canvas.polygon(Wall(camera, (x, near), (x, far), 0, height).panel(), colour * 0.62, (near + far) / 2)
    canvas.polygon(Wall(camera, (left, near), (right, near), 0, height).panel(), colour * 0.88, near)


def openings(canvas, wall, rng, columns, storeys, outdoors):
    """Windows in rows. ``outdoors``: they show the sky and something green or built below it (seen from a room)."""
    dark, bright = hsv(0.6, 0.25, rng.uniform(0.15, 0.4)), hsv(rng.uniform(0.1, 0.6), 0.3, rng.uniform(0.75, 1))
    frame = any_colour(rng, (0, 0.3), (0.15, 0.95))
    outside = tint(rng) * 0.4 + 0.6 * np.array([0.9, 0.95, 1.0])
    below = leaf_colour(rng) if rng.random() < 0.6 else any_colour(rng, (0.1, 0.5), (0.3, 0.7))
    lit = rng.random() < 0.3
    u_margin, v_margin = rng.uniform(0.12, 0.3, 2)
    for column in range(columns):
        for storey in range(storeys):
            left, right = (column + u_margin) / columns, (column + 1 - u_margin) / columns
            low, high = (storey + v_margin) / storeys, (storey + 1 - v_margin) / storeys
            if outdoors:
                canvas.polygon(wall.panel(left, right, low, high), outside, None, outline=frame)
                canvas.polygon(wall.panel(left, right, low, low + (high - low) * rng.uniform(0.2, 0.5)), below, 30.0)
                canvas.line([wall.panel((left + right) / 2, right, low, high)[i] for i in (0, 3)], frame, 0.008)
            else:
                pane = bright if lit else dark
                canvas.polygon(wall.panel(left, right, low, high), pane, wall.distance, outline=frame)


def ridge(rng, count, roughness):
    """(count,) heights of a skyline, mean 0, variance 1."""
    walk = np.cumsum(rng.standard_normal(count + 2 * roughness))
    smooth = np.convolve(walk, np.ones(roughness) / roughness, "same")[roughness:-roughness]
    smooth = smooth - np.linspace(smooth[0], smooth[-1], count)
    return (smooth - smooth.mean()) / (smooth.std() + 1e-6)


def skyline(canvas, camera, rng, height, colour, distance):
    """Hills or a wood along the horizon; height a share of the picture."""
    x = np.linspace(-0.05, 1.05, 60)
    y = np.minimum(camera.horizon - height * (1 + 0.6 * ridge(rng, 60, int(rng.integers(2, 14)))), camera.horizon)
    points = [(-0.05, camera.horizon + 0.004), *zip(x, y, strict=True), (1.05, camera.horizon + 0.004)]
    canvas.polygon(points, colour, distance)


def house(canvas, camera, rng, left, right, near, far, height):
    """A building with windows; low ones have a pitched roof."""
    colour = tint(rng) if rng.random() < 0.6 else any_colour(rng, (0.2, 0.6), (0.3, 0.8))
    storeys = int(np.clip(height / 3, 1, 6))
    if height < 8:
        ridge_up = height + rng.uniform(1, 2.5)
        roof = hsv(rng.choice([0.02, 0.06, 0.6]), rng.uniform(0.1, 0.6), rng.uniform(0.25, 0.6))
        over = 0.3
        eaves, top = ((left - over, height, near), (right + over, height, near)), (ridge_up, near + 2)
        points = [*eaves, (right - over, *top), (left + over, *top)]
        canvas.polygon([camera.project(*p) for p in points], roof, near)
    if left > 0 or right < 0:  # the flank that faces the road
        x = left if left > 0 else right
        flank = Wall(camera, (x, near), (x, far), 0, height)
        canvas.polygon(flank.panel(), colour * 0.72, flank.distance, outline=colour * 0.4)
        openings(canvas, flank, rng, int(np.clip((far - near) / 3.5, 1, 5)), storeys, outdoors=False)
    front = Wall(camera, (left, near), (right, near), 0, height)
    canvas.polygon(front.panel(), colour, near, outline=colour * 0.45)
    if right - left < 25:
        openings(canvas, front, rng, int(np.clip((right - left) / 3, 1, 4)), storeys, outdoors=False)


def finish(rng, canvas):
    """Light that falls off from somewhere, and a grain over everything."""
    pixels = canvas.pixels()
    grid = (np.arange(canvas.side, dtype=np.float32) + 0.5) / canvas.side
    squared = (grid[None] - rng.uniform(-0.2, 1.2)) ** 2 + (grid[:, None] - rng.uniform(-0.3, 0.8)) ** 2
    light = rng.uniform(1.0, 1.3) - rng.uniform(0.1, 0.4) * np.sqrt(squared)
    pixels *= (light * (1 + noise(rng, canvas.side) * rng.uniform(0.01, 0.05)))[..., None]
    return pixels


def measure(canvas, camera):
    """Layout as (openness, depth, horizon); what they mean is said in scenes.Scene."""
    codes = canvas.distances()
    above = max(1, int(camera.horizon * DISTANCE_SIDE))
    openness = float((codes[:above] == SKY).mean())
    depth = float(np.minimum(codes, 254).mean() / 254)
    return openness, depth, camera.horizon
