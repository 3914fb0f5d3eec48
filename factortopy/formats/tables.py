"""Tables as people save them, read as they mean them or refused: the one reader of every table with a heading that comes from outside.

Separated by tabs, semicolons or commas; in UTF-8, UTF-16 or what ``read_text`` guesses; with or without quotation marks, index
column, comment lines in front, trailing tabs, any line ends. What has two readings is refused; what is left out or guessed is in
the table's ``notes``.
"""

import csv
import io
import math
import re
from decimal import Decimal
from pathlib import Path

import numpy as np

from factortopy.formats.names import same_text
from factortopy.formats.problems import close_to, plain_spaces, stop, warn
from factortopy.formats.text import read_text
from factortopy.wording import count, first_few, safe_label

NOTHING = ("", "n/a", "na", "nan", "none", "null", "<na>")  # cells that hold no value, in small letters
_MOST = 128 * 2**20  # bytes
_MOST_ROWS = 2_000_000
_WHAT = "a table as text"
_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d{1,4})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_INDEX = re.compile(r"unnamed: ?\d+")  # what pandas calls a column without a heading


class Table(dict):
    """{column: list of str} of a table, cells without white space at their ends.

    path : Path; lines : the line of the file that each row begins in; separator : "\\t", ";" or ","
    notes : warnings (Problem) of what was guessed or left out
    """

    def __init__(self, path, columns, lines, separator="\t", notes=()):
        super().__init__(columns)
        self.path, self.lines, self.separator, self.notes = Path(path), list(lines), separator, list(notes)

    def numbers(self, column, missing=None):
        """(T,) float64 of a column; ``missing`` stands for a cell without a value, else that is an error too.

        A comma is a decimal comma where it cannot be another.

        Raises
        ------
        InputError
            Naming the first cell that is no finite number, with its line.
        """
        words = [word.replace("−", "-") for word in self[column]]
        words = self._with_points(column, words)
        out = np.empty(len(words))
        for k, word in enumerate(words):
            if missing is not None and word.lower() in NOTHING:
                out[k] = missing
                continue
            out[k] = float(word) if _NUMBER.fullmatch(word) else math.nan
            if not math.isfinite(out[k]):
                raise self.wrong(column, k, "numbers")
        return out

    def wrong(self, column, row, expected, remedy="correct it"):
        """The error of a cell: its column, its line, what it holds."""
        word = self[column][row]
        actual = f"{safe_label(word)!r}" if word else "an empty cell"
        return stop(self.path, f"{expected} in column {column!r}", f"{actual} in line {self.lines[row]:,}", remedy)

    def _with_points(self, column, words):
        comma = [k for k, word in enumerate(words) if "," in word]
        if not comma or any("." in word for word in words):
            return words
        if not all(_DECIMAL_COMMA.fullmatch(words[k]) for k in comma):
            return words
        if self.separator != ";" and all(_THOUSANDS.fullmatch(words[k]) for k in comma):
            remedy = "a decimal comma or one between thousands? write 1.5 or 1500"
            raise self.wrong(column, comma[0], "numbers", remedy)
        return [word.replace(",", ".") for word in words]


def read_table(path, required=(), allowed=None, hint="see docs/folder.md"):
    """The ``Table`` of a file.

    Parameters
    ----------
    required : columns that must be there, in small letters; a heading of other case or spaces is taken for them
    allowed : columns that may be there; None allows any
    hint : what to do where there is nothing

    Raises
    ------
    InputError
        For a missing or damaged file, a missing, doubled, unnamed or unknown column, a row of another length.
    """
    path = Path(path)
    text, guess = read_text(path, _WHAT, _MOST)
    names = dict.fromkeys((*required, *(allowed or ())))
    notes = []
    if guess:
        actual = f"other bytes, read as {guess}"
        notes.append(warn(path, f"{_WHAT} in UTF-8", actual, "do letters with accents look wrong? save it as UTF-8"))
    separator, heading, rows, lines = _cells(path, text, names)
    if not any(heading):
        raise stop(path, "a heading and rows", "nothing", hint)
    width = len(heading)
    filled = max((k + 1 for k, row in enumerate(rows) if any(row)), default=0)
    if filled < len(rows):
        notes.append(_left_out(path, "cells in the last rows", f"empty ones from line {lines[filled]:,} on"))
        rows, lines = rows[:filled], lines[:filled]
    rows = [row if len(row) <= width or any(row[width:]) else row[:width] for row in rows]  # trailing tabs
    comments = [k for k, row in enumerate(rows) if len(row) == 1 < width and row[0].startswith("#")]
    if comments:
        notes.append(_left_out(path, "rows alone below the heading", f"a comment in line {lines[comments[0]]:,}"))
        rows, lines = ([one for k, one in enumerate(all_) if k not in set(comments)] for all_ in (rows, lines))
    if rows and separator != "," and all(len(row) == width + 1 for row in rows) and _counts([row[0] for row in rows]):
        notes.append(
            _left_out(
                path, "a heading over every column", "none over the first, which numbers the rows (R's row names)"
            )
        )
        rows = [row[1:] for row in rows]
    _check_lengths(path, heading, rows, lines, separator)
    keep = [k for k in range(width) if not _is_index(path, heading, k, [row[k] for row in rows], notes)]
    heading = [heading[k] for k in keep]
    _check_heading(path, heading, keep, required, allowed, rows)
    if len(rows) > _MOST_ROWS:
        raise stop(path, f"at most {_MOST_ROWS:,} rows", f"{len(rows):,}", "split the data set")
    if not rows:
        raise stop(path, "rows below the heading", "none", hint)
    return Table(
        path, {name: [row[k] for row in rows] for k, name in zip(keep, heading, strict=True)}, lines, separator, notes
    )


def codes(values):
    """(T,) int64: whole numbers as they are where all are such (1, 1.0 and 01 are one), else numbers from 0 in order of appearance."""
    if all(_NUMBER.fullmatch(value) for value in values):
        exact = [Decimal(value) for value in values]
        if all(abs(one) < 2**62 and one == one.to_integral_value() for one in exact):
            return np.array([int(one) for one in exact], dtype=np.int64)
        values = exact
    else:
        values = [same_text(value) for value in values]
    order = {value: k for k, value in enumerate(dict.fromkeys(values))}
    return np.array([order[value] for value in values], dtype=np.int64)


# ---------------------------------------------------------------- cells


def _cells(path, text, names):
    """(separator, heading, rows, lines) of the text behind comments; headings that are ``names`` but for case and spaces are these."""
    text, first, hinted = _body(text, names)
    start = text.splitlines()[0] if text else ""
    inside = [one for one in _SEPARATORS if one in _unquoted(start)]
    if hinted in _SEPARATORS:
        inside = [hinted]
    readings = {}
    for separator in inside[:1] if inside[:1] == ["\t"] else inside or ["\t"]:
        try:
            rows, lines = _parsed(text, separator)
        except csv.Error as error:
            raise stop(path, _WHAT, f"a damaged one ({error})"[:120], "save it again") from None
        readings[separator] = (_named(rows[0] if rows else [], names), rows[1:], [first + line for line in lines[1:]])
    if len(readings) > 1:
        even = {
            one: reading for one, reading in readings.items()
            if all(len(row) == len(reading[0]) for row in reading[1] if any(row))
            and (not names or set(reading[0]) & set(names))
        }  # fmt: skip
        if len(even) != 1:
            words = " and ".join(_SEPARATORS[one] for one in readings)
            raise stop(
                path, "cells separated by tabs", f"{words} in the heading", "save it with tabs between the cells"
            )
        readings = even
    ((separator, (heading, rows, lines)),) = readings.items()
    kept = [k for k, row in enumerate(rows) if row and (any(row) or len(row) > 1 or len(heading) == 1)]
    if len(heading) == 1 and kept and kept[-1] >= len(kept):
        k = next(k for k in range(len(rows)) if k not in set(kept))
        remedy = "remove it, or write n/a where nothing was shown"
        raise stop(path, "a cell in every line", f"an empty line {lines[k]:,}", remedy)
    return separator, heading, [rows[k] for k in kept], [lines[k] for k in kept]


def _body(text, names):
    """(text from the heading on, lines before it, the separator that Excel's first line sep=; gives)."""
    lines = io.StringIO(text, newline="").readlines()
    hinted, comments, at = None, [], 0
    while at < len(lines):
        line = lines[at].strip("\ufeff\r\n ")
        match = re.fullmatch(r'"?sep=(.)"?', line, re.IGNORECASE | re.DOTALL)
        if match and at == 0:
            hinted = match[1]
        elif line.startswith("#"):
            comments.append(at)
        elif line.strip():
            break
        at += 1
    if comments and comments[-1] == at - 1:  # the heading itself may stand behind the mark, as numpy.savetxt writes it
        marked = lines[at - 1].lstrip("\ufeff#\t ")
        follows = lines[at] if at < len(lines) else ""
        cells, behind = ([_fold(one) for one in re.split(r"[\t;,]", line)] for line in (marked, follows))
        wanted = {_fold(name) for name in names}
        if wanted & set(cells) and not wanted & set(behind) or not wanted and len(cells) == len(behind) > 1:
            return marked + "".join(lines[at:]), at - 1, hinted
    return "".join(lines[at:]), at, hinted


def _parsed(text, separator):
    """(rows of stripped cells, the lines that they begin in); quotation marks as CSV has them, or letters where that fails."""
    readings, error = [], None
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE) if '"' in text else (csv.QUOTE_NONE,):
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True, skipinitialspace=True
        )
        rows, lines, end = [], [], 0
        try:
            for row in reader:
                rows.append([_stripped(cell) for cell in row])
                lines.append(end + 1)
                end = reader.line_num
        except csv.Error as problem:
            error = problem
            continue
        readings.append((rows, lines))
        if len({len(row) for row in rows if any(row)}) == 1:
            return rows, lines
    if not readings:
        raise error
    return readings[0]


def _stripped(cell):
    return cell.strip().strip("\ufeff\u200b\u2060").strip()


def _unquoted(line):
    return re.sub(r'"[^"]*"', "", line)


def _fold(text):
    return plain_spaces(same_text(text)).casefold().strip("\"'")


def _named(heading, names):
    """The heading, its words as in ``names`` where they are these but for case and spaces."""
    folded = {_fold(name): name for name in names}
    return [word if word in names else folded.get(_fold(word), word) for word in heading]


# ---------------------------------------------------------------- checks


def _left_out(path, expected, actual):
    return warn(path, expected, actual, "it is left out")


def _counts(words):
    """True for 1, 2, 3 … or 0, 1, 2 …"""
    return any(all(word == str(k) for k, word in enumerate(words, start)) for start in (0, 1))


def _is_index(path, heading, k, cells, notes):
    """True for a column without a heading that is left out: empty, or different whole numbers (an index, which is noted)."""
    if heading[k] and not _INDEX.fullmatch(heading[k].lower()):
        return False
    if not any(cells):
        return True
    name = "an empty one" if not heading[k] else f"{heading[k]!r}"
    numbers = all(re.fullmatch(r"\d{1,18}(\.0)?", cell, re.ASCII) for cell in cells)
    if numbers and len(set(cells)) == len(cells):
        actual = f"{name} over column {k + 1}, which numbers the rows (a pandas index)"
        notes.append(_left_out(path, "a heading over every column", actual))
        return True
    actual = f"{name} over column {k + 1} ({first_few(map(safe_label, dict.fromkeys(cells)), 3)})"
    raise stop(path, "a heading over every column", actual, "name the column in the first line, or remove it")


def _check_lengths(path, heading, rows, lines, separator):
    ragged = [k for k, row in enumerate(rows) if len(row) != len(heading)]
    if ragged:
        k = ragged[0]
        actual = f"{len(rows[k])} in line {lines[k]:,}"
        comma = separator == "," and any(re.fullmatch(r"[+-]?\d+", cell) for cell in rows[k])
        remedy = (
            "correct it (decimal commas? separate the cells by tabs)" if comma else "correct it (tabs between cells)"
        )
        raise stop(path, f"{count(len(heading), 'cell')} in every line", actual, remedy)


def _check_heading(path, heading, places, required, allowed, rows):
    for name in heading:
        if heading.count(name) > 1:
            columns = " and ".join(str(places[k] + 1) for k, other in enumerate(heading) if other == name)
            raise stop(path, "every column once", f"{safe_label(name)} twice (columns {columns})", "rename one")
    missing = [name for name in required if name not in heading]
    unknown = [name for name in heading if allowed is not None and name not in allowed]
    lacks = bool(unknown) and not set(heading) & set(allowed or ())
    data = " (is the heading missing?)" if lacks and any("." in name for name in heading) else ""
    if len(heading) == 1 and re.search(r"\s|\|", heading[0]):
        data += " (one column? separate them by tabs)"
    if missing:
        have = first_few(map(safe_label, heading))
        raise stop(path, f"a column {first_few(missing)}", f"{have}{data}", "name the columns in the first line")
    if unknown:
        hints = [safe_label(name) + close_to(name, [one for one in allowed if one not in heading]) for name in unknown]
        raise stop(path, f"columns among {', '.join(allowed)}", first_few(hints) + data, "rename or remove them")
