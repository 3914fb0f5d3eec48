"""Looking at a data set: what is wrong with it, in one form for the error that stops and the list of ``check``, and a summary."""

from dataclasses import dataclass, field, replace

import numpy as np

from factortopy.formats.problems import STOPS, WARNING, DataError, stop, warn


@dataclass(frozen=True)
class Summary:
    """What could be read of a data set, whatever is wrong with the rest; None where nothing could.

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
class Examination:
    """What the examinations of all layouts share; each layout adds what its files hold, and ``summary()``.

    problems : list of Problem, and ways to add to it; remarks : list of str, what was done
    thorough : True to decode every picture and frame instead of a sample
    looked_at : list of str; sampled : True when a sample of the pictures was decoded and the others were not
    rois : {name: {hemisphere: (n,) bool}}
    """

    problems: list = field(default_factory=list)
    remarks: list = field(default_factory=list)
    thorough: bool = False
    looked_at: list = field(default_factory=list)
    sampled: bool = False
    rois: dict = field(default_factory=dict)

    def try_to(self, step, *arguments, **options):
        """The result of a step, or None with its problem noted."""
        try:
            return step(*arguments, **options)
        except DataError as error:
            if error.problem not in self.problems:
                self.problems.append(error.problem)
            return None

    def stop(self, *words):
        """Note a problem that stops: thing, expected, actual, remedy."""
        self.problems.append(stop(*words).problem)

    def warn(self, *words):
        """Note a warning: thing, expected, actual, remedy."""
        self.problems.append(warn(*words))

    def first_stop(self):
        """The first problem that makes loading impossible, or None."""
        return next((problem for problem in self.problems if problem.severity == STOPS), None)

    def raise_first_stop(self):
        """Raise the first problem that makes loading impossible, as DataError."""
        problem = self.first_stop()
        if problem:
            raise DataError(problem)

    def share_divisor(self, path, highest):
        """What noise ceilings of this highest value are divided by: 1, 100 (per cent) or None (neither); warns unless 1."""
        if highest <= 1 + 1e-6:
            return 1
        per_cent = highest <= 100
        remedy = "per cent? divided by 100" if per_cent else "left out: only raw R² is shown"
        self.warn(path, "shares of the variance from 0 to 1", f"values up to {highest:.3g}", remedy)
        return 100 if per_cent else None

    def joined_rois(self, join):
        """({name: join(masks)} of the ROIs, names of those that lose all their vertices by it)."""
        rois = {name: join(masks) for name, masks in self.rois.items()}
        lost = [k for k, mask in rois.items() if not mask.any() and any(m.any() for m in self.rois[k].values())]
        return {name: mask for name, mask in rois.items() if name not in lost}, lost

    def hand_on(self, subject):
        """Add the remarks and problems to a subject's own, problems first."""
        for remark in self.remarks:
            subject.remark(remark)
        subject.warnings[:0] = self.problems


def as_warning(error, instead):
    """The Problem of a DataError as a warning; ``instead``, behind its remedy, says what is done until it is mended."""
    return replace(error.problem, severity=WARNING, remedy=error.problem.remedy + instead)


def warn_of_likeness(examination, left, right):
    """Note that both hemispheres hold the same numbers; paths of their files, which may be one."""
    actual = f"the same ones as in {left.name}" if left != right else "the same ones on both sides"
    remedy = "was one hemisphere saved twice? they are used as they are"
    examination.warn(right, "other numbers than in the left hemisphere", actual, remedy)
