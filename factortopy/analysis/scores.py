"""How well an encoder predicts: brain score on test trials, vertices above chance, both by ROI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.analysis.chance import better_than_chance, standard
from factortopy.analysis.clusters import channel_clusters
from factortopy.analysis.finite import mean, median
from factortopy.encoder.films import as_fitted, rows_of
from factortopy.errors import InputError
from factortopy.subjects.trial_times import too_short

if TYPE_CHECKING:
    from factortopy.encoder.encoder import Encoder
    from factortopy.features.extraction import Features
    from factortopy.subjects.subject import Subject

LEAST_CEILING = 0.1  # below it a score divided by the ceiling is mostly noise


def held_out(encoder: Encoder, subject: Subject, features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Measured and predicted responses on the test trials.

    Returns
    -------
    measured, predicted : (T, N) float32
    """
    trials = np.asarray(subject.split.test)
    if not len(trials):
        raise InputError("test trials: expected some, found none; choose a split with test pictures")
    features = as_fitted(encoder, subject, features)
    unique, back = np.unique(rows_of(subject, trials), return_inverse=True)  # a repeated picture is predicted once
    return np.asarray(subject.responses[trials], dtype=np.float32), encoder.predict_features(features[unique])[back]


def r2(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N,) 1 − SS_res / SS_tot over trials (axis 0); NaN where the measured response is constant."""
    total = ((measured - measured.mean(0)) ** 2).sum(0)
    residual = ((measured - predicted) ** 2).sum(0)
    return np.where(total > 1e-9, 1 - residual / np.maximum(total, 1e-9), np.nan).astype(np.float32)


def pearson(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N,) correlation of measured and predicted responses over trials (axis 0); NaN where either is constant."""
    y, p = standard(measured), standard(predicted)
    varies = (np.abs(y).sum(0) > 0) & (np.abs(p).sum(0) > 0)
    return np.where(varies, np.einsum("tn,tn->n", y, p), np.nan).astype(np.float32)


def normalised(score: np.ndarray, ceiling: np.ndarray | None) -> np.ndarray:
    """(N,) R² divided by the noise ceiling, the share of it that is reached; NaN below a ceiling of 0.1 or without one."""
    if ceiling is None:
        return np.full(len(score), np.nan)
    ceiling = np.asarray(ceiling, dtype=float)
    return np.where(ceiling >= LEAST_CEILING, np.asarray(score, float) / np.maximum(ceiling, LEAST_CEILING), np.nan)


def algonauts_2023(r: np.ndarray | None, ceiling: np.ndarray | None) -> np.ndarray:
    """(N,) each vertex's part in the metric of the Algonauts 2023 challenge, as published (Gifford et al. 2023).

    r² / noise ceiling, r below 0 counting 0, a ceiling of 0 counting 1e-14, at most 1. The metric of a map is the median over vertices
    (``by_roi``). A prediction that never changes (r NaN) earns 0. NaN where the ceiling is unknown, and everywhere without any
    r or ceiling.
    """
    if r is None or ceiling is None or not np.isfinite(r).any():
        return np.full(0 if r is None else len(r), np.nan)
    ceiling = np.asarray(ceiling, dtype=float)
    share = np.clip(np.nan_to_num(np.asarray(r, dtype=float)), 0, None) ** 2
    return np.minimum(share / np.where(ceiling == 0, 1e-14, ceiling), 1)


def pearson_normalised(r: np.ndarray | None, ceiling: np.ndarray | None) -> np.ndarray:
    """(N,) our own r² / noise ceiling: r below 0 counting 0, not cut at 1, NaN below a ceiling of 0.1, as ``normalised``."""
    if r is None:
        return np.full(0, np.nan)
    return normalised(np.clip(np.asarray(r, dtype=float), 0, None) ** 2, ceiling)


def ceiling_note(encoder: Encoder) -> str:
    """Why an encoder's noise ceiling does not belong to the pictures that it is scored on; "" where it does."""
    return str(encoder.info.get("ceiling_note") or "")


def brain_score(encoder: Encoder, subject: Subject, features: Features) -> np.ndarray:
    """(N,) R² on the test split; not divided by the noise ceiling. NaN for a vertex whose response is constant."""
    return r2(*held_out(encoder, subject, features))


def predicted(
    encoder: Encoder, subject: Subject, features: Features, q: float = 0.05, permutations: int = 1000, seed: int = 0
) -> np.ndarray:
    """(N,) bool: vertices predicted above chance on test trials.

    One-sided test of the correlation between measured and predicted responses, false discovery rate ``q`` by Benjamini and
    Hochberg. Pictures are shuffled, the same shuffles for all vertices; repeats of a picture are averaged first. Volumes of
    a film are alike in time, and so are pictures shown in blocks: there the signs of their cosines in time are shuffled, drifts
    left out (``analysis.chance``). Below what the shuffles resolve, Student's t and the normal distribution give the
    probability: a few strong vertices among many weak ones would otherwise never pass the correction.
    """
    return better_than_chance(*held_out(encoder, subject, features), subject, q, permutations, seed)


def painted(encoder: Encoder) -> np.ndarray:
    """(N,) bool: vertices predicted above chance; all of an encoder without scores."""
    if "predicted" in encoder.scores:
        return np.asarray(encoder.scores["predicted"], bool)
    return np.ones(encoder.n_vertices, bool)


def score_run(encoder: Encoder, subject: Subject, features: Features, q: float = 0.05) -> dict[str, np.ndarray]:
    """Fill ``encoder.scores`` from one prediction of the test trials.

    score and pearson (N,) float32, predicted (N,) uint8, and, where the encoder has selectors, clusters
    (N,) int16 (20, fewer where few vertices are predicted). Where the test trials are too few to tell anything from chance
    no vertex is predicted, and ``encoder.info["untested"]`` says why.
    """
    measured, prediction = held_out(encoder, subject, features)
    better = better_than_chance(measured, prediction, subject, q)
    encoder.info.pop("untested", None)
    if why := too_short(subject):
        encoder.info["untested"] = why
    encoder.scores = {"score": r2(measured, prediction), "pearson": pearson(measured, prediction)}
    encoder.scores["predicted"] = better.astype(np.uint8)
    if not encoder.has_selectors:
        return encoder.scores
    n = int(encoder.scores["predicted"].sum())
    none = np.full(encoder.n_vertices, -1)
    clusters = channel_clusters(encoder, min(20, n // 4)) if n >= 8 else none
    encoder.scores["clusters"] = clusters.astype(np.int16)
    return encoder.scores


def by_roi(encoder: Encoder) -> list[dict[str, Any]]:
    """Rows of a table, one a ROI and one for all vertices, from a scored encoder.

    Each row: roi, vertices, score (mean R²), ceiling (mean noise ceiling or NaN), share (predicted above chance),
    layer (mean layer, 1 … L), confidence, scale (mean g), these three NaN for a baseline; pearson (mean r, NaN for a run
    scored before it was kept), normalised and pearson_normalised (means of R² and of r² / noise ceiling, where that is 0.1 or
    more), algonauts_2023 (that challenge's metric as published, the median over vertices). Vertices without a score are not in them.
    """
    if not encoder.scores:
        raise InputError("encoder: expected scores, found none; run score on its run folder first")
    score = encoder.scores["score"]
    factor = encoder.selectors() if encoder.has_selectors else None
    layer = None if factor is None else 1 + factor.layer_mean * (factor.layer.shape[1] - 1)
    r = encoder.scores.get("pearson")
    metric = algonauts_2023(r, encoder.noise_ceiling)
    values = {
        "score": score, "ceiling": encoder.noise_ceiling, "share": painted(encoder).astype(float), "layer": layer,
        "confidence": None if factor is None else factor.layer_confidence, "scale": None if factor is None else factor.scale,
        "pearson": r, "normalised": normalised(score, encoder.noise_ceiling),
        "pearson_normalised": None if r is None else pearson_normalised(r, encoder.noise_ceiling),
    }  # fmt: skip
    rows = []
    for name, mask in {**encoder.rois, "all": np.ones(len(score), dtype=bool)}.items():
        use = mask & np.isfinite(score)
        row = {"roi": name, "vertices": int(mask.sum())}
        row |= {key: mean(value, use) for key, value in values.items()}
        row["algonauts_2023"] = median(metric[use]) if len(metric) else float("nan")
        rows.append(row)
    return rows
