"""What an encoder comes to in a few numbers, and how they change along a setting: data, decay of the regulariser, ablations."""

import numpy as np

from factortopy.analysis.comparison import layer_shares, same_vertices
from factortopy.analysis.finite import mean
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import hierarchy
from factortopy.errors import InputError

COLLAPSED = 0.9  # share of the vertices on one layer from which a selection counts as collapsed


def in_numbers(encoder, levels=None):
    """A scored encoder in one row.

    Returns
    -------
    dict
        score (mean R²), b0, b1, slope (NaN without the ROIs), confidence, one_layer (largest share of the predicted
        vertices on one layer), layers_used (exp of the entropy of these shares: 1 … L), smooth (``smoothness``), scale;
        those of selectors NaN for a baseline.
    """
    of_selectors = ("b0", "b1", "slope", "confidence", "one_layer", "layers_used", "smooth", "scale")
    row = {"score": mean(encoder.scores.get("score"))} | dict.fromkeys(of_selectors, float("nan"))
    if not encoder.has_selectors:
        return row
    factor, use = encoder.selectors(), painted(encoder)
    try:
        fitted = hierarchy(factor, encoder.rois, levels)
        row |= {"b0": fitted.b0, "b1": fitted.b1, "slope": fitted.slope}
    except InputError:
        pass  # a network of one layer, or a subject without these ROIs, has no slope
    if use.any():
        share = layer_shares(encoder)
        row["confidence"], row["scale"] = mean(factor.layer_confidence[use]), mean(factor.scale[use])
        row["one_layer"] = float(share.max())
        row["layers_used"] = float(np.exp(-(share * np.log(np.maximum(share, 1e-12))).sum()))
        row["smooth"] = smoothness(encoder)
    return row


def collapsed(row):
    """True where ``in_numbers`` finds nine of ten predicted vertices on one layer."""
    return bool(row["one_layer"] >= COLLAPSED)


def smoothness(encoder, edges=None):
    """Share of neighbouring pairs of predicted vertices that have their largest weight on the same layer.

    Parameters
    ----------
    edges : (E, 2) int, optional
        Pairs of rows of the encoder's vertices; those of its fsaverage mesh when None.

    Returns
    -------
    float, NaN where no two predicted vertices are neighbours
    """
    edges = neighbours(encoder) if edges is None else edges
    use, layer = painted(encoder), encoder.selectors().layer_argmax
    edges = edges[use[edges].all(1)]
    return float((layer[edges[:, 0]] == layer[edges[:, 1]]).mean()) if len(edges) else float("nan")


def neighbours(encoder):
    """(E, 2) rows of the encoder's vertices that share an edge of their fsaverage mesh."""
    from factortopy.surfaces.meshes import N_VERTICES, load_mesh

    row = np.full(2 * N_VERTICES[encoder.density], -1)
    row[encoder.vertices.rows] = np.arange(encoder.n_vertices)
    faces = row[load_mesh(encoder.density).faces]
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs[pairs[:, 0] >= 0], axis=0)


def curve(encoders, name, levels=None):
    """``in_numbers`` of encoders {value of a setting: Encoder}, one row each, the setting's value under ``name``."""
    return [{name: value} | in_numbers(encoder, levels) for value, encoder in encoders.items()]


def ablation(encoders, reference):
    """Mean R² by ROI of each encoder, and its difference to the reference (paper, Table 3).

    Parameters
    ----------
    encoders : {name: Encoder}, scored, of the same vertices; reference : name of the full model

    Returns
    -------
    list of dict
        One row an encoder: model, all, then a column a ROI; difference (of "all" to the reference), better (share of
        vertices that it predicts better than the reference does).
    """
    first = same_vertices(encoders)
    base = np.asarray(encoders[reference].scores["score"], float)
    rows = []
    for name, encoder in encoders.items():
        score = np.asarray(encoder.scores["score"], float)
        row = {"model": name, "all": mean(score)} | {roi: mean(score[mask]) for roi, mask in first.rois.items()}
        both = np.isfinite(score) & np.isfinite(base)
        row |= {"difference": mean((score - base)[both]), "better": mean((score > base)[both])}
        rows.append(row)
    return rows


def top_confidence(encoders):
    """Confidence (0.2 to 1) that is to be full brightness in layer maps of several encoders: the largest 98th percentile."""
    tops = [np.percentile(e.selectors().layer_confidence[painted(e)], 98) for e in encoders if painted(e).any()]
    return float(np.clip(max(tops, default=0.2), 0.2, 1))
