"""Maps to paint on the brain: values of a subject's vertices turned into bytes, colours, a legend and words.

All functions take the subject's ``hemi`` (N,) 0/1 and ``vertex`` (N,) and give a ``BrainMap`` over the whole mesh.
Vertices outside the subject, outside ``painted`` and with a NaN stay grey.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.errors import InputError
from factortopy.view import colour
from factortopy.view.brainmap import TOP, UNPAINTED, BrainMap, value_bytes, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from factortopy.encoder.selectors import Selectors

GREY = "grey: not predicted above chance, or no data"


def sentence(
    what: str,
    context: str = "",
    painted: ArrayLike | None = None,
    total: int = 0,
    verb: str = "predicted",
) -> str:
    """The generated title: what · of which network on whom · how many vertices."""
    if painted is None:
        count = f"{total:,} vertices"
    elif not np.any(painted):
        count = f"none of {total:,} vertices is {verb} above chance"
    else:
        count = f"{int(np.sum(painted)):,} of {total:,} vertices {verb}"
    return " · ".join(part for part in (what, context, count) if part)


def _keep(values, painted):
    """Values as floats with NaN where not painted."""
    values = np.array(values, dtype=float)
    if painted is not None:
        values[~np.asarray(painted, dtype=bool)] = np.nan
    return values


def _nice(top, least=0.05):
    """``top`` rounded up to 1, 1.5, 2, 3, 5, 7 or 10 times a power of ten."""
    if not np.isfinite(top) or top <= least:
        return least
    power = 10.0 ** np.floor(np.log10(top))
    return float(next(step * power for step in (1, 1.5, 2, 3, 5, 7, 10) if step * power >= top * (1 - 1e-9)))


def _decimals(span):
    """Decimals that tell values apart over ``span``: 2 for 0…1, 1 for 0…5, 0 from 10 up."""
    return int(np.clip(2 - np.ceil(np.log10(span or 1)), 0, 4))


def _number(value, decimals):
    """``value`` for a legend: no more digits than needed, a real minus."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def _build(name, what, kind, code, hemi, vertex, painted, context, density, *, alpha=None, verb="predicted", **rest):
    """A BrainMap from codes of the subject's vertices, where alpha None is opaque."""
    title = sentence(what, context, painted, len(code), verb)
    alpha = np.full(len(code), 255, np.uint8) if alpha is None else alpha
    value = whole(code, hemi, vertex, density, fill=UNPAINTED).astype(np.uint8)
    return BrainMap(
        name=name, title=title, kind=kind, value=value,
        alpha=whole(alpha, hemi, vertex, density, fill=0).astype(np.uint8), density=density, **rest,
    )  # fmt: skip


# ---------------------------------------------------------------- any value


def value_map(
    values: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    name: str,
    label: str | None = None,
    what: str | None = None,
    unit: str = "",
    palette: str | np.ndarray = "viridis",
    low: float | None = None,
    high: float | None = None,
    symmetric: bool = False,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    ends: tuple[str, str] = ("", ""),
    group: str = "",
    note: str = "",
    verb: str = "predicted",
) -> BrainMap:
    """A map of one number a vertex.

    Parameters
    ----------
    values : (N,) float
        NaN stays grey.
    palette : str or (K, 3) uint8
        viridis, inferno, blue-red, brown-purple, or colours.
    low, high : float
        What the ends of the palette stand for; None takes the 1st and 99th percentile. ``symmetric`` makes them
        opposite, so that 0 has the middle colour.
    ends : (str, str)
        Words beside the ends of the legend.
    """
    values = _keep(values, painted)
    known = values[np.isfinite(values)]
    if symmetric:
        top = high if high is not None else _nice(np.percentile(np.abs(known), 99) if len(known) else 1.0, 1e-6)
        low, high = -top, top
    low = (float(np.percentile(known, 1)) if len(known) else 0.0) if low is None else low
    high = (float(np.percentile(known, 99)) if len(known) else 1.0) if high is None else high
    if high <= low:
        high = low + 1e-6
    decimals = _decimals(high - low)
    if isinstance(palette, str):
        two_sided = palette in ("blue-red", "brown-purple")
        palette = colour.diverging(palette) if two_sided else colour.sequential(palette)
    middle = [[0.5, _number((low + high) / 2, decimals)]] if symmetric else []
    legend = {
        "shape": "strip",
        "label": f"{label or name}{f' ({unit})' if unit else ''}",
        "ticks": [[0.0, _number(low, decimals)], *middle, [1.0, _number(high, decimals)]],
        "low": ends[0],
        "high": ends[1],
        "note": note or GREY,
    }
    words = {"label": label or name, "unit": unit, "low": low, "high": high, "decimals": decimals}
    return _build(
        name, what or name, "value", value_bytes(values, low, high), hemi, vertex, painted, context, density,
        palette=palette, legend=legend, words=words, group=group or name, verb=verb,
    )  # fmt: skip


# ---------------------------------------------------------------- the selectors


def layer_map(
    selectors: Selectors,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    safe: bool = False,
    confidence_top: float | None = None,
) -> BrainMap:
    """Layer with the largest weight as hue, confidence as brightness.

    ``confidence_top`` is the confidence of full brightness; None takes the map's 98th percentile, at least 0.2, so that
    a map without any confidence stays dark. Give maps that are compared the same one. ``safe``: see ``colour.layers``.
    """
    n_layers = selectors.layer.shape[1]
    best = _keep(selectors.layer_argmax, painted)
    confidence = np.asarray(selectors.layer_confidence, dtype=float)
    used = confidence[np.isfinite(best) & np.isfinite(confidence)]
    top = confidence_top or (min(1.0, _nice(np.percentile(used, 98), 0.2)) if len(used) else 1.0)
    code = np.where(np.isfinite(best), best, UNPAINTED).astype(np.uint8)
    alpha = np.round(np.clip(np.nan_to_num(confidence) / top, 0, 1) * 255).astype(np.uint8)
    decimals = 2
    legend = {
        "shape": "grid",
        "label": "layer",
        "ticks": [[0.0, "1"], [1.0, str(n_layers)]] if n_layers > 1 else [[0.5, "1"]],
        "low": "first",
        "high": "last",
        "side": {"label": "confidence", "low": "0", "high": _number(top, decimals) + ("" if top == 1 else "+")},
        "note": GREY,
    }
    words = {
        "label": "layer",
        "names": [f"layer {k + 1} of {n_layers}" for k in range(n_layers)],
        "alpha": {"label": "confidence", "low": 0.0, "high": top, "decimals": decimals, "open": top < 1},
    }
    return _build(
        "Layer", "Layer that predicts each place best", "category", code, hemi, vertex, painted, context, density,
        alpha=alpha, palette=colour.layers(n_layers, safe), legend=legend, words=words, group="Layer",
    )  # fmt: skip


def layer_weight_map(
    selectors: Selectors,
    layer: int,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
) -> BrainMap:
    """Weight of one layer (0-based) at every vertex, from 0 to the largest weight of any layer."""
    weight = np.asarray(selectors.layer)
    used = weight if painted is None else weight[np.asarray(painted, dtype=bool)]
    top = min(1.0, _nice(float(np.nanmax(used)) if used.size else 1.0))
    n_layers = weight.shape[1]
    return value_map(
        weight[:, layer], hemi, vertex, name=f"Layer {layer + 1}", label=f"weight of layer {layer + 1}",
        what=f"Weight of layer {layer + 1} of {n_layers}", palette="inferno", low=0.0, high=top, painted=painted,
        context=context, density=density, ends=("not used", "used"), group="Layer weight",
    )  # fmt: skip


def space_map(
    selectors: Selectors,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    image_degrees: float | None = None,
) -> BrainMap:
    """Where in the picture each vertex looks; fades to grey where it reads the whole picture (scale → 1).

    ``image_degrees`` (width of a picture in degrees of visual angle) makes hovering speak in degrees.
    """
    xy = np.array(selectors.space, dtype=float)
    if painted is not None:
        xy[~np.asarray(painted, dtype=bool)] = np.nan
    xy[~np.isfinite(xy).all(1)] = np.nan
    local = np.clip(1 - np.nan_to_num(np.asarray(selectors.scale, dtype=float), nan=1.0), 0, 1)
    half = image_degrees / 2 if image_degrees else 1.0
    legend = {
        "shape": "square",
        "label": "place in the picture",
        "low": "left",
        "high": "right",
        "top": "top",
        "bottom": "bottom",
        "note": "fades where the whole picture counts (scale near 1); " + GREY,
    }
    words = {
        "label": "looks at", "unit": "°" if image_degrees else "", "low": -half, "high": half, "decimals": 1,
        "alpha": {"label": "local", "low": 0.0, "high": 1.0, "decimals": 2},
    }  # fmt: skip
    return _build(
        "Space", "Where in the picture each place looks", "plane", value_bytes(xy, -1, 1), hemi, vertex, painted,
        context, density, alpha=np.round(local * 255).astype(np.uint8), palette=colour.square(), legend=legend,
        words=words, group="Space", fade="ground",
    )  # fmt: skip


def scale_map(
    selectors: Selectors,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
) -> BrainMap:
    """0 reads one place of the picture, 1 the whole of it."""
    return value_map(
        selectors.scale, hemi, vertex, name="Scale", label="scale", what="Whether each place reads a detail or the "
        "whole picture", palette="brown-purple", low=0.0, high=1.0, painted=painted, context=context, density=density,
        ends=("local", "global"),
    )  # fmt: skip


# ---------------------------------------------------------------- scores, clusters, areas, responses


def score_map(
    score: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
) -> BrainMap:
    """Brain score, R² on test pictures, from 0 up."""
    score = np.asarray(score, dtype=float)
    known = score[np.isfinite(score)]
    top = min(1.0, _nice(np.percentile(known, 99) if len(known) else 1.0))
    return value_map(
        score, hemi, vertex, name="Brain score", label="brain score R²", what="How well each place is predicted",
        palette="viridis", low=0.0, high=top, painted=painted, context=context, density=density, ends=("chance", ""),
    )  # fmt: skip


def cluster_map(
    labels: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
) -> BrainMap:
    """Channel clusters; −1 stays grey. A cluster keeps its colour."""
    labels = np.asarray(labels)
    n = int(labels.max()) + 1 if len(labels) else 0
    if n > TOP:
        raise InputError(f"clusters: expected at most {TOP}, found {n}; ask for fewer")
    code = np.where(np.isfinite(_keep(labels, painted)) & (labels >= 0), labels, UNPAINTED).astype(np.uint8)
    names = [f"cluster {k + 1}" for k in range(n)]
    legend = {
        "shape": "swatches", "label": f"{n} clusters", "names": [str(k + 1) for k in range(n)],
        "note": "places with like colours read like channels; " + GREY,
    }  # fmt: skip
    return _build(
        "Clusters", "Places that read the same channels", "category", code, hemi, vertex, painted, context, density,
        palette=colour.categories(max(1, n)), legend=legend, words={"label": "cluster", "names": names},
        group="Clusters",
    )  # fmt: skip


def roi_map(
    rois: Mapping[str, np.ndarray],
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    context: str = "",
    density: str = "10k",
) -> BrainMap:
    """Regions of interest {name: (N,) bool}; where they overlap, the smallest is shown."""
    names = list(rois)
    if len(names) > TOP:
        raise InputError(f"regions: expected at most {TOP}, found {len(names)}; show fewer at a time")
    code = np.full(len(np.asarray(vertex)), UNPAINTED, dtype=np.uint8)
    for k in sorted(range(len(names)), key=lambda k: -np.sum(rois[names[k]])):
        code[np.asarray(rois[names[k]], dtype=bool)] = k
    legend = {"shape": "swatches", "label": "regions", "names": names, "note": "grey: outside all of them"}
    return _build(
        "Regions", "Regions of interest", "category", code, hemi, vertex, code != UNPAINTED, context, density,
        palette=colour.categories(max(1, len(names))), legend=legend, words={"label": "region", "names": names},
        group="Regions", verb="inside",
    )  # fmt: skip


def response_map(
    response: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    limit: float | None = None,
    name: str = "Response",
    what: str = "Predicted response to this picture",
    verb: str = "predicted",
) -> BrainMap:
    """Predicted or measured response (z-scored over pictures), blue below and red above the mean."""
    return value_map(
        response, hemi, vertex, name=name, label="response", what=what, palette="blue-red", high=limit, symmetric=True,
        painted=painted, context=context, density=density, ends=("below mean", "above mean"), verb=verb,
    )  # fmt: skip


def difference_map(
    first: ArrayLike,
    second: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    limit: float | None = None,
    name: str = "Difference",
    names: tuple[str, str] = ("first", "second"),
    label: str = "difference",
) -> BrainMap:
    """``first − second``, symmetric about 0."""
    return value_map(
        np.asarray(first, dtype=float) - np.asarray(second, dtype=float), hemi, vertex, name=name, label=label,
        what=f"{names[0]} minus {names[1]}", palette="blue-red", high=limit, symmetric=True, painted=painted,
        context=context, density=density, ends=(f"more: {names[1]}", f"more: {names[0]}"),
    )  # fmt: skip


def angle_map(
    angle: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    name: str = "Polar angle",
    verb: str = "predicted",
) -> BrainMap:
    """Angles in degrees, counter-clockwise from the right horizontal, on a colour wheel."""
    angle = np.mod(_keep(angle, painted), 360.0)
    wheel = colour.cyclic()
    made = value_map(
        angle, hemi, vertex, name=name, label=name.lower(), what=name, unit="°", low=0.0, high=360.0, painted=painted,
        palette=np.concatenate([wheel, wheel[:1]]), context=context, density=density, verb=verb,
    )  # fmt: skip
    legend = {"shape": "wheel", "label": name.lower(), "low": "left", "high": "right", "top": "top",
              "bottom": "bottom", "note": GREY}  # fmt: skip
    return replace(made, legend=legend)


def selector_maps(
    selectors: Selectors | None,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    painted: ArrayLike | None = None,
    score: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    context: str = "",
    density: str = "10k",
    safe: bool = False,
    image_degrees: float | None = None,
) -> list[BrainMap]:
    """All maps of a fitted encoder in the order of the view's switch: layer, each layer's weight, space, scale, and
    brain score and clusters where given. ``selectors`` None (a baseline) leaves those two; ``score`` is (N,), ``clusters``
    (N,) int."""
    common: dict[str, Any] = {"painted": painted, "context": context, "density": density}
    maps = []
    if selectors is not None:
        maps.append(layer_map(selectors, hemi, vertex, safe=safe, **common))
        maps += [layer_weight_map(selectors, k, hemi, vertex, **common) for k in range(selectors.layer.shape[1])]
        maps.append(space_map(selectors, hemi, vertex, image_degrees=image_degrees, **common))
        maps.append(scale_map(selectors, hemi, vertex, **common))
    if score is not None:
        maps.append(score_map(score, hemi, vertex, **common))
    if clusters is not None:
        maps.append(cluster_map(clusters, hemi, vertex, **common))
    return maps
