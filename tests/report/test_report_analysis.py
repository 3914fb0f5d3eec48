"""What the report adds to the analyses: planted differences come back with their known numbers."""

from dataclasses import replace

import numpy as np
import pytest
from compared import L, N, made

from factortopy import analysis
from factortopy.analysis import averaging, curves, scores, single_layer
from factortopy.errors import InputError
from factortopy.report import checklist, rules
from factortopy.report.checklist import FAILS, HOLDS, OPEN
from factortopy.report.evidence import Evidence, FittedNetwork


def with_layers(index, score=0.3, **more):
    """An encoder whose vertices have all their weight on the layers ``index`` (N,)."""
    return made(np.full(N, score), layer=np.eye(L, dtype=np.float32)[np.broadcast_to(index, N)], **more)


# ---------------------------------------------------------------- scores


def test_pearson_is_numpys_and_says_what_is_not_known():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((50, 4))
    p = 3 * y + rng.standard_normal((50, 4)) - 7
    y[:, 3] = 2.0
    r = scores.pearson(y, p)
    np.testing.assert_allclose(r[:3], [np.corrcoef(y[:, k], p[:, k])[0, 1] for k in range(3)], rtol=1e-5)
    assert np.isnan(r[3])


def test_normalised_score_is_the_share_of_the_ceiling():
    found = scores.normalised(np.array([0.3, 0.3, 0.3, -0.1]), np.array([0.6, 0.05, np.nan, 0.5]))
    np.testing.assert_allclose(found, [0.5, np.nan, np.nan, -0.2])
    assert np.isnan(scores.normalised(np.zeros(3), None)).all()


def test_challenge_metric_by_hand():
    r = np.array([0.6, -0.5, 0.9, np.nan, 0.3, 0.3, 0.2], np.float32)
    ceiling = np.array([0.72, 0.5, 0.5, 0.4, np.nan, 0.0, 0.16])
    # 0.36 / 0.72; below 0; 0.81 / 0.5 clipped; a prediction that never changes; unknown; no ceiling; 0.04 / 0.16
    np.testing.assert_allclose(scores.challenge(r, ceiling), [0.5, 0, 1, 0, np.nan, np.nan, 0.25], atol=1e-6)
    assert np.isnan(scores.challenge(r, None)).all() and len(scores.challenge(None, ceiling)) == 0
    assert np.isnan(scores.challenge(np.full(2, np.nan), np.ones(2))).all()  # scored before r was kept
    encoder = made(np.full(N, 0.25))
    encoder.scores["pearson"] = np.where(np.arange(N) < N // 4, 0.5, 0.1).astype(np.float32)
    encoder.noise_ceiling = np.full(N, 0.5)
    row = analysis.by_roi(encoder)[-1]
    assert row["challenge"] == pytest.approx((0.5 * (N // 4) + 0.02 * (N - N // 4)) / N)
    assert row["challenge_median"] == pytest.approx(0.02)


def test_table_has_new_columns_and_old_runs_leave_them_empty():
    encoder = made(np.full(N, 0.25))
    rows = {row["roi"]: row for row in analysis.by_roi(encoder)}
    assert rows["V1"]["normalised"] == pytest.approx(0.5) and np.isnan(rows["V1"]["pearson"])
    encoder.scores["pearson"] = np.full(N, 0.7, np.float32)
    assert analysis.by_roi(encoder)[-1]["pearson"] == pytest.approx(0.7)


# ---------------------------------------------------------------- averages over subjects


def test_average_of_two_subjects():
    a, b = with_layers(0, 0.2), with_layers(L - 1, 0.6)
    b.rois = {"V1": np.zeros(N, bool), "EBA": a.rois["EBA"]}
    b.scores["score"][3] = np.nan
    b.scores["predicted"][:] = 0
    mean = averaging.average([a, b])
    assert mean.scores["score"][0] == pytest.approx(0.4) and mean.scores["score"][3] == pytest.approx(0.2)
    np.testing.assert_allclose(mean.selectors().layer_mean, 0.5)
    assert mean.scores["predicted"].all() and mean.rois["EBA"].any()
    assert mean.rois["V1"].sum() == a.rois["V1"].sum()  # half of two subjects is enough
    assert averaging.average([a]) is a
    np.testing.assert_allclose(a.scores["score"], 0.2)  # the subjects' own stay as they are


def test_average_needs_the_same_vertices_and_layers():
    with pytest.raises(InputError, match="subject 2"):
        averaging.average([made(np.zeros(N)), made(np.zeros(40), n=40)])
    other = made(np.zeros(N), layer=np.eye(3, dtype=np.float32)[np.zeros(N, int)])
    with pytest.raises(InputError, match="4, 3 layers"):
        averaging.average([made(np.zeros(N)), other])


# ---------------------------------------------------------------- numbers along a setting


def test_collapse_and_layers_used():
    one, spread = curves.in_numbers(with_layers(2)), curves.in_numbers(with_layers(np.arange(N) % L))
    assert one["one_layer"] == 1 and one["layers_used"] == pytest.approx(1) and curves.collapsed(one)
    assert spread["one_layer"] == 0.25 and spread["layers_used"] == pytest.approx(4) and not curves.collapsed(spread)
    assert one["slope"] == pytest.approx(0, abs=1e-6) and one["confidence"] == pytest.approx(1)


def test_numbers_without_areas_or_predicted_vertices():
    bare = with_layers(0, predicted=False)
    bare.rois = {}
    row = curves.in_numbers(bare)
    assert np.isnan(row["slope"]) and np.isnan(row["one_layer"]) and not curves.collapsed(row)
    assert row["score"] == pytest.approx(0.3)


def test_smoothness_counts_neighbours():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    encoder = with_layers(np.where(np.arange(N) < 3, 0, 1))
    assert curves.smoothness(encoder, edges) == pytest.approx(3 / 4)
    encoder.scores["predicted"][2] = 0
    assert curves.smoothness(encoder, edges) == pytest.approx(1)
    assert np.isnan(curves.smoothness(encoder, edges[1:2]))


def test_neighbours_are_edges_of_the_mesh():
    from factortopy.surfaces.meshes import load_mesh

    encoder = made(np.zeros(N))
    pairs = curves.neighbours(encoder)
    assert (encoder.hemi[pairs[:, 0]] == encoder.hemi[pairs[:, 1]]).all() and (pairs[:, 0] < pairs[:, 1]).all()
    mesh = load_mesh(encoder.density)
    vertex = encoder.vertex[pairs] + mesh.n * encoder.hemi[pairs].astype(int)
    faces = {frozenset(face) for face in mesh.faces.tolist()}
    assert all(any(set(pair) <= face for face in faces) for pair in vertex[:20].tolist())


def test_ablation_is_measured_against_the_full_model():
    better = np.full(N, 0.2)
    better[:6] = 0.5
    rows = curves.ablation({"full": made(np.full(N, 0.3)), "less": made(better)}, "full")
    assert rows[0]["difference"] == 0 and rows[1]["difference"] == pytest.approx(better.mean() - 0.3)
    assert rows[1]["better"] == pytest.approx(0.1) and rows[1]["EBA"] == pytest.approx(0.2)


# ---------------------------------------------------------------- single layers


def test_grid_search_finds_planted_layers():
    truth = np.arange(N) * L // N
    full = with_layers(truth)
    singles = {k: made(np.where(truth == k, 0.5, 0.1)) for k in range(L)}
    assert (single_layer.best_single_layer(singles) == truth).all()
    rows, told = single_layer.against_learnt(full, singles)
    assert told["equal"] == 1 and told["near"] == 1 and told["r"] == pytest.approx(1)
    assert told["chance"] == pytest.approx(0.25)
    by_roi = {row["roi"]: row for row in rows}
    assert by_roi["all"]["best_single"] == pytest.approx(0.2) and by_roi["all"]["full"] == pytest.approx(0.3)
    assert by_roi["V1"]["searched"] == pytest.approx(truth[full.rois["V1"]].mean() / (L - 1))
    _, wrong = single_layer.against_learnt(with_layers(truth[::-1]), singles)
    assert wrong["equal"] == 0 and wrong["r"] == pytest.approx(-1)


def test_grid_search_of_some_layers():
    truth = np.arange(N) * L // N
    singles = {k: made(np.where(truth == k, 0.5, 0.1)) for k in (0, 3)}
    rows, told = single_layer.against_learnt(with_layers(truth), singles)
    assert {"R² 1", "R² 4", "weight 1", "weight 4"} <= set(rows[0]) and "R² 2" not in rows[0]
    with pytest.raises(InputError, match="two or more of the 4"):
        single_layer.against_learnt(with_layers(truth), {0: singles[0]})
    with pytest.raises(InputError, match="found"):
        single_layer.against_learnt(with_layers(truth), {0: singles[0], 9: singles[3]})


# ---------------------------------------------------------------- the checklist


def finding(rule, evidence):
    """What one rule of the checklist comes to."""
    (claim,) = (claim for claim in checklist.CLAIMS if claim.judge is rule)
    return claim.judged(evidence)


def verdict(rule, evidence):
    return finding(rule, evidence).verdict


def test_nothing_measured_means_nothing_is_judged():
    assert {f.verdict for f in checklist.checklist(Evidence())} == {OPEN}


def slope(name, value, width=0.02):
    return {"network": name, "slope": value, "slope from": value - width, "slope to": value + width}


def test_verdicts_follow_the_numbers():
    networks = {name: FittedNetwork(name, trained=name != "a untrained") for name in ("a", "b", "a untrained")}
    evidence = Evidence(
        networks,
        scores=[{"roi": "all", "a": 0.4, "b": 0.3, "a untrained": 0.2}],
        distance=[{"roi": "V1", "a": 0.1, "b": 0.0, "a untrained": 0.3}, {"roi": "all", "a": 0.0, "b": 0.1, "a untrained": 0.3}],
        slopes=[slope("a", 0.5), slope("b", 0.1), slope("a untrained", 0.9)],
        scale={"a": (0.2, 0.8), "b": (0.6, 0.5), "a untrained": (0.9, 0.1)},
        contralateral={"a": 0.9, "b": 0.8, "a untrained": 0.1},
        decay=[{"decay step": 1, "one_layer": 0.95, "collapsed": True, "recipe": "fast"},
               {"decay step": 60, "one_layer": 0.4, "collapsed": False, "recipe": "fast"}],
        data=[{"pictures": 100, "score": 0.2}, {"pictures": 300, "score": 0.1}],
        ablation=[{"model": f"without {w}", "difference": -0.1, "better": 0.2} for w in ("layer", "space", "scale")],
        seeds={"layer_r": 0.9, "layer_near": 0.8},
        single={"equal": 0.1, "chance": 0.3, "r": 0.1},
    )  # fmt: skip
    verdicts = {claim.judge.__name__: claim.judged(evidence).verdict for claim in checklist.CLAIMS}
    holds = {n for n, v in verdicts.items() if v == HOLDS}
    fails = {n for n, v in verdicts.items() if v == FAILS}
    assert holds == {"factors_matter", "hierarchy_aligns", "objective_matters", "training_helps", "space_is_retinotopic",
                     "seeds_agree", "regulariser_prevents_collapse"}  # fmt: skip
    assert fails == {"scale_rises", "weights_find_layers", "data_scales", "objectives_lead_somewhere"}
    assert finding(rules.factors_matter, evidence).explanation.count("−0.100") == 3


def fits(**networks):
    """Networks of a report as ``Entry.network`` has them, from {name: (network, fit)}."""
    return {name: FittedNetwork(network, fit=fit) for name, (network, fit) in networks.items()}


def change(evidence, key, **changes):
    evidence.networks[key] = replace(evidence.networks[key], **changes)


def test_two_fits_of_one_network_are_not_two_networks():
    areas = [{"roi": "V1", "a": 0.0, "a300": 0.1}, {"roi": "EBA", "a": 0.1, "a300": 0.0}]
    evidence = Evidence(fits(a=("vit", ""), a300=("vit", "300 pictures")), slopes=[slope("a", 0.7), slope("a300", 0.3)],
                        distance=[*areas, {"roi": "all", "a": 0.1, "a300": 0.2}])  # fmt: skip
    for rule in (rules.objective_matters, rules.objectives_lead_somewhere):
        assert verdict(rule, evidence) == OPEN and "different training" in finding(rule, evidence).explanation
    # Another network, but fitted otherwise than the first one: still nothing to set against it.
    change(evidence, "a300", name="mae")
    assert verdict(rules.objective_matters, evidence) == OPEN
    change(evidence, "a300", fit="")
    assert verdict(rules.objective_matters, evidence) == HOLDS
    assert verdict(rules.objectives_lead_somewhere, evidence) == HOLDS
    for name in evidence.networks:  # two sizes of one training
        change(evidence, name, objective="categories")
    assert verdict(rules.objective_matters, evidence) == OPEN


def test_a_lead_needs_a_margin_and_a_trained_network():
    near = [{"roi": "V1", "a": 0.0, "b": 0.009}, {"roi": "EBA", "a": 0.02, "b": 0.0}]
    evidence = Evidence(fits(a=("a", ""), b=("b", "")), distance=near)
    assert verdict(rules.objectives_lead_somewhere, evidence) == FAILS
    near[0]["b"] = 0.011
    assert verdict(rules.objectives_lead_somewhere, evidence) == HOLDS
    change(evidence, "a", trained=False)
    assert verdict(rules.objectives_lead_somewhere, evidence) == OPEN


def test_training_is_judged_within_one_way_of_fitting():
    networks = fits(a=("a", ""), few=("a", "300 pictures"), none=("a", ""))
    evidence = Evidence(networks, scores=[{"roi": "all", "a": 0.4, "few": 0.2, "none": 0.3}])
    change(evidence, "none", trained=False)
    assert verdict(rules.training_helps, evidence) == HOLDS
    del networks["a"]
    assert verdict(rules.training_helps, evidence) == OPEN


def test_scaling_and_clip_are_judged_where_they_can_be():
    rows = [slope("clip-s", 0.1), slope("clip-l", 0.5), slope("clip-xl", 0.6), slope("sam-b", 0.3), slope("sam-h", 0.2)]
    evidence = Evidence({row["network"]: FittedNetwork(row["network"]) for row in rows}, slopes=rows)
    assert verdict(rules.slope_scales, evidence) == HOLDS
    evidence.slopes[0] = slope("clip-s", 0.9)
    assert verdict(rules.slope_scales, evidence) == FAILS
    evidence.slopes = evidence.slopes[3:]
    assert verdict(rules.slope_scales, evidence) == OPEN
    evidence.distance = [{"roi": "all"} | dict.fromkeys(evidence.networks, 0.2) | {"clip-l": 0.1}]
    assert verdict(rules.clip_leads, evidence) == HOLDS


def test_diversity_and_hemispheres():
    rows = [
        {"roi": roi, "diversity": d, "vertices": 9} for roi, d in (("V1", 0.1), ("V2", 0.2), ("OPA", 0.3), ("EBA", 0.5))
    ]
    assert verdict(rules.diversity_rises, Evidence(fits(a=("a", "")), diversity={"a": rows})) == HOLDS
    falling = [row | {"diversity": -row["diversity"]} for row in rows]
    assert verdict(rules.diversity_rises, Evidence(fits(a=("a", "")), diversity={"a": falling})) == FAILS
    assert verdict(rules.diversity_rises, Evidence(fits(a=("a", "")), diversity={"a": rows[:2]})) == OPEN
    halves = [{"roi": "V1", "same": 0.9, "other": 0.1}, {"roi": "EBA", "same": 0.8, "other": 0.2}]
    assert verdict(rules.hemispheres_share_channels, Evidence(fits(a=("a", "")), hemispheres={"a": halves})) == HOLDS
