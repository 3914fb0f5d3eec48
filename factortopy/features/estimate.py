"""What an extraction will take: time and disk, from a short probe."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.features import speed
from factortopy.features.reader import SAMPLE, Reader, on_device, pictures_a_batch
from factortopy.storage.home import cache_dir
from factortopy.wording import rate_text, size_text

if TYPE_CHECKING:
    from factortopy.backbones.base import Backbone


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

    @property
    def seconds(self) -> float:
        return (self.pictures + self.first) / self.pictures_per_second

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
) -> Plan:
    """What extracting so many pictures will take: a few blank ones are shown to the network for about so many seconds.

    reduce : components kept of a layer, as ``extract`` takes it

    Returns
    -------
    Plan
    """
    blank = np.full((1, backbone.input_size, backbone.input_size, 3), 128, np.uint8)
    with on_device(backbone, None):
        reader = Reader(backbone, grid, batch=pictures_a_batch(backbone))
        local, token = reader.tokens(blank)  # the first takes longer: not counted
        size = 1
        while True:  # larger and larger batches, until one takes its share of the time or is as large as they get
            shown, start = size, time.perf_counter()
            reader.tokens(np.repeat(blank, shown, 0))
            taken = time.perf_counter() - start
            if taken > seconds / 2 or shown >= reader.batch:
                break
            size = min(4 * size, reader.batch)
    speed.keep(backbone, shown, taken, probe=True)
    widths = [a.shape[-1] for a in (*local, *token)]
    kept = [min(c, reduce or c) for c in widths]
    needed = n_images * sum(a.nbytes // c * k for a, c, k in zip((*local, *token), widths, kept, strict=True))
    free, first = shutil.disk_usage(cache_dir("features")).free, min(n_images, SAMPLE) if reduce else 0
    return Plan(n_images, shown / taken, needed, free, first)


def disk_size(layers: int, width: int, n_images: int, reduce: int | None = None) -> int:
    """Bytes that tokens of so many pictures take at most: ``layers`` layers of up to ``width`` channels, float16 on the grid of 8 × 8."""
    return 2 * layers * min(width, reduce or width) * (8 * 8 + 1) * n_images
