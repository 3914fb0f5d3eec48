"""The result of an experiment as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.export import exchange
from factortopy.formats.gifti import write_func_gii
from factortopy.view.flat_picture import flat_png, flat_svg

if TYPE_CHECKING:
    from collections.abc import Callable

    from factortopy.encoder.encoder import Encoder
    from factortopy.experiments.result import Result


def export_result(
    out_dir: str | Path, result: Result, encoder: Encoder, say: Callable[[Path], None] | None = None
) -> list[Path]:
    """Write an experiment's maps (``Result``) as GIFTI of the whole mesh, as one table and as pictures; returns the paths.

    ``hemi-{L,R}_{map}.func.gii``, ``maps.csv`` (a row a vertex) and ``flat_{map}.png`` and ``.svg``. When the subject is
    simulated, "simulated" is in the names of pictures and table, in a column of the table and in the GIFTI's own words.
    ``say`` is called with each path when it is written.
    """
    from factortopy.view.lab_maps import result_maps

    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    vertices, word = encoder.vertices, "_simulated" if encoder.simulated else ""
    paths: list[Path] = []

    def written(path):
        paths.append(path)
        if say is not None:
            say(path)

    written(exchange.write_vertices(out / f"maps{word}.csv", encoder, result.maps))
    for name, values in result.maps.items():
        mesh = vertices.whole(np.asarray(values, dtype=float))
        for letter, structure, half in exchange.halves(vertices.density):
            path = out / f"hemi-{letter}_{name}.func.gii"
            written(write_func_gii(path, mesh[half], name, encoder.simulated, structure))
    title = f"{encoder.backbone_name} on {encoder.info.get('subject')}"
    outlines, degrees = vertices.roi_rows(encoder.rois), encoder.info.get("image_degrees") or 8.4
    maps = {name: values for name, values in result.maps.items() if np.isfinite(values).any()}
    scale = encoder.selectors().scale if encoder.has_selectors and result.experiment == "retinotopy" else None
    drawn = result_maps(maps, vertices, context=title, image_degrees=degrees, scale=scale)
    for name, brain_map in zip(maps, drawn, strict=True):
        for draw, ending in ((flat_png, "png"), (flat_svg, "svg")):
            path = out / f"flat_{name}{word}.{ending}"
            written(draw(brain_map, path, rois=outlines, simulated=encoder.simulated))
    return paths
