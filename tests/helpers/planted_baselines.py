"""Random features and responses made from each baseline's own structure (simulated, for tests alone)."""

import numpy as np
from sklearn.linear_model import Ridge

from factortopy.analysis.scores import r2
from factortopy.features.extraction import Features
from factortopy.subjects.subject import Subject

GRID, LAYERS, CHANNELS, VERTICES, PICTURES, CEILING = 4, 3, 16, 90, 500, 0.6


def random_features():
    """Tokens of few causes in each layer, so that 500 pictures can tell them; global tokens of causes of their own."""
    rng = np.random.default_rng(0)
    local, global_ = [], []
    for _ in range(LAYERS):
        causes, mix = rng.standard_normal((PICTURES, 8)), rng.standard_normal((8, GRID * GRID * CHANNELS)) / 8**0.5
        tokens = causes @ mix + 0.3 * rng.standard_normal((PICTURES, GRID * GRID * CHANNELS))
        local.append((3 + tokens).reshape(PICTURES, GRID, GRID, CHANNELS).astype(np.float32))
        global_.append((rng.standard_normal((PICTURES, CHANNELS)) * 2 - 1).astype(np.float32))
    return Features.from_arrays(local, global_)


def flat(features, l):
    return features.local[l].reshape(PICTURES, GRID * GRID, CHANNELS)


def design_of(model, features):
    """(n, T, D) what a vertex of this model reads; n = 1 where all read the same. Written apart from the models."""
    rng = np.random.default_rng(1)
    if model == "classtoken":
        return sum(t @ rng.standard_normal((CHANNELS, 5)) for t in features.global_)[None]
    maps = [rng.standard_normal((CHANNELS, 5)) for _ in range(LAYERS)]
    if model in ("gnetvit", "ridge"):  # a mask of one to three cells in one or two layers
        out = np.zeros((VERTICES, PICTURES, 5))
        for i in range(VERTICES):
            for l in rng.choice(LAYERS, rng.integers(1, 3), replace=False):
                cells = rng.choice(GRID * GRID, rng.integers(1, 4), replace=False)
                out[i] += flat(features, l)[:, cells].mean(1) @ maps[l]
        return out
    hidden = [
        flat(features, l).reshape(PICTURES, -1) @ rng.standard_normal((GRID * GRID * CHANNELS, 4))
        for l in range(LAYERS)
    ]
    hidden = [(h - h.mean(0)) / h.std(0) for h in hidden]
    return sum(np.maximum(h, 0) @ rng.standard_normal((4, 5)) for h in hidden)[None]


def planted(model, features, seed=2):
    """Subject (simulated) whose responses the model's own structure made, and the R² that its true design reaches."""
    rng = np.random.default_rng(seed)
    design = np.broadcast_to(design_of(model, features), (VERTICES, PICTURES, 5))
    signal = np.einsum("ntd,nd->tn", design, rng.standard_normal((VERTICES, 5)))
    signal = (signal - signal.mean(0)) / signal.std(0)
    noise = rng.standard_normal(signal.shape)
    responses = (CEILING**0.5 * signal + (1 - CEILING) ** 0.5 * noise).astype(np.float32)
    subject = subject_of(responses)
    train, test = subject.split.train, subject.split.test
    p = np.stack([Ridge(1e-3).fit(x[train], y[train]).predict(x[test]) for x, y in zip(design, responses.T)], 1)
    return subject, float(r2(responses[test], p).mean())


def subject_of(responses, image_index=None, n=VERTICES):
    hemi, vertex = np.repeat([0, 1], n // 2), np.tile(np.arange(n // 2), 2)
    return Subject(
        responses, None, hemi, vertex, coords=np.random.default_rng(3).random((n, 3)), name="planted", simulated=True,
        rois={"first": vertex < 9}, noise_ceiling=np.full(n, CEILING), image_index=image_index,
    )  # fmt: skip
