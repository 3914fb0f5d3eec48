"""The hierarchy slope: do later areas read later layers? And how far it would be another one with other pictures and another seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.analysis.estimates import Estimate, spread
from factortopy.errors import InputError, unexpected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS = {"V1": 0.0, "V2": 1 / 3, "V3": 1 / 3, "OPA": 2 / 3, "EBA": 1.0}
REFITS = 20
FEWEST_REFITS = 10  # with fewer, three seeds would have to tell how seeds vary
PICTURES_AND_SEEDS, SUBJECTS = "pictures and seeds", "subjects"  # what an interval is over
ENDS = ("b0", "b1", "slope")


@dataclass(frozen=True)
class Hierarchy:
    """Fit of s_i = Σ_l ω_il · l/(L−1) on the level of the vertex's ROI: b0 at level 0, b1 at level 1, slope b1 − b0.

    estimates : {"b0", "b1", "slope": ``Estimate``}; None of one fit alone, which says nothing of how far another would differ
    over : what they vary over, PICTURES_AND_SEEDS or SUBJECTS; None without
    fits : how many fits are behind it
    """

    b0: float
    b1: float
    estimates: dict[str, Estimate] | None = None
    over: str | None = None
    fits: int = 1

    @property
    def intervals(self) -> dict[str, tuple[float, float]] | None:
        """{"b0", "b1", "slope": (low, high)}, 95 %; None of one fit alone."""
        return None if self.estimates is None else {name: one.interval() for name, one in self.estimates.items()}

    @property
    def slope(self) -> float:
        return self.b1 - self.b0


@dataclass(frozen=True)
class Refits:
    """Mean layers (``Selectors.layer_mean``) of new fits of one network to one subject.

    halves : (2 k, N), fits of halves of the pictures, each with a seed of its own; rows 2 j and 2 j + 1 share no picture and are
        together all of them
    seeds : (r, N), fits of all pictures with other seeds
    """

    halves: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.halves) + len(self.seeds)


def allotted(refits: int) -> tuple[int, int]:
    """(halves, seeds): how many of so many refits are of halves of the pictures, and how many differ in their seed alone."""
    halves = 2 * round(0.3 * refits)
    return halves, refits - halves


def hierarchy(
    selectors: Any, rois: Mapping[str, Any], levels: Mapping[str, float] | None = None, refits: Refits | None = None
) -> Hierarchy:
    """Hierarchy slope (paper, section 4.3).

    Parameters
    ----------
    selectors : Selectors
    rois : {name: (N,) bool}
    levels : {name: float}, optional
        V1 0, V2 and V3 1/3, OPA 2/3, EBA 1.
    refits : Refits, optional
        Of the same vertices, for intervals (``estimate``) around this fit.

    Raises
    ------
    InputError
        With a single layer, or when fewer than two levels have vertices.
    """
    if selectors.layer.shape[1] < 2:
        raise InputError("hierarchy slope: expected a network of two layers or more, found one; it has no slope")
    own = _lines(selectors.layer_mean[None], rois, levels)[0]
    if refits is None:
        return Hierarchy(*map(float, own[:2]))
    halves, seeds = (_lines(means, rois, levels) for means in (refits.halves, refits.seeds))
    both = {name: estimate(own[k], halves[:, k], seeds[:, k]) for k, name in enumerate(ENDS)}
    return Hierarchy(*map(float, own[:2]), both, PICTURES_AND_SEEDS, 1 + len(refits))


def of_subjects(fits: Sequence[Hierarchy]) -> Hierarchy:
    """Mean of the slopes of several subjects, two or more, with Student's 95 % interval over subjects."""
    both = {name: spread([getattr(fit, name) for fit in fits]) for name in ENDS}
    return Hierarchy(both["b0"].value, both["b1"].value, both, SUBJECTS, len(fits))


def standard_error(halves: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """How far a number of one fit would vary with other pictures and another seed: a standard deviation.

    Its variance has two parts. Seeds: s², that of fits of all pictures which differ in their seed alone. Pictures: p². With twice the
    pictures a variance halves, so that half the difference between the fits of two halves varies with pictures as a fit of all
    of them does, and with the seeds of the halves; the mean of the two varies with those seeds alone, and as much. The difference
    of these two variances over several divisions is p² (half-samples: Wolter, Introduction to Variance Estimation, chapter 3).
    Where it comes out below 0 it is 0, and s² alone remains: without that cut the interval would be too narrow (docs/statistics.md).
    Fits are of halves without repeats, not of samples with replacement: a picture that stands in a sample twice would teach its noise
    twice, and a fit would be another one.

    Parameters
    ----------
    halves : (..., 2 k), as in ``Refits``; seeds : (..., r)
    """
    pairs = np.asarray(halves, float)
    pairs = pairs.reshape(*pairs.shape[:-1], -1, 2)
    pictures = np.square(pairs[..., 0] - pairs[..., 1]).mean(-1) / 4 - pairs.mean(-1).var(-1, ddof=1)
    return np.sqrt(np.var(seeds, axis=-1, ddof=1) + np.maximum(0.0, pictures))


def estimate(own: float, halves: np.ndarray, seeds: np.ndarray) -> Estimate:
    """``Estimate`` of the mean over data sets of this size and over seeds, by one fit's number: Student's, with the seeds' degrees of
    freedom. It does not correct bias: fits that are all too flat have intervals that are all too low (docs/statistics.md).
    """
    return Estimate(float(own), float(standard_error(halves, seeds)), np.shape(seeds)[-1] - 1)


def _lines(means, rois, levels):
    """(F, 3) b0, b1 and slope of mean layers (F, N): least squares over vertices."""
    levels = LEVELS if levels is None else levels
    at = [(level, np.flatnonzero(np.asarray(rois[name], bool))) for name, level in levels.items() if name in rois]
    at = [(level, v) for level, v in at if len(v)]
    level = np.concatenate([np.full(len(v), x) for x, v in at]) if at else np.zeros(0)
    if len(np.unique(level)) < 2:
        expected = f"vertices in at least two of {', '.join(levels)}"
        actual = f"ROIs {', '.join(rois) or 'none'}"
        raise unexpected("hierarchy slope", expected, actual, "load a subject with these ROIs")
    slope, b0 = np.polyfit(level, np.asarray(means, float)[:, np.concatenate([v for _, v in at])].T, 1)
    return np.stack([b0, b0 + slope, slope], 1)
