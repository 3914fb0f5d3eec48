"""FreeSurfer's MGH and MGZ files, written, and read strictly: nothing in a header is believed before the file's size agrees.

An MGH file is 284 bytes of header (big-endian), then the values, first axis fastest, frame after frame, then perhaps
scanner parameters and tags. On a surface the first three axes hold the vertices. An MGZ file is the same, gzipped: it is
inflated piece by piece, to its end, so that its checksum is tested and a bomb is noticed early.

Source: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat
"""

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY, MOST_INFLATION, check_memory, first_bytes, inflated
from factortopy.formats.npy import as_float32
from factortopy.formats.problems import foreign, stop
from factortopy.formats.surface_shapes import axes_words, on_surface
from factortopy.storage.files import write_atomic

HEADER = 284
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_MOST_TAGS = 2**20  # bytes behind the values
_ZIPPED = "a whole gzipped MGH file"


@dataclass(frozen=True)
class Mgh:
    """A checked MGH or MGZ file; ``values`` and ``frame_block`` read it.

    path : Path
    axes : (width, height, depth) as the header states them
    frames : int
    dtype : numpy dtype of the file, big-endian
    packed : bool, gzipped
    """

    path: Path
    axes: tuple
    frames: int
    dtype: np.dtype
    packed: bool

    @property
    def vertices(self):
        """Values a frame."""
        return math.prod(self.axes)

    def frame_block(self, start=0, stop_at=None, leading=None):
        """Frames ``start`` to ``stop_at`` (exclusive) as (frames, vertices) float32, or their ``leading`` vertices.

        Nothing else is read.

        Raises
        ------
        InputError
            When the file is an MGZ (nothing can be skipped in it: use ``values``) or cannot be read any more.
        """
        if self.packed:
            raise stop(self.path, "an MGH file", "a gzipped one", "unpack it: gzip -dc file.mgz > file.mgh")
        stop_at = self.frames if stop_at is None else min(stop_at, self.frames)
        values = np.empty((max(0, stop_at - start), min(leading or self.vertices, self.vertices)), self.dtype)
        try:
            with open(self.path, "rb", buffering=0) as file:
                for k, row in enumerate(values, start):
                    file.seek(HEADER + k * self.vertices * self.dtype.itemsize)
                    if file.readinto(row.view(np.uint8)) != row.nbytes:
                        raise stop(self.path, f"frame {k + 1} of {self.frames}", "a file that became shorter", COPY)
        except OSError as error:
            raise stop(self.path, "a readable MGH file", error.strerror or str(error), COPY) from None
        return as_float32(values)

    def values(self):
        """All of it, (frames, vertices) float32; an MGZ is read to its end."""
        return as_float32(self.array()) if self.packed else self.frame_block()

    def array(self):
        """(frames, vertices) in the file's own type: a read-only memory map, of an MGZ in memory.

        Raises
        ------
        InputError
            For an MGZ that is cut, damaged or too large for the memory that is free.
        """
        shape = self.frames, self.vertices
        if not self.packed:
            return np.memmap(self.path, self.dtype, "r", HEADER, shape)
        check_memory(self.path, 3 * 4 * math.prod(shape), "unpack it (gzip -d): an .mgh is read piece by piece")
        data = _unzipped(self.path, HEADER + math.prod(shape) * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype, math.prod(shape), HEADER).reshape(shape)


def open_mgh(path, vertices=None, frames=None, surface=""):
    """A file whose header agrees with its size; nothing but the header is read.

    Parameters
    ----------
    path : path
        .mgh or .mgz; the content decides.
    vertices : int, optional
        Required values a frame; None allows any number.
    frames : int, optional
        Required number of frames.
    surface : str
        What a mesh of so many vertices is called, for the error: "fsaverage".

    Returns
    -------
    Mgh

    Raises
    ------
    InputError
        For a missing or cut file, a pointer or web page in its place, a header that does not fit the file, a volume, a
        transposed array, another number of vertices.
    """
    path = Path(path)
    size, packed, head = _head(path)
    version, *axes, n_frames, kind = struct.unpack(">6i", head[:24])
    if version != 1 or kind not in _TYPES or min(*axes, n_frames) < 1:
        swapped = struct.unpack("<i", head[:4])[0] == 1
        actual = "one with its bytes swapped" if swapped else foreign(head[:100], "a damaged one")
        raise stop(path, "the header of an MGH file", actual, COPY)
    mgh = Mgh(path, tuple(axes), n_frames, np.dtype(_TYPES[kind]), packed)
    needed = HEADER + mgh.frames * mgh.vertices * mgh.dtype.itemsize
    words = f"{' × '.join(f'{n:,}' for n in (*axes, n_frames))} of {mgh.dtype.name}"
    if packed and needed > size * MOST_INFLATION:
        raise stop(path, f"values for {words}", f"{size:,} bytes, too few to hold them: its header lies", COPY)
    if not packed and size < needed:
        raise stop(path, f"{needed:,} bytes for {words}", f"{size:,} bytes: truncated, or its header lies", COPY)
    if not packed and size > needed + _MOST_TAGS:
        raise stop(path, f"{needed:,} bytes for {words}", f"{size:,} bytes: its header lies", COPY)
    _check_shape(mgh, vertices, frames, surface)
    return mgh


def read_mgh(path, vertices=None, surface=""):
    """(vertices,) float32 of a file with one frame, such as a mask, a map or labels."""
    return open_mgh(path, vertices, 1, surface).values()[0]


def whole_labels(path, vertices=None, surface=""):
    """(vertices,) int64 labels of a file with one frame; a missing value is no label (0)."""
    values = read_mgh(path, vertices, surface)
    return np.where(np.isfinite(values) & (np.abs(values) < 1e6), values, 0).astype(np.int64)


def write_mgz(path, values):
    """Write (n,) or (n, k) values of a surface as an MGZ file of one or k frames, float32; returns the path.

    Gzipped, as nilearn reads no plain .mgh.
    """
    import nibabel

    frames = np.asarray(values, dtype=np.float32).reshape(len(values), 1, 1, -1)
    frames = frames[..., 0] if frames.shape[-1] == 1 else frames
    write_atomic(path, gzip.compress(nibabel.MGHImage(frames, np.eye(4)).to_bytes(), mtime=0))
    return Path(path)


def _check_shape(mgh, vertices, frames, surface):
    wanted = "values on a surface" if vertices is None else f"{vertices:,} vertices"
    wanted += f" ({surface})" if surface else ""
    if vertices is not None and mgh.vertices != vertices and mgh.frames == vertices:
        raise stop(mgh.path, wanted, f"{mgh.vertices:,} vertices and {mgh.frames:,} frames", "it looks transposed")
    if not on_surface(mgh.axes):
        shape = axes_words(mgh.axes)
        raise stop(mgh.path, wanted, f"a volume of {shape}", "project it to the surface first (mri_vol2surf)")
    if vertices is None or mgh.vertices == vertices:
        if frames is not None and mgh.frames != frames:
            raise stop(mgh.path, f"{frames} frame{'s' * (frames > 1)}", f"{mgh.frames:,}", "another file was meant?")
        return
    remedy = "another subject's?"
    if surface:
        remedy = f"a native surface, not {surface}? take the file of the {surface} folder"
    raise stop(mgh.path, wanted, f"{mgh.vertices:,}", remedy)


# ---------------------------------------------------------------- files


def _head(path):
    """(bytes of the file, gzipped or not, the first bytes of the content)."""
    what = f"an {path.suffix[1:].upper() or 'MGH'} file"
    size, head = first_bytes(path, what, HEADER)
    packed = head.startswith(b"\x1f\x8b")
    if packed:
        head = bytes(inflated(path, _ZIPPED, HEADER))
    if len(head) < HEADER:
        actual = foreign(head[:100], f"{size:,} bytes: truncated")
        raise stop(path, f"an MGH file of more than {HEADER} bytes", actual, COPY)
    return size, packed, head


def _unzipped(path, needed):
    """All bytes of a gzipped file, of which there must be ``needed``, and behind them tags at most."""
    data = inflated(path, _ZIPPED, needed + _MOST_TAGS + 1)
    if len(data) < needed:
        raise stop(path, f"{needed:,} bytes inside", f"{len(data):,}: truncated, or its header lies", COPY)
    if len(data) > needed + _MOST_TAGS:
        raise stop(path, f"{needed:,} bytes inside", "far more of them: its header lies", COPY)
    return data
