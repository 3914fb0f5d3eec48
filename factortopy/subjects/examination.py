"""What a loader finds wrong with a data set: one form for the error that stops it and for the list of ``check``."""

from dataclasses import dataclass, field

import numpy as np

from factortopy.formats.problems import STOPS, DataError, stop, warn


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
