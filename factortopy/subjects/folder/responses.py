"""Which files of the folder layout hold numbers a vertex, and of which hemisphere; ``formats.surface_values`` reads them."""

import os
import re
from dataclasses import replace
from pathlib import Path

from factortopy.formats.nifti import head_of, is_cifti, read_header
from factortopy.formats.problems import DataError, stop
from factortopy.formats.surface_shapes import on_surface
from factortopy.formats.surface_values import check_kind, check_side, open_values, volume
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import safe_label

ENDINGS = (  # of one hemisphere; the content decides, whatever the name
    ".npy", ".func.gii", ".shape.gii", ".label.gii", ".gii", ".func.gii.gz", ".shape.gii.gz", ".label.gii.gz", ".gii.gz",
    ".mgh", ".mgz", ".nii", ".nii.gz",
)  # fmt: skip
VOLUMES = (".nii", ".nii.gz", ".mnc", ".HEAD", ".BRIK")
_CIFTI = re.compile(r"\.[dp](scalar|tseries|label|conn|dconn|pconn|fan\w*)\.nii(\.gz)?$")  # dense or parcels


def open_rows(path, hemi=None):
    """Responses of one hemisphere, (trials, vertices), from any file of ``ENDINGS``.

    Parameters
    ----------
    path : path
    hemi : int, optional
        0 left, 1 right: what the file is called, which its content must not contradict.

    Returns
    -------
    SurfaceValues
        .npy, .mgh and .nii are read later, block by block; GIFTI and gzipped files are in memory.

    Raises
    ------
    InputError
        Path, expected, actual, remedy; nothing is believed before the file's size agrees.
    """
    path = Path(path)
    values = _one_side(path, hemi)
    check_kind(values, labels=False)
    if values.dtype.kind == "b":
        raise stop(path, "responses as numbers", "true/false: a mask", "copy the responses there")
    if len(values.shape) != 2 or 0 in values.shape:
        words = " × ".join(f"{n:,}" for n in values.shape) or "a single value"
        raise stop(path, "a (trials, vertices) array", words, "save it as (trials, vertices)")
    return values


def open_map(path, hemi=None, labels=True):
    """SurfaceValues of one row from a file of ``ENDINGS``: a map, a mask, with ``labels`` also keys; InputError as ``open_rows``."""
    values = _one_side(Path(path), hemi)
    check_kind(values, labels)
    if len(values.shape) == 1:
        values = replace(values, source=values.source[None])
    if len(values.shape) != 2 or 0 in values.shape:
        words = " × ".join(f"{n:,}" for n in values.shape) or "a single value"
        raise stop(path, "one number a vertex", f"an array of {words}", "save it with one dimension")
    if len(values.source) != 1:
        raise stop(path, "one map", f"{len(values.source)}", "save each in a file of its own")
    return values


def _one_side(path, hemi):
    """The part of a file that is about a hemisphere; one that says the other hemisphere is refused."""
    parts = open_values(path)
    if len(parts) > 1:
        parts = [part for part in parts if part.hemi == hemi]
        if not parts:
            raise stop(path, "one hemisphere", "both", "name it hemi-L or hemi-R after the one that is wanted")
    if hemi is not None:
        check_side(parts[0], hemi)
    return _on_fsaverage(parts[0])


def open_cifti(path):
    """{"L" and "R": SurfaceValues} of a dense CIFTI-2 file; its cortical surfaces only (other structures are left out).

    Raises
    ------
    InputError
        As ``open_rows``; also for another surface than fsaverage.
    """
    parts = open_values(path)
    if any(part.hemi is None or part.mesh is None for part in parts):
        remedy = f"name it after its hemisphere: hemi-L{''.join(Path(path).suffixes[-2:])}"
        raise stop(path, "a CIFTI file of both hemispheres", "values of one surface without a CIFTI header", remedy)
    for part in parts:
        check_kind(part, labels=False)
    return {"LR"[part.hemi]: _on_fsaverage(part) for part in parts}


def _on_fsaverage(values):
    if values.mesh not in (None, *N_VERTICES.values()):
        actual = "fsLR (32k)" if values.mesh == 32492 else f"a surface of {values.mesh:,} vertices"
        remedy = "resample it: wb_command -cifti-separate, then -metric-resample to fsaverage"
        raise stop(values.path, "vertices of fsaverage", actual, remedy)
    return values


def holds_both(path):
    """Whether a file is a CIFTI-2 file, by its content; of one that cannot be read, by its name."""
    if not path.name.endswith((".nii", ".nii.gz")):
        return False
    try:
        return is_cifti(head_of(path, "a CIFTI-2 file")[2]) or bool(_CIFTI.search(path.name))
    except DataError:
        return bool(_CIFTI.search(path.name))


def without_ending(name):
    """A file's name without its ending; None where that is none of ``ENDINGS``, or CIFTI's."""
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if name.endswith(e)), None)
    return None if ending is None or _CIFTI.search(name) else name[: -len(ending)]


def is_volume(path):
    """True for the file of a volume, by its name."""
    name = Path(path).name
    return name.endswith(VOLUMES) and not _CIFTI.search(name)


def unnamed(path):
    """DataError for a file of ``VOLUMES`` whose name says no hemisphere: a volume, or a surface that is to be renamed."""
    try:
        surface = path.name.endswith((".nii", ".nii.gz")) and on_surface((*read_header(path).shape, 1, 1)[:3])
    except DataError:  # damaged as well: the name says enough
        surface = False
    if not surface:
        return volume(path, path.name)
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    return stop(path, f"hemi-L{ending} and hemi-R{ending}", "values of a surface under another name", "rename it")


def volumes_in(folder):
    """Name of a volume file in a folder or one below (THINGS-fMRI, BOLD5000, CNeuroMod, BIDS); "" where there is none."""
    for pattern in ("*", "*/*", "sub-*/*/*", "sub-*/*/*/*"):
        for _, path in zip(range(2000), Path(folder).glob(pattern)):
            if is_volume(path):
                return safe_label(path.name)
    return ""


def files_in(folder):
    """{name: Path} of the plain files in a folder, sorted; {} where there is none."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if not e.name.startswith(".") and (e.is_file() or e.is_symlink()))
    except OSError:
        return {}
    return {name: Path(folder) / name for name in names}
