"""CIFTI-2 files of maps or time series on brain models (.dscalar.nii, .dtseries.nii), read strictly; maps written.

Such a file is a NIfTI-2 header of 540 bytes, an extension of XML that says what each column is, then the numbers, rows
fastest. Numbers are memory-mapped; nothing in a header is believed before the file's size agrees.

Source: https://www.nitrc.org/projects/cifti (CIFTI-2 specification)
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY, first_bytes
from factortopy.formats.problems import foreign, stop
from factortopy.formats.strict_xml import Document, Refused, numbers
from factortopy.storage.files import write_atomic

_MOST_XML = 16 * 2**20
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_SURFACE, _VOXELS = "CIFTI_MODEL_TYPE_SURFACE", "CIFTI_MODEL_TYPE_VOXELS"
_PREFIX = "CIFTI_STRUCTURE_"
_PAIRS = (
    "ACCUMBENS AMYGDALA CAUDATE CEREBELLAR_WHITE_MATTER CEREBELLUM CEREBRAL_WHITE_MATTER CORTEX DIENCEPHALON_VENTRAL "
    "HIPPOCAMPUS PALLIDUM PUTAMEN THALAMUS"
)
_SINGLE = "ALL ALL_GREY_MATTER ALL_WHITE_MATTER BRAIN_STEM CEREBELLUM CORTEX INVALID OTHER OTHER_GREY_MATTER OTHER_WHITE_MATTER"
_STRUCTURES = {*_SINGLE.split(), *(f"{name}_{side}" for name in _PAIRS.split() for side in ("LEFT", "RIGHT"))}
_PARENTS = {  # where the elements that are read may stand
    "Matrix": ("CIFTI",), "MatrixIndicesMap": ("Matrix",), "BrainModel": ("MatrixIndicesMap",),
    "VertexIndices": ("BrainModel",), "VoxelIndicesIJK": ("BrainModel", "Parcel"), "NamedMap": ("MatrixIndicesMap",),
    "MapName": ("NamedMap",), "LabelTable": ("NamedMap",), "Label": ("LabelTable",), "Parcel": ("MatrixIndicesMap",),
    "Surface": ("MatrixIndicesMap",), "Volume": ("MatrixIndicesMap",), "Vertices": ("Parcel",),
    "MetaData": ("Matrix", "NamedMap"), "TransformationMatrixVoxelIndicesIJKtoXYZ": ("Volume",),
}  # fmt: skip


@dataclass(frozen=True)
class BrainModel:
    """What some columns are about.

    structure : str, as in "CORTEX_LEFT"
    columns : slice
    vertices : (n,) int64, vertices of a surface in the columns' order, as the file lists them; None for voxels
    surface : int, vertices of that whole surface; None for voxels
    """

    structure: str
    columns: slice
    vertices: np.ndarray | None = None
    surface: int | None = None

    @property
    def hemi(self):
        """0 left cortex, 1 right cortex, None another structure."""
        return {"CORTEX_LEFT": 0, "CORTEX_RIGHT": 1}.get(self.structure)


@dataclass(frozen=True)
class DenseCifti:
    """A checked file.

    path : Path; data : (rows, columns) memory map, in the file's own byte order and precision
    models : tuple of BrainModel, whose columns follow each other without gaps
    """

    path: Path
    data: np.ndarray
    models: tuple


def open_dense(path):
    """A CIFTI-2 file whose columns are brain models; numbers are not read yet.

    Returns
    -------
    DenseCifti

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, another kind, scaled numbers, XML that declares
        entities, brain models that do not fit the data.
    """
    path = Path(path)
    size, head = first_bytes(path, "a CIFTI file", 552)
    order = {540: "<", 469893120: ">"}.get(struct.unpack("<i", head[:4])[0] if len(head) >= 4 else 0)
    if len(head) < 552 or order is None or head[4:8] not in (b"n+2\0", b"n+1\0"):
        raise stop(path, "a CIFTI-2 file", foreign(head[:100], "another kind, or cut off"), COPY)
    (kind,) = struct.unpack(order + "h", head[12:14])
    n_axes, *lengths = struct.unpack(order + "8q", head[16:80])
    (offset,) = struct.unpack(order + "q", head[168:176])
    slope, intercept = struct.unpack(order + "2d", head[176:192])
    extension, code = struct.unpack(order + "2i", head[544:552])
    shape = tuple(lengths[4:6])
    if kind not in _TYPES or n_axes != 6 or lengths[:4] != [1, 1, 1, 1] or min(shape) < 1:
        raise stop(path, "rows of grayordinates", "another array (a dense .dscalar or .dtseries is needed)", COPY)
    if not 552 <= 544 + extension <= offset <= size or code != 32 or extension > _MOST_XML:
        raise stop(path, "a CIFTI-2 header", "a damaged one", COPY)
    dtype = np.dtype(order + _TYPES[kind])
    needed = offset + math.prod(shape) * dtype.itemsize
    if size != needed:
        words = f"{needed:,} bytes for {shape[0]:,} × {shape[1]:,}"
        raise stop(path, words, f"{size:,}: truncated, or its header lies", COPY)
    if (np.isfinite(slope) and slope not in (0, 1)) or (np.isfinite(intercept) and intercept != 0):
        actual = f"scaled ones (slope {slope:g}, intercept {intercept:g})"
        raise stop(path, "plain numbers", actual, "save it as float32")
    xml = first_bytes(path, "a CIFTI file", 544 + extension)[1][552:].rstrip(b"\0")
    models = _brain_models(path, xml, shape[1])
    return DenseCifti(path, np.memmap(path, dtype, "r", offset, shape, order="F"), models)


def _brain_models(path, xml, n_columns):
    """Brain models of the second dimension, which fill ``n_columns``."""
    if b"<!" in xml.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise stop(path, "plain XML", "a header that declares entities", "it was refused for safety: save it again")
    reader = _Reader(n_columns)
    reader.read(xml, path)
    models = sorted(reader.models, key=lambda model: model.columns.start)
    ends = [0, *(model.columns.stop for model in models)]
    if [*(model.columns.start for model in models), n_columns] != ends:
        raise stop(path, *_DAMAGED, COPY)
    return tuple(models)


_DAMAGED = ("a CIFTI-2 header with brain models that fit the data", "a damaged one, or none")


class _Reader(Document):
    """Takes the brain models of dimension 1 out of a CIFTI-2 header of ``n_columns``."""

    kind = "CIFTI-2"
    root = "CIFTI"

    def __init__(self, n_columns):
        super().__init__()
        self.n_columns, self.models, self.structures = n_columns, [], set()
        self.maps = self.matrices = 0
        self.axis = self.model = self.indices = None

    def opened(self, tag, attributes):
        if self.path and self.path[-1] not in _PARENTS.get(tag, self.path):
            raise Refused(*_DAMAGED, COPY)
        try:
            if tag == "CIFTI" and int(attributes["Version"].split(".")[0]) != 2:
                raise ValueError
            if tag == "MatrixIndicesMap":
                self.axis = [int(n) for n in attributes["AppliesToMatrixDimension"].split(",")]
                self.maps += 1 in self.axis
                if 1 in self.axis and attributes["IndicesMapToDataType"] != "CIFTI_INDEX_TYPE_BRAIN_MODELS":
                    raise ValueError
            if tag == "BrainModel":
                self.model, self.indices = attributes, None
        except (KeyError, ValueError):
            raise Refused(*_DAMAGED, COPY) from None
        self.matrices += tag == "Matrix"
        if self.maps > 1 or self.matrices > 1:
            raise Refused(*_DAMAGED, COPY)

    def closed(self, tag, text):
        try:
            if tag in ("VertexIndices", "VoxelIndicesIJK") and self.path[-1:] == ["BrainModel"]:
                if self.indices is not None:
                    raise ValueError
                self.indices = tag, numbers(text, 3 * self.n_columns, int)
            elif tag == "BrainModel" and 1 in self.axis:
                self.models.append(self._finished())
        except (KeyError, ValueError, OverflowError):
            raise Refused(*_DAMAGED, COPY) from None

    def _finished(self):
        model, structure = self.model, self.model["BrainStructure"]
        start, count, kind = int(model["IndexOffset"]), int(model["IndexCount"]), model["ModelType"]
        short = structure.removeprefix(_PREFIX)
        tag, indices = self.indices or ("", ())
        expected = {_SURFACE: ("VertexIndices", count), _VOXELS: ("VoxelIndicesIJK", 3 * count)}.get(kind)
        if not structure.startswith(_PREFIX) or short not in _STRUCTURES or (structure, kind) in self.structures:
            raise ValueError
        if start < 0 or count < 1 or (tag, len(indices)) != expected:
            raise ValueError
        self.structures.add((structure, kind))
        columns = slice(start, start + count)
        if kind == _VOXELS:
            return BrainModel(short, columns)
        return BrainModel(short, columns, indices, int(model["SurfaceNumberOfVertices"]))


def write_dscalar(path, maps, models, meta):
    """Write maps on surfaces as a .dscalar.nii, float32; returns the path.

    Parameters
    ----------
    maps : dict of str to (n,) float
        By name; values of the models' vertices one after the other.
    models : list of (structure, (k,) vertices, n)
        As in "CortexLeft"; vertices of a surface that has ``n``.
    meta : dict of str to str
        Metadata of every map.
    """
    import nibabel
    from nibabel import cifti2

    first, *others = (cifti2.BrainModelAxis.from_surface(vertices, n, name=name) for name, vertices, n in models)
    scalars = cifti2.ScalarAxis(list(maps), meta=[meta] * len(maps))
    image = nibabel.Cifti2Image(np.stack(list(maps.values())).astype(np.float32), (scalars, sum(others, first)))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
    write_atomic(path, image.to_bytes())
    return Path(path)
