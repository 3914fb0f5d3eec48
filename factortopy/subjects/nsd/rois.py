"""The regions of an NSD subject on fsaverage: labels drawn on the native surface carried over, and fsaverage's atlases."""

from pathlib import Path

import numpy as np

from factortopy.formats.mgh import read_mgh, whole_labels
from factortopy.formats.problems import DataError, foreign, stop, warn
from factortopy.subjects.algonauts.rois import NAMES, named_masks, read_names, with_unions
from factortopy.subjects.examination import as_warning
from factortopy.subjects.nsd.betas import FULL, HEMISPHERES
from factortopy.wording import safe_label

NATIVE = ("prf-visualrois", "prf-eccrois", "floc-faces", "floc-bodies", "floc-places", "floc-words")
ATLASES = ("streams", "Kastner2015", "HCP_MMP1", "corticalsulc", "visualsulc")  # on fsaverage itself
_PUBLISHED = {**NAMES, "prf-eccrois": ("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+")}  # names, label 1 first
_MOST_BYTES, _MOST_NAME = 64 * 1024, 60


def read_ctab(path):
    """{label: name} of a FreeSurfer colour table (.ctab), parsed by white space: number, name, perhaps a colour.

    Raises
    ------
    InputError
        When the file is missing, too large, or no colour table.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        actual = "none" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise stop(path, "a table of region names", actual, "copy it there") from None
    wanted = "a table of region numbers and names"
    if len(data) > _MOST_BYTES:
        raise stop(path, wanted, f"more than {_MOST_BYTES // 1024} kB", "copy the data set's own")
    table = {}
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if len(words) < 2 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 10):
            odd = foreign(data[:1024], "")
            actual = odd if odd and "text" not in odd else f"the line {safe_label(line, 40)!r}"
            raise stop(path, wanted, actual, "copy the data set's own")
        table[int(words[0])] = safe_label(words[1].replace("/", "∕"), _MOST_NAME)
    if not table:
        raise stop(path, wanted, "an empty one", "copy the data set's own")
    return table


def carry_over(labels, transform, path):
    """Labels of a native surface on fsaverage: ``fsaverage[v] = native[transform[v] - 1]``.

    Parameters
    ----------
    labels : (n,) int of one hemisphere's native surface
    transform : (163842,) float, 1-based vertices of that surface
    path : of the transform, for the message

    Returns
    -------
    (163842,) int64
    """
    index = np.where(np.isfinite(transform), transform, -1).astype(np.int64)
    if index.min() < 1 or index.max() > len(labels):
        actual = f"{index.min():,} to {index.max():,}"
        remedy = "another subject's or the other hemisphere's transform, or counted from 0? copy both of this subject"
        raise stop(path, f"native vertices from 1 to {len(labels):,}", actual, remedy)
    return labels[index - 1]


def read_rois(root, subject, problems, atlases=("streams",)):
    """Every region of a subject on fsaverage's full mesh.

    Parameters
    ----------
    root : Path of the NSD folder
    subject : "subj01"
    problems : list
        Warnings are appended: a problem with a region never stops training.
    atlases : names out of ``ATLASES``; "streams" keeps its own names, others stand before theirs ("Kastner2015 V1v")

    Returns
    -------
    {name: {"lh" and "rh": (163842,) bool}}
        Unions such as V1 and FFA included, in the order of the visual hierarchy.
    """
    rois = {}
    transforms = _transforms(root, subject, problems)
    native = root / "nsddata" / "freesurfer" / subject / "label"

    def carried(hemi, file):
        path, transform = transforms[hemi]
        return carry_over(whole_labels(file), transform, path)

    def on_fsaverage(_, file):
        return whole_labels(file, FULL, surface="fsaverage")

    for kind in NATIVE if transforms else ():
        rois |= _named(native, kind, carried, problems)
    for kind in atlases:
        prefix = "" if kind == "streams" else f"{kind} "
        named = _named(root / "nsddata" / "freesurfer" / "fsaverage" / "label", kind, on_fsaverage, problems)
        rois |= {prefix + name: masks for name, masks in named.items()}
    if not rois:
        problems.append(warn(native, "region labels", "none", "maps can be drawn, but nothing is shown by ROI"))
    return with_unions(rois)


def _transforms(root, subject, problems):
    """{hemisphere: (path, (163842,) native vertices)}, or {} where one is missing."""
    transforms = {}
    for hemi in HEMISPHERES:
        path = root / "nsddata" / "ppdata" / subject / "transforms" / f"{hemi}.white-to-fsaverage.mgz"
        try:
            transforms[hemi] = path, read_mgh(path, FULL, surface="fsaverage")
        except DataError as error:
            problems.append(as_warning(error, "; until then this subject's own regions (V1, FFA, …) are missing"))
    return transforms if len(transforms) == len(HEMISPHERES) else {}


def _named(folder, kind, read, problems):
    """{name: {hemisphere: mask}} of one kind of labels; ``read(hemisphere, file)`` gives them on fsaverage."""
    labels = {}
    for hemi in HEMISPHERES:
        try:
            labels[hemi] = read(hemi, folder / f"{hemi}.{kind}.mgz")
        except DataError as error:
            problems.append(as_warning(error, f"; until then the regions of {kind} are missing"))
    if len(labels) < len(HEMISPHERES):
        return {}
    file = folder / f"{kind}.mgz.ctab"  # the table that lies beside the labels
    names = read_names(read_ctab, file, _PUBLISHED.get(kind, ()), "its regions are left out", problems)
    return named_masks(labels, names, file, "those vertices are in no ROI of this kind", problems)
