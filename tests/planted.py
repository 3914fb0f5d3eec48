"""Planted truth: features of a random network and responses made from known selectors (simulated, for tests alone)."""

from dataclasses import dataclass

import numpy as np

from factortopy.encoder.selectors import Selectors
from factortopy.features import Features


@dataclass
class Planted:
    features: Features
    responses: np.ndarray
    coords: np.ndarray
    hemi: np.ndarray
    truth: Selectors
    ceiling: float
    designs: object  # vertices -> (n, T, D0) true design


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


def plant(n_images=400, n_layers=5, channels=48, n_vertices=600, grid=8, ceiling=0.6, rank=8, seed=0):
    """A random network's features and responses of smooth selectors on two half spheres."""
    rng = np.random.default_rng(seed)
    local, global_ = [], []
    z = rng.standard_normal((n_images, grid, grid, channels)).astype(np.float32)
    for _ in range(n_layers):  # neighbouring layers are correlated
        z /= z.std()
        local.append(z.copy())
        mean = z.mean((1, 2))
        global_.append(0.6 * mean / mean.std() + 0.8 * rng.standard_normal(mean.shape).astype(np.float32))
        turn = np.linalg.qr(rng.standard_normal((channels, channels)))[0].astype(np.float32)
        z = 0.7 * z @ turn + 0.71 * rng.standard_normal(z.shape).astype(np.float32)
    half = n_vertices // 2
    k = np.arange(half) + 0.5
    height, turn = 1 - k / half, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], 1)
    coords = np.concatenate([points - [1.1, 0, 0], points * [-1, 1, 1] + [1.1, 0, 0]]).astype(np.float32)
    hemi = np.repeat([0, 1], half)
    a = (np.concatenate([points, points])[:, 1] + 1) / 2
    b = (np.concatenate([points, points])[:, 0] + 1) / 2
    centre = (a * 1.1 - 0.05) * n_layers - 0.5
    layer = np.exp(-((np.arange(n_layers) - centre[:, None]) ** 2) / 0.8)
    layer /= layer.sum(1, keepdims=True)
    ecc, angle = 0.15 + 1.3 * np.abs(a - 0.5), np.pi * (b - 0.5)
    side = np.where(hemi == 0, 1, -1)
    space = np.clip(np.stack([side * ecc * np.cos(angle), ecc * np.sin(angle)], 1), -0.9, 0.9)
    scale = 1 / (1 + np.exp(-6 * (a - 0.6)))
    weight = np.stack([np.cos(3 * a * j + 2 * b * j + j) for j in range(1, rank + 1)], 1)
    weight = (weight + 0.5 * rng.standard_normal(weight.shape)).astype(np.float32)
    maps = [
        [rng.standard_normal((channels, rank)).astype(np.float32) / channels**0.5 for _ in range(n_layers)]
        for _ in range(2)
    ]

    def designs(v):
        """(len(v), n_images, rank): what ridge with the true selectors sees."""
        where = tap_weights(space[v], grid)
        out = np.zeros((len(v), n_images, rank), dtype=np.float32)
        for l in range(n_layers):
            tokens = (local[l] @ maps[0][l]).reshape(n_images, grid * grid, rank)
            heads = global_[l] @ maps[1][l]
            seen = np.einsum("vk,nkd->vnd", where, tokens, optimize=True)
            g = scale[v, None, None]
            out += layer[v, l, None, None] * ((1 - g) * seen + g * heads)
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
    responses = (signal * ceiling**0.5 + noise * (1 - ceiling) ** 0.5).astype(np.float32)
    truth = Selectors(space.astype(np.float32), layer.astype(np.float32), scale.astype(np.float32), weight)
    return Planted(Features.from_arrays(local, global_), responses, coords, hemi, truth, ceiling, designs)
