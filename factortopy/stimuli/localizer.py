"""The localizer: pictures of one category at a time, to find the areas that prefer it."""

import numpy as np

from factortopy.stimuli.scenes import LOCALIZER_SEEDS, draw_scene

OBJECT_KINDS = ("car", "cup", "tool", "solid")
SCENE_KINDS = ("indoor", "landscape", "street")


def localizer(n=24, size=112, seed=0):
    """Pictures by category.

    Faces, bodies (without heads), objects and words are single items at varied places near the middle, on the same kind
    of 1/f background; scenes hold no object.

    Parameters
    ----------
    n : int
        Pictures a category.
    size : int
        Side in pixels.
    seed : int
        Another seed gives other pictures; all of them differ from those that networks and subjects have seen.

    Returns
    -------
    dict
        "faces", "bodies", "scenes", "objects", "words": (n, size, size, 3) uint8 arrays.
    """
    first = LOCALIZER_SEEDS + seed * 100_000
    kinds = {
        "faces": ("face",),
        "bodies": ("body",),
        "scenes": SCENE_KINDS,
        "objects": OBJECT_KINDS,
        "words": ("word",),
    }
    pictures = {}
    for block, (name, categories) in enumerate(kinds.items()):
        images = np.empty((n, size, size, 3), np.uint8)
        for row in range(n):
            category = categories[row % len(categories)]
            images[row] = draw_scene(
                first + 10_000 * block + row, category, size, plain=True, head=False, central=True
            )[0]
        pictures[name] = images
    return pictures
