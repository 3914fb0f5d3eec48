"""Animals, cars, cups, tools, solids and written words, each drawn into a patch."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from factortopy.stimuli.drawing import PATCH, Patch, any_colour, hsv, rgb8
from factortopy.stimuli.people import Drawn

WORDS = (
    "river cafe open hotel music garden north exit bread south market school light summer taxi paper station stone "
    "island milk winter museum apple window green bridge forest police yellow street photo radio tea bakery sun "
    "theatre moon harbour hill ocean pizza print shop ticket water bank books"
).split()


def draw_animal(rng):
    """A four-legged animal from the side. Attributes: leg length, neck length, bulk, brightness."""
    patch = Patch()
    coat = hsv(rng.uniform(0.04, 0.12), rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.85))
    if rng.random() < 0.4:
        coat = np.full(3, rng.uniform(0.12, 0.92))
    length, bulk = rng.uniform(0.22, 0.29), rng.uniform(0.095, 0.145)
    leg, neck = rng.uniform(0.14, 0.3), rng.uniform(0.0, 0.22)
    x, y = 0.45, rng.uniform(0.45, 0.52)
    tail = (x - length * 0.9, y - bulk * 0.4), (x - length * 1.3, y + rng.uniform(-0.2, 0.14))
    patch.limb(*tail, 0.035, coat * 0.8, 0.02)
    for along, tone in ((-0.62, 0.7), (0.58, 0.7), (-0.78, 0.95), (0.74, 0.95)):
        hip = x + length * along
        knee = hip + rng.normal(0, 0.025)
        foot = knee + rng.normal(0, 0.02)
        patch.limb((hip, y + bulk * 0.3), (knee, y + bulk * 0.5 + leg * 0.5), 0.066, coat * tone, 0.046)
        patch.limb((knee, y + bulk * 0.5 + leg * 0.5), (foot, y + bulk * 0.5 + leg), 0.046, coat * tone, 0.036)
        patch.ellipse(foot + 0.012, y + bulk * 0.5 + leg, 0.03, 0.018, coat * 0.45)
    patch.ellipse(x, y, length, bulk, coat)
    patch.ellipse(x - length * 0.55, y - bulk * 0.05, length * 0.45, bulk * 1.05, coat)
    head_x, head_y = x + length + 0.03, y - bulk * 0.5 - neck
    patch.limb((x + length * 0.72, y - bulk * 0.1), (head_x, head_y), 0.13, coat, 0.085)
    ear = rng.uniform(0.06, 0.13)
    tip = (head_x - 0.05, head_y - 0.05 - ear)
    patch.polygon([(head_x - 0.06, head_y - 0.03), tip, (head_x + 0.015, head_y - 0.05)], coat * 0.7)
    patch.ellipse(head_x + 0.03, head_y, 0.095, 0.072, coat)
    patch.ellipse(head_x + 0.11, head_y + 0.022, 0.062, 0.045, coat * 0.88)
    patch.ellipse(head_x + 0.158, head_y + 0.012, 0.017, 0.015, (0.05, 0.05, 0.05))
    patch.ellipse(head_x + 0.05, head_y - 0.022, 0.015, 0.015, (0.02, 0.02, 0.02))
    if rng.random() < 0.4:
        spot = coat * 0.5 if coat.mean() > 0.4 else coat * 1.9
        for across, up in rng.uniform((-0.8, -0.6), (0.8, 0.6), (8, 2)):
            patch.ellipse(x + length * across * 0.8, y + bulk * up * 0.8, 0.03, 0.024, spot)
    attributes = (leg * 12.5 - 2.75, neck * 9 - 1, (bulk - 0.12) * 40, coat.mean() * 2 - 1)
    return Drawn(patch, attributes, rng.normal(0, 5))


def draw_car(rng):
    """A car from the side. Attributes: roof height, boxiness, brightness, nothing."""
    patch = Patch()
    paint = any_colour(rng, (0.3, 1), (0.35, 0.95)) if rng.random() < 0.8 else np.full(3, rng.uniform(0.2, 0.95))
    glass, tyre = np.array([0.6, 0.75, 0.85]) * rng.uniform(0.5, 1.1), (0.07, 0.07, 0.08)
    front, rear, roof = rng.uniform(0.22, 0.34), rng.uniform(0.66, 0.84), rng.uniform(0.27, 0.38)
    patch.polygon([(front - 0.1, 0.5), (front + 0.05, roof), (rear - 0.05, roof), (rear + 0.07, 0.5)], paint)
    middle = (front + rear) / 2
    for low, high, post in ((front - 0.05, front + 0.07, middle - 0.015), (rear + 0.02, rear - 0.07, middle + 0.015)):
        patch.polygon([(low, 0.49), (high, roof + 0.03), (post, roof + 0.03), (post, 0.49)], glass)
    patch.box(0.04, 0.47, 0.96, 0.68, paint, 0.06)
    patch.box(0.06, 0.62, 0.94, 0.69, paint * 0.55, 0.02)
    patch.line([(middle, 0.49), (middle, 0.63)], paint * 0.6, 0.01)
    patch.line([(middle + 0.04, 0.54), (middle + 0.09, 0.54)], paint * 0.5, 0.014)
    for x in (0.24, 0.77):
        patch.ellipse(x, 0.68, 0.115, 0.115, paint * 0.3)
        patch.ellipse(x, 0.685, 0.1, 0.1, tyre)
        patch.ellipse(x, 0.685, 0.055, 0.055, (0.72, 0.72, 0.74))
        patch.ellipse(x, 0.685, 0.02, 0.02, (0.2, 0.2, 0.2))
    patch.ellipse(0.075, 0.54, 0.028, 0.03, (1, 0.96, 0.65))
    patch.ellipse(0.94, 0.54, 0.02, 0.03, (0.8, 0.1, 0.1))
    return Drawn(patch, ((0.325 - roof) * 18, (rear - front - 0.47) * 6, paint.mean() * 2 - 1, 0.0), rng.normal(0, 4))


def draw_cup(rng):
    """A cup or mug with a handle. Attributes: width, taper, brightness, filled."""
    patch = Patch()
    colour = any_colour(rng, (0, 0.9), (0.4, 1))
    half, taper, filled = rng.uniform(0.2, 0.27), rng.uniform(0.6, 0.97), rng.random() < 0.6
    handle = 0.5 + half * 0.95
    patch.ring(handle + 0.02, 0.5, 0.14, 0.15, colour * 0.8, 0.05)
    sides = [(0.5 - half, 0.27), (0.5 + half, 0.27), (0.5 + half * taper, 0.78), (0.5 - half * taper, 0.78)]
    patch.polygon(sides, colour)
    patch.ellipse(0.5, 0.78, half * taper, 0.05, colour)
    if rng.random() < 0.5:
        left, right = 0.5 - half * (0.97 - 0.15 * (1 - taper)), 0.5 + half * (0.97 - 0.15 * (1 - taper))
        inward = 0.02 * (1 - taper)
        patch.polygon([(left, 0.44), (right, 0.44), (right - inward, 0.55), (left + inward, 0.55)], any_colour(rng))
    patch.ellipse(0.5, 0.27, half, 0.07, np.minimum(colour * 1.15, 1))
    patch.ellipse(0.5, 0.277, half * 0.87, 0.053, hsv(0.07, 0.6, 0.2) if filled else colour * 0.5)
    attributes = ((half - 0.235) * 28, (taper - 0.78) * 5.4, colour.mean() * 2 - 1, 1.0 if filled else -1.0)
    return Drawn(patch, attributes, rng.normal(0, 8))


def draw_tool(rng):
    """A hammer, a spanner or scissors at any angle.

    Attributes: which of the three (-1, 0, 1), brightness of the grip, two zeros.
    """
    patch = Patch()
    metal, grip = np.full(3, rng.uniform(0.4, 0.8)), any_colour(rng, (0.3, 0.9), (0.3, 0.85))
    which = rng.integers(3)
    if which == 0:
        patch.limb((0.5, 0.26), (0.5, 0.92), 0.07, grip, 0.085)
        patch.box(0.26, 0.12, 0.66, 0.29, metal, 0.03)
        patch.polygon([(0.65, 0.14), (0.82, 0.19), (0.87, 0.28), (0.65, 0.27)], metal * 0.85)
    elif which == 1:
        patch.limb((0.5, 0.3), (0.5, 0.86), 0.095, metal, 0.095)
        patch.ellipse(0.5, 0.21, 0.165, 0.165, metal)
        patch.ellipse(0.5, 0.86, 0.11, 0.11, metal * 0.92)
        pixels = np.array(patch.image)  # the jaw and the ring's hole are cut out
        pixels[: int(PATCH * 0.23), int(PATCH * 0.42) : int(PATCH * 0.58), 3] = 0
        yy, xx = np.mgrid[0:PATCH, 0:PATCH] / PATCH
        pixels[np.hypot(xx - 0.5, yy - 0.86) < 0.045, 3] = 0
        patch.image = Image.fromarray(pixels)
        patch.draw = ImageDraw.Draw(patch.image)
    else:
        for side in (-1, 1):
            tone = 1 if side > 0 else 0.85
            patch.limb((0.5 - side * 0.02, 0.5), (0.5 + side * 0.14, 0.06), 0.07, metal * tone, 0.018)
            patch.limb((0.5, 0.5), (0.5 - side * 0.13, 0.72), 0.055, grip)
            patch.ring(0.5 - side * 0.17, 0.81, 0.12, 0.125, grip, 0.05)
        patch.ellipse(0.5, 0.5, 0.025, 0.025, metal * 0.45)
    return Drawn(patch, (which - 1.0, grip.mean() * 2 - 1, 0.0, 0.0), rng.uniform(-180, 180))


def draw_solid(rng):
    """A ball, box, cone or cylinder, smoothly lit.

    Attributes: round or edged, brightness, light from the left, nothing.
    """
    patch = Patch()
    colour = any_colour(rng, (0.4, 1), (0.4, 0.95))
    which, from_left = rng.integers(4), rng.uniform(-0.8, 0.8)
    if which == 0:
        yy, xx = np.mgrid[0:PATCH, 0:PATCH] / PATCH * 2 - 1
        squared = xx * xx + yy * yy
        light = np.array([-from_left, -0.6, 0.6])
        light /= np.linalg.norm(light)
        facing = (xx * light[0] + yy * light[1] + np.sqrt(np.clip(0.64 - squared, 0, 1)) * light[2]) / 0.8
        pixels = np.zeros((PATCH, PATCH, 4))
        shine = np.clip(facing - 0.93, 0, 1)[..., None] * 6
        pixels[..., :3] = colour * (np.clip(facing, 0, 1) * 0.85 + 0.2)[..., None] + shine
        pixels[..., 3] = squared < 0.64
        patch.image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    elif which == 1:
        over = rng.uniform(0.12, 0.28)
        patch.polygon([(0.15, 0.35), (0.6, 0.35), (0.6, 0.85), (0.15, 0.85)], colour * (0.75 + 0.2 * from_left))
        top = [(0.15, 0.35), (0.15 + over, 0.17), (0.6 + over, 0.17), (0.6, 0.35)]
        patch.polygon(top, np.minimum(colour * 1.25, 1))
        right = [(0.6, 0.35), (0.6 + over, 0.17), (0.6 + over, 0.67), (0.6, 0.85)]
        patch.polygon(right, colour * (0.6 - 0.2 * from_left))
    else:
        shares = np.arange(24) / 24
        tones = 0.4 + 0.7 * np.clip(np.sin(shares * np.pi * 0.9 + 0.5 + 0.6 * from_left), 0, 1)
        if which == 2:
            patch.ellipse(0.5, 0.8, 0.32, 0.06, colour * 0.6)
            for share, tone in zip(shares, tones, strict=True):
                x = 0.18 + 0.64 * share
                down = 0.8 + 0.06 * np.sqrt(max(0.0, 1 - ((x - 0.487) / 0.32) ** 2))
                patch.polygon([(0.5, 0.1), (x, down), (x + 0.03, down)], colour * tone)
        else:
            patch.ellipse(0.5, 0.8, 0.25, 0.06, colour * 0.55)
            for share, tone in zip(shares, tones, strict=True):
                x = 0.25 + 0.5 * share
                down = 0.8 + 0.06 * np.sqrt(max(0.0, 1 - ((x - 0.49) / 0.25) ** 2))
                patch.polygon([(x, 0.2), (x + 0.024, 0.2), (x + 0.024, down), (x, down)], colour * tone)
            patch.ellipse(0.5, 0.2, 0.25, 0.07, np.minimum(colour * 1.2, 1))
    attributes = (1.0 if which == 1 else -1.0, colour.mean() * 2 - 1, from_left, 0.0)
    return Drawn(patch, attributes, rng.normal(0, 10), signed=(2,), lit=which != 0)


@functools.cache
def font():
    """Pillow's own font, so that pictures are the same on every machine."""
    return ImageFont.load_default(size=46)


def draw_word(rng):
    """A written word on a plate or with an outline of the opposite tone, so that it always has contrast.

    Attributes: length, capitals, light on dark, slant.
    """
    text = WORDS[rng.integers(len(WORDS))]
    text = (text.upper(), text.capitalize(), text)[rng.choice(3, p=[0.5, 0.3, 0.2])]
    left, top, right, bottom = font().getbbox(text, stroke_width=1)
    width, height = right - left + 28, bottom - top + 26
    dark_text, plate, slant = rng.random() < 0.5, rng.random() < 0.65, rng.uniform(-0.3, 0.3)
    dark, light = any_colour(rng, (0, 0.9), (0.03, 0.28)), any_colour(rng, (0, 0.3), (0.9, 1))
    ink, behind = (dark, light) if dark_text else (light, dark)
    patch = Patch()
    patch.image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    patch.draw = ImageDraw.Draw(patch.image)
    if plate:
        patch.draw.rounded_rectangle([0, 0, width - 1, height - 1], 7, fill=rgb8(behind), outline=rgb8(ink), width=3)
        patch.draw.text((14 - left, 13 - top), text, font=font(), fill=rgb8(ink), stroke_width=1)
    else:
        patch.draw.text((14 - left, 13 - top), text, font=font(), fill=rgb8(behind), stroke_width=6)
        patch.draw.text((14 - left, 13 - top), text, font=font(), fill=rgb8(ink), stroke_width=1)
    lean = int(abs(slant) * height)
    shear = Image.Transform.AFFINE, (1, slant, -lean if slant > 0 else 0, 0, 1, 0)
    patch.image = patch.image.transform((width + lean, height), *shear, Image.Resampling.BILINEAR)
    attributes = ((len(text) - 5.5) / 2, 1.0 if text.isupper() else -1.0, -1.0 if dark_text else 1.0, slant * 3)
    return Drawn(patch, attributes, rng.normal(0, 9), mirror=False, lit=False)
