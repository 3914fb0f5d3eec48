"""GIFTI files: written with names and colours for other programs, and read strictly (``read_gifti``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.formats.gifti_data import unpacked
from factortopy.formats.npy import whole_numbers
from factortopy.formats.problems import DataError, stop
from factortopy.formats.strict_xml import Document, Refused
from factortopy.formats.structures import is_other_structure, stated_side
from factortopy.formats.surface_shapes import is_fsaverage
from factortopy.storage.files import write_atomic
from factortopy.wording import PROGRAM, first_few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))
MOST_VALUES = 40_000_000  # of one file: 122 maps of both hemispheres at full density
_INTENTS = {
    "0": "NONE", "1002": "LABEL", "1007": "VECTOR", "1008": "POINTSET", "1009": "TRIANGLE", "2001": "TIME_SERIES",
    "2002": "NODE_INDEX", "2003": "RGB_VECTOR", "2004": "RGBA_VECTOR", "2005": "SHAPE",
}  # fmt: skip
_GEOMETRY = ("POINTSET", "TRIANGLE")
_NOT_VALUES = (*_GEOMETRY, "NODE_INDEX")
_STRUCTURE = "anatomicalstructureprimary"
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
    intent : str, as in "SHAPE" (without NIFTI_INTENT_)
    meta : dict of str to str, its own metadata
    """

    values: np.ndarray
    intent: str
    meta: dict

    @property
    def name(self):
        return self.meta.get("Name", "")


@dataclass(frozen=True)
class Gifti:
    """A GIFTI file: its arrays in the file's order, and what it says of itself.

    meta : dict of str to str, metadata of the whole file
    labels : {key: (name, (r, g, b, a) floats)}, its colour table
    nodes : (n,) int64, the vertices that the values are about, each once and rising; None where they are about all, in order
    """

    arrays: tuple
    meta: dict
    labels: dict
    nodes: np.ndarray | None = None

    @property
    def structures(self):
        """AnatomicalStructurePrimary of the file and of its arrays, each once: ["CortexLeft"]."""
        metas = (self.meta, *(array.meta for array in self.arrays))
        stated = (value for meta in metas for name, value in meta.items() if name.lower() == _STRUCTURE and value)
        return list(dict.fromkeys(stated))

    @property
    def hemi(self):
        """0 left, 1 right, None where the structure is another one or not stated."""
        return next((side for side in map(stated_side, self.structures) if side is not None), None)

    @property
    def is_label(self):
        """Whether the values are keys of ``labels``."""
        return any(array.intent == "LABEL" for array in self.arrays)

    @property
    def maps(self):
        """List of (name, intent, (n,) array): each map of values, in the order of ``nodes``."""
        return [
            (array.name, array.intent, column)
            for array in self.arrays
            if array.intent not in _NOT_VALUES
            for column in array.values.reshape(len(array.values), -1).T
        ]

    @property
    def columns(self):
        """List of (n,) arrays: each map of values."""
        return [column for _, _, column in self.maps]

    @property
    def names(self):
        """List of str, of each of ``columns``; "" where there is none."""
        return [name for name, _, _ in self.maps]

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
        For anything but a whole GIFTI file of values, or of one surface; for one that says both hemispheres or another
        part of the brain, and for node indices (NODE_INDEX) that do not say where each value lies.
    """
    reader = _Reader(geometry)
    reader.read(data, name)
    gifti = Gifti(tuple(reader.arrays), reader.meta, reader.labels)
    _check_structures(gifti, name)
    if geometry:
        several = [i for i in _GEOMETRY if sum(array.intent == i for array in gifti.arrays) > 1]
        if several or not gifti.arrays:
            raise stop(name, "GIFTI of one surface", f"several of {several[0]}" if several else "none", _COPY)
        return gifti
    if not gifti.columns:
        raise stop(name, "GIFTI with at least one map of values", "none", "export the map again")
    return _in_place(gifti, name)


def _check_structures(gifti, name):
    sides = {stated_side(structure) for structure in gifti.structures} - {None}
    if len(sides) > 1:
        actual = f"both in its own metadata ({', '.join(gifti.structures)})"
        raise stop(name, "one hemisphere a file", actual, "save each hemisphere in a file of its own")
    other = next(filter(is_other_structure, gifti.structures), None)
    if other:
        raise stop(name, "values of the cortex", other, "choose the file of the left or right cortex")


def _in_place(gifti, name):
    """Maps as columns whose vertices rise: 2-D arrays turned where their rows are maps, values sorted by their nodes."""
    indices = [array.values for array in gifti.arrays if array.intent == "NODE_INDEX"]
    try:
        nodes = [whole_numbers(index.reshape(-1), name) for index in indices]
    except DataError:
        raise stop(name, "whole numbers as node indices", "others", _SAVE) from None
    if any(not np.array_equal(nodes[0], other) for other in nodes[1:]):
        raise stop(
            name, "one array of node indices", f"{len(nodes)} different ones", "save each map in a file of its own"
        )
    n = len(nodes[0]) if nodes else None
    arrays = [a if a.intent in _NOT_VALUES else replace(a, values=_by_vertex(a.values, n)) for a in gifti.arrays]
    if not nodes:
        return replace(gifti, arrays=tuple(arrays))
    lengths = {len(a.values) for a in arrays if a.intent not in _NOT_VALUES}
    if lengths != {n}:
        raise stop(name, f"{n:,} values, one a node index", first_few(sorted(lengths)), _SAVE)
    order = np.argsort(nodes[0], kind="stable")
    rising = nodes[0][order]
    if rising[0] < 0 or (np.diff(rising) == 0).any():
        twice = rising[:-1][np.diff(rising) == 0]
        actual = first_few(np.unique(twice)) + " twice" if len(twice) else first_few(rising[rising < 0])
        raise stop(name, "node indices from 0, each once", actual, "save it again")
    arrays = [replace(a, values=a.values.reshape(n, -1)[order].reshape(a.values.shape)) for a in arrays]
    whole = rising[-1] == n - 1 and is_fsaverage(n)
    return replace(gifti, arrays=tuple(arrays), nodes=None if whole else rising)


def _by_vertex(values, n):
    """(vertices,) or (vertices, maps) of an array that may be (maps, vertices), as NumPy users write it."""
    if values.ndim == 1:
        return values
    rows, columns = values.shape
    turned = rows != n and columns == n if n else is_fsaverage(columns) and not is_fsaverage(rows)
    return values.T if turned or (rows == 1 and columns > 4) else values


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
            self.values = unpacked(text, self.array, MOST_VALUES - self.count)
            self.count += self.values.size
        elif tag == "DataArray":
            self._finished()

    def _finished(self):
        if self.values is None:
            raise Refused("data in each data array", "an array without", "save it as GZipBase64Binary")
        self.arrays.append(DataArray(self.values, _intent(self.array), self.array_meta))
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


def _intent(array):
    intent = array.get("Intent", "NONE").removeprefix("NIFTI_INTENT_")
    return _INTENTS.get(intent, intent)
