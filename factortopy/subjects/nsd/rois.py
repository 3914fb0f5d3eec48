"""The regions of an NSD subject on fsaverage: labels drawn on the native surface carried over, and fsaverage's atlases."""

from pathlib import Path

import numpy as np

from factortopy.formats.mgh import read_mgh, whole_labels
from factortopy.formats.problems import DataError, foreign, stop, warn
from factortopy.subjects.algonauts.rois import NAMES, with_unions
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few, safe_label, shown_path

FULL = N_VERTICES["164k"]
HEMISPHERES = ("lh", "rh")
NATIVE = ("prf-visualrois", "prf-eccrois", "floc-faces", "floc-bodies", "floc-places", "floc-words")
ATLASES = ("streams", "Kastner2015", "HCP_MMP1", "corticalsulc", "visualsulc")  # on fsaverage itself
_ECCENTRICITIES = ("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+")
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
        found = "none" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise stop(path, "a table of region names", found, "copy it there") from None
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
            found = odd if odd and "text" not in odd else f"the line {safe_label(line, 40)!r}"
            raise stop(path, wanted, found, "copy the data set's own")
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
        found = f"{index.min():,} to {index.max():,}"
        remedy = "another subject's or the other hemisphere's transform, or counted from 0? copy both of this subject"
        raise stop(path, f"native vertices from 1 to {len(labels):,}", found, remedy)
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
    for kind in NATIVE if transforms else ():

        def label(hemi, kind=kind):
            path, transform = transforms[hemi]
            return carry_over(whole_labels(native / f"{hemi}.{kind}.mgz"), transform, path)

        rois |= _named(native, kind, label, problems)
    folder = root / "nsddata" / "freesurfer" / "fsaverage" / "label"
    for kind in atlases:
        prefix = "" if kind == "streams" else f"{kind} "
        found = _named(
            folder,
            kind,
            lambda h, kind=kind: whole_labels(folder / f"{h}.{kind}.mgz", FULL, surface="fsaverage"),
            problems,
        )
        rois |= {prefix + name: masks for name, masks in found.items()}
    if not rois:
        problems.append(warn(native, "region labels", "none", "maps can be drawn, but nothing is shown by ROI"))
    return with_unions(rois)


def _transforms(root, subject, problems):
    """{hemisphere: (path, (163842,) native vertices)}, or {} where one is missing."""
    found = {}
    for hemi in HEMISPHERES:
        path = root / "nsddata" / "ppdata" / subject / "transforms" / f"{hemi}.white-to-fsaverage.mgz"
        try:
            found[hemi] = path, read_mgh(path, FULL, surface="fsaverage")
        except DataError as error:
            problem = error.problem
            remedy = f"{problem.remedy}; until then this subject's own regions (V1, FFA, …) are missing"
            problems.append(warn(path, problem.expected, problem.actual, remedy))
    return found if len(found) == len(HEMISPHERES) else {}


def _named(folder, kind, label, problems):
    """{name: {hemisphere: mask}} of one kind of labels; ``label(hemisphere)`` reads them on fsaverage."""
    labels = {}
    for hemi in HEMISPHERES:
        try:
            labels[hemi] = label(hemi)
        except DataError as error:
            problem = error.problem
            remedy = f"{problem.remedy}; until then the regions of {kind} are missing"
            problems.append(warn(problem.thing, problem.expected, problem.actual, remedy))
    if len(labels) < len(HEMISPHERES):
        return {}
    names = _names(folder, kind, problems)
    unnamed = sorted({int(k) for each in labels.values() for k in np.unique(each) if k > 0} - set(names))
    if unnamed:
        found = f"labels without one: {first_few(unnamed)}"
        file = folder / f"{kind}.mgz.ctab"
        problems.append(warn(file, "a name for every label", found, "those vertices are in no ROI of this kind"))
    numbers = {}
    for number, name in names.items():
        if number > 0:
            numbers.setdefault(name, []).append(number)
    return {name: {h: np.isin(labels[h], some) for h in HEMISPHERES} for name, some in numbers.items()}


def _names(folder, kind, problems):
    """{label: name}: the table that lies beside the labels, or the published names where it cannot be read."""
    published = {**NAMES, "prf-eccrois": _ECCENTRICITIES}
    known = dict(enumerate(published.get(kind, ()), start=1))
    file = folder / f"{kind}.mgz.ctab"
    try:
        return read_ctab(file)
    except DataError as error:
        problem = error.problem
        instead = "the published names are used" if known else "its regions are left out"
        problems.append(warn(shown_path(file), problem.expected, problem.actual, f"{problem.remedy} ({instead})"))
        return known
