"""Which data set a folder holds: one entry a layout, recognised by its files, also from the folder above or below."""

import itertools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from factortopy.formats.problems import stop
from factortopy.formats.surface_values import PROJECT
from factortopy.storage.allowed_folders import is_permitted, permitted
from factortopy.subjects.algonauts import layout as algonauts_layout
from factortopy.subjects.folder import layout as folder_layout
from factortopy.subjects.folder.responses import volumes_in
from factortopy.subjects.names import same_subject
from factortopy.subjects.nsd import layout as nsd_layout
from factortopy.wording import first_few, safe_label

_ABOVE = 5  # folders up that are looked at: NSD's betas are five below their root
_BELOW = 2  # folders down: data/subj01, data/training/subj01
_MOST = 1000  # entries of a folder, and folders in all, that are looked at


@dataclass(frozen=True)
class Layout:
    """One way of laying out a data set.

    name, looked_for : for people
    is_here : callable(folder) -> bool, true for the folder of one subject (or a root whose subjects share files)
    parts : names of folders inside it, so that a path into one of them is recognised
    examine : callable(folder, thorough=False) -> Examination; thorough: every picture is decoded, not a sample
    to_subject : callable(examination, density) -> Subject
    subjects : callable(folder) -> {name: folder to examine}, where one folder holds several that share files
    outline : callable(examination, density) -> Subject as far as it can be told without reading all responses, for check
    trials : {what a row of responses may be: arguments of ``examine``}, the default first
    sample : callable(examination, density) -> (Subject of a part, words for it), where reading all takes long
    """

    name: str
    looked_for: str
    is_here: Callable
    parts: tuple
    examine: Callable
    to_subject: Callable
    subjects: Callable | None = None
    outline: Callable | None = None
    trials: dict = field(default_factory=lambda: {"single": {}})
    sample: Callable | None = None

    def look(self, folder, trials=None, thorough=False):
        """``examine`` for a choice of ``trials``; None is the default."""
        if trials is not None and trials not in self.trials:
            actual = f"{str(trials)[:40]!r} for {self.name}"
            raise stop("trials", " or ".join(self.trials), actual, "choose one of these, or leave it out")
        return self.examine(folder, thorough=thorough, **self.trials.get(trials, {}))


def _layout(module, **more):
    """The Layout of a module that has these six names."""
    return Layout(
        module.LAYOUT, module.LOOKED_FOR, module.is_here, module.PARTS, module.examine, module.to_subject, **more
    )


LAYOUTS = (
    _layout(algonauts_layout),
    _layout(
        nsd_layout,
        subjects=nsd_layout.subjects,
        outline=nsd_layout.outline,
        trials={"single": {}, "mean": {"average": True}, "paper": {"paper": True}},
        sample=nsd_layout.sample,
    ),
    _layout(folder_layout),
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
        names).
    """
    folder = _folder(path)
    here = _recognise(folder)
    if here:
        return _readable(here, folder, subject)
    for above in list(folder.parents)[:_ABOVE]:
        layout = _recognise(above)
        inside = folder.relative_to(above).parts
        if layout and inside[0] in layout.parts:
            return _readable(layout, above, subject, inside)
    subjects = _subjects_below(folder)
    if not subjects:
        raise _nothing_here(folder)
    if subject is not None:
        wanted = [name for name in subjects if same_subject(name, subject)]
        if len(wanted) != 1:
            raise _no_such(folder, subject, subjects)
        return _readable(*subjects[wanted[0]])
    if len(subjects) > 1:
        raise _several(folder, subjects)
    return _readable(*next(iter(subjects.values())))


def subjects_in(path):
    """Names of the subjects that ``find`` accepts for this path; [] where it is no data set."""
    folder = _folder(path)
    here = _recognise(folder)
    if here is None:
        return sorted(_subjects_below(folder))
    return sorted(here.subjects(folder)) if here.subjects else [folder.name]


def _folder(path):
    permitted(path, "data set")
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
    if not is_permitted(folder):  # above a listed folder, or behind a link
        return None
    try:
        return next((layout for layout in LAYOUTS if layout.is_here(folder)), None)
    except OSError:  # a folder that may not be opened
        return None


def _no_such(folder, subject, subjects):
    have = f"subjects {first_few(sorted(subjects), 20)}" if subjects else "none"
    remedy = "choose one of these" if subjects else "copy one"
    return stop(folder, f"a subject named {safe_label(subject)!r}", have, remedy)


def _several(folder, subjects):
    have = first_few(sorted(subjects), 20)
    return stop(folder, "one subject", f"{len(subjects)}: {have}", f'choose one, as in subject="{min(subjects)}"')


def _one_of(layout, root, subject, inside):
    """The folder of one subject in a root that several share; ``inside`` are the folders below it that were given."""
    subjects = layout.subjects(root)
    if subject is None:
        subject = next((part for part in inside if re.fullmatch(r"subj\d+", part)), None)
    if subject is None and len(subjects) > 1:
        raise _several(root, subjects)
    wanted = [name for name in subjects if subject is None or same_subject(name, subject)]
    if len(wanted) != 1:
        raise _no_such(root, subject or "subj01", subjects)
    return subjects[wanted[0]]


def _readable(layout, folder, subject=None, inside=()):
    if layout.subjects:
        return layout, _one_of(layout, folder, subject, inside)
    if subject is not None and not same_subject(folder.name, subject):
        raise stop(folder, f"subject {safe_label(subject)!r}", f"{folder.name!r}", "give the folder above")
    return layout, folder


def _subjects_below(folder, depth=_BELOW):
    """{name: (layout, folder, its name there or None)} of the subjects in a folder, nearest first."""
    subjects, looked_at = {}, 0
    level = [folder]
    for _ in range(depth):
        level = [child for parent in level[: max(0, _MOST - looked_at)] for child in _children(parent)]
        looked_at += len(level)
        for child in level:
            layout = _recognise(child)
            for subject in _subject_names(layout, child) if layout else ():
                name = subject or child.name
                if name in subjects:
                    name = str(child.relative_to(folder) / (subject or ""))
                subjects[name] = (layout, child, subject)
        level = [child for child in level if _recognise(child) is None]
    return subjects


def _subject_names(layout, root):
    """Names of the subjects that share a root, [None] for a folder of one subject."""
    try:
        return (list(layout.subjects(root)) if layout.subjects else []) or [None]
    except OSError:  # a folder that may not be opened
        return [None]


def _children(folder):
    try:
        with os.scandir(folder) as entries:
            first = itertools.islice(entries, _MOST)
            return sorted(Path(entry.path) for entry in first if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _nothing_here(folder):
    looked, data = [layout.looked_for for layout in LAYOUTS], "a data set"
    for above in list(folder.parents)[:_ABOVE]:
        if _recognise(above):
            return stop(folder, data, "none of these", f"did you mean the folder above, {above}?", looked)
    deeper = _subjects_below(folder, 5)
    if deeper:
        nearest = min((entry[1] for entry in deeper.values()), key=lambda path: len(path.parts))
        return stop(folder, data, "none of these", f"did you mean {nearest.parent}?", looked)
    volumes = volumes_in(folder)
    if volumes:
        return stop(folder, data, f"volumes ({volumes})", f"{PROJECT}; then docs/folder.md", looked)
    try:
        here = sorted(safe_label(entry.name) for entry in itertools.islice(os.scandir(folder), _MOST))
    except OSError:
        here = []
    actual = f"none of these, but {first_few(here)}" if here else "none of these: an empty folder"
    remedy = "give a subject's folder or the one above, or lay the files out so (docs/your_data.md); demo-1, demo-2, demo-3 need no files"
    return stop(folder, data, actual, remedy, looked)
