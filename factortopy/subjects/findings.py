"""What a loader finds wrong with a data set: one form for the error that stops it and for the list of ``check``."""

import difflib
import re
from dataclasses import dataclass, field

import numpy as np

from factortopy.errors import InputError
from factortopy.pictures.reading import foreign_content, safe_label

STOPS = "stops"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    severity : "stops" (no training before it is mended) or "warning" (what was done instead is in ``remedy``)
    thing : the path or argument; expected, found, remedy : short phrases without a full stop. With ``expected`` empty,
    ``found`` is the whole sentence.
    choices : tuple of str, all that would do as ``expected``; a page makes a list of them
    """

    severity: str
    thing: str
    expected: str
    found: str
    remedy: str
    choices: tuple = ()

    def line(self):
        """The sentence, one line."""
        if not self.expected:
            return " ".join(self.found.split())
        choices = f" ({'; '.join(self.choices)})" if self.choices else ""
        return " ".join(f"{self.thing}: expected {self.expected}{choices}, found {self.found}; {self.remedy}".split())


class DataError(InputError):
    """An InputError that still knows its Problem."""

    def __init__(self, problem):
        self.problem = problem
        super().__init__(problem.line())


def stop(thing, expected, found, remedy, choices=()):
    """A DataError to raise."""
    return DataError(Problem(STOPS, shown_path(thing), expected, found, remedy, tuple(choices)))


def warn(thing, expected, found, remedy):
    """A warning to collect."""
    return Problem(WARNING, shown_path(thing), expected, found, remedy)


@dataclass(frozen=True)
class Known:
    """What could be read of a data set, whatever is wrong with the rest; None where nothing is known.

    trials, pictures : int; left, right : int, vertices; rois : {name: (N,) bool}; ceiling : (N,)
    """

    trials: int | None = None
    pictures: int | None = None
    left: int | None = None
    right: int | None = None
    rois: dict = field(default_factory=dict)
    ceiling: np.ndarray | None = None

    @classmethod
    def of(cls, trials, pictures, vertices, rois, ceiling):
        """From parts by hemisphere, left first: ``vertices`` [int or None] * 2, ``rois`` {name: [(n,), …]}, ``ceiling`` [(n,), …]."""
        left, right = vertices
        joined = {name: np.concatenate(masks) for name, masks in rois.items() if masks}
        n = (left or 0) + (right or 0)
        whole = np.concatenate(ceiling) if ceiling else None
        return cls(trials or None, pictures or None, left, right, {k: v for k, v in joined.items() if len(v) == n},
                   whole if whole is not None and len(whole) == n else None)  # fmt: skip


@dataclass(kw_only=True)
class Examined:
    """What an examination of a data set shares.

    problems : list of Problem, and ways to add to it; remarks : list of str, what was done
    thorough : True to decode every picture and frame instead of some
    looked : list of str, what was looked at; sampled : True when some pictures were decoded and others were not
    """

    problems: list = field(default_factory=list)
    remarks: list = field(default_factory=list)
    thorough: bool = False
    looked: list = field(default_factory=list)
    sampled: bool = False

    def try_to(self, step, *arguments, **options):
        """The result of a step, or None with its problem noted."""
        try:
            return step(*arguments, **options)
        except DataError as error:
            if error.problem not in self.problems:
                self.problems.append(error.problem)
            return None

    def stop(self, *words):
        self.problems.append(stop(*words).problem)

    def warn(self, *words):
        self.problems.append(warn(*words))

    def first_stop(self):
        """The first problem that makes loading impossible, or None."""
        return next((problem for problem in self.problems if problem.severity == STOPS), None)


def shown_path(path):
    """A path or name as one line: folders kept, every part cleaned of control characters and shortened."""
    text = str(path)
    start = "/" if text.startswith("/") else ""
    return start + "/".join(safe_label(part) if part.strip(".") else part for part in text.split("/") if part)


def foreign(data, otherwise="a file of another kind"):
    """What the first bytes of a file that is no picture are, with the way to fetch it where it is a pointer."""
    words = foreign_content(data).replace("the picture", "the file")
    kind, _, remedy = words.partition("; ")
    return (words if "pointer" in kind else kind) or otherwise


def close_to(name, names):
    """ " (is it NAME?)" for the name among ``names`` that is probably meant; "" where none is.

    Another hemisphere, session or row is no slip of the pen: names that differ in a number or a side are not proposed.
    """

    def sort(text):
        return re.findall(r"\d+", text), re.findall(r"(?<![a-z])(?:lh|rh|l|r)(?![a-z])", text.lower())

    told = sort(name)
    same = {other.lower(): other for other in names if sort(other) == told or other.lower() == name.lower()}
    best = difflib.get_close_matches(name.lower(), same, 1, 0.75)
    return f" (is it {safe_label(same[best[0]])}?)" if best else ""


def count(n, noun):
    """1 picture, 2 pictures, 9,841 pictures, 3 vertices."""
    several = "vertices" if noun == "vertex" else f"{noun}s"
    return f"{n:,} {noun if n == 1 else several}"


def first_few(items, most=5):
    """As in: a, b, c, d, e and 7 more."""
    items = [str(item) for item in items]
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")
