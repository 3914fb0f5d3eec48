"""A map on the flattened hemispheres, as PNG or as SVG, with regions, legend and the sentence that says what it is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.storage.files import write_atomic
from factortopy.surfaces.meshes import load_mesh
from factortopy.view.cells import cells, ground, node_values, outlines, region_masks
from factortopy.view.geometry import arranged
from factortopy.view.legend_picture import LEAST_WIDTH, print_figure, sheet
from factortopy.view.names import write_names
from factortopy.view.outlines import name_places, segments
from factortopy.view.raster import vertex_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from factortopy.view.brainmap import BrainMap

FINE_BELOW = 8e6  # pixels of a picture, up to which four points each are looked up, to smooth the edges of cells
STROKE = 1000  # parts of an outline in one path: matplotlib refuses paths that are very long
GREYS = 8  # shades of the ground in a drawing: neighbours of one shade become one shape


def flat_png(
    brain_map: BrainMap,
    path: str | Path,
    *,
    rois: Mapping[str, np.ndarray] | None = None,
    simulated: bool = False,
    part: str = "visual",
    width: float = 7.0,
    dpi: float = 200,
) -> Path:
    """Draw a map on the flattened hemispheres.

    Parameters
    ----------
    brain_map : BrainMap
    path : str or Path
        Should hold the word "simulated" when the data are (``export_maps`` sees to it); the picture says it anyway.
    rois : dict of name to (V,) bool or whole-mesh rows, optional
        Outlined and named.
    part : str
        "visual" for the painted part, "whole" for both hemispheres.
    width : float
        Inches, at least 4.

    Returns
    -------
    Path
    """
    return _write(brain_map, path, "png", rois, simulated, part, width, dpi)


def flat_svg(
    brain_map: BrainMap,
    path: str | Path,
    *,
    rois: Mapping[str, np.ndarray] | None = None,
    simulated: bool = False,
    part: str = "visual",
    width: float = 7.0,
) -> Path:
    """The same as a drawing: shapes merged by colour, outlines as paths, names as text. Arguments as ``flat_png``."""
    return _write(brain_map, path, "svg", rois, simulated, part, width, 72)


def _write(brain_map, path, kind, rois, simulated, part, width, dpi):
    mesh = load_mesh(brain_map.density)
    place = _flat(mesh)
    left, right, low, high = window = _window(place, mesh, brain_map.painted if part == "visual" else None)
    width = max(width, LEAST_WIDTH)
    figure, box = sheet(brain_map, width, width * (high - low) / (right - left), dpi, simulated)
    axes = figure.add_axes(box)
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.axis("off")
    if kind == "png":
        _draw_cells(axes, mesh, window, brain_map.colours(ground(mesh)))
    else:
        faces = _seen(mesh.flat_faces, place, window)
        _draw_shapes(axes, faces, place, brain_map.colours(_stepped(ground(mesh))))
    _draw_regions(axes, region_masks(rois, 2 * mesh.n), mesh, place, kind)
    write_atomic(path, print_figure(figure, kind, brain_map.title, simulated))
    return Path(path)


@lru_cache(maxsize=1)
def _flat(mesh):
    return arranged(mesh)["flat"][:, [0, 2]]


def _window(place, mesh, painted):
    """(left, right, low, high) of the flat map, in millimetres."""
    used = np.flatnonzero(np.bincount(mesh.flat_faces.ravel()))
    if painted is not None and painted[used].any():
        used = used[painted[used]]
        (left, low), (right, high) = np.quantile(place[used], [0.004, 0.996], axis=0)
    else:
        (left, low), (right, high) = place[used].min(0), place[used].max(0)
    margin = 0.05 * max(right - left, high - low) + 3
    return left - margin, right + margin, low - margin, high + margin


def _seen(faces, place, window):
    left, right, low, high = window
    corner = place[faces]
    seen = (corner[:, :, 0].max(1) > left) & (corner[:, :, 0].min(1) < right)
    return faces[seen & (corner[:, :, 1].max(1) > low) & (corner[:, :, 1].min(1) < high)]


def _stepped(grey):
    """The ground in few shades."""
    low, high = grey.min(0).astype(float), grey.max(0).astype(float)
    step = np.maximum((high - low) / (GREYS - 1), 1e-9)
    return np.round(low + np.round((grey - low) / step) * step).astype(np.uint8)


def _draw_cells(axes, mesh, window, colours):
    """Cells as pixels: the many of a dense mesh, smaller than a pixel, cost no more than the few of a coarse one."""
    shape = round(axes.bbox.height), round(axes.bbox.width)
    fine = 2 if np.prod(shape) < FINE_BELOW else 1
    owner = _owners(mesh, window, (fine * shape[0], fine * shape[1]))
    points = np.vstack([colours, np.full(3, 255, colours.dtype)])[owner]  # OUTSIDE is the last: white
    parts = [points[y::fine, x::fine].astype(np.uint16) for y in range(fine) for x in range(fine)]
    axes.imshow(
        (sum(parts) / len(parts)).round().astype(np.uint8), extent=window, aspect="auto", interpolation="nearest"
    )


@lru_cache(maxsize=1)  # one map after the other is drawn on the same cortex
def _owners(mesh, window, shape):
    return vertex_at(mesh.flat_faces, _flat(mesh), window, shape)


def _draw_shapes(axes, faces, place, colours):
    """Cells of one colour as one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    quads, edges = cells(faces)
    nodes = node_values(place, faces, edges)
    palette, group = np.unique(colours[quads[:, 0]], axis=0, return_inverse=True)
    for k, loops in outlines(quads, group.ravel()).items():
        points = np.concatenate([nodes[[*loop, loop[0]]] for loop in loops])
        codes = [code for loop in loops for code in _codes(len(loop), Outline)]
        # Not add_patch, which would look for the extent of each shape: the limits are set.
        axes.add_artist(PathPatch(Outline(points, codes), color=palette[k] / 255, linewidth=0.3, joinstyle="round"))


def _codes(n, outline):
    return [outline.MOVETO, *[outline.LINETO] * (n - 1), outline.CLOSEPOLY]


def _draw_regions(axes, rois, mesh, place, kind):
    from matplotlib.collections import LineCollection

    on_flat, names = np.zeros(2 * mesh.n, dtype=bool), []
    on_flat[mesh.flat_faces] = True
    for name, inside in rois.items():
        ends = segments(mesh.flat_faces, inside)
        lines = np.full((len(ends), 3, 2), np.nan)  # a gap after each: a stroke is quicker than its parts
        lines[:, 0], lines[:, 1] = place[ends[:, :2]].mean(1), place[ends[:, 2:]].mean(1)
        lines = [part.reshape(-1, 2) for part in np.split(lines, range(STROKE, len(lines), STROKE))]
        axes.add_collection(LineCollection(lines, colors="black", linewidths=0.7, capstyle="round"), autolim=False)
        for row in name_places(place, np.flatnonzero(inside & on_flat), mesh.n):
            names.append((*place[row], name, inside.sum(), row))
    write_names(axes, names, 6.5, kind)
