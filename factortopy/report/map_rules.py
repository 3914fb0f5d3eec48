"""The checklist's rules on maps: layers, scale, space and channels by area, before and after fine-tuning, over time steps.

As those of ``report.rules``. Fits with other seeds give the interval; areas' labels dealt at random, and the map turned on the sphere under
them, give the chance (the larger one counts).
"""

import numpy as np

from factortopy.analysis.estimates import (
    Test,
    all_of,
    choices,
    exchanged,
    in_order,
    inside_larger,
    larger,
    smaller,
    spread,
)
from factortopy.analysis.slope import LEVELS
from factortopy.report.evidence import FITS
from factortopy.report.fits import AREAS, DORSAL, EARLY, MIDDLE, VENTRAL
from factortopy.report.missing import RUNS, SUBJECT, Missing
from factortopy.report.tried import (
    COSINE,
    FEW_AREAS,
    MOVED,
    ORDERS,
    SCALE,
    SEEDS,
    WEIGHT,
    Tried,
    at_ends,
    by_area,
    in_words,
    papers,
)

OPPOSITE = 0.75  # share of the local vertices
DIVERSE = 0.05  # 1 − mean cosine
EARLY_FIRST, FIRST_ELSEWHERE = ("clip", "imagenet"), ("sam", "dinov2", "mae", "mocov3")
NOWHERE = 0.5  # of the weight that each layer would have if all were alike


def _several(evidence, names=None):
    """{name: fits} of trained networks with fits of enough seeds."""
    return {n: evidence.fits[n] for n in evidence.several(evidence.trained(evidence.fits if names is None else names))}


def _maps(evidence):
    """As ``_several``, of the networks that have maps; what is missing is said."""
    with_maps = {n: fits for n, fits in _several(evidence).items() if all("layer" in fit for fit in fits)}
    if with_maps:
        return with_maps
    trained = [n for n in evidence.trained(evidence.fits) if "layer" in evidence.fits[n][0]]
    return SEEDS if trained else Missing(RUNS, "needs a trained network")


# ---------------------------------------------------------------- where, how large


def space_is_retinotopic(evidence):
    maps = _maps(evidence)
    if isinstance(maps, Missing):
        return maps
    shares = {n: np.array([fit["contralateral"] for fit in fits]) for n, fits in maps.items()}
    shares = {n: share for n, share in shares.items() if np.isfinite(share).all()}
    if not shares:
        return Missing(SUBJECT, "needs both hemispheres and vertices that read local tokens")
    each = {f"{n} {side}": spread(s[:, k]) for n, s in shares.items() for k, side in enumerate(("left", "right"))}
    return Tried(
        all_of(larger(e, OPPOSITE) for e in each.values()), _lines({n: in_words(e, 2, 1) for n, e in each.items()})
    )


def _rises(evidence, key, least):
    """A number of the areas rises along the hierarchy: by more than ``least`` from seed to seed, and in the order of the areas."""
    maps = _maps(evidence)
    if isinstance(maps, Missing):
        return maps
    tests, words = [], {}
    for n, fits in maps.items():
        ends = at_ends(by_area(fits, key), evidence.levels or LEVELS)
        if ends is None:
            continue
        levels, values, rise = ends
        chance = _chance(evidence, n, key, in_order([v.mean() for v in values.values()], list(levels.values())))
        both = larger(spread(rise), least)
        tests.append(Test(max(chance, both.holds), both.fails))
        words[n] = f"{in_words(spread(rise), 2)}, order by chance {chance:.1%}"
    return Tried(all_of(tests), _lines(words)) if tests else FEW_AREAS


def _chance(evidence, name, key, dealt):
    """The larger chance: labels dealt at random, or the map turned under the areas; 1 where it could not be turned."""
    return max(dealt, evidence.turned.get(name, {}).get(key, 1.0))


def scale_rises(evidence):
    return _rises(evidence, "scale", SCALE)


def diversity_rises(evidence):
    return _rises(evidence, "diversity", DIVERSE)


# ---------------------------------------------------------------- which layers, where


def _family(evidence, *families):
    """{name: fits} of networks of these families that have maps of several seeds."""
    maps = _maps(evidence)
    maps = {} if isinstance(maps, Missing) else maps
    names = evidence.of_family(evidence.alike(maps), *families)
    return {n: maps[n] for n in names}


def _more_inside(fits, key, inside, outside):
    """(``Estimate`` of the weight of layers inside some areas over that outside, chance) or None where labels have too few choices."""
    values = {a: v for a, v in by_area(fits, key).items() if a in (*inside, *outside)}
    mask = [a in inside for a in values]
    if not any(mask) or all(mask) or choices(mask) < ORDERS:
        return None
    table = np.array(list(values.values()))
    more = table[mask].mean(0) - table[~np.array(mask)].mean(0)
    return spread(more), inside_larger(table.mean(1), mask)


def _inside(evidence, networks, key, inside, outside, turned, lacking):
    """The claim that layers of each of these networks lie in some areas more than in others."""
    if not networks:
        return papers(lacking)
    more = {n: _more_inside(fits, key, inside, outside) for n, fits in networks.items()}
    if None in more.values():
        return FEW_AREAS
    more = {n: (e, _chance(evidence, n, turned, chance)) for n, (e, chance) in more.items()}
    tests = [(larger(e, WEIGHT), chance) for e, chance in more.values()]
    words = _lines({n: f"{in_words(e, 2)}, by chance {chance:.1%}" for n, (e, chance) in more.items()})
    return Tried(all_of(Test(max(t.holds, chance), t.fails) for t, chance in tests), words)


def last_layers_in_the_middle(evidence):
    networks = _family(evidence, "imagenet", "sam")
    outside = [a for a in AREAS if a not in MIDDLE]
    lacking = "ImageNet or SAM networks, three seeds of each"
    return _inside(evidence, networks, "last", MIDDLE, outside, "last in the middle", lacking)


def last_layers_nowhere(evidence):
    networks = _family(evidence, "dinov2", "mae")
    if not networks:
        return papers("DINOv2 or MAE, three seeds of each")
    tests, words = [], {}
    for n, fits in networks.items():
        limit = NOWHERE / fits[0]["layers"]
        areas = {a: spread(v) for a, v in by_area(fits, "last").items()}
        if not areas:
            return Missing(SUBJECT, "needs areas")
        tests += [smaller(e, limit) for e in areas.values()]
        most = max(areas, key=lambda a: areas[a].value)
        words[n] = f"most in {most}: {in_words(areas[most])}, limit {limit:.3f}"
    return Tried(all_of(tests), _lines(words))


def last_layers_ventral(evidence):
    return _inside(
        evidence, _family(evidence, "mocov3"), "last", VENTRAL, DORSAL, "last ventral", "MoCo v3, three seeds"
    )


def first_layers_early(evidence):
    """Those of some networks lie on early areas, and more so than those of the others."""
    here, there = _family(evidence, *EARLY_FIRST), _family(evidence, *FIRST_ELSEWHERE)
    lacking = "CLIP or ImageNet beside SAM, DINOv2, MAE or MoCo v3, three seeds of each"
    if not there:
        return papers(lacking)
    outside = [a for a in AREAS if a not in EARLY]
    lie = _inside(evidence, here, "first", EARLY, outside, "first", lacking)
    if isinstance(lie, Missing):
        return lie
    other = {n: _more_inside(fits, "first", EARLY, outside) for n, fits in there.items()}
    if None in other.values():
        return FEW_AREAS
    own = {n: _more_inside(fits, "first", EARLY, outside)[0] for n, fits in here.items()}
    more = all_of(larger(e - o, WEIGHT) for e in own.values() for o, _ in other.values())
    words = f"{lie.numbers}; {_lines({n: in_words(e, 2) for n, (e, _) in other.items()})}"
    return Tried(all_of((lie.test, more)), words)


# ---------------------------------------------------------------- channels


def _symmetry(fits, areas):
    """(each fit's cosine of the areas' own halves over that of different areas, chance); None where areas are too few."""
    if any("cosines" not in fit for fit in fits):
        return None
    names = fits[0]["cosines"][0]
    rows = [k for k, name in enumerate(names) if name in areas]
    n = len(names)
    if not rows or n < 4 or any(fit["cosines"][0] != names for fit in fits):
        return None
    table = np.array([fit["cosines"][1] for fit in fits])
    own = table[:, rows, rows].mean(1)
    others = (table[:, rows].sum((1, 2)) - table[:, rows, rows].sum(1)) / (len(rows) * (n - 1))
    chance = exchanged(n, lambda orders: table.mean(0)[rows, orders[:, rows]].mean(1))
    return own - others, chance


def hemispheres_share_channels(evidence):
    maps = _maps(evidence)
    if isinstance(maps, Missing):
        return maps
    names = [n for n in maps if n not in evidence.of_family(maps, "sam", "mae")]
    both = {n: pair for n in names if (pair := _symmetry(maps[n], EARLY)) is not None}
    if not both:
        return Missing(SUBJECT, "needs four areas or more with vertices in both hemispheres, early ones among them")
    each = {n: (spread(values), _chance(evidence, n, "symmetry", dealt)) for n, (values, dealt) in both.items()}
    tests = [(larger(e, COSINE), chance) for e, chance in each.values()]
    words = _lines({n: f"{in_words(e, 2)}, by chance {chance:.1%}" for n, (e, chance) in each.items()})
    return Tried(all_of(Test(max(t.holds, chance), t.fails) for t, chance in tests), words)


def symmetry_of_others(evidence):
    maps = _maps(evidence)
    maps = {} if isinstance(maps, Missing) else {n: maps[n] for n in evidence.alike(maps)}
    less = evidence.of_family(maps, "sam", "mae")
    own = {n: spread(pair[0]) for n in maps if (pair := _symmetry(maps[n], EARLY)) is not None}
    more = [n for n in own if n not in less]
    less = [n for n in less if n in own]
    if not less or not more:
        return papers("SAM or MAE beside others, three seeds of each")
    tests = [larger(own[a] - own[b], COSINE) for a in more for b in less]
    return Tried(all_of(tests), _lines({n: in_words(e, 2) for n, e in own.items()}))


# ---------------------------------------------------------------- fine-tuning, time steps


def clip_keeps_its_map(evidence):
    moved = {}
    for row in evidence.tuning:
        if len(np.atleast_1d(row.get("moved", ()))) >= FITS:
            moved.setdefault(row.get("family", ""), []).append(row)
    if "clip" not in moved or len(moved) < 2:
        return papers("CLIP and another network before and after fine-tuning, three seeds of each fit")
    clip = [spread(row["moved"]) for row in moved.pop("clip")]
    others = {row["network"]: spread(row["moved"]) for rows in moved.values() for row in rows}
    tests = [larger(o - c, MOVED) for o in others.values() for c in clip]
    words = {"CLIP": ", ".join(in_words(c) for c in clip)} | {n: in_words(e) for n, e in others.items()}
    return Tried(all_of(tests), _lines(words))


def _separation(fits):
    """How far apart the areas' mean depths lie in each fit (standard deviation over areas)."""
    values = list(by_area(fits, "layer").values())
    return np.std(values, axis=0) if len(values) > 2 else None


def steps_separate(evidence):
    maps = _maps(evidence)
    maps = {} if isinstance(maps, Missing) else maps
    over_time = [n for n in evidence.over_time if n in maps]
    over_layers = [n for of in evidence.steps.values() for n in of.values() if n in maps]
    parts = {n: spread(s) for n in (*over_time, *over_layers) if (s := _separation(maps[n])) is not None}
    times, layers = ([n for n in names if n in parts] for names in (over_time, over_layers))
    if not times or not layers:
        return papers("sd-1.5 at one time step and one of its layers over time (sd-1.5:decoder-6), three seeds of each")
    tests = [larger(parts[t] - parts[k], WEIGHT) for t in times for k in layers]
    return Tried(all_of(tests), _lines({n: in_words(e) for n, e in parts.items()}))


def _lines(words):
    return "; ".join(f"{name} {value}" for name, value in words.items())
