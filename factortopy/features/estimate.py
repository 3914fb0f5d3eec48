"""What an extraction will take: time and disk, from a short probe."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.features import speed
from factortopy.features.extraction import content_key
from factortopy.features.reader import BATCH, SAMPLE, Reader, on_device, pixel_batches
from factortopy.storage.home import cache_dir
from factortopy.wording import rate_text, size_text

if TYPE_CHECKING:
    from factortopy.backbones.base import Backbone

SIDE = 425  # pixels of NSD's pictures
MOST_PROBED = 512  # pictures, spread over all


@dataclass(frozen=True)
class Plan:
    """What an extraction will take.

    seconds : float, from the pace of the probe; pictures_per_second : float
    bytes : int, on disk; free : int, bytes that the disk has left
    """

    pictures: int
    pictures_per_second: float
    bytes: int
    free: int
    first: int = 0  # pictures that are shown once more before, to learn components from
    hashing: float = 0.0  # seconds a picture, before: whether it was extracted already

    @property
    def seconds(self) -> float:
        return (self.pictures + self.first) / self.pictures_per_second + self.hashing * self.pictures

    def sentence(self) -> str:
        """The same in words."""
        minutes = self.seconds / 60
        time = (
            f"{self.seconds:.0f} s"
            if minutes < 2
            else f"{minutes:.0f} min"
            if minutes < 120
            else f"{minutes / 60:.1f} h"
        )
        enough = "" if self.bytes < 0.95 * self.free else f", more than the {size_text(self.free)} that are free"
        pace = f"about {time} at {rate_text(self.pictures_per_second)} a second"
        return f"{self.pictures:,} pictures: {pace}, {size_text(self.bytes)} of disk{enough}"


def plan(
    backbone: Backbone,
    n_images: int,
    grid: int | None = 8,
    seconds: float = 3.0,
    reduce: Any = None,
    images: Any = None,
    precision: str | None = None,
) -> Plan:
    """What extracting so many pictures will take: a few are extracted for about so many seconds, and nothing of it is kept.

    reduce, precision : as ``extract`` takes them
    images : sequence of the pictures themselves; None: blank ones of NSD's size

    Returns
    -------
    Plan
    """
    if images is None:
        images = np.full((1, SIDE, SIDE, 3), 128, np.uint8)
    rows = np.linspace(0, len(images) - 1, min(len(images), MOST_PROBED)).astype(int).tolist()
    with on_device(backbone, None, precision), tempfile.TemporaryFile(dir=cache_dir("features")) as file:
        reader = Reader(backbone, grid, precision)
        start = time.perf_counter()
        content_key(images[k] for k in rows[:BATCH])
        hashing = (time.perf_counter() - start) / len(rows[:BATCH])
        most, reader.batch = reader.batch, 1
        batches = pixel_batches((images[k] for k in cycle(rows)), lambda: reader.batch)
        local, token = reader.tokens(next(batches))  # the first takes longer: not counted
        counted, shown, taken = 0, 0, 0.0
        start = since = time.perf_counter()
        for pixels in batches:
            for array in chain(*reader.tokens(pixels)):
                file.write(array.data)
            if len(pixels) > counted:  # larger and larger batches; of the largest size all count
                counted, shown, taken, reader.batch = len(pixels), 0, 0.0, min(most, 4 * reader.batch)
            now = time.perf_counter()
            shown, taken, since = shown + len(pixels), taken + now - since, now
            if now - start > seconds:
                break
            file.seek(0)
    if reader.usual:
        speed.keep(backbone, shown, taken, probe=True)
    widths = [a.shape[-1] for a in (*local, *token)]
    kept = [min(c, reduce or c) for c in widths]
    needed = n_images * sum(a.nbytes // c * k for a, c, k in zip((*local, *token), widths, kept, strict=True))
    free, first = shutil.disk_usage(cache_dir("features")).free, min(n_images, SAMPLE) if reduce else 0
    return Plan(n_images, shown / taken, needed, free, first, hashing)


def disk_size(layers: int, width: int, n_images: int, reduce: int | None = None) -> int:
    """Bytes that tokens of so many pictures take at most: ``layers`` layers of up to ``width`` channels, float16 on the grid of 8 × 8."""
    return 2 * layers * min(width, reduce or width) * (8 * 8 + 1) * n_images
