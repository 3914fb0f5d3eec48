"""The checklist of the paper's findings: verdicts follow the numbers, and nothing is judged that was not measured."""

from dataclasses import replace

from factortopy.report import checklist, rules
from factortopy.report.checklist import FAILS, HOLDS, OPEN
from factortopy.report.evidence import Evidence, FittedNetwork


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
