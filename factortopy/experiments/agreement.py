"""Agreement of retinotopic maps, hemisphere by hemisphere, beside what vertices swapped at random would reach."""

import numpy as np
from scipy.stats import rankdata

LEAST = 10  # vertices of a hemisphere below which nothing is said
PERMUTATIONS = 200
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


# name -> map, how it is prepared, score, which end of the shuffled scores is the floor
_SCORES = {
    "circular_r": ("polar_angle", None, circular_correlation, 95),
    "angle_error": ("polar_angle", None, angle_error, 5),
    "eccentricity_r": ("eccentricity", rankdata, _correlation, 95),
    "size_r": ("size", rankdata, _correlation, 95),
    "same_sign": ("field_sign", None, _same_sign, 95),
}


def agreement(maps, truth, hemi, permutations=PERMUTATIONS, seed=0, swapped_signs=()):
    """How well two sets of maps agree.

    Parameters
    ----------
    maps, truth : {"polar_angle": degrees, "eccentricity", "size", "field_sign": (N,)}
        Any may be missing; vertices that are NaN in either do not count.
    hemi : (N,) 0 left, 1 right
    permutations : int
        So often the map's vertices are swapped at random within the hemisphere for the floor.
    swapped_signs : sequence of (N,)
        Field signs of maps whose vertices were swapped: the sign is made of neighbours, so that swapping finished signs
        would be another thing. Without any there is no floor for it.

    Returns
    -------
    {score: {"left", "right", "mean", "floor", "vertices"}}
        circular_r: circular correlation of the signed polar angle; angle_error: median absolute difference in degrees;
        eccentricity_r, size_r: Spearman; same_sign: share of vertices of equal field sign. Never pooled over
        hemispheres: left and right alone would make r large. ``floor``: the 95th percentile (angle_error: the 5th) of the
        mean over hemispheres with swapped vertices. None for a hemisphere of fewer than ``LEAST`` vertices. Scores of
        maps that are missing are left out.
    """
    rng, out = np.random.default_rng(seed), {}
    for name, (key, prepare, score, end) in _SCORES.items():
        if key not in maps or key not in truth:
            continue
        values, shuffled, count = [], [], 0
        for side in (0, 1):
            ok = (hemi == side) & np.isfinite(maps[key]) & np.isfinite(truth[key])
            count += int(ok.sum())
            if ok.sum() < LEAST:
                values.append(np.nan)
                continue
            a, b = (prepare(m[key][ok]) if prepare else np.asarray(m[key][ok], np.float64) for m in (maps, truth))
            values.append(score(a, b))
            if key == "field_sign":
                others = (np.asarray(sign, np.float64)[ok] for sign in swapped_signs)
            else:
                others = (a[rng.permutation(len(a))] for _ in range(permutations))
            shuffled.append([score(other, b) for other in others])
        if count:
            means = np.mean(shuffled, 0) if shuffled and shuffled[0] else np.array([np.nan])
            out[name] = {
                "left": _number(values[0]), "right": _number(values[1]),
                "mean": _number(np.nanmean(values)) if np.isfinite(values).any() else None,
                "floor": _number(np.percentile(means, end)), "vertices": count,
            }  # fmt: skip
    return out


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
