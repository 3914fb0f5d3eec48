"""One fit in the numbers that the checklist needs, by area."""

import numpy as np

from factortopy.analysis.channels import channel_diversity, hemisphere_cosines
from factortopy.analysis.comparison import areas_and_all, layer_shares
from factortopy.analysis.finite import mean
from factortopy.analysis.scores import painted

# Whole areas, without their parts (V1v, FFA-1): parts of one area are not two areas whose labels could be exchanged.
AREAS = ("V1", "V2", "V3", "hV4", "LO", "OFA", "FFA", "FBA", "EBA", "PPA", "OPA", "RSC", "OWFA", "VWFA")
EARLY = ("V1", "V2", "V3")
MIDDLE = ("V3", "hV4", "LO", "OFA", "OPA")
VENTRAL, DORSAL = ("FFA", "FBA", "OFA", "PPA", "VWFA", "OWFA"), ("OPA", "EBA")
LOCAL = 0.6  # scale above which the place in the picture says little
LEAST = 3  # vertices of an area that count


def numbers(encoder, levels=None):
    """One fit in numbers.

    Returns
    -------
    dict
        score {area or "all": mean R²}; of an encoder with selectors also scale, layer (mean layer), first (weight of the first third of
        the layers), last (weight of the last one): {area: (left, right) mean over predicted vertices, NaN for none}; contralateral
        (left, right: share of the local vertices that look at the other side); one_layer; layers; and, where channels are kept,
        diversity {area: …} and cosines (areas, matrix of left against right halves).
    """
    out = {"score": {n: mean(encoder.scores.get("score"), mask) for n, mask in areas_and_all(encoder).items()}}
    if not encoder.has_selectors:
        return out
    factor, use = encoder.selectors(), painted(encoder)
    sides = [use & (encoder.hemi == side) for side in (0, 1)]
    depth = factor.layer.shape[1]
    maps = {
        "scale": factor.scale, "layer": factor.layer_mean, "last": factor.layer[:, -1],
        "first": first_share(factor.layer),
    }  # fmt: skip
    names = dict.fromkeys((*AREAS, *(levels or ())))
    areas = {n: np.asarray(encoder.rois[n], bool) for n in names if n in encoder.rois}
    areas = {n: mask for n, mask in areas.items() if (mask & use).sum() >= LEAST}
    for key, values in maps.items():
        out[key] = {n: tuple(mean(values, mask & side) for side in sides) for n, mask in areas.items()}
    opposite = (factor.space[:, 0] > 0) == (encoder.hemi == 0)
    out["contralateral"] = tuple(mean(opposite.astype(float), side & (factor.scale < LOCAL)) for side in sides)
    out |= {"layers": depth, "one_layer": float(layer_shares(encoder).max()) if use.any() else np.nan}
    if factor.channel.shape[1]:
        out["diversity"] = {row["roi"]: row["diversity"] for row in channel_diversity(encoder) if row["roi"] in AREAS}
        names, cosines = hemisphere_cosines(encoder)
        rows = [k for k, name in enumerate(names) if name in AREAS]
        out["cosines"] = [names[k] for k in rows], cosines[np.ix_(rows, rows)]
    return out


def first_share(layer):
    """(N,) weight of the first third of the layers, of (N, L) weights."""
    return layer[:, : max(1, layer.shape[1] // 3)].sum(1)
