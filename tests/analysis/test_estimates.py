"""Estimates and the tests made of them: known values, exact chances, a paired bootstrap that covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from factortopy.analysis import estimates
from factortopy.analysis.estimates import Estimate, larger, smaller
from factortopy.analysis.resampled import mean_of, resampled
from factortopy.analysis.scores import r2


def test_spread_is_students_t():
    x = np.random.default_rng(0).normal(0.3, 1, 8)
    assert larger(estimates.spread(x), 0.1).holds == pytest.approx(
        stats.ttest_1samp(x, 0.1, alternative="greater").pvalue
    )
    low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert estimates.spread(x).interval() == pytest.approx((low, high))
    y = np.random.default_rng(1).normal(0, 3, 5)
    welch = stats.ttest_ind(x, y, equal_var=False, alternative="greater")
    assert (estimates.spread(x) - estimates.spread(y)).above(0) == pytest.approx(welch.pvalue)


@settings(max_examples=80, deadline=None)
@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(-5, 5), st.integers(1, 50))
def test_a_claim_and_its_opposite_share_the_chances(value, error, limit, free):
    test, other = larger(Estimate(value, error, free), limit), smaller(Estimate(value, error, free), limit)
    assert test.holds + test.fails == pytest.approx(1) and (other.holds, other.fails) == (test.fails, test.holds)


@pytest.mark.parametrize(
    "estimate", [Estimate(1.0, 0.0), Estimate(1.0, np.nan), Estimate(np.nan, 1.0), estimates.spread([2.0])]
)
def test_without_an_error_nothing_is_decided(estimate):
    assert larger(estimate, 0) == smaller(estimate, 0) == (0.5, 0.5)


def test_chances_of_orders_are_exact():
    assert estimates.in_order([1, 2, 3, 4, 5], [0, 1, 1, 2, 3]) == pytest.approx(2 / 120)
    assert estimates.arrangements([0, 1, 1, 2, 3]) == 60 and estimates.arrangements([0, 1, 2, 3]) == 24
    assert estimates.inside_larger([5, 4, 3, 2, 1, 0], [1, 1, 0, 0, 0, 0]) == pytest.approx(1 / 15)
    assert estimates.in_order(np.arange(9), np.arange(9)) == pytest.approx(1 / 10000)  # drawn: 1 is the least of 10,000
    assert estimates.inside_larger([1, 1, 1, 1], [1, 0, 0, 0]) == 1


def test_pairs_of_fits_are_not_independent():
    rng, errors, means = np.random.default_rng(0), [], []
    for _ in range(300):
        x = rng.normal(size=5)
        pairs = {(a, b): x[a] + x[b] for a in range(5) for b in range(a)}
        estimate = estimates.of_pairs(pairs)
        errors.append(estimate.error)
        means.append(estimate.value)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.1)


def answers_to(rng, n=60, luck=0.1):
    signal = rng.normal(size=(n, 40))
    measured = signal + rng.normal(size=(n, 40))
    predicted = {name: 0.8 * signal + luck * rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, 40)) for name in "ab"}
    return measured, predicted


def test_resampled_scores_are_r2_by_area():
    measured, predicted = answers_to(np.random.default_rng(0))
    mask = np.arange(40) < 15
    answers = resampled(
        measured, predicted, {"V1": mask, "all": np.ones(40, bool), "none": np.zeros(40, bool)}, draws=50
    )
    assert answers.value[0, 0] == pytest.approx(r2(measured, predicted["a"])[mask].mean(), abs=1e-5)
    assert answers.value[1, 1] == pytest.approx(r2(measured, predicted["b"]).mean(), abs=1e-5) and np.isnan(
        answers.value[0, 2]
    )
    drawn = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), 50)[3]
    rows = np.repeat(np.arange(60), drawn)
    assert answers.draws[3, 0, 0] == pytest.approx(r2(measured[rows], predicted["a"][rows])[mask].mean(), abs=1e-4)
    both = mean_of([answers, answers])
    np.testing.assert_allclose(both.value, answers.value)


def test_a_difference_is_paired_and_its_interval_covers():
    """Of equal networks whose luck is shared by all vertices: vertices as if independent would cover in a fifth of the cases."""
    inside = 0
    for k in range(150):
        measured, predicted = answers_to(np.random.default_rng(k), luck=0.4)
        answers = resampled(measured, predicted, {"all": np.ones(40, bool)}, draws=200, seed=k)
        low, high = answers.estimate({("a", "all"): 1, ("b", "all"): -1}).interval()
        inside += low <= 0 <= high
    assert 0.9 <= inside / 150 <= 0.99
