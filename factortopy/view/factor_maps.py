"""Maps of what an encoder has learnt of each vertex: its layer, where it looks, local or global.

Arguments as in maps.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import numpy as np

from factortopy.view import colour
from factortopy.view.brainmap import UNPAINTED, BrainMap, value_bytes
from factortopy.view.maps import (
    GREY,
    Shown,
    angle_map,
    cluster_map,
    coded_map,
    number_text,
    painted_only,
    rounded_up,
    score_map,
    value_map,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from factortopy.encoder.selectors import Selectors
    from factortopy.surfaces.coordinates import Vertices

FADES = "fades where the whole picture counts (scale near 1); " + GREY


def layer_map(
    selectors: Selectors,
    vertices: Vertices,
    *,
    safe: bool = False,
    confidence_top: float | None = None,
    **shown: Unpack[Shown],
) -> BrainMap:
    """Layer with the largest weight as hue, confidence as brightness.

    ``confidence_top`` is the confidence of full brightness; None takes the map's 98th percentile, at least 0.2, so that
    a map without any confidence stays dark. Give maps that are compared the same one. ``safe``: see ``colour.layers``.
    """
    n_layers = selectors.layer.shape[1]
    best = painted_only(selectors.layer_argmax, shown.get("painted"))
    confidence = np.asarray(selectors.layer_confidence, dtype=float)
    used = confidence[np.isfinite(best) & np.isfinite(confidence)]
    top = confidence_top or (min(1.0, rounded_up(np.percentile(used, 98), 0.2)) if len(used) else 1.0)
    code = np.where(np.isfinite(best), best, UNPAINTED).astype(np.uint8)
    alpha = np.round(np.clip(np.nan_to_num(confidence) / top, 0, 1) * 255).astype(np.uint8)
    decimals = 2
    legend = {
        "shape": "grid",
        "label": "layer",
        "ticks": [[0.0, "1"], [1.0, str(n_layers)]] if n_layers > 1 else [[0.5, "1"]],
        "low": "first",
        "high": "last",
        "side": {"label": "confidence", "low": "0", "high": number_text(top, decimals) + ("" if top == 1 else "+")},
        "note": GREY,
    }
    words = {
        "label": "layer",
        "names": [f"layer {k + 1} of {n_layers}" for k in range(n_layers)],
        "alpha": {"label": "confidence", "low": 0.0, "high": top, "decimals": decimals, "open": top < 1},
    }
    return coded_map(
        "Layer", "Layer that predicts each place best", "category", code, vertices, alpha=alpha,
        palette=colour.layers(n_layers, safe), legend=legend, words=words, group="Layer", **shown,
    )  # fmt: skip


def confidence_map(
    selectors: Selectors, vertices: Vertices, *, high: float | None = None, **shown: Unpack[Shown]
) -> BrainMap:
    """How far one layer alone is used: 1 + Σ ω log ω / log L, 0 all layers alike, 1 a single one (paper, Figs. 14 to 16).

    ``high`` is what the brightest colour stands for; None as in ``layer_map``.
    """
    confidence = np.asarray(selectors.layer_confidence, dtype=float)
    used = painted_only(confidence, shown.get("painted"))
    used = used[np.isfinite(used)]
    top = high or (min(1.0, rounded_up(np.percentile(used, 98), 0.2)) if len(used) else 1.0)
    return value_map(
        confidence, vertices, name="Confidence", label="confidence of the layer", what="How far one layer alone is used",
        palette="viridis", low=0.0, high=top, ends=("all layers alike", "one layer"), **shown,
    )  # fmt: skip


def layer_weight_map(
    selectors: Selectors,
    layer: int,
    vertices: Vertices,
    *,
    high: float | None = None,
    **shown: Unpack[Shown],
) -> BrainMap:
    """Weight of one layer (0-based) at every vertex, from 0 to ``high`` (None: the largest weight of any layer)."""
    weight, painted = np.asarray(selectors.layer), shown.get("painted")
    used = weight if painted is None else weight[np.asarray(painted, dtype=bool)]
    top = high or min(1.0, rounded_up(float(np.nanmax(used)) if used.size else 1.0))
    n_layers = weight.shape[1]
    return value_map(
        weight[:, layer], vertices, name=f"Layer {layer + 1}", label=f"weight of layer {layer + 1}",
        what=f"Weight of layer {layer + 1} of {n_layers}", palette="inferno", low=0.0, high=top,
        ends=("not used", "used"), group="Layer weight", **shown,
    )  # fmt: skip


def space_map(
    selectors: Selectors,
    vertices: Vertices,
    *,
    image_degrees: float | None = None,
    **shown: Unpack[Shown],
) -> BrainMap:
    """Where in the picture each vertex looks; fades to grey where it reads the whole picture (scale → 1).

    ``image_degrees`` (width of a picture in degrees of visual angle) makes hovering speak in degrees.
    """
    xy, local = _places(selectors, shown.get("painted"))
    half = image_degrees / 2 if image_degrees else 1.0
    legend = {
        "shape": "square",
        "label": "place in the picture",
        "low": "left",
        "high": "right",
        "top": "top",
        "bottom": "bottom",
        "note": FADES,
    }
    words = {
        "label": "looks at", "unit": "°" if image_degrees else "", "low": -half, "high": half, "decimals": 1,
        "alpha": {"label": "local", "low": 0.0, "high": 1.0, "decimals": 2},
    }  # fmt: skip
    return coded_map(
        "Space", "Where in the picture each place looks", "plane", value_bytes(xy, -1, 1), vertices,
        alpha=np.round(local * 255).astype(np.uint8), palette=colour.square(), legend=legend, words=words, group="Space",
        fade="ground", **shown,
    )  # fmt: skip


def polar_angle_map(selectors: Selectors, vertices: Vertices, *, group: str = "", **shown: Unpack[Shown]) -> BrainMap:
    """Polar angle of where each vertex looks, in degrees counter-clockwise from the right; fades as ``space_map`` does."""
    xy, local = _places(selectors, shown.get("painted"))
    angle = np.degrees(np.arctan2(-xy[:, 1], xy[:, 0]))  # space: y down
    drawn = angle_map(angle, vertices, alpha=local, **shown)
    return replace(drawn, legend=drawn.legend | {"note": FADES}, group=group or drawn.group)


def eccentricity_map(
    selectors: Selectors,
    vertices: Vertices,
    *,
    image_degrees: float | None = None,
    group: str = "",
    **shown: Unpack[Shown],
) -> BrainMap:
    """How far from the picture's centre each vertex looks, in degrees of visual angle where ``image_degrees`` (width of a
    picture) is known, else in shares of half its width; fades as ``space_map`` does."""
    xy, local = _places(selectors, shown.get("painted"))
    half = image_degrees / 2 if image_degrees else 1.0
    return value_map(
        np.hypot(xy[:, 0], xy[:, 1]) * half, vertices, name="Eccentricity", label="eccentricity",
        what="How far from the centre each place looks", unit="°" if image_degrees else "", low=0.0, high=half,
        ends=("centre", "edge"), note=FADES, alpha=local, group=group, **shown,
    )  # fmt: skip


def _places(selectors, painted):
    """((N, 2) where each vertex looks, NaN where not painted; (N,) how local it is, 1 … 0)."""
    xy = np.array(selectors.space, dtype=float)
    if painted is not None:
        xy[~np.asarray(painted, dtype=bool)] = np.nan
    xy[~np.isfinite(xy).all(1)] = np.nan
    return xy, np.clip(1 - np.nan_to_num(np.asarray(selectors.scale, dtype=float), nan=1.0), 0, 1)


def scale_map(selectors: Selectors, vertices: Vertices, **shown: Unpack[Shown]) -> BrainMap:
    """0 reads one place of the picture, 1 the whole of it."""
    return value_map(
        selectors.scale, vertices, name="Scale", label="scale", what="Whether each place reads a detail or the "
        "whole picture", palette="brown-purple", low=0.0, high=1.0, ends=("local", "global"), **shown,
    )  # fmt: skip


def selector_maps(
    selectors: Selectors | None,
    vertices: Vertices,
    *,
    score: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    safe: bool = False,
    image_degrees: float | None = None,
    **shown: Unpack[Shown],
) -> list[BrainMap]:
    """All maps of a fitted encoder in the order of the view's switch: layer, each layer's weight, space, scale, and
    brain score and clusters where given. ``selectors`` None (a baseline) leaves those two; ``score`` is (N,), ``clusters``
    (N,) int."""
    maps = []
    if selectors is not None:
        maps.append(layer_map(selectors, vertices, safe=safe, **shown))
        maps += [layer_weight_map(selectors, k, vertices, **shown) for k in range(selectors.layer.shape[1])]
        maps.append(space_map(selectors, vertices, image_degrees=image_degrees, **shown))
        maps.append(scale_map(selectors, vertices, **shown))
    if score is not None:
        maps.append(score_map(score, vertices, **shown))
    if clusters is not None:
        maps.append(cluster_map(clusters, vertices, **shown))
    return maps


def detail_maps(
    selectors: Selectors | None,
    vertices: Vertices,
    *,
    scores: Mapping[str, ArrayLike] | None = None,
    image_degrees: float | None = None,
    **shown: Unpack[Shown],
) -> list[BrainMap]:
    """What stands beside the maps of ``selector_maps``, in their groups, so that the view's switch stays short: confidence
    beside the layer, polar angle and eccentricity beside space, other ``scores`` {label: (N,)} beside the brain score."""
    maps = []
    if selectors is not None:
        maps.append(replace(confidence_map(selectors, vertices, **shown), group="Layer"))
        maps.append(polar_angle_map(selectors, vertices, group="Space", **shown))
        maps.append(eccentricity_map(selectors, vertices, image_degrees=image_degrees, group="Space", **shown))
    for label, values in (scores or {}).items():
        maps.append(replace(score_map(values, vertices, label=label, **shown), name=label, group="Brain score"))
    return maps
