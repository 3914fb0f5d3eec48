"""The rules of the report's checklist: how the numbers of a report decide on each claim of "Brain Decodes Deep Nets".

Each is the ``judge`` of a row of ``checklist.CLAIMS``: whether the claim holds and the numbers in words; None or ``Missing`` where it
cannot be judged.
"""

import re

import numpy as np

from factortopy.analysis.finite import rank_correlation
from factortopy.analysis.slope import LEVELS
from factortopy.report.missing import NOT_ASKED, PAPERS, RUNS, SUBJECT, Missing

NEAREST = 0.01  # R²: by less than this a network does not lead in an area
SIZES = ("s", "b", "m", "l", "xl", "h", "g")  # the last part of a registry name, small to large
OBJECTIVES = Missing(RUNS, "needs networks of different training, fitted in the same way")


# ---------------------------------------------------------------- what is missing


def new_fits(study):
    """Why a study of new fits is not here."""
    return lambda evidence: evidence.unfitted.get(study, Missing(NOT_ASKED, "needs new fits"))


def of_subject(what):
    """The subject lacks something, unless no trained network is here to begin with."""
    return lambda evidence: (
        Missing(SUBJECT, what) if evidence.trained(evidence.networks) else Missing(RUNS, "needs a trained network")
    )


def without_slope(evidence):
    """What is missing where no trained network has a slope."""
    if evidence.slopes or not evidence.trained(evidence.networks):
        return Missing(RUNS, "needs a trained network")
    return Missing(SUBJECT, "needs two of V1, V2, V3, OPA, EBA and a network of two layers")


def without_pairs(evidence):
    """What is missing where too few networks were fine-tuned."""
    needs = "needs three networks or more, each before and after fine-tuning"
    return Missing(RUNS, f"{needs}; found {len(_tuned(evidence))}")


# ---------------------------------------------------------------- what each part of the method does


def factors_matter(evidence):
    names = ("without layer", "without space", "without scale")
    parts = {row["model"]: (row["difference"], row["better"]) for row in evidence.ablation if row["model"] in names}
    if not parts:
        return None
    words = [f"{n} {parts[n][0]:+.3f}, {1 - parts[n][1]:.0%} of the vertices worse" for n in names if n in parts]
    return all(change < 0 and better < 0.5 for change, better in parts.values()), "; ".join(words)


def topology_helps(evidence):
    if not evidence.topology:
        return None
    (a, b), (x, y) = evidence.topology["smooth"], evidence.topology["score"]
    return a > b and x > y - 0.01, f"neighbours on one layer {a:.0%} and {b:.0%}; mean R² {x:.3f} and {y:.3f}"


def weights_find_layers(evidence):
    if not evidence.single:
        return None
    equal, chance, r = (evidence.single[key] for key in ("equal", "chance", "r"))
    return bool(equal > chance and r > 0.3), f"same layer {equal:.0%}, by chance {chance:.0%}; r of depth {r:.2f}"


def seeds_agree(evidence):
    if not evidence.seeds:
        return None
    r, near = evidence.seeds["layer_r"], evidence.seeds["layer_near"]
    return r > 0.8, f"r {r:.2f}, same layer or the next {near:.0%}"


def regulariser_prevents_collapse(evidence):
    if not evidence.decay:
        return None
    shortest, *others = evidence.decay
    shares = ", ".join(f"{row['one_layer']:.0%} on one layer at step {row['decay step']}" for row in evidence.decay)
    words = f"{shares}; recipe {shortest['recipe']} (the paper's finding is on its own recipe)"
    return shortest["collapsed"] and not all(row["collapsed"] for row in others), words


def data_scales(evidence):
    if not evidence.data:
        return None
    rises = np.all(np.diff([row["score"] for row in evidence.data]) > 0)
    return bool(rises), ", ".join(f"{row['score']:.3f} with {row['pictures']:,}" for row in evidence.data)


# ---------------------------------------------------------------- hierarchy


def hierarchy_aligns(evidence):
    rows = [row for row in evidence.slopes if evidence.networks[row["network"]].trained]
    if not rows:
        return None
    words = (f"{r['network']} {r['slope']:.2f} ({r['slope from']:.2f} to {r['slope to']:.2f})" for r in rows)
    return any(row["slope from"] > 0 for row in rows), "; ".join(words)


def objective_matters(evidence):
    slopes = {row["network"]: row for row in evidence.slopes}
    names = evidence.alike(slopes)
    if not evidence.differ(names):
        return OBJECTIVES if names else None
    pairs = [(slopes[a], slopes[b]) for a in names for b in names if evidence.objective(a) != evidence.objective(b)]
    low, high = max(pairs, key=lambda pair: pair[1]["slope from"] - pair[0]["slope to"])
    return low["slope to"] < high["slope from"], ", ".join(f"{r['network']} {r['slope']:.2f}" for r in (low, high))


def slope_scales(evidence):
    families, slopes = {}, {row["network"]: row for row in evidence.slopes}
    for name in evidence.alike(slopes):
        match = re.fullmatch(r"(.+)-([a-z]{1,2})", evidence.networks[name].name)
        if match and match[2] in SIZES:
            families.setdefault(match[1], []).append((SIZES.index(match[2]), slopes[name]))
    families = {name: [row for _, row in sorted(f, key=lambda p: p[0])] for name, f in families.items() if len(f) > 1}
    if not families:
        return None
    numbers = "; ".join(" ".join(f"{r['network']} {r['slope']:.2f}" for r in rows) for rows in families.values())
    if "clip" not in families:
        return Missing(PAPERS, f"needs CLIP in two sizes or more; {numbers}")
    return bool(np.all(np.diff([row["slope"] for row in families["clip"]]) > 0)), numbers


# ---------------------------------------------------------------- which network predicts best


def training_helps(evidence):
    row, ways = (evidence.scores or [{}])[-1], {}
    for name, network in evidence.networks.items():
        if name in row:
            ways.setdefault(network.fit, ([], []))[not network.trained].append(name)
    both = [(min(yes, key=row.get), max(no, key=row.get)) for yes, no in ways.values() if yes and no]
    if not both:
        return None
    words = (f"{worst} {row[worst]:.3f}, {best} {row[best]:.3f}" for worst, best in both)
    return all(row[worst] > row[best] for worst, best in both), "; ".join(words)


def objectives_lead_somewhere(evidence):
    rows = [row for row in evidence.distance if row["roi"] != "all"]
    if not rows and evidence.differ(evidence.alike(evidence.networks)):
        return Missing(SUBJECT, "needs areas")
    names = evidence.alike([n for n in evidence.networks if rows and n in rows[0]])
    if not evidence.differ(names):
        return None
    count = dict.fromkeys(names, 0)
    for row in rows:
        far = {n: float(np.nan_to_num(row[n], nan=np.inf)) for n in names}
        first = min(far, key=far.get)
        others = [far[n] for n in names if evidence.objective(n) != evidence.objective(first)]
        count[first] += bool(min(others) - far[first] >= NEAREST)
    words = (f"{n} nearest to the best in {c} of {len(rows)} areas" for n, c in count.items())
    return evidence.differ([n for n in names if count[n]]), ", ".join(words)


def clip_leads(evidence):
    row = (evidence.distance or [{}])[-1]
    names = evidence.alike([n for n in evidence.networks if n in row])
    clip = [n for n in names if evidence.networks[n].name.startswith("clip")]
    if not clip or len(clip) == len(names):
        return None
    best = min(names, key=row.get)
    return best in clip, f"{best} is nearest, {row[best]:.3f}"


def score_follows_accuracy(evidence):
    r = {row["roi"]: row["r"] for row in evidence.accuracy if np.isfinite(row["r"])}
    if "V1" not in r or "EBA" not in r:
        return None
    return bool(r["EBA"] > r["V1"]), ", ".join(f"{name} r {r[name]:+.2f}" for name in LEVELS if name in r)


def _tuned(evidence):
    """Rows of networks before and after fine-tuning that have a slope and a loss."""
    return [row for row in evidence.tuning[0] if np.isfinite(row["slope"]) and np.isfinite(row["share lost"])]


def tuning_forgets(evidence):
    r = evidence.tuning[1]
    if not np.isfinite(r):
        return None
    lost = (f"{row['network']} slope {row['slope']:.2f}, {row['share lost']:+.0%} lost" for row in _tuned(evidence))
    return bool(r < 0), f"rank correlation {r:+.2f}; {'; '.join(lost)}"


# ---------------------------------------------------------------- what vertices read


def scale_rises(evidence):
    ends = {n: evidence.scale[n] for n in evidence.trained(evidence.scale) if np.isfinite(sum(evidence.scale[n]))}
    if not ends:
        return None
    return all(b > a for a, b in ends.values()), "; ".join(f"{n} {a:.2f} to {b:.2f}" for n, (a, b) in ends.items())


def space_is_retinotopic(evidence):
    shares = {n: evidence.contralateral[n] for n in evidence.trained(evidence.contralateral)}
    shares = {n: share for n, share in shares.items() if np.isfinite(share)}
    if not shares:
        return None
    return all(v > 0.75 for v in shares.values()), ", ".join(f"{n} {v:.0%}" for n, v in shares.items())


def hemispheres_share_channels(evidence):
    areas = {n: rows for n in evidence.trained(evidence.hemispheres) if (rows := evidence.hemispheres[n])}
    share = {n: float(np.mean([r["same"] > r["other"] for r in rows])) for n, rows in areas.items()}
    if not share:
        return None
    return all(v > 0.5 for v in share.values()), ", ".join(f"{n} {v:.0%} of the areas" for n, v in share.items())


def diversity_rises(evidence):
    r = {}
    for name in evidence.trained(evidence.diversity):
        pairs = [(LEVELS[row["roi"]], row["diversity"]) for row in evidence.diversity[name] if row["roi"] in LEVELS]
        if len({level for level, _ in pairs}) > 2:
            r[name] = float(np.nan_to_num(rank_correlation(*zip(*pairs, strict=True))))  # 0 where none is more diverse
    if not r:
        return None
    return all(value > 0 for value in r.values()), ", ".join(f"{n} {value:+.2f}" for n, value in r.items())


def diffusion_steps(evidence):
    if not evidence.steps:
        return None
    words = (f"{k} {a:.4g} in early areas, {b:.4g} in late ones" for k, (a, b) in evidence.steps.items())
    return any(a != b for a, b in evidence.steps.values()), "; ".join(words)
