"""Several subjects on one surface: encoders brought to the vertices that they share, and their mean."""

import copy
from functools import reduce

import numpy as np

from factortopy.analysis.comparison import same_vertices
from factortopy.encoder.encoder import Encoder
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError, unexpected


def without_channels(encoder, rows=None):
    """The encoder's maps, scores and ROIs alone, at some of its vertices (``rows``, None all): no channels, no predictions.

    Takes little memory, so that many can stand side by side.
    """
    rows = slice(None) if rows is None else rows
    factor = None
    if encoder.has_selectors:
        whole = encoder.selectors()
        kept = {key: np.array(getattr(whole, key)[rows]) for key in ("space", "layer", "scale")}
        factor = Selectors(**kept, channel=np.zeros((len(kept["scale"]), 0), np.float32))
    vertices, ceiling = encoder.vertices.subset(rows), encoder.noise_ceiling
    out = Encoder(
        factor, None, np.zeros(len(vertices), np.float32), vertices, encoder.layer_names, encoder.grid, encoder.info,
        {name: np.asarray(mask, bool)[rows] for name, mask in encoder.rois.items()},
        None if ceiling is None else np.asarray(ceiling)[rows],
    )  # fmt: skip
    out.has_selectors = encoder.has_selectors
    out.scores = {name: values[rows] for name, values in encoder.scores.items()}
    return out


def on_shared_vertices(encoders):
    """Encoders {name: Encoder} of subjects whose vertices differ, ``without_channels`` and at the vertices that all have.

    Raises
    ------
    InputError
        Another density of the surface, or no vertex that all have.
    """
    if not encoders:
        raise InputError("comparison: expected at least one fitted encoder, found none; train one first")
    densities = {encoder.density: name for name, encoder in encoders.items()}
    if len(densities) > 1:
        listed = ", ".join(f"{density} ({name})" for density, name in densities.items())
        raise unexpected("comparison", "one density of the surface", listed, "compare those of one density")
    rows = {name: e.vertices.rows for name, e in encoders.items()}
    shared = reduce(np.intersect1d, rows.values())
    if not len(shared):
        expected = "subjects that share vertices"
        raise unexpected("comparison", expected, f"none that all of {', '.join(encoders)} have", "leave one out")
    if all(np.array_equal(own, shared) for own in rows.values()):
        return dict(encoders)
    kept = {name: np.flatnonzero(np.isin(own, shared)) for name, own in rows.items()}
    kept = {name: own[np.argsort(rows[name][own], kind="stable")] for name, own in kept.items()}
    return {name: without_channels(encoder, kept[name]) for name, encoder in encoders.items()}


def average(encoders):
    """One encoder that stands for several subjects with the same vertices: maps, scores and ROIs, no predictions.

    Selectors, scores and noise ceilings are means over subjects; a vertex is predicted, or in a ROI, where it is for at
    least half of them. Channels are each encoder's own and have no mean: the channel weights are left out (N, 0).

    Parameters
    ----------
    encoders : list of Encoder
        Of one network. A single one is given back as it is.

    Raises
    ------
    InputError
        When their vertices, or the numbers of their layers, differ.
    """
    first = same_vertices(dict(zip((f"subject {k + 1}" for k in range(len(encoders))), encoders, strict=True)))
    if len(encoders) == 1:
        return first
    out = copy.copy(first)
    out.info = {**first.info, "subject": ", ".join(str(e.info.get("subject")) for e in encoders)}
    out.info["simulated"] = any(e.simulated for e in encoders)
    if first.has_selectors:
        factors = [e.selectors() for e in encoders]
        if len({f.layer.shape[1] for f in factors}) > 1:
            expected = "encoders of one network"
            actual = f"{', '.join(str(f.layer.shape[1]) for f in factors)} layers"
            raise unexpected("average of subjects", expected, actual, "give one network's runs the same layers")
        mean = {key: np.mean([getattr(f, key) for f in factors], 0) for key in ("space", "layer", "scale")}
        out._selectors = Selectors(**mean, channel=np.zeros((first.n_vertices, 0), np.float32))
    keys = set.intersection(*(set(e.scores) for e in encoders)) - {"clusters"}
    out.scores = {key: _mean([e.scores[key] for e in encoders]) for key in sorted(keys)}
    if "predicted" in out.scores:
        out.scores["predicted"] = (out.scores["predicted"] >= 0.5).astype(np.uint8)
    ceilings = [e.noise_ceiling for e in encoders if e.noise_ceiling is not None]
    out.noise_ceiling = _mean(ceilings) if ceilings else None
    names = dict.fromkeys(name for e in encoders for name in e.rois)
    none = np.zeros(first.n_vertices, bool)
    out.rois = {n: np.mean([e.rois.get(n, none) for e in encoders], 0) >= 0.5 for n in names}
    return out


def _mean(values):
    """Mean over a list of (N,) arrays; what one subject lacks does not count, NaN where all lack it."""
    values = np.asarray(values, dtype=float)
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan)
