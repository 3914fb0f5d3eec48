"""Where fsaverage's surfaces lie: a folder that is named, places beside data sets (remembered), FreeSurfer's, nilearn's."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from factortopy.errors import InputError
from factortopy.surfaces import mesh_files

N_VERTICES = {"10k": 10242, "41k": 40962, "164k": 163842}  # per hemisphere; nested: each a prefix of the next
SUBJECT = {"10k": "fsaverage5", "41k": "fsaverage6", "164k": "fsaverage"}  # FreeSurfer's names
MOST_REMEMBERED = 8  # folders of surfaces
DENSITY = {n: density for density, n in N_VERTICES.items()}


def surfaces_in(folder: str | Path, density: str) -> Path | None:
    """The ``surf`` folder of fsaverage at ``folder`` or where FreeSurfer and NSD put it below; None where there is none."""
    from factortopy.storage.allowed_folders import is_permitted

    folder = Path(folder)
    places = ([folder] if folder.parent.name in _subjects(density) else []) + _below(folder, density)[2:]
    return next(
        (p for p in places if is_permitted(p) and ((p / "lh.white").is_file() or (p / "lh.inflated").is_file())), None
    )


def remember(folder: str | Path) -> None:
    """Draw on fsaverage's surfaces of this folder from now on, in later sessions too; the last one remembered comes first."""
    from factortopy.storage.files import write_json

    before = remembered()
    folders = [str(folder), *(place for place in before if place != str(folder))][:MOST_REMEMBERED]
    if folders != before:
        write_json(_registry(), {"surf": folders})


def remembered() -> list[str]:
    """Folders of fsaverage's surfaces that were found beside data sets, the latest first; they may be gone."""
    from factortopy.storage.files import read_json

    try:
        listed = read_json(_registry()).get("surf") if _registry().is_file() else []
    except (InputError, AttributeError):
        return []  # damaged: it is written anew by the next data set that is loaded
    return [place for place in listed if isinstance(place, str)] if isinstance(listed, list) else []


def _registry():
    from factortopy.storage.home import home

    return home() / "fsaverage.json"


# ---------------------------------------------------------------- looking for files


def find(density, folder):
    """(files by kind, vertices of those files, place), or (None, 0, "") where there is no mesh of that density."""
    named = folder or os.environ.get("FACTORTOPY_FSAVERAGE")
    if named:
        named = Path(named).expanduser().absolute()
        for place in _below(named, density):
            if (place / "lh.white").is_file() or (place / "lh.inflated").is_file():
                return _enough(mesh_files.freesurfer_files(place), density, place)
        control = "the mesh folder" if folder else "$FACTORTOPY_FSAVERAGE"
        raise InputError(
            f"{named}: expected {SUBJECT[density]}'s surfaces here or in surf/ ({control}), found none; "
            "give the folder that holds lh.white, or leave it out to get a preview"
        )
    places = []
    if os.environ.get("SUBJECTS_DIR"):
        places += [(p, mesh_files.freesurfer_files) for p in _below(Path(os.environ["SUBJECTS_DIR"]), density)]
    for root in mesh_files.nilearn_folders():
        places += [(root / name, mesh_files.nilearn_files) for name in _subjects(density)]
    for place, listed in places:
        files = listed(place)
        if all(path.is_file() for paths in files.values() for path in paths):
            return _enough(files, density, place)
    return None, 0, ""


def _subjects(density):
    return ("fsaverage6", "fsaverage", "fsaverage7") if density == "41k" else ("fsaverage", "fsaverage7")


def _below(root, density):
    """Folders in which a mesh may lie: the one given, and FreeSurfer's and NSD's ways from there."""
    folders = [root, root / "surf"]
    for base in (root, root / "freesurfer", root / "nsddata" / "freesurfer"):
        folders += [base / name / "surf" for name in _subjects(density)]
    return folders


def _enough(files, density, place):
    """The files found, with their number of vertices: that of the density, or more."""
    n = _count(files["white"][0], version(files["white"][0]))
    if n not in DENSITY or n < N_VERTICES[density]:
        raise InputError(
            f"{files['white'][0]}: expected {N_VERTICES[density]:,} vertices ({SUBJECT[density]}), found {n:,}; "
            f"give the folder of {SUBJECT[density]}"
        )
    return files, n, str(place)


@cache
def _count(path, version):
    return mesh_files.count_vertices(path)


def version(path):
    """What tells that a file has changed since it was read; None where it is missing."""
    try:
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    except OSError:
        return None
