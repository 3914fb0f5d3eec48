"""Labelled pictures: a folder of class folders, or a table of labels beside its pictures; which are trained on, which held out."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from factortopy.errors import InputError, unexpected
from factortopy.formats.names import same_text
from factortopy.formats.tables import read_table
from factortopy.pictures.reading import ENDINGS
from factortopy.wording import safe_label

TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
NAME_COLUMNS = ("image", "image_id", "isic_id", "image_name", "filename", "file", "id")
LABEL_COLUMNS = ("label", "class", "diagnosis", "dx", "category", "target", "benign_malignant")
FEWEST_CLASSES, DEEPEST = 2, 4
RENDERED = "factortopy-rendered.txt"  # beside pictures that FactorTopy drew


@dataclass
class ClassFolder:
    """Labelled pictures as they lie in a folder; no picture has been opened yet.

    classes : {class: list of Path}, by name; held_out : the same for a test part that comes with the data, {} without
    problems : sentences on what was left out; form : how labels are given, in words
    simulated : the pictures are drawings of FactorTopy's own
    """

    path: Path
    classes: dict
    held_out: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    form: str = "class folders"
    simulated: bool = False

    @property
    def name(self):
        """What the data set is called."""
        return self.path.resolve().name

    def counts(self):
        """{class: pictures}, those of a test part included."""
        return {name: len(files) + len(self.held_out.get(name, ())) for name, files in self.classes.items()}


def read_folder(path):
    """Look through a folder of labelled pictures.

    Known forms: folders named after their class; the same one or more folders deeper (``EuroSAT/2750/Forest/*.jpg``); class
    folders under ``train`` and ``test`` (or ``val``); a CSV table that names pictures lying in the folder, with a column of
    labels (``dx``, ``diagnosis``, ``label`` …) or one column a class that holds 0 and 1 (ISIC's ``…_GroundTruth.csv``).

    Returns
    -------
    ClassFolder

    Raises
    ------
    InputError
        No such folder, pictures without labels, fewer than two classes.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        there = "a file" if path.exists() else "nothing"
        raise InputError(f"{path}: expected a folder of pictures by class, found {there}; check the path")
    simulated = (path / RENDERED).is_file()
    try:
        folder = _tabled(path) or _nested(path)
    except OSError as error:
        why = f"found: {error.strerror}; check its permissions"
        raise InputError(f"{path}: expected a folder that can be read, {why}") from None
    if folder is None:
        expected = "a folder for each class with pictures in it, or a CSV table of labels beside the pictures"
        raise unexpected(path, expected, "neither", "put the pictures of each class into a folder of its name")
    folder.path, folder.simulated = path, simulated
    empty = [name for name, files in folder.classes.items() if not files]
    folder.problems += [f"class {name}: expected pictures, found none; left out" for name in empty]
    folder.classes = {name: files for name, files in folder.classes.items() if files}
    if len(folder.classes) < FEWEST_CLASSES:
        names = ", ".join(folder.classes) or "none"
        expected = f"{FEWEST_CLASSES} classes or more"
        raise unexpected(path, expected, f"{len(folder.classes)} ({names})", "add another class's folder")
    return folder


# ---------------------------------------------------------------- folders


def _nested(path):
    """Class folders at this level or below single folders that lead to them."""
    for _ in range(DEEPEST):
        folders = _folders(path)
        if not folders:
            return None
        parts = {folder.name.lower(): folder for folder in folders}
        train = next((parts[word] for word in TRAIN if word in parts), None)
        test = next((parts[word] for word in TEST if word in parts), None)
        if train is not None and _classes(train)[0]:
            classes, problems = _classes(train)
            held, more = _classes(test) if test is not None else ({}, [])
            strange = sorted(set(held) - set(classes))
            if strange:
                there = f"expected it in {train.name} too, found it in {test.name} alone"
                more.append(f"class {strange[0]}: {there}; left out")
            held = {name: files for name, files in held.items() if name in classes}
            form = f"class folders under {train.name}" + (f" and {test.name}" if held else "")
            return ClassFolder(path, classes, held, problems + more, form)
        classes, problems = _classes(path)
        if len(folders) > 1 or not _folders(folders[0]):
            return ClassFolder(path, classes, {}, problems) if any(classes.values()) else None
        path = folders[0]
    return None


def _folders(path):
    folders = (p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    return sorted(folders, key=lambda p: p.name)


def _classes(path):
    """({class: files}, problems) of the folders in a folder; pictures may lie deeper in a class's folder."""
    classes, problems = {}, []
    for folder in _folders(path):
        files, others = [], 0
        for place, names, inside in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(inside):
                if name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini"):
                    continue
                if name.lower().endswith(ENDINGS):
                    files.append(Path(place) / name)
                else:
                    others += 1
        if others:
            problems.append(f"class {folder.name}: {others:,} files are no pictures by their names; left out")
        classes[folder.name] = files
    return classes, problems


# ---------------------------------------------------------------- tables


def _tabled(path):
    """Labels of the CSV table that names most of the pictures in the folder; None where there is none."""
    candidates = sorted(file for form in ("*.csv", "*.tsv", "*/*.csv", "*/*.tsv") for file in path.glob(form))
    tables = {table: labelled for table in candidates if (labelled := _labels(table))}
    if not tables:
        return None
    files, several = {}, []
    for place, names, inside in os.walk(path):
        names.sort()
        for name in sorted(inside):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                if files.setdefault(_name(name), Path(place) / name).parent != Path(place):
                    several.append(_name(name))
    table = max(tables, key=lambda one: len(tables[one][0].keys() & files.keys()))
    listed, form = tables[table]
    labels = {name: label for name, label in listed.items() if name in files}
    if not labels:
        return None
    classes = {label: [] for label in sorted(set(labels.values()))}
    for name in sorted(labels):
        classes[labels[name]].append(files[name])
    problems = [f"{name}: two pictures of that name in different folders; the first is used" for name in several[:5]]
    if len(listed) > len(labels):
        missing = f"{len(listed) - len(labels):,} of its {len(listed):,} pictures"
        problems.append(f"{table.name}: {missing} are not in the folder; left out")
    if len(files) > len(labels):
        problems.append(f"{len(files) - len(labels):,} pictures have no label in {table.name}; left out")
    return ClassFolder(path, classes, {}, problems, f"labels of {table.name} ({form})")


def _name(cell):
    """A picture's name as tables and files share it: no folder, no ending of a picture, Unicode's composed form."""
    name = PurePath(cell.replace("\\", "/")).name
    return same_text(name[: -len(PurePath(name).suffix)] if name.lower().endswith(ENDINGS) else name)


def _labels(table):
    """({picture's name without ending: class}, form) of a table; None where it is no table of labels.

    Raises
    ------
    InputError
        Where it gives one picture two labels.
    """
    try:
        cells = read_table(table)
    except InputError:
        return None
    columns = {column.strip().lower(): column for column in cells}
    name = next((columns[c] for c in NAME_COLUMNS if c in columns), None)
    label = next((columns[c] for c in LABEL_COLUMNS if c in columns), None)
    if name is None:
        return None
    names, rest = [_name(cell) for cell in cells[name]], [c for c in cells if c != name]
    if label is not None:
        words, form = cells[label], f"column {label}"
    else:
        form = "one column a class"
        try:
            hot = np.array([cells.numbers(c) for c in rest]).T
        except InputError:
            return None
        if not rest or not np.isin(hot, (0.0, 1.0)).all() or (hot.sum(1) > 1).any():
            return None
        # ISIC 2017 has a column for two of its three classes: neither is the third.
        words = [rest[k] if row.any() else "none of them" for row, k in zip(hot, hot.argmax(1), strict=True)]
    classes = {}
    for k, (one, word) in enumerate(zip(names, words, strict=True)):
        if one and word and classes.setdefault(one, word) != word:
            raise cells.wrong(
                name, k, f"one label a picture ({safe_label(classes[one])} above)", "remove one of its rows"
            )
    return classes, form
