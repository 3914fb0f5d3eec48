"""What fine-tuning did to a network on the brain: scores and layers before and after, slope against what was lost, accuracy."""

import numpy as np

from factortopy.analysis.comparison import areas_and_all, layer_shift, scores_of
from factortopy.analysis.finite import correlation, mean, rank_correlation
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import hierarchy
from factortopy.errors import InputError


def before_after(before, after):
    """Scores and layers of a network before and after fine-tuning (short paper, Table 1), by ROI.

    Parameters
    ----------
    before, after : Encoder, scored, of the same vertices

    Returns
    -------
    list of dict
        One row a ROI and one for all vertices: roi, vertices, before, after (mean R²), change, worse (share of the vertices whose
        R² fell), and where both have selectors layer before, layer after (mean, 0 first to 1 last), moved (mean of the absolute
        shift, over vertices that both predict).
    """
    one, two = scores_of({"before": before, "after": after}).values()
    factorized = before.has_selectors and after.has_selectors
    shift = layer_shift(before, after) if factorized else None
    rows = []
    for roi, mask in areas_and_all(before).items():
        use = mask & np.isfinite(one) & np.isfinite(two)
        a, b = mean(one, use), mean(two, use)
        row = {"roi": roi, "vertices": int(mask.sum()), "before": a, "after": b, "change": b - a}
        row["worse"] = float(np.mean(two[use] < one[use])) if use.any() else float("nan")
        if factorized:
            both = mask & np.isfinite(shift)
            row["layer before"] = mean(before.selectors().layer_mean, both)
            row["layer after"] = mean(after.selectors().layer_mean, both)
            row["moved"] = mean(np.abs(shift), both)
        rows.append(row)
    return rows


def lost(pairs):
    """Hierarchy slope of networks against the score that fine-tuning cost them (short paper).

    Parameters
    ----------
    pairs : {name: (Encoder before, Encoder after)}

    Returns
    -------
    rows : list of dict
        network, slope (before; NaN without one), before, after, lost (mean R² over the vertices predicted before), share lost.
    r : float
        Spearman's rank correlation of slope and share lost over networks (several fine-tunings of one are averaged); NaN for fewer
        than three.
    """
    rows, networks = [], {}
    for name, (before, after) in pairs.items():
        one, two = scores_of({f"{name} before": before, f"{name} after": after}).values()
        use = painted(before) & np.isfinite(one) & np.isfinite(two)
        a, b = mean(one, use), mean(two, use)
        share = (a - b) / a if a > 0 else float("nan")
        row = {"network": name, "slope": _slope(before), "before": a, "after": b, "lost": a - b, "share lost": share}
        rows.append(row)
        networks.setdefault(id(before), []).append(row)
    slopes, shares = ([mean([row[key] for row in of]) for of in networks.values()] for key in ("slope", "share lost"))
    return rows, rank_correlation(slopes, shares)


def _slope(encoder):
    if not encoder.has_selectors:
        return float("nan")
    try:
        return hierarchy(encoder.selectors(), encoder.rois).slope
    except InputError:
        return float("nan")


def score_against(accuracy, encoders):
    """Mean R² of each ROI against networks' accuracy on another task (paper, 4.1).

    Parameters
    ----------
    accuracy : {name: float}, encoders : {name: Encoder}; networks that are in both count

    Returns
    -------
    list of dict
        One row a ROI and one for all vertices: roi, r (Pearson over networks), rank (Spearman), networks, then a column a network.
    """
    names = [name for name in encoders if name in accuracy and np.isfinite(accuracy[name])]
    if not names:
        return []
    scores = scores_of({name: encoders[name] for name in names})
    x = np.array([accuracy[name] for name in names], float)
    rows = []
    for roi, mask in areas_and_all(encoders[names[0]]).items():
        y = np.array([mean(scores[name], mask) for name in names])
        row = {"roi": roi, "r": correlation(x, y), "rank": rank_correlation(x, y), "networks": len(names)}
        rows.append(row | dict(zip(names, y.tolist(), strict=True)))
    return rows
