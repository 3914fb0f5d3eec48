"""fsaverage meshes at three densities: the shipped 10k, the real 41k and 164k where they are found, else a preview.

The triangles of every density are known exactly (``icosphere``), so a value measured at a vertex of fsaverage6 or
fsaverage is drawn at that vertex, on a preview too. What a preview lacks is folding detail: its coordinates and sulcal
depth between the vertices of fsaverage5 are interpolated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from factortopy.errors import InputError
from factortopy.surfaces import mesh_files
from factortopy.surfaces.icosphere import smooth, straight, subdivide
from factortopy.surfaces.mesh_folders import DENSITY, N_VERTICES, SUBJECT, find, remembered, surfaces_in, version

KINDS = ("white", "pial", "inflated", "sphere", "flat")


@dataclass(frozen=True, eq=False)
class Mesh:
    """fsaverage at one density, both hemispheres, left first.

    Attributes
    ----------
    n : int
        Vertices per hemisphere.
    coords : dict of (2n, 3) float32
        Millimetres, by kind: white, pial, inflated, sphere, flat. Each hemisphere in its own frame: hemispheres of the
        inflated, spherical and flat surfaces overlap.
    faces, flat_faces : (F, 3) int32
        Triangles; the flat patch leaves out the medial wall and the cuts.
    sulc : (2n,) float32
        Sulcal depth; positive in sulci.
    source : str
        Where it was taken from.
    preview : bool
        True where coordinates between fsaverage5's vertices are interpolated: say so wherever it is drawn.
    """

    density: str
    n: int
    coords: dict
    faces: np.ndarray
    flat_faces: np.ndarray
    sulc: np.ndarray
    source: str = ""
    preview: bool = False

    @cached_property
    def _edges(self):
        # A closed mesh whose triangles face outward runs along each edge twice, once in either direction.
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        low, high = pairs[pairs[:, 0] < pairs[:, 1]].astype(np.int64).T
        return np.stack(np.divmod(np.sort(low * 2 * self.n + high), 2 * self.n), 1).astype(self.faces.dtype)

    def edges(self) -> np.ndarray:
        """(E, 2) unique pairs of neighbouring vertices, lower index first."""
        return self._edges


def load_mesh(density: str = "10k", folder: str | Path | None = None) -> Mesh:
    """fsaverage at a density.

    10k (fsaverage5) ships with nilearn. 41k and 164k are read from the first place that holds them: ``folder`` or
    $FACTORTOPY_FSAVERAGE (a data set's ``nsddata/freesurfer/fsaverage/surf`` or any folder above it), places beside data sets
    that were loaded before (``remember``), $SUBJECTS_DIR, what nilearn has downloaded (``download_mesh``). Nothing is
    downloaded here. fsaverage also serves 41k: its first 40,962 vertices. Where there is none, fsaverage5 is subdivided: a
    preview (``Mesh.preview``).

    Parameters
    ----------
    density : "10k", "41k" or "164k"
    folder : path, optional
        Where to look first; at 10k not looked at.

    Returns
    -------
    Mesh
        The same object for the same files.

    Raises
    ------
    InputError
        For an unknown density, a folder given that has no such mesh, and damaged files (named).
    """
    if density not in N_VERTICES:
        raise InputError(f"surface density: expected {', '.join(N_VERTICES)}, found {density!r}; choose one of these")
    if density == "10k":
        return _shipped()
    if not folder and not os.environ.get("FACTORTOPY_FSAVERAGE"):
        for place in remembered():
            try:
                if surfaces_in(place, density):
                    return load_mesh(density, place)
            except InputError:  # damaged since it was remembered: the next place, or a preview
                continue
    files, n, where = find(density, folder)
    if files is None:
        return _preview(density)
    return _real(density, n, where, tuple((kind, *paths, *map(version, paths)) for kind, paths in files.items()))


def download_mesh(density: str) -> Mesh:
    """Let nilearn download fsaverage6 (41k) or fsaverage (164k) into its data folder, and load it.

    Raises
    ------
    InputError
        When it cannot be fetched.
    """
    if density not in ("41k", "164k"):
        raise InputError(f"surface density: expected 41k or 164k, found {density!r}; 10k ships")
    from nilearn.datasets import fetch_surf_fsaverage

    try:
        fetch_surf_fsaverage(SUBJECT[density])
    except Exception as error:  # whatever the network does
        words = " ".join(str(error).split())[:160]
        raise InputError(
            f"{SUBJECT[density]}: could not be downloaded ({words}); copy a FreeSurfer fsaverage folder here and set "
            "FACTORTOPY_FSAVERAGE to it"
        ) from None
    return load_mesh(density)


def triangles(density: str = "10k") -> np.ndarray:
    """(F, 3) int32 triangles of both hemispheres at a density, left first, in FreeSurfer's order."""
    return _topology(density)[0]


# ---------------------------------------------------------------- where meshes come from


@cache
def _shipped():
    files, n = mesh_files.shipped_files(), N_VERTICES["10k"]
    read = {kind: [mesh_files.read_surface(path, n) for path in files[kind]] for kind in KINDS}
    coords = {kind: np.concatenate([xyz for xyz, _ in both]) for kind, both in read.items()}
    faces, flat = (np.concatenate([read[kind][0][1], read[kind][1][1] + n]) for kind in ("inflated", "flat"))
    sulc = np.concatenate([mesh_files.read_depth(path, n) for path in files["sulc"]])
    return Mesh("10k", n, coords, faces, flat, sulc, "fsaverage5, shipped with nilearn")


# ---------------------------------------------------------------- building


@cache
def _topology(density):
    """Triangles of both hemispheres, the coarser triangle around each, and each new vertex's edge by hemisphere."""
    n = N_VERTICES[density]
    if density == "10k":
        return _shipped().faces, None, None
    coarse, m = _coarser(density)
    faces, parents, inside = subdivide(triangles(coarse)[: 2 * m - 4], m)  # both hemispheres have the same triangles
    return np.concatenate([faces, faces + n]), np.concatenate([inside, inside + 2 * m - 4]), parents


def _coarser(density):
    coarse = {"41k": "10k", "164k": "41k"}[density]
    return coarse, N_VERTICES[coarse]


def _finer(values, density, how):
    """(2m, …) values of the next coarser mesh at (2n, …) vertices."""
    coarse, m = _coarser(density)
    parents, one = _topology(density)[2], triangles(coarse)[: 2 * m - 4]
    sides = np.stack([values[:m], values[m:]], axis=1)
    sides = smooth(sides, parents, one) if how == "smooth" else straight(sides, parents)
    return np.concatenate([sides[:, 0], sides[:, 1]])


def from_10k(values: np.ndarray, density: str, how: str = "smooth") -> np.ndarray:
    """Values (20484, …) of the 10k mesh at the vertices of a density; those of 10k keep theirs.

    Parameters
    ----------
    how : "smooth" or "straight"
        Butterfly subdivision, or the mean of an edge's two ends (flat maps, values with gaps).
    """
    for step in list(N_VERTICES)[1 : list(N_VERTICES).index(density) + 1]:
        values = _finer(values, step, how)
    return values


@cache
def _preview(density):
    base = _shipped()
    # Left out in turn, the finer half of fsaverage5's own vertices is met by the butterfly to 0.46 mm on white, 0.58 on
    # pial, 0.13 on inflated (root mean square), by straight midpoints to 0.69, 0.84 and 0.16 mm.
    kinds = ("white", "pial", "inflated")
    *parts, sulc = np.split(
        from_10k(np.column_stack([*(base.coords[kind] for kind in kinds), base.sulc]), density), [3, 6, 9], axis=1
    )
    coords = {kind: np.ascontiguousarray(part) for kind, part in zip(kinds, parts, strict=True)}
    sphere = from_10k(base.coords["sphere"].astype(np.float64), density, "straight")
    sphere *= 100 / np.linalg.norm(sphere, axis=1, keepdims=True)
    flat, flat_faces = _interpolated_flat(density)
    coords.update(sphere=sphere.astype(np.float32), flat=flat)
    source = f"preview: fsaverage5 subdivided to {N_VERTICES[density]:,} vertices, folding detail interpolated"
    return Mesh(density, N_VERTICES[density], coords, triangles(density), flat_faces, np.ravel(sulc), source, True)


@cache
def _interpolated_flat(density):
    """The flat patch of fsaverage5 at a density: (2n, 3) coordinates and its triangles."""
    base = _shipped()
    on_patch = np.isin(_keys(base.faces), _keys(base.flat_faces))
    for step in list(N_VERTICES)[1 : list(N_VERTICES).index(density) + 1]:
        on_patch = on_patch[_topology(step)[1]]
    return from_10k(base.coords["flat"], density, "straight"), triangles(density)[on_patch]


@cache
def _real(density, n_file, where, files):
    """A mesh read from files; those of a finer mesh are cut to their first vertices."""
    n, paths = N_VERTICES[density], {kind: (left, right) for kind, left, right, *_ in files}
    expected = triangles(DENSITY[n_file])[: 2 * n_file - 4]
    coords = {}
    for kind in mesh_files.SURFACES:
        read = []
        for path in paths[kind]:
            xyz, faces = mesh_files.read_surface(path, n_file)
            if not _same_triangles(faces, expected):
                raise InputError(
                    f"{path}: expected the triangles of {SUBJECT[DENSITY[n_file]]}, found others for as many vertices; "
                    "is it a subject's own surface, or were its vertices sorted anew? take FreeSurfer's fsaverage"
                )
            read.append(xyz[:n])
        if kind in ("white", "pial") and not read[0][:, 0].mean() < read[1][:, 0].mean():
            raise InputError(
                f"{paths[kind][0]}: expected the left hemisphere, further left than {paths[kind][1].name}, found it as far right or "
                "further; one was saved twice, or the two were exchanged: copy both again from FreeSurfer's fsaverage"
            )
        coords[kind] = np.concatenate(read)
    sulc = np.concatenate([mesh_files.read_depth(path, n_file)[:n] for path in paths["sulc"]])
    coords["flat"], flat_faces, words = _flat(density, n_file, paths.get("flat"))
    cut = "" if n == n_file else f", first {n:,} vertices"
    source = f"{SUBJECT[DENSITY[n_file]]} of {where}{cut}{words}"
    return Mesh(density, n, coords, triangles(density), flat_faces, sulc, source)


def _keys(faces):
    """(F,) int64: a number a triangle, the same however its corners are listed."""
    a, b, c = np.sort(faces, axis=1).astype(np.int64).T
    return (a << 40) + (b << 20) + c


def _same_triangles(faces, expected):
    if np.array_equal(faces, expected):
        return True
    return faces.shape == expected.shape and np.array_equal(np.sort(_keys(faces)), np.sort(_keys(expected)))


def _flat(density, n_file, paths):
    """Coordinates and triangles of the flat patch in the files, or of fsaverage5's where there is none."""
    if paths is None:
        return *_interpolated_flat(density), "; flat map interpolated from fsaverage5's"
    n = N_VERTICES[density]
    half, flat, used = 2 * n_file - 4, [], []
    faces = triangles(DENSITY[n_file])[:half]
    for path in paths:
        if path.name.endswith(".gii.gz"):
            xyz, listed = mesh_files.read_surface(path, n_file)
            used.append(np.isin(_keys(faces), _keys(listed)))
        else:
            rows, patch = mesh_files.read_patch(path, n_file)
            inside = np.zeros(n_file, dtype=bool)
            inside[rows] = True
            xyz = np.tile(patch.mean(0), (n_file, 1))
            xyz[rows] = patch
            used.append(inside[faces].all(1))
        if not used[-1].any():
            raise InputError(
                f"{path}: expected a flat patch of {n_file:,} vertices, found no triangle of it; copy it again"
            )
        flat.append(xyz[:n].astype(np.float32))
    used = np.concatenate(used)
    for step in reversed(list(N_VERTICES)):  # a coarser triangle is on the patch when all four inside it are
        if N_VERTICES[step] <= n:
            break
        if N_VERTICES[step] <= n_file:
            inside = _topology(step)[1]
            used = np.bincount(inside, weights=used, minlength=len(used) // 4) == 4
    return np.concatenate(flat), triangles(density)[used], ""
