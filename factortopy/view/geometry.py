"""The static geometry that the browser view draws: built once from the meshes.

That of 10k is shipped in ``assets/`` (``python -m factortopy.view.geometry`` writes it again); those of 41k and 164k
are built on first use. All are kept packed in the home's cache, because Streamlit would pack them anew at every request.
The hemispheres are set side by side, positions quantised to 16 bits (4 to 10 micrometres). Sizes: 1.0 MB at 10k,
3.3 MB packed (5.8 MB) at 41k, 12.9 MB packed (23.3 MB) at 164k.
"""

import gzip
import hashlib
from functools import cache, partial
from pathlib import Path

import numpy as np

from factortopy.storage.files import write_atomic
from factortopy.storage.home import cache_dir
from factortopy.surfaces.meshes import load_mesh
from factortopy.view.packing import pack

FORMAT = 1  # of the files in the cache; raise it when ``build`` changes

ASSETS = Path(__file__).parent / "assets"
KINDS = ("pial", "white", "inflated", "flat")  # the order of the unfolding slider
GAP = {"pial": 2.0, "white": 4.0, "inflated": 3.0, "flat": 14.0}  # millimetres between the hemispheres


def arranged(mesh):
    """{kind: (2n, 3) float64} positions in the view's frame: x right, y forward, z up, hemispheres apart, centred.

    The flat patch lies in the x-z plane, as it is seen from behind; posterior cortex of both sides meets in the middle.
    """
    out = {}
    for kind in KINDS:
        xyz = np.asarray(mesh.coords[kind], dtype=np.float64).copy()
        used = np.ones(len(xyz), dtype=bool)
        if kind == "flat":
            xyz = np.stack([xyz[:, 0], np.zeros(len(xyz)), xyz[:, 1]], axis=1)
            used = np.zeros(len(xyz), dtype=bool)
            used[np.unique(mesh.flat_faces)] = True
        left = np.arange(len(xyz)) < mesh.n
        xyz[left, 0] -= xyz[left & used, 0].max() + GAP[kind] / 2
        xyz[~left, 0] -= xyz[~left & used, 0].min() - GAP[kind] / 2
        middle = (xyz[used].max(0) + xyz[used].min(0)) / 2
        out[kind] = xyz - middle * (0, 1, 1)
    return out


def _quantise(xyz):
    low = xyz.min(0)
    step = np.ptp(xyz, axis=0) / 65535
    codes = np.divide(xyz - low, step, out=np.zeros_like(xyz), where=step > 0)
    return np.round(codes).astype(np.uint16), low, step


def _by_hemisphere(faces, n):
    """Faces of the left hemisphere, then those of the right, and how many of each."""
    is_left = faces[:, 0] < n
    return np.concatenate([faces[is_left], faces[~is_left]]), [int(is_left.sum()), int((~is_left).sum())]


def build(mesh):
    """Bytes of the geometry of ``mesh`` (a ``surfaces.Mesh``): positions, sulcal depth, faces."""
    positions = arranged(mesh)
    codes, low, step = zip(*(_quantise(positions[kind]) for kind in KINDS), strict=True)
    faces, n_faces = _by_hemisphere(mesh.faces, mesh.n)
    flat_faces, n_flat = _by_hemisphere(mesh.flat_faces, mesh.n)
    index = np.uint16 if 2 * mesh.n <= 65535 else np.uint32
    # A narrow range around 0 keeps the walls between sulci and gyri visible as a gradient.
    depth = np.clip(np.asarray(mesh.sulc) / 2 + 0.5, 0, 1)
    header = {
        "density": mesh.density,
        "n": mesh.n,
        "kinds": KINDS,
        "low": [v.tolist() for v in low],
        "step": [v.tolist() for v in step],
        "faces": n_faces,
        "flatFaces": n_flat,
    }
    if mesh.preview:
        header["preview"] = mesh.source  # said beside what is drawn
    arrays = {
        "positions": np.stack(codes),
        "sulc": np.round(depth * 255).astype(np.uint8),
        "faces": np.concatenate([faces, flat_faces]).astype(index),
    }
    return pack(header, arrays)


def asset_name():
    """File name of the geometry of 10k in ``assets/``."""
    return "geometry-10k.bin"


def folder():
    """What the view's files are served from; nothing else lies there, so all of it may be served."""
    return cache_dir("view")


def built(density):
    """Path of the packed geometry of a density, built when it is not in the cache or another mesh has been found."""
    if density == "10k":
        stamp, build_it = _stamp_of_shipped(), (ASSETS / asset_name()).read_bytes
    else:
        mesh = load_mesh(density)
        stamp, build_it = _stamp(mesh), partial(build, mesh)
    path = folder() / f"geometry-{density}-{stamp}.bin.gz"
    if not path.is_file():
        write_atomic(path, gzip.compress(build_it(), compresslevel=3, mtime=0))
    return path


@cache
def _stamp_of_shipped():
    return hashlib.blake2b((ASSETS / asset_name()).read_bytes(), digest_size=8).hexdigest()


@cache
def _stamp(mesh):
    digest = hashlib.blake2b(f"{FORMAT} {mesh.preview} {mesh.source}".encode(), digest_size=8)
    for part in (*(mesh.coords[kind] for kind in KINDS), mesh.sulc, mesh.flat_faces):
        digest.update(np.ascontiguousarray(part))
    return digest.hexdigest()


def write():
    """Build the geometry of 10k and put it among the assets; returns its path."""
    path = ASSETS / asset_name()
    write_atomic(path, build(load_mesh()))
    return path


if __name__ == "__main__":
    written = write()
    print(written.name, f"{written.stat().st_size / 1e6:.2f} MB")
