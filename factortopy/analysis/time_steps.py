"""A diffusion network's time steps: scores by step, and steps chosen like layers (paper, Fig. 5, Table 13)."""

import numpy as np

from factortopy.analysis.comparison import areas_and_all, scores_of
from factortopy.analysis.finite import mean
from factortopy.analysis.scores import painted
from factortopy.backbones.diffusers_adapter import TIMES, parse
from factortopy.errors import InputError, unexpected


def step_of(name):
    """(part, T) of a diffusion network's name; T None where its layers are one layer at several steps; None for other networks."""
    try:
        _, part, step = parse(str(name).removesuffix(" untrained"))
    except InputError:
        return None
    return part, step


def by_step(encoders):
    """Mean R² by ROI of encoders {T: Encoder}: one row a ROI and one for all, best (T of the largest), then a column a step."""
    scores = scores_of({str(step): encoder for step, encoder in sorted(encoders.items())})
    rows = []
    for roi, mask in areas_and_all(next(iter(encoders.values()))).items():
        row = {"roi": roi, "vertices": int(mask.sum())}
        values = {step: mean(score, mask) for step, score in scores.items()}
        finite = {step: v for step, v in values.items() if np.isfinite(v)}
        row["best"] = int(max(finite, key=finite.get)) if finite else None
        rows.append(row | {f"T {step}": v for step, v in values.items()})
    return rows


def chosen_steps(encoder):
    """Which steps the vertices of each ROI read, of an encoder whose layers are one layer at ``TIMES``.

    Returns
    -------
    list of dict
        One row a ROI with predicted vertices and one for all: roi, vertices, mean step (0 noise … 50 clean), a column a step with
        its mean weight.
    """
    weight, use = encoder.selectors().layer, painted(encoder)
    if weight.shape[1] != len(TIMES):
        expected = f"{len(TIMES)} layers, one a step"
        raise unexpected("time steps", expected, weight.shape[1], "give a run of one layer over time")
    rows = []
    for roi, mask in areas_and_all(encoder).items():
        inside = mask & use
        if inside.any():
            share = weight[inside].mean(0)
            row = {"roi": roi, "vertices": int(inside.sum()), "mean step": float(share @ np.array(TIMES, float))}
            rows.append(row | {f"T {t}": float(w) for t, w in zip(TIMES, share, strict=True)})
    return rows
