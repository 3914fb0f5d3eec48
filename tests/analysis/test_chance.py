"""Vertices above chance where trials are alike in time: films of any TR, drifts, repeats, pictures shown in blocks."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.nulls_films import any_painted, film_null, film_subject, noise, picture_null, power, predictions, smooth
from factortopy.analysis.chance import above_chance, better_than_chance, sign_tail
from factortopy.subjects.split import Split
from factortopy.subjects.trial_times import LEAST_COSINES, Order, too_short

VERTICES = 200


@pytest.mark.parametrize("repeated", [False, True])
def test_slow_noise_with_drifts_paints_nothing(repeated):
    """Random lines alone painted vertices in 9 of 20 data sets; 60 data sets are expected to have 3 or fewer."""
    assert any_painted(film_null, 60, VERTICES, repeated=repeated, longest=200) <= 7


@pytest.mark.parametrize("blocks", [False, True])
def test_single_trials_with_drifting_sessions_paint_nothing(blocks):
    assert any_painted(picture_null, 60, VERTICES, blocks=blocks) <= 7


def test_pictures_in_blocks_cannot_be_exchanged():
    """The same data shuffled as if their order were random: noise looks predicted."""
    weights, painted = smooth(VERTICES), 0
    for seed in range(20):
        y, p, subject = picture_null(np.random.default_rng(seed), weights, blocks=True)
        painted += above_chance(y, p, permutations=200, image=subject.image_index).any()
    assert painted >= 4


@pytest.mark.parametrize("tr", [0.7, 2.0])
def test_what_is_predicted_is_painted_at_any_tr(tr):
    right, wrong = power(400, 0.6, 3, VERTICES, tr)
    assert right > 0.7 and wrong < 0.15


def test_a_line_common_to_both_is_no_prediction():
    """Unlike the correlation of 1 that it makes."""
    rng, rows = np.random.default_rng(0), 120
    line = 50 * np.linspace(-1, 1, rows)[:, None]
    y, p = line + rng.standard_normal((rows, 50)), line + rng.standard_normal((rows, 50))
    place = np.arange(rows)
    assert np.corrcoef(y[:, 0], p[:, 0])[0, 1] > 0.99
    assert not better_than_chance(y, p, film_subject(1.0, 0 * place, 0 * place, place, place)).any()


def test_runs_with_the_same_film_are_averaged():
    """Noise of two runs is told from what both show; the second run adds to it as a longer film would not: TRs stay 150."""
    rng, n = np.random.default_rng(3), 150
    shown = predictions(rng, n, 1.0, smooth(40))
    shown /= shown.std(0)
    run, position = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    subject = film_subject(1.0, run, 0 * run, position, np.arange(2 * n))
    order = Order.of(subject, subject.split.test)
    number, stretches = order.averaged()
    assert stretches == [slice(0, n)] and np.array_equal(number, position)
    y = np.concatenate([shown + 0.7 * noise(rng, n, 1.0, smooth(40), drifting=False) for _ in range(2)])
    alone = order.spectrum(y[:n][position])  # the same run twice is that run
    once = film_subject(1.0, run[:n], run[:n], position[:n], np.arange(n))
    np.testing.assert_allclose(alone, Order.of(once, once.split.test).spectrum(y[:n]), atol=1e-9)
    assert better_than_chance(y, np.tile(shown, (2, 1)), subject).mean() > 0.8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_places_after_averaging_are_those_of_the_first_showing(seed):
    rng = np.random.default_rng(seed)
    run = np.repeat(np.arange(3), 20)
    clip, position = rng.integers(0, 2, 3)[run], np.tile(np.arange(20), 3) + rng.integers(0, 9, 3)[run]
    test = np.flatnonzero(rng.random(60) < 0.8)
    order = Order.of(film_subject(1.0, run, clip, position, test), test)
    number, stretches = order.averaged()
    shown = {}
    for row, n in zip(test, number, strict=True):
        shown.setdefault(n, set()).add((clip[row], position[row]))
    assert all(len(which) == 1 for which in shown.values()) and len(set().union(*shown.values())) == len(shown)
    first = np.array([test[number == n].min() for n in range(len(shown))])
    assert (np.diff(first) > 0).all()
    together = [np.diff(first[part]) == 1 for part in stretches]
    assert all(part.all() for part in together) and sum(part.stop - part.start for part in stretches) == len(first)
    assert sum(len(x) for x in (order.spectrum(np.ones((len(test), 1))), order.frequencies())) == 2 * order.cosines()


def test_too_little_film_is_not_tested():
    place = np.arange(20)
    short = film_subject(1.0, 0 * place, 0 * place, place, place)
    y = np.random.default_rng(0).standard_normal((20, 30))
    assert not better_than_chance(y, y, short).any()
    assert too_short(short) == (
        "20 s of test film are too short to tell a prediction from chance: without drifts 18 of at least 24 independent "
        "values are left"
    )
    place = np.arange(LEAST_COSINES + 2)
    enough = film_subject(1.0, 0 * place, 0 * place, place, place)
    y = np.random.default_rng(0).standard_normal((len(place), 30))
    assert too_short(enough) == "" and better_than_chance(y, y, enough).all()


def test_too_few_pictures_are_not_tested():
    split = Split([], [], np.arange(6))
    few = SimpleNamespace(film=None, session=None, image_index=np.array([0, 0, 1, 1, 2, 3]), split=split)
    assert too_short(few) == "4 test pictures are too few to tell a prediction from chance (at least 5)"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 6))
def test_tail_of_random_signs_is_that_of_all_of_them(seed, strength):
    rng = np.random.default_rng(seed)
    size = np.abs(rng.standard_normal(12) * rng.standard_normal(12)) + 0.05
    x = size * np.where(rng.random(12) < np.exp(-strength * size), -1, 1)
    signs = np.array(list(product([-1, 1], repeat=12)))
    chance = (signs @ x >= x.sum() - 1e-12).mean()
    if x.sum() > 0 and chance < 0.05:
        assert 0.4 < sign_tail(x[:, None])[0] / chance < 2.5
