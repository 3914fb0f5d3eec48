"""The scores by which encoders can be compared: R², Pearson r, the share of the noise ceiling, the Algonauts metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from factortopy.analysis.finite import mean, median
from factortopy.analysis.scores import algonauts_2023, normalised, pearson_normalised


@dataclass(frozen=True)
class Measure:
    """One way of saying how well a vertex is predicted.

    label : what a number of it is called on an axis or in a legend
    words : one sentence for people
    of : encoder -> (N,) float, NaN where it is not known
    best : noise ceiling (N,) -> (N,) the most that any model could reach; None: there is no such limit to show
    over, average : how the vertices of an area become one number, and its name
    """

    label: str
    words: str
    of: Callable[[Any], np.ndarray]
    best: Callable[[np.ndarray], np.ndarray] | None = None
    over: Callable[..., float] = mean
    average: str = "mean"


def _kept(name):
    """What the run was scored with; all NaN for one that was scored before it was kept."""
    return lambda encoder: np.asarray(encoder.scores.get(name, np.full(encoder.n_vertices, np.nan)), dtype=float)


def _of_r(share):
    """A measure of r and the noise ceiling, for the runs that kept r."""

    def of(encoder):
        values = share(encoder.scores.get("pearson"), encoder.noise_ceiling)
        return values if len(values) else np.full(encoder.n_vertices, np.nan)

    return of


R2 = "R²"
MEASURES = {
    R2: Measure(
        "R²", "Share of a place's response to new pictures that is predicted, 1 − residual / total variance. 1 is perfect, 0 no "
        "better than the mean, below 0 worse.", _kept("score"), lambda ceiling: ceiling,
    ),
    "Pearson r": Measure(
        "Pearson r", "Correlation of predicted and measured responses to new pictures. It forgives a wrong scale or mean, which R² "
        "does not.", _kept("pearson"), lambda ceiling: np.sqrt(np.clip(ceiling, 0, None)),
    ),
    "R² / noise ceiling": Measure(
        "R² / noise ceiling", "R² as a share of the best that noise allows: 1 explains all that can be explained. Places whose "
        "ceiling is below 0.1 are left out.", lambda encoder: normalised(_kept("score")(encoder), encoder.noise_ceiling),
    ),
    "Pearson r² / noise ceiling": Measure(
        "Pearson r² / noise ceiling", "The same of Pearson r, r below 0 counting 0. Places whose ceiling is below 0.1 are left out. "
        "With few test pictures chance alone makes it high.", _of_r(pearson_normalised),
    ),
    "Algonauts 2023": Measure(
        "Algonauts 2023 metric", "Metric of the Algonauts 2023 challenge as published: r² / noise ceiling of each place, r below 0 "
        "counting 0, at most 1, a ceiling of 0 counting 1e-14; of an area the median. Where nothing can be explained any r above 0 "
        "earns 1, and with few test pictures chance alone makes it high.", _of_r(algonauts_2023), over=median, average="median",
    ),
}  # fmt: skip


def available(encoder: Any) -> list[str]:
    """Names of the measures that an encoder has at least one number of."""
    return [name for name, measure in MEASURES.items() if np.isfinite(measure.of(encoder)).any()]
