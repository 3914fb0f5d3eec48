"""``BrainMap``: one map over the whole mesh as bytes, and the conversions between values, bytes and colours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

UNPAINTED = 255  # value byte of a vertex that stays grey
TOP = 254  # largest value byte
DARKEST = 0.22  # share of its brightness that a colour keeps at alpha 0 where the map fades to dark


@dataclass(frozen=True)
class BrainMap:
    """One map over the whole mesh (V = both hemispheres, left first), ready for the browser and for export.

    Attributes
    ----------
    name, group : str
        Words in the view's map switch; maps of one group share a tab and a slider.
    title : str
        The sentence that says what is shown.
    kind : str
        "category" (each vertex its own cell), "value" (smooth) or "plane" (two values a vertex).
    value : (V,) or, for "plane", (V, 2) uint8
        0…254 stands for ``low``…``high`` or is the category; 255 is unpainted.
    alpha : (V,) uint8
        Brightness (``fade`` "dark") or opacity over the grey ground (``fade`` "ground").
    palette : (K, 3) or (P, P, 3) uint8
    legend : dict
        ``shape`` (grid, strip, square, wheel, swatches), the words at its ends, a note.
    words : dict
        What hovering says: label, unit, low, high, decimals, names, and the same for alpha.
    """

    name: str
    title: str
    kind: str
    value: np.ndarray
    alpha: np.ndarray
    palette: np.ndarray
    legend: dict
    words: dict
    group: str = ""
    fade: str = "dark"
    density: str = "10k"

    @property
    def painted(self) -> np.ndarray:
        """(V,) bool."""
        value = self.value if self.value.ndim == 1 else self.value[:, 0]
        return value != UNPAINTED

    @property
    def stamp(self) -> str:
        """Short hash of all that the browser would paint."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.value, self.alpha, self.palette):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(repr((self.kind, self.fade)).encode())
        return digest.hexdigest()

    def colours(self, ground: np.ndarray) -> np.ndarray:
        """(V, 3) uint8 colours over ``ground`` (V, 3) uint8; the browser's shader does the same."""
        paint = self.painted
        out = np.array(ground, dtype=float)
        if self.kind == "category":
            base = self.palette[np.minimum(self.value[paint], len(self.palette) - 1)].astype(float)
        elif self.kind == "value":
            at = np.round(self.value[paint] / TOP * (len(self.palette) - 1)).astype(int)
            base = self.palette[at].astype(float)
        else:
            at = np.round(self.value[paint] / TOP * (len(self.palette) - 1)).astype(int)
            base = self.palette[at[:, 1], at[:, 0]].astype(float)
        alpha = self.alpha[paint, None] / 255
        if self.fade == "dark":
            out[paint] = base * (DARKEST + (1 - DARKEST) * alpha)
        else:
            out[paint] += (base - out[paint]) * alpha
        return np.round(out).astype(np.uint8)

    def shown(self, score: np.ndarray | None = None, threshold: float | None = None) -> np.ndarray:
        """(V,) bool painted vertices whose score (V,) reaches the threshold: what the view counts and shows."""
        if score is None or threshold is None:
            return self.painted
        code, low, step = score_bytes(score)
        least = np.ceil((threshold - low) / step - 1e-6) if step else 0
        return self.painted & (code != UNPAINTED) & (code >= least)


def score_bytes(score: np.ndarray | None) -> Any:
    """(codes uint8 (V,), low, step) of a score; 255 where it is NaN. score ≈ low + step · code."""
    score = np.asarray(score, dtype=float)
    finite = np.isfinite(score)
    if not finite.any():
        return np.full(score.shape, UNPAINTED, dtype=np.uint8), 0.0, 0.0
    low, high = float(score[finite].min()), float(score[finite].max())
    return value_bytes(score, low, high), low, (high - low) / TOP


def value_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 codes 0…254 of values in low…high (clipped), 255 where not finite."""
    values = np.asarray(values, dtype=float)
    finite = np.isfinite(values)
    span = (high - low) or 1.0
    code = np.round((np.where(finite, values, low) - low) / span * TOP)
    return np.where(finite, np.clip(code, 0, TOP), UNPAINTED).astype(np.uint8)
