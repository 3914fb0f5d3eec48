"""Maps turned on the sphere: lookups are rotations within the mask, and smooth unrelated maps do not pass their floor."""

from functools import cache

import numpy as np
import pytest
from compared import L, made
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy import analysis, surfaces
from factortopy.analysis import spatial_nulls
from factortopy.surfaces.coordinates import Vertices

MESH = surfaces.load_mesh()
SPHERE, N = MESH.coords["sphere"].astype(float), MESH.n
ALL = Vertices.of_mesh()


@cache
def early():
    """V1 to V3 up to 8 degrees: the hard case, 542 vertices."""
    atlas = surfaces.fitted_retinotopy()
    return (atlas.area > 0) & (atlas.area < 4) & (atlas.eccentricity < 8)


def smooth_maps(rows, count, width, rng):
    """(rows, count) Gaussian fields with the covariance exp(−d²/2 width²), d in mm through the sphere of radius 100."""
    out = np.empty((len(rows), count))
    for side in (rows < N, rows >= N):
        at = SPHERE[rows[side]]
        squared = ((at[:, None] - at[None]) ** 2).sum(2)
        values, vectors = np.linalg.eigh(np.exp(-squared / (2 * width**2)))
        out[side] = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.standard_normal((len(values), count))
    return out


def correlations(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def passed(score, a, b, turned, hemi):
    """Share of the columns whose score is beyond its floor."""
    chance = spatial_nulls.turned_scores(score, a, b, turned, hemi)
    values = spatial_nulls.by_hemisphere(score, a, b, hemi)
    return np.mean([spatial_nulls.floor_and_p(v, own)[1] <= 0.05 for v, own in zip(values, chance.T, strict=True)])


# ---------------------------------------------------------------- turns


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(12, 90), st.booleans())
def test_a_turn_keeps_distances_and_stays_in_the_mask(seed, radius, right_too):
    rng = np.random.default_rng(seed)
    centre = SPHERE[rng.integers(N)]
    mask = np.linalg.norm(SPHERE - centre, axis=1) < radius
    mask[N:] = (np.linalg.norm(SPHERE[N:] - centre * [-1, 1, 1], axis=1) < radius) & right_too
    some = ALL.subset(mask | (rng.random(2 * N) < 0.3))
    inside = mask[some.rows]
    turned = spatial_nulls.turns(some, inside, SPHERE, draws=20, seed=seed)
    assert len(turned) == 20
    for to, source in turned:
        assert inside[to].all() and inside[source].all() and len(np.unique(to)) == len(to)
        np.testing.assert_array_equal(some.hemi[to], some.hemi[source])
        for side in (0, 1) if right_too else (0,):
            own = some.hemi[to] == side
            assert own.sum() >= spatial_nulls.OVERLAP * (inside & (some.hemi == side)).sum()
            a, b = (SPHERE[some.rows[rows[own]][:40]] for rows in (to, source))
            between = [np.linalg.norm(x[:, None] - x[None], axis=2) for x in (a, b)]
            np.testing.assert_allclose(*between, atol=6)  # mm: nearest vertices are 2 mm apart on fsaverage5's sphere


def test_both_hemispheres_turn_as_mirror_images():
    mask = np.linalg.norm(SPHERE - SPHERE[10], axis=1) < 60
    mask[N:] = np.linalg.norm(SPHERE[N:] - SPHERE[10] * [-1, 1, 1], axis=1) < 60
    for to, source in spatial_nulls.turns(ALL, mask, SPHERE, draws=10):
        turns = []
        for side, mirror in ((0, 1.0), (1, [-1, 1, 1])):
            own = ALL.hemi[to] == side
            a, b = SPHERE[source[own]] * mirror, SPHERE[to[own]] * mirror
            u, _, v = np.linalg.svd(a.T @ b)  # Kabsch
            turns.append(u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v)
        np.testing.assert_allclose(*turns, atol=0.01)


def test_turns_are_the_same_for_the_same_seed_and_others_for_another():
    first, again, other = (spatial_nulls.turns(ALL, early(), SPHERE, draws=5, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert any(len(a[1]) != len(b[1]) or (a[1] != b[1]).any() for a, b in zip(first, other, strict=True))


def test_where_nothing_can_be_turned_nothing_is_said():
    rng = np.random.default_rng(0)
    dust = np.zeros(2 * N, bool)
    dust[rng.choice(2 * N, 40, replace=False)] = True
    assert spatial_nulls.turns(ALL, dust, SPHERE) == [] == spatial_nulls.turns(ALL, early(), None)
    assert spatial_nulls.turns(ALL, np.zeros(2 * N, bool), SPHERE) == []
    assert all(np.isnan(spatial_nulls.floor_and_p(0.9, np.array([]))))
    scattered = [made(np.full(60, 0.3), seed=seed) for seed in (0, 1)]  # the first 30 vertices lie all over the sphere
    assert analysis.agreement_floors(scattered) == {}


def test_many_vertices_are_thinned_and_finer_meshes_turned():
    fine = surfaces.load_mesh("41k")
    mask = np.zeros(2 * fine.n, bool)
    mask[np.unique(fine.flat_faces)] = True
    turned = spatial_nulls.turns(Vertices.of_mesh("41k"), mask, fine.coords["sphere"], draws=20)
    for to, source in turned:
        assert len(to) <= 2 * spatial_nulls.MOST and mask[to].all() and mask[source].all()
    assert np.mean([len(to) for to, _ in turned]) > 0.8 * 2 * spatial_nulls.MOST * 0.9  # the medial wall alone is lost


# ---------------------------------------------------------------- floors


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=19, max_size=300), st.integers(-6, 6), st.booleans())
def test_beyond_the_floor_is_p_of_five_per_cent_or_less(chance, value, larger):
    floor, p = spatial_nulls.floor_and_p(value, np.array(chance, float), larger)
    assert (value > floor if larger else value < floor) == (p <= 0.05)
    as_good = sum(c >= value if larger else c <= value for c in chance)
    assert p == pytest.approx((1 + as_good) / (1 + len(chance)))


@pytest.mark.parametrize("width", [4, 12, 40, 150])
def test_smooth_unrelated_maps_do_not_pass(width):
    rng, rows = np.random.default_rng(width), np.flatnonzero(early())
    some = ALL.subset(early())
    turned = spatial_nulls.turns(some, np.ones(len(rows), bool), SPHERE)
    a, b = np.split(smooth_maps(rows, 800, width, rng), 2, axis=1)
    assert passed(correlations, a, b, turned, some.hemi) <= 0.04  # of 400; measured .00 to .02 of 2,000
    best = [np.stack(np.split(x, 4, axis=1)).argmax(0) for x in (a, b)]
    assert passed(lambda x, y: (x == y).mean(0), *best, turned, some.hemi) <= 0.06
    swapped = [
        (np.arange(len(rows)), np.concatenate([rng.permutation(np.flatnonzero(some.hemi == s)) for s in (0, 1)]))
        for _ in range(100)
    ]
    assert passed(correlations, a, b, swapped, some.hemi) > 0.15  # what was done before


def test_related_maps_pass():
    rng, rows = np.random.default_rng(0), np.flatnonzero(early())
    turned = spatial_nulls.turns(ALL.subset(early()), np.ones(len(rows), bool), SPHERE)
    a, noise = np.split(smooth_maps(rows, 100, 6, rng), 2, axis=1)
    assert passed(correlations, a, a + 0.5 * noise, turned, ALL.hemi[rows]) > 0.9


# ---------------------------------------------------------------- two encoders


def encoders(width, related):
    """Two encoders over V1 to V3 whose layers are random, smooth, and the same or unrelated."""
    some, rng = ALL.subset(early()), np.random.default_rng(6)
    fields = smooth_maps(some.rows, 2 * L, width, rng)
    out = []
    for k in (0, 0 if related else 1):
        weights = np.exp(4 * fields[:, k * L : (k + 1) * L]).astype(np.float32)
        encoder = made(np.full(len(some), 0.3), seed=k, layer=weights / weights.sum(1, keepdims=True), n=len(some))
        encoder.vertices = some
        out.append(encoder)
    return out


def test_layers_of_two_encoders_stand_beside_their_floors():
    same, other = (analysis.agreement_floors(encoders(8, related)) for related in (True, False))
    for key in ("layer_equal", "layer_near", "layer_r"):
        assert same[key]["value"] == pytest.approx(1) and same[key]["p"] == pytest.approx(1 / 201)
        assert same[key]["floor"] < 1 and other[key]["p"] > 0.05 and other[key]["value"] <= other[key]["floor"]
        assert other[key]["value"] == pytest.approx(getattr(analysis.agreement(*encoders(8, False)), key), abs=0.1)
    assert "score_r" not in same  # the same score everywhere has no correlation
    three = analysis.agreement_floors([*encoders(8, True), encoders(8, False)[1]])
    assert three["layer_equal"]["value"] == pytest.approx((1 + 2 * other["layer_equal"]["value"]) / 3)
