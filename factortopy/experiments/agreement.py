"""Agreement of retinotopic maps, hemisphere by hemisphere, beside what the same map reaches when it is turned on the sphere."""

import numpy as np
from scipy.stats import rankdata

from factortopy.analysis import spatial_nulls

LEAST = 10  # vertices of a hemisphere below which nothing is said
LOCAL = 0.6  # a vertex with a larger scale has no place of its own: its space selector is no truth


def circular_correlation(a, b):
    """Circular correlation of two angles in degrees (Jammalamadaka & SenGupta): 1 for equal or turned, −1 for mirrored.

    a, b : (n,); NaN where one of them never varies
    """
    u, v = _deviation(a), _deviation(b)
    scale = np.sqrt((u @ u) * (v @ v))
    return float(u @ v / scale) if scale > 1e-12 else float("nan")


def _deviation(degrees):
    angle = np.deg2rad(np.asarray(degrees, np.float64))
    return np.sin(angle - np.angle(np.exp(1j * angle).mean()))


def angle_error(a, b):
    """Median absolute difference of two angles in degrees, 0 … 180."""
    return float(np.median(np.abs((np.asarray(a, np.float64) - b + 180) % 360 - 180)))


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-12 else float("nan")


def _same_sign(a, b):
    return float((a * b > 0).mean())


# name -> map, how it is prepared, score, whether a larger one is better
_SCORES = {
    "circular_r": ("polar_angle", None, circular_correlation, True),
    "angle_error": ("polar_angle", None, angle_error, False),
    "eccentricity_r": ("eccentricity", rankdata, _correlation, True),
    "size_r": ("size", rankdata, _correlation, True),
    "same_sign": ("field_sign", None, _same_sign, True),
}


def agreement(maps, truth, vertices, sphere=None, draws=spatial_nulls.DRAWS, seed=0, turns=None):
    """How well two sets of maps agree, and whether unrelated maps as smooth as these would too.

    Parameters
    ----------
    maps, truth : {"polar_angle": degrees, "eccentricity", "size", "field_sign": (N,)}
        Any may be missing; vertices that are NaN in either do not count.
    vertices : surfaces.Vertices
    sphere : (2n, 3) of the whole mesh, or None
        Without it there is neither floor nor p.
    draws : int
        So often the maps are turned on the sphere, both hemispheres alike (``spatial_nulls``). A field sign turns with them:
        a turn mirrors nothing.
    turns : callable, optional
        (mask) -> turns, in place of ``spatial_nulls.turns`` of these vertices (to draw them once for many maps).

    Returns
    -------
    {score: {"left", "right", "mean", "floor", "p", "vertices"}}
        circular_r: circular correlation of the signed polar angle; angle_error: median absolute difference in degrees;
        eccentricity_r, size_r: Spearman; same_sign: share of vertices of equal field sign. Never pooled over
        hemispheres: left and right alone would make r large. ``floor``: what the mean over hemispheres exceeds (angle_error:
        falls below) in 5 % of the turns; ``p``: the share of turns that are as good, at least 1 / (draws + 1); both None where
        nothing can be turned. None for a hemisphere of fewer than ``LEAST`` vertices. Scores of maps that are missing are
        left out.
    """
    out, drawn = {}, {}
    turns = turns or (lambda mask: spatial_nulls.turns(vertices, mask, sphere, draws, seed))
    for name, (key, prepare, score, larger) in _SCORES.items():
        if key not in maps or key not in truth:
            continue
        mapped = np.isfinite(maps[key]) & np.isfinite(truth[key])
        if not mapped.any():
            continue
        own = [mapped & (vertices.hemi == side) for side in (0, 1)]
        used = np.any([side for side in own if side.sum() >= LEAST], axis=0) & mapped
        a, b = (_prepared(m[key], own, prepare) for m in (maps, truth))
        values = [score(a[side], b[side]) if side.sum() >= LEAST else np.nan for side in own]
        mean = _mean(values)
        if used.tobytes() not in drawn:
            drawn[used.tobytes()] = turns(used)
        chance = [_turned(score, a, b, vertices.hemi, turn) for turn in drawn[used.tobytes()]]
        floor, p = spatial_nulls.floor_and_p(mean, chance, larger)
        out[name] = {
            "left": _number(values[0]), "right": _number(values[1]), "mean": _number(mean), "floor": _number(floor),
            "p": _number(p), "vertices": int(mapped.sum()),
        }  # fmt: skip
    return out


def _prepared(values, own, prepare):
    values = np.array(values, np.float64)
    for side in own:
        if prepare and side.any():
            values[side] = prepare(values[side])
    return values


def _turned(score, a, b, hemi, turn):
    """Mean over hemispheres of a score of a turned map."""
    to, source = turn
    cut = np.searchsorted(hemi[to], 1)  # left first
    return _mean([score(a[source[part]], b[to[part]]) for part in (slice(cut), slice(cut, None)) if len(to[part])])


def _mean(values):
    values = [value for value in values if np.isfinite(value)]
    return float(np.mean(values)) if values else float("nan")


def _number(value):
    return float(value) if np.isfinite(value) else None


# ---------------------------------------------------------------- what an encoder's maps are compared with


def position(polar_angle, eccentricity):
    """x right and y up in degrees of visual angle."""
    angle = np.deg2rad(polar_angle)
    return eccentricity * np.cos(angle), eccentricity * np.sin(angle)


def truths(encoder, atlas, rows, image_degrees):
    """What an encoder's maps can be compared with.

    encoder : Encoder; atlas : surfaces.Retinotopy or None; rows : (N,) of the whole mesh; image_degrees : of a picture

    Returns
    -------
    {"measured", "atlas", "selectors": (maps, x, y)}
        Of what there is: the subject's measured maps, the atlas, the space selector of vertices with a scale below 0.6
        (baselines have none). Maps as ``agreement`` takes them; x, y (N,) degrees, y up, NaN where unknown.
    """
    size, out = "prf_size" if "prf_size" in encoder.maps else "size", {}
    names = {"polar_angle": "polar_angle", "eccentricity": "eccentricity", "size": size}
    measured = {name: np.array(encoder.maps[k], np.float64) for name, k in names.items() if k in encoder.maps}
    if measured:
        missing = np.full(encoder.n_vertices, np.nan)
        out["measured"] = (measured, *position(*(measured.get(k, missing) for k in ("polar_angle", "eccentricity"))))
    places = {}
    if atlas is not None:
        places["atlas"] = (atlas.x[rows], atlas.y[rows])
    if encoder.has_selectors and "space" in encoder.info.get("select", ("space",)):
        factor = encoder.selectors()
        local = factor.scale < LOCAL
        places["selectors"] = tuple(
            np.where(local, a * (image_degrees / 2), np.nan) for a in (factor.space[:, 0], -factor.space[:, 1])
        )
    for name, (x, y) in places.items():
        maps = {"polar_angle": np.rad2deg(np.arctan2(y, x)) % 360, "eccentricity": np.hypot(x, y)}
        out[name] = (maps, x, y)
    return out


def within(truth, radius):
    """Maps without the vertices that look beyond the aperture: nothing was shown there."""
    if "eccentricity" not in truth:
        return truth
    beyond = truth["eccentricity"] > radius
    return {name: np.where(beyond, np.nan, values) for name, values in truth.items()}


def by_area(encoder, maps, signs):
    """Rows of a table by ROI: vertices, share mapped, medians of r2, eccentricity, size, polar angle's error, right signs."""
    rows, measured = [], encoder.maps.get("polar_angle", np.full(encoder.n_vertices, np.nan))
    place = "polar_angle" if np.isfinite(maps["polar_angle"]).any() else "eccentricity"
    for name, mask in {**encoder.rois, "all": np.ones(encoder.n_vertices, bool)}.items():
        use = mask & np.isfinite(maps[place])
        row = {"roi": name, "vertices": int(mask.sum()), "mapped": float(use.sum() / max(mask.sum(), 1))}
        row["r2"] = _median(maps["r2"][mask])
        row |= {key: _median(maps[key][use]) for key in ("eccentricity", "size")}
        both = mask & np.isfinite(measured) & np.isfinite(maps["polar_angle"])
        row["angle_error"] = angle_error(maps["polar_angle"][both], measured[both]) if both.any() else None
        row["right_sign"] = signs.get(name, {}).get("share")
        rows.append(row)
    return rows


def _median(values):
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
