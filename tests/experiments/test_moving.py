"""Motion: stimuli that move as told, and what a network that sees single frames makes of them."""

import numpy as np
import pytest
from colour_encoder import colour_encoder
from PIL import Image

from factortopy.errors import InputError
from factortopy.experiments import motion, moving
from factortopy.experiments.responses import Stopped
from factortopy.stimuli.movement import FLOWS, dots, grating, trajectories

FIELD = {"like": "expansion", "direction": 90.0, "speed": 3.0, "count": 400, "frames": 30, "fps": 10.0, "degrees": 8.0}
SMALL = {"clips": 3, "frames": 6, "fps": 6.0, "size": 48, "spatial_frequency": 0.5, "dots": 60}


@pytest.mark.parametrize("direction, axis, sign", [(0, 1, 1), (90, 0, -1), (180, 1, -1), (270, 0, 1)])
def test_gratings_drift_the_way_they_say(direction, axis, sign):
    # 1 cycle a degree at 16 pixels a degree, 1 cycle a second at 16 frames a second: one pixel a frame.
    frames = grating(direction, 1.0, 1.0, frames=8, fps=16.0, size=64, degrees=4.0)
    assert frames.shape == (8, 64, 64, 3) and frames.dtype == np.uint8
    for t in range(1, 8):
        moved = np.roll(frames[0], sign * t, axis=axis)
        assert np.abs(moved.astype(int) - frames[t]).max() <= 1
    assert abs(frames.mean() - 127.5) < 1 and frames.min() < 3 and frames.max() > 252


def test_grating_has_its_spatial_and_temporal_frequency():
    frames = grating(0, 2.0, 3.0, frames=24, fps=12.0, size=64, degrees=8.0, contrast=0.5)
    tone = frames[..., 0].astype(float) - 127.5
    assert np.argmax(np.abs(np.fft.rfft(tone[0, 0]))) == 16  # cycles a picture
    assert np.argmax(np.abs(np.fft.rfft(tone[:, 0, 5]))) == 6  # cycles in two seconds
    assert abs(np.abs(np.fft.rfft(tone[0, 0]))[16] / 32 - 0.5 * 127.5) < 1  # amplitude


def test_flow_fields_are_those_of_the_literature():
    for flow, field in {
        "expansion": lambda p: p * 3.0 / 4.0,
        "contraction": lambda p: -p * 3.0 / 4.0,
        "rotation": lambda p: np.stack([-p[:, 1], p[:, 0]], 1) * 3.0 / 4.0,
        "translation": lambda p: np.tile([0.0, 3.0], (len(p), 1)),
        "static": lambda p: np.zeros_like(p),
    }.items():
        path, _ = trajectories(flow, **(FIELD | {"fps": 1000.0}), seed=1)
        velocity = (path[1:] - path[:-1]) * 1000
        middle = (path[1:] + path[:-1]) / 2
        stays = np.hypot(*np.moveaxis(velocity, 2, 0)) < 20  # all but those that came back elsewhere
        assert stays.mean() > 0.99
        for v, p, ok in zip(velocity, middle, stays, strict=True):
            np.testing.assert_allclose(v[ok], field(p[ok]), atol=0.02)


def test_random_dots_keep_the_speeds_and_shuffle_directions():
    field = FIELD | {"fps": 1000.0, "count": 3000, "frames": 2}
    for like in ("translation", "expansion", "rotation"):
        coherent, _ = trajectories(like, **field, seed=1)
        path, _ = trajectories("random", **(field | {"like": like}), seed=2)
        v, u = ((x[1] - x[0]) * 1000 for x in (path, coherent))
        speed, other = (np.sort(np.hypot(*x.T)) for x in (v, u))
        levels = np.linspace(0.02, 0.95, 20)
        np.testing.assert_allclose(np.quantile(speed, levels), np.quantile(other, levels), atol=0.15)
        turn = np.arctan2(v[:, 1], v[:, 0])
        assert np.abs(np.exp(1j * turn).mean()) < 0.05


@pytest.mark.parametrize("flow", FLOWS)
def test_density_stays_even(flow):
    counts = []
    for seed in range(6):
        path, _ = trajectories(flow, **(FIELD | {"frames": 60}), seed=seed)
        x, y = np.moveaxis(path[[0, 29, 59]], 2, 0)
        counts.append([np.histogram2d(a, b, bins=4, range=[[-4, 4]] * 2)[0] for a, b in zip(x, y, strict=True)])
    counts = np.sum(counts, axis=0)  # (3 frames, 4, 4), expected 6 · 400 / 16 = 150 in each
    assert np.abs(counts.sum((1, 2)) - 2400).max() < 5 * 2400**0.5
    assert np.abs(counts - 150).max() < 5 * 150**0.5
    middle = counts[:, 1:3, 1:3].sum((1, 2))
    assert np.abs(middle - 600).max() < 4.5 * 600**0.5


def test_contraction_is_expansion_played_backwards():
    there = dots("expansion", frames=6, seed=3)
    np.testing.assert_array_equal(dots("contraction", frames=6, seed=3), there[::-1])
    np.testing.assert_array_equal(there, dots("expansion", frames=6, seed=3))
    assert not np.array_equal(there, dots("expansion", frames=6, seed=4))


def test_dots_look_like_dots():
    frames = dots("static", count=40, dot=0.5, frames=3, size=128, degrees=8.0, seed=0)
    np.testing.assert_array_equal(frames[0], frames[2])
    tone = frames[0, ..., 0].astype(float) - 127.5
    area = np.pi * (0.25 * 16) ** 2
    assert 0.6 * 40 * area < (np.abs(tone) / 127.5).sum() < 1.4 * 40 * area
    assert (tone > 100).any() and (tone < -100).any()


def test_shuffled_frames_are_identical_for_a_network_of_single_frames():
    found = motion(colour_encoder(), **SMALL)
    assert found.identical and found.shuffled < 1e-3
    assert set(found.response) == set(moving.TYPES)
    assert all(x.shape == (3, 12) and x.dtype == np.float32 for x in found.response.values())
    assert found.dprime.shape == found.t.shape == found.q.shape == (12,)
    assert (found.q > 0.01).all()  # nothing tells coherent from random dots


def test_a_network_with_memory_is_told_apart():
    encoder = colour_encoder()
    still = encoder.predict

    def predict(images):
        found = still(images)
        return np.abs(np.diff(found, axis=0, prepend=found[:1]))  # answers change between frames

    encoder.predict = predict
    result = moving.run(encoder, moving.DEFAULTS | SMALL)
    assert not result.numbers["identical"] and result.numbers["shuffled frames"] > 0.01
    assert any("takes time into account" in note for note in result.notes)
    assert not any("single frames" in note for note in result.notes)


def test_run_says_what_it_cannot_show():
    seen = []
    result = moving.run(colour_encoder(), moving.DEFAULTS | SMALL, lambda done, total: seen.append((done, total)))
    assert "single frames" in result.notes[0] and "any order" in result.notes[0]
    assert any("video network" in note for note in result.notes)
    assert result.numbers["identical"] is True and set(result.pictures) == set(moving.TYPES)
    assert set(result.numbers["profile"]["red left"]) == set(moving.TYPES)
    assert seen[-1][0] == seen[-1][1] and all(a <= b for (a, _), (b, _) in zip(seen, seen[1:], strict=False))
    again = moving.run(colour_encoder(), moving.DEFAULTS | SMALL)
    for name in result.maps:
        np.testing.assert_array_equal(result.maps[name], again.maps[name])


def test_some_types_alone():
    found = motion(colour_encoder(), **(SMALL | {"types": ["grating", "static"]}))
    assert found.dprime is None and list(found.response) == ["grating", "static"]
    result = moving.run(colour_encoder(), moving.DEFAULTS | SMALL | {"types": ["static"]})
    assert list(result.maps) == ["response static"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"types": ["waterfall"]}, {"types": []}, {"clips": 1}, {"frames": 1}, {"spatial_frequency": 50.0},
        {"temporal_frequency": 9.0}, {"speed": -1.0}, {"fps": float("nan")}, {"dots": 0}, {"contrast": 3.0},
        {"size": 4}, {"dot_size": 0.0}, {"seed": "a"}, {"fps": 0.0},
    ],
)  # fmt: skip
def test_settings_that_are_wrong(wrong):
    with pytest.raises(InputError):
        moving.run(colour_encoder(), moving.DEFAULTS | SMALL | wrong)


def test_unknown_settings_and_stop():
    with pytest.raises(InputError, match="found colour"):
        motion(colour_encoder(), colour="red")
    with pytest.raises(Stopped):
        motion(colour_encoder(), lambda done, total: False, **SMALL)


def test_frames_can_be_saved_as_pictures(tmp_path):
    Image.fromarray(grating(45, frames=1)[0]).save(tmp_path / "frame.png")
    assert (tmp_path / "frame.png").stat().st_size > 100
