"""Planted truth: features of a random network and responses made from known selectors (simulated, for tests alone).

Smooth selectors over two half spheres, every layer used, channel weights of their own for each vertex. Neighbouring
layers are correlated; noise is at a stated ceiling, the share of a response's variance that is signal.
"""

from dataclasses import dataclass

import numpy as np

from factortopy.encoder.selectors import Selectors
from factortopy.features.extraction import Features
from factortopy.subjects.subject import Subject

PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass
class Planted:
    features: Features
    responses: np.ndarray
    coords: np.ndarray
    hemi: np.ndarray
    truth: Selectors
    ceiling: float | np.ndarray  # one for all vertices, or (N,)
    designs: object  # vertices -> (n, T, D0) true design

    def subject(self, responses=None, coords=None, rows=None):
        """The planted subject; with other responses or positions, or only the trials ``rows``, where given."""
        responses = self.responses if responses is None else responses
        responses = responses if rows is None else responses[rows]
        half = len(self.hemi) // 2
        return Subject(
            responses, None, self.hemi, np.tile(np.arange(half), 2), coords=self.coords if coords is None else coords,
            name="planted", simulated=True, noise_ceiling=np.broadcast_to(self.ceiling, len(self.hemi)).copy(),
        )  # fmt: skip

    def reachable(self, split, vertices):
        """(n,) test R² of ridge with the true selectors and alignments, its penalty chosen on validation trials."""
        train, val, test = (np.asarray(part) for part in (split.train, split.val, split.test))
        both, out = np.concatenate([train, val]), []
        for i in range(0, len(vertices), 100):
            block = vertices[i : i + 100]
            for x, y in zip(self.designs(block), self.responses[:, block].T, strict=True):
                errors = [((y[val] - solved(x, y, train, p, val)) ** 2).sum() for p in PENALTIES]
                p = solved(x, y, both, PENALTIES[int(np.argmin(errors))], test)
                out.append(1 - ((y[test] - p) ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum())
        return np.array(out)

    def agreement(self, found, vertices=None, grid=8):
        """How near ``Selectors`` are to the truth over some vertices (all of them when None).

        layer : share whose argmax is right; space : median distance in grid cells where the planted scale is below 0.6;
        scale : correlation
        """
        k = np.arange(len(self.hemi)) if vertices is None else vertices
        truth, local = self.truth, k[self.truth.scale[k] < 0.6]
        return {
            "layer": float((found.layer_argmax[k] == truth.layer_argmax[k]).mean()),
            "space": float(np.median(np.linalg.norm(found.space[local] - truth.space[local], axis=1)) * grid / 2),
            "scale": float(np.corrcoef(found.scale[k], truth.scale[k])[0, 1]),
        }


def solved(x, y, fitted, penalty, asked):
    """Predictions for trials ``asked`` of ridge regression on trials ``fitted``; x (T, D), y (T,)."""
    a, mean = x[fitted] - x[fitted].mean(0), y[fitted].mean()
    gram = a.T @ a
    w = np.linalg.solve(gram + penalty * np.trace(gram) / len(gram) * np.eye(len(gram)), a.T @ (y[fitted] - mean))
    return (x[asked] - x[fitted].mean(0)) @ w + mean


def tap_weights(space, grid):
    """(N, grid²) bilinear weights, written apart from the encoder's on purpose."""
    out = np.zeros((len(space), grid, grid), dtype=np.float32)
    at = (space + 1) * grid / 2 - 0.5
    low = np.floor(at).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            w = (1 - np.abs(at[:, 0] - x)) * (1 - np.abs(at[:, 1] - y))
            ok = (x >= 0) & (x < grid) & (y >= 0) & (y < grid)
            out[np.flatnonzero(ok), y[ok], x[ok]] += w[ok]
    return out.reshape(len(space), -1)


def random_network(rng, n_images, n_layers, channels, grid, correlation):
    """Tokens of a random network: lists over layers of (n, grid, grid, C) and (n, C). Each layer is the one before,
    turned, and news; ``correlation`` says how much of it is not news."""
    local, global_ = [], []
    z = rng.standard_normal((n_images, grid, grid, channels)).astype(np.float32)
    for _ in range(n_layers):
        z /= z.std()
        local.append(z.copy())
        mean = z.mean((1, 2))
        global_.append(0.6 * mean / mean.std() + 0.8 * rng.standard_normal(mean.shape).astype(np.float32))
        turn = np.linalg.qr(rng.standard_normal((channels, channels)))[0].astype(np.float32)
        news = (1 - correlation**2) ** 0.5
        z = correlation * z @ turn + news * rng.standard_normal(z.shape).astype(np.float32)
    return local, global_


def half_spheres(n_vertices):
    """(N, 3) coordinates of two half spheres, apart, and (N,) their sides: 0 left, 1 right."""
    half = n_vertices // 2
    k = np.arange(half) + 0.5
    height, turn = 1 - k / half, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], 1)
    coords = np.concatenate([points - [1.1, 0, 0], points * [-1, 1, 1] + [1.1, 0, 0]]).astype(np.float32)
    return coords, np.repeat([0, 1], half)


def smooth_layers(a, n_layers, peaked):
    """(N, L) layer weights along ``a`` (N,) from 0 to 1: layers blend, or ``peaked``: regions of one layer each, with
    smooth transitions between."""
    if peaked:
        at = np.clip(a * n_layers - 0.5, 0, n_layers - 1)
        off = at - np.round(at)
        centre = np.round(at) + 0.5 * np.sign(off) * np.abs(2 * off) ** 4
        layer = np.exp(-((np.arange(n_layers) - centre[:, None]) ** 2) / 0.25)
    else:
        centre = (a * 1.1 - 0.05) * n_layers - 0.5
        layer = np.exp(-((np.arange(n_layers) - centre[:, None]) ** 2) / 0.8)
    return layer / layer.sum(1, keepdims=True)


def plant(
    n_images=400, n_layers=5, channels=48, n_vertices=600, grid=8, ceiling=0.6, rank=8, seed=0, peaked=False,
    correlation=0.7, tokens=None,
):  # fmt: skip
    """A random network's features and responses of smooth selectors on two half spheres.

    ceiling : one for all vertices, or (low, high): it varies smoothly over the cortex between the two
    peaked : regions of one layer each, instead of layers that blend
    tokens : (local, global_) of another network, instead of random ones; channels are standardised before they are mixed
    """
    rng = np.random.default_rng(seed)
    local, global_ = tokens or random_network(rng, n_images, n_layers, channels, grid, correlation)
    n_images, n_layers = len(local[0]), len(local)
    coords, hemi = half_spheres(n_vertices)
    points = np.concatenate([coords[hemi == 0] + [1.1, 0, 0]] * 2)  # the right half mirrors the left
    a, b = (points[:, 1] + 1) / 2, (points[:, 0] + 1) / 2
    if not np.isscalar(ceiling):
        low, high = ceiling
        ceiling = (low + (high - low) * (0.5 + 0.5 * np.sin(7 * b + 5 * a + np.pi * hemi))).astype(np.float32)
    layer = smooth_layers(a, n_layers, peaked)
    ecc, angle = 0.15 + 1.3 * np.abs(a - 0.5), np.pi * (b - 0.5)
    side = np.where(hemi == 0, 1, -1)
    space = np.clip(np.stack([side * ecc * np.cos(angle), ecc * np.sin(angle)], 1), -0.9, 0.9)
    scale = 1 / (1 + np.exp(-6 * (a - 0.6)))
    weight = np.stack([np.cos(3 * a * j + 2 * b * j + j) for j in range(1, rank + 1)], 1)
    weight = (weight + 0.5 * rng.standard_normal(weight.shape)).astype(np.float32)
    mixed = [[mix(layer_tokens, rank, rng) for layer_tokens in kind] for kind in (local, global_)]

    def designs(v):
        """(len(v), n_images, rank): what ridge with the true selectors sees."""
        where = tap_weights(space[v], grid)
        out = np.zeros((len(v), n_images, rank), dtype=np.float32)
        for l in range(n_layers):
            rows = mixed[0][l].reshape(n_images, grid * grid, rank).transpose(1, 0, 2).reshape(grid * grid, -1)
            seen = (where @ rows).reshape(len(v), n_images, rank)
            g = scale[v, None, None].astype(np.float32)
            out += layer[v, l, None, None].astype(np.float32) * ((1 - g) * seen + g * mixed[1][l])
        return out

    signal = np.concatenate(
        [
            np.einsum("vnd,vd->nv", designs(np.arange(i, min(i + 100, len(a)))), weight[i : i + 100])
            for i in range(0, len(a), 100)
        ],
        1,
    )
    signal = (signal - signal.mean(0)) / signal.std(0)
    noise = rng.standard_normal(signal.shape)
    share = np.asarray(ceiling, dtype=np.float32)
    responses = (signal * share**0.5 + noise * (1 - share) ** 0.5).astype(np.float32)
    truth = Selectors(space.astype(np.float32), layer.astype(np.float32), scale.astype(np.float32), weight)
    return Planted(Features.from_arrays(local, global_), responses, coords, hemi, truth, ceiling, designs)


def mix(tokens, rank, rng):
    """(…, rank) random combinations, of variance about 1, of standardised tokens (…, C)."""
    flat = np.asarray(tokens, dtype=np.float32).reshape(-1, tokens.shape[-1])
    std = np.maximum(flat.std(0), 1e-6)
    out = ((flat - flat.mean(0)) / std) @ rng.standard_normal((flat.shape[1], rank)).astype(np.float32)
    return (out / out.std(0)).reshape(*tokens.shape[:-1], rank)
