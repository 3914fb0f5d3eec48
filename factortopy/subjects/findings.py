"""What a loader finds wrong with a data set: one form for the error that stops it and for the list of ``check``."""

from dataclasses import dataclass

from factortopy.errors import InputError
from factortopy.pictures.reading import safe_label

STOPS = "stops"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    severity : "stops" (no training before it is mended) or "warning" (what was done instead is in ``remedy``)
    thing : the path or argument; expected, found, remedy : short phrases without a full stop. With ``expected`` empty,
    ``found`` is the whole sentence.
    """

    severity: str
    thing: str
    expected: str
    found: str
    remedy: str

    def line(self):
        """The sentence, one line."""
        if not self.expected:
            return " ".join(self.found.split())
        return " ".join(f"{self.thing}: expected {self.expected}, found {self.found}; {self.remedy}".split())


class DataError(InputError):
    """An InputError that still knows its Problem."""

    def __init__(self, problem):
        self.problem = problem
        super().__init__(problem.line())


def stop(thing, expected, found, remedy):
    """A DataError to raise."""
    return DataError(Problem(STOPS, shown_path(thing), expected, found, remedy))


def warn(thing, expected, found, remedy):
    """A warning to collect."""
    return Problem(WARNING, shown_path(thing), expected, found, remedy)


class Examined:
    """What an examination of a data set shares: ``problems``, a list of Problem, and ways to add to it."""

    def try_to(self, step, *arguments, **options):
        """The result of a step, or None with its problem noted."""
        try:
            return step(*arguments, **options)
        except DataError as error:
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


def first_few(items, most=5):
    """As in: a, b, c, d, e and 7 more."""
    items = [str(item) for item in items]
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")
