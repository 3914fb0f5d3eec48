"""Maps of the lab's results, each in the colours that its field uses for it."""

from dataclasses import replace

import numpy as np

from factortopy.view.brainmap import UNPAINTED
from factortopy.view.maps import angle_map, coded_map, response_map, rounded_up, shared_limit, value_map

NO_FIT = "grey: no fit, or not predicted above chance"
VERB = "with a value"
LABELS = {"r2": "R² of the fit", "sign": "sign of the field", "prf_size": "size", "q": "q (FDR)"}
CATEGORIES = ("faces", "bodies", "scenes", "objects", "words", "places", "characters")
PLACES = ("polar_angle", "eccentricity", "size")
MIRROR, NON_MIRROR = (250, 200, 40), (60, 110, 220)  # Sereno et al. 1995: mirror image (V1) yellow, non-mirror blue


def field_sign_map(sign, vertices, *, painted=None, context="", name="Field sign"):
    """Visual field sign: −1 a mirror image of the visual field (V1), +1 not (V2)."""
    values = np.array(sign, dtype=float)
    if painted is not None:
        values[~np.asarray(painted, dtype=bool)] = np.nan
    code = np.where(np.isfinite(values) & (values != 0), values > 0, UNPAINTED).astype(np.uint8)
    names = ["mirror image, as V1", "not mirrored, as V2"]
    return coded_map(
        name, "Visual field sign: it turns over at the borders of areas", "category", code, vertices, painted, context,
        verb=VERB, palette=np.array([MIRROR, NON_MIRROR], np.uint8),
        legend={"shape": "swatches", "label": "visual field sign", "names": names, "note": NO_FIT},
        words={"label": "field sign", "names": names}, group=name,
    )  # fmt: skip


def result_maps(maps, vertices, *, painted=None, context="", image_degrees=8.4, scale=None):
    """BrainMaps of a result's ``maps`` {name: (N,)}, in their order.

    Names that are known get their field's colours and fixed ends, so that two brains beside each other share them; all
    others are drawn symmetric about 0 when they hold both signs. ``scale``: (N,) 0 reads local tokens … 1 the global token;
    polar angle, eccentricity and size fade to grey with it.
    """
    common = {"painted": painted, "context": context}
    local = None if scale is None else np.clip(1 - np.nan_to_num(np.asarray(scale, float), nan=1.0), 0, 1)
    maps = {name: np.asarray(values, dtype=float) for name, values in maps.items() if np.isfinite(values).any()}
    # d′ before and after, and of all categories, can be compared by eye only on one scale.
    sizes = [np.nanpercentile(np.abs(values), 99) for name, values in maps.items() if name.startswith("dprime")]
    limit = rounded_up(max(sizes)) if sizes else None
    # A lesion and its random control neither: what changes little must look little.
    changes = shared_limit(values for name, values in maps.items() if name.startswith("response change"))
    faded = [{"alpha": local} if local is not None and name in PLACES else {} for name in maps]
    return [
        _map(
            name,
            values,
            vertices,
            common | fade,
            image_degrees,
            changes if name.startswith("response change") else limit,
        )
        for (name, values), fade in zip(maps.items(), faded, strict=True)
    ]


def _map(name, values, vertices, common, image_degrees, limit):
    finite = np.isfinite(values)
    painted = finite if common["painted"] is None else finite & np.asarray(common["painted"], dtype=bool)
    label = LABELS.get(name, name.replace("_", " ").replace("dprime", "d′"))
    title = label if label == "t" or label.startswith(("d′", "t ", "q ")) else label[:1].upper() + label[1:]
    common = common | {"painted": painted, "name": title}
    if name == "polar_angle":
        drawn = angle_map(values, vertices, **common, verb=VERB)
    elif name == "field_sign":
        drawn = field_sign_map(values, vertices, **common)
    elif name.startswith("response") and not name.startswith("response change"):
        drawn = response_map(values, vertices, what=title, **common, verb=VERB)
    else:
        values = np.where(values > 0, values, np.nan) if name == "border" else values
        drawn = value_map(
            values, vertices, **_options(name, label, values, image_degrees / 2, limit), **common, verb=VERB
        )
    # A lesion's map and that of its random control, and the categories' d′, share a tab with a slider.
    base = title.split(",")[0]
    return replace(
        drawn, group="d′ of each category" if name.startswith("dprime ") and name[7:] in CATEGORIES else base
    )


def _options(name, label, values, half, limit):
    """What ``value_map`` takes for a map of this name: the colours and ends of its field.

    half : degrees of half a picture's width; limit : of all d′, or of all changes of responses
    """
    if name == "eccentricity":
        return {"label": label, "unit": "°", "low": 0.0, "high": half, "ends": ("centre", "edge"), "note": NO_FIT}
    if name in ("size", "prf_size"):
        return {"label": "pRF size σ", "unit": "°", "low": 0.0, "high": half * 0.75, "palette": "inferno",
                "ends": ("small", "large"), "note": NO_FIT}  # fmt: skip
    if name in ("r2", "variance_explained"):
        return {"label": "variance explained", "low": 0.0, "high": 1.0, "palette": "inferno"}
    if name == "sign":
        return {"label": "sign of the field", "palette": "blue-red", "symmetric": True, "high": 1.0,
                "ends": ("answers less", "answers more"), "note": NO_FIT}  # fmt: skip
    if name == "border":
        return {"label": "border of areas", "low": 0.0, "high": 1.0, "note": "where the field sign turns over"}
    if name.startswith("response change"):
        return {
            "label": "response change",
            "palette": "blue-red",
            "symmetric": True,
            "high": limit,
            "ends": ("less", "more than intact"),
        }
    if name.startswith("dprime"):
        return {"label": label, "palette": "blue-red", "symmetric": True, "high": limit}
    both = np.nanmin(values) < 0 < np.nanmax(values)
    return {"label": label, "palette": "blue-red" if both else "viridis", "symmetric": both}


def time_maps(responses, times, vertices, *, painted=None, context="", what="Predicted response"):
    """One map a moment, all in one group, so that a slider plays them; one scale for all.

    responses : (T, N); times : (T,) seconds
    """
    shown = responses if painted is None else responses[:, np.asarray(painted, dtype=bool)]
    limit = max(0.1, float(np.percentile(np.abs(shown), 99))) if shown.size else 1.0
    maps = [
        response_map(row, vertices, limit=limit, name=f"{time:.2f} s", what=f"{what}, {time:.2f} s after its start",
                     painted=painted, context=context)
        for row, time in zip(responses, times, strict=True)
    ]  # fmt: skip
    return [replace(one, group="Time") for one in maps]
