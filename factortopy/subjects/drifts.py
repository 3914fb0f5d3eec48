"""Slow drifts of a scanner and of blood: the cosines that they are made of, and a time series without them."""

import numpy as np

CUTOFF = 128.0  # seconds; SPM's: what changes more slowly is taken for drift


def drifts(n, tr, cutoff=CUTOFF):
    """(n, k) orthonormal columns: a constant, a straight line, and the cosines of SPM's set with periods above ``cutoff`` s.

    n : rows, ``tr`` seconds apart
    """
    row = np.arange(n)
    columns = [np.ones(n), np.linspace(-1, 1, n)]
    columns += [np.cos(np.pi * k * (row + 0.5) / n) for k in range(1, slowest(n, tr, cutoff) + 1)]
    return np.linalg.qr(np.column_stack(columns[:n]))[0]


def slowest(n, tr, cutoff=CUTOFF):
    """How many cosines of ``n`` rows have a period above ``cutoff`` seconds; 0 for rows without a time (``tr`` None)."""
    return 0 if tr is None else int(2 * n * tr / cutoff)


def without_drifts(x, tr, cutoff=CUTOFF):
    """(n, N) float64: ``x`` (n, N), one run or a stretch of it, less what ``drifts`` explain of each column."""
    x = np.asarray(x, dtype=np.float64)
    basis = drifts(len(x), tr, cutoff)
    return x - basis @ (basis.T @ x)
