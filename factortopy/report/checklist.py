"""The findings of "Brain Decodes Deep Nets" (its Table 5 and text, from memory) as claims with a rule each on numbers at hand."""

import re

import numpy as np

from factortopy.analysis.slope import LEVELS
from factortopy.report.claims import (
    NOT_ASKED,
    PAPERS,
    RUNS,
    SUBJECT,
    Missing,
    alike,
    differ,
    finding,
    network,
    objective,
    trained,
)

NEAREST = 0.01  # R²: by less than this a network does not lead in an area
SIZES = ("s", "b", "m", "l", "xl", "h", "g")  # the last part of a registry name, small to large


def checklist(seen):
    """All findings.

    Parameters
    ----------
    seen : dict
        What a report measured; a key that is missing was not. networks {name: {"trained": bool, "network": what fits of one
        network share (the name when not told), "objective": what networks trained alike share (network when not told), "fit":
        what fits of all networks made in one way share}}; scores (rows of ``scores_by_roi``); distance (rows of
        ``distance_to_best``); slopes (rows: network, slope, slope from, slope to); scale {name: (early, late)}; contralateral
        {name: share}; hemispheres, diversity {name: rows}; ablation (rows), topology {"smooth", "score": (with, without)}, seeds
        {"layer_r"}, decay, data (rows), single {"equal", "chance", "r"}, tuning (rows of ``lost``, r), accuracy (rows of
        ``score_against``), steps {words: (early, late)}; unfitted {study: Missing} says why one of new fits is not there, "not
        asked for" by default.

    Returns
    -------
    list of Finding
    """
    return [rule(seen) for rule in RULES]


OBJECTIVES = Missing(RUNS, "needs networks of different training, fitted in the same way")
NOT_FITTED = Missing(NOT_ASKED, "needs new fits")


def _unfitted(seen, study):
    """Why a study of new fits is not here."""
    return seen.get("unfitted", {}).get(study, NOT_FITTED)


def _without_slope(seen):
    """What is missing where no trained network has a slope."""
    if seen.get("slopes") or not trained(seen, seen.get("networks", {})):
        return Missing(RUNS, "needs a trained network")
    return Missing(SUBJECT, "needs two of V1, V2, V3, OPA, EBA and a network of two layers")


def _of_subject(seen, words):
    """The subject lacks something, unless no trained network is here to begin with."""
    if not trained(seen, seen.get("networks", {})):
        return Missing(RUNS, "needs a trained network")
    return Missing(SUBJECT, words)


def factors_matter(seen):
    rows = {row["model"]: row for row in seen.get("ablation") or ()}
    parts = [name for name in ("without layer", "without space", "without scale") if name in rows]
    outcome = _unfitted(seen, "ablation")
    if parts:
        told = (f"{n} {rows[n]['difference']:+.3f}, {1 - rows[n]['better']:.0%} of the vertices worse" for n in parts)
        outcome = all(rows[n]["difference"] < 0 and rows[n]["better"] < 0.5 for n in parts), "; ".join(told)
    return finding(
        "Space, layer and scale are each needed to map a network onto the brain",
        "abstract, Table 3",
        ("ablation",),
        "without any one of the three factors mean R² falls, and most vertices are predicted worse",
        outcome,
    )


def topology_helps(seen):
    both, outcome = seen.get("topology"), _unfitted(seen, "topology")
    if both:
        (a, b), (x, y) = both["smooth"], both["score"]
        outcome = a > b and x > y - 0.01, f"neighbours on one layer {a:.0%} and {b:.0%}; mean R² {x:.3f} and {y:.3f}"
    return finding(
        "The topology prior makes maps smooth without costing score",
        "Fig. 2, Table 3",
        ("topology", "ablation"),
        "more neighbours share a layer with it than without, and mean R² is lower by less than 0.01",
        outcome,
    )


def hierarchy_aligns(seen):
    rows = [row for row in seen.get("slopes") or () if row["network"] in trained(seen, [row["network"]])]
    outcome = _without_slope(seen)
    if rows:
        up = [row for row in rows if row["slope from"] > 0]
        outcome = (
            len(up) > 0,
            "; ".join(f"{r['network']} {r['slope']:.2f} ({r['slope from']:.2f} to {r['slope to']:.2f})" for r in rows),
        )
    return finding(
        "Some trained networks are ordered as the brain is: later areas read later layers",
        "4.3, Table 2",
        ("hierarchy", "layer-maps"),
        "the slope's 95 % interval lies above 0 for at least one trained network",
        outcome,
    )


def objective_matters(seen):
    found = {row["network"]: row for row in seen.get("slopes") or ()}
    rows = [found[name] for name in alike(seen, found)]
    outcome = OBJECTIVES if rows else _without_slope(seen)
    if differ(seen, [row["network"] for row in rows]):
        pairs = [(a, b) for a in rows for b in rows if objective(seen, a["network"]) != objective(seen, b["network"])]
        low, high = max(pairs, key=lambda pair: pair[1]["slope from"] - pair[0]["slope to"])
        outcome = (
            low["slope to"] < high["slope from"],
            f"{low['network']} {low['slope']:.2f}, {high['network']} {high['slope']:.2f}",
        )
    return finding(
        "How a network was trained changes its hierarchy",
        "abstract, Table 2",
        ("hierarchy", "layer-shares"),
        "two networks of different training, fitted in the same way, have slopes whose 95 % intervals do not overlap",
        outcome,
    )


def training_helps(seen):
    row, networks = (seen.get("scores") or [{}])[-1], seen.get("networks", {})
    ways = {}
    for name in (n for n in networks if n in row):
        ways.setdefault(networks[name].get("fit", ""), ([], []))[not networks[name].get("trained", True)].append(name)
    both = [(min(yes, key=row.get), max(no, key=row.get)) for yes, no in ways.values() if yes and no]
    outcome = Missing(RUNS, "needs an untrained network beside a trained one, fitted in the same way")
    if both:
        outcome = (
            all(row[worst] > row[best] for worst, best in both),
            "; ".join(f"{worst} {row[worst]:.3f}, {best} {row[best]:.3f}" for worst, best in both),
        )
    return finding(
        "Trained networks predict the brain better than untrained ones",
        "control, not of the paper",
        ("scores",),
        "every trained network has a larger mean R² than every untrained one fitted in the same way",
        outcome,
    )


def objectives_lead_somewhere(seen):
    rows = [row for row in seen.get("distance") or () if row["roi"] != "all"]
    names = alike(seen, [n for n in seen.get("networks", {}) if rows and n in rows[0]])
    outcome = OBJECTIVES
    if not rows and differ(seen, alike(seen, seen.get("networks", {}))):
        outcome = Missing(SUBJECT, "needs areas")
    if differ(seen, names):
        count = dict.fromkeys(names, 0)
        for row in rows:
            far = {n: float(np.nan_to_num(row[n], nan=np.inf)) for n in names}
            first = min(far, key=far.get)
            others = [far[n] for n in names if objective(seen, n) != objective(seen, first)]
            count[first] += bool(min(others) - far[first] >= NEAREST)
        outcome = (
            differ(seen, [n for n in names if count[n]]),
            ", ".join(f"{n} nearest to the best in {c} of {len(rows)} areas" for n, c in count.items()),
        )
    return finding(
        "No network is the best everywhere: objectives suit different areas",
        "4.2, Table 1",
        ("distance", "score-maps"),
        "trained networks of two trainings or more, fitted in the same way, are each nearest to the best of all in some area, "
        f"by {NEAREST} R² or more",
        outcome,
    )


def scale_rises(seen):
    known = {
        n: pair for n, pair in (seen.get("scale") or {}).items() if n in trained(seen, [n]) and np.isfinite(sum(pair))
    }
    outcome = _of_subject(seen, "needs areas of two levels of the hierarchy")
    if known:
        outcome = (
            all(b > a for a, b in known.values()),
            "; ".join(f"{n} {a:.2f} to {b:.2f}" for n, (a, b) in known.items()),
        )
    return finding(
        "Early areas read local tokens, late ones the global token",
        "Fig. 4",
        ("scale-maps",),
        "mean scale of the lowest level (V1) is below that of the highest (EBA) for every trained network",
        outcome,
    )


def space_is_retinotopic(seen):
    known = {n: v for n, v in (seen.get("contralateral") or {}).items() if n in trained(seen, [n]) and np.isfinite(v)}
    outcome = _of_subject(seen, "needs both hemispheres and vertices that read local tokens")
    if known:
        outcome = all(v > 0.75 for v in known.values()), ", ".join(f"{n} {v:.0%}" for n, v in known.items())
    return finding(
        "Where vertices look is retinotopic, learnt without being told",
        "Fig. 4, space selector",
        ("space-maps", "polar-angle", "eccentricity"),
        "more than 75 % of local vertices look at the side opposite to their hemisphere, for every trained network",
        outcome,
    )


def hemispheres_share_channels(seen):
    known = {n: rows for n, rows in (seen.get("hemispheres") or {}).items() if rows and n in trained(seen, [n])}
    outcome = _of_subject(seen, "needs areas with vertices in both hemispheres")
    if known:
        share = {n: float(np.mean([r["same"] > r["other"] for r in rows])) for n, rows in known.items()}
        outcome = all(v > 0.5 for v in share.values()), ", ".join(f"{n} {v:.0%} of the areas" for n, v in share.items())
    return finding(
        "Channels are symmetric between hemispheres",
        "4.5",
        ("hemispheres",),
        "in most areas of every trained network its two halves are more alike than its left half and other areas' right ones",
        outcome,
    )


def diversity_rises(seen):
    from scipy.stats import rankdata

    told = {}
    for name, rows in (seen.get("diversity") or {}).items():
        pairs = [(LEVELS[r["roi"]], r["diversity"]) for r in rows if r["roi"] in LEVELS]
        if len({level for level, _ in pairs}) > 2 and name in trained(seen, [name]):
            level, value = (rankdata(column) for column in zip(*pairs, strict=True))
            told[name] = float(np.corrcoef(level, value)[0, 1]) if np.ptp(value) else 0.0
    outcome = _of_subject(seen, "needs areas of three levels of the hierarchy")
    if told:
        outcome = all(r > 0 for r in told.values()), ", ".join(f"{n} {r:+.2f}" for n, r in told.items())
    return finding(
        "Channels grow more diverse from early to late areas",
        "4.5",
        ("diversity",),
        "diversity's rank correlation with the level of the hierarchy is positive for every trained network",
        outcome,
    )


def weights_find_layers(seen):
    told, outcome = seen.get("single"), _unfitted(seen, "single")
    if told:
        outcome = (
            bool(told["equal"] > told["chance"] and told["r"] > 0.3),
            f"same layer {told['equal']:.0%}, by chance {told['chance']:.0%}; r of depth {told['r']:.2f}",
        )
    return finding(
        "Learnt layer weights find what a grid search over single layers finds",
        "Fig. 9",
        ("single-layers", "learnt-layers"),
        "the same layer more often than by chance, and depths correlate with r above 0.3",
        outcome,
    )


def seeds_agree(seen):
    told, outcome = seen.get("seeds"), _unfitted(seen, "seeds")
    if told:
        outcome = told["layer_r"] > 0.8, f"r {told['layer_r']:.2f}, same layer or the next {told['layer_near']:.0%}"
    return finding(
        "Layer selection is the same from seed to seed",
        "Fig. 13",
        ("seeds",),
        "over pairs of seeds the vertices' mean layer correlates with r above 0.8",
        outcome,
    )


def regulariser_prevents_collapse(seen):
    rows, outcome = seen.get("decay"), _unfitted(seen, "decay")
    if rows:
        shortest, others = rows[0], rows[1:]
        fell = shortest["collapsed"] and not all(row["collapsed"] for row in others)
        told = ", ".join(f"{row['one_layer']:.0%} on one layer at step {row['decay step']}" for row in rows)
        outcome = fell, f"{told}; recipe {shortest['recipe']} (the paper's finding is on its own recipe)"
    return finding(
        "Without a regulariser that decays late enough, layer selection collapses",
        "Table 15, Fig. 26",
        ("decay", "decay-maps"),
        "nine of ten vertices on one layer with the shortest decay, and not with every longer one",
        outcome,
    )


def data_scales(seen):
    rows, outcome = seen.get("data"), _unfitted(seen, "data")
    if rows:
        values = [row["score"] for row in rows]
        outcome = (
            bool(np.all(np.diff(values) > 0)),
            ", ".join(f"{row['score']:.3f} with {row['pictures']:,}" for row in rows),
        )
    return finding(
        "More pictures give better scores",
        "Figs. 10, 27",
        ("data", "data-maps"),
        "mean R² rises with every step of the amount of data",
        outcome,
    )


def slope_scales(seen):
    families, found = {}, {row["network"]: row for row in seen.get("slopes") or ()}
    for name in alike(seen, found):
        match = re.fullmatch(r"(.+)-([a-z]{1,2})", network(seen, name))
        if match and match[2] in SIZES:
            families.setdefault(match[1], []).append((SIZES.index(match[2]), found[name]))
    families = {name: [row for _, row in sorted(f, key=lambda p: p[0])] for name, f in families.items() if len(f) > 1}
    outcome = Missing(PAPERS, "needs CLIP in two sizes or more (clip-s to clip-xl)")
    if families:
        told = "; ".join(" ".join(f"{r['network']} {r['slope']:.2f}" for r in rows) for rows in families.values())
        up = {name: bool(np.all(np.diff([r["slope"] for r in rows]) > 0)) for name, rows in families.items()}
        if "clip" in up:
            outcome = up["clip"], told
        else:
            outcome = Missing(PAPERS, f"needs CLIP in two sizes or more; {told}")
    return finding(
        "CLIP's hierarchy grows with capacity and data; other objectives scale otherwise",
        "abstract, Table 2, Figs. 17–22",
        ("hierarchy",),
        "the slope rises with every larger network clip-s … clip-xl",
        outcome,
    )


def clip_leads(seen):
    row = (seen.get("distance") or [{}])[-1]
    names = alike(seen, [n for n in seen.get("networks", {}) if n in row])
    clip = [n for n in names if network(seen, n).startswith("clip")]
    others = [n for n in names if n not in clip]
    outcome = Missing(PAPERS, "needs CLIP beside networks of other objectives")
    if clip and others:
        best = min(names, key=lambda n: row[n])
        outcome = best in clip, f"{best} is nearest, {row[best]:.3f}"
    return finding(
        "Language supervision (CLIP) comes nearest to the best of all networks",
        "Table 1",
        ("distance",),
        "of trained networks fitted in the same way a CLIP network has the smallest difference to the best over all vertices",
        outcome,
    )


def tuning_forgets(seen):
    rows, r = seen.get("tuning") or ((), float("nan"))
    known = [row for row in rows if np.isfinite(row["slope"]) and np.isfinite(row["share lost"])]
    outcome = Missing(RUNS, f"needs three networks or more, each before and after fine-tuning; found {len(known)}")
    if np.isfinite(r):
        told = "; ".join(f"{row['network']} slope {row['slope']:.2f}, {row['share lost']:+.0%} lost" for row in known)
        outcome = bool(r < 0), f"rank correlation {r:+.2f}; {told}"
    return finding(
        "Networks ordered as the brain is forget less when they are fine-tuned",
        "abstract, Fig. 6, short paper",
        ("slope-lost",),
        "the rank correlation of slope with the share of the score that is lost is negative",
        outcome,
    )


def score_follows_accuracy(seen):
    rows = {row["roi"]: row for row in seen.get("accuracy") or () if np.isfinite(row["r"])}
    known = [name for name in LEVELS if name in rows]
    outcome = Missing(
        RUNS, "needs the accuracy of three networks or more (fine-tuned here, or report --accuracy), V1 and EBA"
    )
    if "V1" in known and "EBA" in known:
        outcome = (
            bool(rows["EBA"]["r"] > rows["V1"]["r"]),
            ", ".join(f"{name} r {rows[name]['r']:+.2f}" for name in known),
        )
    return finding(
        "Scores of late areas go along with accuracy on other tasks more than those of early ones (our reading of 4.1)",
        "4.1",
        ("score-accuracy",),
        "over networks, accuracy correlates with the mean R² of EBA more than with that of V1",
        outcome,
    )


def diffusion_steps(seen):
    known = seen.get("steps")
    outcome = Missing(PAPERS, "needs sd-1.5 at several time steps, or one of its layers over time (sd-1.5:decoder-6)")
    if known:
        outcome = (
            any(a != b for a, b in known.values()),
            "; ".join(f"{k} {a:.4g} in early areas, {b:.4g} in late ones" for k, (a, b) in known.items()),
        )
    return finding(
        "A diffusion network's time steps map like layers: areas differ in the step that predicts them",
        "Fig. 5",
        ("time-steps", "time-scores"),
        "the step differs between the lowest and the highest area of the hierarchy",
        outcome,
    )


RULES = (
    factors_matter, topology_helps, hierarchy_aligns, objective_matters, objectives_lead_somewhere, training_helps, clip_leads,
    slope_scales, space_is_retinotopic, scale_rises, weights_find_layers, seeds_agree, regulariser_prevents_collapse, data_scales,
    hemispheres_share_channels, diversity_rises, score_follows_accuracy, diffusion_steps, tuning_forgets,
)  # fmt: skip
