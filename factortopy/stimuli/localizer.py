"""The localizer: pictures of one category at a time, to find the areas that prefer it."""

import numpy as np

from factortopy.stimuli.scenes import LOCALIZER_SEEDS, draw_scene

KINDS = {
    "faces": ("face",), "bodies": ("body",), "scenes": ("indoor", "landscape", "street"),
    "objects": ("car", "cup", "tool", "solid"), "words": ("word",),
}  # fmt: skip


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
    pictures = {}
    for block, (name, categories) in enumerate(KINDS.items()):
        images = pictures[name] = np.empty((n, size, size, 3), np.uint8)
        for row in range(n):
            number, category = first + 10_000 * block + row, categories[row % len(categories)]
            images[row] = draw_scene(number, category, size, plain=True, head=False, central=True)[0]
    return pictures
