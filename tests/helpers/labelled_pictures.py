"""A folder of pictures by class."""

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 60, 60), "green": (60, 190, 70), "blue": (70, 80, 200)}


def planted(folder, n=16, shuffled=False, size=24, seed=0):
    """Class folders of noisy colours; shuffled: the class says nothing of the colour."""
    rng = np.random.default_rng(seed)
    names = list(COLOURS)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            tone = COLOURS[names[rng.integers(3)] if shuffled else name]
            pixels = np.clip(rng.normal(tone, 45, (size, size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder
