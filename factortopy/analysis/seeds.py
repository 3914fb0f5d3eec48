"""Do fits that differ in their seed alone choose the same layers? Per vertex and over all (paper, Fig. 13)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from factortopy.analysis.comparison import same_vertices
from factortopy.analysis.finite import correlation, mean
from factortopy.analysis.scores import painted
from factortopy.errors import InputError, unexpected


@dataclass(frozen=True)
class SeedAgreement:
    """Agreement of fits, over the vertices that all of them predict; elsewhere NaN.

    equal : (N,) share of the pairs of fits whose best layer is the same
    spread : (N,) standard deviation over fits of the mean layer, in shares of the depth
    vertices : how many are predicted by all
    layer_equal, layer_near : mean over vertices of the share of pairs with the same best layer, with the same or the next one
    by_chance : the share with the same best layer if every fit's layers were dealt to vertices at random
    layer_r : mean over pairs of the correlation of the mean layer
    """

    equal: np.ndarray
    spread: np.ndarray
    vertices: int
    layer_equal: float
    layer_near: float
    by_chance: float
    layer_r: float


def seed_agreement(encoders: dict[Any, Any]) -> SeedAgreement:
    """``SeedAgreement`` of fits of one network to one subject.

    Parameters
    ----------
    encoders : {seed: Encoder} with selectors, two or more, of the same vertices and layers

    Raises
    ------
    InputError
        Fewer than two, other vertices, another number of layers.
    """
    if len(encoders) < 2:
        raise InputError(f"seeds: expected two fits or more, found {len(encoders)}; train another one with a new seed")
    same_vertices({str(name): encoder for name, encoder in encoders.items()})
    factors = [encoder.selectors() for encoder in encoders.values()]
    depths = sorted({factor.layer.shape[1] for factor in factors})
    if len(depths) > 1:
        raise unexpected("seeds", "fits of one network", f"{depths} layers", "compare those of the same layers")
    use = np.all([painted(encoder) for encoder in encoders.values()], axis=0)
    pairs = list(combinations(factors, 2))
    apart = np.stack([np.abs(a.layer_argmax - b.layer_argmax) for a, b in pairs])
    shares = [np.bincount(f.layer_argmax[use], minlength=depths[0]) / max(1, use.sum()) for f in factors]
    equal = np.where(use, (apart == 0).mean(0), np.nan)
    return SeedAgreement(
        equal=equal,
        spread=np.where(use, np.std([factor.layer_mean for factor in factors], axis=0), np.nan),
        vertices=int(use.sum()),
        layer_equal=mean(equal, use),
        layer_near=mean((apart <= 1).mean(0), use),
        by_chance=float(np.mean([a @ b for a, b in combinations(shares, 2)])) if use.any() else float("nan"),
        layer_r=float(np.mean([correlation(a.layer_mean[use], b.layer_mean[use]) for a, b in pairs])),
    )


def by_area(agreement: SeedAgreement, rois: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Rows of a table, one a ROI with a vertex that all predict: roi, vertices, same layer (share of pairs), spread."""
    rows = []
    for roi, mask in (rois | {"all": np.ones(len(agreement.equal), bool)}).items():
        use = np.asarray(mask, bool) & np.isfinite(agreement.equal)
        if use.any():
            row = {"roi": roi, "vertices": int(use.sum())}
            rows.append(row | {"same layer": mean(agreement.equal, use), "spread": mean(agreement.spread, use)})
    return rows
