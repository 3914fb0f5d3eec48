"""Reading fsaverage's own meshes, as FreeSurfer writes them or as nilearn downloads them, checked before they are believed."""

import importlib.util
import os
import zlib
from pathlib import Path

import numpy as np

from factortopy.errors import InputError

SIDES = (("lh", "left"), ("rh", "right"))
SURFACES = ("white", "pial", "inflated", "sphere")
PATCHES = ("cortex.patch.flat", "full.flat.patch.3d", "full.patch.flat", "cortex.flat.patch.3d")
_GIFTI = {"white": "white", "pial": "pial", "inflated": "infl", "sphere": "sphere", "flat": "flat"}
_BY_COUNT = {10242: "fsaverage5", 40962: "fsaverage6", 163842: "fsaverage"}
_AGAIN = "copy it again from FreeSurfer's fsaverage"
_BROKEN = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, zlib.error)
_MOST = 64 * 2**20  # bytes: no file of fsaverage is larger


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
    """fsaverage5's files inside nilearn, found without importing it, which would take seconds."""
    files = nilearn_files(Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data" / "fsaverage5")
    if all(path.is_file() for paths in files.values() for path in paths):
        return files
    from nilearn.datasets import fetch_surf_fsaverage  # a later version may keep them elsewhere

    found = fetch_surf_fsaverage("fsaverage5")
    return {kind: [Path(found[path.name.removesuffix(".gii.gz")]) for path in paths] for kind, paths in files.items()}


def nilearn_folders():
    """Folders to which nilearn downloads, in its order (``nilearn.datasets.get_data_dirs`` without importing it)."""
    named = [os.environ.get(name, "") for name in ("NILEARN_SHARED_DATA", "NILEARN_DATA")]
    return [Path(p) for text in named for p in text.split(os.pathsep) if p] + [Path("~/nilearn_data").expanduser()]


def count_vertices(path):
    """Vertices that the header of a surface file states; only the header is read.

    Raises
    ------
    InputError
        When the file cannot be read or is no surface.
    """
    if path.name.endswith(".gii.gz"):
        return len(read_surface(path)[0])
    return _triangle_counts(path)[0]


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
        coords, faces = (_gifti(path) + [None, None])[:2]
    else:
        vertices, triangles = _triangle_counts(path)
        if n is not None and vertices != n:
            raise _of_another_mesh(path, n, vertices)
        if path.stat().st_size < 12 * (vertices + triangles):
            raise _damaged(path, f"{vertices:,} vertices", f"{path.stat().st_size:,} bytes: it was cut off")
        from nibabel.freesurfer import read_geometry

        try:
            coords, faces = read_geometry(path)
        except _BROKEN as error:
            raise _damaged(path, "a FreeSurfer surface", error) from None
    if coords is None or coords.ndim != 2 or coords.shape[1] != 3:
        raise _damaged(path, "coordinates of a surface", "none")
    if n is not None and len(coords) != n:
        raise _of_another_mesh(path, n, len(coords))
    coords = np.asarray(coords, dtype=np.float32)
    if not np.isfinite(coords).all() or np.abs(coords).max() > 1e4:
        raise _damaged(path, "coordinates in millimetres", "values that are not numbers or beyond 10 m")
    if faces is None or faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= len(coords):
        raise _damaged(path, "triangles of its vertices", "vertex numbers outside the mesh")
    return coords, np.asarray(faces, dtype=np.int32)


def read_depth(path, n):
    """(n,) float32 sulcal depth; InputError naming the file when it is missing, short, damaged or of another mesh."""
    if path.name.endswith(".gii.gz"):
        values = np.ravel(_gifti(path)[0])  # an empty file gives one value
    else:
        head = _head(path, 15)
        if head[:3] == b"\xff\xff\xff" and (found := int.from_bytes(head[3:7], "big")) != n:
            raise _of_another_mesh(path, n, found)
        from nibabel.freesurfer import read_morph_data

        try:
            values = read_morph_data(path)
        except _BROKEN as error:
            raise _damaged(path, "a FreeSurfer curvature file", error) from None
    if len(values) != n:
        raise _of_another_mesh(path, n, len(values))
    values = np.asarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise _damaged(path, "sulcal depths", "values that are not numbers")
    return values


def read_patch(path, n):
    """A flat patch in FreeSurfer's format (big-endian: −1, count, then a vertex and x, y, z each).

    Returns
    -------
    rows : (K,) vertices of the patch
    coords : (K, 3) float32

    Raises
    ------
    InputError
        Naming the file when it is missing, short, damaged or of another mesh.
    """
    head = np.frombuffer(_head(path, 8), dtype=">i4")
    if head[0] != -1 or head[1] <= 0:
        raise _damaged(path, "a FreeSurfer patch", f"a first number of {head[0]}")
    if path.stat().st_size < 8 + 16 * int(head[1]):
        raise _damaged(path, f"{head[1]:,} vertices", f"{path.stat().st_size:,} bytes: it was cut off")
    try:
        found = np.fromfile(path, dtype=[("vertex", ">i4"), ("xyz", ">f4", 3)], count=int(head[1]), offset=8)
    except _BROKEN as error:
        raise _damaged(path, "a FreeSurfer patch", error) from None
    rows = np.abs(found["vertex"].astype(np.int64)) - 1  # counted from 1, negative on the patch's border
    coords = found["xyz"].astype(np.float32)
    if rows.min() < 0 or rows.max() >= n or len(np.unique(rows)) != len(rows):
        raise _damaged(path, f"vertices 1 to {n:,}, each once", "others")
    if not np.isfinite(coords).all():
        raise _damaged(path, "coordinates", "values that are not numbers")
    return rows, coords


def _gifti(path):
    _head(path, 8)
    from xml.parsers.expat import ExpatError

    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        return [array.data for array in nibabel.load(path).darrays] or [None]
    except (*_BROKEN, ImageFileError, ExpatError, AttributeError) as error:
        raise _damaged(path, "a GIFTI surface", error, "let nilearn download it again") from None


def _triangle_counts(path):
    """Vertices and triangles that a surface file's header states."""
    head = _head(path, 2000)
    end = head.find(b"\n", head.find(b"\n") + 1) + 1  # a comment, and one more line
    if head[:3] != b"\xff\xff\xfe" or end < 4 or len(head) < end + 8:
        raise _damaged(path, "a FreeSurfer surface of triangles", "another kind of file")
    vertices, triangles = (int(v) for v in np.frombuffer(head[end : end + 8], dtype=">i4"))
    if min(vertices, triangles) < 1:
        raise _damaged(path, "a FreeSurfer surface of triangles", f"{vertices:,} vertices, {triangles:,} triangles")
    return vertices, triangles


def _head(path, n):
    """The first bytes of a file; InputError when it is missing, far too large, a pointer, or shorter than 8 of them."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(n)
    except OSError as error:
        raise InputError(
            f"{path}: expected a file of fsaverage, found: {error.strerror or error}; copy the whole surf folder"
        ) from None
    if head[:8] == b"version " or head[:6] == b"/annex":
        raise _damaged(path, "a file of fsaverage", "a Git-LFS or annex pointer", "fetch the file itself")
    if len(head) < min(n, 8) or size > _MOST:
        raise _damaged(path, "a file of fsaverage", f"{size:,} bytes")
    return head


def _damaged(path, expected, found, remedy=_AGAIN):
    return InputError(f"{path}: expected {expected}, found {' '.join(str(found).split())[:120]}; {remedy}")


def _of_another_mesh(path, n, found):
    what = _BY_COUNT.get(found, "a subject's own surface, or cut off")
    return InputError(
        f"{path}: expected {n:,} vertices ({_BY_COUNT.get(n, 'fsaverage')}), found {found:,} ({what}); {_AGAIN}"
    )
