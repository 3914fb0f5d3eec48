"""The checklist's rules on scores, slopes and new fits: how a report's numbers decide on claims of "Brain Decodes Deep Nets".

Each is the ``judge`` of a row of ``claims.CLAIMS``: ``Tried``, or ``Missing`` where it cannot be judged.
"""

import numpy as np

from factortopy.analysis.estimates import (
    Estimate,
    Test,
    all_of,
    any_of,
    association,
    beside,
    difference_of_correlations,
    exchanged,
    larger,
    of_pairs,
    smaller,
)  # fmt: skip
from factortopy.analysis.finite import correlation
from factortopy.report.evidence import FITS
from factortopy.report.missing import RUNS, SUBJECT, Missing
from factortopy.report.tried import (
    CORRELATION,
    NETWORKS,
    OBJECTIVES,
    R2,
    SEEDS,
    SLOPE,
    R,
    Tried,
    in_words,
    new_fits,
    papers,
    without_answers,
)  # fmt: skip

SIZES = ("s", "b", "m", "l", "xl", "h", "g")  # the last part of a registry name, small to large
COLLAPSE, SMOOTHER, AGREE = 0.3, 0.05, 0.8  # share of vertices, share of neighbours, correlation
ENOUGH = 3000  # pictures
TRAININGS = 3  # kinds of training from which on it is asked whether one is the best everywhere
LATE_STEPS, EARLY_STEPS = 35, 15  # time steps from which on, up to which
EARLY_BEST, LATE_BEST = ("mae", "sam"), ("clip", "dinov2")
SHRINK = ("sam", "imagenet", "dinov2", "mocov3", "mae")


# ---------------------------------------------------------------- what each part of the method does


def factors_matter(evidence):
    names = ("without layer", "without space", "without scale")
    if evidence.ablation is None:
        return new_fits(evidence, "ablation")
    if missing := without_answers(evidence.ablation, ("full model", *names)):
        return missing
    lost = {n: evidence.scored({("full model", "all"): 1, (n, "all"): -1}, evidence.ablation) for n in names}
    return Tried(all_of(larger(e, R2) for e in lost.values()), _lines({n: in_words(-e) for n, e in lost.items()}))


def topology_helps(evidence):
    if not evidence.topology:
        return new_fits(evidence, "topology")
    answers, smooth = evidence.topology["answers"], evidence.topology["smooth"]
    if len(smooth) < FITS:
        return SEEDS
    if missing := without_answers(answers):
        return missing
    more = -beside(evidence.topology["without"], smooth)
    gain = evidence.scored({("with topology", "all"): 1, ("without topology", "all"): -1}, answers)
    words = f"neighbours on one layer {in_words(more, 2)}; mean R² {in_words(gain)}"
    return Tried(all_of((larger(more, SMOOTHER), larger(gain, -R2))), words)


def weights_find_layers(evidence):
    if evidence.single is None:
        return new_fits(evidence, "single")
    if len(evidence.single) < NETWORKS:
        return Missing(SUBJECT, f"needs {NETWORKS} areas or more")
    r, z, chance = association([row["learnt"] for row in evidence.single], [row["searched"] for row in evidence.single])
    both = larger(z, np.arctanh(R))
    words = f"rank correlation of depth over {len(evidence.single)} areas {r:.2f}, by chance {chance:.1%}"
    return Tried(Test(max(both.holds, chance), both.fails), words)


def seeds_agree(evidence):
    if not evidence.seeds:
        return new_fits(evidence, "seeds")
    if len({seed for pair in evidence.seeds for seed in pair}) < FITS:
        return SEEDS
    estimate = of_pairs({pair: np.arctanh(np.clip(r, -0.9999, 0.9999)) for pair, r in evidence.seeds.items()})
    words = (
        f"r {min(evidence.seeds.values()):.2f} to {max(evidence.seeds.values()):.2f} over {len(evidence.seeds)} pairs"
    )
    return Tried(larger(estimate, np.arctanh(AGREE)), words)


def regulariser_prevents_collapse(evidence):
    if not evidence.decay:
        return new_fits(evidence, "decay")
    usual = [fit["one_layer"] for fit in evidence.fits.get(evidence.studied, ())]
    if len(usual) < FITS:
        return SEEDS
    more = beside(evidence.decay[0]["one_layer"], usual)
    words = f"share on one layer {in_words(more, 2)} with the shortest decay; recipe {evidence.decay[0]['recipe']}"
    return Tried(larger(more, COLLAPSE), f"{words} (the paper's finding is on its own recipe)")


def data_scales(evidence):
    return _more_pictures(evidence, larger)


def enough_pictures(evidence):
    return _more_pictures(evidence, smaller, ENOUGH)


def _more_pictures(evidence, than, few=None):
    """The gain from few pictures (the fewest when None) to the most is larger, or smaller, than what counts."""
    if evidence.data is None:
        return new_fits(evidence, "data")
    if missing := without_answers(evidence.data):
        return missing
    names = evidence.data.names
    few, many = few or int(names[0]), int(names[-1])
    if str(few) not in names or many <= few:
        return Missing(SUBJECT, f"needs more than {few:,} pictures")
    gain = evidence.scored({(str(many), "all"): 1, (str(few), "all"): -1}, evidence.data)
    return Tried(than(gain, R2), f"mean R² {in_words(gain)} from {few:,} to {many:,} pictures")


# ---------------------------------------------------------------- hierarchy


def _slopes(evidence):
    """{name: ``Estimate``} of the slopes with several fits behind them: one alone has none."""
    return {n: h.estimates["slope"] for n, h in evidence.slopes.items() if h.estimates and h.fits >= FITS}


def _compared(evidence):
    """Slopes of trained networks that can be set against each other."""
    slopes = _slopes(evidence)
    return {name: slopes[name] for name in evidence.alike(slopes)}


def without_slope(evidence):
    """What is missing where no trained network has a slope with an interval."""
    if evidence.trained(evidence.slopes):
        return Missing(
            RUNS, "needs new fits of every slope (pictures or seeds drawn anew): one fit alone has no interval"
        )
    if not evidence.trained(evidence.networks):
        return Missing(RUNS, "needs a trained network")
    return Missing(SUBJECT, "needs two of V1, V2, V3, OPA, EBA and a network of two layers")


def hierarchy_aligns(evidence):
    slopes = {name: e for name, e in _slopes(evidence).items() if evidence.networks[name].trained}
    if not slopes:
        return without_slope(evidence)
    return Tried(
        any_of(larger(e, SLOPE) for e in slopes.values()), _lines({n: in_words(e, 2) for n, e in slopes.items()})
    )


def objective_matters(evidence):
    slopes = _compared(evidence)
    pairs = [(a, b) for a in slopes for b in slopes if evidence.objective(a) != evidence.objective(b)]
    if not pairs:
        return (
            OBJECTIVES if slopes and not evidence.differ(evidence.alike(evidence.slopes)) else without_slope(evidence)
        )
    differ = {pair: slopes[pair[0]] - slopes[pair[1]] for pair in pairs}  # both orders: either may be the steeper
    high, low = max(differ, key=lambda pair: differ[pair].value)
    return Tried(
        any_of(larger(e, SLOPE) for e in differ.values()), f"{high} less {low}: {in_words(differ[high, low], 2)}"
    )


def clip_aligns_best(evidence):
    slopes = _compared(evidence)
    clip = evidence.of_family(slopes, "clip")
    others = [n for n in slopes if n not in clip]
    if not clip or not others:
        return papers("CLIP beside networks of other objectives, with several fits of each")
    tests = [all_of(larger(slopes[c] - slopes[o], SLOPE) for o in others) for c in clip]
    return Tried(any_of(tests), _lines({n: in_words(e, 2) for n, e in slopes.items()}))


def _sizes(evidence, *families):
    """{family: slope of its largest network − that of its smallest}."""
    slopes, out = _compared(evidence), {}
    for family in families:
        own = {evidence.networks[n].name.split("-")[-1]: slopes[n] for n in evidence.of_family(slopes, family)}
        sizes = sorted((size for size in own if size in SIZES), key=SIZES.index)
        if len(sizes) > 1:
            out[family] = own[sizes[-1]] - own[sizes[0]]
    return out


def clip_gains(evidence):
    gain = _sizes(evidence, "clip")
    if not gain:
        return papers("CLIP in two sizes or more (clip-s to clip-xl), with several fits of each")
    return Tried(larger(gain["clip"], SLOPE), f"largest less smallest {in_words(gain['clip'], 2)}")


def others_shrink(evidence):
    gain = _sizes(evidence, *SHRINK)
    if not gain:
        return papers("SAM, ImageNet, DINOv2, MoCo v3 or MAE in two sizes or more, with several fits of each")
    words = _lines({n: in_words(e, 2) for n, e in gain.items()})
    return Tried(all_of(smaller(e, -SLOPE) for e in gain.values()), f"largest less smallest: {words}")


# ---------------------------------------------------------------- which network predicts best


def _with_answers(evidence):
    """(networks whose answers are here, what is missing)."""
    names = list(evidence.answers.names) if evidence.answers else []
    return names, without_answers(evidence.answers)


def training_helps(evidence):
    names, missing = _with_answers(evidence)
    pairs = [
        (a, b) for a in names for b in names
        if evidence.networks[a].trained and not evidence.networks[b].trained and evidence.networks[a].fit == evidence.networks[b].fit
    ]  # fmt: skip
    if not pairs:
        every = {network.trained for network in evidence.networks.values()}
        untrained = Missing(RUNS, "needs an untrained network beside a trained one, fitted in the same way")
        return missing if missing and len(every) > 1 else untrained
    if missing:
        return missing
    gain = {f"{a} less {b}": evidence.scored({(a, "all"): 1, (b, "all"): -1}) for a, b in pairs}
    return Tried(all_of(larger(e, R2) for e in gain.values()), _lines({n: in_words(e) for n, e in gain.items()}))


def _rivals(evidence):
    """(networks that can be compared, {name: those trained otherwise}), or what is missing."""
    names, missing = _with_answers(evidence)
    alike = evidence.alike(names)
    if not evidence.differ(alike):
        return OBJECTIVES if missing is None or not evidence.differ(evidence.alike(evidence.networks)) else missing
    return missing or {n: [o for o in alike if evidence.objective(o) != evidence.objective(n)] for n in alike}


def objectives_lead_somewhere(evidence):
    rivals = _rivals(evidence)
    if isinstance(rivals, Missing):
        return rivals
    if len({evidence.objective(n) for n in rivals}) < TRAININGS:
        needs = f"needs networks of {TRAININGS} kinds of training, fitted in the same way"
        return Missing(RUNS, f"{needs}: of two, one may well be ahead everywhere")
    finite = dict(zip(evidence.answers.areas, np.isfinite(evidence.answers.value).all(0), strict=True))
    areas = [area for area, use in finite.items() if use and area != "all"]
    if not areas:
        return Missing(SUBJECT, "needs areas")
    lead = {(n, a): [evidence.scored({(n, a): 1, (o, a): -1}) for o in rivals[n]] for n in rivals for a in areas}
    leads = {n: any_of(all_of(larger(e, R2) for e in lead[n, a]) for a in areas) for n in rivals}
    groups = {}
    for n, test in leads.items():
        groups.setdefault(evidence.objective(n), []).append(test)
    first, second, *_ = sorted(len(tests) * min(t.holds for t in tests) for tests in groups.values())
    # Two trainings or more lead: the second smallest chance, for as many trainings as could be the second.
    holds = min(1.0, (len(groups) - 1) * max(first, second))
    # One network leads, or none: nowhere is any other ahead of it.
    alone = [max(larger(-e, R2).fails for a in areas for e in lead[n, a]) for n in rivals]
    best = {a: max(rivals, key=lambda n: min(e.value for e in lead[n, a])) for a in areas}
    words = ", ".join(f"{n} largest in {sum(b == n for b in best.values())} of {len(areas)} areas" for n in rivals)
    return Tried(Test(holds, min(1.0, len(rivals) * min(alone))), words)


def clip_leads(evidence):
    names = evidence.alike(evidence.answers.names if evidence.answers else ())
    clip = evidence.of_family(names, "clip")
    if not clip or len(clip) == len(names):
        return papers("CLIP beside networks of other objectives")
    if missing := without_answers(evidence.answers):
        return missing
    others = [n for n in names if n not in clip]
    gain = {c: [evidence.scored({(c, "all"): 1, (o, "all"): -1}) for o in others] for c in clip}
    best = max(clip, key=lambda c: min(e.value for e in gain[c]))
    least = min(range(len(others)), key=lambda k: gain[best][k].value)
    tests = [all_of(larger(e, R2) for e in of) for of in gain.values()]
    return Tried(any_of(tests), f"{best} less {others[least]}: {in_words(gain[best][least])}")


def early_and_late_suit(evidence):
    names = evidence.alike(evidence.answers.names if evidence.answers else ())
    early, late = (evidence.of_family(names, *families) for families in (EARLY_BEST, LATE_BEST))
    if not early or not late:
        return papers("MAE or SAM beside CLIP or DINOv2")
    if missing := without_answers(evidence.answers):
        return missing
    if not {"V1", "EBA"} <= set(evidence.answers.areas):
        return Missing(SUBJECT, "needs V1 and EBA")
    weights = {}
    for sign, group in ((1, early), (-1, late)):
        for n in group:
            weights |= {(n, "V1"): sign / len(group), (n, "EBA"): -sign / len(group)}
    shift = evidence.scored(weights)
    words = f"{', '.join(early)} against {', '.join(late)}: lead in V1 less lead in EBA {in_words(shift)}"
    return Tried(larger(shift, R2), words)


def late_steps_predict(evidence):
    parts = {}
    for part, at in evidence.steps.items():
        late, early = [n for t, n in at.items() if t >= LATE_STEPS], [n for t, n in at.items() if t <= EARLY_STEPS]
        if late and early:
            parts[part] = late, early
    if not parts:
        return papers("sd-1.5 at early and at late time steps")
    if missing := without_answers(evidence.answers, [n for groups in parts.values() for of in groups for n in of]):
        return missing
    gain = {}
    for part, (late, early) in parts.items():
        for area in [a for a in ("V1", "EBA") if a in evidence.answers.areas] or ["all"]:
            weights = {(n, area): 1 / len(late) for n in late} | {(n, area): -1 / len(early) for n in early}
            gain[f"{part}, {area}"] = evidence.scored(weights)
    return Tried(all_of(larger(e, R2) for e in gain.values()), _lines({n: in_words(e) for n, e in gain.items()}))


# ---------------------------------------------------------------- over networks


def score_follows_accuracy(evidence):
    rows = {row["roi"]: row for row in evidence.accuracy}
    names = list(evidence.accuracies)
    if len(names) < NETWORKS or not {"V1", "EBA"} <= set(rows):
        needs = f"needs the accuracy of {NETWORKS} networks or more (fine-tuned here, or report --accuracy), V1 and EBA"
        return Missing(RUNS, needs)
    x = np.array([evidence.accuracies[n] for n in names])
    v1, eba = (np.array([rows[area][n] for n in names]) for area in ("V1", "EBA"))
    r, between = [correlation(x, y) for y in (eba, v1)], correlation(eba, v1)
    if not np.isfinite([*r, between]).all():
        return Missing(RUNS, "needs networks whose accuracy and scores differ")
    standard = [(y - y.mean()) / y.std() for y in (eba, v1)]
    chance = exchanged(len(x), lambda orders: (x[orders] - x.mean()) @ (standard[0] - standard[1]))
    both = larger(difference_of_correlations(*r, between, len(x)), R)
    return Tried(Test(max(chance, both.holds), both.fails), f"EBA r {r[0]:+.2f}, V1 r {r[1]:+.2f}, {len(x)} networks")


def tuning_forgets(evidence):
    rows = _tuned(evidence, "slope", "share lost")
    if len(rows) < NETWORKS:
        needs = f"needs {NETWORKS} networks or more, each before and after fine-tuning: with fewer no correlation is beyond chance"
        return Missing(RUNS, f"{needs}; found {len(rows)}")
    r, z, chance = association([row["slope"] for row in rows], [-row["share lost"] for row in rows])
    both = larger(z, np.arctanh(R))
    return Tried(Test(max(both.holds, chance), both.fails), f"rank correlation {-r:+.2f} over {len(rows)} networks")


def accuracy_is_apart(evidence):
    rows = _tuned(evidence, "accuracy after", "moved")
    if len(rows) < NETWORKS:
        return CORRELATION
    r, z, _ = association([row["accuracy after"] for row in rows], [row["moved"] for row in rows])
    limit = np.arctanh(0.5)
    within = all_of((larger(z, -limit), smaller(z, limit)))
    return Tried(within, f"rank correlation {r:+.2f} over {len(rows)} networks")


def _tuned(evidence, *columns):
    """One row a network that was fine-tuned, the means of its fine-tunings, of those that have these numbers."""
    groups = {}
    for row in evidence.tuning:
        values = [float(np.mean(row[c])) if row.get(c) is not None and np.size(row[c]) else np.nan for c in columns]
        if np.isfinite(values).all():
            groups.setdefault(row.get("base", row["network"]), []).append(values)
    return [dict(zip(columns, np.mean(of, 0), strict=True)) for of in groups.values()]


def subjects_agree(evidence):
    names = list(evidence.subjects)
    if len(names) < NETWORKS:
        return Missing(RUNS, f"needs {NETWORKS} networks or more, each fitted to the same two subjects or more")
    areas = [
        a
        for a in evidence.subjects[names[0]][0]
        if all(np.isfinite(s.get(a, np.nan)) for n in names for s in evidence.subjects[n])
    ]
    table = np.array([[[s[a] for a in areas] for s in evidence.subjects[n]] for n in names]).transpose(1, 2, 0)
    table = table - table.mean(-1, keepdims=True)  # (subjects, areas, networks): what networks differ by
    tests, rs = [], []
    for k in range(1, len(table)):
        for j in range(k):
            a, b = table[j], table[k]
            size = max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
            alike = lambda orders, a=a, b=b: np.einsum("an,amn->m", a, b[:, orders])  # noqa: E731
            r = float((a * b).sum() / size)
            both = larger(
                Estimate(float(np.arctanh(np.clip(r, -0.99, 0.99))), 1 / np.sqrt(len(names) - 3)), np.arctanh(R)
            )
            tests.append(Test(max(exchanged(len(names), alike), both.holds), both.fails))
            rs.append(r)
    words = f"networks differ alike in pairs of subjects, r {min(rs):.2f} to {max(rs):.2f}, {len(names)} networks"
    return Tried(all_of(tests), words)


def _lines(words):
    return "; ".join(f"{name} {value}" for name, value in words.items())
