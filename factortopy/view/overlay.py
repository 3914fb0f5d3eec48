"""A user's own map as one more overlay, of any file that ``formats.surface_values`` reads, on an fsaverage mesh."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.gifti import MOST_VALUES
from factortopy.formats.structures import side_in_name, without_side
from factortopy.formats.surface_values import SIDES, open_values
from factortopy.formats.twins import NOTICE, alike_where_both
from factortopy.surfaces.coordinates import Vertices
from factortopy.surfaces.meshes import N_VERTICES, load_mesh
from factortopy.view.brainmap import TOP, UNPAINTED
from factortopy.view.maps import coded_map, value_map
from factortopy.wording import safe_label, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 512 * 2**20
MOST_MAPS = 24  # of one overlay that are shown
DENSITIES = {n: density for density, n in N_VERTICES.items()}
_NO_LABEL = ("", "???", "unknown", "unpainted", "medial_wall", "medial wall")
NOTE = "grey: no data in this file"


@dataclass(frozen=True)
class Overlay:
    """Values of one or both hemispheres.

    Attributes
    ----------
    name : str
        A label for people, never a path.
    values : (N, K) float
        K maps; NaN where there is none.
    names : list of str
        Of the maps.
    vertices : Vertices
    labels : {key: (name, (r, g, b, a) floats)} or None
        When the values are keys of a colour table.
    notices : list of str
        What was done that the user must know.
    """

    name: str
    values: np.ndarray
    names: list
    vertices: Vertices
    labels: dict | None = None
    notices: list = field(default_factory=list)

    @property
    def density(self):
        """ "10k", "41k" or "164k", of the mesh that the values are on."""
        return self.vertices.density

    def at(self, density):
        """The same at another density.

        At a lower one the vertices that both meshes share, which come first in each hemisphere; at a higher one each
        vertex takes the value of the nearest of them on the sphere.
        """
        if density == self.vertices.density:
            return self
        n, own = N_VERTICES[density], N_VERTICES[self.vertices.density]
        if n > own:
            rows, vertices = self._nearest(density)
            notice = f"drawn on a finer surface: each of its {n:,} vertices a hemisphere shows the nearest of the file's {own:,}"
        else:
            rows = np.flatnonzero(self.vertices.vertex < n)
            vertices = Vertices(self.vertices.hemi[rows], self.vertices.vertex[rows], density)
            notice = f"shown at the first {n:,} of {own:,} vertices a hemisphere: the coarser mesh's own"
        return replace(self, values=self.values[rows], vertices=vertices, notices=[*self.notices, notice])

    def _nearest(self, density):
        """(M,) row of ``values`` for the ``Vertices`` of a finer mesh whose nearest of this one has a value, and those."""
        from scipy.spatial import cKDTree

        mesh, rows, vertices, own = load_mesh(density), [], [], N_VERTICES[self.density]
        sides = np.unique(self.vertices.hemi).tolist()
        for side in sides:
            sphere = mesh.coords["sphere"][
                side * mesh.n : (side + 1) * mesh.n
            ]  # the coarser mesh's vertices come first
            row_of = np.full(own, -1)
            row_of[self.vertices.vertex[self.vertices.hemi == side]] = np.flatnonzero(self.vertices.hemi == side)
            nearest = row_of[cKDTree(sphere[:own]).query(sphere)[1]]
            vertices.append(np.flatnonzero(nearest >= 0))
            rows.append(nearest[nearest >= 0])
        hemi = np.repeat(sides, [len(part) for part in vertices])
        return np.concatenate(rows), Vertices(hemi, np.concatenate(vertices), density)

    def maps(self, density="10k", **options):
        """BrainMaps of the first 24 columns; ``options`` as for ``value_map`` (palette, low, high, symmetric, …).

        Values of both signs are drawn symmetric about 0 unless ``options`` say otherwise.
        """
        here = self.at(density)
        return [here._map(k, options) for k in range(min(MOST_MAPS, here.values.shape[1]))]

    def _map(self, k, options):
        values = self.values[:, k]
        title = self.name if self.values.shape[1] == 1 else f"{self.name} · {self.names[k]}"
        if self.labels is not None:
            return self._label_map(values, title)
        finite = values[np.isfinite(values)]
        both = len(finite) and finite.min() < 0 < finite.max()
        options = ({"palette": "blue-red", "symmetric": True} if both else {}) | options
        name = title[:60]
        return value_map(
            values, self.vertices, painted=np.isfinite(values), verb="with a value",
            **{"name": name, "what": f"Your own map {title}", "note": NOTE, "group": self.name[:40], **options},
        )  # fmt: skip

    def _label_map(self, values, title):
        keys = np.unique(values[np.isfinite(values)]).astype(int)
        unknown = [int(key) for key in keys if key not in self.labels]
        if unknown:
            raise InputError(
                f"{self.name}: expected every label in the file's own table, found {unknown[:5]} without a name; save it again"
            )
        shown = [int(key) for key in keys if not _is_none(*self.labels[key])]
        if len(shown) > TOP:
            raise InputError(
                f"{self.name}: expected at most {TOP} labels, found {len(shown)}; open one hemisphere at a time"
            )
        code = np.full(len(values), UNPAINTED, np.uint8)
        for number, key in enumerate(shown):
            code[values == key] = number
        names = [safe_label(self.labels[key][0]) for key in shown]
        palette = np.round(np.array([self.labels[key][1][:3] for key in shown] or [(0.5, 0.5, 0.5)]) * 255).astype(
            np.uint8
        )
        return coded_map(
            title[:60], f"Your own labels {title}", "category", code, self.vertices, code != UNPAINTED, "",
            palette=palette, legend={"shape": "swatches", "label": "labels", "names": names, "note": NOTE},
            words={"label": "label", "names": names}, group=self.name[:40], verb="with a label",
        )  # fmt: skip


def _is_none(name, rgba):
    return rgba[3] == 0 or name.strip().lower() in _NO_LABEL


# ---------------------------------------------------------------- reading


def read_overlay(path_or_bytes: Any, name: str | None = None, hemi: int | None = None) -> Overlay:
    """Read a map on an fsaverage mesh.

    Parameters
    ----------
    path_or_bytes : path or bytes
    name : str, optional
        The file's name, which may say its hemisphere (lh, rh, hemi-L, hemi-R); the path's own by default.
    hemi : int, optional
        0 left, 1 right, where neither name nor file say it.

    Returns
    -------
    Overlay
        Density and hemisphere(s) follow from the file itself (CIFTI), else from the number of vertices (10242, 40962 or 163842
        in a hemisphere, or both hemispheres one after the other, left first). Vertices are counted from 0 in the file's
        order, or are those that its node indices name.

    Raises
    ------
    InputError
        For another kind of file, a damaged, truncated or hostile one, another mesh, or an unknown hemisphere.
    """
    is_path = isinstance(path_or_bytes, (str, os.PathLike))
    name = str(name if name is not None else Path(path_or_bytes).name if is_path else "overlay")
    label = safe_label(name)
    if is_path:
        parts = _opened(Path(path_or_bytes), label)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / label
            path.write_bytes(path_or_bytes)
            parts = [replace(part, source=np.array(part.source)) for part in _opened(path, label)]  # before it is gone
    overlays = [_of_part(part, name, hemi, label) for part in parts]
    return overlays[0] if len(overlays) == 1 else join(overlays[0], overlays[1], label)


def _of_part(part, name, hemi, label):
    """The Overlay of one hemisphere, or of both one after the other, that a file holds."""
    values, notices = _by_vertex(part, label), list(part.notices)
    n = len(values)
    values[~np.isfinite(values)] = np.nan
    if values.shape[1] > MOST_MAPS:
        notices.append(f"{values.shape[1]} maps in the file; the first {MOST_MAPS} are shown")
    names = [
        safe_label(words) if words else f"map {k + 1}" for k, words in enumerate(part.names or [""] * values.shape[1])
    ]
    counted = part.vertices is None or part.vertices[-1] == n - 1  # a whole surface, of so many vertices
    mesh = part.mesh or (n if counted else min((m for m in DENSITIES if m > part.vertices.max()), default=0))
    if part.vertices is None and _is_both(n):
        if part.hemi is not None:
            words = f"expected {n // 2:,} values of the {SIDES[part.hemi]} hemisphere, which the file says it is"
            raise InputError(f"{label}: {words}, found {n:,}, those of both; save each hemisphere in a file of its own")
        overlay = Overlay(label, values, names, Vertices.of_mesh(DENSITIES[n // 2]), part.labels, notices)
        return replace(overlay, notices=[*notices, *_likeness(overlay)])
    if mesh not in DENSITIES:
        sizes = ", ".join(f"{count} ({density})" for density, count in N_VERTICES.items())
        actual = f"{mesh}{_of_mesh(mesh)}" if mesh else f"values of vertices up to {part.vertices.max()}"
        raise InputError(
            f"{label}: expected values of an fsaverage hemisphere, {sizes}, or twice as many, found {actual}; "
            "resample it to fsaverage (mri_surf2surf --trgsubject fsaverage, wb_command -metric-resample)"
        )
    side = _side(name, part.hemi, hemi, label)
    if part.vertices is None:
        return Overlay(label, values, names, Vertices.of_mesh(DENSITIES[n], [side]), part.labels, notices)
    if part.mesh is None:
        notices.append(
            f"values of {n:,} vertices alone (NODE_INDEX); the file names no mesh, taken as {DENSITIES[mesh]} of fsaverage"
        )
    vertices = Vertices(np.full(n, side), part.vertices, DENSITIES[mesh])
    return Overlay(label, values, names, vertices, part.labels, notices)


def read_overlays(files: Iterable[Any]) -> list[Overlay]:
    """Overlays of several files, hemispheres of one map joined.

    Parameters
    ----------
    files : list of paths, or of (name, bytes)

    Returns
    -------
    list of Overlay
        Files whose names differ in the hemisphere alone become one.
    """
    by_side = {}  # {(name without its side, 0 or 1; -1 both): Overlay}
    for file in files:
        name, source = file if isinstance(file, tuple) else (Path(file).name, file)
        overlay = read_overlay(source, name)
        stem = without_side(name) or overlay.name
        sides = np.unique(overlay.vertices.hemi).tolist()
        key = (stem, sides[0]) if len(sides) == 1 else (str(name), -1)
        if key in by_side:
            raise InputError(
                f"{overlay.name}: expected one file a hemisphere, found two of {safe_label(stem)!r}; rename one"
            )
        by_side[key] = overlay
    out = []
    for (stem, side), overlay in by_side.items():
        other = by_side.get((stem, 1 - side)) if side in (0, 1) else None
        if other is None:
            out.append(overlay)
        elif side == 0:
            out.append(join(overlay, other, stem))
    return out


def join(left, right, name=None):
    """One Overlay of both hemispheres; InputError when they are not the two sides of one map."""
    one, other = left.vertices, right.vertices
    if one.density != other.density or left.values.shape[1] != right.values.shape[1]:
        raise InputError(
            f"{left.name} and {right.name}: expected the same mesh and number of maps on both sides, found "
            f"{len(one)} × {left.values.shape[1]} and {len(other)} × {right.values.shape[1]}; open them apart"
        )
    if (left.labels is None) != (right.labels is None):
        raise InputError(f"{left.name} and {right.name}: expected two maps of one kind, found labels beside values")
    labels = left.labels
    values = right.values
    if labels is not None and right.labels != labels:
        # The same key may mean another region on the other side: right keys move behind the left ones.
        shift = max(map(abs, [*labels, *right.labels]), default=0) * 2 + 1
        labels = labels | {key + shift: value for key, value in right.labels.items()}
        values = values + shift
    vertices = Vertices(np.concatenate([one.hemi, other.hemi]), np.concatenate([one.vertex, other.vertex]), one.density)
    both = Overlay(safe_label(name or left.name), np.concatenate([left.values, values]), left.names, vertices, labels)
    likeness = _likeness(replace(both, values=np.concatenate([left.values, right.values])))
    return replace(both, notices=list(dict.fromkeys([*left.notices, *right.notices, *likeness])))


def _likeness(overlay):
    """The notice that both hemispheres hold the same numbers, where they do."""
    values, vertices = overlay.values.T, overlay.vertices
    left, right = vertices.hemi == 0, vertices.hemi == 1
    same = alike_where_both(values[:, left], vertices.vertex[left], values[:, right], vertices.vertex[right])
    return [NOTICE] if same else []


def _opened(path, label):
    """What ``open_values`` gives; its messages name the label, never the path."""
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{label}: expected at most {MOST_BYTES // 2**20} MB, found {path.stat().st_size / 2**20:.0f} MB"
            )
        parts = open_values(path)
    except InputError as error:
        raise InputError(str(error).replace(shown_path(path), label)) from None
    size = sum(part.source.size for part in parts)
    if size > MOST_VALUES:
        raise InputError(f"{label}: expected at most {MOST_VALUES:,} values, found {size:,}; save fewer maps in a file")
    return parts


def _by_vertex(part, label):
    """(n, K) float64 of a part, in which keys of labels stay whole; the maps of an array may lie in its rows or columns."""
    shape = part.shape
    if len(shape) not in (1, 2) or 0 in shape:
        words = " × ".join(map(str, shape)) or "a single value"
        raise InputError(
            f"{label}: expected one number a vertex, found an array of {words}; save one or two dimensions"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.array(part.source, dtype=float) * part.slope + part.intercept
    if len(shape) == 1:
        return values[:, None]
    in_columns = not part.oriented and (_is_mesh(shape[0]) or not _is_mesh(shape[1]))
    return values if in_columns else values.T


def _side(name, stated, hemi, label):
    """0 or 1 from the file, its name and the caller, which must agree."""
    sources = {
        "the file says": stated,
        "its name says": side_in_name(name),
        "you said": hemi,
    }
    sides = {source: side for source, side in sources.items() if side is not None}
    if not sides:
        raise InputError(
            f"{label}: expected to learn its hemisphere, found it neither in the file nor in its name; "
            "rename it to begin with lh. or rh., or hold hemi-L or hemi-R"
        )
    if len(set(sides.values())) > 1:
        answers = ", ".join(f"{source} {SIDES[side]}" for source, side in sides.items())
        raise InputError(f"{label}: expected one hemisphere, found that {answers}; rename the file")
    return next(iter(sides.values()))


def _is_both(n):
    return n % 2 == 0 and n // 2 in DENSITIES


def _is_mesh(n):
    return n in DENSITIES or _is_both(n)


def _of_mesh(n):
    return {32492: " (fsLR 32k)", 64984: " (fsLR 32k, both)", 59292: " (fsLR 59k)"}.get(n, "")
