"""Noise ceilings belong to the rows that are scored: from ncsnr for means of any repeats, from repeats without bias."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.encoder.problem import origin
from factortopy.features.extraction import Features
from factortopy.subjects.ceilings import LEAST_PICTURES, estimate_ceiling, of_ncsnr, of_repeats
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import fewer_pictures


def shown(ceiling, repeats, n=1, seed=0):
    """(T, N) trials of ``len(repeats)`` pictures and the picture of each: ``ceiling`` (N,) is that of means of ``n`` trials."""
    rng, ceiling = np.random.default_rng(seed), np.asarray(ceiling, float)
    image = np.repeat(np.arange(len(repeats)), repeats)
    signal = np.sqrt(ceiling / (n * (1 - ceiling)))  # in units of a trial's noise
    rows = rng.normal(size=(len(repeats), len(ceiling))) * signal
    order = rng.permutation(len(image))
    return (rows[image] + rng.normal(size=(len(image), len(ceiling))))[order] + 3, image[order]


@pytest.mark.parametrize("repeats", [np.full(60, 3), np.repeat([1, 2, 3], 40)], ids=["all alike", "mixed"])
@pytest.mark.parametrize("ceiling", [0.0, 0.1, 0.6])
def test_the_ceiling_from_repeats_is_that_of_the_rows_that_are_scored(repeats, ceiling):
    """2,000 data sets: of single trials and of means; unbiased, and the interval covers."""
    for n in (1, 3):
        found = of_repeats(*shown(np.full(2000, ceiling), repeats, n), average=n)
        # Of 120 pictures shown twice on average that of means of three is a little low, of the single trials it is not.
        assert found.ceiling.mean() == pytest.approx(ceiling, abs=0.012 if n == 1 or np.ptp(repeats) == 0 else 0.03)
        covered = (found.low <= ceiling) & (ceiling <= found.high)
        assert 0.93 <= covered.mean() <= 0.97
    assert found.pictures == (repeats > 1).sum()


@settings(max_examples=100, deadline=None)
@given(st.floats(0.01, 5), st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_more_repeats_raise_the_ceiling(ratio, repeats, more):
    """Between 0 and 1, mixed as the mean of 1/n, and what signal and noise say."""
    single, of_means = of_ncsnr([ratio, 0, -1, np.nan]), of_ncsnr([ratio], repeats)[0]
    assert single[0] == pytest.approx(ratio**2 / (1 + ratio**2)) and single[1] == single[2] == 0 and np.isnan(single[3])
    assert 0 < single[0] <= of_means + 1e-12 and of_means < 1
    noise = np.mean([1 / n for n in repeats])
    assert of_means == pytest.approx(ratio**2 / (ratio**2 + noise))
    assert of_ncsnr([ratio], np.array(repeats) + more)[0] > of_means


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=6, max_size=20).filter(lambda r: max(r) > 1),
    st.floats(0.1, 100),
    st.integers(0, 99),
)
def test_units_levels_and_order_do_not_matter(repeats, unit, seed):
    if sum(repeats) - len(repeats) < 2:
        repeats = [*repeats, 2]
    x, image = shown(np.linspace(0.1, 0.8, 5), np.array(repeats), seed=seed)
    first, order = of_repeats(x, image), np.random.default_rng(seed).permutation(len(image))
    again = of_repeats(unit * x[order] - 7, image[order] + 5)
    np.testing.assert_allclose(again.ceiling, first.ceiling, rtol=1e-4, atol=1e-6)
    assert (first.low <= first.high + 1e-12).all() and (first.high <= 1).all()


def test_no_repeats_and_no_variance_say_nothing():
    x, image = shown([0.5], np.ones(40, int))
    assert of_repeats(x, image) is None
    x, image = shown([0.5], np.full(40, 2))
    assert np.isnan(of_repeats(0 * x + 2, image).ceiling).all()


def subject(ceiling, repeats, **more):
    x, image = shown(ceiling, repeats)
    half = len(ceiling) // 2
    return Subject(x.astype(np.float32), None, [0] * half + [1] * (len(ceiling) - half),
                   [*range(half), *range(len(ceiling) - half)], image_index=image, **more)  # fmt: skip


def test_a_subject_without_a_ceiling_gets_that_of_its_repeats():
    planted = np.linspace(0, 0.7, 40)
    one = subject(planted, np.full(400, 3))
    assert one.noise_ceiling is None
    estimate_ceiling(one)
    np.testing.assert_allclose(one.noise_ceiling, planted, atol=0.12)
    assert not any("only raw R²" in note for note in one.notes) and any("400 pictures" in note for note in one.notes)
    few, given_one = (
        subject(planted, [2] * (LEAST_PICTURES - 1) + [1] * 40),
        subject(planted, np.full(60, 2), noise_ceiling=planted),
    )
    for other in (few, given_one):
        before = other.noise_ceiling
        estimate_ceiling(other)
        assert other.noise_ceiling is before


def test_why_a_ceiling_does_not_belong_travels_with_what_is_learnt():
    one = subject(np.full(4, 0.5), np.full(60, 1), noise_ceiling=np.full(4, 0.5))
    features = Features.from_arrays([np.zeros((60, 2, 2, 3), np.float32)], [np.zeros((60, 3), np.float32)])
    assert "ceiling_note" not in origin(one, features)
    one.ceiling_note = "of other pictures"
    assert origin(fewer_pictures(one, 30), features)["ceiling_note"] == "of other pictures"
