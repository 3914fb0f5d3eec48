"""Faces and bodies, each drawn into a patch."""

from dataclasses import dataclass

import numpy as np

from factortopy.stimuli.drawing import Patch, any_colour, hsv

CAPS = {  # outlines of the hair above the face: shares of half the head across, down
    "short": ((-0.95, -0.3), (-0.88, -0.75), (-0.4, -1.05), (0.4, -1.05),
              (0.88, -0.75), (0.95, -0.3), (0.72, -0.58), (-0.72, -0.58)),
    "full": ((-1.0, -0.1), (-0.95, -0.75), (-0.4, -1.1), (0.4, -1.1), (0.95, -0.75),
             (1.0, -0.1), (0.75, -0.42), (0.2, -0.52), (-0.75, -0.42)),
    "long": ((-1.05, 0.3), (-0.98, -0.7), (-0.4, -1.08), (0.4, -1.08), (0.98, -0.7),
             (1.05, 0.3), (0.82, -0.25), (0.1, -0.75), (-0.82, -0.25)),
}  # fmt: skip


@dataclass
class Drawn:
    """An object in its patch.

    ``attributes``: four floats about -1 … 1. ``rotation``: degrees, anticlockwise. ``head``: (x, y, height) in the
    patch, of a body that has one. ``signed``: attributes that change sign in the mirror. ``mirror``: False for what
    must stay readable. ``lit``: shading and a surface texture are still to be added.
    """

    patch: Patch
    attributes: tuple
    rotation: float
    head: tuple | None = None
    signed: tuple = ()
    mirror: bool = True
    lit: bool = True


def skin_colour(rng):
    return hsv(rng.uniform(0.035, 0.085), rng.uniform(0.25, 0.6), rng.uniform(0.35, 0.98))


def hair_colour(rng):
    family = rng.choice(4, p=[0.4, 0.2, 0.12, 0.28])
    return (
        hsv(0.07, 0.6, rng.uniform(0.12, 0.4)),
        hsv(0.12, 0.55, rng.uniform(0.6, 0.85)),
        np.full(3, rng.uniform(0.5, 0.8)),
        np.full(3, 0.08),
    )[family]


@dataclass
class Look:
    """How a head is turned and what it looks like."""

    yaw: float  # -1 … 1, to the picture's right
    smile: float  # -1 … 1
    hair: str  # "short", "full", "long", "bald"
    skin: np.ndarray
    hair_tone: np.ndarray
    breadth: float  # width / height


def draw_head(patch, rng, x, y, height, look, detailed=True):
    """A head ``height`` tall (chin to crown) around x, y."""
    width, yaw, skin = height * look.breadth, look.yaw, look.skin

    def at(across, up):
        return x + across * width / 2, y + up * height / 2

    if look.hair == "long":
        patch.ellipse(x - yaw * width * 0.04, y + height * 0.02, width * 0.66, height * 0.56, look.hair_tone * 0.85)
        patch.box(x - width * 0.64, y, x + width * 0.64, y + height * 0.52, look.hair_tone * 0.85, 0.05)
    if look.hair in ("short", "full"):
        patch.ellipse(x - yaw * width * 0.07, y - height * 0.1, width * 0.56, height * 0.5, look.hair_tone)
    for side in (-1, 1):
        if side * yaw < 0.5:
            ear_x = x + side * width * 0.5 - yaw * width * 0.08
            patch.ellipse(ear_x, y + 0.03 * height, width * 0.075, height * 0.1, skin * 0.85)
    patch.ellipse(x, y - height * 0.05, width * 0.5, height * 0.44, skin)
    patch.ellipse(x + yaw * width * 0.05, y + height * 0.13, width * 0.42, height * 0.37, skin)
    if look.hair in CAPS:
        patch.polygon([at(a - yaw * 0.08, u) for a, u in CAPS[look.hair]], look.hair_tone)
    if not detailed:
        for side in (-1, 1):
            patch.ellipse(*at(side * 0.4 + yaw * 0.3, -0.08), width * 0.075, height * 0.045, (0.08, 0.08, 0.1))
        patch.ellipse(*at(yaw * 0.3, 0.5), width * 0.15, height * 0.03, skin * np.array([0.7, 0.35, 0.35]))
        return
    draw_eyes(patch, rng, at, width, height, look)
    draw_nose_and_mouth(patch, rng, at, width, height, look)


def draw_eyes(patch, rng, at, width, height, look):
    """Eyes, lids, brows and, on some, glasses."""
    yaw, skin = look.yaw, look.skin
    apart, level, half = rng.uniform(0.38, 0.45), rng.uniform(-0.12, -0.04), rng.uniform(0.105, 0.13) * width
    iris = (hsv(0.07, 0.7, 0.3), hsv(0.57, 0.6, 0.6), hsv(0.3, 0.4, 0.4))[rng.integers(3)]
    glasses, brow = rng.random() < 0.15, np.minimum(look.hair_tone * 0.75, 0.45)
    for side in (-1, 1):
        narrow = 1 - 0.35 * max(0.0, side * yaw)
        x, y = at(side * apart * (1 - 0.15 * abs(yaw)) + yaw * 0.3, level)
        patch.ellipse(x, y - half * 0.06, half * 1.15 * narrow, half * 0.72, skin * 0.78)
        patch.ellipse(x, y, half * narrow, half * 0.58, (0.97, 0.97, 0.95))
        patch.ellipse(x + yaw * half * 0.3, y, half * 0.48 * narrow, half * 0.52, iris)
        patch.ellipse(x + yaw * half * 0.3, y, half * 0.24, half * 0.26, (0.03, 0.03, 0.03))
        arch = half * (1.35 + 0.15 * look.smile)
        reach = half * 1.25 * narrow
        patch.line([(x - reach, y - arch), (x, y - arch * 1.25), (x + reach, y - arch)], brow, height * 0.02)
        if glasses:
            patch.ring(x, y, half * 1.5, half * 1.2, (0.1, 0.1, 0.1), 0.014)


def draw_nose_and_mouth(patch, rng, at, width, height, look):
    yaw, smile, skin = look.yaw, look.smile, look.skin
    lip = skin * np.array([0.88, 0.48, 0.48])
    (bridge_x, bridge_y), (x, y) = at(yaw * 0.34, -0.05), at(yaw * 0.46, 0.28)
    nose = [(bridge_x, bridge_y), (x - width * 0.07, y), (x, y + height * 0.025), (x + width * 0.07, y)]
    patch.polygon(nose, skin * 0.88)
    for side in (-1, 1):
        patch.ellipse(x + side * width * 0.045, y + height * 0.005, width * 0.024, height * 0.013, skin * 0.4)
    x, y = at(yaw * 0.32, 0.58)
    half = width * rng.uniform(0.18, 0.25)
    if smile > 0.4:
        patch.chord(x - half, y - height * 0.1, x + half, y + height * 0.085, 8, 172, lip * 0.75)
        teeth = x - half * 0.82, y - height * 0.065, x + half * 0.82, y + height * 0.045
        patch.chord(*teeth, 12, 168, (0.96, 0.96, 0.94))
    elif smile < -0.6:
        patch.ellipse(x, y, half * 0.55, height * 0.07, lip * 0.45)
    else:
        bend = height * (0.012 + 0.03 * smile)
        patch.ellipse(x, y, half, height * (0.022 + 0.02 * rng.random()), lip)
        patch.line([(x - half, y - bend), (x, y + bend), (x + half, y - bend)], lip * 0.6, 0.008)


def draw_face(rng):
    """Head and shoulders. Attributes: yaw, smile, long hair, dark hair."""
    patch = Patch()
    look = Look(
        yaw=rng.uniform(-1, 1),
        smile=rng.uniform(-1, 1),
        hair=("short", "full", "long", "bald")[rng.choice(4, p=[0.32, 0.25, 0.33, 0.1])],
        skin=skin_colour(rng),
        hair_tone=hair_colour(rng),
        breadth=rng.uniform(0.7, 0.82),
    )
    shirt = any_colour(rng)
    patch.polygon([(0.12, 1), (0.2, 0.93), (0.4, 0.87), (0.6, 0.87), (0.8, 0.93), (0.88, 1)], shirt)
    patch.polygon([(0.4, 0.72), (0.6, 0.72), (0.63, 0.9), (0.5, 0.95), (0.37, 0.9)], look.skin * 0.78)
    draw_head(patch, rng, 0.5, 0.47, rng.uniform(0.74, 0.8), look)
    dark = 1.0 if look.hair_tone.mean() < 0.4 else -1.0
    attributes = (look.yaw, look.smile, 1.0 if look.hair == "long" else -1.0, dark)
    return Drawn(patch, attributes, rng.normal(0, 9), signed=(0,))


def draw_body(rng, head=None):
    """A standing, striding or gesturing person; ``head`` None leaves it to chance (two in three have one).

    Attributes: stride, arms raised, build, dark shirt.
    """
    patch = Patch()
    skin, hair = skin_colour(rng), hair_colour(rng)
    shirt, trousers = any_colour(rng), any_colour(rng, (0.1, 0.8), (0.15, 0.7))
    has_head = rng.random() < 0.65 if head is None else head
    build, stride, lean = rng.uniform(0.85, 1.2), rng.uniform(0, 1), rng.normal(0, 0.04)
    shoulders = [(0.5 - 0.1 * build, 0.27), (0.5 + 0.1 * build, 0.27)]
    hips = [(0.5 + lean - 0.055 * build, 0.54), (0.5 + lean + 0.055 * build, 0.54)]
    shoe = any_colour(rng, (0, 0.5), (0.05, 0.4))
    bare_arms, skirt = rng.random() < 0.5, rng.random() < 0.2
    for (x, y), side in zip(hips, (-1, 1), strict=True):
        swing, bend = side * stride * rng.uniform(0.1, 0.8), rng.normal(0, 0.35)
        knee = (x + 0.21 * np.sin(swing), y + 0.21 * np.cos(swing))
        foot = (knee[0] + 0.19 * np.sin(swing + bend), knee[1] + 0.19 * np.cos(swing + bend))
        leg = skin if skirt else trousers
        patch.limb((x, y), knee, 0.095 * build, leg, 0.072 * build)
        patch.limb(knee, foot, 0.072 * build, leg * 0.93, 0.045 * build)
        patch.limb(foot, (foot[0] + 0.045 * side, foot[1] + 0.012), 0.042, shoe, 0.034)
    raised = []
    calm = rng.random() < 0.45
    for (x, y), side in zip(shoulders, (-1, 1), strict=True):
        lift = rng.uniform(0.05, 2.8) * (0.3 if calm else 1)
        bend = side * rng.uniform(-0.1, 1.5)
        elbow = (x + 0.15 * np.sin(side * lift), y + 0.15 * np.cos(lift))
        angle = side * lift + bend
        hand = (elbow[0] + 0.14 * np.sin(angle), elbow[1] + 0.14 * np.cos(angle))
        patch.limb((x, y), elbow, 0.066 * build, shirt * 0.88, 0.054 * build)
        patch.limb(elbow, hand, 0.05 * build, skin if bare_arms else shirt * 0.8, 0.036 * build)
        patch.ellipse(*hand, 0.027, 0.027, skin)
        raised.append(lift)
    patch.limb((0.5, 0.2), (0.5, 0.27), 0.055, skin * 0.85)
    patch.polygon([shoulders[0], shoulders[1], hips[1], hips[0]], shirt)
    patch.limb(shoulders[0], shoulders[1], 0.065, shirt)
    if skirt:
        flare = 0.06 + 0.05 * stride
        patch.polygon([hips[0], hips[1], (hips[1][0] + flare, 0.73), (hips[0][0] - flare, 0.73)], trousers)
    patch.limb(hips[0], hips[1], 0.075 * build, trousers)
    place = None
    if has_head:
        look = Look(rng.uniform(-1, 1), 0, ("short", "full", "long", "bald")[rng.integers(4)], skin, hair, 0.78)
        place = (0.5 - 0.3 * lean, 0.125, 0.18)
        draw_head(patch, rng, *place, look, detailed=False)
    dark = 1.0 if shirt.mean() < 0.45 else -1.0
    attributes = (2 * stride - 1, float(np.mean(raised)) - 1, (build - 1.025) * 5.7, dark)
    return Drawn(patch, attributes, rng.normal(0, 9), head=place)
