"""Maps to paint on the brain: values of a subject's vertices turned into bytes, colours, a legend and words.

All functions take the subject's or encoder's ``vertices``, by name what ``Shown`` lists, and give a ``BrainMap`` over the
whole mesh. Vertices outside the subject, outside ``painted`` and with a NaN stay grey. Maps of what an encoder has
learnt are in factor_maps.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from factortopy.errors import InputError
from factortopy.view import colour
from factortopy.view.brainmap import TOP, UNPAINTED, BrainMap, value_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from factortopy.surfaces.coordinates import Vertices

GREY = "grey: not predicted above chance, or no data"
LEAST_RESPONSE = 0.1  # standard deviations over pictures that full colour of a map of responses stands for at least


class Shown(TypedDict, total=False):
    """What every map takes by name.

    painted : (N,) bool, vertices that are painted; None all
    context : str, of which network on whom, for the title
    """

    painted: ArrayLike | None
    context: str


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


def painted_only(values, painted):
    """Values as floats with NaN where not painted."""
    values = np.array(values, dtype=float)
    if painted is not None:
        values[~np.asarray(painted, dtype=bool)] = np.nan
    return values


def rounded_up(top, least=0.05):
    """``top`` rounded up to 1, 1.5, 2, 3, 5, 7 or 10 times a power of ten."""
    if not np.isfinite(top) or top <= least:
        return least
    power = 10.0 ** np.floor(np.log10(top))
    return float(next(step * power for step in (1, 1.5, 2, 3, 5, 7, 10) if step * power >= top * (1 - 1e-9)))


def shared_limit(responses, least=LEAST_RESPONSE):
    """Full colour of maps that stand together, each (N,) about 0: the largest 99th percentile of absolute values, at least ``least``."""
    finite = [np.abs(x[np.isfinite(x)]) for x in map(np.asarray, responses)]
    return rounded_up(max((np.percentile(x, 99) for x in finite if len(x)), default=1.0), least)


def _decimals(span):
    """Decimals that tell values apart over ``span``: 2 for 0…1, 1 for 0…5, 0 from 10 up."""
    return int(np.clip(2 - np.ceil(np.log10(span or 1)), 0, 4))


def number_text(value, decimals):
    """``value`` for a legend: no more digits than needed, a real minus."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def coded_map(name, what, kind, code, vertices, painted=None, context="", *, alpha=None, verb="predicted", **rest):
    """A BrainMap from codes of the subject's vertices, where alpha None is opaque."""
    title = sentence(what, context, painted, len(code), verb)
    alpha = np.full(len(code), 255, np.uint8) if alpha is None else alpha
    value, alpha = (vertices.whole(codes, fill).astype(np.uint8) for codes, fill in ((code, UNPAINTED), (alpha, 0)))
    return BrainMap(name=name, title=title, kind=kind, value=value, alpha=alpha, density=vertices.density, **rest)


def value_map(
    values: ArrayLike,
    vertices: Vertices,
    *,
    name: str,
    label: str | None = None,
    what: str | None = None,
    unit: str = "",
    palette: str | np.ndarray = "viridis",
    low: float | None = None,
    high: float | None = None,
    symmetric: bool = False,
    ends: tuple[str, str] = ("", ""),
    group: str = "",
    note: str = "",
    verb: str = "predicted",
    alpha: ArrayLike | None = None,
    **shown: Unpack[Shown],
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
    verb : str
        What the counted vertices are: "2,431 of 5,120 vertices predicted".
    alpha : (N,) float, optional
        Opacity over the grey ground, 0 … 1; None is opaque.
    """
    values = painted_only(values, shown.get("painted"))
    finite = values[np.isfinite(values)]
    if symmetric:
        top = high if high is not None else rounded_up(np.percentile(np.abs(finite), 99) if len(finite) else 1.0, 1e-6)
        low, high = -top, top
    low = (float(np.percentile(finite, 1)) if len(finite) else 0.0) if low is None else low
    high = (float(np.percentile(finite, 99)) if len(finite) else 1.0) if high is None else high
    if high <= low:
        high = low + 1e-6
    decimals = _decimals(high - low)
    if isinstance(palette, str):
        two_sided = palette in ("blue-red", "brown-purple")
        palette = colour.diverging(palette) if two_sided else colour.sequential(palette)
    middle = [[0.5, number_text((low + high) / 2, decimals)]] if symmetric else []
    legend = {
        "shape": "strip",
        "label": f"{label or name}{f' ({unit})' if unit else ''}",
        "ticks": [[0.0, number_text(low, decimals)], *middle, [1.0, number_text(high, decimals)]],
        "low": ends[0],
        "high": ends[1],
        "note": note or GREY,
    }
    words = {"label": label or name, "unit": unit, "low": low, "high": high, "decimals": decimals}
    faded = {} if alpha is None else {"alpha": np.round(np.asarray(alpha) * 255).astype(np.uint8), "fade": "ground"}
    return coded_map(
        name, what or name, "value", value_bytes(values, low, high), vertices, palette=palette, legend=legend,
        words=words, group=group or name, verb=verb, **faded, **shown,
    )  # fmt: skip


# ---------------------------------------------------------------- scores, clusters, areas, responses


def score_map(
    score: ArrayLike,
    vertices: Vertices,
    *,
    label: str = "brain score R²",
    high: float | None = None,
    **shown: Unpack[Shown],
) -> BrainMap:
    """Brain score on test pictures, R² or what ``label`` says, from 0 up to ``high`` (None: that of the best vertices)."""
    score = np.asarray(score, dtype=float)
    finite = score[np.isfinite(score)]
    top = min(1.0, rounded_up(np.percentile(finite, 99) if len(finite) else 1.0)) if high is None else high
    return value_map(
        score, vertices, name="Brain score", label=label, what="How well each place is predicted", palette="viridis",
        low=0.0, high=top, ends=("chance", ""), **shown,
    )  # fmt: skip


def cluster_map(labels: ArrayLike, vertices: Vertices, **shown: Unpack[Shown]) -> BrainMap:
    """Channel clusters; −1 stays grey. A cluster keeps its colour."""
    labels = np.asarray(labels)
    n = int(labels.max()) + 1 if len(labels) else 0
    if n > TOP:
        raise InputError(f"clusters: expected at most {TOP}, found {n}; ask for fewer")
    code = np.where(np.isfinite(painted_only(labels, shown.get("painted"))) & (labels >= 0), labels, UNPAINTED).astype(
        np.uint8
    )
    names = [f"cluster {k + 1}" for k in range(n)]
    legend = {
        "shape": "swatches", "label": f"{n} clusters", "names": [str(k + 1) for k in range(n)],
        "note": "places with like colours read like channels; " + GREY,
    }  # fmt: skip
    return coded_map(
        "Clusters", "Places that read the same channels", "category", code, vertices, palette=colour.categories(max(1, n)),
        legend=legend, words={"label": "cluster", "names": names}, group="Clusters", **shown,
    )  # fmt: skip


def roi_map(rois: Mapping[str, np.ndarray], vertices: Vertices, *, context: str = "") -> BrainMap:
    """Regions of interest {name: (N,) bool}; where they overlap, the smallest is shown."""
    names = list(rois)
    if len(names) > TOP:
        raise InputError(f"regions: expected at most {TOP}, found {len(names)}; show fewer at a time")
    code = np.full(len(vertices), UNPAINTED, dtype=np.uint8)
    for k in sorted(range(len(names)), key=lambda k: -np.sum(rois[names[k]])):
        code[np.asarray(rois[names[k]], dtype=bool)] = k
    legend = {"shape": "swatches", "label": "regions", "names": names, "note": "grey: outside all of them"}
    return coded_map(
        "Regions", "Regions of interest", "category", code, vertices, code != UNPAINTED, context,
        palette=colour.categories(max(1, len(names))), legend=legend, words={"label": "region", "names": names},
        group="Regions", verb="inside",
    )  # fmt: skip


def response_map(
    response: ArrayLike,
    vertices: Vertices,
    *,
    limit: float | None = None,
    name: str = "Response",
    what: str = "Predicted response to this picture",
    verb: str = "predicted",
    **shown: Unpack[Shown],
) -> BrainMap:
    """Predicted or measured response (z-scored over pictures), blue below and red above the mean.

    ``limit`` is that of full colour; None takes the 99th percentile, at least ``LEAST_RESPONSE``: a picture that drives nothing stays pale.
    """
    limit = shared_limit([painted_only(response, shown.get("painted"))]) if limit is None else limit
    return value_map(
        response, vertices, name=name, label="response", what=what, palette="blue-red", high=limit, symmetric=True,
        ends=("below mean", "above mean"), verb=verb, **shown,
    )  # fmt: skip


def difference_map(
    first: ArrayLike,
    second: ArrayLike,
    vertices: Vertices,
    *,
    limit: float | None = None,
    name: str = "Difference",
    names: tuple[str, str] = ("first", "second"),
    label: str = "difference",
    **shown: Unpack[Shown],
) -> BrainMap:
    """``first − second``, symmetric about 0; ``limit`` None takes the 99th percentile, at least .05: equals stay pale."""
    minus = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    limit = shared_limit([painted_only(minus, shown.get("painted"))], 0.05) if limit is None else limit
    return value_map(
        minus, vertices, name=name, label=label,
        what=f"{names[0]} minus {names[1]}", palette="blue-red", high=limit, symmetric=True,
        ends=(f"more: {names[1]}", f"more: {names[0]}"), **shown,
    )  # fmt: skip


def angle_map(
    angle: ArrayLike,
    vertices: Vertices,
    *,
    name: str = "Polar angle",
    verb: str = "predicted",
    alpha: ArrayLike | None = None,
    **shown: Unpack[Shown],
) -> BrainMap:
    """Angles in degrees, counter-clockwise from the right horizontal, on a colour wheel."""
    angle = np.mod(np.asarray(angle, dtype=float), 360.0)
    wheel = colour.cyclic()
    drawn = value_map(
        angle, vertices, name=name, label=name.lower(), what=name, unit="°", low=0.0, high=360.0,
        palette=np.concatenate([wheel, wheel[:1]]), verb=verb, alpha=alpha, **shown,
    )  # fmt: skip
    legend = {"shape": "wheel", "label": name.lower(), "low": "left", "high": "right", "top": "top",
              "bottom": "bottom", "note": GREY}  # fmt: skip
    return replace(drawn, legend=legend)
