"""GIFTI files: written with names and colours for other programs, and read strictly (``read_gifti``)."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.formats.problems import stop
from factortopy.formats.strict_xml import Document, Refused, numbers
from factortopy.storage.files import write_atomic
from factortopy.wording import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))
MOST_VALUES = 40_000_000  # of one file: 122 maps of both hemispheres at full density
TYPES = {
    "NIFTI_TYPE_UINT8": "u1", "NIFTI_TYPE_INT8": "i1", "NIFTI_TYPE_INT16": "i2", "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_INT32": "i4", "NIFTI_TYPE_UINT32": "u4", "NIFTI_TYPE_FLOAT32": "f4", "NIFTI_TYPE_FLOAT64": "f8",
    "2": "u1", "4": "i2", "8": "i4", "16": "f4", "64": "f8", "256": "i1", "512": "u2", "768": "u4",
}  # fmt: skip
_INTENTS = {
    "0": "NONE", "1002": "LABEL", "1007": "VECTOR", "1008": "POINTSET", "1009": "TRIANGLE", "2001": "TIME_SERIES",
    "2002": "NODE_INDEX", "2003": "RGB_VECTOR", "2004": "RGBA_VECTOR", "2005": "SHAPE",
}  # fmt: skip
_GEOMETRY = ("POINTSET", "TRIANGLE")
_HEMISPHERES = {"cortexleft": 0, "cortexright": 1}
_ENCODINGS = {"1": "ASCII", "2": "Base64Binary", "3": "GZipBase64Binary"}
_ORDERS = {"RowMajorOrder": "C", "1": "C", "ColumnMajorOrder": "F", "2": "F"}
_ENDIANS = {"BigEndian": ">", "1": ">", "LittleEndian": "<", "2": "<"}
_COPY = "copy it again"
_SAVE = "save it again"

# ---------------------------------------------------------------- writing


def write_label_gii(
    path: str | Path,
    labels: ArrayLike,
    table: Sequence[Any],
    simulated: bool,
    structure: str = "CortexLeft",
    name: str = "layer",
) -> Path:
    """One hemisphere's labels, with their colours and names.

    Parameters
    ----------
    labels : (n,) int
        The whole mesh of a hemisphere; 0 unpainted.
    table : list of (key, name, (r, g, b))
        Colours as uint8; key 0 is added when it is missing.
    """
    import nibabel.gifti as gifti

    labels = np.asarray(labels, dtype=np.int32)
    image = _image(simulated, structure, name)
    if not any(key == 0 for key, *_ in table):
        table = [(0, "unpainted", None), *table]
    for key, label, rgb in table:
        red, green, blue = (float(v) / 255 for v in (rgb if rgb is not None else (0, 0, 0)))
        entry = gifti.GiftiLabel(key=int(key), red=red, green=green, blue=blue, alpha=0.0 if rgb is None else 1.0)
        entry.label = str(label)  # type: ignore[attr-defined]  # nibabel's own way
        image.labeltable.labels.append(entry)
    _add(image, labels, "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32", name)
    write_atomic(path, image.to_bytes())
    return Path(path)


def write_func_gii(
    path: str | Path, values: ArrayLike, name: str | Sequence[str], simulated: bool, structure: str = "CortexLeft"
) -> Path:
    """One hemisphere's values: (n,), or (n, k) as k data arrays; NaN where there is none. ``name``: one or k names."""
    values = np.asarray(values, dtype=np.float32)
    columns = values[:, None] if values.ndim == 1 else values
    names = [name] if isinstance(name, str) else list(name)
    image = _image(simulated, structure, ", ".join(names))
    for column, label in zip(columns.T, names, strict=True):
        _add(image, np.ascontiguousarray(column), "NIFTI_INTENT_NONE", "NIFTI_TYPE_FLOAT32", label)
    write_atomic(path, image.to_bytes())
    return Path(path)


def _image(simulated, structure, name):
    import nibabel.gifti as gifti

    meta = {"AnatomicalStructurePrimary": structure, "Program": PROGRAM, "Name": name}
    return gifti.GiftiImage(meta=gifti.GiftiMetaData({**meta, "Data": "simulated" if simulated else "measured"}))


def _add(image, values, intent, datatype, name):
    import nibabel.gifti as gifti

    meta = gifti.GiftiMetaData({"Name": name})
    image.add_gifti_data_array(gifti.GiftiDataArray(values, intent=intent, datatype=datatype, meta=meta))


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class DataArray:
    """One data array, and what the file says of it.

    values : (n,) or (n, k), in the file's number type and this machine's byte order
    intent : str, as in "SHAPE" (without NIFTI_INTENT_); encoding : str, as in "ASCII"
    big_endian : bool, whether the file says so; of ASCII it means nothing
    meta : dict of str to str, its own metadata
    """

    values: np.ndarray
    intent: str
    encoding: str
    big_endian: bool
    meta: dict

    @property
    def name(self):
        return self.meta.get("Name", "")


@dataclass(frozen=True)
class Gifti:
    """A GIFTI file: its arrays in the file's order, and what it says of itself.

    meta : dict of str to str, metadata of the whole file
    labels : {key: (name, (r, g, b, a) floats)}, its colour table
    """

    arrays: tuple
    meta: dict
    labels: dict

    @property
    def structure(self):
        """AnatomicalStructurePrimary of the file or of its first array that has one: "CortexLeft"; "" where none has."""
        metas = (self.meta, *(array.meta for array in self.arrays))
        return next(filter(None, (meta.get("AnatomicalStructurePrimary") for meta in metas)), "")

    @property
    def hemi(self):
        """0 left, 1 right, None where the structure is another one or not stated."""
        return _HEMISPHERES.get(self.structure.replace("_", "").lower())

    @property
    def is_label(self):
        """Whether the values are keys of ``labels``."""
        return any(array.intent == "LABEL" for array in self.arrays)

    @property
    def node_index(self):
        """(n,) vertices that the values are about, of a NODE_INDEX array; None where they are about all, in order."""
        return next((array.values for array in self.arrays if array.intent == "NODE_INDEX"), None)

    @property
    def columns(self):
        """List of (n,) arrays: each map of values."""
        return [column for array in self._maps() for column in array.values.reshape(len(array.values), -1).T]

    @property
    def names(self):
        """List of str, of each of ``columns``; "" where there is none."""
        return [array.name for array in self._maps() for _ in range(array.values[:1].size)]

    def _maps(self):
        return [array for array in self.arrays if array.intent not in (*_GEOMETRY, "NODE_INDEX")]

    def surface(self):
        """((n, 3) coordinates, (F, 3) triangles); None for what is missing.

        The arrays of intent POINTSET and TRIANGLE; of a file that states neither, the first two.
        """
        points, triangles = ([a.values for a in self.arrays if a.intent == intent] for intent in _GEOMETRY)
        if not points and not triangles:
            points, triangles = ([a.values for a in part] for part in (self.arrays[:1], self.arrays[1:2]))
        return next(iter(points), None), next(iter(triangles), None)


def read_gifti(data: bytes | bytearray, name: str | Path = "file", geometry: bool = False) -> Gifti:
    """Read values or labels of a surface, or its geometry.

    Sizes are checked before anything is unpacked; a file that declares entities or data outside of itself is refused.

    Parameters
    ----------
    data : bytes
    name : str or path
        What to call the file in messages.
    geometry : bool
        A surface is wanted (``Gifti.surface``), not values on it (``Gifti.columns``).

    Returns
    -------
    Gifti

    Raises
    ------
    InputError
        For anything but a whole GIFTI file of values, or of one surface. Values of chosen vertices alone (NODE_INDEX)
        are refused: read as a map of the whole surface they would lie at other vertices.
    """
    reader = _Reader(geometry)
    reader.read(data, name)
    gifti = Gifti(tuple(reader.arrays), reader.meta, reader.labels)
    if geometry:
        several = [i for i in _GEOMETRY if sum(array.intent == i for array in gifti.arrays) > 1]
        if several or not gifti.arrays:
            raise stop(name, "GIFTI of one surface", f"several of {several[0]}" if several else "none", _COPY)
        return gifti
    if not gifti.columns:
        raise stop(name, "GIFTI with at least one map of values", "none", "export the map again")
    index = gifti.node_index
    if index is not None and not np.array_equal(index.ravel(), np.arange(index.size)):
        raise stop(name, "a value for each vertex, in their order", "values of chosen vertices (NODE_INDEX)",
                   "export the map of the whole surface")  # fmt: skip
    return gifti


class _Reader(Document):
    """Takes arrays, metadata and labels out of a GIFTI document."""

    kind = root = "GIFTI"
    instead = "choose a .func, .shape or .label file"

    def __init__(self, geometry):
        super().__init__()
        self.geometry, self.count = geometry, 0
        self.arrays, self.meta, self.labels = [], {}, {}
        self.array = self.array_meta = self.values = self.label = None
        self.pair = {}

    def opened(self, tag, attributes):
        if tag == "DataArray":
            if self.array is not None:
                raise Refused("data arrays one after the other", "one inside another", _SAVE)
            self.array, self.array_meta, self.values = attributes, {}, None
            if _intent(attributes) in _GEOMETRY and not self.geometry:
                raise Refused("values of a surface", "its shape (.surf.gii)", self.instead)
        elif tag == "Label":
            self.label = attributes
        elif tag == "MD":
            self.pair = {}

    def closed(self, tag, text):
        if tag in ("Name", "Value") and self.path[-1:] == ["MD"]:
            self.pair[tag] = text.strip()
        elif tag == "MD":
            meta = self.meta if self.array is None else self.array_meta
            meta.setdefault(self.pair.get("Name", ""), self.pair.get("Value", ""))
        elif tag == "Label":
            self._labelled(text.strip())
        elif tag == "Data" and self.path[-1:] == ["DataArray"]:
            if self.values is not None:
                raise Refused("one block of data in an array", "several", _SAVE)
            self.values = self._unpacked(text)
        elif tag == "DataArray":
            self._finished()

    def _finished(self):
        if self.values is None:
            raise Refused("data in each data array", "an array without", "save it as GZipBase64Binary")
        array, encoding = self.array, self.array.get("Encoding", "")
        form = _ENCODINGS.get(encoding, encoding), _ENDIANS.get(array.get("Endian")) == ">"
        self.arrays.append(DataArray(self.values, _intent(array), *form, self.array_meta))
        self.array = None

    def _labelled(self, name):
        try:
            key = int(self.label.get("Key", self.label.get("Index")))
            usual = {"Red": 0, "Green": 0, "Blue": 0, "Alpha": 1}
            rgba = tuple(float(self.label.get(colour, value)) for colour, value in usual.items())
        except (TypeError, ValueError):
            raise Refused("a label with a key and a colour", f"{dict(self.label)}", _SAVE) from None
        if not all(0 <= part <= 1 for part in rgba):
            raise Refused("label colours from 0 to 1", f"{rgba} for {name!r}", _SAVE)
        self.labels[key] = (name, rgba)

    def _unpacked(self, text):
        array = self.array
        dtype = TYPES.get(array.get("DataType"))
        if dtype is None:
            raise Refused("numbers that GIFTI knows", f"the type {array.get('DataType')!r}", "save it as float32")
        try:
            shape = [int(array[f"Dim{k}"]) for k in range(int(array.get("Dimensionality", 1)))]
        except (KeyError, ValueError):
            raise Refused("the size of each data array", "none", _SAVE) from None
        order = _ORDERS.get(array.get("ArrayIndexingOrder", "1"))
        if not 1 <= len(shape) <= 2 or min(shape) < 1 or self.count + math.prod(shape) > MOST_VALUES:
            raise Refused("one number a vertex", f"an array of {' × '.join(map(str, shape[:6]))}", _SAVE)
        if order is None and min(shape) > 1:
            raise Refused("RowMajorOrder or ColumnMajorOrder", f"{array['ArrayIndexingOrder']!r}", _SAVE)
        self.count += math.prod(shape)
        return _numbers(text, array, np.dtype(dtype), math.prod(shape)).reshape(shape, order=order or "C")


def _intent(array):
    intent = array.get("Intent", "NONE").removeprefix("NIFTI_INTENT_")
    return _INTENTS.get(intent, intent)


def _numbers(text, array, dtype, count):
    """``count`` numbers of a data array, unpacked no further than its stated size."""
    encoding, size = array.get("Encoding"), count * dtype.itemsize
    encoding = _ENCODINGS.get(encoding, encoding)
    if encoding == "ASCII":
        values = _written_out(text, dtype, count)
        actual = len(values) * dtype.itemsize
    elif encoding in ("Base64Binary", "GZipBase64Binary"):
        raw = _decoded(text, encoding == "GZipBase64Binary", size)
        actual = len(raw)
        endian = _ENDIANS.get(array.get("Endian", "2"))
        if endian is None and dtype.itemsize > 1:
            raise Refused("BigEndian or LittleEndian", f"{array['Endian']!r}", _SAVE)
        values = np.frombuffer(raw[: actual - actual % dtype.itemsize], dtype.newbyteorder(endian or "<"))
    else:
        raise Refused("data inside the file", f"the encoding {encoding!r}", "save it as GZipBase64Binary")
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
