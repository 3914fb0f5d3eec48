"""Retinotopy: known fields come back, delays cancel, areas have their sign, and a planted encoder gives its centres."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

import factortopy as ft
from factortopy import experiments, surfaces
from factortopy.backbones.base import Backbone
from factortopy.encoder.encoder import Encoder
from factortopy.encoder.selectors import Selectors
from factortopy.experiments import evidence, fieldsign, phase, prf, retinotopic
from factortopy.experiments.agreement import agreement, angle_error, circular_correlation
from factortopy.experiments.result import Result
from factortopy.stimuli.apertures import SWEEPS, Geometry, masks

GEOMETRY = Geometry(12.0, 6.0, 1.5, 45.0, 1.5, 24)


@cache
def sweeps(protocol, size=48):
    return np.concatenate([masks(sweep, size, GEOMETRY) for sweep in SWEEPS[protocol]])


def gaussian_course(mask, x, y, size):
    """Σ S · exp(…), written out."""
    n = mask.shape[1]
    at = ((np.arange(n) + 0.5) / n - 0.5) * 12
    weight = np.exp(-((at[None] - x) ** 2 + (-at[:, None] - y) ** 2) / (2 * size**2))
    return (mask * weight).sum((1, 2))


# ---------------------------------------------------------------- population receptive fields


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.3, 2.5), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_known_field_comes_back(x, y, size, gain, offset):
    if np.hypot(x, y) > 5:
        x, y = 0.7 * x, 0.7 * y
    response = gain * gaussian_course(sweeps("bars"), x, y, size) + offset * gain
    found = prf.fit(response[:, None], sweeps("bars"), 12.0)
    assert found.r2[0] > 0.9999
    np.testing.assert_allclose([found.x[0], found.y[0], found.size[0]], [x, y, size], atol=0.02)
    assert found.gain[0] == pytest.approx(gain, rel=0.02)
    assert found.offset[0] == pytest.approx(offset * gain, abs=0.05 * gain * (1 + abs(offset)))


def test_many_noisy_fields_come_back_at_once():
    rng = np.random.default_rng(0)
    n = 1500  # more than one chunk
    angle, ecc = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 4.5, n)
    x, y, size = ecc * np.cos(angle), ecc * np.sin(angle), rng.uniform(0.4, 2, n)
    clean = prf.Model(sweeps("bars"), 12.0).courses(*(a.astype(np.float32) for a in (x, y, size)))
    np.testing.assert_allclose(clean[:, 7], gaussian_course(sweeps("bars"), x[7], y[7], size[7]), rtol=1e-3)
    noisy = clean + clean.std(0) * 0.5 * rng.standard_normal(clean.shape)
    seen = []
    found = prf.fit(noisy, sweeps("bars"), 12.0, lambda done, total: seen.append((done, total)))
    assert prf.Model(sweeps("bars"), 12.0).chunk < n and seen[0] == (0, n) and seen[-1] == (n, n)
    assert np.median(np.hypot(found.x - x, found.y - y)) < 0.15
    assert np.corrcoef(found.size, size)[0, 1] > 0.9
    assert found.r2.mean() == pytest.approx(0.8, abs=0.03)  # noise has a fifth of the variance
    np.testing.assert_allclose(prf.course(found, sweeps("bars"), 12.0).mean(0), noisy.mean(0), rtol=0.02, atol=0.02)


def test_slopes_are_those_of_the_course():
    model = prf.Model(sweeps("bars"), 12.0)
    x, y, size = np.float32([[1.0, -3], [2.0, 0.5], [0.8, 1.5]])
    course, slopes = model.courses(x, y, size, slopes=True)
    h = np.float32(0.01)
    for k, (dx, dy, ds) in enumerate(((h, 0, 0), (0, h, 0), (0, 0, h))):
        ahead = model.courses(x + dx, y + dy, size * np.exp(ds))
        behind = model.courses(x - dx, y - dy, size * np.exp(-ds))
        np.testing.assert_allclose(slopes[k], (ahead - behind) / (2 * h), atol=2e-3 * np.abs(slopes[k]).max())


def test_responses_without_a_field_have_none():
    flat = np.full(len(sweeps("bars")), 3.0)
    broken = np.where(np.arange(len(flat)) == 5, np.nan, gaussian_course(sweeps("bars"), 1, 1, 1))
    found = prf.fit(np.stack([flat, broken], 1), sweeps("bars"), 12.0)
    assert np.isnan(found.x).all() and (found.r2 == 0).all() and (found.other == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0.4, 2), st.floats(0.01, 100))
def test_a_field_that_answers_less_is_where_it_is(x, y, size, gain):
    """... and not across the middle, where its negative would be placed."""
    response = 7 - gain * gaussian_course(sweeps("bars"), x, y, size)
    found = prf.fit(response[:, None], sweeps("bars"), 12.0)
    np.testing.assert_allclose([found.x[0], found.y[0], found.size[0]], [x, y, size], atol=0.02)
    assert found.gain[0] == pytest.approx(-gain, rel=0.02) and found.other[0] < 0.9 * found.r2[0]
    sign, other = prf.signs(np.stack([response, 7 - response], 1), sweeps("bars"), 12.0)
    assert list(sign) == [-1, 1] and (other < 1).all()


# ---------------------------------------------------------------- evidence of a place


def smooth_in_time(frames, n, rng, kind):
    """(frames, n) noise, each column by itself."""
    noise = rng.standard_normal((frames + 400, n))
    if kind.startswith("AR"):
        return lfilter([1], [1, -float(kind[3:])], noise, axis=0)[400:]
    return gaussian_filter1d(noise, float(kind), axis=0)[200:-200] if kind != "white" else noise[400:]


def shown(protocol, repetitions, rng, kind, n, contrast=0.0):
    """(R, T, n) position-blind responses: noise, and a power of the area that is shown."""
    area = sweeps(protocol).sum((1, 2))
    driven = (area / area.max())[:, None] ** rng.uniform(0.3, 3, n)
    noise = smooth_in_time(repetitions * len(area), n, rng, kind)
    return (noise / noise.std(0)).reshape(repetitions, len(area), n) + contrast * driven


def p_of(protocol, responses):
    if protocol == "bars":
        return evidence.bars(responses, sweeps("bars"), 12.0)
    kind = protocol[:-1]
    return evidence.cycles(responses, SWEEPS[protocol], kind, sweeps(protocol).sum((1, 2)))


@pytest.mark.parametrize("kind", ["white", "AR .9", "2", "5"])
@pytest.mark.parametrize("protocol", ["bars", "wedges", "rings"])
@pytest.mark.parametrize("contrast", [0.0, 3.0])
def test_responses_blind_to_place_have_none(protocol, kind, contrast):
    """Share of p below .05 of 500 vertices, three standard errors allowed; none is taken for a place."""
    responses = shown(protocol, 2, np.random.default_rng(3), kind, 500, contrast)
    p, share = p_of(protocol, responses)
    assert ((p > 0) & (p <= 1)).all() and ((share >= 0) & (share <= 1)).all()
    assert (p <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)
    assert not (evidence.q_values(p) < evidence.LEVEL).any()


@pytest.mark.parametrize("gain", [1, -1])
@pytest.mark.parametrize("kind", ["white", "AR .9"])
@pytest.mark.parametrize("protocol", ["bars", "wedges", "rings"])
def test_places_are_seen_in_noise_whatever_their_sign(protocol, kind, gain):
    rng = np.random.default_rng(4)
    angle, ecc = rng.uniform(0, 2 * np.pi, 60), rng.uniform(1, 4, 60)
    at = (a.astype(np.float32) for a in (ecc * np.cos(angle), ecc * np.sin(angle), np.full(60, 0.8)))
    course = prf.Model(sweeps(protocol), 12.0).courses(*at)
    responses = shown(protocol, 4, rng, kind, 60) * 0.5 + gain * 3 * course / course.std(0)
    p, share = p_of(protocol, responses)
    assert (evidence.q_values(p) < evidence.LEVEL).mean() > 0.9 and np.median(share) > 0.05


@pytest.mark.parametrize("protocol, least", [("wedges", 0.9), ("rings", 0.85)])
@pytest.mark.parametrize("gain", [1, -1])
def test_places_are_seen_in_two_repetitions(protocol, least, gain):
    """Noise of half a standard deviation a frame; rings shown twice found none before."""
    rng = np.random.default_rng(5)
    angle, ecc = rng.uniform(0, 2 * np.pi, 200), rng.uniform(0.5, 4.5, 200)
    at = (a.astype(np.float32) for a in (ecc * np.cos(angle), ecc * np.sin(angle), rng.uniform(0.5, 1.5, 200)))
    course = prf.Model(sweeps(protocol), 12.0).courses(*at)
    p, share = p_of(protocol, shown(protocol, 2, rng, "AR .5", 200) * 0.5 + gain * course / course.std(0))
    assert (
        (evidence.q_values(p) < evidence.LEVEL) & (share > (evidence.LEAST_RING if protocol == "rings" else 0))
    ).mean() > least


@pytest.mark.parametrize("steps", [8, 12])
@pytest.mark.parametrize("protocol", ["wedges", "rings"])
@pytest.mark.parametrize("kind", ["white", "AR .5", "2", "5"])
def test_few_steps_and_noise_as_slow_as_a_sweep_find_nothing(protocol, kind, steps):
    """2,000 are drawn by benchmarks/nulls_retinotopy.py; of 20 data sets of 100 vertices more than 4 are rarer than 1 in 400."""
    rng, geometry = np.random.default_rng(6), Geometry(12.0, 6.0, 1.5, 45.0, 1.5, steps)
    areas = np.concatenate([masks(sweep, 24, geometry) for sweep in SWEEPS[protocol]]).sum((1, 2))
    noise = smooth_in_time(2 * len(areas), 2000, rng, kind).reshape(2, len(areas), -1)
    p, _ = evidence.cycles(noise, SWEEPS[protocol], protocol[:-1], areas)
    assert sum((evidence.q_values(own) < evidence.LEVEL).any() for own in p.reshape(20, 100)) <= 4
    assert (p <= 0.05).mean() < 0.065


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 30), st.integers(2, 5), st.sampled_from(["wedge", "ring"]))
def test_what_is_the_same_in_reverse_is_even_and_nothing_is_lost(seed, steps, repetitions, kind):
    rng = np.random.default_rng(seed)
    ahead = rng.standard_normal((repetitions, steps, 3))
    back = ahead[:, ::-1] if kind == "ring" else ahead[:, -np.arange(steps)]
    even, odd = evidence._even_and_odd(np.concatenate([ahead, back], 1), kind, steps - 1)
    np.testing.assert_allclose(odd, 0, atol=1e-9)
    even, odd = evidence._even_and_odd(rng.standard_normal((1, 2 * steps, 2000)), kind, steps - 1)
    np.testing.assert_allclose((even**2).mean((0, 2)), 1, atol=0.2)  # orthonormal: white noise has variance 1 in either
    np.testing.assert_allclose((odd**2).mean((0, 2)), 1, atol=0.2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 1000), st.floats(-50, 50), st.sampled_from(["wedges", "rings"]))
def test_evidence_knows_no_units_and_no_offset(seed, scale, offset, protocol):
    responses = shown(protocol, 2, np.random.default_rng(seed), "white", 5)
    p, share = p_of(protocol, responses)
    again, shares = p_of(protocol, scale * (responses + offset))
    np.testing.assert_allclose(again, p, atol=1e-4)
    np.testing.assert_allclose(shares, share, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 180), st.floats(0, 5))
def test_what_answers_to_orientation_or_area_has_no_place(seed, preferred, power):
    """Wedges: the same at opposite angles. Rings: the area's root, itself, its square or a mixture."""
    rng, angle = np.random.default_rng(seed), np.arange(24) * 15
    both = np.concatenate([angle, -angle])
    tuned = np.cos(np.deg2rad(2 * (both - preferred)))[:, None]
    noise = shown("wedges", 3, rng, "white", 40)
    alone, driven = (p_of("wedges", noise + gain * tuned)[0] for gain in (0, 5))
    np.testing.assert_allclose(driven, alone, atol=1e-6)
    area = sweeps("rings").sum((1, 2)) / sweeps("rings").sum((1, 2)).max()
    mixture = (area[:, None] ** [0.5, 1, 2]) @ rng.standard_normal((3, 40)) * power
    noise = shown("rings", 3, rng, "white", 40)
    np.testing.assert_allclose(p_of("rings", noise + mixture)[0], p_of("rings", noise)[0], atol=1e-3)


def test_reversals_are_all_there_are_or_many_at_random():
    few = evidence._reversals(8, 0)
    assert len(few) == 2**7 == len(np.unique(few, axis=0)) and (few[:, 0] == 1).all() and (few[0] == 1).all()
    many = evidence._reversals(16, 0)
    assert many.shape == (evidence.FLIPS, 16) and (many[0] == 1).all() and abs(many[1:].mean()) < 0.03


def test_what_never_varies_and_what_was_shown_once():
    flat = np.full((2, len(sweeps("bars")), 3), 2.0)
    assert (p_of("bars", flat)[0] == 1).all() and (p_of("wedges", flat[:, :48])[0] == 1).all()
    once = shown("wedges", 1, np.random.default_rng(0), "white", 5)
    assert (p_of("wedges", once)[0] == 1).all()
    q = evidence.q_values(np.array([0.001, 0.04, 0.9]), np.array([True, False, True]))
    assert q[0] == pytest.approx(0.002) and np.isnan(q[1]) and q[2] == pytest.approx(0.9)


# ---------------------------------------------------------------- phase-encoded


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 359), st.integers(0, 4), st.integers(1, 4))
def test_a_delay_cancels_between_the_senses(angle, delay, cycles):
    x, y = 3 * np.cos(np.deg2rad(angle)), 3 * np.sin(np.deg2rad(angle))
    ccw, cw = (
        np.roll(np.tile(gaussian_course(masks(f"wedge {sense}", 48, GEOMETRY), x, y, 1.0), cycles), delay)[:, None]
        for sense in ("ccw", "cw")
    )
    found, r2 = phase.polar_angle(ccw, cw, cycles)
    assert angle_error(found, [angle]) < 1.5 and 0.4 < r2[0] <= 1
    if delay > 1:  # one sense alone is off by the delay
        assert angle_error(np.rad2deg(phase.lag(ccw, cycles)[0]), [angle]) > 10


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("radius", [1.0, 2.5, 4.0, 5.0])
def test_rings_give_the_eccentricity(radius, delay):
    out, back = (
        np.roll(np.tile(gaussian_course(masks(f"ring {way}", 48, GEOMETRY), 0, radius, 0.5), 2), delay)[:, None]
        for way in ("expanding", "contracting")
    )
    found, r2 = phase.eccentricity(out, back, 2, GEOMETRY)
    assert found[0] == pytest.approx(radius, abs=0.3) and r2[0] > 0.3


def test_coherence_is_one_for_a_cosine_and_small_for_noise():
    t = np.arange(96)
    wave = np.cos(2 * np.pi * 4 * t / 96 - 1.2)
    noise = np.random.default_rng(0).standard_normal(96)
    lag, coherence = phase.lag(np.stack([wave, noise, np.ones(96)], 1), 4)
    assert lag[0] == pytest.approx(1.2) and coherence[0] == pytest.approx(1) and coherence[1] < 0.4
    assert np.isnan(lag[2]) and coherence[2] == 0


# ---------------------------------------------------------------- visual field sign


@pytest.fixture(scope="module")
def template():
    mesh = surfaces.load_mesh()
    atlas = surfaces.fitted_retinotopy(mesh)
    near = atlas.eccentricity < 8
    rows = np.flatnonzero((atlas.area > 0) & near)
    return mesh, atlas, rows, {name: atlas.area == k for k, name in enumerate(surfaces.EARLY, 1)}


def test_areas_of_the_template_have_their_sign(template):
    mesh, atlas, rows, areas = template
    for side in (rows < mesh.n, rows >= mesh.n):
        some = rows[side]
        sign = fieldsign.field_sign(atlas.x[some], atlas.y[some], some, mesh)
        shares = fieldsign.right_shares(sign, {name: mask[some] for name, mask in areas.items()}, -sign)
        assert list(shares) == ["V1", "V2", "V3", "hV4"]
        for name, floor in {"V1": 0.93, "V2": 0.85, "V3": 0.75, "hV4": 0.65}.items():
            assert shares[name]["share"] > floor and shares[name]["template"] < 1 - floor
        mirrored = fieldsign.field_sign(-atlas.x[some], atlas.y[some], some, mesh)
        np.testing.assert_allclose(mirrored, -sign)


def test_reversals_lie_at_the_borders_of_areas(template):
    mesh, atlas, rows, areas = template
    sign = fieldsign.field_sign(atlas.x[rows], atlas.y[rows], rows, mesh)
    border = fieldsign.reversals(sign, rows, mesh)
    assert set(np.unique(border[np.isfinite(border)])) == {0, 1}
    distances = fieldsign.border_distances(border, rows, areas, mesh)
    for name in ("V1/V2", "V2/V3"):
        assert distances[name]["found_to_atlas"] < 0.6 * distances[name]["chance"]
        assert distances[name]["atlas_to_found"] < 4  # mm: an edge and a half
    nowhere = fieldsign.border_distances(np.zeros(len(rows)), rows, areas, mesh)
    assert nowhere["V1/V2"]["found_to_atlas"] is None and nowhere["V1/V2"]["vertices"] == 0


def test_unknown_vertices_have_no_sign(template):
    mesh, atlas, rows, _ = template
    x = np.array(atlas.x[rows])
    x[::2] = np.nan
    sign = fieldsign.field_sign(x, atlas.y[rows], rows, mesh)
    assert (
        np.isnan(sign[::2]).all()
        and np.isfinite(sign).any()
        and np.isnan(fieldsign.reversals(sign, rows, mesh)[::2]).all()
    )


def test_smoothing_averages_neighbours_and_leaves_constants(template):
    mesh, _, rows, _ = template
    values = np.random.default_rng(0).standard_normal(len(rows))
    assert fieldsign.smooth(values, rows, mesh, 2).std() < 0.5
    np.testing.assert_allclose(fieldsign.smooth(np.full(len(rows), 3.0), rows, mesh, 3), 3)
    np.testing.assert_array_equal(fieldsign.smooth(values, rows, mesh, 0), values)


# ---------------------------------------------------------------- agreement


SPHERE = surfaces.load_mesh().coords["sphere"]


@cache
def patch():
    """Vertices of V1 to V3 up to 8 degrees."""
    atlas = surfaces.fitted_retinotopy()
    near = (atlas.area > 0) & (atlas.area < 4) & (atlas.eccentricity < 8)
    return surfaces.Vertices.of_mesh().subset(near)


def smooth_maps(seed=0, width=10):
    """Retinotopic maps of smooth random positions and sizes: covariance exp(−d²/2 width²) in mm on the sphere."""
    rows, rng = patch().rows, np.random.default_rng(seed)
    fields = np.empty((len(rows), 3))
    for side in (0, 1):
        own = patch().hemi == side
        at = SPHERE[rows[own]].astype(float)
        root = _root(at.tobytes(), width)
        fields[own] = root @ rng.standard_normal((len(at), 3))
    x, y, size = fields.T
    return {
        "polar_angle": np.rad2deg(np.arctan2(y, x)) % 360, "eccentricity": np.hypot(x, y), "size": np.exp(size),
        "field_sign": fieldsign.field_sign(x, y, rows, surfaces.load_mesh()),
    }  # fmt: skip


@cache
def _root(at, width):
    at = np.frombuffer(at).reshape(-1, 3)
    values, vectors = np.linalg.eigh(np.exp(-((at[:, None] - at[None]) ** 2).sum(2) / (2 * width**2)))
    return vectors * np.sqrt(np.maximum(values, 0))


def test_a_map_agrees_with_itself():
    maps = smooth_maps()
    scores = agreement(maps, maps, patch(), SPHERE)
    assert scores["angle_error"]["mean"] == 0 and scores["angle_error"]["floor"] > 10
    for name in ("circular_r", "eccentricity_r", "size_r", "same_sign"):
        for side in ("left", "right"):  # a sign of exactly 0 equals none
            assert scores[name][side] == pytest.approx(1, abs=0.02 if name == "same_sign" else 1e-9)
        assert scores[name]["floor"] < 0.9 and scores[name]["p"] == pytest.approx(1 / 201)
        assert scores[name]["vertices"] == len(patch()) or name == "same_sign"
    for score in agreement(maps, maps, patch()).values():  # a data set without a sphere
        assert score["floor"] is None and score["p"] is None and score["mean"] is not None


def test_turned_and_mirrored_angles():
    maps = smooth_maps()
    angle = maps["polar_angle"]
    turned = agreement({"polar_angle": (angle + 40) % 360}, maps, patch())
    assert turned["circular_r"]["mean"] == pytest.approx(1) and turned["angle_error"]["mean"] == pytest.approx(40)
    assert agreement({"polar_angle": -angle % 360}, maps, patch())["circular_r"]["mean"] == pytest.approx(-1)


def test_unrelated_smooth_maps_stay_below_the_floor():
    truth, hits, count = smooth_maps(), 0, 0
    for seed in range(1, 26):
        for name, score in agreement(smooth_maps(seed), truth, patch(), SPHERE, draws=99).items():
            beyond = score["mean"] < score["floor"] if name == "angle_error" else score["mean"] > score["floor"]
            assert beyond == (score["p"] <= 0.05)
            hits, count = hits + beyond, count + 1
    assert count == 125 and hits <= 10  # with vertices swapped one by one about 45


def test_circular_correlation_follows_its_formula():
    a, b = np.array([10.0, 80, 200, 350]), np.array([30.0, 60, 220, 300])
    sine = [np.sin(np.deg2rad(v) - np.angle(np.exp(1j * np.deg2rad(v)).sum())) for v in (a, b)]
    expected = (sine[0] * sine[1]).sum() / np.sqrt((sine[0] ** 2).sum() * (sine[1] ** 2).sum())
    assert circular_correlation(a, b) == pytest.approx(expected)
    assert np.isnan(circular_correlation(np.full(5, 20.0), np.arange(5)))
    assert angle_error([359, 1, 180], [1, 359, 180]) == 2


def test_missing_maps_and_few_vertices_say_nothing():
    maps, left = smooth_maps(), int((patch().hemi == 0).sum())
    few = {"eccentricity": np.where(np.arange(len(patch())) < left + 5, maps["eccentricity"], np.nan)}
    scores = agreement(few, maps, patch(), SPHERE)
    assert list(scores) == ["eccentricity_r"]
    assert scores["eccentricity_r"]["right"] is None and scores["eccentricity_r"]["mean"] == pytest.approx(1)
    assert scores["eccentricity_r"]["p"] == pytest.approx(1 / 201) and scores["eccentricity_r"]["vertices"] == left + 5
    assert agreement({"size": np.full(len(patch()), np.nan)}, maps, patch(), SPHERE) == {}


# ---------------------------------------------------------------- a planted encoder over local tokens (simulated)


class LocalContrast(Backbone):
    """Tokens of cells of 8 pixels that see nothing but their cell: rectified differences from grey and of neighbours."""

    name, layer_names, width, input_size, fingerprint = "local contrast", ("cells",), 4, 64, "local-contrast-1"

    def pixel_tokens(self, pixels):
        grey = pixels.mean(1, keepdim=True) - 128 / 255
        across, down = grey.diff(dim=3, append=grey[..., -1:]), grey.diff(dim=2, append=grey[:, :, -1:])
        parts = torch.cat([grey.relu(), (-grey).relu(), across.abs(), down.abs()], 1)
        inner = torch.ones(1, 1, 8, 8)
        inner[..., -1], inner[..., -1, :] = 0, 0  # differences across a cell's border belong to no cell
        parts = parts * inner.repeat(1, 1, 8, 8)
        cells = torch.nn.functional.avg_pool2d(parts, 8).permute(0, 2, 3, 1)
        return [cells], [cells.mean((1, 2))]


GRID, DEGREES = 8, 12.0


def planted_encoder(maps=True, unread=0):
    """Early visual cortex that looks where the template says; ``unread`` vertices at the end answer nothing."""
    cortex = surfaces.visual_cortex(max_eccentricity=4.8)
    early = np.isin(cortex.roi, surfaces.EARLY)
    vertices = cortex.vertices.subset(early)
    n, rows = len(vertices), vertices.rows
    x, y = cortex.retinotopy.x[rows], cortex.retinotopy.y[rows]
    rng = np.random.default_rng(0)
    channel = rng.uniform(0.2, 1, (n, 4)).astype(np.float32)
    if unread:
        channel[-unread:] = 0
    factor = Selectors(
        np.stack([x, -y], 1).astype(np.float32) / (DEGREES / 2), np.ones((n, 1), np.float32),
        np.full(n, 0.02, np.float32), channel,
    )  # fmt: skip
    eye, zero = np.eye(4, dtype=np.float32), np.zeros(4, np.float32)
    alignment = {"local": [eye], "local_offset": [zero], "global": [eye], "global_offset": [zero]}
    measured = {"polar_angle": np.rad2deg(np.arctan2(y, x)) % 360, "eccentricity": np.hypot(x, y)} if maps else None
    encoder = Encoder(
        factor, alignment, rng.standard_normal(n).astype(np.float32), vertices, ["cells"], GRID,
        info={"image_degrees": DEGREES, "simulated": True, "backbone": "local contrast"},
        rois={name: cortex.roi[early] == name for name in surfaces.EARLY}, maps=measured,
    )  # fmt: skip
    encoder._backbone = LocalContrast()
    return encoder


CELL = 2 / GRID  # in units of the space selector


def centre_error(found, encoder):
    return np.linalg.norm(found.space - encoder.selectors().space, axis=1) / CELL


@pytest.mark.parametrize("carrier", ["checkerboard", "picture"])
def test_bars_give_the_planted_centres(carrier):
    encoder = planted_encoder()
    found = experiments.retinotopy(encoder, protocol="bars", carrier=carrier)
    assert found.numbers["frames"] >= 300 and found.numbers["mapped"] == encoder.n_vertices
    assert np.median(centre_error(found, encoder)) < 0.5
    for against in ("measured", "atlas", "selectors"):
        scores = found.agreement[against]
        for side in ("left", "right"):
            assert scores["circular_r"][side] > 0.95 and scores["eccentricity_r"][side] > 0.95
        assert 0.3 < scores["circular_r"]["floor"] < 0.95 and scores["circular_r"]["p"] < 0.02
        assert scores["eccentricity_r"]["p"] <= 0.05 and scores["same_sign"]["mean"] > max(
            0.75, scores["same_sign"]["floor"]
        )
    # Angle, eccentricity and space are one place, told in three ways; y is up in angles and down in space.
    angle = np.deg2rad(found.polar_angle)
    np.testing.assert_allclose(found.space[:, 0] * 6, found.eccentricity * np.cos(angle), atol=1e-4)
    np.testing.assert_allclose(found.space[:, 1] * 6, -found.eccentricity * np.sin(angle), atol=1e-4)
    assert np.median(found.r2) > 0.85 and 0.2 < np.median(found.size) < 1.5  # degrees; a cell is 1.5 wide
    signs = found.numbers["signs"]
    assert signs["V1"]["p"] <= 0.05 and signs["V1"]["floor"] < signs["V1"]["share"]
    assert signs["V1"]["share"] > 0.8 and signs["V2"]["share"] > 0.7
    assert (found.field_sign[encoder.rois["V1"]] < 0).mean() == pytest.approx(signs["V1"]["share"], abs=0.02)


def test_wedges_and_rings_give_the_planted_centres():
    encoder = planted_encoder()
    found = experiments.retinotopy(encoder, protocol="wedges and rings")
    assert np.nanmedian(centre_error(found, encoder)) < 0.5 and np.isnan(found.size).all()
    assert found.numbers["mapped"] > 0.9 * encoder.n_vertices
    for side in ("left", "right"):
        assert found.agreement["selectors"]["circular_r"][side] > 0.95
        assert found.agreement["measured"]["eccentricity_r"][side] > 0.9


@pytest.mark.parametrize("protocol, known", [("wedges", "polar_angle"), ("rings", "eccentricity")])
def test_half_of_the_sweeps_give_half_of_the_place(protocol, known):
    found = experiments.retinotopy(planted_encoder(), protocol=protocol)
    missing = {"polar_angle": "eccentricity", "eccentricity": "polar_angle"}[known]
    assert np.isfinite(getattr(found, known)).mean() > 0.85  # two repetitions leave F(2, 2) to tell noise by
    for name in (missing, "space", "size", "field_sign", "border"):
        assert np.isnan(getattr(found, name)).all()
    scores = found.agreement["selectors"]
    assert set(scores) == ({"circular_r", "angle_error"} if protocol == "wedges" else {"eccentricity_r"})
    assert scores[next(iter(scores))]["mean"] > 0.9
    area = found.numbers["areas"][0]
    assert area["roi"] == "V1" and area["mapped"] > 0.85 and (area["angle_error"] is not None) == (protocol == "wedges")


def test_noise_costs_precision_and_repetitions_win_it_back():
    encoder = planted_encoder()
    error = [
        np.nanmedian(centre_error(experiments.retinotopy(encoder, noise=noise, repetitions=r), encoder))
        for noise, r in ((0.0, 2), (2.0, 2), (2.0, 8))
    ]
    assert error[0] < error[2] < error[1]


def test_vertices_that_follow_nothing_have_no_field():
    encoder = planted_encoder(unread=40)
    found = experiments.retinotopy(encoder, noise=0.0)
    assert np.isnan(found.space[-40:]).all() and np.isnan(found.polar_angle[-40:]).all() and (found.r2[-40:] == 0).all()
    assert np.isfinite(found.space[:-40]).all() and found.numbers["mapped"] == encoder.n_vertices - 40
    drowned = experiments.retinotopy(encoder, noise=50.0, repetitions=1)
    assert drowned.numbers["mapped"] == 0 and np.isnan(drowned.space).all() and 0 < drowned.numbers["floor"] < 0.3
    assert sum(drowned.numbers["lacking"].values()) == encoder.n_vertices


def turned_over(share=0.5, scale=0.02):
    """The planted encoder; a share of its vertices answers less to what it looks at; all read so much of the global token."""
    encoder = planted_encoder()
    factor, n = encoder.selectors(), encoder.n_vertices
    sign = np.where(np.random.default_rng(5).random(n) < share, -1, 1).astype(np.float32)
    encoder._selectors = replace(factor, channel=factor.channel * sign[:, None], scale=np.full(n, scale, np.float32))
    return encoder, sign


@pytest.mark.parametrize("protocol", ["bars", "wedges and rings"])
def test_vertices_that_answer_less_lie_where_they_look(protocol):
    encoder, sign = turned_over()
    found = experiments.retinotopy(encoder, protocol=protocol)
    mapped = np.isfinite(found.space[:, 0])
    assert mapped.mean() > 0.9 and np.median(centre_error(found, encoder)[mapped]) < 0.5
    assert (centre_error(found, encoder)[mapped] < 2).mean() > 0.97  # nobody is across the middle
    np.testing.assert_array_equal(found.result.maps["sign"][mapped], sign[mapped])
    assert (
        found.numbers["suppressed"] == (sign[mapped] < 0).sum() and np.isnan(found.result.maps["sign"][~mapped]).all()
    )


@pytest.mark.parametrize("protocol", ["bars", "wedges and rings"])
def test_vertices_that_read_the_global_token_have_no_place(protocol):
    encoder, _ = turned_over(scale=1.0)
    found = experiments.retinotopy(encoder, protocol=protocol, steps=12)
    assert found.numbers["mapped"] == 0 and found.numbers["global"] == encoder.n_vertices
    assert np.isnan(found.space).all() and found.agreement.get("measured", {}) == {}
    # Nor does the test of the responses alone take them for one.
    encoder.has_selectors = False
    assert experiments.retinotopy(encoder, protocol=protocol, steps=12).numbers["mapped"] == 0


def test_a_smaller_aperture_maps_no_further_than_it_reaches():
    encoder = planted_encoder()
    found = experiments.retinotopy(encoder, radius=3.0)
    near = np.linalg.norm(encoder.selectors().space, axis=1) * 6 < 2.5
    assert np.median(centre_error(found, encoder)[near]) < 0.5
    assert found.agreement["measured"]["circular_r"]["vertices"] < 0.8 * encoder.n_vertices


def test_without_maps_or_selectors_the_atlas_is_left():
    encoder = planted_encoder(maps=False)
    encoder.has_selectors = False  # as the baselines are
    found = experiments.retinotopy(encoder, steps=12, repetitions=1)
    assert set(found.agreement) == {"atlas"} and found.agreement["atlas"]["circular_r"]["mean"] > 0.9


def test_without_a_mesh_there_are_maps_but_no_field_sign(monkeypatch, tmp_path):
    encoder = planted_encoder()
    encoder.vertices = replace(encoder.vertices, density="41k")  # nested: the same vertices
    monkeypatch.setenv("FACTORTOPY_FSAVERAGE", str(tmp_path))  # a folder that was named and holds no mesh
    found = experiments.retinotopy(encoder, steps=12, repetitions=1)
    assert set(found.agreement) == {"measured", "selectors"} and found.agreement["measured"]["circular_r"]["mean"] > 0.9
    assert np.isnan(found.field_sign).all() and np.isnan(found.border).all() and found.numbers["signs"] == {}
    assert any("41k" in note and "floor" in note for note in found.result.notes)
    assert found.agreement["measured"]["circular_r"]["floor"] is None


def test_an_encoder_without_the_space_factor_has_no_places_to_compare():
    encoder = planted_encoder()
    encoder.info["select"] = ("layer", "scale")
    found = experiments.retinotopy(encoder, steps=12, repetitions=1)
    assert "selectors" not in found.agreement
    assert found.numbers["mapped"] == 0 and np.isnan(found.size).all()  # positions are averaged: it is blind to them


def test_the_same_settings_give_the_same_result_and_it_is_kept(tmp_path):
    encoder = planted_encoder()
    settings = retinotopic.DEFAULTS | {"steps": 10, "repetitions": 2, "noise": 1.0, "seed": 3}
    first, again = retinotopic.run(encoder, settings), retinotopic.run(encoder, settings)
    for name, values in first.maps.items():
        assert values.dtype == np.float32 and values.shape == (encoder.n_vertices,)
        np.testing.assert_array_equal(values, again.maps[name])
    assert set(first.maps) == {"polar_angle", "eccentricity", "size", "r2", "sign", "q", "field_sign", "border"}
    assert first.numbers | {"seconds": 0} == again.numbers | {"seconds": 0} and first.settings == settings
    assert first.pictures["frames"].shape == (16, 64, 64, 3)
    first.save(tmp_path)
    loaded = Result.load(tmp_path)
    vertex = int(np.nanargmax(loaded.maps["r2"]))
    course, answer = retinotopic.fitted(loaded, vertex), loaded.arrays["responses"][:, vertex].astype(float)
    assert 1 - ((answer - course) ** 2).sum() / ((answer - answer.mean()) ** 2).sum() == pytest.approx(
        loaded.maps["r2"][vertex], abs=0.02
    )
    other = retinotopic.run(encoder, settings | {"seed": 4})
    assert (other.maps["r2"] != first.maps["r2"]).any()


def test_progress_runs_to_the_end_and_stops_when_told():
    seen = []
    small = {"steps": 8, "repetitions": 1}
    experiments.retinotopy(planted_encoder(), on_progress=lambda done, total: seen.append((done, total)), **small)
    done, total = np.array(seen).T
    assert (np.diff(done) >= 0).all() and done[-1] == total[-1] > 64 and len(set(total)) == 1
    for limit in (1, 66):  # while the 64 frames are shown, and during the analysis

        def until(done, total, limit=limit):
            return done < limit

        with pytest.raises(experiments.Stopped):
            experiments.retinotopy(planted_encoder(), on_progress=until, **small)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "spirals"}, {"carrier": "noise"}, {"radius": 7.0}, {"radius": "wide"}, {"bar_width": 0},
        {"wedge_angle": 200}, {"ring_width": float("nan")}, {"check_degrees": -1}, {"steps": 2}, {"steps": 20.5},
        {"repetitions": 0}, {"noise": -1}, {"noise": True}, {"smoothing": -1}, {"seed": "x"},
        {"steps": 200, "repetitions": 100}, {"pictures": "folder"}, {"carrier": "picture", "pictures": 3},
        {"carrier": "picture", "pictures": "/nowhere"}, {"carrier": "picture", "pictures": []},
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(wrong):
    with pytest.raises(
        ft.InputError, match=rf"setting.*{list(wrong)[-1] if len(wrong) == 1 else '(repetitions|pictures)'}"
    ):
        retinotopic.run(planted_encoder(), retinotopic.DEFAULTS | wrong)


def test_an_unknown_setting_is_named():
    with pytest.raises(ft.InputError, match="found 'speed'"):
        experiments.retinotopy(planted_encoder(), speed=2)


def test_given_pictures_are_the_carriers(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / f"{k}.png")
    settings = retinotopic.DEFAULTS | {"carrier": "picture", "steps": 12, "repetitions": 1}
    folder = retinotopic.run(planted_encoder(), settings | {"pictures": str(tmp_path)})
    files = [str(tmp_path / f"{k}.png") for k in range(3)]
    listed = retinotopic.run(planted_encoder(), settings | {"pictures": files})
    np.testing.assert_array_equal(folder.pictures["frames"], listed.pictures["frames"])
    assert folder.numbers["agreement"]["measured"]["circular_r"]["mean"] > 0.95
