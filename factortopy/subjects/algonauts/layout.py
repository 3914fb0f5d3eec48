"""The Algonauts 2023 layout: one subject of the challenge data, checked file by file.

    subjXX/training_split/training_images/train-0001_nsd-00013.png
    subjXX/training_split/training_fmri/{lh,rh}_training_fmri.npy     float32 (images, vertices)
    subjXX/test_split/test_images/test-0001_nsd-00845.png             optional
    subjXX/test_split/test_fmri/{lh,rh}_test_fmri.npy                 optional, later release
    subjXX/test_split/noise_ceiling/{lh,rh}_noise_ceiling.npy         optional
    subjXX/roi_masks/{lh,rh}.all-vertices_fsaverage_space.npy         int (163842,)
    subjXX/roi_masks/{lh,rh}.<class>_{fsaverage,challenge}_space.npy  int
    subjXX/roi_masks/mapping_<class>.npy                              pickled {int: str}

Responses are z-scored per session and averaged over repeats by the challenge's own preparation: nothing is
normalised again. Column i is the i-th nonzero vertex of ``all-vertices``, in fsaverage's full mesh (164k), whose first
10,242 vertices are fsaverage5: at a lower density the first columns are kept and the others left out.

``examine`` looks at everything and lists every problem; ``to_subject`` raises the first that stops, or gives the subject.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factortopy.formats.npy import as_float32, safe_npy
from factortopy.formats.problems import DataError
from factortopy.formats.twins import alike_where_both
from factortopy.subjects.algonauts.pictures import list_images
from factortopy.subjects.algonauts.rois import read_rois
from factortopy.subjects.examination import Examination, Summary, as_warning, warn_of_likeness
from factortopy.subjects.picture_files import examine_files
from factortopy.subjects.response_arrays import copy_columns, read_whole_mesh
from factortopy.subjects.split import default_split
from factortopy.subjects.subject import Subject
from factortopy.subjects.surface_beside import add_surface
from factortopy.surfaces.coordinates import checked_density
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import count, first_few, safe_label

LAYOUT = "Algonauts 2023"
LOOKED_FOR = "training_split/ and roi_masks/ (Algonauts 2023)"
PARTS = ("training_split", "test_split", "roi_masks")  # folders inside a subject
IMAGE_DEGREES = 8.4
HEMISPHERES = ("lh", "rh")
OF_THE_TEST = (
    "the noise ceiling is that of the challenge's test pictures; scores are taken on held-out training pictures, whose responses are "
    "means of another number of repeats, which the challenge does not tell: shares of the ceiling are approximate"
)
_TYPICAL = 20.0  # z-scores beyond this, on the median, are none


def is_here(folder):
    """True where the folder holds one subject of this layout, complete or not."""
    training, test, masks = ((Path(folder) / part).is_dir() for part in PARTS)
    return training or (masks and test)


@dataclass
class AlgonautsExamination(Examination):
    """What a subject's folder holds, and everything that is wrong with it.

    responses, test_responses : {hemisphere: (images, vertices) memory map}
    mask : {hemisphere: (n,) vertex indices on the full mesh}
    ceiling : {hemisphere: (n,)}
    images, test_images : list of Path, in row order; nsd, test_nsd : their 0-based NSD numbers
    """

    folder: Path
    name: str
    responses: dict = field(default_factory=dict)
    test_responses: dict = field(default_factory=dict)
    mask: dict = field(default_factory=dict)
    ceiling: dict = field(default_factory=dict)
    images: list = field(default_factory=list)
    nsd: list = field(default_factory=list)
    test_images: list = field(default_factory=list)
    test_nsd: list = field(default_factory=list)

    def summary(self):
        """``Summary`` of what could be read."""
        rows = max((len(array) for array in self.responses.values()), default=None)
        vertices = [len(self.mask[hemi]) if hemi in self.mask else None for hemi in HEMISPHERES]
        rois = {name: [masks[hemi] for hemi in HEMISPHERES] for name, masks in self.rois.items()}
        ceiling = [self.ceiling[hemi] for hemi in HEMISPHERES if hemi in self.ceiling]
        return Summary.of(rows, len(self.images), vertices, rois, ceiling)


# ---------------------------------------------------------------- looking


def examine(folder, thorough=False):
    """Look at every file of a subject; nothing large is read.

    Parameters
    ----------
    folder : path
        The subject's own folder (subjXX).
    thorough : bool
        Decode every picture, not some.

    Returns
    -------
    AlgonautsExamination
    """
    folder = Path(os.path.abspath(folder))
    examination = AlgonautsExamination(folder, safe_label(folder.name), thorough=thorough)
    _examine_masks(examination)
    _examine_responses(examination)
    _examine_images(examination)
    if len(examination.mask) == len(HEMISPHERES):
        examination.rois = read_rois(folder / "roi_masks", examination.mask, examination.problems)
        _examine_ceiling(examination)
    _examine_test(examination)
    return examination


def _examine_masks(examination):
    for hemi in HEMISPHERES:
        path = examination.folder / "roi_masks" / f"{hemi}.all-vertices_fsaverage_space.npy"
        mask = examination.try_to(read_whole_mesh, path)
        if mask is not None:
            examination.mask[hemi] = np.flatnonzero(mask)
            if len(examination.mask[hemi]) == 0:
                examination.stop(path, "vertices of this subject", "an empty mask", "copy or download it again")


def _examine_responses(examination):
    folder = examination.folder / "training_split" / "training_fmri"
    for hemi in HEMISPHERES:
        path = folder / f"{hemi}_training_fmri.npy"
        array = examination.try_to(safe_npy, path, kinds="fiu")
        if array is not None and _columns_fit(examination, path, array, hemi):
            examination.responses[hemi] = array
            _examine_values(examination, path, array)
    rows = {hemi: len(array) for hemi, array in examination.responses.items()}
    if len(set(rows.values())) > 1:
        text = f"{rows['lh']:,} rows left, {rows['rh']:,} right"
        examination.stop(folder, "the same number of rows in both hemispheres", text, "copy or download both again")
    elif len(rows) == len(HEMISPHERES):
        chosen = np.unique(np.linspace(0, rows["lh"] - 1, 8).astype(int))
        parts = [(as_float32(examination.responses[hemi][chosen]), examination.mask[hemi]) for hemi in HEMISPHERES]
        if alike_where_both(*parts[0], *parts[1]):
            warn_of_likeness(examination, *(folder / f"{hemi}_training_fmri.npy" for hemi in HEMISPHERES))


def _columns_fit(examination, path, array, hemi):
    if array.ndim != 2 or 0 in array.shape:
        words = " × ".join(str(n) for n in array.shape) or "a single value"
        examination.stop(path, "an (images, vertices) array", words, "copy or download it again")
        return False
    mask = examination.mask.get(hemi)
    if mask is None or array.shape[1] == len(mask):
        return mask is not None
    selected = f"{len(mask):,} columns, as many as the all-vertices mask selects"
    if array.shape[0] == len(mask):
        remedy = "it looks transposed: save array.T (a row a picture)"
        examination.stop(path, selected, f"{array.shape[0]:,} rows of that length", remedy)
    else:
        remedy = "is the mask another subject's? copy fmri and roi_masks of the same subject"
        examination.stop(path, selected, f"{array.shape[1]:,} columns", remedy)
    return False


def _examine_values(examination, path, array):
    """Are these z-scores? Some rows are looked at; counting missing values is the Subject's task."""
    if array.dtype.kind != "f":
        remedy = "scaled by 300 as NSD stores it? take the challenge's own file"
        examination.stop(path, "z-scores as float32", f"whole numbers ({array.dtype.name})", remedy)
        return
    rows = np.unique(np.linspace(0, len(array) - 1, 32).astype(int))
    values = np.abs(as_float32(array[rows]))
    values = values[np.isfinite(values)]
    if values.size == 0 or not values.any():
        return
    typical, extreme = np.median(values), values.max()
    if extreme > 1e6 or extreme < 1e-6:
        remedy = "bytes swapped or damaged: copy or download it again"
        examination.stop(path, "z-scores, mostly between −3 and 3", f"values up to {extreme:.3g}", remedy)
    elif typical > _TYPICAL:
        remedy = "scaled by 300 or not z-scored? they are used as they are, but scores will suffer"
        examination.warn(path, "z-scores, mostly between −3 and 3", f"values of typically {typical:.3g}", remedy)


def _examine_images(examination):
    folder = examination.folder / "training_split" / "training_images"
    examination.images, examination.nsd = examination.try_to(list_images, folder, "train") or ([], [])
    n_rows = max((len(array) for array in examination.responses.values()), default=None)
    if not examination.images or n_rows is None:
        return
    if len(examination.images) != n_rows:
        text = f"{count(len(examination.images), 'picture')} but {count(n_rows, 'row')} of responses"
        examination.stop(folder, "one picture a row of training_fmri", text, "copy or download the missing ones")
    if any(b <= a for a, b in zip(examination.nsd, examination.nsd[1:], strict=False)):
        where = next(k for k in range(len(examination.nsd) - 1) if examination.nsd[k + 1] <= examination.nsd[k])
        text = f"{examination.images[where + 1].name} after {examination.images[where].name}"
        examination.warn(folder, "NSD numbers that ascend with the row", text, "were files renamed?")
    examine_files(examination, folder, examination.images)


def _examine_ceiling(examination):
    folder = _beside(examination.folder, "noise_ceiling")
    if folder is None:
        missing = examination.folder / "test_split" / "noise_ceiling"
        examination.warn(missing, "noise ceilings", "none", "only raw R² can be shown")
        return
    for hemi in HEMISPHERES:
        path = folder / f"{hemi}_noise_ceiling.npy"
        try:
            array = np.asarray(safe_npy(path, kinds="f", shape=(len(examination.mask[hemi]),)), dtype=np.float32)
        except DataError as error:
            examination.problems.append(as_warning(error, "; until then only raw R² is shown"))
            examination.ceiling = {}
            return
        divisor = examination.share_divisor(path, np.nanmax(array, initial=0))
        if divisor is None:
            examination.ceiling = {}
            return
        examination.ceiling[hemi] = array / divisor


def _examine_test(examination):
    folder = _beside(examination.folder, "test_images")
    if folder is not None:
        examination.test_images, examination.test_nsd = examination.try_to(list_images, folder, "test") or ([], [])
    fmri = _beside(examination.folder, "test_fmri")
    if fmri is None:
        return
    if folder is None:
        missing = examination.folder / "test_split" / "test_images"
        examination.stop(missing, "the pictures of test_fmri", "no such folder", "copy them, or remove test_fmri")
    for hemi in HEMISPHERES:
        path = fmri / f"{hemi}_test_fmri.npy"
        array = examination.try_to(safe_npy, path, kinds="f")
        if array is None or not _columns_fit(examination, path, array, hemi):
            continue
        examination.test_responses[hemi] = array
        _examine_values(examination, path, array)
        if examination.test_images and len(examination.test_images) != len(array):
            text = f"{count(len(examination.test_images), 'picture')} but {count(len(array), 'row')}"
            examination.stop(path, "one row a test picture", text, "copy or download them again, or remove test_fmri")
    both = sorted(set(examination.nsd) & set(examination.test_nsd))
    if both and examination.test_responses:
        text = f"{len(both):,} in both (NSD numbers {first_few(both)})"
        examination.stop(fmri, "other pictures in the test than in the training", text, "copy or download them again")


def _beside(folder, part):
    """test_split/``part`` in the subject's folder or in a root of its own beside it; None where it is missing."""
    name, root = folder.name, folder.parent
    roots = [folder, *(base / test / name for base in (root, root.parent) for test in ("test", "test_data"))]
    return next((path for path in (base / "test_split" / part for base in roots) if path.is_dir()), None)


# ---------------------------------------------------------------- loading


def to_subject(examination, density="10k"):
    """The Subject of an examination; raises the first problem that stops.

    Its ``test_images`` are the pictures of the test split whose responses are not here, list of Path.
    """
    examination.raise_first_stop()
    checked_density(density)
    keep = {hemi: int(np.searchsorted(vertex, N_VERTICES[density])) for hemi, vertex in examination.mask.items()}
    responses = _columns(examination.responses, keep)
    images, split = list(examination.images), None
    if examination.test_responses:
        tests = _columns(examination.test_responses, keep)
        rows = len(responses) + np.arange(len(tests))
        responses = np.concatenate([responses, tests])
        images += examination.test_images
        split = default_split(np.arange(len(images)), test=rows)
    rois, lost = examination.joined_rois(lambda masks: _joined(masks, keep))
    subject = Subject(
        responses,
        images,
        hemi=np.repeat([0, 1], [keep["lh"], keep["rh"]]),
        vertex=_joined(examination.mask, keep),
        rois=rois,
        noise_ceiling=_joined(examination.ceiling, keep) if examination.ceiling else None,
        split=split,
        name=examination.name,
        density=density,
        image_degrees=IMAGE_DEGREES,
    )
    if subject.noise_ceiling is not None and not examination.test_responses:
        subject.ceiling_note = OF_THE_TEST
        subject.remark(OF_THE_TEST)
    add_surface(subject, examination.folder, *list(examination.folder.parents)[:2])
    total = sum(len(vertex) for vertex in examination.mask.values())
    if sum(keep.values()) < total:
        subject.remark(f"drawn and trained at {density}: {sum(keep.values()):,} of {total:,} vertices")
    if lost:
        subject.remark(f"too small to have a vertex at {density}: {first_few(lost, 20)}")
    if examination.test_images and not examination.test_responses:
        n = len(examination.test_images)
        subject.remark(f"{n:,} test pictures without responses: the training pictures are split 8:1:1")
    subject.test_images = [] if examination.test_responses else list(examination.test_images)
    examination.hand_on(subject)
    return subject


def _columns(arrays, keep):
    """Both hemispheres' first columns side by side, (T, N) float32, read block by block."""
    out = np.empty((len(arrays["lh"]), keep["lh"] + keep["rh"]), dtype=np.float32)
    copy_columns(arrays["lh"], keep["lh"], out[:, : keep["lh"]])
    copy_columns(arrays["rh"], keep["rh"], out[:, keep["lh"] :])
    return out


def _joined(parts, keep):
    return np.concatenate([parts[hemi][: keep[hemi]] for hemi in HEMISPHERES])
