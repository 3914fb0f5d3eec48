"""The checklist of the paper's findings: noise decides nothing, planted effects do, and what was not measured is not judged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nulls_checklist import AREA_NAMES, answers, evidence, fits, networks, slopes, verdicts
from factortopy.analysis import slope
from factortopy.analysis.estimates import Test as Chances
from factortopy.analysis.estimates import difference_of_correlations
from factortopy.report import checklist, rules
from factortopy.report.checklist import FAILS, HOLDS, OPEN
from factortopy.report.claims import CLAIMS, Claim
from factortopy.report.evidence import Evidence, FittedNetwork
from factortopy.report.missing import NOT_ASKED, UNDECIDED
from factortopy.report.tried import Tried

BY_RULE = {claim.judge.__name__: claim for claim in CLAIMS}


def finding(rule, of):
    """What one rule of the checklist comes to, alone."""
    return checklist.checklist(of, (BY_RULE[rule],))[0]


def test_nothing_measured_means_nothing_is_judged():
    findings = checklist.checklist(Evidence())
    assert {f.verdict for f in findings} == {OPEN} and all(f.explanation and f.why != UNDECIDED for f in findings)


@pytest.mark.parametrize("rule", BY_RULE)
def test_noise_alone_makes_no_claim_hold(rule):
    """5 % at most; 2,000 of each are drawn by benchmarks/nulls_checklist.py. Of 40 more than 5 would be rarer than 1 in 70."""
    assert verdicts(BY_RULE[rule], 40).count(HOLDS) <= 5


@pytest.mark.parametrize("rule", BY_RULE)
def test_a_planted_effect_holds(rule):
    assert verdicts(BY_RULE[rule], 4, planted=True, seed=7) == [HOLDS] * 4


# ---------------------------------------------------------------- what today's evidence must not decide


def test_one_fit_gives_no_verdict():
    """Slopes of one fit each (their intervals over vertices were disjoint: .540, .575, .655) are no three networks."""
    alone = {n: slope.Hierarchy(0.1, 0.1 + s) for n, s in (("a", 0.54), ("b", 0.575), ("c", 0.655))}
    of = Evidence({n: FittedNetwork(n) for n in "abc"}, slopes=alone)
    for rule in ("hierarchy_aligns", "objective_matters"):
        assert finding(rule, of).verdict == OPEN and "one fit" in finding(rule, of).explanation
    alone = evidence("scale_rises", np.random.default_rng(0), planted=True)
    alone.fits = {name: own[:1] for name, own in alone.fits.items()}
    for rule in ("scale_rises", "diversity_rises", "space_is_retinotopic", "hemispheres_share_channels"):
        assert finding(rule, alone).verdict == OPEN and "one fit" in finding(rule, alone).explanation


def test_a_slopes_error_is_that_of_its_interval():
    """Eight seeds tell how 21 fits vary: taken for 21, an interval of theirs made small chances too small."""
    rng = np.random.default_rng(1)
    refits = slope.allotted(20)
    fitted = slopes(rng, {"a": 0.5})["a"]
    assert fitted.fits == 21 and rules._slopes(Evidence(slopes={"a": fitted}))["a"].free == refits[1] - 1 == 7
    over = slope.of_subjects([slope.Hierarchy(0, s) for s in (0.4, 0.5, 0.7)])
    assert rules._slopes(Evidence(slopes={"a": over}))["a"].free == 2


@pytest.mark.parametrize("count", [3, 4])
def test_few_networks_have_no_correlation(count):
    of = evidence("tuning_forgets", np.random.default_rng(0), planted=True)
    of.tuning = of.tuning[:count]
    of.accuracies = dict.fromkeys("abcd"[:count], 0.1)
    of.accuracy = [{"roi": a, "r": 1.0} | of.accuracies for a in ("V1", "EBA")]
    for rule in ("tuning_forgets", "accuracy_is_apart", "score_follows_accuracy", "subjects_agree"):
        assert finding(rule, of).verdict == OPEN and "five" in finding(rule, of).explanation.replace(
            "5 networks", "five"
        )


def test_two_fits_of_one_network_are_not_two_networks():
    rng = np.random.default_rng(0)
    of = evidence("objectives_lead_somewhere", rng, planted=True)
    of.slopes = slopes(rng, {"clip-xl": 0.6, "mae-b": 0.1})
    for rule in ("objectives_lead_somewhere", "objective_matters"):
        assert finding(rule, of).verdict == HOLDS
    for change in (
        FittedNetwork("clip-xl"),
        FittedNetwork("mae-b", fit="300 pictures"),
        FittedNetwork("mae-b", "captions"),
    ):
        of.networks["mae-b"] = change
        said = {rule: finding(rule, of) for rule in ("objectives_lead_somewhere", "objective_matters")}
        assert {one.verdict for one in said.values()} == {OPEN}
        assert "kinds of training" in said["objectives_lead_somewhere"].explanation
        assert "different training" in said["objective_matters"].explanation


def test_what_two_slopes_lack_is_said():
    """Two networks of different training, one of them with an interval: it is new fits that are missing, not networks."""
    of = Evidence(networks(["clip-xl", "mae-b"]), slopes=slopes(np.random.default_rng(0), {"clip-xl": 0.6}))
    of.slopes["mae-b"] = slope.Hierarchy(0.1, 0.2)
    assert "new fits of every slope" in finding("objective_matters", of).explanation
    del of.slopes["mae-b"], of.networks["mae-b"]
    assert "different training" in finding("objective_matters", of).explanation


def test_a_grid_search_without_areas_was_asked_for():
    found = finding("weights_find_layers", Evidence(single=[]))
    assert "areas or more" in found.explanation and finding("weights_find_layers", Evidence()).why == NOT_ASKED


def test_a_share_has_no_interval_beyond_1():
    of = Evidence(networks(["clip-xl"]), fits=fits(np.random.default_rng(0), ["clip-xl"], True))
    for fit, share in zip(of.fits["clip-xl"], (0.94, 0.99, 1.0, 0.99), strict=True):
        fit["contralateral"] = share, share
    found = finding("space_is_retinotopic", of)
    assert found.verdict == HOLDS and "to +1.00" in found.explanation


def test_of_two_networks_none_shows_that_one_is_the_best_everywhere():
    """demo-vit beside demo-mae: one ahead in all areas says nothing of a field of networks; of three, it does."""
    ahead = {"clip-xl": 0.05, "mae-b": 0.0, "dinov2-b": 0.0}
    for names, verdict in ((["clip-xl", "mae-b"], OPEN), (list(ahead), FAILS)):
        own = answers(np.random.default_rng(0), names, lambda n, a: ahead[n])
        found = finding("objectives_lead_somewhere", Evidence(networks(names), own))
        assert found.verdict == verdict and (verdict == FAILS or "of two, one may well be ahead" in found.explanation)


@pytest.mark.parametrize("r", [0.0, 0.7, 0.9])
def test_two_correlations_with_the_same_things_are_compared_as_such(r):
    """Accuracy with EBA and with V1: where both are alike the difference is taken for one in 5 % of the cases, not in 10 or 20."""
    rng, n, wrong = np.random.default_rng(2), 12, 0
    shares = np.linalg.cholesky([[1, r, r], [r, 1, max(r, 0.5)], [r, max(r, 0.5), 1]])
    for _ in range(1500):
        x, y, z = np.corrcoef(shares @ rng.normal(size=(3, n)))
        wrong += difference_of_correlations(x[1], x[2], y[2], n).above(0) < 0.05
    assert wrong / 1500 < 0.075


@pytest.mark.parametrize("rule", ["scale_rises", "hemispheres_share_channels"])
def test_a_map_that_cannot_be_turned_holds_nothing(rule):
    of = evidence(rule, np.random.default_rng(0), planted=True)
    assert finding(rule, of).verdict == HOLDS
    of.turned = {}
    assert finding(rule, of).verdict == OPEN


def test_no_effect_does_not_hold_only_where_it_is_excluded():
    rng = np.random.default_rng(0)
    flat = fits(rng, ["clip-xl"], True)
    for fit in flat["clip-xl"]:
        fit["scale"] = {a: tuple(rng.normal(0.5, 0.01, 2)) for a in AREA_NAMES}
    of = Evidence(networks(["clip-xl"]), fits=flat)
    assert finding("scale_rises", of).verdict == FAILS
    for fit in flat["clip-xl"]:
        fit["scale"] = {a: tuple(rng.normal(0.5, 0.4, 2)) for a in AREA_NAMES}
    seen = finding("scale_rises", of)
    assert (seen.verdict, seen.why) == (OPEN, UNDECIDED) and "exclude neither" in seen.explanation


# ---------------------------------------------------------------- many verdicts at once


def with_chances(*pairs):
    """Claims that come to these chances."""
    tried = [Tried(Chances(*pair), "r -1.0") for pair in pairs]
    return tuple(Claim(f"claim {k}", "", (), "", lambda _, t=t: t) for k, t in enumerate(tried))


def test_many_verdicts_are_corrected():
    alone = checklist.checklist(Evidence(), with_chances((0.04, 0.9)))
    assert alone[0].verdict == HOLDS and alone[0].p == 0.04 and alone[0].explanation == "r −1.0"
    many = checklist.checklist(Evidence(), with_chances((0.04, 0.9), *[(0.5, 0.5)] * 9))
    assert {f.verdict for f in many} == {OPEN} and {f.why for f in many} == {UNDECIDED}
    fails = checklist.checklist(Evidence(), with_chances((0.999, 0.001), *[(0.5, 0.5)] * 9))
    assert [f.verdict for f in fails] == [FAILS] + [OPEN] * 9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_verdicts_are_those_of_benjamini_and_hochberg(chances):
    from scipy.stats import false_discovery_control

    findings = checklist.checklist(Evidence(), with_chances(*((p, 1.0) for p in chances)))
    assert [f.verdict == HOLDS for f in findings] == list(false_discovery_control(chances) <= 0.05)


def test_every_claim_says_what_it_rests_on():
    assert len({claim.claim for claim in CLAIMS}) == len({claim.judge for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.source and claim.rule and claim.figures for claim in CLAIMS)
    assert rules.R2 > 0
    rest = checklist.untested()  # findings without a rule say so
    assert {f.verdict for f in rest} == {OPEN} and all(f.explanation and f.source for f in rest)
    assert not {f.claim for f in rest} & {claim.claim for claim in CLAIMS}
