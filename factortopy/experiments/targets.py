"""Targets of activation maximization: which vertices a picture is to drive or suppress."""

from functools import partial

import numpy as np

from factortopy.errors import unexpected
from factortopy.experiments.checks import is_whole

KINDS = ("roi", "vertex", "cluster", "weights")
_wrong = partial(unexpected, "target")  # expected, actual, remedy


def target_of(encoder, spec):
    """Weights of the encoder's vertices from a JSON-able description.

    Parameters
    ----------
    encoder : Encoder
    spec : dict
        One of {"roi": name}, {"vertex": row of the whole mesh, left hemisphere first}, {"cluster": number},
        {"weights": N numbers}; "suppress" may hold another such description, whose weights are subtracted.

    Returns
    -------
    (N,) float32
        The driven part sums to 1 (in absolute values), the suppressed part to 1.

    Raises
    ------
    InputError
        Names what there is to choose from.
    """
    if not isinstance(spec, dict) or not spec:
        raise _wrong('a description such as {"roi": "FFA"}', f"{spec!r:.60}", "give one of its keys")
    unknown = sorted(set(map(str, spec)) - {*KINDS, "suppress"})
    kinds = [kind for kind in KINDS if kind in spec]
    if unknown or len(kinds) > 1 or not (kinds or "suppress" in spec):
        raise _wrong(f"one of {', '.join(KINDS)} (and suppress)", ", ".join(map(str, spec)), "keep one of them")
    out = _unit(_part(encoder, kinds[0], spec[kinds[0]])) if kinds else np.zeros(encoder.n_vertices, np.float32)
    if "suppress" in spec:
        out = out - target_of(encoder, spec["suppress"])
    return checked(encoder, out)


def checked(encoder, weights):
    """(N,) float32 weights that can be a target; InputError where they cannot."""
    try:
        out = np.asarray(weights, dtype=np.float32)
    except (TypeError, ValueError):
        raise _wrong("one number a vertex", "something else", "give a list of numbers") from None
    if out.shape != (encoder.n_vertices,):
        expected = f"{encoder.n_vertices} weights, one for each vertex of the encoder"
        raise _wrong(expected, f"shape {out.shape}", "draw it on this encoder's map")
    if not np.isfinite(out).all():
        raise _wrong("finite weights", "NaN or infinity", "set vertices without a value to 0")
    if not np.abs(out).sum() > 0:
        raise _wrong("some vertices to drive or suppress", "weights that are all 0", "choose some vertices")
    return out


def _unit(weights):
    return weights / np.abs(weights).sum()


def _part(encoder, kind, value):
    if kind == "weights":
        return checked(encoder, value)
    if kind == "roi":
        if not isinstance(value, str) or value not in encoder.rois:
            names = ", ".join(encoder.rois) or "none: this subject has no ROIs"
            raise _wrong("an ROI of the subject", f"{value!r}", f"choose one of: {names}")
        mask, there = np.asarray(encoder.rois[value], bool), f"ROI {value}"
    elif kind == "vertex":
        rows = encoder.vertices.rows
        mask, there = rows == value if is_whole(value) else np.zeros(len(rows), bool), f"vertex {value!r}"
        if not mask.any():
            remedy = f"choose one of its {len(rows)} vertices, rows {rows.min()} to {rows.max()}"
            raise _wrong(f"a row of the whole {encoder.density} mesh that the encoder covers", f"{value!r}", remedy)
    else:
        clusters = encoder.scores.get("clusters")
        if clusters is None:
            raise _wrong("an encoder with channel clusters", "one that was not scored", "score it first")
        mask = clusters == value if is_whole(value) and value >= 0 else np.zeros(len(clusters), bool)
        there = f"cluster {value!r}"
        if not mask.any():
            raise _wrong("a cluster", f"{value!r}", f"choose 0 to {int(np.max(clusters))}")
    if not mask.any():
        raise _wrong(f"vertices in {there}", "none", "choose another one")
    return mask.astype(np.float32)
