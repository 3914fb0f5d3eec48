"""NIfTI-1 and NIfTI-2 files, read strictly: headers, and the values of those that hold a surface (FreeSurfer's .nii, .nii.gz).

A header (348 bytes, or 540) says axes, number type, byte order, where the values begin and how they are scaled; the first
axis runs fastest. FreeSurfer writes more vertices than an axis can count by folding them (``surface_shapes``), or as an axis
of −1 with the count in ``glmin``. Nothing in a header is believed before the file's size agrees.

Source: https://nifti.nimh.nih.gov; https://surfer.nmr.mgh.harvard.edu/fswiki/FreeSurferWiki (nifti1.c, niiRead)
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY, MOST_INFLATION, check_memory, first_bytes, inflated
from factortopy.formats.problems import foreign, stop

TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_OTHERS = {128: "colours", 2304: "colours", 32: "complex numbers", 1792: "complex numbers", 1536: "float128"}
_FIRST = 560  # bytes: a header, and the size and code of its first extension
_CIFTI = 32  # code of the extension that makes a NIfTI-2 file a CIFTI-2 file
_SIZES = {348: (1, "<"), 540: (2, "<"), 0x5C010000: (1, ">"), 0x1C020000: (2, ">")}
_ZIPPED = "a whole gzipped NIfTI file"


@dataclass(frozen=True)
class Header:
    """What a file says of its numbers.

    path : Path; size : int, bytes of the file; packed : bool, gzipped
    shape : tuple, the axes; dtype : numpy dtype, in the file's byte order; offset : int, of the first value
    slope, intercept : what a stored number is multiplied by, and what is then added
    intent : int; extension : int, bytes of a CIFTI-2 extension, which begins at byte 544; 0 where there is none
    order : "<" or ">"
    """

    path: Path
    size: int
    packed: bool
    shape: tuple
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    intent: int
    extension: int
    order: str

    @property
    def needed(self):
        """Bytes up to the end of the values."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    def array(self, shape, order="C"):
        """The values as an array of this shape: a read-only memory map, of a gzipped file in memory.

        Raises
        ------
        InputError
            For a gzipped file that is cut, damaged, longer than it says, or too large for the memory that is free.
        """
        if not self.packed:
            return np.memmap(self.path, self.dtype, "r", self.offset, shape, order)
        check_memory(self.path, 2 * self.needed, "unpack it (gzip -d): it is then read piece by piece")
        data = inflated(self.path, _ZIPPED, self.needed + 1)
        if len(data) != self.needed:
            actual = "more of them" if len(data) > self.needed else f"{len(data):,}"
            raise stop(self.path, f"{self.needed:,} bytes inside", f"{actual}: truncated, or its header lies", COPY)
        return np.frombuffer(data, self.dtype, math.prod(shape), self.offset).reshape(shape, order=order)


def looks_like_nifti(head):
    """Whether the first bytes of a file, unpacked, are those of a NIfTI file, whole or not."""
    return len(head) >= 4 and struct.unpack("<I", head[:4])[0] in _SIZES


def is_cifti(head):
    """Whether the first 552 bytes of a file, unpacked, are those of a CIFTI-2 file."""
    version, order = _SIZES.get(struct.unpack("<I", head[:4])[0] if len(head) >= 4 else 0, (0, ""))
    if version != 2 or len(head) < 552:
        return False
    return struct.unpack(order + "i", head[548:552])[0] == _CIFTI


def head_of(path, what, n=_FIRST):
    """(bytes of the file, gzipped or not, its first ``n`` bytes, unpacked)."""
    size, head = first_bytes(path, what, n)
    packed = head.startswith(b"\x1f\x8b")
    return size, packed, bytes(inflated(path, f"{what}, gzipped", n)) if packed else head


def read_header(path, what="a NIfTI file"):
    """The header of a file, compared with its size; nothing else is read.

    Returns
    -------
    Header

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, another kind (called ``what`` in the error), values in a
        file of their own (.hdr and .img), colours and complex numbers.
    """
    path = Path(path)
    size, packed, head = head_of(path, what)
    version, order = _SIZES.get(struct.unpack("<I", head[:4])[0] if len(head) >= 4 else 0, (0, "<"))
    magic = {1: head[344:348], 2: head[4:8]}.get(version, b"")
    if magic[:3] in (b"ni1", b"ni2"):
        raise stop(path, "one file with header and values", "a header alone (.hdr)", "save both as one .nii file")
    if version == 1 and len(head) >= 348 and magic == bytes(4):
        raise stop(path, what, "an ANALYZE header (.hdr), or a damaged one", "save it with its values as one .nii file")
    if len(head) < (352 if version == 1 else 544) or magic[:3] not in (b"n+1", b"n+2"):
        raise stop(path, what, foreign(head[:1024], "another kind, or cut off"), COPY)
    if version == 1:
        n_axes, *lengths = struct.unpack(order + "8h", head[40:56])
        intent, kind = struct.unpack(order + "2h", head[68:72])
        offset, slope, intercept = struct.unpack(order + "3f", head[108:120])
        if n_axes > 0 and lengths[:3] == [-1, 1, 1]:  # FreeSurfer's way to write more than an axis can count
            lengths[0] = struct.unpack(order + "i", head[144:148])[0]
        offset = offset if math.isfinite(offset) else -1
    else:
        n_axes, *lengths = struct.unpack(order + "8q", head[16:80])
        (intent,) = struct.unpack(order + "i", head[504:508])
        (kind,) = struct.unpack(order + "h", head[12:14])
        (offset,) = struct.unpack(order + "q", head[168:176])
        slope, intercept = struct.unpack(order + "2d", head[176:192])
    if not 1 <= n_axes <= 7 or min(lengths[:n_axes]) < 1 or offset < (352 if version == 1 else 544):
        raise stop(path, "a NIfTI header", "a damaged one", COPY)
    if kind not in TYPES:
        remedy = "save it as float32"
        raise stop(path, "real numbers", _OTHERS.get(kind, f"the number type {kind}"), remedy)
    if slope == 0 or math.isnan(slope):
        slope, intercept = 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise stop(path, "a NIfTI header", f"one that scales by {slope:g} and {intercept:g}", COPY)
    extension = struct.unpack(order + "i", head[544:548])[0] if is_cifti(head) else 0
    dtype = np.dtype(order + TYPES[kind])
    header = Header(
        path, size, packed, tuple(lengths[:n_axes]), dtype, int(offset), slope, intercept, intent, extension, order
    )
    _check_size(header)
    return header


def _check_size(header):
    words = f"{header.needed:,} bytes for {' × '.join(f'{n:,}' for n in header.shape)}"
    wrong = header.needed > header.size * MOST_INFLATION if header.packed else header.needed != header.size
    if wrong:
        raise stop(header.path, words, f"{header.size:,}: truncated, or its header lies", COPY)
