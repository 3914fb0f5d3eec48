"""What was shown in each row of the folder layout: pictures, sessions and the split, from trials.tsv or the file names."""

import numpy as np

from factortopy.formats.names import in_order_of_numbers
from factortopy.formats.problems import plain_spaces, stop
from factortopy.formats.tables import NOTHING, codes
from factortopy.pictures.reading import ENDINGS
from factortopy.subjects.copies import copies_warning, first_copies
from factortopy.subjects.folder import films
from factortopy.subjects.folder.named_files import matched_files, names_below
from factortopy.subjects.folder.responses import files_in
from factortopy.subjects.picture_files import examine_files
from factortopy.subjects.split import MIN_IMAGES, SPLIT_PARTS
from factortopy.wording import count, first_few, safe_label

_TABLES = (".tsv", ".csv", ".txt", ".tsv.txt", ".csv.txt")
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def table_file(examination):
    """The Path of trials.tsv, or of the one table called so but for its case or ending; None, and ``table_missing``, without one.

    Raises
    ------
    InputError
        For several, or a workbook in its place.
    """
    folder = examination.folder
    here = list(files_in(folder))
    if "trials.tsv" in here:
        return folder / "trials.tsv"
    named = [name for name in here if plain_spaces(name).lower() in {f"trials{e}" for e in (*_TABLES, *_WORKBOOKS)}]
    if len(named) > 1:
        raise stop(folder, "one table trials.tsv", first_few(map(safe_label, named)), "keep one, as trials.tsv")
    if named:
        return folder / named[0]
    examination.table_missing = True
    others = [safe_label(name) for name in here if name.lower().endswith((*_TABLES[:2], *_WORKBOOKS))]
    if others:
        remedy = "the pictures are taken in the order of their names; if it says what was shown, save it as trials.tsv"
        examination.warn(folder, "trials.tsv", f"{first_few(others, 3)} alone", remedy)
    return None


def examine(examination):
    """Fill ``images``, ``image_index``, ``session`` and ``film`` of an Examination; every problem is noted there."""
    table = examination.table
    if table is not None:
        n = len(table.lines)
        if examination.n_rows is not None and n != examination.n_rows:
            remedy = _turned(examination, n) or "one row of the table for each row of responses, in the same order"
            examination.stop(table.path, f"{examination.n_rows:,} rows, as in the responses", f"{n:,}", remedy)
        _examine_labels(examination, table)
        if "repeats" in table:
            examination.try_to(table.numbers, "repeats")
    if table is not None and "stimulus" in table:
        if "image" in table:
            examination.stop(table.path, "a column 'image' or a column 'stimulus'", "both", "remove one")
        else:
            examination.film = examination.try_to(films.examine, examination)
        return
    _examine_images(examination)


def _turned(examination, n):
    """What to do with responses that have n columns in place of n rows; "" where they have not."""
    turned = all(rows.shape[1] == n for rows in examination.rows.values())
    return "the responses look transposed: save array.T (a row a trial, a column a vertex)" if turned else ""


def _examine_labels(examination, table):
    """Sessions, and the split in its own words whatever their case."""
    for column in ("session", "run"):
        empty = [k for k, word in enumerate(table.get(column, ())) if word.lower() in NOTHING]
        if empty and len(empty) < len(table.lines):
            actual = f"{count(len(empty), 'empty cell')}, the first in line {table.lines[empty[0]]:,}"
            remedy = f"those rows count as one {column}: fill them in"
            examination.warn(table.path, f"a {column} in every row", actual, remedy)
    if "session" in table or "run" in table:
        examination.session = codes(table["session" if "session" in table else "run"])
    if "split" in table:
        table["split"] = [word.lower() if word.lower() in SPLIT_PARTS else word for word in table["split"]]
        wrong = next((k for k, word in enumerate(table["split"]) if word not in SPLIT_PARTS), None)
        if wrong is not None:
            labels = sorted({safe_label(word) if word else "empty" for word in table["split"]} - set(SPLIT_PARTS))
            text = f"{first_few(labels)} (line {table.lines[wrong]:,})"
            examination.stop(table.path, "train, val or test in column 'split'", text, "correct them")


def _examine_images(examination):
    folder, table = examination.folder / "images", examination.table
    here = {name: file for name, file in files_in(folder).items() if name.lower().endswith(ENDINGS)}
    if not folder.is_dir():
        examination.stop(folder, "pictures (.png, .jpg)", "no such folder", "copy them there")
        return
    if table is None:
        examination.images, examination.image_index = list(here.values()), np.arange(len(here))
        natural = in_order_of_numbers(here)
        if natural != list(here):
            k = next(k for k, (a, b) in enumerate(zip(natural, here, strict=True)) if a != b)
            remedy = "write trials.tsv, or pad the numbers with zeros, if the rows are in another order"
            expected = f"rows in the order of the file names (no trials.tsv): {list(here)[k]}"
            examination.warn(folder, expected, natural[k], remedy)
        if examination.n_rows is not None and len(here) != examination.n_rows:
            text = f"{count(len(here), 'picture')} but {count(examination.n_rows, 'row')} of responses"
            remedy = _turned(examination, len(here)) or "copy the missing ones or write trials.tsv"
            examination.stop(folder, "one picture a row (there is no trials.tsv)", text, remedy)
    elif "image" not in table:
        examination.stop(table.path, "a column 'image' (or 'stimulus' for films)", first_few(table), "add it")
        return
    else:
        files = matched_files(
            examination.problems, table, "image", folder, names_below(folder, table["image"], ENDINGS)
        )
        if files is None:
            return
        kept = list(dict.fromkeys(files.values()))
        row = {file: k for k, file in enumerate(kept)}
        examination.images = [folder / file for file in kept]
        examination.image_index = np.array([row[files[name]] for name in table["image"]], dtype=np.int64)
    _examine_pictures(examination, folder)


def _examine_pictures(examination, folder):
    if not examine_files(examination, folder, examination.images):
        return
    first = first_copies(examination.images)
    if copied := copies_warning(first, examination.images, folder):
        examination.problems.append(copied)
        examination.image_index = first[examination.image_index]
    if 0 < len(examination.images) < MIN_IMAGES:
        text = f"{len(examination.images)}"
        expected = f"at least {MIN_IMAGES} different pictures to train, validate and test on"
        examination.stop(folder, expected, text, "add pictures")
    split = np.array(examination.table.get("split", ())) if examination.table is not None else np.zeros(0)
    if len(split) == len(examination.image_index) and set(split) <= set(SPLIT_PARTS):
        for a, b in (("train", "test"), ("train", "val"), ("val", "test")):
            both = np.intersect1d(examination.image_index[split == a], examination.image_index[split == b])
            if len(both):
                names = first_few(safe_label(examination.images[i].name) for i in both)
                text = f"{len(both):,} in {a} and in {b}: {names}"
                remedy = "give all rows of a picture the same split"
                examination.stop(examination.table.path, "every picture on one side of the split", text, remedy)
