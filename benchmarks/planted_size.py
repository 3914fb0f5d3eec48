"""Planted problems of a stated size on disk (synthetic): features of a random network, responses of known selectors.

Like tests/helpers/planted.py, and of the sizes of real ones: what the features are, planted_features.py says; responses are written
chunk by chunk of pictures; all is opened as memory maps, as extracted features and NSD's responses are.

The planted channel weights are 12 isotropic random combinations of the standardised channels for each layer and scale:
they read the components in proportion to their variance, as PCA assumes that the brain does. What PCA leaves out is
lost to the responses in that proportion, too: 95 % kept means at most about 95 % of the ceiling.

Selectors are smooth over two half spheres, every layer is used, noise is at a stated ceiling (of single trials). With ``trials``
pictures are seen up to three times, unequally often and in any order, and a tenth of them, shared as it were by all subjects,
are for testing.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks import planted_features
from benchmarks.planted_features import CHUNK, FORMAT, RANK, Shape, made_features, seeded
from factortopy.encoder.selectors import Selectors
from factortopy.features.extraction import Features
from factortopy.features.files import Rows, done_before, mark, open_all
from factortopy.storage.home import home
from factortopy.subjects.split import default_split
from factortopy.subjects.subject import Subject

FACTORS = ("space", "layer", "scale", "channel")


@dataclass(frozen=True)
class Size:
    """n pictures, layers of so many channels on grid × grid tokens, vertices (even); trials: one a picture when None."""

    images: int
    layers: int
    channels: int
    vertices: int
    decay: float = 0.0
    grid: int = 8
    ceiling: float = 0.6
    trials: int | None = None

    def __str__(self):
        trials = f"{self.trials:,} trials of " if self.trials else ""
        return (
            f"{trials}{self.images:,} images, {self.layers} layers of {self.channels} channels on {self.grid} × {self.grid} tokens, "
            f"{self.vertices:,} vertices, ceiling {self.ceiling} (synthetic)"
        )

    def shape(self, seed):
        return Shape(self.images, self.layers, self.channels, self.decay, self.grid, seed)

    def answers(self, seed):
        """Name of the folder of responses."""
        trials = f"{self.trials or self.images}x{self.vertices}"
        return f"answers-{trials}-ceiling{self.ceiling:g}-of-{self.shape(seed).name()}"


SMALL = Size(600, 6, 96, 2400)
FULL = Size(3000, 12, 768, 37_984, decay=1.0)


@dataclass
class PlantedSize:
    """An opened problem; ``features`` and ``subject.responses`` are memory maps."""

    size: Size
    subject: Subject
    features: Features
    truth: Selectors
    projected: np.ndarray  # (n, L, K, 12), what the planted weights combine the local tokens to
    heads: np.ndarray  # (n, L, 12), the same of the global tokens
    folder: Path  # of responses and truth

    def designs(self, vertices):
        """(len(vertices), n, 12) true designs: what ridge with the true selectors sees."""
        space, layer, scale = (a[vertices] for a in (self.truth.space, self.truth.layer, self.truth.scale))
        n, n_layers, k, _ = self.projected.shape
        rows = np.moveaxis(self.projected, 0, 2).reshape(n_layers * k, n * RANK)
        seen = mixture(space, layer, scale, self.size.grid) @ rows
        seen += (layer * scale[:, None]) @ np.moveaxis(self.heads, 0, 1).reshape(n_layers, n * RANK)
        return seen.reshape(len(space), n, RANK)

    def reachable(self, n_vertices=256, penalty=1e-2):
        """Mean test R² of ridge regression with the true selectors and channels, over a sample of vertices."""
        vertices = np.linspace(0, self.size.vertices - 1, min(n_vertices, self.size.vertices)).astype(int)
        train, test = self.subject.split.train, self.subject.split.test
        image, scores = self.subject.image_index, []
        rows = np.concatenate([train, test])
        response = np.concatenate([self.subject.responses[part][:, vertices] for part in np.array_split(rows, 32)])
        for x, y in zip(self.designs(vertices), response.T, strict=True):
            fit, seen, left = x[image[train]], y[: len(train)], y[len(train) :]
            mean_x, mean_y = fit.mean(0), seen.mean()
            a = fit - mean_x
            gram = a.T @ a
            w = np.linalg.solve(gram + penalty * np.trace(gram) / RANK * np.eye(RANK), a.T @ (seen - mean_y))
            residual = left - mean_y - (x[image[test]] - mean_x) @ w
            scores.append(1 - (residual**2).sum() / ((left - left.mean()) ** 2).sum())
        return float(np.mean(scores))

    def agreement(self, found):
        """How near selectors are to the truth: layers right, space error in cells (scale < 0.6), scale correlation."""
        local = self.truth.scale < 0.6
        cells = np.linalg.norm(found.space - self.truth.space, axis=1)[local] * self.size.grid / 2
        return {
            "layer argmax right": float((found.layer_argmax == self.truth.layer_argmax).mean()),
            "layer argmax right or next": float((np.abs(found.layer_argmax - self.truth.layer_argmax) <= 1).mean()),
            "space error, median, grid cells": float(np.median(cells)),
            "scale correlation": float(np.corrcoef(found.scale, self.truth.scale)[0, 1]),
        }


def planted_size(size, seed=0, folder=None, report=lambda what, done, total: None):
    """The problem of a size and seed: made once (a minute for 3,000 pictures; a killed one goes on), then read from disk.

    Parameters
    ----------
    folder : path, optional
        Parent of the problems' folders; default ``bench`` in the home folder. Problems share their features: the first
        pictures of more serve as well.
    report : callable
        Gets "features" or "responses", pictures done and pictures in all.
    """
    parent = Path(folder) if folder else home() / "bench"
    features = made_features(size.shape(seed), parent, lambda *count: report("features", *count))
    answers = parent / size.answers(seed)
    _make_answers(size, seed, features, answers, lambda *count: report("responses", *count))
    return _read(size, seed, features, answers)


def _read(size, seed, features, answers):
    local, global_ = ([layer[: size.images] for layer in kind] for kind in open_all(features, size.layers))
    truth = dict(np.load(answers / "truth.npz"))
    half, image = size.vertices // 2, images_of_trials(size, seed)
    density = next((name for name, n in (("10k", 10_242), ("41k", 40_962)) if half <= n), "164k")
    split = None
    if size.trials:
        shared = np.random.default_rng([seed, 5]).permutation(size.images)[: size.images // 10]
        split = default_split(image, test=np.flatnonzero(np.isin(image, shared)))
    subject = Subject(
        np.load(answers / "responses.npy", mmap_mode="r"), None, np.repeat([0, 1], half), np.tile(np.arange(half), 2),
        coords=truth["coords"], image_index=image, split=split, name="planted", simulated=True, density=density,
        noise_ceiling=np.full(size.vertices, size.ceiling),
    )  # fmt: skip
    selectors = Selectors(*(truth[name] for name in FACTORS))
    projected, heads = _combined(features, size)
    return PlantedSize(size, subject, Features.from_arrays(local, global_), selectors, projected, heads, answers)


def _combined(features, size):
    """What the planted weights combine local and global tokens to, memory-mapped."""
    return (np.load(features / f"{name}.npy", mmap_mode="r")[: size.images] for name in ("projected", "heads"))


def images_of_trials(size, seed):
    """(T,) picture of each trial: every one once, then up to twice more, shuffled."""
    if not size.trials:
        return np.arange(size.images)
    rng = np.random.default_rng([seed, 4])
    again = rng.permutation(np.repeat(np.arange(size.images), 2))[: size.trials - size.images]
    return rng.permutation(np.concatenate([np.arange(size.images), again]))


def _make_answers(size, seed, features, folder, report):
    if (folder / "done.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    coords, truth = planted_selectors(size, seed)
    np.savez(folder / "truth.npz", coords=coords, **{name: getattr(truth, name) for name in FACTORS})
    signal = _Signal(
        size, truth, *(np.load(features / f"{name}.npy", mmap_mode="r") for name in ("projected", "heads"))
    )
    path, done = folder / "responses.npy", done_before(folder)
    image = images_of_trials(size, seed)
    if not done:
        np.savez(folder / "statistics.npz", mean_deviation=signal.statistics())
        np.lib.format.open_memmap(path, "w+", np.float32, (len(image), size.vertices)).flush()
    mean, deviation = np.load(folder / "statistics.npz")["mean_deviation"]
    trials, first = np.argsort(image, kind="stable"), np.searchsorted(np.sort(image), np.arange(size.images + 1))
    with Rows(path) as writer:
        while done < size.images:
            pictures = slice(done, min(done + CHUNK, size.images))
            clean = (signal.of(pictures) - mean) / deviation * size.ceiling**0.5
            generator = seeded(seed, 2, done // CHUNK)
            for trial in trials[first[pictures.start] : first[pictures.stop]]:
                noise = torch.randn(size.vertices, generator=generator).numpy()
                writer.put(trial, clean[image[trial] - pictures.start] + (1 - size.ceiling) ** 0.5 * noise)
            done = pictures.stop
            if done == size.images or done // CHUNK % planted_features.MARKED == 0:
                mark(folder, [writer], done)
                report(done, size.images)
    (folder / "done.json").write_text(json.dumps(asdict(size) | {"seed": seed, "format": FORMAT}))


class _Signal:
    """Responses without noise. Vertices that look into the same cell between four tokens are computed together."""

    def __init__(self, size, truth, projected, heads):
        self.size, self.projected, self.heads, self.groups = size, projected, heads, []
        grid, corner = size.grid, np.floor((truth.space + 1) * size.grid / 2 - 0.5).astype(int)
        for x, y in np.unique(corner, axis=0):
            vertices = np.flatnonzero((corner == (x, y)).all(1))
            taps = [j * grid + i for j in (y, y + 1) for i in (x, x + 1) if 0 <= i < grid and 0 <= j < grid]
            columns = (np.arange(size.layers)[:, None] * grid**2 + taps).ravel()
            selectors = (getattr(truth, name)[vertices] for name in FACTORS)
            space, layer, scale, channel = selectors
            weights = [mixture(space, layer, scale, grid)[:, columns], layer * scale[:, None]]
            self.groups.append((vertices, columns, *map(torch.from_numpy, (np.concatenate(weights, 1), channel))))

    def of(self, pictures):
        """(t, N) float32 of a slice of pictures."""
        t = pictures.stop - pictures.start
        tokens = np.array(self.projected[pictures]).reshape(t, -1, RANK)
        rows = torch.from_numpy(tokens.transpose(2, 1, 0).copy())  # (12, L·K, t)
        heads = torch.from_numpy(self.heads[pictures].transpose(2, 1, 0).copy())
        out = np.empty((t, self.size.vertices), np.float32)
        for vertices, columns, weights, channel in self.groups:
            seen = torch.cat([rows[:, columns], heads], 1)
            total = torch.zeros(len(vertices), t)
            for r in range(RANK):
                total.addcmul_(channel[:, r, None], weights @ seen[r])
            out[:, vertices] = total.T.numpy()
        return out

    def statistics(self):
        """Mean and standard deviation over all pictures, (2, N) float32."""
        n, total, square = self.size.images, 0.0, 0.0
        for i in range(0, n, CHUNK):
            block = self.of(slice(i, min(i + CHUNK, n)))
            total, square = total + block.sum(0, np.float64), square + (block**2).sum(0, np.float64)
        mean = total / n
        return np.stack([mean, np.sqrt(square / n - mean**2)]).astype(np.float32)


def planted_selectors(size, seed):
    """(N, 3) coordinates on two half spheres, apart, and smooth ``Selectors`` on them, every layer used."""
    rng = np.random.default_rng(seed)
    half = size.vertices // 2
    k = np.arange(half) + 0.5
    height, turn = 1 - k / half, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], 1)
    coords = np.concatenate([points - [1.1, 0, 0], points * [-1, 1, 1] + [1.1, 0, 0]]).astype(np.float32)
    side = np.repeat([1, -1], half)
    b, a = (np.concatenate([points, points])[:, :2].T + 1) / 2
    centre = (a * 1.1 - 0.05) * size.layers - 0.5
    layer = np.exp(-((np.arange(size.layers) - centre[:, None]) ** 2) / 0.8)
    layer /= layer.sum(1, keepdims=True)
    eccentricity, angle = 0.15 + 1.3 * np.abs(a - 0.5), np.pi * (b - 0.5)
    space = np.stack([side * eccentricity * np.cos(angle), eccentricity * np.sin(angle)], 1).clip(-0.9, 0.9)
    scale = 1 / (1 + np.exp(-6 * (a - 0.6)))
    channel = np.stack([np.cos(3 * a * j + 2 * b * j + j) for j in range(1, RANK + 1)], 1)
    channel = channel + 0.5 * rng.standard_normal(channel.shape)
    return coords, Selectors(*(x.astype(np.float32) for x in (space, layer, scale, channel)))


def mixture(space, layer, scale, grid):
    """(N, L·K) weights of all local tokens: bilinear in space (zeros outside), times layer and 1 − scale; written
    apart from the encoder's on purpose."""
    at = (space[:, :, None] + 1) * grid / 2 - 0.5
    x, y = np.maximum(0, 1 - np.abs(at - np.arange(grid))).transpose(1, 0, 2)
    place = (y[:, :, None] * x[:, None, :]).reshape(len(space), -1)
    return ((layer * (1 - scale[:, None]))[:, :, None] * place[:, None]).reshape(len(space), -1).astype(np.float32)
