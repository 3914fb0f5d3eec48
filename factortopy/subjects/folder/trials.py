"""What was shown in each row of the folder layout: pictures, sessions and the split, from trials.tsv or the file names."""

import re

import numpy as np

from factortopy.formats.problems import close_to
from factortopy.subjects.folder import films
from factortopy.subjects.folder.responses import files_in
from factortopy.subjects.folder.tables import codes, inside, numbers
from factortopy.subjects.picture_files import examine_files
from factortopy.subjects.split import MIN_IMAGES, SPLIT_PARTS
from factortopy.wording import count, first_few, safe_label

PICTURES = (".png", ".jpg", ".jpeg")


def examine(examination):
    """Fill ``images``, ``image_index``, ``session`` and ``film`` of an Examination; every problem is noted there."""
    table, path = examination.table, examination.folder / "trials.tsv"
    if table is not None:
        n = len(next(iter(table.values())))
        if examination.n_rows is not None and n != examination.n_rows:
            remedy = "one row of trials.tsv for each row of responses, in the same order"
            examination.stop(path, f"{examination.n_rows:,} rows, as in the responses", f"{n:,}", remedy)
        if "session" in table or "run" in table:
            examination.session = codes(table["session" if "session" in table else "run"])
        labels = {safe_label(word) for word in table.get("split", ()) if word not in SPLIT_PARTS}
        if labels:
            examination.stop(path, "train, val or test in column 'split'", first_few(sorted(labels)), "correct them")
        if "repeats" in table:
            examination.try_to(numbers, path, "repeats", table["repeats"])
    if table is not None and "stimulus" in table:
        if "image" in table:
            examination.stop(path, "a column 'image' or a column 'stimulus'", "both", "remove one")
        else:
            examination.film = examination.try_to(films.examine, examination)
        return
    _examine_images(examination)


def _examine_images(examination):
    folder, path = examination.folder / "images", examination.folder / "trials.tsv"
    here = {name: file for name, file in files_in(folder).items() if name.lower().endswith(PICTURES)}
    if not folder.is_dir():
        examination.stop(folder, "pictures (.png, .jpg)", "no such folder", "copy them there")
        return
    if examination.table is None:
        examination.images, examination.image_index = list(here.values()), np.arange(len(here))
        natural = sorted(here, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])
        if natural != list(here):
            k = next(k for k, (a, b) in enumerate(zip(natural, here, strict=True)) if a != b)
            remedy = "write trials.tsv, or pad the numbers with zeros, if the rows are in another order"
            expected = f"rows in the order of the file names (no trials.tsv): {list(here)[k]}"
            examination.warn(folder, expected, natural[k], remedy)
        if examination.n_rows is not None and len(here) != examination.n_rows:
            text = f"{count(len(here), 'picture')} but {count(examination.n_rows, 'row')} of responses"
            remedy = "copy the missing ones or write trials.tsv"
            examination.stop(folder, "one picture a row (there is no trials.tsv)", text, remedy)
    elif "image" not in examination.table:
        examination.stop(path, "a column 'image' (or 'stimulus' for films)", first_few(examination.table), "add it")
        return
    else:
        names = list(dict.fromkeys(examination.table["image"]))
        outside = [safe_label(name) for name in names if not inside(name)]
        if outside:
            examination.stop(path, "names of files in images/", first_few(outside), "give names below images/")
            return
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            others = set(here) - set(names)
            hints = [safe_label(name) + (close_to(name, others) if k < 5 else "") for k, name in enumerate(missing)]
            text = f"{count(len(missing), 'picture')} that {'does' if len(missing) == 1 else 'do'} not exist: {first_few(hints)}"
            examination.stop(path, "names of files in images/", text, "copy the pictures, or correct the names")
            return
        row = {name: k for k, name in enumerate(names)}
        examination.images = [folder / name for name in names]
        examination.image_index = np.array([row[name] for name in examination.table["image"]], dtype=np.int64)
    _examine_pictures(examination, folder)


def _examine_pictures(examination, folder):
    if not examine_files(examination, folder, examination.images):
        return
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
                table, remedy = examination.folder / "trials.tsv", "give all rows of a picture the same split"
                examination.stop(table, "every picture on one side of the split", text, remedy)
