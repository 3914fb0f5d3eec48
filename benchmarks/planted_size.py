"""Planted problems of a stated size on disk (synthetic): features of a random network, responses of known selectors.

Like tests/helpers/planted.py, and of the sizes of real ones: tokens are made picture by picture and written to .npy files in
float16, so that 3.5 GB of them never are in memory, and opened as memory maps, as extracted features are.

Channels. Real networks spread their variance over few directions. Here the k-th principal component of a layer has variance
∝ k^-decay (decay 1 for 768 channels: 535 components hold 95 % of the variance; 0 for the small size, all alike),
turned by a random orthogonal matrix of the layer's own. Component for component, neighbouring layers correlate by 0.7. Each
channel has a mean and a scale of its own, which standardising takes away.
The planted channel weights are 12 isotropic random combinations of the standardised channels for each layer and scale:
they read the components in proportion to their variance, as PCA assumes that the brain does. What PCA leaves out is
lost to the responses in that proportion, too: 95 % kept means at most about 95 % of the ceiling.

Selectors are smooth over two half spheres, every layer is used, noise is at a stated ceiling.
"""

import json
import mmap
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from factortopy.encoder.selectors import Selectors
from factortopy.features.extraction import Features
from factortopy.storage.home import home
from factortopy.subjects.subject import Subject

FORMAT = 2  # of the files
RANK = 12
FACTORS = ("space", "layer", "scale", "channel")
KEPT = 0.7  # correlation of neighbouring layers


@dataclass(frozen=True)
class Size:
    """n pictures, layers of so many channels on grid × grid tokens, vertices (even)."""

    images: int
    layers: int
    channels: int
    vertices: int
    decay: float = 0.0
    grid: int = 8
    ceiling: float = 0.6

    def __str__(self):
        return (
            f"{self.images:,} images, {self.layers} layers of {self.channels} channels on {self.grid} × {self.grid} tokens, "
            f"{self.vertices:,} vertices, ceiling {self.ceiling} (synthetic)"
        )


SMALL = Size(600, 6, 96, 2400)
FULL = Size(3000, 12, 768, 37984, decay=1.0)


@dataclass
class PlantedSize:
    """An opened problem; ``features`` and ``subject.responses`` are memory maps."""

    size: Size
    subject: Subject
    features: Features
    truth: Selectors
    projected: np.ndarray  # (n, L, K, 12), what the planted weights combine the local tokens to
    heads: np.ndarray  # (n, L, 12), the same of the global tokens
    folder: Path

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
        response, scores = np.asarray(self.subject.responses[:, vertices]), []
        for x, y in zip(self.designs(vertices), response.T, strict=True):
            mean_x, mean_y = x[train].mean(0), y[train].mean()
            a = x[train] - mean_x
            gram = a.T @ a
            w = np.linalg.solve(gram + penalty * np.trace(gram) / RANK * np.eye(RANK), a.T @ (y[train] - mean_y))
            residual = y[test] - mean_y - (x[test] - mean_x) @ w
            scores.append(1 - (residual**2).sum() / ((y[test] - y[test].mean()) ** 2).sum())
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


def planted_size(size, seed=0, folder=None):
    """The problem of a size and seed: made once (about a minute for the full one), then read from disk.

    Parameters
    ----------
    size : Size
    seed : int
    folder : path, optional
        Where problems are kept; by default ``bench`` in the home folder.
    """
    parent = Path(folder) if folder else home() / "bench"
    known = asdict(size) | {"seed": seed, "format": FORMAT}
    named = f"{size.images}x{size.layers}x{size.channels}x{size.vertices}-grid{size.grid}-decay{size.decay:g}"
    path = parent / f"{named}-ceiling{size.ceiling:g}-seed{seed}"
    if not (path / "size.json").exists() or json.loads((path / "size.json").read_text()) != known:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        _make(size, seed, path)
        (path / "size.json").write_text(json.dumps(known))
    return _read(size, path)


def _read(size, path):
    local, global_ = ([np.load(f, mmap_mode="r") for f in _files(path, kind, size)] for kind in ("local", "global"))
    truth = dict(np.load(path / "truth.npz"))
    half = size.vertices // 2
    subject = Subject(
        np.load(path / "responses.npy", mmap_mode="r"), None, np.repeat([0, 1], half), np.tile(np.arange(half), 2),
        coords=truth["coords"], name="planted", simulated=True, density="41k" if half > 10242 else "10k",
        noise_ceiling=np.full(size.vertices, size.ceiling),
    )  # fmt: skip
    selectors = Selectors(*(truth[name] for name in FACTORS))
    projected, heads = (np.load(path / f"{name}.npy", mmap_mode="r") for name in ("projected", "heads"))
    return PlantedSize(size, subject, Features.from_arrays(local, global_), selectors, projected, heads, path)


def _files(path, kind, size):
    return [path / f"{kind}-{l:02d}.npy" for l in range(size.layers)]


def _make(size, seed, path):
    coords, truth = planted_selectors(size, seed)
    np.savez(path / "truth.npz", coords=coords, **{name: getattr(truth, name) for name in FACTORS})
    n, n_layers, c, k = size.images, size.layers, size.channels, size.grid**2
    local = [
        np.lib.format.open_memmap(f, "w+", np.float16, (n, size.grid, size.grid, c))
        for f in _files(path, "local", size)
    ]
    global_ = [np.lib.format.open_memmap(f, "w+", np.float16, (n, c)) for f in _files(path, "global", size)]
    projected = np.lib.format.open_memmap(path / "projected.npy", "w+", np.float32, (n, n_layers, k, RANK))
    heads = np.lib.format.open_memmap(path / "heads.npy", "w+", np.float32, (n, n_layers, RANK))
    responses = np.lib.format.open_memmap(path / "responses.npy", "w+", np.float32, (n, size.vertices))
    network = _network(size, seed)
    weights = torch.from_numpy(mixture(truth.space, truth.layer, truth.scale, size.grid))
    far = torch.from_numpy(truth.layer * truth.scale[:, None])
    channel = torch.from_numpy(truth.channel)
    generator = torch.Generator().manual_seed(seed + 1)
    chunk = 32
    for i in range(0, n, chunk):
        pictures = slice(i, min(i + chunk, n))
        t = pictures.stop - i
        for l, (tokens, token, rows, head) in enumerate(_tokens(network, t, k, generator)):
            local[l][pictures] = tokens.half().view(t, size.grid, size.grid, c).numpy()
            global_[l][pictures] = token.half().numpy()
            projected[pictures, l], heads[pictures, l] = rows.numpy(), head.numpy()
        rows = torch.from_numpy(np.ascontiguousarray(np.moveaxis(projected[pictures], 0, 2))).view(n_layers * k, -1)
        head = torch.from_numpy(np.ascontiguousarray(np.moveaxis(heads[pictures], 0, 1))).view(n_layers, -1)
        for j in range(0, size.vertices, 2048):
            v = slice(j, j + 2048)
            seen = torch.addmm(weights[v] @ rows, far[v], head).view(-1, t, RANK)
            responses[pictures, v] = (seen @ channel[v, :, None])[..., 0].T.numpy()
        if i % (8 * chunk) == 0:
            for array in (*local, projected, responses):
                array._mmap.madvise(mmap.MADV_DONTNEED)  # written pages stay in the system's cache, not in our memory
    _add_noise(responses, size.ceiling, generator)
    for array in (*local, *global_, projected, heads, responses):
        array.flush()


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


def _network(size, seed):
    """Per layer: components' standard deviations, matrices and offsets that make raw local and global tokens of
    components, and matrices that make the 12 planted combinations of them."""
    generator = torch.Generator().manual_seed(seed)
    c = size.channels

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    deviation = torch.arange(1, c + 1).float() ** (-size.decay / 2)
    deviation *= (c / (deviation**2).sum()).sqrt()
    layers = []
    for _ in range(size.layers):
        turn = torch.linalg.qr(normal(c, c))[0]
        turn /= ((deviation[:, None] * turn) ** 2).sum(0).sqrt()  # each channel has variance 1 now
        sides = []
        for _ in ("local", "global"):
            scale = (0.5 * normal(c)).exp()
            sides.append((turn * scale, scale * normal(c), turn @ normal(c, RANK) / c**0.5))
        layers.append(sides)
    return deviation, layers


def _tokens(network, t, k, generator):
    """Per layer: raw local (t, k, C) and global (t, C) tokens of t new pictures, combined (t, k, 12) and (t, 12)."""
    deviation, layers = network
    c = len(deviation)
    z = None
    for (matrix, offset, planted), (matrix_g, offset_g, planted_g) in layers:
        fresh = torch.randn(t * k, c, generator=generator).mul_(deviation)
        z = fresh if z is None else z.mul_(KEPT).add_(fresh, alpha=(1 - KEPT**2) ** 0.5)
        # The mean over positions has 1/k of the variance; global tokens share 36 % of theirs with it.
        head = 0.6 * k**0.5 * z.view(t, k, c).mean(1) + 0.8 * torch.randn(t, c, generator=generator) * deviation
        yield (
            torch.addmm(offset, z, matrix).view(t, k, c), torch.addmm(offset_g, head, matrix_g),
            (z @ planted).view(t, k, RANK), head @ planted_g,
        )  # fmt: skip


def _add_noise(responses, ceiling, generator):
    """Standardise the signal of each vertex and mix it with noise, so that ``ceiling`` of the variance is signal."""
    mean = responses.mean(0, dtype=np.float64)
    deviation = np.zeros(len(mean))
    for row in responses:
        deviation += (row - mean) ** 2
    mean, deviation = (a.astype(np.float32) for a in (mean, np.sqrt(deviation / len(responses))))
    for i in range(0, len(responses), 128):
        block = (responses[i : i + 128] - mean) / deviation * ceiling**0.5
        noise = torch.randn(block.shape, generator=generator).numpy()
        responses[i : i + 128] = block + (1 - ceiling) ** 0.5 * noise
