"""Reading NumPy files safely: the header is checked against the file first, and no pickle is ever run."""

import math
import tokenize
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY, size_of
from factortopy.formats.problems import DataError, foreign, stop

FILE = "a .npy file"
_NAMES = {"f": "floating-point numbers", "i": "whole numbers", "u": "whole numbers", "b": "true/false"}


def safe_npy(path, mmap=True, kinds="fiub", shape=None):
    """A numeric array from a .npy file.

    Parameters
    ----------
    path : path
    mmap : bool
        Memory-mapped read-only (nothing is read yet); False reads it whole.
    kinds : str
        Allowed kinds of numbers: f floating point, i and u whole, b true/false.
    shape : tuple, optional
        Required shape; None in a place allows any length there.

    Returns
    -------
    np.memmap or np.ndarray
        In the file's own byte order and precision.

    Raises
    ------
    InputError
        For a missing, truncated or pickled file, a pointer or web page in its place, a header that does not fit the
        file, another shape or kind: path, expected, found, remedy.
    """
    path = Path(path)
    size = size_of(path, FILE)
    own_shape, fortran, dtype, offset = read_header(path)
    if dtype.hasobject:
        actual = "a pickled Python object, which could run code when opened"
        remedy = "it was refused for safety: save the numbers themselves (np.save of a plain array)"
        raise stop(path, "an array of numbers", actual, remedy)
    if dtype.kind not in kinds or dtype.fields or dtype.subdtype or dtype.itemsize == 0:
        wanted = " or ".join(dict.fromkeys(_NAMES[kind] for kind in kinds))
        raise stop(path, wanted, f"values of type {dtype.str[:20]!r}", "save it again as float32 or int32")
    count = math.prod(own_shape)
    _check_length(path, size, offset + count * dtype.itemsize, own_shape, dtype)
    if shape is not None and not _fits(own_shape, shape):
        wanted = " × ".join("any" if n is None else f"{n:,}" for n in shape)
        raise stop(path, f"an array of {wanted}", shape_words(own_shape), "check that it belongs to this subject")
    if count == 0:
        return np.empty(own_shape, dtype)
    array = np.memmap(path, dtype, "r", offset, own_shape, "F" if fortran else "C")
    return array if mmap else np.array(array)


def read_header(path):
    """(shape, Fortran order, dtype, offset of the data) of a .npy file, checked; only its head is read."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
            if not head.startswith(b"\x93NUMPY"):
                raise stop(path, "a NumPy .npy file", foreign(head), COPY)
            file.seek(0)
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise stop(path, "a .npy file of version 1 to 3", f"version {version[0]}.{version[1]}", "save it again")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            offset = file.tell()
    except OSError as error:
        raise stop(path, f"{FILE} that can be read", error.strerror or str(error), "check its permissions") from None
    except DataError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        SyntaxError,
        OverflowError,
        RecursionError,
        MemoryError,
        tokenize.TokenError,
    ):
        raise stop(path, "a NumPy header", "a damaged one", COPY) from None
    if any(isinstance(n, bool) or n < 0 for n in shape) or len(shape) > 8:
        raise stop(path, "a NumPy header", f"one that states the shape {shape[:8]}", COPY)
    return shape, fortran, dtype, offset


def _check_length(path, size, needed, shape, dtype):
    if size == needed:
        return
    actual = f"{size:,} bytes: truncated, or its header lies" if size < needed else f"{size:,} bytes"
    raise stop(path, f"{needed:,} bytes for {shape_words(shape)} of {dtype.name}", actual, COPY)


def shape_words(shape):
    return " × ".join(f"{n:,}" for n in shape) if shape else "a single value"


def _fits(shape, allowed):
    return len(shape) == len(allowed) and all(a in (None, n) for n, a in zip(shape, allowed, strict=True))


def as_float32(block):
    """Rows as float32 in this machine's byte order; values beyond float32 become infinite, quietly."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(block, dtype=np.float32)


def whole_numbers(values, what, length=None):
    """A 1-dimensional int64 array of ``values``; DataError naming ``what`` when they are none."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise stop(what, "a list of whole numbers", f"a {type(values).__name__}", "check it") from None
    if array.size == 0 and array.ndim <= 1:
        array = np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise stop(what, "a list of whole numbers", f"shape {array.shape} of {array.dtype}", "check it")
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise stop(what, "whole numbers", "fractions or missing values", "check it")
    if length is not None and len(array) != length:
        raise stop(what, f"{length:,} values", f"{len(array):,}", "check that it belongs to these responses")
    return array.astype(np.int64)


def row_blocks(n_rows, n_columns, most_bytes=32 * 2**20):
    """Slices that walk over ``n_rows`` rows of ``n_columns`` float32 with at most about ``most_bytes`` each."""
    step = max(1, int(most_bytes // max(4 * n_columns, 1)))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def mapped_blocks(array):
    """Yield (rows, block) over a (T, N) array, row block by row block.

    Blocks of a memory map are mapped anew and let go, so that the whole file never counts as this program's memory.
    """
    plain = isinstance(array, np.memmap) and array.flags.c_contiguous and array.mode == "r"
    whole = getattr(array, "base", None) if plain else None
    plain = plain and not isinstance(whole, np.ndarray)  # a part of a map does not know where in the file it begins
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if plain:
            offset = array.offset + rows.start * array.strides[0]
            block = np.memmap(array.filename, array.dtype, "r", offset, block.shape)
        yield rows, block
