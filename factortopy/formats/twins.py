"""Whether both hemispheres hold the same numbers, which no brain does: one of them was probably saved twice."""

import numpy as np

_FEWEST = 20  # values that differ from each other, below which likeness says nothing
_ALIKE = 0.9999  # correlation: numbers of 16 bits are still alike, two hemispheres of one brain never
_MOST = 0.99  # of the vertices
NOTICE = "left and right hold the same numbers; was one hemisphere saved twice?"


def alike(left, right):
    """Whether two (k, n) arrays hold the same numbers, or the same but for missing ones and for scale.

    Exactly alike, or one a straight line of the other: over all values, or over the rows at nearly every vertex (as after
    z-scoring each). Rising or falling (a mirrored coordinate falls) is not the same: the line must rise. Constants say nothing.
    """
    with np.errstate(invalid="ignore"):  # damaged numbers are others' to refuse
        left, right = (np.atleast_2d(np.asarray(part, dtype=np.float64)) for part in (left, right))
    if left.shape != right.shape:
        return False
    both = np.isfinite(left) & np.isfinite(right)
    if both.sum() < _FEWEST or both.mean() < 0.5 * max(np.isfinite(left).mean(), np.isfinite(right).mean()):
        return False
    if np.array_equal(left[both], right[both]):
        return np.ptp(left[both]) > 0
    if min(len(np.unique(part[both])) for part in (left, right)) < _FEWEST:
        return False  # labels and masks are the same or not
    if _correlation(left[both][:, None], right[both][:, None])[0] > _ALIKE:
        return True
    whole = both.all(0)
    if len(left) < 5 or whole.sum() < _FEWEST:
        return False
    each = _correlation(left[:, whole], right[:, whole])
    varied = np.isfinite(each)
    return bool(varied.sum() >= _FEWEST and (each[varied] > _ALIKE).mean() > _MOST)


def alike_where_both(left, left_vertices, right, right_vertices):
    """``alike`` at the vertices that both hemispheres have values of; (k, n) arrays and their (n,) mesh indices."""
    _, a, b = np.intersect1d(left_vertices, right_vertices, return_indices=True)
    if len(a) < 0.5 * min(len(left_vertices), len(right_vertices)):
        many = len(np.unique(left)) >= _FEWEST  # of columns under another list of vertices, labels say nothing
        return left.shape == right.shape and many and alike(left, right)
    return alike(left[:, a], right[:, b])


def _correlation(a, b):
    """(n,) Pearson's r of the columns, NaN where one does not vary."""
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
