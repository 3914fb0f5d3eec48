"""Maps that stand side by side, in files: each flat as PNG and SVG, the numbers behind it as CSV and GIFTI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from factortopy.export.exchange import halves, place_columns
from factortopy.formats.gifti import write_func_gii
from factortopy.storage.files import write_atomic
from factortopy.storage.names import file_stem
from factortopy.view.brainmap import BrainMap
from factortopy.view.flat_picture import flat_png, flat_svg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from factortopy.encoder.encoder import Encoder
    from factortopy.encoder.selectors import Selectors


class Shown(NamedTuple):
    """A map on the page.

    name : str, whose it is; map : BrainMap; encoder : Encoder, whose vertices and ROIs it has
    numbers : {column: (N,)}, what the map paints, before colours
    """

    name: str
    map: BrainMap
    encoder: Encoder
    numbers: Mapping[str, np.ndarray]


def map_numbers(
    kind: str, selectors: Selectors, layer: int = 0, image_degrees: float | None = None
) -> dict[str, np.ndarray]:
    """{column: (N,)} of a kind of map of factor selectors.

    kind : Layer, Confidence, Layer weight, Space, Polar angle, Eccentricity or Scale
    layer : of Layer weight, 0-based
    image_degrees : width of a picture; None leaves places and eccentricity in shares of half a picture's width
    """
    x, y = np.asarray(selectors.space, float).T
    half, unit = (image_degrees / 2, "degrees") if image_degrees else (1.0, "share of the picture's half-width")
    columns: dict[str, dict[str, Any]] = {
        "Layer": {"layer": selectors.layer_argmax + 1, "confidence": selectors.layer_confidence},
        "Confidence": {"confidence": selectors.layer_confidence},
        "Layer weight": {f"weight of layer {layer + 1}": selectors.layer[:, layer]},
        "Space": {f"right, {unit}": x * half, f"up, {unit}": -y * half},
        "Polar angle": {"degrees counter-clockwise from the right": np.mod(np.degrees(np.arctan2(-y, x)), 360)},
        "Eccentricity": {f"eccentricity, {unit}": np.hypot(x, y) * half},
        "Scale": {"scale": selectors.scale},
    }
    return {name: np.asarray(values, float) for name, values in columns[kind].items()}


def export_compared(out: Path, shown: Sequence[Shown]) -> Iterator[Path]:
    """Write the maps into a folder that exists; yields each path once it is written.

    ``NAME_MAP.png``, ``.svg``, ``.csv`` (a row a vertex: hemisphere, vertex, rois, painted, the numbers) and
    ``NAME_MAP_hemi-{L,R}.func.gii`` of the whole mesh, NaN where the map paints nothing. "simulated" is in all names, in a
    column of the CSV and in the GIFTI's own words when the subject is.
    """
    for one, stem in zip(shown, _stems(shown), strict=True):
        encoder, simulated = one.encoder, bool(one.encoder.simulated)
        vertices = encoder.vertices
        painted, rois = one.map.painted[vertices.rows], vertices.roi_rows(encoder.rois)
        yield flat_png(one.map, out / f"{stem}.png", rois=rois, simulated=simulated)
        yield flat_svg(one.map, out / f"{stem}.svg", rois=rois, simulated=simulated)
        origin = {"simulated": simulated, "network": one.name}
        frame = pd.DataFrame(origin | place_columns(encoder) | {"painted": painted} | dict(one.numbers))
        write_atomic(out / f"{stem}.csv", frame.to_csv(index=False, float_format="%.6g"))
        yield out / f"{stem}.csv"
        values = np.stack([np.where(painted, values, np.nan) for values in one.numbers.values()], axis=1)
        mesh = vertices.whole(values)
        for letter, structure, half in halves(vertices.density):
            path = out / f"{stem}_hemi-{letter}.func.gii"
            yield write_func_gii(path, mesh[half], list(one.numbers), simulated, structure)


def _stems(shown):
    """A file's name for each, none twice."""
    stems: list[str] = []
    for one in shown:
        what = one.map.group if one.map.group not in (one.name, "Layer weight") else one.map.name
        words = f"{one.name}_{what}" if what != one.name else one.name
        stem = file_stem(words, 120, "map", also="_+=") + "_simulated" * bool(one.encoder.simulated)
        stems.append(stem if stem not in stems else f"{stem}_{len(stems) + 1}")
    return stems
