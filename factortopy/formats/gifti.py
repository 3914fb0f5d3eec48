"""GIFTI files: written with names and colours for other programs, and read strictly (``read_gifti``)."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np

from factortopy.errors import InputError
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
GEOMETRY = ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE", "1008", "1009")

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
    path: str | Path,
    values: ArrayLike,
    name: str | Sequence[str],
    simulated: bool,
    structure: str = "CortexLeft",
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

    facts = {"AnatomicalStructurePrimary": structure, "Program": PROGRAM, "Name": name}
    return gifti.GiftiImage(meta=gifti.GiftiMetaData({**facts, "Data": "simulated" if simulated else "measured"}))


def _add(image, values, intent, datatype, name):
    import nibabel.gifti as gifti

    meta = gifti.GiftiMetaData({"Name": name})
    image.add_gifti_data_array(gifti.GiftiDataArray(values, intent=intent, datatype=datatype, meta=meta))


# ---------------------------------------------------------------- reading


@dataclass
class Gifti:
    """What ``read_gifti`` finds.

    columns : list of (n,) arrays, one a data array (or a column of one)
    names : list of str, "" where there is none
    labels : {key: (name, (r, g, b, a) floats)}
    structure : str, AnatomicalStructurePrimary; "" where it is not said
    is_label : bool
    """

    columns: list = field(default_factory=list)
    names: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)
    structure: str = ""
    is_label: bool = False


def read_gifti(data: bytes, name: str = "file") -> Gifti:
    """Read values or labels of a surface.

    nibabel unpacks whatever a file's header promises; here sizes are checked before anything is unpacked, and a file
    that declares entities or data outside of itself is refused.

    Parameters
    ----------
    data : bytes
    name : str
        What to call the file in messages.

    Returns
    -------
    Gifti

    Raises
    ------
    InputError
        For anything but a whole GIFTI file of values.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.EntityDeclHandler = reader.text, reader.entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"{name}: expected a whole GIFTI file, found damaged XML ({error}); copy it again") from None
    except _Refused as error:
        raise InputError(f"{name}: {error}") from None
    if not reader.found.columns:
        raise InputError(f"{name}: expected GIFTI with at least one map of values, found none; export the map again")
    return reader.found


class _Refused(ValueError):
    """Why a file is not read."""


class _Reader:
    """Takes what the XML parser meets."""

    def __init__(self):
        self.found, self.path, self.words = Gifti(), [], []
        self.array, self.meta, self.label, self.read = None, ["", ""], None, 0

    def entity(self, *_):
        raise _Refused("expected plain GIFTI, found a file that declares XML entities; it was refused for safety")

    def text(self, words):
        self.words.append(words)

    def start(self, tag, attributes):
        if not self.path and tag != "GIFTI":
            raise _Refused(
                f"expected GIFTI, found XML of another kind ({tag[:30]}); choose a .func, .shape or .label file"
            )
        self.path.append(tag)
        if len(self.path) > 16:
            raise _Refused("expected GIFTI, found XML nested more than 16 deep")
        self.words = []
        if tag == "DataArray":
            self.array, self.array_name = attributes, ""
        elif tag == "Label":
            self.label = attributes

    def end(self, tag):
        self.path.pop()
        words = "".join(self.words)
        self.words = []
        if tag in ("Name", "Value") and self.path[-1:] == ["MD"]:
            self.meta[tag == "Value"] = words.strip()
        elif tag == "MD":
            self._described(*self.meta)
        elif tag == "Label":
            self._labelled(words.strip())
        elif tag == "Data" and self.array is not None:
            self._unpacked(words)

    def _described(self, name, value):
        if name == "AnatomicalStructurePrimary":
            self.found.structure = self.found.structure or value
        elif name == "Name" and self.array is not None:
            self.array_name = value

    def _labelled(self, words):
        try:
            key = int(self.label.get("Key", self.label.get("Index")))
            rgba = tuple(
                float(self.label.get(c, d)) for c, d in zip(("Red", "Green", "Blue", "Alpha"), "0001", strict=True)
            )
        except (TypeError, ValueError):
            raise _Refused(
                f"expected a label with a key and a colour, found {dict(self.label)}; save it again"
            ) from None
        if not all(0 <= part <= 1 for part in rgba):
            raise _Refused(f"expected label colours from 0 to 1, found {rgba} for {words!r}; save it again")
        self.found.labels[key] = (words, rgba)

    def _unpacked(self, words):
        array = self.array
        if array.get("Intent") in GEOMETRY:
            raise _Refused(
                "expected values of a surface, found its shape (.surf.gii); choose a .func, .shape or .label file"
            )
        dtype = TYPES.get(array.get("DataType"))
        if dtype is None:
            raise _Refused(
                f"expected numbers that GIFTI knows, found the type {array.get('DataType')!r}; save it as float32"
            )
        try:
            shape = [int(array[f"Dim{k}"]) for k in range(int(array.get("Dimensionality", 1)))]
        except (KeyError, ValueError):
            raise _Refused("expected the size of each data array, found none; save it again") from None
        count = 1
        for length in shape:
            count *= max(length, 0)
        self.read += count
        if not 1 <= len(shape) <= 2 or count < 1 or self.read > MOST_VALUES:
            raise _Refused(f"expected one number a vertex, found an array of {' × '.join(map(str, shape[:6]))}")
        values = _numbers(words, array, np.dtype(dtype), count)
        order = "F" if array.get("ArrayIndexingOrder") in ("ColumnMajorOrder", "2") else "C"
        for column in values.reshape(shape[0], -1, order=order).T:
            self.found.columns.append(column)
            self.found.names.append(self.array_name)
        self.found.is_label |= array.get("Intent") in ("NIFTI_INTENT_LABEL", "1002")
        self.array = None


def _numbers(words, array, dtype, count):
    """``count`` numbers of a data array, unpacked no further than its stated size."""
    encoding, size = array.get("Encoding"), count * dtype.itemsize
    if encoding in ("ASCII", "1"):
        try:
            values = np.array(words.split(maxsplit=count + 1)[: count + 1], dtype=float)
        except ValueError:
            raise _Refused("expected numbers, found other words; save it again") from None
        found = len(values) * dtype.itemsize
    elif encoding in ("Base64Binary", "GZipBase64Binary", "2", "3"):
        try:
            raw = base64.b64decode("".join(words.split()), validate=True)
            if encoding in ("GZipBase64Binary", "3"):
                raw = zlib.decompressobj(wbits=47).decompress(raw, size + 1)
        except (binascii.Error, zlib.error) as error:
            raise _Refused(f"expected whole data, found damaged ones ({error}); copy it again") from None
        found = len(raw)
        endian = ">" if array.get("Endian") in ("BigEndian", "1") else "<"
        values = np.frombuffer(raw[: found - found % dtype.itemsize], dtype.newbyteorder(endian))
    else:
        raise _Refused(f"expected data inside the file, found the encoding {encoding!r}; save it as GZipBase64Binary")
    if found != size:
        more = "more" if found > size else f"{found:,}"
        raise _Refused(f"expected {size:,} bytes of data as its header says, found {more}; copy it again")
    return values
