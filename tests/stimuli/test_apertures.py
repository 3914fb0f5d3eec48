"""Retinotopy stimuli: where the apertures are, y up, what is inside and outside of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.stimuli import apertures
from factortopy.stimuli.apertures import SWEEPS, Geometry, checkerboard, field, masks, stimulus

GEOMETRY = Geometry(image_degrees=12.0, radius=5.0, bar_width=1.5, wedge_angle=60.0, ring_width=1.5, steps=24)
SIZE = 120
PIXEL = 0.1  # degrees


def axes(size=SIZE):
    at = field(size, 12.0)
    return at[None, None, :], -at[None, :, None]  # x right, y up


def middle(mask):
    x, y = axes()
    total = mask.sum((1, 2))
    return (mask * x).sum((1, 2)) / total, (mask * y).sum((1, 2)) / total


@pytest.mark.parametrize("sweep", SWEEPS["bars"])
def test_a_bar_moves_in_its_direction_from_rim_to_rim(sweep):
    angle = np.deg2rad(float(sweep.split()[1]))
    mask = masks(sweep, SIZE, GEOMETRY)
    x, y = middle(mask)
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    position = 5 * (2 * (np.arange(24) + 0.5) / 24 - 1)
    assert np.abs(across).max() < 0.05
    inner = np.abs(position) < 3  # further out the disc cuts more off the bar's outer side
    np.testing.assert_allclose(along[inner], position[inner], atol=0.12)
    assert (np.diff(along) > 0).all()
    assert mask[11].sum() * PIXEL**2 == pytest.approx(1.5 * 10, rel=0.02)  # width × nearly the diameter


def test_an_upward_bar_starts_at_the_bottom_rows():
    mask = masks("bar 90", SIZE, GEOMETRY)
    rows = np.arange(SIZE)[:, None]
    first, last = ((m * rows).sum() / m.sum() for m in (mask[0], mask[-1]))
    assert first > 100 and last < 20


@pytest.mark.parametrize("sense", ["ccw", "cw"])
def test_a_wedge_turns_from_the_right_horizontal(sense):
    mask = masks(f"wedge {sense}", SIZE, GEOMETRY)
    x, y = middle(mask)
    turn = 2 * np.pi * np.arange(24) / 24 * (1 if sense == "ccw" else -1)
    assert np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - turn)))).max() < np.deg2rad(1)
    np.testing.assert_allclose(mask.sum((1, 2)) * PIXEL**2, np.pi * 25 / 6, rtol=0.02)  # 60 of 360 degrees


def test_wedges_of_either_sense_mirror_each_other():
    np.testing.assert_allclose(
        masks("wedge cw", SIZE, GEOMETRY), masks("wedge ccw", SIZE, GEOMETRY)[:, ::-1], atol=1e-5
    )


def test_a_ring_runs_from_the_centre_over_the_rim_and_back():
    out, back = masks("ring expanding", SIZE, GEOMETRY), masks("ring contracting", SIZE, GEOMETRY)
    np.testing.assert_array_equal(out, back[::-1])
    r = np.hypot(*axes())
    radius = (out * r).sum((1, 2)) / out.sum((1, 2))
    assert (np.diff(radius) > 0).all() and radius[0] < 0.3 and radius[-1] > 4.7
    k = 12  # a whole ring: both edges inside the disc
    edge = 6.5 * (k + 0.5) / 24 - 0.75
    assert out[k].sum() * PIXEL**2 == pytest.approx(2 * np.pi * edge * 1.5, rel=0.02)
    # No frame shows the centre and the rim at once.
    near, far = (out * (r < 1)).sum((1, 2)), (out * (r > 4)).sum((1, 2))
    assert not ((near > 0) & (far > 0)).any()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(set(sum(SWEEPS.values(), ())))), st.floats(1, 6), st.integers(8, 30), st.integers(16, 64))
def test_masks_stay_inside_the_disc(sweep, radius, steps, size):
    geometry = Geometry(12.0, radius, radius / 3, 45.0, radius / 3, steps)
    mask = masks(sweep, size, geometry)
    x, y = axes(size)
    assert mask.shape == (steps, size, size) and mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    assert (mask * (np.hypot(x, y) > radius + 12.0 / size)).max() == 0


def test_coarse_and_fine_masks_show_the_same():
    fine, coarse = masks("wedge ccw", 96, GEOMETRY), masks("wedge ccw", 48, GEOMETRY)
    pooled = fine.reshape(24, 48, 2, 48, 2).mean((2, 4))
    assert np.abs(pooled - coarse).mean() < 0.01


def test_squares_of_the_checkerboard_have_their_size():
    board = checkerboard(120, 12.0, 1.5, np.random.default_rng(3))
    assert board.shape == (120, 120, 3) and board.dtype == np.uint8 and (board == board[..., :1]).all()
    dark = board[40, :, 0] < 128
    flips = np.flatnonzero(np.diff(dark.astype(int)))
    np.testing.assert_array_equal(np.diff(flips), 15)  # pixels
    assert abs(board.mean() - 127.5) < 3


@pytest.mark.parametrize("protocol", SWEEPS)
def test_grey_outside_and_a_carrier_inside(protocol):
    shown = stimulus(protocol, 64, GEOMETRY, repetitions=2, seed=5)
    steps = 24 * len(SWEEPS[protocol])
    assert shown.masks.shape == (steps, apertures.MASK_SIZE, apertures.MASK_SIZE)
    assert shown.frames.shape == (2 * steps, 64, 64, 3) and shown.frames.dtype == np.uint8
    mask = np.concatenate([masks(sweep, 64, GEOMETRY) for sweep in SWEEPS[protocol]])
    for repetition in np.split(shown.frames, 2):
        assert (repetition[mask == 0] == 128).all()
        contrast = np.abs(repetition[mask == 1].astype(float) - 128)
        assert contrast.mean() > 60
    assert (shown.frames[:steps] != shown.frames[steps:]).any()  # each repetition has carriers of its own


def test_frames_follow_from_the_seed():
    first, again, other = (stimulus("rings", 32, GEOMETRY, 1, seed=seed).frames for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_picture_is_seen_through_the_aperture():
    picture = np.zeros((50, 80, 3), np.uint8)
    picture[..., 0] = 200
    shown = stimulus("bars", 40, GEOMETRY, 1, pictures=[picture])
    inside = masks("bar 0", 40, GEOMETRY) == 1
    np.testing.assert_array_equal(np.unique(shown.frames[:24][inside], axis=0), [[200, 0, 0]])


def test_rendered_carriers_are_pictures_that_differ():
    scenes = apertures.scene_carriers(3, 48)
    assert scenes.shape == (3, 48, 48, 3) and scenes.std((1, 2, 3)).min() > 5
    assert (scenes[0] != scenes[1]).mean() > 0.5
    np.testing.assert_array_equal(scenes[:2], apertures.scene_carriers(2, 48))


def test_rows_of_responses_find_their_sweep_and_repetition():
    shown = stimulus("wedges and rings", 16, replace(GEOMETRY, steps=8), repetitions=3)
    number = np.arange(len(shown.frames), dtype=float)[:, None] * [1, 10]
    averaged = shown.averaged(number)
    assert averaged.shape == (32, 2)
    np.testing.assert_allclose(averaged[5], [5 + 32, 370])
    series = shown.cycles(number, "wedge cw")
    np.testing.assert_array_equal(series[:, 0], np.r_[8:16, 40:48, 72:80])
