"""The two small texts of the folder layout: dataset.json says what the data are, trials.tsv what was shown in each row."""

import csv
import json
import math
from pathlib import Path, PurePosixPath

import numpy as np

from factortopy.formats.problems import DataError, foreign, foreign_content, stop
from factortopy.surfaces.meshes import N_VERTICES
from factortopy.wording import first_few, safe_label

KEYS = (
    "subject", "space", "density", "normalised", "averaged", "image_degrees", "simulated", "tr", "delays", "fps",
    "frames_per_tr",
)  # fmt: skip
COLUMNS = ("image", "session", "split", "stimulus", "run", "onset", "repeats")
DELAYS = (2, 3, 4, 5)  # TRs
NOTHING = ("", "n/a", "nan", "none")
_MOST_JSON, _MOST_TABLE = 2**20, 128 * 2**20
_MOST_ROWS = 2_000_000


def read_about(path, problems):
    """What dataset.json says, checked; every problem is added to the list.

    Returns
    -------
    dict
        With all of ``KEYS`` that could be read; ``delays`` a tuple of whole TRs, rising.
    """
    try:
        content = json.loads(_text(path, "a JSON file", _MOST_JSON))
    except DataError as error:
        problems.append(error.problem)
        return {}
    except (ValueError, RecursionError) as error:
        remedy = "correct it: names and words stand in double quotes, as in docs/folder.md"
        problems.append(stop(path, "JSON", f"damaged text ({error})"[:120], remedy).problem)
        return {}
    if not isinstance(content, dict):
        problems.append(stop(path, "a JSON object { … }", f"a {type(content).__name__}", "see docs/folder.md").problem)
        return {}

    def wrong(key, expected, remedy="correct it"):
        actual = "nothing" if key not in content else safe_label(repr(content[key]))
        problems.append(stop(path, f"{key!r}: {expected}", actual, remedy).problem)

    def number(key):
        value = content.get(key)
        fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if key in content and value is not None and not fine:
            wrong(key, "a number above 0")
        return float(value) if fine else None

    about = {}
    unknown = [safe_label(key) for key in content if key not in KEYS]
    if unknown:
        expected = f"no other keys than {', '.join(KEYS)}"
        problems.append(stop(path, expected, first_few(unknown), "a slip of the pen? correct or remove them").problem)
    if content.get("space") != "fsaverage":
        remedy = "resample other surfaces to fsaverage (mri_surf2surf, wb_command -metric-resample), project volumes"
        wrong("space", "'fsaverage'", remedy)
    densities, forms = "'10k', '41k' or '164k' (fsaverage5, 6, 7)", "'session' (z-scored per session already) or 'none'"
    for key, choices, words in (("density", list(N_VERTICES), densities), ("normalised", ["session", "none"], forms)):
        if content.get(key) in choices:
            about[key] = content[key]
        else:
            wrong(key, words)
    for key in ("averaged", "simulated"):
        about[key] = content.get(key, False)
        if not isinstance(about[key], bool):
            wrong(key, "true or false")
            about[key] = False
    if content.get("subject") is not None and not isinstance(content["subject"], str | int):
        wrong("subject", "a name")
    elif content.get("subject") is not None:
        about["subject"] = safe_label(content["subject"])
    for key in ("image_degrees", "tr", "fps"):
        about[key] = number(key)
    about["delays"] = _delays(content.get("delays", DELAYS))
    if about["delays"] is None:
        wrong("delays", "whole numbers of TRs from 0 to 20, rising")
        about["delays"] = DELAYS
    frames = content.get("frames_per_tr")
    if frames is not None and (isinstance(frames, bool) or not isinstance(frames, int) or not 1 <= frames <= 30):
        wrong("frames_per_tr", "a whole number from 1 to 30")
        frames = None
    about["frames_per_tr"] = frames
    return about


def _delays(value):
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 21:
        return None
    whole = all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d <= 20 for d in value)
    return tuple(value) if whole and list(value) == sorted(set(value)) else None


def read_table(path, required=(), allowed=None):
    """{column: list of str} of a tab-separated table with a heading.

    Parameters
    ----------
    required : columns that must be there
    allowed : columns that may be there; None allows any

    Raises
    ------
    InputError
        For a missing or damaged file, a missing, doubled or unknown column, a row of another length.
    """
    path = Path(path)
    text = _text(path, "a tab-separated table", _MOST_TABLE)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise stop(path, "a tab-separated table", f"a damaged one ({error})"[:120], "save it again") from None
    rows = [[cell.strip() for cell in row] for row in rows]
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows:
        raise stop(path, "a heading and rows", "nothing", "see docs/folder.md")
    heading = rows[0]
    while len(heading) > 1 and not heading[-1] and all(len(r) < len(heading) or not r[-1] for r in rows[1:]):
        rows = [row[: len(heading) - 1] for row in rows]  # a trailing tab in every row
        heading = rows[0]
    doubles = {name for name in heading if heading.count(name) > 1}
    if doubles:
        raise stop(path, "every column once", f"{first_few(map(safe_label, doubles))} twice", "rename one")
    missing = [name for name in required if name not in heading]
    if missing:
        have = first_few(map(safe_label, heading))
        comma = " (comma-separated? save it with tabs)" if heading and "," in heading[0] else ""
        raise stop(path, f"a column {first_few(missing)}", f"{have}{comma}", "name the columns in the first line")
    unknown = [safe_label(name) for name in heading if allowed is not None and name not in allowed]
    if unknown:
        raise stop(path, f"columns among {', '.join(allowed)}", first_few(unknown), "rename or remove them")
    if len(rows) - 1 > _MOST_ROWS:
        raise stop(path, f"at most {_MOST_ROWS:,} rows", f"{len(rows) - 1:,}", "split the data set")
    ragged = [k for k, row in enumerate(rows) if len(row) != len(heading)]
    if ragged:
        actual = f"{len(rows[ragged[0]])} in line {ragged[0] + 1}"
        raise stop(path, f"{len(heading)} cells in every line", actual, "correct it (tabs between cells)")
    if len(rows) == 1:
        raise stop(path, "rows below the heading", "none", "see docs/folder.md")
    return {name: [row[k] for row in rows[1:]] for k, name in enumerate(heading)}


def codes(values):
    """Labels as they are where all are whole numbers, else (T,) int64 numbers from 0 in order of appearance."""
    try:
        return np.array([int(value) for value in values], dtype=np.int64)
    except (ValueError, OverflowError):
        order = {value: k for k, value in enumerate(dict.fromkeys(values))}
        return np.array([order[value] for value in values], dtype=np.int64)


def numbers(path, column, values, missing=None):
    """(T,) float64 of a column's words; ``missing`` stands for an empty cell, else that is an error too."""
    out = np.empty(len(values))
    for k, word in enumerate(values):
        try:
            out[k] = missing if missing is not None and word.lower() in NOTHING else float(word)
            fine = missing is not None or math.isfinite(out[k])
        except ValueError:
            fine = False
        if not fine:
            raise stop(path, f"numbers in column {column!r}", f"{safe_label(word)!r} in line {k + 2}", "correct it")
    return out


def inside(name):
    """True for a plain relative path."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not any(c in name for c in "\\\0:")


def _text(path, what, most):
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > most:
            actual = f"{size / 2**20:,.0f} MB"
            raise stop(path, f"{what} of at most {most // 2**20} MB", actual, "is it the right file?")
        data = path.read_bytes()
    except FileNotFoundError:
        link = path.is_symlink()
        actual, remedy = ("a link to a file that is not here", "fetch it") if link else ("none", "see docs/folder.md")
        raise stop(path, what, actual, remedy) from None
    except OSError as error:
        raise stop(path, what, error.strerror or str(error), "check its permissions") from None
    words = foreign_content(data[:1024])
    if words and not words.startswith("plain text"):
        raise stop(path, what, foreign(data[:1024]), "copy or download it again")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise stop(path, f"{what} in UTF-8", "other bytes", "save it as UTF-8 text") from None
    if "\0" in text:
        raise stop(path, what, "a binary file", "copy or download it again")
    return text
