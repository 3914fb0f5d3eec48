"""Reading fsaverage's own meshes, as FreeSurfer writes them or as nilearn downloads them, checked before they are believed."""

import importlib.util
import os
from pathlib import Path

import numpy as np

from factortopy.formats import freesurfer
from factortopy.formats.files import inflated, size_of
from factortopy.formats.gifti import read_gifti
from factortopy.formats.problems import DataError, stop
from factortopy.formats.structures import side_in_name

SIDES = (("lh", "left"), ("rh", "right"))
SURFACES = ("white", "pial", "inflated", "sphere")
PATCHES = ("cortex.patch.flat", "full.flat.patch.3d", "full.patch.flat", "cortex.flat.patch.3d")
_GIFTI = {"white": "white", "pial": "pial", "inflated": "infl", "sphere": "sphere", "flat": "flat"}
_BY_COUNT = {10242: "fsaverage5", 40962: "fsaverage6", 163842: "fsaverage"}
_AGAIN = "copy it again from FreeSurfer's fsaverage"
_MOST = 128 * 2**20  # bytes of an unpacked GIFTI file of fsaverage, were it written in ASCII


def freesurfer_files(folder):
    """{kind: [left path, right path]} of a FreeSurfer ``surf`` folder; "flat" only where there is a patch."""
    folder = Path(folder)
    files = {kind: [folder / f"{side}.{kind}" for side, _ in SIDES] for kind in (*SURFACES, "sulc")}
    for patch in PATCHES:
        paths = [folder / f"{side}.{patch}" for side, _ in SIDES]
        if all(path.is_file() for path in paths):
            files["flat"] = paths
            break
    return files


def nilearn_files(folder):
    """{kind: [left path, right path]} of a folder that nilearn has downloaded (fsaverage6 or fsaverage)."""
    names = {**_GIFTI, "sulc": "sulc"}
    return {kind: [Path(folder) / f"{name}_{side}.gii.gz" for _, side in SIDES] for kind, name in names.items()}


def shipped_files():
    """fsaverage5's files inside nilearn, located without importing it, which would take seconds."""
    files = nilearn_files(Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data" / "fsaverage5")
    if all(path.is_file() for paths in files.values() for path in paths):
        return files
    from nilearn.datasets import fetch_surf_fsaverage  # a later version may keep them elsewhere

    paths_by_name = fetch_surf_fsaverage("fsaverage5")
    return {
        kind: [Path(paths_by_name[path.name.removesuffix(".gii.gz")]) for path in paths]
        for kind, paths in files.items()
    }


def nilearn_folders():
    """Folders to which nilearn downloads, in its order (``nilearn.datasets.get_data_dirs`` without importing it)."""
    named = [os.environ.get(name, "") for name in ("NILEARN_SHARED_DATA", "NILEARN_DATA")]
    return [Path(p) for text in named for p in text.split(os.pathsep) if p] + [Path("~/nilearn_data").expanduser()]


def count_vertices(path):
    """Vertices of a surface file; of FreeSurfer's own only the header is read.

    Raises
    ------
    InputError
        When the file cannot be read or is no surface.
    """
    if path.name.endswith(".gii.gz"):
        return len(read_surface(path)[0])
    return _checked(freesurfer.geometry_counts, path)[0]


def read_surface(path, n=None):
    """Coordinates and triangles of a surface file with ``n`` vertices (any number when None).

    Returns
    -------
    coords : (n, 3) float32
    faces : (F, 3) int32

    Raises
    ------
    InputError
        Naming the file when it is missing, short, damaged or of another mesh.
    """
    if path.name.endswith(".gii.gz"):
        coords, faces = _gifti(path, geometry=True).surface()
    else:
        vertices = _checked(freesurfer.geometry_counts, path)[0]
        if n is not None and vertices != n:
            raise _of_another_mesh(path, n, vertices)
        coords, faces = _checked(freesurfer.read_geometry, path)
    if coords is None or coords.ndim != 2 or coords.shape[1] != 3:
        raise stop(path, "coordinates of a surface", "none", _AGAIN)
    if n is not None and len(coords) != n:
        raise _of_another_mesh(path, n, len(coords))
    coords = np.asarray(coords, dtype=np.float32)
    if not np.isfinite(coords).all() or np.abs(coords).max() > 1e4:
        raise stop(path, "coordinates in millimetres", "values that are not numbers or beyond 10 m", _AGAIN)
    if faces is None or faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= len(coords):
        raise stop(path, "triangles of its vertices", "vertex numbers outside the mesh", _AGAIN)
    return coords, np.asarray(faces, dtype=np.int32)


def read_depth(path, n):
    """(n,) float32 sulcal depth; InputError naming the file when it is missing, short, damaged or of another mesh."""
    if path.name.endswith(".gii.gz"):
        values = _gifti(path).columns[0]
    else:
        vertices = _checked(freesurfer.curvature_count, path)
        if vertices != n:
            raise _of_another_mesh(path, n, vertices)
        values = _checked(freesurfer.read_curvature, path)
    if len(values) != n:
        raise _of_another_mesh(path, n, len(values))
    values = np.asarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise stop(path, "sulcal depths", "values that are not numbers", _AGAIN)
    return values


def read_patch(path, n):
    """(K,) vertices and (K, 3) float32 coordinates of FreeSurfer's flat patch; InputError as ``read_depth``."""
    return _checked(freesurfer.read_patch, path, n)


def _gifti(path, geometry=False):
    """A GIFTI file as nilearn keeps it, gzipped."""

    def read(path):
        size_of(path, "a GIFTI file")
        gifti = read_gifti(inflated(path, "a whole gzipped GIFTI file", _MOST), path, geometry)
        side = side_in_name(path.name.replace("_", "."))
        if None not in (side, gifti.hemi) and side != gifti.hemi:
            words = [SIDES[k][1] for k in (side, gifti.hemi)]
            raise stop(
                path, f"the {words[0]} hemisphere, as its name says", f"the {words[1]} one in its own metadata", ""
            )
        return gifti

    return _checked(read, path, remedy="let nilearn download it again")


def _checked(read, path, *arguments, remedy=_AGAIN):
    """What a reader gives; where to get a whole file of fsaverage is added to its errors."""
    try:
        return read(path, *arguments)
    except DataError as error:
        raise stop(path, error.problem.expected, error.problem.actual, remedy) from None


def _of_another_mesh(path, n, actual):
    kind = _BY_COUNT.get(actual, "a subject's own surface, or cut off")
    return stop(path, f"{n:,} vertices ({_BY_COUNT.get(n, 'fsaverage')})", f"{actual:,} ({kind})", _AGAIN)
