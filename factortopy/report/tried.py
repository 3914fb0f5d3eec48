"""What rules of the checklist share: a claim that was tried, what is missing for one, numbers in words."""

from dataclasses import dataclass

import numpy as np

from factortopy.analysis.estimates import arrangements
from factortopy.report.evidence import FITS
from factortopy.report.missing import NOT_ASKED, PAPERS, RUNS, SUBJECT, Missing

R2, SLOPE, SCALE, WEIGHT, COSINE, MOVED, R = 0.005, 0.05, 0.1, 0.05, 0.1, 0.03, 0.3  # the smallest effects that count
PICTURES, NETWORKS, ORDERS = 30, 5, 20  # the fewest: test pictures, networks of a correlation, orders of labels
SEEDS = Missing(RUNS, f"needs fits of {FITS} seeds or more: one fit alone has no spread")
CORRELATION = Missing(RUNS, f"needs {NETWORKS} networks or more: with fewer no correlation is beyond chance")
OBJECTIVES = Missing(RUNS, "needs networks of different training, fitted in the same way")
FILM = Missing(
    SUBJECT,
    "needs pictures: volumes of a film are alike in time, and drawn anew one by one they would make an interval too narrow",
)
FEW_AREAS = Missing(
    SUBJECT,
    f"needs more areas: the labels of these can be exchanged in fewer than {ORDERS} ways, and chance explains anything",
)


@dataclass(frozen=True)
class Tried:
    """A claim that was put to the test: ``test`` (``estimates.Test``) and the numbers in words."""

    test: tuple
    numbers: str


def in_words(estimate, decimals=3, most=np.inf):
    """A number with its 95 % interval; ``most``: what it can be at most."""
    low, high = np.minimum(estimate.interval(), most)
    return f"{estimate.value:+.{decimals}f} ({low:+.{decimals}f} to {high:+.{decimals}f})"


def new_fits(evidence, study):
    """Why a study of new fits is not here."""
    return evidence.unfitted.get(study, Missing(NOT_ASKED, "needs new fits"))


def papers(words):
    """Networks of the paper are missing."""
    return Missing(PAPERS, f"needs {words}")


def without_answers(answers, names=()):
    """What is missing where scores cannot be set against each other on the same pictures; None where they can."""
    if answers is None or any(name not in answers.names for name in names):
        return Missing(RUNS, "needs runs that keep the same test pictures, to compare them picture by picture")
    if answers.film:
        return FILM
    if answers.pictures < PICTURES:
        return Missing(SUBJECT, f"needs {PICTURES} test pictures or more, found {answers.pictures}")
    return None


def by_area(fits, key, side=None):
    """{area: mean over fits, and over hemispheres or of one}, of the areas that have a number in every fit."""

    def one(value):
        value = np.atleast_1d(np.asarray(value, float))
        if side is not None and len(value) > 1:
            return float(value[side])
        value = value[np.isfinite(value)]
        return float(value.mean()) if len(value) else np.nan

    areas = [area for area in fits[0].get(key, ()) if all(area in fit.get(key, ()) for fit in fits)]
    values = {area: np.array([one(fit[key][area]) for fit in fits]) for area in areas}
    return {area: value for area, value in values.items() if np.isfinite(value).all()}


def at_ends(values, levels):
    """(levels, {area: values}, late − early) of the areas of a hierarchy; None where labels have too few orders."""
    at = {area: levels[area] for area in values if area in levels}
    if len(set(at.values())) < 2 or arrangements(list(at.values())) < ORDERS:
        return None
    late, early = (
        np.mean([values[a] for a, level in at.items() if level == end], 0)
        for end in (max(at.values()), min(at.values()))
    )
    return at, {a: values[a] for a in at}, late - early
