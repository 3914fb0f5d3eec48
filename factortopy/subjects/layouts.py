"""Which data set a folder holds: one entry a layout, recognised by its files, also from the folder above or below."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factortopy.pictures.reading import safe_label
from factortopy.subjects import algonauts2023
from factortopy.subjects.findings import first_few, stop

_ABOVE = 3  # folders up that are looked at: training_fmri/ is two below its subject
_BELOW = 2  # folders down: data/subj01, data/training/subj01
_MOST = 1000  # entries of a folder, and folders in all, that are looked at


@dataclass(frozen=True)
class Layout:
    """One way of laying out a data set.

    name, looked_for : for people
    is_here : callable(folder) -> bool, true for the folder of one subject (or a root whose subjects share files)
    parts : names of folders inside it, so that a path into one of them is recognised
    examine : callable(folder) -> an object with ``.problems``; None where the layout is known but not read yet
    to_subject : callable(examination, density) -> Subject
    """

    name: str
    looked_for: str
    is_here: Callable
    parts: tuple = ()
    examine: Callable | None = None
    to_subject: Callable | None = None


def _is_nsd(folder):
    return (folder / "nsddata_betas" / "ppdata").is_dir() or (folder / "nsddata" / "freesurfer").is_dir()


def _is_plain_folder(folder):
    return (folder / "dataset.json").is_file() and (folder / "responses").is_dir()


LAYOUTS = (
    Layout(
        algonauts2023.LAYOUT,
        algonauts2023.LOOKED_FOR,
        algonauts2023.is_subject_folder,
        algonauts2023.PARTS,
        algonauts2023.examine,
        algonauts2023.to_subject,
    ),
    Layout("Natural Scenes Dataset", "nsddata_betas/ (NSD)", _is_nsd, ("nsddata", "nsddata_betas", "nsddata_stimuli")),
    Layout(
        "FactorTopy's folder layout",
        "dataset.json and responses/ (folder layout)",
        _is_plain_folder,
        ("images", "responses", "vertices", "roi", "noise"),
    ),
)


def find(path, subject=None):
    """The layout and the folder of one subject.

    Parameters
    ----------
    path : path
        The subject's folder, one of its own folders, or a folder that holds subjects.
    subject : str or int, optional
        "subj05" (or 5) where the folder holds several.

    Returns
    -------
    (Layout, Path)

    Raises
    ------
    InputError
        When nothing is there, it is no data set (with what was looked for), it holds several subjects (with their
        names), or it is of a layout that cannot be read yet.
    """
    folder = _folder(path)
    here = _recognise(folder)
    if here:
        return _readable(here, folder, subject)
    for above in list(folder.parents)[:_ABOVE]:
        layout = _recognise(above)
        if layout and folder.relative_to(above).parts[0] in layout.parts:
            return _readable(layout, above, subject)
    found = _subjects_below(folder)
    if not found:
        raise _nothing_here(folder)
    if subject is not None:
        wanted = [name for name in found if _same_subject(name, subject)]
        if len(wanted) != 1:
            have = first_few(sorted(found), 20)
            raise stop(folder, f"a subject named {safe_label(subject)!r}", f"subjects {have}", "choose one of these")
        return _readable(found[wanted[0]][0], found[wanted[0]][1])
    if len(found) > 1:
        have = first_few(sorted(found), 20)
        raise stop(folder, "one subject", f"{len(found)}: {have}", f'choose one, as in subject="{min(found)}"')
    return _readable(*next(iter(found.values())))


def subjects_in(path):
    """Names of the subjects that ``find`` accepts for this path; [] where it is no data set."""
    folder = _folder(path)
    return sorted(_subjects_below(folder)) if not _recognise(folder) else [folder.name]


def _folder(path):
    try:
        folder = Path(path).expanduser()
        exists = folder.exists()
    except (TypeError, ValueError, OSError, RuntimeError):
        raise stop("data set", "the path of a folder", repr(path)[:80], "check its spelling") from None
    if not exists:
        remedy = "check its spelling, or take demo-1, demo-2 or demo-3"
        raise stop(folder, "a folder with a data set", "nothing at this path", remedy)
    if folder.is_file() and folder.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"):
        raise stop(folder, "a folder with a data set", "an archive", "unpack it and give its folder")
    folder = Path(os.path.abspath(folder))  # links keep their names: subj01 may be one
    return folder.parent if folder.is_file() else folder


def _recognise(folder):
    try:
        return next((layout for layout in LAYOUTS if layout.is_here(folder)), None)
    except OSError:  # a folder that may not be opened
        return None


def _readable(layout, folder, subject=None):
    if layout.examine is None:
        readable = " and ".join(each.name for each in LAYOUTS if each.examine)
        found = f"{layout.name}, which this version recognises but cannot read yet"
        raise stop(folder, f"{readable} or a demo subject", found, "convert it, or wait for a later version")
    if subject is not None and not _same_subject(folder.name, subject):
        raise stop(folder, f"subject {safe_label(subject)!r}", f"{folder.name!r}", "give the folder above")
    return layout, folder


def _same_subject(name, wanted):
    """subj05, subj5, "05" and 5 are the same."""
    name, wanted = str(name).lower(), str(wanted).lower()
    if name == wanted:
        return True
    digits = "".join(letter for letter in wanted if letter.isdigit())
    plain = not wanted.strip("0123456789") or wanted.rstrip("0123456789") in ("subj", "subject", "sub", "sub-", "s")
    return bool(plain and digits and name.rstrip("0123456789") == "subj" and int(name[4:] or -1) == int(digits))


def _subjects_below(folder, depth=_BELOW):
    """{name: (layout, folder)} of the subjects in a folder, nearest first."""
    found, looked_at = {}, 0
    level = [folder]
    for _ in range(depth):
        level = [child for parent in level[: max(0, _MOST - looked_at)] for child in _children(parent)]
        looked_at += len(level)
        for child in level:
            layout = _recognise(child)
            if layout:
                name = child.name if child.name not in found else str(child.relative_to(folder))
                found[name] = (layout, child)
        if found:
            break
    return found


def _children(folder):
    try:
        with os.scandir(folder) as entries:
            children = []
            for k, entry in enumerate(entries):
                if k >= _MOST:
                    break
                if entry.is_dir() and not entry.name.startswith("."):
                    children.append(Path(entry.path))
            return sorted(children)
    except OSError:
        return []


def _nothing_here(folder):
    looked = "; ".join(layout.looked_for for layout in LAYOUTS)
    for above in list(folder.parents)[:_ABOVE]:
        if _recognise(above):
            return stop(folder, f"a data set ({looked})", "none of these", f"did you mean the folder above, {above}?")
    deeper = _subjects_below(folder, 5)
    if deeper:
        nearest = min((entry[1] for entry in deeper.values()), key=lambda path: len(path.parts))
        return stop(folder, f"a data set ({looked})", "none of these", f"did you mean {nearest.parent}?")
    remedy = "give the folder of a subject or the one that holds the subjects; demo, demo-2, demo-3 need no files"
    return stop(folder, f"a data set ({looked})", "none of these", remedy)
