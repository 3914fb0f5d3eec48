"""Coverage of the hierarchy slope's interval, over independent data sets with the refits that users get (simulated).

    python -m benchmarks.statistics slope           # 200 data sets of 21 fits in each of two worlds; goes on where it was stopped
    python -m benchmarks.statistics slope --quick   # a few, minutes

A small network and a small cortex with a planted slope; every data set has its own pictures, noise, split and seed. The halves are
``half_of_pictures`` and every fit is ``fit`` with the fast recipe, as in ``report --refits``, with fewer steps. The interval's maths
alone, without fits, is put to the test on normal numbers (``normal_rows``).
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from functools import cache

import numpy as np
from scipy.stats import binomtest

from benchmarks.nulls_checklist import networks
from benchmarks.statistics import rejected
from factortopy.analysis.slope import (
    LEVELS,
    PICTURES_AND_SEEDS,
    Hierarchy,
    Refits,
    allotted,
    estimate,
    hierarchy,
    standard_error,
)
from factortopy.encoder.fitting import fit
from factortopy.encoder.selectors import Selectors
from factortopy.features.extraction import Features
from factortopy.report import rules
from factortopy.report.checklist import HOLDS, checklist
from factortopy.report.claims import CLAIMS
from factortopy.report.evidence import Evidence
from factortopy.storage.home import cache_dir
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import half_of_pictures

FIRST_SEED = 10_000


@dataclass(frozen=True)
class Setting:
    """Sizes of a world: of its network and cortex, of each data set (``ceiling``: share of the signal in a response), of a fit."""

    layers: int = 3
    channels: int = 6
    grid: int = 2
    rank: int = 3
    vertices: int = 60
    pictures: int = 150
    steps: int = 10
    ceiling: float = 0.7
    correlation: float = 0.5  # of a layer with the one before
    refits: int = 20
    data_sets: int = 200


WORLDS = {
    "short fits, clear responses": Setting(),
    "longer fits, noisy responses": Setting(
        data_sets=100, layers=4, vertices=80, pictures=120, steps=40, ceiling=0.3, correlation=0.6
    ),
}


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
def world(size):
    """The planted one of a ``Setting``."""
    rng = np.random.default_rng(0)
    turns = np.stack([np.linalg.qr(rng.standard_normal((size.channels, size.channels)))[0] for _ in range(size.layers)])
    mix = rng.standard_normal((2, size.layers, size.channels, size.rank)) / size.channels**0.5
    along = (np.arange(size.vertices) + 0.5) / size.vertices  # the cortex is a ribbon, its areas follow each other
    across = np.sin(7 * np.arange(size.vertices))
    centre = (0.1 + 0.7 * along) * (size.layers - 1)
    layer = np.exp(-((np.arange(size.layers) - centre[:, None]) ** 2) / 0.5)
    layer /= layer.sum(1, keepdims=True)
    cell = (across > 0) + size.grid * (along * 4 % 2 > 1)
    scale = 1 / (1 + np.exp(-6 * (along - 0.6)))
    weight = np.stack([np.cos(3 * along * j + j) for j in range(1, size.rank + 1)], 1) + 0.3 * rng.standard_normal(
        (size.vertices, size.rank)
    )
    coords = np.stack([100 * along, 10 * across + 50, np.full(size.vertices, 50.0)], 1).astype(np.float32)
    area = np.minimum((along * len(LEVELS)).astype(int), len(LEVELS) - 1)
    return World(turns, mix, cell, layer, scale, weight, coords, {name: area == k for k, name in enumerate(LEVELS)})


def data_set(size, number):
    """(Subject, Features) of new pictures."""
    w, rng = world(size), np.random.default_rng([number, 1])
    z, local, heads, signal = rng.standard_normal((size.pictures, size.grid, size.grid, size.channels)), [], [], 0.0
    for l in range(size.layers):
        mean = z.mean((1, 2)) * size.grid
        head = 0.6 * mean + 0.8 * rng.standard_normal(mean.shape)
        seen = (z.reshape(size.pictures, -1, size.channels) @ w.mix[0, l])[:, w.cell]  # (n, N, R)
        far = (head @ w.mix[1, l])[:, None]
        both = (1 - w.scale[:, None]) * seen + w.scale[:, None] * far
        signal = signal + w.layer[:, l] * (both * w.weight).sum(2)
        local.append(z.astype(np.float32))
        heads.append(head.astype(np.float32))
        z = size.correlation * z @ w.turns[l] + (1 - size.correlation**2) ** 0.5 * rng.standard_normal(z.shape)
    signal = (signal - signal.mean(0)) / signal.std(0)
    noise = rng.standard_normal(signal.shape)
    answers = (size.ceiling**0.5 * signal + (1 - size.ceiling) ** 0.5 * noise).astype(np.float32)
    half = size.vertices // 2
    subject = Subject(
        answers, None, np.repeat([0, 1], half), np.tile(np.arange(half), 2), coords=w.coords, rois=w.rois, name="planted", simulated=True,
    )  # fmt: skip
    return subject, Features.from_arrays(local, heads)


def planted(size):
    """The slope that is planted."""
    w = world(size)
    return hierarchy(Selectors(np.zeros((size.vertices, 2)), w.layer, w.scale, w.weight), w.rois).slope


def one(size, number):
    """Slope, its interval's ends and the slopes of all refits of a data set."""
    import torch

    torch.set_num_threads(1)
    subject, features = data_set(size, number)

    def fitted(part, seed):
        return fit(part, features, seed=seed, steps=size.steps).selectors()

    own, (halves, seeds) = fitted(subject, number), allotted(size.refits)
    first = FIRST_SEED + 1000 * number  # of each data set its own, for their noise must not be shared
    refits = Refits(
        np.stack([fitted(half_of_pictures(subject, k + 1), first + k).layer_mean for k in range(halves)]),
        np.stack([fitted(subject, first + halves + k).layer_mean for k in range(seeds)]),
    )
    found = hierarchy(own, subject.rois, refits=refits)

    def alone(means):
        return [hierarchy(_Means(m, size.layers), subject.rois).slope for m in means]

    return [found.slope, *found.intervals["slope"], alone(refits.halves), alone(refits.seeds)]


class _Means:
    """Selectors of which the mean layer alone is known."""

    def __init__(self, means, layers):
        self.layer_mean, self.layer = means, np.zeros((len(means), layers))


def kept(size, count, processes):
    """``one`` of so many data sets; those of before are kept."""
    folder = cache_dir("nulls_slope") / "-".join(map(str, astuple(size)[:-1]))
    folder.mkdir(parents=True, exist_ok=True)
    missing = [k for k in range(count) if not (folder / f"{k}.json").exists()]
    with ProcessPoolExecutor(processes) as pool:
        for k, result in zip(missing, pool.map(one, [size] * len(missing), missing), strict=True):
            (folder / f"{k}.json").write_text(json.dumps(result))
    return [json.loads((folder / f"{k}.json").read_text()) for k in range(count)]


def rows(full=True):
    """Rows of the table of ``benchmarks.statistics``; FACTORTOPY_PROCESSES: how many fit at a time, 1 without."""
    processes = int(os.environ.get("FACTORTOPY_PROCESSES", 1))
    results = {name: kept(size, size.data_sets if full else 4, processes) for name, size in WORLDS.items()}
    fitted = [row(name, WORLDS[name], of) for name, of in results.items()]
    return [*fitted, *claim_rows(results), *normal_rows(100_000 if full else 2000)]


def row(name, size, results):
    """How often the interval holds the mean slope over data sets; its width; how far that mean is from the planted slope."""
    slope, halves, seeds = (np.array([r[k] for r in results]) for k in (0, 3, 4))
    low, high = np.array([estimate(*one).interval() for one in zip(slope, halves, seeds, strict=True)]).T
    mean, error = slope.mean(), standard_error(halves, seeds)
    hits = int(((low <= mean) & (mean <= high)).sum())
    ends = binomtest(hits, len(slope)).proportion_ci(0.95, "exact")
    return {
        "interval": f"hierarchy slope over pictures and seeds, {size.refits} refits: {name}",
        "data sets": len(slope),
        "coverage": hits / len(slope),
        "95 % of that": (ends.low, ends.high),
        "mean slope": float(mean),
        "sd over data sets": float(slope.std(ddof=1)),
        "mean standard error": float(np.mean(error)),
        "seeds' share of the variance": float(np.var(seeds, axis=1, ddof=1).mean() / slope.var(ddof=1)),
        "mean half width": float((high - low).mean() / 2),
        "planted": planted(size),
        "bias": float(mean - planted(size)),
    }


def claim_rows(results):
    """Claims of the checklist that rest on refits, on the networks' slopes as they came out, each moved to where the claim is just false.

    results : {world: those of ``kept``}; two data sets that follow each other are two networks
    """
    limit, wrong, tried = rules.SLOPE, {}, {}
    for of in results.values():
        own = [estimate(r[0], r[3], r[4]) for r in of]
        mean = np.mean([one.value for one in own])

        def found(one, to, mean=mean):
            moved = replace(one, value=one.value - mean + to)
            return Hierarchy(0.0, moved.value, {"slope": moved}, PICTURES_AND_SEEDS, 21)

        alone = [{"clip-xl": found(one, limit)} for one in own]
        pairs = list(zip(own[::2], own[1::2], strict=False))
        for rule, made in {
            rules.hierarchy_aligns: alone,
            rules.clip_gains: [{"clip-xl": found(a, 2 * limit), "clip-s": found(b, limit)} for a, b in pairs],
            rules.clip_aligns_best: [{"clip-xl": found(a, 2 * limit), "mae-b": found(b, limit)} for a, b in pairs],
            rules.others_shrink: [{"sam-h": found(a, 0), "sam-b": found(b, limit)} for a, b in pairs],
            rules.objective_matters: [{"clip-xl": found(a, limit), "mae-b": found(b, limit)} for a, b in pairs],
        }.items():
            (claim,) = (c for c in CLAIMS if c.judge is rule)
            verdicts = [checklist(Evidence(networks(of), slopes=of), (claim,))[0].verdict for of in made]
            wrong[claim.claim] = wrong.get(claim.claim, 0) + verdicts.count(HOLDS)
            tried[claim.claim] = tried.get(claim.claim, 0) + len(made)
    null = "slopes of networks with real refits, the claim just false"
    return [rejected(f"checklist: {claim}", null, n, tried[claim]) for claim, n in wrong.items()]


def normal_rows(count):
    """Rows of the same estimator on normal numbers: ``pictures``, share of the variance of a fit that is due to them; ``half``, the
    variance over seeds of a fit of half of the pictures over that of a fit of all."""
    return [normal_row(count, pictures, half) for pictures in (0.0, 0.2, 0.5, 0.8) for half in (1.0, 1.5, 2.0, 3.0)]


def normal_row(count, pictures, half, refits=20):
    """Coverage of a number whose fits are normal, the mean variance in the true one, and coverage without the cut at 0."""
    rng, (k, r), seed = np.random.default_rng(0), allotted(refits), 1 - pictures
    own = rng.normal(0, pictures**0.5, count) + rng.normal(0, seed**0.5, count)
    moved = rng.normal(0, pictures**0.5, (count, k // 2, 1)) * [1, -1]
    halves = moved.reshape(count, k) + rng.normal(0, (half * seed) ** 0.5, (count, k))
    seeds = rng.normal(0, seed**0.5, (count, r))
    error, quantile = standard_error(halves, seeds), estimate(0.0, halves[0], seeds[0]).quantile()
    a, b = halves.reshape(count, -1, 2).transpose(2, 0, 1)
    uncut = np.var(seeds, axis=1, ddof=1) + np.square(a - b).mean(1) / 4 - np.var((a + b) / 2, axis=1, ddof=1)
    return {
        "interval": "the same estimator on normal numbers",
        "data sets": count,
        "pictures' share of the variance": pictures,
        "seeds' variance of a half": half,
        "coverage": float((np.abs(own) <= quantile * error).mean()),
        "mean variance / true": float(np.square(error).mean()),
        "coverage without the cut at 0": float((np.abs(own) <= quantile * np.sqrt(np.maximum(uncut, 0))).mean()),
    }
