"""What the networks of a report bring along for the checklist: each seed's numbers, all scores on the same pictures, subjects."""

from dataclasses import replace

import numpy as np

from factortopy.analysis.comparison import areas_and_all
from factortopy.analysis.gallery import read_gallery
from factortopy.analysis.resampled import behind_the_best, mean_of, resampled
from factortopy.report import slopes, turned
from factortopy.report.evidence import FITS, Evidence
from factortopy.report.fits import numbers
from factortopy.report.tried import PICTURES


def of_entries(entries, levels=None):
    """{name: ``numbers`` of each seed} of a report's networks. Subjects' means have no channels: those are left out."""
    return {e.name: [numbers(one, levels) for one in (e.encoder, *e.others.values())] for e in entries}


def turned_maps(encoders, levels=None):
    """``turned.of_seeds`` where there are seeds enough for a verdict; {} elsewhere."""
    return turned.of_seeds(encoders, levels) if len(encoders) >= FITS and encoders[0].has_selectors else {}


def by_subject(entries):
    """{name: {area: mean R²} of each subject}, of networks that were fitted to the same two subjects or more."""
    whose = {e.name: tuple(str(one.info.get("subject")) for one in e.encoders) for e in entries}
    groups = {}
    for e in entries:
        if len(whose[e.name]) > 1:
            groups.setdefault(tuple(sorted(whose[e.name])), []).append(e)
    out = {}
    for e in max(groups.values(), key=len, default=[]):
        ordered = sorted(zip(whose[e.name], e.encoders, strict=True), key=lambda pair: pair[0])
        out[e.name] = [numbers(one)["score"] for _, one in ordered]
    return out


def same_pictures(galleries):
    """Those of {name: list of Gallery or None, one a subject} that keep the same test pictures as most; {} for fewer than two.

    The responses tell: pictures have other numbers where a fit was given fewer of them.
    """
    groups = {}
    for name, of in galleries.items():
        if of and all(g is not None for g in of):
            key = tuple((g.measured.shape, g.measured.tobytes()) for g in of)
            groups.setdefault(hash(key), {})[name] = of
    same = max(groups.values(), key=len, default={})
    return same if len(same) > 1 else {}


def answers(galleries, areas, film=False):
    """``Answers`` of networks on the test pictures that their runs keep.

    Parameters
    ----------
    galleries : {name: list of Gallery or None, one a subject}
        Those that lack one, or keep other pictures than most, are left out.
    areas : {name: (N,) bool}
    film : whether they saw a film: such answers are kept for what they are, and decide nothing

    Returns
    -------
    Answers, None for fewer than two networks
    """
    same = same_pictures(galleries)
    if not same:
        return None
    first = next(iter(same.values()))
    drawn = mean_of([
        resampled(first[k].measured, {name: of[k].predicted for name, of in same.items()}, areas, seed=k)
        for k in range(len(first))
    ])  # fmt: skip
    return replace(drawn, film=film)


def behind(entries):
    """{area: {name: mean R² behind the best, crossed}} of networks, mean over subjects; {} where their runs keep no pictures to divide."""
    same = same_pictures({e.name: [read_gallery(run.path) for run in e.runs] for e in entries})
    first, areas = next(iter(same.values()), ()), areas_and_all(entries[0].encoder)
    if not first or min(len(g.measured) for g in first) < PICTURES or any(of_film(e) for e in entries):
        return {}
    each = [
        behind_the_best(first[k].measured, {name: of[k].predicted for name, of in same.items()}, areas)
        for k in range(len(first))
    ]
    return {area: {n: float(np.mean([one[area][n] for one in each])) for n in same} for area in areas}


def of_film(entry):
    """Whether a network was fitted to responses to a film."""
    return any("fir" in encoder.info for encoder in entry.encoders)


def evidence(entries, levels=None):
    """``Evidence`` that the networks of a report bring with them; its sections add theirs."""
    galleries = {e.name: [read_gallery(run.path) for run in e.runs] for e in entries}
    return Evidence(
        {e.name: e.network for e in entries},
        answers(galleries, areas_and_all(entries[0].encoder), any(of_film(e) for e in entries)),
        of_entries(entries, levels),
        {e.name: turned_maps([e.encoder, *e.others.values()], levels) for e in entries},
        levels,
        slopes.of_entries(entries, levels)[0],
        subjects=by_subject(entries),
    )
