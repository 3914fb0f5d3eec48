"""The ROIs of an Algonauts 2023 subject: label arrays by class, names from the mapping files or the published ones."""

import numpy as np

from factortopy.formats.npy import safe_npy
from factortopy.formats.problems import DataError, warn
from factortopy.subjects.algonauts.label_tables import safe_mapping
from factortopy.subjects.examination import as_warning
from factortopy.subjects.response_arrays import read_whole_mesh
from factortopy.wording import first_few

# The names of the challenge data, label 1 first.
NAMES = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "streams": ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"),
}
UNIONS = {name: (f"{name}v", f"{name}d") for name in ("V1", "V2", "V3")}
UNIONS |= {name: (f"{name}-1", f"{name}-2") for name in ("FFA", "FBA", "VWFA")}
# How they are listed: the visual hierarchy, then parts of unions, then the coarse streams.
_ORDER = ("V1", "V2", "V3", "hV4", "OFA", "FFA", "FBA", "EBA", "PPA", "OPA", "RSC", "OWFA", "VWFA")


def read_rois(folder, vertices, problems):
    """The ROIs of both hemispheres.

    Parameters
    ----------
    folder : Path of roi_masks
    vertices : {"lh" and "rh": (n,) indices of the subject's vertices on the full mesh}
    problems : list
        Warnings are appended: a ROI problem never stops training.

    Returns
    -------
    {name: {hemisphere: (n,) bool}}
        Unions such as V1 and FFA included, in the order of the visual hierarchy.
    """
    rois = {}
    classes = [*NAMES, *_other_classes(folder)]
    for kind in classes:
        labels = {hemi: _labels(folder, kind, hemi, vertices[hemi], problems) for hemi in vertices}
        if all(label is None for label in labels.values()):
            continue
        labels = {h: np.zeros(len(vertices[h]), int) if label is None else label for h, label in labels.items()}
        file, remedy = folder / f"mapping_{kind}.npy", "those vertices are in no ROI of this class"
        names = read_names(safe_mapping, file, NAMES.get(kind, ()), "its ROIs are left out", problems)
        for name, masks in named_masks(labels, names, file, remedy, problems).items():
            rois[name] = union([rois[name], masks]) if name in rois else masks
    if not rois:
        problems.append(warn(folder, "ROI masks", "none", "maps can be drawn, but nothing is shown by ROI"))
    return with_unions(rois)


def with_unions(rois):
    """{name: {hemisphere: mask}} with V1, FFA, … made of their parts, in the order of the visual hierarchy."""
    rois = dict(rois)
    for name, parts in UNIONS.items():
        present = [rois[part] for part in parts if part in rois]
        if present and name not in rois:
            rois[name] = union(present)
    listed = [name for name in _ORDER if name in rois]
    return {name: rois[name] for name in [*listed, *(name for name in rois if name not in listed)]}


def union(masks):
    """{hemisphere: mask} of several such."""
    return {hemi: np.logical_or.reduce([mask[hemi] for mask in masks]) for hemi in masks[0]}


def _other_classes(folder):
    """Classes of the mapping files that the challenge did not publish; a plain file name each."""
    if not folder.is_dir():
        return []
    kinds = sorted(path.stem.removeprefix("mapping_") for path in folder.glob("mapping_*.npy"))
    return [kind for kind in kinds if kind not in NAMES][:50]


def _labels(folder, kind, hemi, vertices, problems):
    """(n,) labels of the subject's vertices, from the challenge-space file or else the fsaverage-space one."""
    challenge = folder / f"{hemi}.{kind}_challenge_space.npy"
    whole = folder / f"{hemi}.{kind}_fsaverage_space.npy"
    if not challenge.is_file() and not whole.is_file():
        problems.append(warn(challenge, f"labels of {kind}", "no such file", "its ROIs are missing in this hemisphere"))
        return None
    for path, length in ((challenge, len(vertices)), (whole, None)):
        if not path.is_file():
            continue
        try:
            if length is None:
                return _whole(read_whole_mesh(path)[vertices])
            return _whole(safe_npy(path, kinds="iubf", shape=(length,)))
        except DataError as error:
            problems.append(as_warning(error, "; until then the fsaverage_space file is used if it can be"))
    return None


def _whole(labels):
    """Labels as integers; a missing value is no label."""
    labels = np.asarray(labels)
    if labels.dtype.kind == "f":
        labels = np.where(np.isfinite(labels) & (np.abs(labels) < 1e6), labels, 0)
    return labels.astype(np.int64)


def read_names(read, file, published, left_out, problems):
    """{label: name} that ``read(file)`` gives, or after a warning the published names (label 1 first) where it cannot be read.

    left_out : words for what becomes of the labels where no names are published
    """
    try:
        return read(file)
    except DataError as error:
        problems.append(as_warning(error, f" ({'the published names are used' if published else left_out})"))
        return dict(enumerate(published, start=1))


def named_masks(labels, names, file, remedy, problems):
    """The ROIs of one set of labels.

    Parameters
    ----------
    labels : {hemisphere: (n,) int}
    names : {number: name}, of ``file``; a name may have several numbers, numbers below 1 are no ROI
    remedy : what to do about labels without a name, or what becomes of them; they are added to ``problems`` as a warning

    Returns
    -------
    {name: {hemisphere: (n,) bool}}
    """
    unnamed = sorted({int(k) for label in labels.values() for k in np.unique(label) if k > 0} - set(names))
    if unnamed:
        problems.append(warn(file, "a name for every label", f"labels without one: {first_few(unnamed)}", remedy))
    numbers = {}
    for number, name in names.items():
        if number > 0:
            numbers.setdefault(name, []).append(number)
    return {name: {h: np.isin(label, wanted) for h, label in labels.items()} for name, wanted in numbers.items()}
