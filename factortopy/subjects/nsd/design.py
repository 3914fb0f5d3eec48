"""Which picture an NSD subject saw in which trial: nsd_expdesign.mat, cross-checked with the log of responses.

A .mat file of MATLAB 5 is a row of elements, mostly zlib streams. Its two plain matrices are read here, not by scipy:
scipy.io.loadmat (1.17) ends the whole process with a segmentation fault when sizes inside a damaged file lie, and a few
kilobytes can make it ask for gigabytes. Cells, structures, objects and functions are passed over.

Source: MathWorks, "MAT-File Format", level 5.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from factortopy.formats.npy import whole_numbers
from factortopy.formats.problems import DataError, foreign, stop
from factortopy.formats.tables import read_table

SUBJECTS, SESSIONS, TRIALS, PICTURES = 8, 40, 750, 73000
SEEN = 10000  # different pictures that one subject was to see
_MOST_FILE, _MOST_INFLATED = 64 * 2**20, 128 * 2**20
_COMPRESSED, _MATRIX, _HEADER = 15, 14, 128
_NUMERIC, _COMPLEX = range(6, 16), 0x0800  # MATLAB's classes double to uint64; a flag
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_COPY = "copy or download it again"


def read_expdesign(path):
    """(masterordering, subjectim) of the experiment's design, 1-based as they are, int64.

    Returns
    -------
    (30000,) int64
        Which of a subject's 10,000 pictures each trial shows.
    (8, 10000) int64
        Which of the 73,000 pictures those are.

    Raises
    ------
    InputError
        When the file is missing, damaged, of another kind, or holds other shapes or numbers.
    """
    path = Path(path)
    matrices = _read_matrices(path, {"masterordering": (1, SESSIONS * TRIALS), "subjectim": (SUBJECTS, SEEN)})
    order = _one_based(path, "masterordering", matrices["masterordering"], SEEN)
    pictures = _one_based(path, "subjectim", matrices["subjectim"], PICTURES)
    return order.ravel(), pictures


def pictures_of_trials(design, subject):
    """(30000,) int64, the 0-based picture (row of imgBrick) of every trial; ``subject`` counts from 1."""
    order, pictures = design
    return pictures[subject - 1, order - 1] - 1


def _one_based(path, name, values, most):
    try:
        values = whole_numbers(values.ravel(), name).reshape(values.shape)
    except DataError as error:
        raise stop(path, f"{name} of whole numbers", error.problem.actual, _COPY) from None
    if values.min() < 1 or values.max() > most:
        actual = f"{values.min():,} to {values.max():,}"
        raise stop(path, f"{name} from 1 to {most:,}", actual, "counted from 0? take NSD's own file")
    return values


def _read_matrices(path, shapes):
    """{name: (rows, columns) array} of the matrices that are needed."""
    data = _read_bytes(path)
    try:
        matrices = _matrices(path, data, set(shapes))
    except (zlib.error, struct.error):
        raise stop(path, "a MATLAB file (version 5)", "a damaged one", _COPY) from None
    for name, shape in shapes.items():
        wanted, values = f"{name}, {shape[0]:,} × {shape[1]:,} numbers", matrices.get(name)
        if values is None:
            raise stop(path, wanted, "none", "take NSD's own file")
        if values.shape != shape:
            raise stop(path, wanted, " × ".join(f"{n:,}" for n in values.shape), "take NSD's own file")
    return matrices


def _read_bytes(path):
    try:
        size = path.stat().st_size
        if size > _MOST_FILE:
            raise stop(path, f"a file of at most {_MOST_FILE >> 20} MB", f"{size:,} bytes", "take NSD's own file")
        data = path.read_bytes()
    except FileNotFoundError:
        remedy = "fetch it (git annex get)" if path.is_symlink() else "copy or download it (docs/nsd.md)"
        raise stop(path, "the design of the experiment", "no such file", remedy) from None
    except OSError as error:
        raise stop(path, "a readable file", error.strerror or str(error), "check its permissions") from None
    if data.startswith(b"\x89HDF") or data[512:516] == b"\x89HDF":
        raise stop(path, "a MATLAB file (version 5)", "one of version 7.3", "take NSD's own file, or save it with -v7")
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        actual = foreign(data[:1024])
        raise stop(path, "a MATLAB file (version 5)", actual, _COPY)
    return data


def _matrices(path, data, names):
    """{name: array} of the plain numeric matrices ``names``."""
    order = "<" if data[126:128] == b"IM" else ">"
    out, at, total = {}, _HEADER, 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "2I", data, at)
        if at + 8 + size > len(data):
            raise stop(path, "a whole MATLAB file", f"{len(data):,} bytes: truncated", _COPY)
        element = data[at : at + 8 + size]
        at += 8 + size
        if kind == _COMPRESSED:
            inflater = zlib.decompressobj()
            element = inflater.decompress(element[8:], _MOST_INFLATED - total)
            if inflater.unconsumed_tail:
                raise stop(path, f"at most {_MOST_INFLATED >> 20} MB in it", "more", "take NSD's own file")
            if not inflater.eof:
                raise stop(path, "a whole MATLAB file", "a truncated matrix", _COPY)
            total += len(element)
        name, values = _matrix(element, order)
        if name in names:
            out[name] = values
    return out


def _matrix(element, order):
    """(name, array) of an element that holds a real numeric matrix, else (None, None)."""
    if len(element) < 32:
        return None, None
    kind, size, _, _, flags = struct.unpack_from(order + "5I", element)
    if kind != _MATRIX or size != len(element) - 8 or flags & 0xFF not in _NUMERIC or flags & _COMPLEX:
        return None, None
    parts, at = [], 24  # behind the flags: dimensions, name, values
    while len(parts) < 3 and at + 8 <= len(element):
        kind, size = struct.unpack_from(order + "2I", element, at)
        small = kind >> 16  # short content lies in the tag itself
        start, size, kind = (at + 4, small, kind & 0xFFFF) if small else (at + 8, size, kind)
        if size > len(element) - start:
            return None, None
        parts.append((kind, element[start : start + size]))
        at = at + 8 if small else start + -(-size // 8) * 8
    if len(parts) < 3 or parts[0][0] != 5 or parts[2][0] not in _TYPES:
        return None, None
    (_, lengths), (_, name), (kind, content) = parts
    dtype = np.dtype(order + _TYPES[kind])
    shape = struct.unpack(f"{order}{len(lengths) // 4}i", lengths[: len(lengths) // 4 * 4])
    if len(shape) != 2 or min(shape) < 0 or shape[0] * shape[1] * dtype.itemsize != len(content):
        return None, None
    return name.decode("latin-1"), np.frombuffer(content, dtype).reshape(shape, order="F")


# ---------------------------------------------------------------- the log of responses


def check_log(path, trials, pictures):
    """Compare the subject's log (behav/responses.tsv) with the design.

    Parameters
    ----------
    path : of responses.tsv
    trials : {session, 1-based: number of its trials that are used}
    pictures : (30000,) 0-based picture of every trial, by the design

    Raises
    ------
    InputError
        Naming the first trial where they disagree.
    """
    columns = ["SESSION", "73KID"]
    try:
        log = read_table(path, columns, hint=_COPY)
        session, seen = (whole_numbers(log.numbers(column), column) for column in columns)
    except DataError as error:
        if error.problem.thing not in columns:
            raise
        raise stop(path, f"whole numbers in {error.problem.thing}", error.problem.actual, _COPY) from None
    for number, count in sorted(trials.items()):
        rows = seen[session == number][:count]
        expected = pictures[(number - 1) * TRIALS : (number - 1) * TRIALS + count] + 1
        if len(rows) < count:
            raise stop(path, f"{count} trials of session {number}", f"{len(rows)}", _COPY)
        wrong = np.flatnonzero(rows != expected)
        if len(wrong):
            k = wrong[0]
            where = f"picture {expected[k]:,} in session {number}, trial {k + 1}, as nsd_expdesign.mat has it"
            actual = f"picture {rows[k]:,} (so in {len(wrong)} of this session's trials)"
            raise stop(path, where, actual, "take both files of the same release")
