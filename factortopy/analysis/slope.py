"""The hierarchy slope: do later areas read later layers?"""

from dataclasses import dataclass

import numpy as np

from factortopy.errors import InputError, unexpected

LEVELS = {"V1": 0.0, "V2": 1 / 3, "V3": 1 / 3, "OPA": 2 / 3, "EBA": 1.0}
BOOTSTRAP = 1000  # samples behind the intervals of the report and of the page Compare


@dataclass(frozen=True)
class Hierarchy:
    """Fit of s_i = Σ_l ω_il · l/(L−1) on the level of the vertex's ROI: b0 at level 0, b1 at level 1, slope b1 − b0.

    ``intervals`` {"b0", "b1", "slope": (low, high)}: 95 % of bootstrap samples; None when none were asked for.
    """

    b0: float
    b1: float
    intervals: dict | None = None

    @property
    def slope(self):
        return self.b1 - self.b0


def hierarchy(selectors, rois, levels=None, bootstrap=0, seed=0):
    """Hierarchy slope (paper, section 4.3).

    Parameters
    ----------
    selectors : Selectors
    rois : {name: (N,) bool}
    levels : {name: float}, optional
        V1 0, V2 and V3 1/3, OPA 2/3, EBA 1.
    bootstrap : int
        So many times vertices are drawn anew within each ROI, for intervals. Neighbours are alike, so that these are
        narrower than those over subjects would be.

    Raises
    ------
    InputError
        With a single layer, or when fewer than two levels have vertices.
    """
    levels = LEVELS if levels is None else levels
    if selectors.layer.shape[1] < 2:
        raise InputError("hierarchy slope: expected a network of two layers or more, found one; it has no slope")
    at = [(level, selectors.layer_mean[np.asarray(rois[name])]) for name, level in levels.items() if name in rois]
    at = [(level, s) for level, s in at if len(s)]
    level = np.concatenate([np.full(len(s), x) for x, s in at]) if at else np.zeros(0)
    if len(np.unique(level)) < 2:
        expected = f"vertices in at least two of {', '.join(levels)}"
        actual = f"ROIs {', '.join(rois) or 'none'}"
        raise unexpected("hierarchy slope", expected, actual, "load a subject with these ROIs")
    slope, b0 = np.polyfit(level, np.concatenate([s for _, s in at]), 1)
    if not bootstrap:
        return Hierarchy(float(b0), float(b0 + slope))
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(bootstrap):
        again = np.concatenate([rng.choice(s, len(s)) for _, s in at])
        step, first = np.polyfit(level, again, 1)
        drawn.append((first, first + step, step))
    ends = np.percentile(drawn, (2.5, 97.5), axis=0).T
    intervals = {name: tuple(map(float, pair)) for name, pair in zip(("b0", "b1", "slope"), ends, strict=True)}
    return Hierarchy(float(b0), float(b0 + slope), intervals)
