"""What an encoder learnt about each vertex: where it looks, which layer, local or global, which channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Selectors:
    """The factors of every vertex (paper: "Brain Decodes Deep Nets", section 3).

    Attributes
    ----------
    space : (N, 2) float32
        Centre in the picture, in [−1, 1], x right, y down, 0 the centre. Undetermined where ``scale`` nears 1.
    layer : (N, L) float32
        Weights of the network's layers; rows sum to 1.
    scale : (N,) float32
        0 local tokens … 1 the global token.
    channel : (N, D) float32
        Weights of the aligned channels.
    samples : (N, S, 2) float32 or None
        The places a vertex looks at where there are several; ``space`` is their mean.
    """

    space: np.ndarray
    layer: np.ndarray
    scale: np.ndarray
    channel: np.ndarray
    samples: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.layer)
        expected = {"space": (n, 2), "scale": (n,)}
        for name, shape in expected.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"selectors: {name} has shape {np.shape(getattr(self, name))}, expected {shape}")
        if self.samples is not None and (np.ndim(self.samples) != 3 or self.samples.shape[::2] != (n, 2)):
            raise ValueError(f"selectors: samples has shape {np.shape(self.samples)}, expected ({n}, S, 2)")
        if np.ndim(self.layer) != 2 or np.ndim(self.channel) != 2 or len(self.channel) != n:
            raise ValueError("selectors: layer and channel must be (N, L) and (N, D)")

    @property
    def layer_argmax(self) -> np.ndarray:
        """(N,) int, the layer with the largest weight, 0 the first."""
        return np.argmax(self.layer, axis=1)

    @property
    def layer_confidence(self) -> np.ndarray:
        """(N,) float: 1 + Σ ω log ω / log L; 1 one-hot, 0 uniform. 1 where there is one layer only."""
        n_layers = self.layer.shape[1]
        if n_layers == 1:
            return np.ones(len(self.layer), dtype=np.float32)
        weight = np.asarray(self.layer, dtype=np.float64)
        entropy = -(weight * np.log(np.maximum(weight, 1e-12))).sum(1)
        return np.clip(1 - entropy / np.log(n_layers), 0, 1).astype(np.float32)

    @property
    def layer_mean(self) -> np.ndarray:
        """(N,) float: Σ ω_l · l / (L − 1), the place on the way through the network, 0 first … 1 last layer."""
        n_layers = self.layer.shape[1]
        return (self.layer @ np.linspace(0, 1, n_layers)).astype(np.float32)
