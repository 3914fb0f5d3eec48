"""The order of the areas that the hierarchy slope is taken over, as people type it."""

import math

from factortopy.errors import unexpected

USUAL = "V1=0,V2=0.33,V3=0.33,OPA=0.67,EBA=1"
SLOPE = (
    "The hierarchy slope is b1 - b0: a straight line through the vertices' mean layer (0 the first layer, 1 the last) over the level of "
    "their area, b0 at level 0, b1 at level 1. 'slope from' and 'slope to' are the ends of its 95 % interval over pictures and seeds, from "
    "new fits of the network (--refits), or over subjects; one fit alone has none. --levels changes the order of the areas."
)
LEVELS_HELP = (
    "order of the areas for the hierarchy slope, 0 early to 1 late, as in V1=0,V2=0.33,EBA=1; others are left out "
    f"(default, the paper's: {USUAL})"
)


def read_levels(words):
    """{area: level} of "V1=0,V2=0.5"; None of None. InputError when it cannot be read."""
    if words is None:
        return None
    levels = {}
    for part in words.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            level = float(value)
        except ValueError:
            level = -1.0
        if not (name and equals and 0 <= level <= 1) or name in levels:
            expected = "AREA=LEVEL with commas between, each area once and levels from 0 to 1"
            raise unexpected("--levels", expected, f"{part.strip()!r}", f"write it as in {USUAL}")
        levels[name] = level
    return check_levels(levels)


def levels_of_settings(levels, rois):
    """Levels of a job's settings, {area: level}; None where they are none or the usual ones of a subject with these areas."""
    if levels is None:
        return None

    def fits(name, x):
        return isinstance(name, str) and isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x <= 1

    if not isinstance(levels, dict) or not all(fits(name, x) for name, x in levels.items()):
        expected = f"areas with levels from 0 to 1 ({USUAL})"
        raise unexpected("levels", expected, str(levels)[:100], "mend or empty the one that is not")
    levels = {name: float(x) for name, x in levels.items()}
    from factortopy.analysis.slope import LEVELS

    usual = {name: x for name, x in LEVELS.items() if name in rois}
    if usual.keys() == levels.keys() and all(math.isclose(usual[name], x) for name, x in levels.items()):
        return None
    return check_levels(levels, rois, "levels")


def check_levels(levels, rois=None, control="--levels"):
    """The levels, checked against a subject's areas where these are given; None stays None."""
    if levels is None:
        return None
    if len(set(levels.values())) < 2:
        expected = "two different levels at least"
        raise unexpected(control, expected, in_words(levels) if levels else "none", "give a later area too")
    for name in levels:
        if rois is not None and name not in rois:
            expected = f"areas of this subject ({', '.join(rois) or 'it has none'})"
            raise unexpected(control, expected, f"{name!r}", "leave it out")
    return levels


def in_words(levels=None):
    """V1 0, V2 0.33, …"""
    from factortopy.analysis.slope import LEVELS

    return ", ".join(f"{name} {level:.2f}".removesuffix(".00") for name, level in (levels or LEVELS).items())
