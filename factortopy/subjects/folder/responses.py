"""Numbers a vertex in the folder layout: NumPy, GIFTI, MGH/MGZ and CIFTI files, each checked before it is believed."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.mgh import Mgh, open_mgh
from factortopy.formats.npy import as_float32, mapped_blocks, row_blocks, safe_npy
from factortopy.formats.problems import STOPS, DataError, Problem, foreign, stop
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import safe_label, shown_path

ENDINGS = (".npy", ".func.gii", ".shape.gii", ".mgh", ".mgz")  # of one hemisphere
CIFTI = (".dscalar.nii", ".dtseries.nii")  # both hemispheres in one file
VOLUMES = (".nii", ".nii.gz", ".mnc", ".HEAD", ".BRIK")
PROJECT = (
    "project it to fsaverage first (nilearn.surface.vol_to_surf, or FreeSurfer's mri_vol2surf --trgsubject fsaverage)"
)
MOST_XML = 128 * 2**20  # bytes of a GIFTI file, which is read whole
MOST_CIFTI_XML = 16 * 2**20
_COPY = "copy or download it again"
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_SIDES = {"CIFTI_STRUCTURE_CORTEX_LEFT": "L", "CIFTI_STRUCTURE_CORTEX_RIGHT": "R"}


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
    """{"L" and "R": Rows} of a dense CIFTI-2 file; its surface models only (volumes in it are left out).

    Raises
    ------
    InputError
        As ``open_rows``; also for another surface than fsaverage.
    """
    path = Path(path)
    data, models = _cifti(path)
    sides = {}
    for model in models:
        side = _SIDES.get(model.brain_structure)
        if side is None or model.model_type != "CIFTI_MODEL_TYPE_SURFACE":
            continue
        start, count, mesh = (
            int(n or 0) for n in (model.index_offset, model.index_count, model.surface_number_of_vertices)
        )
        if mesh not in N_VERTICES.values():
            actual = "fsLR (32k)" if mesh == 32492 else f"a surface of {mesh:,} vertices"
            remedy = "resample it: wb_command -cifti-separate, then -metric-resample to fsaverage"
            raise stop(path, "vertices of fsaverage", actual, remedy)
        vertices = np.array(list(model.vertex_indices or ()), dtype=np.int64)
        if side in sides or count < 1 or start < 0 or start + count > data.shape[1] or len(vertices) != count:
            raise stop(path, "brain models that fit the data", "others", _COPY)
        sides[side] = Rows(path, data[:, start : start + count], vertices, mesh)
    if not sides:
        raise volume(path, "a CIFTI file without a cortical surface")
    return sides


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
    from factortopy.formats.gifti import read_gifti

    size, data = _read(path, "a GIFTI file", MOST_XML, "save large responses as .npy, which is not read at once")
    words = foreign(data[:1024], "")
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or words.startswith("a web page"):
        raise stop(path, "a GIFTI file", words or "a file of another kind", _COPY)
    try:
        columns = read_gifti(data, shown_path(path)).columns
    except InputError as error:
        raise DataError(Problem(STOPS, shown_path(path), "", str(error), "")) from None
    if len({len(column) for column in columns}) > 1:
        raise stop(path, "maps of the same length", "different lengths", "save it again")
    return np.stack(columns)


def _read(path, what, most, remedy):
    """(bytes of the file, its content); DataError when it is missing or larger than ``most``."""
    try:
        size = path.stat().st_size
        if size > most:
            raise stop(path, f"{what} of at most {most // 2**20} MB", f"{size / 2**20:,.0f} MB", remedy)
        return size, path.read_bytes()
    except FileNotFoundError:
        actual = "a link to a file that is not here" if path.is_symlink() else "none"
        raise stop(path, what, actual, "fetch it (git annex get, git lfs pull)") from None
    except OSError as error:
        raise stop(path, what, error.strerror or str(error), "check its permissions") from None


def _cifti(path):
    """(memory-mapped (rows, grayordinates) array, brain models) of a CIFTI-2 file: a NIfTI-2 header, XML, numbers."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(552)
            order = {540: "<", 469893120: ">"}.get(struct.unpack("<i", head[:4])[0] if len(head) >= 4 else 0)
            if len(head) < 552 or order is None or head[4:8] not in (b"n+2\0", b"n+1\0"):
                raise stop(path, "a CIFTI-2 file", foreign(head[:100], "another kind, or cut off"), _COPY)
            kind = struct.unpack(order + "h", head[12:14])[0]
            shape = struct.unpack(order + "8q", head[16:80])
            offset = struct.unpack(order + "q", head[168:176])[0]
            slope, inter = struct.unpack(order + "2d", head[176:192])
            extension, code = struct.unpack(order + "2i", head[544:552])
            if kind not in _NIFTI_TYPES or shape[0] != 6 or shape[1:5] != (1, 1, 1, 1) or min(shape[5:7]) < 1:
                raise stop(
                    path, "rows of grayordinates", "another array (a dense .dscalar or .dtseries is needed)", _COPY
                )
            if not 552 <= 544 + extension <= offset <= size or code != 32 or extension > MOST_CIFTI_XML:
                raise stop(path, "a CIFTI-2 header", "a damaged one", _COPY)
            xml = file.read(extension - 8).rstrip(b"\0")
    except OSError as error:
        raise stop(path, "a readable CIFTI file", error.strerror or "none", "copy it there") from None
    dtype = np.dtype(order + _NIFTI_TYPES[kind])
    needed = offset + shape[5] * shape[6] * dtype.itemsize
    if size != needed:
        raise stop(
            path, f"{needed:,} bytes for {shape[5]:,} × {shape[6]:,}", f"{size:,}: truncated, or its header lies", _COPY
        )
    if np.isfinite(slope) and slope not in (0, 1) or np.isfinite(inter) and inter != 0:
        raise stop(path, "plain numbers", f"scaled ones (slope {slope:g}, intercept {inter:g})", "save it as float32")
    data = np.memmap(path, dtype, "r", offset, tuple(shape[5:7]), order="F")
    return data, _brain_models(path, xml, data.shape)


def _brain_models(path, xml, shape):
    """Brain models of the second dimension of a CIFTI-2 header."""
    if b"<!" in xml.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise stop(path, "plain XML", "a header that declares entities", "it was refused for safety: save it again")
    from nibabel.cifti2.parse_cifti2 import Cifti2Parser

    parser = Cifti2Parser()
    try:
        parser.parse(string=xml)
        maps = [m for m in parser.header.matrix if 1 in list(m.applies_to_matrix_dimension)]
        models = list(maps[0].brain_models)
        if sum(int(model.index_count) for model in models) != shape[1]:
            raise ValueError("other counts than the data")
    except Exception:  # nibabel's parser lets through whatever its parts raise
        raise stop(path, "a CIFTI-2 header with brain models", "a damaged one, or none", _COPY) from None
    return models
