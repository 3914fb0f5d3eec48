"""Smooth made-up selectors on the visual cortex, for tests and pictures of the view."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from factortopy import surfaces
from factortopy.encoder.selectors import Selectors


@cache
def synthetic_brain(n_layers=12, seed=0):
    """Selectors, score, clusters, response and regions that look like a fitted demo encoder.

    Returns
    -------
    namespace with hemi, vertex (N,), rois {name: (N,) bool}, selectors, score (N,), painted (N,) bool, clusters (N,),
    response (N,)
    """
    cortex = surfaces.visual_cortex()
    mesh = surfaces.load_mesh()
    rng = np.random.default_rng(seed)
    level = {"": 0.5, "V1": 0.08, "V2": 0.2, "V3": 0.3, "hV4": 0.42, "LO": 0.6, "OPA": 0.55, "OFA": 0.65}
    depth = np.array([level.get(name, 0.85) for name in cortex.roi])
    where = surfaces.apart(mesh.coords["inflated"], mesh.n)[cortex.vertices.rows]
    near = np.exp(-(((where[:, None] - where[None]) / 9.0) ** 2).sum(-1))
    near /= near.sum(1, keepdims=True)
    depth = near @ (depth + 0.15 * rng.standard_normal(len(depth)))
    sharp = 0.5 + near @ rng.random(len(depth)) * 3
    at = np.linspace(0, 1, n_layers)
    layer = np.exp(-(((depth[:, None] - at) / 0.25) ** 2) * sharp[:, None])
    layer /= layer.sum(1, keepdims=True)
    x, y = (np.nan_to_num(v[cortex.vertices.rows] / 4.2) for v in (cortex.retinotopy.x, cortex.retinotopy.y))
    scale = np.clip(near @ (0.2 + 0.7 * (depth > 0.5) + 0.2 * rng.standard_normal(len(depth))), 0, 1)
    score = near @ (0.42 + 0.48 * rng.standard_normal(len(depth))) + 0.1 * rng.random(len(depth))
    score = np.clip(score, -0.02, 0.7)
    channel = near @ rng.standard_normal((len(depth), 8))
    return SimpleNamespace(
        vertices=cortex.vertices, rois=cortex.rois(), score=score,
        painted=score > np.quantile(score, 0.15), clusters=np.argmax(channel, axis=1),
        response=3 * channel[:, 0] / np.abs(channel[:, 0]).max(),
        selectors=Selectors(np.clip(np.stack([x, -y], 1), -1, 1), layer, scale, channel),
    )  # fmt: skip


@cache
def planted_layers(shift=0, n_layers=12):
    """Like ``synthetic_brain``, but each area has a certain, one-hot layer: (number of the area + shift) mod L.

    Vertices between areas have layer L − 1. Score rises evenly over the vertices from 0 to 1; all are painted but
    those of V3.
    """
    cortex = surfaces.visual_cortex()
    rois = cortex.rois()
    layer = np.full(len(cortex.vertices.rows), n_layers - 1)
    for k, mask in enumerate(rois.values()):
        layer[mask] = (k + shift) % n_layers
    n = len(layer)
    x = np.linspace(-1, 1, n)
    return SimpleNamespace(
        vertices=cortex.vertices, rois=rois, score=np.linspace(0, 1, n),
        painted=~rois["V3"], layer=layer,
        selectors=Selectors(np.stack([x, -x], 1), np.eye(n_layers)[layer], np.linspace(0, 1, n), np.ones((n, 2))),
    )  # fmt: skip
