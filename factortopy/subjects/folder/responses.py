"""Numbers a vertex in the folder layout: NumPy, GIFTI, MGH/MGZ and CIFTI files, each checked before it is believed."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.formats.cifti import open_dense
from factortopy.formats.files import COPY, content
from factortopy.formats.gifti import read_gifti
from factortopy.formats.mgh import Mgh, open_mgh
from factortopy.formats.npy import as_float32, mapped_blocks, row_blocks, safe_npy
from factortopy.formats.problems import foreign, stop
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import safe_label

ENDINGS = (".npy", ".func.gii", ".shape.gii", ".mgh", ".mgz")  # of one hemisphere
CIFTI = (".dscalar.nii", ".dtseries.nii")  # both hemispheres in one file
VOLUMES = (".nii", ".nii.gz", ".mnc", ".HEAD", ".BRIK")
PROJECT = (
    "project it to fsaverage first (nilearn.surface.vol_to_surf, or FreeSurfer's mri_vol2surf --trgsubject fsaverage)"
)
MOST_XML = 128 * 2**20  # bytes of a GIFTI file, which is read whole


@dataclass
class Rows:
    """Responses of one hemisphere as they lie on the disk.

    path : Path; source : (T, N) array, memory-mapped where that can be, or Mgh
    vertices : (N,) mesh indices where the file itself tells them (CIFTI), else None; mesh : vertices of that mesh
    """

    path: Path
    source: object
    vertices: np.ndarray | None = None
    mesh: int | None = None

    @property
    def shape(self):
        return (self.source.frames, self.source.vertices) if isinstance(self.source, Mgh) else self.source.shape

    @property
    def dtype(self):
        return self.source.dtype

    def blocks(self):
        """Yield (rows, (rows, N) float32), a few megabytes each."""
        if isinstance(self.source, Mgh):
            for rows in row_blocks(*self.shape):
                yield rows, self.source.frame_block(rows.start, rows.stop)
        else:
            for rows, block in mapped_blocks(self.source):
                yield rows, as_float32(block)

    def sample(self, most=32):
        """(k, N) float32: up to ``most`` trials, evenly spread."""
        chosen = np.unique(np.linspace(0, self.shape[0] - 1, most).astype(int))
        if isinstance(self.source, Mgh):
            return np.concatenate([self.source.frame_block(int(k), int(k) + 1) for k in chosen])
        return as_float32(self.source[chosen])


def open_rows(path):
    """Responses of one hemisphere, (trials, vertices), from any file of ``ENDINGS``.

    Returns
    -------
    Rows
        .npy and .mgh are read later, block by block; GIFTI and MGZ are in memory.

    Raises
    ------
    InputError
        Path, expected, actual, remedy; nothing is believed before the file's size agrees.
    """
    path = Path(path)
    if path.name.endswith(".npy"):
        array = safe_npy(path, kinds="fiu")
        if array.ndim != 2 or 0 in array.shape:
            words = " × ".join(f"{n:,}" for n in array.shape) or "a single value"
            raise stop(path, "a (trials, vertices) array", words, "save it as (trials, vertices)")
        return Rows(path, array)
    if path.name.endswith(".gii"):
        return Rows(path, _gifti(path))
    mgh = open_mgh(path)
    if sum(n > 1 for n in mgh.axes) > 1:
        raise volume(path, " × ".join(f"{n:,}" for n in mgh.axes))
    return Rows(path, _unpacked(mgh) if mgh.packed else mgh)


def read_values(path):
    """(n,) float32 of a file of ``ENDINGS`` that holds one number a vertex: a map, labels, a mask."""
    path = Path(path)
    if path.name.endswith(".npy"):
        array = safe_npy(path, shape=(None,))
        return as_float32(np.array(array))
    if path.name.endswith(".gii"):
        columns = _gifti(path)
        if len(columns) != 1:
            raise stop(path, "one map", f"{len(columns)}", "save each in a file of its own")
        return as_float32(columns[0])
    mgh = open_mgh(path, frames=1)
    return (_unpacked(mgh) if mgh.packed else mgh.values())[0]


def open_cifti(path):
    """{"L" and "R": Rows} of a dense CIFTI-2 file; its cortical surfaces only (other structures are left out).

    Raises
    ------
    InputError
        As ``open_rows``; also for another surface than fsaverage.
    """
    path = Path(path)
    cifti = open_dense(path)
    rows = {}
    for model in cifti.models:
        if model.hemi is None or model.surface is None:
            continue
        if model.surface not in N_VERTICES.values():
            actual = "fsLR (32k)" if model.surface == 32492 else f"a surface of {model.surface:,} vertices"
            remedy = "resample it: wb_command -cifti-separate, then -metric-resample to fsaverage"
            raise stop(path, "vertices of fsaverage", actual, remedy)
        rows["LR"[model.hemi]] = Rows(path, cifti.data[:, model.columns], model.vertices, model.surface)
    if not rows:
        raise volume(path, "a CIFTI file without a cortical surface")
    return rows


def volume(path, actual):
    """DataError for a volume where a surface is needed."""
    return stop(path, "values on fsaverage's surface", f"{actual}: a volume", PROJECT)


def is_volume(path):
    """True for the file of a volume, by its name."""
    name = Path(path).name
    return name.endswith(VOLUMES) and not name.endswith(CIFTI)


def volumes_in(folder):
    """Name of a volume file in a folder or one below (THINGS-fMRI, BOLD5000, CNeuroMod, BIDS); "" where there is none."""
    for pattern in ("*", "*/*", "sub-*/*/*", "sub-*/*/*/*"):
        for _, path in zip(range(2000), Path(folder).glob(pattern)):
            if is_volume(path):
                return safe_label(path.name)
    return ""


def files_in(folder):
    """{name: Path} of the plain files in a folder, sorted; {} where there is none."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith(".") and (e.is_file() or e.is_symlink()))
    except OSError:
        return {}
    return {name: Path(folder) / name for name in names}


# ---------------------------------------------------------------- single formats


def _unpacked(mgh):
    """Values of an MGZ; refused where they would not fit into the memory that is free."""
    check_memory(mgh.path, 3 * mgh.frames * mgh.vertices * 4, "unpack it (gzip -d): an .mgh is read piece by piece")
    return mgh.values()


def check_memory(path, needed, remedy):
    """Raise where ``needed`` bytes are more than a program could still get."""
    from factortopy.storage.machine import free_memory

    free = free_memory()
    if free is not None and needed > 0.9 * free:
        raise stop(path, f"{needed / 1e9:.1f} GB of memory to read it", f"{free / 1e9:.1f} GB free", remedy)


def _gifti(path):
    """(maps, vertices) of a GIFTI file."""
    data = content(path, "a GIFTI file", MOST_XML, "save large responses as .npy, which is not read at once")
    actual = foreign(data[:1024], "")
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or actual.startswith("a web page"):
        raise stop(path, "a GIFTI file", actual or "a file of another kind", COPY)
    columns = read_gifti(data, path).columns
    if len({len(column) for column in columns}) > 1:
        raise stop(path, "maps of the same length", "different lengths", "save it again")
    return np.stack(columns)
