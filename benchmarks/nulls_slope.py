"""Coverage of the hierarchy slope's interval, over independent data sets with the refits that users get (simulated).

    python -m benchmarks.nulls_slope            # a few data sets, minutes
    python -m benchmarks.nulls_slope --full     # 200 data sets of 21 fits each; goes on where it was stopped

One small network and one small cortex with a planted slope; every data set has its own pictures, noise, split and seed. The halves are
``half_of_pictures`` and every fit is ``fit`` with the fast recipe, as in ``report --refits``, with fewer steps.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import binomtest

from factortopy.analysis.slope import LEVELS, Refits, allotted, hierarchy
from factortopy.encoder.fitting import fit
from factortopy.encoder.selectors import Selectors
from factortopy.features.extraction import Features
from factortopy.storage.home import cache_dir
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import half_of_pictures

LAYERS, CHANNELS, GRID, RANK, VERTICES, PICTURES, STEPS = 3, 6, 2, 3, 60, 150, 10
CEILING, CORRELATION, REFITS, FIRST_SEED = 0.7, 0.5, 20, 10_000


@dataclass(frozen=True)
class World:
    """A network and a cortex that all data sets share: who reads which layer, where, and which channels."""

    turns: np.ndarray  # (L, C, C) from each layer to the next
    mix: np.ndarray  # (2, L, C, R) local and global channels that are read
    cell: np.ndarray  # (N,) place
    layer: np.ndarray  # (N, L)
    scale: np.ndarray  # (N,)
    weight: np.ndarray  # (N, R)
    coords: np.ndarray
    rois: dict


@cache
def world():
    """The planted one."""
    rng = np.random.default_rng(0)
    turns = np.stack([np.linalg.qr(rng.standard_normal((CHANNELS, CHANNELS)))[0] for _ in range(LAYERS)])
    mix = rng.standard_normal((2, LAYERS, CHANNELS, RANK)) / CHANNELS**0.5
    along = (np.arange(VERTICES) + 0.5) / VERTICES  # the cortex is a ribbon, its areas follow each other
    across = np.sin(7 * np.arange(VERTICES))
    centre = (0.1 + 0.7 * along) * (LAYERS - 1)
    layer = np.exp(-((np.arange(LAYERS) - centre[:, None]) ** 2) / 0.5)
    layer /= layer.sum(1, keepdims=True)
    cell = (across > 0) + GRID * (along * 4 % 2 > 1)
    scale = 1 / (1 + np.exp(-6 * (along - 0.6)))
    weight = np.stack([np.cos(3 * along * j + j) for j in range(1, RANK + 1)], 1) + 0.3 * rng.standard_normal(
        (VERTICES, RANK)
    )
    coords = np.stack([100 * along, 10 * across + 50, np.full(VERTICES, 50.0)], 1).astype(np.float32)
    area = np.minimum((along * len(LEVELS)).astype(int), len(LEVELS) - 1)
    return World(turns, mix, cell, layer, scale, weight, coords, {name: area == k for k, name in enumerate(LEVELS)})


def data_set(number):
    """(Subject, Features) of new pictures."""
    w, rng = world(), np.random.default_rng([number, 1])
    z, local, heads, signal = rng.standard_normal((PICTURES, GRID, GRID, CHANNELS)), [], [], 0.0
    for l in range(LAYERS):
        mean = z.mean((1, 2)) * GRID
        head = 0.6 * mean + 0.8 * rng.standard_normal(mean.shape)
        seen = (z.reshape(PICTURES, -1, CHANNELS) @ w.mix[0, l])[:, w.cell]  # (n, N, R)
        far = (head @ w.mix[1, l])[:, None]
        both = (1 - w.scale[:, None]) * seen + w.scale[:, None] * far
        signal = signal + w.layer[:, l] * (both * w.weight).sum(2)
        local.append(z.astype(np.float32))
        heads.append(head.astype(np.float32))
        z = CORRELATION * z @ w.turns[l] + (1 - CORRELATION**2) ** 0.5 * rng.standard_normal(z.shape)
    signal = (signal - signal.mean(0)) / signal.std(0)
    noise = rng.standard_normal(signal.shape)
    answers = (CEILING**0.5 * signal + (1 - CEILING) ** 0.5 * noise).astype(np.float32)
    half = VERTICES // 2
    subject = Subject(
        answers, None, np.repeat([0, 1], half), np.tile(np.arange(half), 2), coords=w.coords, rois=w.rois, name="planted", simulated=True,
    )  # fmt: skip
    return subject, Features.from_arrays(local, heads)


def planted():
    """The slope that is planted."""
    w = world()
    return hierarchy(Selectors(np.zeros((VERTICES, 2)), w.layer, w.scale, w.weight), w.rois).slope


def one(number):
    """Slope, its interval's ends and the slopes of all refits of a data set."""
    import torch

    torch.set_num_threads(1)
    subject, features = data_set(number)

    def fitted(part, seed):
        return fit(part, features, seed=seed, steps=STEPS).selectors()

    own, (halves, seeds) = fitted(subject, number), allotted(REFITS)
    first = FIRST_SEED + 1000 * number  # of each data set its own, for their noise must not be shared
    refits = Refits(
        np.stack([fitted(half_of_pictures(subject, k + 1), first + k).layer_mean for k in range(halves)]),
        np.stack([fitted(subject, first + halves + k).layer_mean for k in range(seeds)]),
    )
    found = hierarchy(own, subject.rois, refits=refits)

    def alone(means):
        return [hierarchy(_Means(m), subject.rois).slope for m in means]

    return [found.slope, *found.intervals["slope"], alone(refits.halves), alone(refits.seeds)]


class _Means:
    """Selectors of which the mean layer alone is known."""

    def __init__(self, means):
        self.layer_mean, self.layer = means, np.zeros((len(means), LAYERS))


def kept(count, processes):
    """``one`` of so many data sets; those of before are kept."""
    size = (LAYERS, CHANNELS, GRID, RANK, VERTICES, PICTURES, STEPS, CEILING, CORRELATION, REFITS)
    folder = cache_dir("nulls_slope") / "-".join(map(str, size))
    folder.mkdir(parents=True, exist_ok=True)
    missing = [k for k in range(count) if not (folder / f"{k}.json").exists()]
    with ProcessPoolExecutor(processes) as pool:
        for k, result in zip(missing, pool.map(one, missing), strict=True):
            (folder / f"{k}.json").write_text(json.dumps(result))
    return [json.loads((folder / f"{k}.json").read_text()) for k in range(count)]


def rows(full=False, processes=1, count=None):
    """The row of the table of ``benchmarks.statistics``."""
    count = count or (200 if full else 8)
    return [row(kept(count, processes))]


def row(results):
    """How often the interval holds the mean slope over data sets; its width; how far that mean is from the planted slope."""
    slope, low, high = (np.array([r[k] for r in results]) for k in range(3))
    mean = slope.mean()
    hits = int(((low <= mean) & (mean <= high)).sum())
    ends = binomtest(hits, len(slope)).proportion_ci(0.95, "exact")
    return {
        "interval": "hierarchy slope over pictures and seeds, 20 refits",
        "data sets": len(slope),
        "coverage": hits / len(slope),
        "95 % of that": (ends.low, ends.high),
        "mean slope": float(mean),
        "sd over data sets": float(slope.std(ddof=1)),
        "mean half width": float((high - low).mean() / 2),
        "planted": planted(),
        "bias": float(mean - planted()),
    }


if __name__ == "__main__":
    for line in rows("--full" in sys.argv, processes=2):
        print(json.dumps(line, indent=1))
