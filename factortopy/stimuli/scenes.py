"""Rendered scenes whose content is known: a background, up to three objects, and the truth about both.

Everything follows from a seed. Seeds are kept apart: networks train on 0 … 999,999, held-out accuracy is taken from
HELD_OUT_SEEDS on, simulated subjects see SUBJECT_SEEDS on, the localizer LOCALIZER_SEEDS on.
"""

from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from PIL import Image, ImageFilter

from factortopy.stimuli import backgrounds, objects, people
from factortopy.stimuli.drawing import noise, shade, texture

CATEGORIES = ("face", "body", "animal", "car", "cup", "tool", "solid", "word")
SCENE_KINDS = ("none", "indoor", "landscape", "street")
HELD_OUT_SEEDS, SUBJECT_SEEDS, LOCALIZER_SEEDS = 5_000_000, 10_000_000, 20_000_000
SIZES = {  # longest side as a share of the picture's width
    "face": (0.36, 0.9), "body": (0.5, 1.0), "animal": (0.38, 0.85), "car": (0.38, 0.85),
    "cup": (0.35, 0.65), "tool": (0.36, 0.75), "solid": (0.35, 0.65), "word": (0.38, 0.85),
}  # fmt: skip
DRAW = {
    "face": people.draw_face, "body": people.draw_body, "animal": objects.draw_animal, "car": objects.draw_car,
    "cup": objects.draw_cup, "tool": objects.draw_tool, "solid": objects.draw_solid, "word": objects.draw_word,
}  # fmt: skip
CHANCE = (0.21, 0.20, 0.11, 0.11, 0.08, 0.09, 0.07, 0.13)  # of each category, in that order
COUNTS = {"none": (0.0, 0.5, 0.35, 0.15), "scene": (0.33, 0.37, 0.22, 0.08)}  # of 0 … 3 objects
COVER_SIDE = 14  # cells along a side of the map that says which object covers what


@dataclass
class SceneObject:
    """One object of a scene.

    ``x``, ``y``: centre of its bounding box in picture coordinates, -1 … 1, x right, y down (the box may reach beyond).
    ``size``: longest side of that box as a share of the picture's width. ``attributes``: four floats about -1 … 1, what
    they mean is said where the category is drawn. ``part``: True for the head of a body: category "face", no
    attributes, belongs to the object before it.
    """

    category: str
    x: float
    y: float
    size: float
    attributes: tuple = (0.0, 0.0, 0.0, 0.0)
    part: bool = False


@dataclass
class Scene:
    """What is in a picture.

    ``openness``: share of sky above the horizon. ``depth``: mean logarithmic distance, 0 at 1 m, 1 at 300 m and the
    sky. ``horizon``: 0 top … 1 bottom. The first two are measured from the rendered distances without the objects; all
    three are 0 for kind "none".
    """

    kind: str
    openness: float
    depth: float
    horizon: float
    objects: list = field(default_factory=list)
    seed: int = 0


def render_scene(seed, category=None, size=112):
    """Draw a scene.

    Parameters
    ----------
    seed : int
    category : str or None
        One of CATEGORIES: exactly one such object; a scene kind: that background without objects; None: left to chance.
    size : int
        Side in pixels; the picture is drawn at twice that and averaged.

    Returns
    -------
    image : (size, size, 3) uint8 array
    scene : Scene
    """
    image, scene, _ = draw_scene(seed, category, size)
    return image, scene


def render_scenes(seeds, size=112, processes=1):
    """Draw many scenes: (n, size, size, 3) uint8 array and a list of Scene, in the order of ``seeds``."""
    images, scenes, _ = render_covered(seeds, size, processes)
    return images, scenes


def render_covered(seeds, size=112, processes=1):
    """Like render_scenes, and the cover of every picture.

    Cover is (n, COVER_SIDE, COVER_SIDE, categories) uint8, 255 where an object of that category covers a cell wholly.
    """
    seeds = [int(seed) for seed in seeds]
    if processes > 1 and len(seeds) > processes:
        # joblib's processes, not multiprocessing's: those would run a user's script, or the app's, again in each.
        chunks = [seeds[first : first + 64] for first in range(0, len(seeds), 64)]
        parts = Parallel(n_jobs=processes)(delayed(_render_chunk)(chunk, size) for chunk in chunks)
    else:
        parts = [_render_chunk(seeds, size)]
    images, scenes, covers = zip(*parts, strict=True)
    return np.concatenate(images), [scene for part in scenes for scene in part], np.concatenate(covers)


def _render_chunk(seeds, size):
    images = np.empty((len(seeds), size, size, 3), np.uint8)
    covers = np.empty((len(seeds), COVER_SIDE, COVER_SIDE, len(CATEGORIES)), np.uint8)
    scenes = []
    for row, seed in enumerate(seeds):
        images[row], scene, covers[row] = draw_scene(seed, None, size)
        scenes.append(scene)
    return images, scenes, covers


def draw_scene(seed, category=None, size=112, plain=False, head=None, central=False):
    """render_scene with more control: image, scene and cover.

    ``plain`` puts an object on 1/f noise; ``head`` False draws bodies without one; ``central`` keeps objects near the
    middle.
    """
    if category is not None and category not in CATEGORIES + SCENE_KINDS:
        raise ValueError(f"unknown category {category!r}: expected one of {CATEGORIES + SCENE_KINDS}")
    rng = np.random.default_rng(seed)
    kind, names = _choose(rng, category, plain)
    pixels, layout = backgrounds.DRAW[kind](rng, 2 * size)
    openness, depth, horizon = layout or (0.0, 0.0, 0.0)
    scene = Scene(kind, openness, depth, horizon, seed=int(seed))
    canvas = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8)).convert("RGBA")
    cover = np.zeros((COVER_SIDE, COVER_SIDE, len(CATEGORIES)), np.float32)
    for name in names:
        drawn = people.draw_body(rng, head) if name == "body" else DRAW[name](rng)
        _place(rng, canvas, cover, scene, name, drawn, central)
    pixels = np.asarray(canvas.convert("RGB").reduce(2), np.float32)
    contrast, brightness, strength = rng.uniform(0.8, 1.2), rng.normal(0, 8), rng.uniform(1, 3.5)
    grain = noise(rng, 2 * size)[:size, :size]
    grain = (rng.standard_normal(grain.shape) + grain)[..., None]
    pixels = (pixels - 128) * contrast + 128 + brightness + strength * grain
    return np.clip(pixels, 0, 255).astype(np.uint8), scene, np.round(cover * 255).astype(np.uint8)


def _choose(rng, category, plain):
    """Background kind and the names of the objects."""
    kind = SCENE_KINDS[rng.choice(4, p=(0.25, 0.25, 0.25, 0.25))]
    count = rng.choice(4, p=COUNTS["none" if kind == "none" else "scene"])
    names = [CATEGORIES[i] for i in rng.choice(len(CATEGORIES), size=count, replace=False, p=CHANCE)]
    if category in SCENE_KINDS:
        return category, []
    if category is not None:
        return "none" if plain else kind, [category]
    return kind, names


def _place(rng, canvas, cover, scene, name, drawn, central):
    """Light, turn, scale and paste an object; write down where it came to lie."""
    image = texture(shade(drawn.patch.image, rng), rng, 0.05) if drawn.lit else drawn.patch.image
    attributes, head = list(drawn.attributes), drawn.head
    if drawn.mirror and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for index in drawn.signed:
            attributes[index] *= -1
        if head:
            head = (1 - head[0], *head[1:])
    low, high = SIZES[name]
    size = low * (high / low) ** rng.random()
    width = image.width
    turned = image.rotate(drawn.rotation, expand=True, resample=Image.Resampling.BILINEAR)
    box = turned.getbbox()
    scale = size * canvas.width / max(box[2] - box[0], box[3] - box[1])
    side_x, side_y = max(2, round((box[2] - box[0]) * scale)), max(2, round((box[3] - box[1]) * scale))
    piece = turned.resize((side_x, side_y), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    x, y = _position(rng, scene, size, side_x / canvas.width, side_y / canvas.width, central)
    left, top = round(x * canvas.width - side_x / 2), round(y * canvas.width - side_y / 2)
    alpha = Image.new("L", canvas.size, 0)
    alpha.paste(piece.getchannel("A"), (left, top))
    _halo(canvas, piece.getchannel("A"), left, top)
    canvas.alpha_composite(piece, (max(left, 0), max(top, 0)), (max(-left, 0), max(-top, 0)))
    cell, rest = divmod(canvas.width, COVER_SIDE)
    coarse = alpha.resize((COVER_SIDE, COVER_SIDE), Image.Resampling.BOX) if rest else alpha.reduce(cell)
    covered = np.asarray(coarse, np.float32) / 255
    cover *= 1 - covered[..., None]
    cover[..., CATEGORIES.index(name)] += covered
    scene.objects.append(SceneObject(name, 2 * x - 1, 2 * y - 1, float(size), tuple(float(a) for a in attributes)))
    if head:
        _note_head(scene, cover, head, drawn.rotation, turned.size, box, scale, (x, y), canvas.width, width)


def _halo(canvas, alpha, left, top):
    """A soft shadow around an object on a light ground, a soft glow on a dark one: outlines stay visible."""
    margin = canvas.width // 28
    box = (left - margin, top - margin, left + alpha.width + margin, top + alpha.height + margin)
    under = canvas.crop(box).convert("RGB")
    dark = under.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) < 80
    small = Image.new("L", (max(2, under.width // 4), max(2, under.height // 4)), 0)
    inner = alpha.resize((max(1, alpha.width // 4), max(1, alpha.height // 4)), Image.Resampling.BOX)
    small.paste(inner, ((small.width - inner.width) // 2, (small.height - inner.height) // 2))
    mask = small.filter(ImageFilter.GaussianBlur(margin / 8)).resize(under.size, Image.Resampling.BILINEAR)
    tone = (205, 205, 200) if dark else (18, 18, 22)
    under.paste(tone, (0, 0), mask.point(lambda value: int(value * 0.6)))
    canvas.paste(under, box[:2])


def _note_head(scene, cover, head, rotation, turned, box, scale, centre, side, width):
    """The head of a body as an object of its own, followed through rotation, cut and scale."""
    angle = np.deg2rad(rotation)
    right, down = (head[0] - 0.5) * width, (head[1] - 0.5) * width
    across = right * np.cos(angle) + down * np.sin(angle) + turned[0] / 2
    along = -right * np.sin(angle) + down * np.cos(angle) + turned[1] / 2
    x = centre[0] + (across - (box[0] + box[2]) / 2) * scale / side
    y = centre[1] + (along - (box[1] + box[3]) / 2) * scale / side
    size = head[2] * width * scale / side
    grid = (np.arange(COVER_SIDE) + 0.5) / COVER_SIDE
    reach = size / 2 + 0.2 / COVER_SIDE
    inside = (grid[None] - x) ** 2 + (grid[:, None] - y) ** 2 < reach**2
    face, body = CATEGORIES.index("face"), CATEGORIES.index("body")
    cover[..., face] = np.where(inside, np.maximum(cover[..., face], cover[..., body]), cover[..., face])
    scene.objects.append(SceneObject("face", 2 * x - 1, 2 * y - 1, float(size), part=True))


def _position(rng, scene, size, width, height, central):
    """Centre in 0 … 1: most of the object inside the picture, away from the objects that are there already."""

    def free(extent):
        reach = 0.5 * extent * 0.8
        low = min(reach, 0.42)
        if central:
            low = max(low, 0.36)
        return rng.uniform(low, 1 - low)

    best, clearance = None, -np.inf
    for _ in range(8):
        x, y = free(width), free(height)
        gaps = [np.hypot(2 * x - 1 - o.x, 2 * y - 1 - o.y) - 0.8 * (size + o.size) for o in scene.objects if not o.part]
        gap = min(gaps, default=0.0)
        if gap > clearance:
            best, clearance = (x, y), gap
        if gap >= 0:
            break
    return best


def labels(scenes):
    """(n, 11) float32: the eight categories (parts do not count), then indoor, landscape, street."""
    names = CATEGORIES + SCENE_KINDS[1:]
    table = np.zeros((len(scenes), len(names)), np.float32)
    for row, scene in enumerate(scenes):
        for item in scene.objects:
            if not item.part:
                table[row, names.index(item.category)] = 1
        if scene.kind != "none":
            table[row, names.index(scene.kind)] = 1
    return table
