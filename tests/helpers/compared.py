"""Encoders made by hand, to be compared."""

import numpy as np

from factortopy.encoder import Encoder, Selectors
from factortopy.surfaces.coordinates import Vertices

N, L, D = 60, 4, 8


def made(score, seed=0, layer=None, n=N, channel=None, predicted=True):
    """An encoder with a score and selectors; its alignment is of no account here."""
    rng = np.random.default_rng(seed)
    layer = np.eye(L, dtype=np.float32)[np.arange(n) * L // n] if layer is None else layer
    channel = rng.standard_normal((n, D)).astype(np.float32) if channel is None else channel
    factor = Selectors(rng.uniform(-1, 1, (n, 2)).astype(np.float32), layer, np.full(n, 0.2, np.float32), channel)
    half = n // 2
    rois = {"V1": np.arange(n) % half < half // 3, "EBA": np.arange(n) % half >= 2 * half // 3}
    encoder = Encoder(factor, {"local": [], "local_offset": []}, np.zeros(n, np.float32),
                      Vertices(np.repeat([0, 1], half), np.tile(np.arange(half), 2)), [f"layer {k}" for k in range(L)], 8, rois=rois,
                      noise_ceiling=np.full(n, 0.5))  # fmt: skip
    encoder.scores = {"score": np.float32(score), "predicted": np.full(n, predicted, np.uint8)}
    return encoder


def hand_made(layer=None, channel=None, n=None):
    """An encoder with the given selectors; its readout is never used."""
    layer = np.full((n or len(channel), 1), 1.0, np.float32) if layer is None else np.asarray(layer, np.float32)
    n = len(layer)
    channel = np.zeros((n, 1), np.float32) if channel is None else np.asarray(channel, np.float32)
    factors = Selectors(np.zeros((n, 2), np.float32), layer, np.full(n, 0.25, np.float32), channel)
    names = [f"layer {l + 1}" for l in range(layer.shape[1])]
    return Encoder(factors, {}, np.zeros(n, np.float32), Vertices(np.zeros(n, int), np.arange(n)), names, 8)
