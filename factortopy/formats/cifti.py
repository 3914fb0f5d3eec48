"""CIFTI-2 files of maps, labels or time series on brain models, read strictly, whatever they are called; maps written.

Such a file is a NIfTI-2 header of 540 bytes, an extension of XML that says what each row and column is, then the numbers,
rows fastest. Numbers are memory-mapped, those of a gzipped file in memory; nothing in a header is believed before the
file's size agrees.

Source: https://www.nitrc.org/projects/cifti (CIFTI-2 specification)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factortopy.formats.files import COPY
from factortopy.formats.nifti import head_of, read_header
from factortopy.formats.problems import stop
from factortopy.formats.strict_xml import Document, Refused, numbers
from factortopy.storage.files import write_atomic

_MOST_XML = 16 * 2**20
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

    path : Path; data : (rows, columns) memory map or array, in the file's own byte order and precision
    slope, intercept : what a stored number is multiplied by, and what is then added
    models : tuple of BrainModel, whose columns follow each other without gaps
    names : tuple of str, of the rows where they are maps; labels : tuple of {key: (name, (r, g, b, a) floats)}, one a row,
    where the values are keys
    """

    path: Path
    data: np.ndarray
    slope: float
    intercept: float
    models: tuple
    names: tuple = ()
    labels: tuple = ()


def open_dense(path):
    """A CIFTI-2 file whose columns are brain models; numbers are not read yet, but for a gzipped file.

    Returns
    -------
    DenseCifti

    Raises
    ------
    InputError
        For a missing, cut or damaged file, a pointer in its place, another kind, XML that declares entities, brain models
        that do not fit the data; parcels, connectivity and files whose rows and columns are exchanged are called by name.
    """
    path = Path(path)
    header = read_header(path, "a CIFTI-2 file")
    if not header.extension:
        shape = " × ".join(f"{n:,}" for n in header.shape)
        remedy = "take the .dscalar.nii or .dtseries.nii, or name a surface's values hemi-L.nii and hemi-R.nii"
        raise stop(path, "a CIFTI-2 file", f"a NIfTI file of {shape} without a CIFTI header", remedy)
    if len(header.shape) != 6 or header.shape[:4] != (1, 1, 1, 1):
        raise stop(path, "rows of grayordinates", "another array (a dense .dscalar or .dtseries is needed)", COPY)
    if not 8 < header.extension <= min(_MOST_XML, header.offset - 544):
        raise stop(path, "a CIFTI-2 header", "a damaged one", COPY)
    end = 544 + header.extension
    xml = head_of(path, "a CIFTI-2 file", end)[2][552:].rstrip(b"\0")
    rows, columns = header.shape[4:]
    if b"<!" in xml.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise stop(path, "plain XML", "a header that declares entities", "it was refused for safety: save it again")
    reader = _Reader(columns)
    reader.read(xml, path)
    _check_axes(path, reader.axes)
    models = sorted(reader.models, key=lambda model: model.columns.start)
    ends = [0, *(model.columns.stop for model in models)]
    if [*(model.columns.start for model in models), columns] != ends or len(reader.names) not in (0, rows):
        raise stop(path, *_DAMAGED, COPY)
    labels = tuple(reader.labels) if reader.axes.get(0) == "LABELS" else ()
    data = header.array((rows, columns), "F")
    return DenseCifti(path, data, header.slope, header.intercept, tuple(models), tuple(reader.names), labels)


def _check_axes(path, axes):
    """Raise where rows and columns are not maps of brain models, and say what they are."""
    wanted = "maps of brain models (a value a vertex: .dscalar.nii, .dtseries.nii)"
    dense = "take the dense file that it was made from"
    if "PARCELS" in axes.values():
        remedy = f"{dense}, as a mean of an area tells nothing of its vertices"
        raise stop(path, wanted, "parcels (one value an area: .ptseries.nii, .pscalar.nii, .pconn.nii)", remedy)
    if axes.get(0) == axes.get(1) == "BRAIN_MODELS":
        raise stop(path, wanted, "connectivity of every vertex with every other (.dconn.nii)", dense)
    if axes.get(0) == "BRAIN_MODELS":
        raise stop(path, wanted, "rows and columns exchanged", "turn it: wb_command -cifti-transpose")
    if axes.get(1) != "BRAIN_MODELS" or axes.get(0) not in ("SERIES", "SCALARS", "LABELS"):
        raise stop(path, *_DAMAGED, COPY)


_DAMAGED = ("a CIFTI-2 header with brain models that fit the data", "a damaged one, or none")


class _Reader(Document):
    """Takes the brain models of dimension 1, and names and labels of dimension 0, out of a header of ``n_columns``."""

    kind = "CIFTI-2"
    root = "CIFTI"

    def __init__(self, n_columns):
        super().__init__()
        self.n_columns, self.models, self.structures = n_columns, [], set()
        self.axes, self.names, self.labels = {}, [], []  # axes: {dimension: its kind, as in "BRAIN_MODELS"}
        self.matrices = 0
        self.axis = self.model = self.indices = self.label = None

    def opened(self, tag, attributes):
        if self.path and self.path[-1] not in _PARENTS.get(tag, self.path):
            raise Refused(*_DAMAGED, COPY)
        try:
            if tag == "CIFTI" and int(attributes["Version"].split(".")[0]) != 2:
                raise ValueError
            if tag == "MatrixIndicesMap":
                self.axis = [int(n) for n in attributes["AppliesToMatrixDimension"].split(",")]
                if any(n in self.axes for n in self.axis) or len(set(self.axis)) < len(self.axis):
                    raise ValueError
                kind = attributes["IndicesMapToDataType"].removeprefix("CIFTI_INDEX_TYPE_")
                self.axes |= dict.fromkeys(self.axis, kind)
            if tag == "BrainModel":
                self.model, self.indices = attributes, None
            if tag == "NamedMap" and 0 in self.axis:
                self.names.append("")
                self.labels.append({})
            if tag == "Label":
                self.label = attributes
        except (KeyError, ValueError):
            raise Refused(*_DAMAGED, COPY) from None
        self.matrices += tag == "Matrix"
        if self.matrices > 1:
            raise Refused(*_DAMAGED, COPY)

    def closed(self, tag, text):
        try:
            if tag in ("VertexIndices", "VoxelIndicesIJK") and self.path[-1:] == ["BrainModel"]:
                if self.indices is not None:
                    raise ValueError
                self.indices = tag, numbers(text, 3 * self.n_columns, int)
            elif tag == "BrainModel" and 1 in self.axis:
                self.models.append(self._finished())
            elif tag == "MapName" and 0 in self.axis:
                self.names[-1] = text.strip()
            elif tag == "Label" and 0 in self.axis:
                colour = tuple(float(self.label[part]) for part in ("Red", "Green", "Blue", "Alpha"))
                if not all(0 <= part <= 1 for part in colour):
                    raise ValueError
                self.labels[-1][int(self.label["Key"])] = (text.strip(), colour)
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
