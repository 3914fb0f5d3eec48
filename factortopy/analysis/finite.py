"""Mean, median and correlation over the values that are finite; NaN where nothing is left to tell."""

import numpy as np


def mean(values, use=None):
    """Mean of the finite values, of those that ``use`` (a mask) names; NaN for none, and for ``values`` None."""
    return _over_finite(np.mean, values, use)


def median(values, use=None):
    """As ``mean``, the median."""
    return _over_finite(np.median, values, use)


def _over_finite(average, values, use):
    if values is None:
        return float("nan")
    values = np.asarray(values, dtype=float)
    values = values if use is None else values[use]
    values = values[np.isfinite(values)]
    return float(average(values)) if len(values) else float("nan")


def correlation(a, b):
    """Pearson's r over pairs that are both finite; NaN for fewer than three or where one never varies."""
    ok = np.isfinite(a) & np.isfinite(b)
    if ok.sum() < 3 or a[ok].std() < 1e-12 or b[ok].std() < 1e-12:
        return float("nan")
    return float(np.corrcoef(a[ok], b[ok])[0, 1])


def rank_correlation(a, b):
    """Spearman's correlation over pairs that are both finite; NaN for fewer than three."""
    from scipy.stats import rankdata

    a, b = np.asarray(a, float), np.asarray(b, float)
    ok = np.isfinite(a) & np.isfinite(b)
    return correlation(rankdata(a[ok]), rankdata(b[ok]))
