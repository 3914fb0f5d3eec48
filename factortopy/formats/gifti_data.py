"""The numbers of a GIFTI data array, unpacked no further than its stated size, in any type, encoding, order and byte order."""

import base64
import math
import zlib

import numpy as np

from factortopy.formats.strict_xml import Refused, numbers
from factortopy.wording import safe_label

TYPES = {
    "NIFTI_TYPE_UINT8": "u1", "NIFTI_TYPE_INT8": "i1", "NIFTI_TYPE_INT16": "i2", "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_INT32": "i4", "NIFTI_TYPE_UINT32": "u4", "NIFTI_TYPE_FLOAT32": "f4", "NIFTI_TYPE_FLOAT64": "f8",
    "NIFTI_TYPE_INT64": "i8", "NIFTI_TYPE_UINT64": "u8", "2": "u1", "4": "i2", "8": "i4", "16": "f4", "64": "f8",
    "256": "i1", "512": "u2", "768": "u4", "1024": "i8", "1280": "u8",
}  # fmt: skip
ENCODINGS = {"1": "ASCII", "2": "Base64Binary", "3": "GZipBase64Binary"}
_ORDERS = {"RowMajorOrder": "C", "1": "C", "ColumnMajorOrder": "F", "2": "F"}
ENDIANS = {"BigEndian": ">", "1": ">", "LittleEndian": "<", "2": "<"}
_COPY = "copy it again"
_SAVE = "save it again"


def unpacked(text, array, most):
    """An array of one or two dimensions, in this machine's byte order.

    Parameters
    ----------
    text : str, what stands in its Data element
    array : dict of str to str, its attributes
    most : int, numbers that it may have

    Raises
    ------
    strict_xml.Refused
        For a type, an encoding or an order that GIFTI does not know, and data that are not as long as the attributes say.
    """
    dtype = TYPES.get(array.get("DataType"))
    if dtype is None:
        raise Refused("numbers that GIFTI knows", f"the type {array.get('DataType')!r}", "save it as float32")
    try:
        shape = [int(array[f"Dim{k}"]) for k in range(int(array.get("Dimensionality", 1)))]
    except (KeyError, ValueError):
        raise Refused("the size of each data array", "none", _SAVE) from None
    order = _ORDERS.get(array.get("ArrayIndexingOrder", "1"))
    if not 1 <= len(shape) <= 2 or min(shape) < 1 or math.prod(shape) > most:
        raise Refused("one number a vertex", f"an array of {' × '.join(map(str, shape[:6]))}", _SAVE)
    if order is None and min(shape) > 1:
        raise Refused("RowMajorOrder or ColumnMajorOrder", f"{array['ArrayIndexingOrder']!r}", _SAVE)
    return _numbers(text, array, np.dtype(dtype), math.prod(shape)).reshape(shape, order=order or "C")


def _numbers(text, array, dtype, count):
    """``count`` numbers of a data array, unpacked no further than its stated size."""
    encoding, size = array.get("Encoding"), count * dtype.itemsize
    encoding = ENCODINGS.get(encoding, encoding)
    if encoding == "ASCII":
        values = _written_out(text, dtype, count)
        actual = len(values) * dtype.itemsize
    elif encoding in ("Base64Binary", "GZipBase64Binary"):
        raw = _decoded(text, encoding == "GZipBase64Binary", size)
        actual = len(raw)
        endian = ENDIANS.get(array.get("Endian", "2"))
        if endian is None and dtype.itemsize > 1:
            raise Refused("BigEndian or LittleEndian", f"{array['Endian']!r}", _SAVE)
        values = np.frombuffer(raw[: actual - actual % dtype.itemsize], dtype.newbyteorder(endian or "<"))
    else:
        actual = f"the encoding {encoding!r}"
        if encoding in ("ExternalFileBinary", "4"):
            actual = f"data in another file ({safe_label(array.get('ExternalFileName', ''))})"
        raise Refused("data inside the file", actual, "save it as GZipBase64Binary")
    if actual != size:
        more = "more" if actual > size else f"{actual:,}"
        raise Refused(f"{size:,} bytes of data as its header says", more, _COPY)
    return values.astype(dtype)


def _written_out(text, dtype, count):
    """Numbers in ASCII, ``count`` + 1 at most."""
    try:
        values = numbers(text, count)
    except (ValueError, OverflowError):
        raise Refused("numbers", "other words", _SAVE) from None
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not ((values == np.rint(values)) & (values >= limits.min) & (values <= limits.max)).all():
            raise Refused(f"numbers of type {dtype.name} as its header says", "others", _SAVE)
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def _decoded(text, zipped, size):
    """Bytes behind base 64, and behind zlib: no more than ``size`` + 1 of those."""
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
        if zipped:
            inflater = zlib.decompressobj(wbits=47)
            raw = inflater.decompress(raw, size + 1)
            if len(raw) <= size and not inflater.eof:
                raise zlib.error("it ends too early")
    except (ValueError, zlib.error) as error:  # binascii.Error is a ValueError
        raise Refused("whole data", f"damaged ones ({error})", _COPY) from None
    return raw
