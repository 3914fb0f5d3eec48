"""The hierarchy slope: planted lines come back, what has none is said; its interval is over pictures and seeds, never over vertices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

import factortopy as ft
from factortopy import analysis
from factortopy.analysis import slope
from factortopy.errors import InputError


def layers_at(place, n_layers=13):
    """(N, L) weights whose mean place is ``place`` (0 first … 1 last layer), split over two layers."""
    at = np.asarray(place, float) * (n_layers - 1)
    low = np.minimum(np.floor(at).astype(int), n_layers - 2)
    layer = np.zeros((len(at), n_layers))
    layer[np.arange(len(at)), low], layer[np.arange(len(at)), low + 1] = 1 - (at - low), at - low
    return layer


ROIS = ("V1", "V2", "V3", "OPA", "EBA", "FFA")
LEVEL = {"V1": 0, "V2": 1 / 3, "V3": 1 / 3, "OPA": 2 / 3, "EBA": 1}


def brain(line, sizes=(9, 4, 6, 3, 7, 5)):
    """Selectors whose layer place is ``line(level)`` in each ROI (FFA: anywhere), and the ROIs."""
    names = np.repeat(ROIS, sizes)
    place = [line(LEVEL[name]) if name in LEVEL else 0.9 for name in names]
    layer = layers_at(place)
    n = len(names)
    return ft.Selectors(np.zeros((n, 2)), layer, np.zeros(n), np.zeros((n, 1))), {r: names == r for r in ROIS}


@pytest.mark.parametrize("b0, b1", [(0, 1), (0.2, 0.7), (0.9, 0.1), (0.4, 0.4)])
def test_slope_of_a_known_line(b0, b1):
    selectors, rois = brain(lambda level: b0 + (b1 - b0) * level)
    found = analysis.hierarchy(selectors, rois)
    assert (found.b0, found.b1, found.slope) == pytest.approx((b0, b1, b1 - b0), abs=1e-5)
    for absent in (("V2",), ("V1", "OPA")):  # a line needs no more than two levels
        part = {name: mask for name, mask in rois.items() if name not in absent}
        assert analysis.hierarchy(selectors, part).slope == pytest.approx(b1 - b0, abs=1e-5)


def test_every_vertex_counts_alike():
    """Off the line, larger areas weigh more: least squares over vertices, not over areas."""
    place = {"V1": 0.0, "V2": 0.6, "OPA": 0.1, "EBA": 1.0}
    names = np.repeat(list(place), (30, 2, 20, 5))
    selectors = ft.Selectors(
        np.zeros((57, 2)), layers_at([place[n] for n in names]), np.zeros(57), np.zeros((57, 1))
    )  # fmt: skip
    found = analysis.hierarchy(selectors, {name: names == name for name in place})
    slope, b0 = np.polyfit([LEVEL[n] for n in names], [place[n] for n in names], 1)
    assert (found.b0, found.slope) == pytest.approx((b0, slope), abs=1e-5)
    custom = analysis.hierarchy(selectors, {"V1": names == "V1", "EBA": names == "EBA"}, levels={"V1": 0, "EBA": 0.5})
    assert (custom.b0, custom.b1) == pytest.approx((0, 2), abs=1e-5)


def test_what_has_no_slope_is_said():
    selectors, rois = brain(lambda level: level)
    for some in ({}, {"V1": rois["V1"]}, {"V2": rois["V2"], "V3": rois["V3"]}, {"FFA": rois["FFA"]}):
        with pytest.raises(InputError, match="at least two") as caught:
            analysis.hierarchy(selectors, some)
        assert "\n" not in str(caught.value)
    empty = {name: mask & False for name, mask in rois.items()}
    with pytest.raises(InputError, match="at least two"):
        analysis.hierarchy(selectors, empty | {"V1": rois["V1"]})


# ---------------------------------------------------------------- intervals


def lines(slopes):
    """(F, N) mean layers of fits with these slopes, and the ROIs; b0 is 0.1."""
    names = np.repeat(ROIS, (9, 4, 6, 3, 7, 5))
    level = np.array([LEVEL.get(name, 0.0) for name in names])
    return 0.1 + np.outer(slopes, level), {r: names == r for r in ROIS}


def fits(pictures, seed, rng, count=20, seed_of_half=2**0.5):
    """(slope of a fit, slopes of halves, slopes of other seeds) where pictures move a fit by ``pictures`` and seeds by ``seed``."""
    halves, seeds = slope.allotted(count)
    apart = np.stack([moved := rng.normal(0, pictures, halves // 2), -moved], 1).ravel()
    spread = seed_of_half * seed
    return rng.normal(0, np.hypot(pictures, seed)), apart + rng.normal(0, spread, halves), rng.normal(0, seed, seeds)


def test_one_fit_has_no_interval():
    found = analysis.hierarchy(*brain(lambda level: 0.2 + 0.5 * level))
    assert found.intervals is None and found.over is None and found.fits == 1


def test_three_seeds_of_one_network_do_not_come_out_as_different():
    """The slopes measured on demo-1 with 300 pictures; over vertices: (.531 to .548), (.568 to .582), (.648 to .662)."""
    three, rng = (0.540, 0.575, 0.655), np.random.default_rng(0)
    again = rng.choice(three, 8) + rng.normal(0, 0.02, 8)
    halves, rois = lines(0.59 + rng.normal(0, 0.08, 12))
    refits = slope.Refits(halves, lines(again)[0])
    ends = []
    for value in three:
        selectors, _ = brain(lambda level, value=value: 0.1 + value * level)
        found = analysis.hierarchy(selectors, rois, refits=refits)
        assert (found.fits, found.over) == (21, "pictures and seeds") and found.slope == pytest.approx(value, abs=1e-5)
        ends.append(found.intervals["slope"])
    assert max(low for low, _ in ends) < min(high for _, high in ends)


def test_standard_error_by_hand():
    halves, seeds = np.array([0.6, 0.4, 0.5, 0.8]), np.array([0.5, 0.6, 0.7])
    differences, means = [0.1, -0.15], [0.5, 0.65]
    pictures = np.mean(np.square(differences)) - np.var(means, ddof=1)
    assert pictures > 0
    expected = np.sqrt(pictures + 0.01)
    assert slope.standard_error(halves, seeds) == pytest.approx(expected)
    reach = t.ppf(0.975, 2) * expected
    assert slope.estimate(0.55, halves, seeds).interval() == pytest.approx((0.55 - reach, 0.55 + reach))
    # Where halves differ no more than seeds make them, pictures move nothing that can be seen.
    assert slope.standard_error(np.array([0.5, 0.5, 0.9, 0.9]), seeds) == pytest.approx(0.1)


@pytest.mark.parametrize("pictures", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("seed", [0.01, 0.05])
@pytest.mark.parametrize("seed_of_half", [1.0, 1.6])  # seeds matter as much with half of the pictures, or more
def test_intervals_cover_whatever_varies(pictures, seed, seed_of_half):
    """Neither a share of pictures nor of seeds in the spread makes the interval too narrow or far too wide: 1,500 studies."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(1500):
        low, high = slope.estimate(*fits(pictures, seed, rng, seed_of_half=seed_of_half)).interval()
        held += low <= 0 <= high
    assert 0.925 < held / 1500 < 0.98


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 40), st.floats(-1, 1), st.floats(0.1, 10), st.integers(0, 10**6))
def test_intervals_follow_the_fits(count, shift, size, number):
    """Around the fit; moved and stretched with all fits, whatever their number; never without width where seeds differ."""
    own, halves, seeds = fits(0.1, 0.1, np.random.default_rng(number), count)
    assert len(halves) % 2 == 0 and len(halves) >= 4 and len(seeds) >= 3 and len(halves) + len(seeds) == count
    low, high = slope.estimate(own, halves, seeds).interval()
    assert low < own < high
    moved = slope.estimate(size * own + shift, size * halves + shift, size * seeds + shift).interval()
    assert moved == pytest.approx((size * low + shift, size * high + shift), abs=1e-9)


def test_more_vertices_make_no_narrower_interval():
    """Neighbours are alike: the same cortex with every vertex twice says no more."""
    rng = np.random.default_rng(3)
    halves, rois = lines(0.5 + rng.normal(0, 0.05, 12))
    seeds, _ = lines(0.5 + rng.normal(0, 0.05, 8))
    selectors, _ = brain(lambda level: 0.1 + 0.5 * level)
    once = analysis.hierarchy(selectors, rois, refits=slope.Refits(halves, seeds))
    twice = ft.Selectors(
        *(
            np.concatenate([part, part])
            for part in (selectors.space, selectors.layer, selectors.scale, selectors.channel)
        )
    )
    both = {name: np.concatenate([mask, mask]) for name, mask in rois.items()}
    again = analysis.hierarchy(twice, both, refits=slope.Refits(np.hstack([halves] * 2), np.hstack([seeds] * 2)))
    assert again.intervals["slope"] == pytest.approx(once.intervals["slope"])


def test_interval_over_subjects():
    three = [slope.Hierarchy(0.1, 0.1 + value) for value in (0.4, 0.5, 0.7)]
    found = slope.of_subjects(three)
    reach = t.ppf(0.975, 2) * np.std([0.4, 0.5, 0.7], ddof=1) / 3**0.5
    assert found.slope == pytest.approx(1.6 / 3) and (found.over, found.fits) == ("subjects", 3)
    assert found.intervals["slope"] == pytest.approx((1.6 / 3 - reach, 1.6 / 3 + reach))


def test_a_just_false_claim_on_refits_rarely_holds():
    """The checklist's claims on slopes, as benchmarks/nulls_slope.py puts them to real refits: here 400 networks of normal ones."""
    from benchmarks.nulls_slope import WORLDS, claim_rows, row

    rng = np.random.default_rng(4)
    drawn = [fits(0.04, 0.04, rng) for _ in range(400)]
    results = [[own, None, None, halves.tolist(), seeds.tolist()] for own, halves, seeds in drawn]
    size = next(iter(WORLDS.values()))
    assert 0.93 <= row("normal", size, results)["coverage"] <= 0.975
    rows = claim_rows({"normal": results})
    assert len(rows) == 5 and {one["data sets"] for one in rows} == {400, 200}
    assert all(one["interval"][0] <= 0.05 for one in rows)
