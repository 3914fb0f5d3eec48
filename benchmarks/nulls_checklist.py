"""False verdicts of the report's checklist: every rule on evidence of noise alone, and on evidence with its effect planted.

The noise of a claim is evidence in which the claim is false: equal networks that differ by seed and by the noise of their answers, areas'
labels dealt at random over a map that all seeds share, networks' accuracies dealt at random; for a claim of absence, an effect of just the
size from which on it counts. `python -m benchmarks.statistics checklist` writes the table.
"""

from functools import partial

import numpy as np

from benchmarks.statistics import rejected
from factortopy.analysis.estimates import in_order
from factortopy.analysis.resampled import resampled
from factortopy.analysis.slope import LEVELS, PICTURES_AND_SEEDS, Hierarchy, allotted, estimate
from factortopy.encoder.encoder import Encoder
from factortopy.report.checklist import FAILS, HOLDS, checklist
from factortopy.report.claims import CLAIMS
from factortopy.report.evidence import Evidence, FittedNetwork
from factortopy.report.fits import AREAS, EARLY, MIDDLE, VENTRAL
from factortopy.report.map_rules import NOWHERE
from factortopy.report.plan import ABLATIONS
from factortopy.report.turned import INSIDE, Turner
from factortopy.storage.home import assets_dir
from factortopy.surfaces.meshes import load_mesh

AREA_NAMES = [area for area in AREAS if area != "LO"]
PICTURES, PER_AREA, SEEDS, LAYERS = 60, 6, 4, 12
SEED = 0.002  # R², standard deviation from seed to seed: that of the demo network's fits
NETWORKS = {
    "clip-s": "captions", "clip-xl": "captions", "sam-b": "segments", "sam-h": "segments", "mae-b": "masked", "imagenet-b": "classes",
    "dinov2-b": "distilled", "mocov3-b": "views", "clip-xl untrained": "",
}  # fmt: skip


def networks(names=None):
    """{name: FittedNetwork} that are all fitted in one way."""
    names = NETWORKS if names is None else names
    return {n: FittedNetwork(n.removesuffix(" untrained"), NETWORKS.get(n, n), "", "untrained" not in n) for n in names}


def answers(rng, names, better=lambda name, area: 0.0):
    """Answers of networks that are equally good, give or take a seed's luck; ``better``: R² by which one is ahead in an area."""
    areas = dict.fromkeys(["V1", "V2", "OPA", "EBA"])
    n = PER_AREA * len(areas)
    masks = {a: np.arange(n) // PER_AREA == k for k, a in enumerate(areas)} | {"all": np.ones(n, bool)}
    shared, signal = rng.normal(size=(2, PICTURES, n))
    measured = np.sqrt(0.6) * signal + np.sqrt(0.4) * shared
    predicted = {}
    for name in names:
        luck = rng.normal(0, SEED)
        gain = np.concatenate([np.full(PER_AREA, 0.3 + luck + better(name, a)) for a in areas])
        own = np.sqrt(0.02) * rng.normal(size=(PICTURES, n))
        # The residual of signal · (1 − g): R² = 1 − (0.6 (1 − g)² + 0.4 + 0.02).
        g = 1 - np.sqrt(np.clip((1 - gain - 0.42) / 0.6, 0, None))
        predicted[name] = np.sqrt(0.6) * g * signal + own
    return resampled(measured, predicted, masks, draws=300, seed=int(rng.integers(1 << 31)))


def dealt(rng, low=0.1, high=0.9):
    """{area: number} at random: a map whose areas' labels mean nothing."""
    return dict(zip(AREA_NAMES, rng.uniform(low, high, len(AREA_NAMES)), strict=True))


def seeds_of(rng, means, noise=0.02):
    """One fit's (left, right) numbers by area."""
    return {area: tuple(rng.normal(mean, noise, 2)) for area, mean in means.items()}


def fits(rng, names, effect=False):
    """Fits of ``SEEDS`` seeds of each network; with the effects that the paper tells of, or with none."""
    out = {}
    for name in names:
        family = name.split("-")[0]
        scale, layer, first, last = (dealt(rng, *ends) for ends in ((0.1, 0.9), (0.3, 0.7), (0.1, 0.5), (0.0, 0.3)))
        spread = dealt(rng, 0.2, 0.6)
        last = {a: max(v, NOWHERE / LAYERS) for a, v in last.items()}
        cosines = rng.uniform(0, 0.9, (len(AREA_NAMES),) * 2)
        opposite = (0.75, 0.75)
        if effect:
            scale = {a: 0.2 + 0.6 * LEVELS.get(a, 0.8) for a in AREA_NAMES}
            spread = {a: 0.2 + 0.4 * LEVELS.get(a, 0.8) for a in AREA_NAMES}
            layer = {a: 0.5 for a in AREA_NAMES}
            if "decoder-6" in name:
                layer = {a: 0.2 + 0.5 * k / len(AREA_NAMES) for k, a in enumerate(AREA_NAMES)}
            first = {a: 0.2 + 0.4 * (a in EARLY and family in ("clip", "imagenet")) for a in AREA_NAMES}
            inside = {"imagenet": MIDDLE, "sam": MIDDLE, "mocov3": VENTRAL}.get(family, ())
            last = {a: 0.01 + 0.3 * (a in inside) for a in AREA_NAMES}
            cosines = rng.uniform(0, 0.2, (len(AREA_NAMES),) * 2) + 0.6 * np.eye(len(AREA_NAMES)) * (
                family not in ("sam", "mae")
            )
            opposite = (0.9, 0.85)
        out[name] = [
            {
                "score": {a: 0.3 + rng.normal(0, SEED) for a in ("all", "V1", "V2", "OPA", "EBA")}, "layers": LAYERS,
                "scale": seeds_of(rng, scale), "layer": seeds_of(rng, layer), "first": seeds_of(rng, first),
                "last": seeds_of(rng, last, 0.005), "diversity": {a: rng.normal(v, 0.01) for a, v in spread.items()},
                "contralateral": tuple(rng.normal(opposite, 0.02)), "one_layer": rng.uniform(0.2, 0.4),
                "cosines": (AREA_NAMES, cosines + rng.normal(0, 0.02, cosines.shape)),
            }
            for _ in range(SEEDS)
        ]  # fmt: skip
    return out


def slopes(rng, true, pictures=0.03, seed=0.03, refits=20):
    """{name: ``Hierarchy``} with the interval that refits give (``slope.estimate``): of every network other pictures and seeds."""
    out, (halves, seeds) = {}, allotted(refits)
    for name, value in true.items():
        moved = np.stack([apart := rng.normal(0, pictures, halves // 2), -apart], 1).ravel()
        drawn = value + moved + rng.normal(0, 2**0.5 * seed, halves), value + rng.normal(0, seed, seeds)
        own = estimate(rng.normal(value, np.hypot(pictures, seed)), *drawn)
        out[name] = Hierarchy(0.1, 0.1 + own.value, {"slope": own}, PICTURES_AND_SEEDS, refits + 1)
    return out


def tuned(rng, count=8, effect=False):
    """Rows of networks before and after fine-tuning."""
    rows = []
    for k in range(count):
        family = "clip" if k == 0 else f"net{k}"
        slope, base = rng.uniform(0, 0.6), 0.05 if effect and k == 0 else 0.15 if effect else 0.1
        share = 0.5 - 0.6 * slope + rng.normal(0, 0.02) if effect else rng.uniform(0, 0.6)
        rows.append(
            {"network": f"{family} fine-tuned", "base": f"{family}-b", "family": family, "slope": slope, "share lost": share,
             "accuracy after": rng.uniform(0.5, 0.9), "moved": list(rng.normal(base, 0.01, SEEDS))}
        )  # fmt: skip
    return rows


def apart(rng, count, planted):
    """Rows for the claim that accuracy and moved maps do not go together: correlated at the limit, or not at all."""
    rho = 0.0 if planted else 2 * np.sin(np.pi * 0.5 / 6)  # Pearson's of Spearman's 0.5
    x = rng.normal(size=count)
    if planted:  # the correlation of just these is near 0
        y = np.tile([1.0, -1.0, -1.0, 1.0], count // 4 + 1)[:count] + 0.01 * rng.normal(size=count)
        x = np.sort(x)
    else:
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=count)
    return [
        {"network": f"n{k}", "base": f"n{k}", "accuracy after": a, "moved": [b], "slope": np.nan, "share lost": np.nan}
        for k, (a, b) in enumerate(zip(x, y, strict=True))
    ]


def evidence(rule, rng, planted=False):
    """Evidence in which the claim of this rule is false, or true (``planted``)."""
    return _EVIDENCE[rule](rng, planted)


def _with_maps(names, own, **more):
    """Evidence of maps whose turned p always lets them pass: labels and seeds have to hold the line alone."""
    turned = {n: dict.fromkeys(("scale", "diversity", "symmetry", *INSIDE), 0.0) for n in names}
    return Evidence(networks(names), fits=own, turned=turned, **more)


def _answers_only(names, better):
    def make(rng, planted):
        gain = better if planted else lambda name, area: 0.0
        return Evidence(networks(names), answers(rng, names, gain), fits(rng, names))

    return make


def _ablation(rng, planted):
    names = list(ABLATIONS)[:4]
    own = answers(rng, names, lambda n, a: -0.08 * (planted and n.startswith("without")))
    return Evidence(networks(["clip-xl"]), fits=fits(rng, ["clip-xl"]), ablation=own, studied="clip-xl")


def _topology(rng, planted):
    both = answers(rng, ["with topology", "without topology"], lambda n, a: 0.08 * (planted and n.startswith("with ")))
    smooth = rng.normal(0.6, 0.01, SEEDS + 1)
    topology = {"smooth": list(smooth[1:]), "without": smooth[0] - 0.3 * planted, "answers": both}
    return Evidence(networks(["clip-xl"]), fits=fits(rng, ["clip-xl"]), topology=topology, studied="clip-xl")


def _data(rng, planted):
    own = answers(rng, ["100", "10000"], lambda n, a: 0.08 * (planted and n == "10000"))
    return Evidence(networks(["clip-xl"]), fits=fits(rng, ["clip-xl"]), data=own, studied="clip-xl")


def _enough(rng, planted):
    more = answers(rng, ["3000", "10000"], lambda n, a: (-0.05 if planted else 0.005) * (n == "10000"))
    return Evidence(networks(["clip-xl"]), fits=fits(rng, ["clip-xl"]), data=more, studied="clip-xl")


def _decay(rng, planted):
    own = fits(rng, ["clip-xl"])
    shortest = {"decay step": 1, "one_layer": 0.95 if planted else float(rng.uniform(0.2, 0.4)), "recipe": "paper"}
    return Evidence(networks(["clip-xl"]), fits=own, decay=[shortest], studied="clip-xl")


def _single(rng, planted):
    x = rng.uniform(size=len(AREA_NAMES))
    y = x + rng.normal(0, 0.05, len(x)) if planted else rng.uniform(size=len(x))
    return Evidence(single=[{"roi": a, "learnt": p, "searched": q} for a, p, q in zip(AREA_NAMES, x, y, strict=True)])


def _seeds(rng, planted):
    maps = rng.normal(size=(SEEDS, 40)) + 5 * planted * rng.normal(size=40)  # 40 patches that vary as one: a smooth map
    r = np.corrcoef(maps)
    return Evidence(seeds={(a, b): r[a, b] for a in range(SEEDS) for b in range(a)})


def _slopes(make):
    def of(rng, planted):
        true = make(rng) if planted is True else dict.fromkeys(list(NETWORKS)[:8], 0.0 if planted is False else planted)
        return Evidence(networks(true), slopes=slopes(rng, true))

    return of


def _maps(rng, planted):
    names = list(NETWORKS)[:8]
    own = fits(rng, names, planted)
    if not planted:  # networks that are equal: the same map, other seeds
        for name in names[1:]:
            for mine, first in zip(own[name], own[names[0]], strict=True):
                table = first["cosines"][1]
                mine["cosines"] = AREA_NAMES, table + rng.normal(0, 0.02, table.shape)
    return _with_maps(names, own)


def _one_map(rng, planted):
    return _with_maps(["clip-xl"], fits(rng, ["clip-xl"], planted))


def _family_map(name):
    def make(rng, planted):
        return _with_maps([name], fits(rng, [name], planted))

    return make


def _nowhere(rng, planted):
    own = fits(rng, ["mae-b"], planted)
    if not planted:
        for fit in own["mae-b"]:
            fit["last"] = seeds_of(rng, dict.fromkeys(AREA_NAMES, NOWHERE / LAYERS), 0.005)
    return Evidence(networks(["mae-b"]), fits=own)


def _diffusion_steps(rng, planted):
    names = ["sd-1.5@5", "sd-1.5@50"]
    own = answers(rng, names, lambda n, a: 0.08 * (planted and n.endswith("@50")))
    return Evidence(networks(names), own, fits(rng, names), steps={"all layers": {5: names[0], 50: names[1]}})


def _diffusion_maps(rng, planted):
    names = ["sd-1.5@40", "sd-1.5:decoder-6"]
    own = fits(rng, names, planted)
    if not planted:
        means = dealt(rng, 0.3, 0.7)
        for name in names:
            for fit in own[name]:
                fit["layer"] = seeds_of(rng, means)
    return Evidence(networks(names), fits=own, steps={"all layers": {40: names[0]}}, over_time=names[1:])


def _tuning(rng, planted):
    return Evidence(tuning=tuned(rng, 8, planted))


def _apart(rng, planted):
    return Evidence(tuning=apart(rng, 40 if planted else 12, planted))


def _accuracy(rng, planted):
    """False: accuracy goes along with both areas alike, or with neither."""
    names = [f"n{k}" for k in range(9)]
    x, v1, eba = rng.normal(size=(3, 9))
    if planted:
        eba, v1 = x + 0.1 * eba, -x + 0.3 * v1
    elif rng.random() < 0.5:
        shared = x + rng.normal(size=9)
        eba, v1 = shared + 0.5 * eba, shared + 0.5 * v1
    rows = [
        {"roi": a, "r": np.corrcoef(x, y)[0, 1]} | dict(zip(names, y, strict=True))
        for a, y in (("V1", v1), ("EBA", eba))
    ]
    return Evidence(accuracy=rows, accuracies=dict(zip(names, x, strict=True)))


def _subjects(rng, planted):
    names, areas = [f"n{k}" for k in range(8)], AREA_NAMES[:6]
    shared = rng.normal(0, 0.02, (8, 6)) * planted
    table = shared[:, None] + rng.normal(0, 0.004, (8, 3, 6)) + np.linspace(0.2, 0.1, 6)
    return Evidence(
        subjects={n: [dict(zip(areas, s, strict=True)) for s in of] for n, of in zip(names, table, strict=True)}
    )


_GAINS = {"mae-b": {"V1": 0.1}, "sam-b": {"V1": 0.1}, "clip-xl": {"EBA": 0.1}, "dinov2-b": {"EBA": 0.06}}
_PAIR = ["clip-xl", "mae-b", "dinov2-b", "sam-b"]
_EVIDENCE = {
    "factors_matter": _ablation,
    "topology_helps": _topology,
    "weights_find_layers": _single,
    "seeds_agree": _seeds,
    "regulariser_prevents_collapse": _decay,
    "data_scales": _data,
    "enough_pictures": _enough,
    "hierarchy_aligns": _slopes(lambda rng: {"clip-xl": 0.5, "mae-b": 0.3}),
    "objective_matters": _slopes(lambda rng: {"clip-xl": 0.6, "sam-b": 0.1}),
    "clip_aligns_best": _slopes(lambda rng: {"clip-xl": 0.6, "sam-b": 0.1, "mae-b": 0.2}),
    "clip_gains": _slopes(lambda rng: {"clip-xl": 0.6, "clip-s": 0.1}),
    "others_shrink": _slopes(lambda rng: {"sam-b": 0.5, "sam-h": 0.1}),
    "training_helps": _answers_only(["clip-xl", "clip-xl untrained"], lambda n, a: 0.0 if "untrained" in n else 0.1),
    "objectives_lead_somewhere": _answers_only(_PAIR[:3], lambda n, a: _GAINS[n].get(a, 0.0) * (n != "dinov2-b")),
    "clip_leads": _answers_only(_PAIR[:2], lambda n, a: 0.1 * (n == "clip-xl")),
    "early_and_late_suit": _answers_only(_PAIR, lambda n, a: _GAINS[n].get(a, 0.0)),
    "late_steps_predict": _diffusion_steps,
    "score_follows_accuracy": _accuracy,
    "tuning_forgets": _tuning,
    "accuracy_is_apart": _apart,
    "subjects_agree": _subjects,
    "space_is_retinotopic": _one_map,
    "scale_rises": _one_map,
    "diversity_rises": _one_map,
    "last_layers_in_the_middle": _family_map("sam-b"),
    "last_layers_nowhere": _nowhere,
    "last_layers_ventral": _family_map("mocov3-b"),
    "first_layers_early": _maps,
    "hemispheres_share_channels": _one_map,
    "symmetry_of_others": _maps,
    "clip_keeps_its_map": _tuning,
    "steps_separate": _diffusion_maps,
}


def verdicts(claim, count, planted=False, seed=0):
    """The verdicts of one claim alone on so many simulated reports."""
    rngs = np.random.default_rng(seed).spawn(count)
    return [checklist(evidence(claim.judge.__name__, rng, planted), (claim,))[0].verdict for rng in rngs]


def smooth_maps(count, width=0.2, seed=0):
    """Rows on smooth noise (kernel of ``width`` radians on the sphere) under the demo subject's own areas."""
    encoder = Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    sphere = load_mesh(encoder.density).coords["sphere"]
    places = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    places = places[encoder.vertices.rows]
    turn = Turner(encoder.vertices, encoder.rois, np.ones(encoder.n_vertices, bool), sphere)
    sides = [np.flatnonzero(encoder.hemi == side) for side in (0, 1)]
    kernels = [np.exp(-np.square(np.arccos(np.clip(places[s] @ places[s].T, -1, 1))) / (2 * width**2)) for s in sides]
    levels = {a: level for a, level in LEVELS.items() if a in encoder.rois}
    tests = {"scale": turn.rising, "labels alone, for comparison": lambda v: in_order(
        [v[encoder.rois[a]].mean() for a in levels], list(levels.values())
    )} | {key: partial(turn.inside, inside=inside, outside=outside) for key, (_, inside, outside) in INSIDE.items()}  # fmt: skip
    rng, false = np.random.default_rng(seed), dict.fromkeys((*tests, "symmetry of channels"), 0)
    for _ in range(count):
        values = np.zeros(encoder.n_vertices)
        for rows_of_side, kernel in zip(sides, kernels, strict=True):
            values[rows_of_side] = kernel @ rng.normal(size=len(rows_of_side))
        for key, test in tests.items():
            false[key] += test(values) <= 0.05
        channels = np.zeros((encoder.n_vertices, 16))
        for rows_of_side, kernel in zip(sides, kernels, strict=True):
            channels[rows_of_side] = kernel @ rng.normal(size=(len(rows_of_side), 16))
        false["symmetry of channels"] += turn.more_symmetrical(channels) <= 0.05
    return [rejected(f"checklist, map turned: {key}", "smooth noise", n, count) for key, n in false.items()]


def rows(full=True):
    """Rows of the table of ``benchmarks.statistics``: one a claim."""
    count = 2000 if full else 40
    out = smooth_maps(count)
    for claim in CLAIMS:
        noise, there = verdicts(claim, count), verdicts(claim, count // 20, planted=True, seed=1)
        false, wrong = noise.count(HOLDS), there.count(FAILS)
        found = {"holds where planted": there.count(HOLDS) / len(there), "fails where planted": wrong / len(there)}
        out.append(rejected(f"checklist: {claim.claim}", "the claim is false", false, count, **found))
    return out
