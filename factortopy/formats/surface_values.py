"""Values on a surface from a file of any kind that is read here, with all that the file says of itself: the one way in.

The content decides what a file is, not its name; of a file that is none of these the name decides who explains that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from factortopy.formats import freesurfer
from factortopy.formats.cifti import open_dense
from factortopy.formats.files import COPY, content, inflated
from factortopy.formats.gifti import read_gifti
from factortopy.formats.mgh import open_mgh
from factortopy.formats.nifti import head_of, is_cifti, looks_like_nifti, read_header
from factortopy.formats.npy import as_float32, mapped_blocks, row_blocks, safe_npy
from factortopy.formats.problems import foreign, foreign_content, stop
from factortopy.formats.structures import other_space
from factortopy.formats.surface_shapes import axes_words, is_fsaverage, on_surface

SIDES = ("left", "right")
PROJECT = (
    "project it to fsaverage first (nilearn.surface.vol_to_surf, or FreeSurfer's mri_vol2surf --trgsubject fsaverage)"
)
MOST_XML = 128 * 2**20  # bytes of a GIFTI file, which is read whole
_LABEL = 1002  # NIfTI's intent
_COLOURS = ("RGB_VECTOR", "RGBA_VECTOR")
_VECTORS = ("VECTOR", "DISPVECT", "QUATERNION", "SYMMATRIX", "GENMATRIX", *_COLOURS)
_ANY = "values on a surface (GIFTI, MGH, NIfTI, CIFTI or .npy)"


@dataclass(frozen=True)
class SurfaceValues:
    """Rows of values, a column a vertex, of one hemisphere, or of one that the file does not name.

    path : Path
    source : (rows, vertices) array, memory-mapped where that can be; of a .npy file, of any shape
    slope, intercept : what a stored number is multiplied by, and what is then added
    hemi : 0 left, 1 right, None where the file does not say
    vertices : (n,) int64, those of the columns where the file itself says so, else None
    mesh : int, vertices of the whole surface where the file says so, else None
    names : tuple of str, of the rows, "" where there is none; intents : set of GIFTI's words, as in {"SHAPE"}
    labels : {key: (name, (r, g, b, a) floats)} where the values are keys, else None
    notices : tuple of str, what was left out
    oriented : bool, False for a .npy file, which does not say what its rows are
    """

    path: Path
    source: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    hemi: int | None = None
    vertices: np.ndarray | None = None
    mesh: int | None = None
    names: tuple = ()
    intents: frozenset = field(default_factory=frozenset)
    labels: dict | None = None
    notices: tuple = ()
    oriented: bool = True

    @property
    def shape(self):
        return self.source.shape

    @property
    def dtype(self):
        """Of the values: float32 where stored numbers are scaled."""
        return self.source.dtype if (self.slope, self.intercept) == (1, 0) else np.dtype(np.float32)

    @property
    def as_it_lies(self):
        """Whether ``source`` is a memory map of native float32 that needs nothing done."""
        plain = isinstance(self.source, np.memmap) and self.source.dtype == np.float32 and self.source.dtype.isnative
        return plain and (self.slope, self.intercept) == (1, 0)

    def blocks(self):
        """Yield (rows, (rows, n) float32), a few megabytes each."""
        for rows, block in mapped_blocks(self.source):
            yield rows, self._scaled(block)

    def values(self):
        """(rows, n) float32, all of them."""
        out = np.empty(self.shape, np.float32)
        for rows, block in self.blocks():
            out[rows] = block
        return out

    def sample(self, most=32):
        """(k, n) float32: up to ``most`` rows, evenly spread."""
        return self._scaled(self.source[np.unique(np.linspace(0, self.shape[0] - 1, most).astype(int))])

    @property
    def n_blocks(self):
        return len(row_blocks(*self.shape))

    def _scaled(self, block):
        if (self.slope, self.intercept) == (1, 0):
            return as_float32(block)
        with np.errstate(over="ignore", invalid="ignore"):
            return as_float32(block.astype(np.float64) * self.slope + self.intercept)


def open_values(path):
    """What a file holds: one SurfaceValues, or one a hemisphere (CIFTI), left first.

    Parameters
    ----------
    path : path
        NumPy, GIFTI, MGH, NIfTI with a surface, CIFTI-2 (dense), each gzipped or not but NumPy's; FreeSurfer's curvature
        files and annotations.

    Returns
    -------
    list of SurfaceValues

    Raises
    ------
    InputError
        Path, expected, actual, remedy: for a missing, cut, damaged or hostile file, a volume, parcels, connectivity, the
        geometry of a surface, colours, and a name that says another space than fsaverage.
    """
    path = Path(path)
    space = other_space(path.name)
    if space:
        remedy = "resample it (mri_surf2surf, or wb_command -metric-resample); if it is on fsaverage, rename it"
        raise stop(path, "values on fsaverage", f"a name that says {space}", remedy)
    return _READERS[_kind(path)](path)


def kind_words(head):
    """What the first bytes of a file are when it holds no values of a surface; "" where that cannot be said."""
    if head[:3] == b"\xff\xff\xfe":
        return "the geometry of a FreeSurfer surface (as lh.white)"
    if head[:4] == b"\xff\xff\xff\xff":
        return "a FreeSurfer flat patch"
    if head.lstrip().startswith(b"#!ascii"):
        return "a FreeSurfer label in text (a list of vertices)"
    if head.lstrip().startswith((b"<AFNI", b"# <AFNI", b"# <Node", b"<Node")):
        return "AFNI's NIML (.niml.dset)"
    if head.startswith(b"MATLAB 5.0"):
        return "a MATLAB file"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "an HDF5 file (a MATLAB 7.3 file is one)"
    if head.startswith(b"PK\x03\x04") and b".npy" in head[:200]:
        return "a NumPy archive (.npz)"
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        return "a pickled Python object (pickle, joblib), which is not run"
    return ""


_REMEDIES = {
    "the geometry": "choose the file of its values",
    "a FreeSurfer flat": "choose the file of its values",
    "a FreeSurfer label": "make a mask of it (mri_label2label --outmask), or an annotation (mris_label2annot)",
    "AFNI's": "convert it: ConvertDset -o_gii, with -pad_to_node for the whole surface",
    "a MATLAB": "save its array with np.save (scipy.io.loadmat reads it)",
    "an HDF5": "save its array with np.save (h5py reads it)",
    "a pickled": "save its array with np.save",
    "a NumPy": "save one array: np.save(name, np.load(file)[key])",
}


# ---------------------------------------------------------------- by kind


def _kind(path):
    """Which of ``_READERS`` reads a file."""
    size, packed, head = head_of(path, _ANY, 4096)
    words = kind_words(head)
    if words:
        remedy = next(remedy for start, remedy in _REMEDIES.items() if words.startswith(start))
        raise stop(path, _ANY, words, remedy)
    if packed and head.startswith(b"\x93NUMPY"):
        raise stop(path, "a .npy file as np.save writes it", "a gzipped one", "unpack it (gzip -d)")
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head[:4] == b"\0\0\0\1":
        return "mgh"
    if looks_like_nifti(head):
        return "cifti" if is_cifti(head) else "nifti"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"GIFTI" in head:
        return "gifti"
    if not packed and freesurfer.is_annotation(size, head):
        return "annot"
    if not packed and freesurfer.is_curvature(size, head):
        return "curvature"
    return _kind_of_name(path, head)


def _kind_of_name(path, head):
    """By its name, of content that is none of ours: that reader says what is wrong."""
    name = path.name.lower().removesuffix(".gz")
    kinds = {".npy": "npy", ".gii": "gifti", ".mgh": "mgh", ".mgz": "mgh", ".annot": "annot"}
    kind = next((kind for ending, kind in kinds.items() if name.endswith(ending)), None)
    if kind is None and name.endswith((".dscalar.nii", ".dtseries.nii", ".dlabel.nii")):
        kind = "cifti"
    elif kind is None and name.endswith(".nii"):
        kind = "nifti"
    if kind is None:
        words = foreign_content(head[:100]).replace("the picture", "the map") or "a file of another kind"
        actual, _, remedy = words.partition("; ")
        if not remedy or any(word in remedy for word in ("picture", "PNG", "JPEG")):  # a remedy for pictures
            remedy = "export the map in one of these formats"
        raise stop(path, _ANY, actual, remedy)
    return kind


def _npy(path):
    return [SurfaceValues(path, safe_npy(path), oriented=False)]


def _gifti(path):
    data = content(path, "a GIFTI file", MOST_XML, "save large responses as .npy, which is not read at once")
    if data.startswith(b"\x1f\x8b"):
        data = inflated(path, "a whole gzipped GIFTI file", MOST_XML + 1)
        if len(data) > MOST_XML:
            raise stop(path, f"a GIFTI file of at most {MOST_XML // 2**20} MB", "more inside", "save it as .npy")
    actual = foreign(bytes(data[:1024]), "")
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or actual.startswith("a web page"):
        raise stop(path, "a GIFTI file", actual or "a file of another kind", COPY)
    gifti = read_gifti(data, path)
    intents, columns = frozenset(intent for _, intent, _ in gifti.maps), gifti.columns
    if any(intent in _COLOURS for intent in intents):
        raise stop(path, "values", "colours (RGB)", "export the values that they were made from")
    if len({len(column) for column in columns}) > 1:
        lengths = sorted({len(column) for column in columns})
        words = f"different lengths ({', '.join(f'{n:,}' for n in lengths[:5])})"
        raise stop(path, "maps of the same length", words, "save them apart")
    labels = gifti.labels if gifti.is_label else None
    return [
        SurfaceValues(
            path, np.stack(columns), hemi=gifti.hemi, vertices=gifti.nodes, names=tuple(gifti.names), intents=intents, labels=labels
        )
    ]  # fmt: skip


def _mgh(path):
    file = open_mgh(path)
    return [SurfaceValues(path, file.array())]


def _nifti(path):
    header = read_header(path)
    axes, frames = (header.shape + (1, 1, 1))[:3], header.shape[3:]
    if len(header.shape) == 2:  # as NumPy users write it, vertices first or last
        first, last = header.shape
        source = header.array((last, first))
        source = source.T if is_fsaverage(last) and not is_fsaverage(first) else source
    elif not on_surface(axes):
        raise volume(path, axes_words(axes))
    else:
        source = header.array((math.prod(frames), math.prod(axes)))
    intents = frozenset(["LABEL"] if header.intent == _LABEL else [])
    return [SurfaceValues(path, source, header.slope, header.intercept, intents=intents)]


def _cifti(path):
    cifti, out = open_dense(path), []
    others = [model.structure for model in cifti.models if model.hemi is None or model.surface is None]
    notices = (f"left out: {len(others)} structures beside the cortex's surface ({_few(others)})",) if others else ()
    labels = cifti.labels[0] if cifti.labels else None
    if any(table != labels for table in cifti.labels):
        remedy = "save each map in a file of its own (wb_command -cifti-separate)"
        raise stop(path, "one table of labels", "another one for each map", remedy)
    for model in cifti.models:
        if model.hemi is not None and model.surface is not None:
            part = SurfaceValues(path, cifti.data[:, model.columns], cifti.slope, cifti.intercept, model.hemi)
            intents = frozenset(["LABEL"] if cifti.labels else [])
            part = replace(part, vertices=model.vertices, mesh=model.surface, names=cifti.names, labels=labels)
            out.append(replace(part, intents=intents, notices=notices))
    if not out:
        raise volume(path, "a CIFTI file without a cortical surface")
    return sorted(out, key=lambda part: part.hemi)


def _few(structures):
    words = [structure.lower().replace("_", " ") for structure in structures]
    return ", ".join(words[:3]) + (" …" if len(words) > 3 else "")


def _curvature(path):
    return [SurfaceValues(path, freesurfer.read_curvature(path)[None], intents=frozenset(["SHAPE"]))]


def _annot(path):
    keys, labels = freesurfer.read_annot(path)
    return [SurfaceValues(path, keys[None], intents=frozenset(["LABEL"]), labels=labels)]


_READERS = {
    "npy": _npy, "gifti": _gifti, "mgh": _mgh, "nifti": _nifti, "cifti": _cifti, "curvature": _curvature, "annot": _annot,
}  # fmt: skip


def volume(path, actual):
    """DataError for a volume where a surface is needed."""
    return stop(path, "values on fsaverage's surface", f"{actual}: a volume", PROJECT)


def check_kind(values, labels=True):
    """Raise for vectors, and without ``labels`` for labels, where a number a vertex is needed."""
    vectors = sorted(values.intents & set(_VECTORS))
    if vectors:
        raise stop(values.path, "one number a vertex", f"vectors ({vectors[0]})", "export the values themselves")
    if "LABEL" in values.intents and not labels:
        raise stop(values.path, "measured values", "labels (keys of a colour table)", "choose the file of the values")


def check_side(values, hemi):
    """Raise where a file says another hemisphere than ``hemi`` (0 or 1)."""
    if values.hemi is not None and values.hemi != hemi:
        actual = f"the {SIDES[values.hemi]} one in its own metadata"
        remedy = "the two may have been exchanged: export them again, or rename the file after what it holds"
        raise stop(values.path, f"the {SIDES[hemi]} hemisphere, as its name says", actual, remedy)
