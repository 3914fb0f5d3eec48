"""Maps of the lab's results, each in the colours that its field uses for it."""

from dataclasses import replace

import numpy as np

from factortopy.view.brainmap import UNPAINTED
from factortopy.view.maps import _build, _nice, angle_map, response_map, value_map

NO_FIT = "grey: no fit, or not predicted above chance"
VERB = "with a value"
SAID = {"r2": "R² of the fit", "prf_size": "size", "q": "q (FDR)"}
CATEGORIES = ("faces", "bodies", "scenes", "objects", "words", "places", "characters")
MIRROR, NON_MIRROR = (250, 200, 40), (60, 110, 220)  # Sereno et al. 1995: mirror image (V1) yellow, non-mirror blue


def field_sign_map(sign, vertices, *, painted=None, context="", name="Field sign"):
    """Visual field sign: −1 a mirror image of the visual field (V1), +1 not (V2)."""
    values = np.array(sign, dtype=float)
    if painted is not None:
        values[~np.asarray(painted, dtype=bool)] = np.nan
    code = np.where(np.isfinite(values) & (values != 0), values > 0, UNPAINTED).astype(np.uint8)
    names = ["mirror image, as V1", "not mirrored, as V2"]
    return _build(
        name, "Visual field sign: it turns over at the borders of areas", "category", code, vertices, painted, context,
        verb=VERB, palette=np.array([MIRROR, NON_MIRROR], np.uint8),
        legend={"shape": "swatches", "label": "visual field sign", "names": names, "note": NO_FIT},
        words={"label": "field sign", "names": names}, group=name,
    )  # fmt: skip


def result_maps(maps, vertices, *, painted=None, context="", image_degrees=8.4):
    """BrainMaps of a result's ``maps`` {name: (N,)}, in their order.

    Names that are known get their field's colours and fixed ends, so that two brains beside each other share them; all
    others are drawn symmetric about 0 when they hold both signs.
    """
    common = {"painted": painted, "context": context}
    maps = {name: np.asarray(values, dtype=float) for name, values in maps.items() if np.isfinite(values).any()}
    # d′ before and after, and of all categories, can be compared by eye only on one scale.
    sizes = [np.nanpercentile(np.abs(values), 99) for name, values in maps.items() if name.startswith("dprime")]
    limit = _nice(max(sizes)) if sizes else None
    return [_map(name, values, vertices, common, image_degrees, limit) for name, values in maps.items()]


def _map(name, values, vertices, common, image_degrees, limit):
    known = np.isfinite(values)
    shown = known if common["painted"] is None else known & np.asarray(common["painted"], dtype=bool)
    common = common | {"painted": shown, "verb": VERB}
    half, said = image_degrees / 2, name.replace("_", " ").replace("dprime", "d′")
    said = SAID.get(name, said)
    title = said if said == "t" or said.startswith(("d′", "t ", "q ")) else said[:1].upper() + said[1:]
    made = None
    if name == "polar_angle":
        made = angle_map(values, vertices, **common, name=title)
    elif name == "eccentricity":
        made = value_map(values, vertices, name=title, label="eccentricity", unit="°", low=0.0, high=half, ends=("centre", "edge"),
                         note=NO_FIT, **common)  # fmt: skip
    elif name in ("size", "prf_size"):
        made = value_map(values, vertices, name=title, label="pRF size σ", unit="°", low=0.0, high=half * 0.75, palette="inferno",
                         ends=("small", "large"), note=NO_FIT, **common)  # fmt: skip
    elif name in ("r2", "variance_explained"):
        made = value_map(values, vertices, name=title, label="variance explained", low=0.0, high=1.0, palette="inferno",
                         **common)  # fmt: skip
    elif name == "field_sign":
        made = field_sign_map(values, vertices, **{k: v for k, v in common.items() if k != "verb"}, name=title)
    elif name == "border":
        made = value_map(np.where(values > 0, values, np.nan), vertices, name=title, label="border of areas", low=0.0, high=1.0,
                         palette="viridis", note="where the field sign turns over", **common)  # fmt: skip
    elif name.startswith("response change"):
        made = value_map(values, vertices, name=title, label="response change", palette="blue-red", symmetric=True,
                         ends=("less", "more than intact"), **common)  # fmt: skip
    elif name.startswith("response"):
        made = response_map(values, vertices, name=title, what=title, **common)
    elif name.startswith("dprime"):
        made = value_map(
            values, vertices, name=title, label=said, palette="blue-red", symmetric=True, high=limit, **common
        )
    else:
        both = np.nanmin(values) < 0 < np.nanmax(values)
        made = value_map(values, vertices, name=title, label=said, palette="blue-red" if both else "viridis", symmetric=both,
                         **common)  # fmt: skip
    # A lesion's map and that of its random control, and the categories' d′, share a tab with a slider.
    base = title.split(",")[0]
    return replace(made, group="d′ of each category" if name.startswith("dprime ") and name[7:] in CATEGORIES else base)


def time_maps(responses, times, vertices, *, painted=None, context="", what="Predicted response"):
    """One map a moment, all in one group, so that a slider plays them; one scale for all.

    responses : (T, N); times : (T,) seconds
    """
    known = responses if painted is None else responses[:, np.asarray(painted, dtype=bool)]
    limit = max(0.1, float(np.percentile(np.abs(known), 99))) if known.size else 1.0
    maps = [
        response_map(row, vertices, limit=limit, name=f"{time:.2f} s", what=f"{what}, {time:.2f} s after its start",
                     painted=painted, context=context)
        for row, time in zip(responses, times, strict=True)
    ]  # fmt: skip
    return [replace(made, group="Time") for made in maps]
