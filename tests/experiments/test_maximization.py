"""Activation maximization: truth on encoders made by hand and on a shipped run, the picture's parametrization, faults."""

import itertools
import json

import numpy as np
import pytest
import torch
from colour_encoder import ColourNetwork, colour_encoder, random_encoder
from small_network import pictures

import factortopy as ft
from factortopy import analysis
from factortopy.experiments import Stopped, fourier
from factortopy.experiments.maximization import DEFAULTS, maximize, run
from factortopy.experiments.result import Result
from factortopy.experiments.targets import target_of
from factortopy.stimuli.localizer import localizer

DEMO = "assets/runs/demo-vit_demo-1"
QUICK = {"steps": 30, "seeds": 1, "noise": 4, "rendered": 1}


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


# ---------------------------------------------------------------- the picture


def test_colours_are_mixed_at_each_pixel():
    plane = torch.randn(2, 3, 5, 7, generator=generators(1)[0])
    out = fourier.coloured(plane)
    for s, y, x in itertools.product(range(2), range(5), range(7)):
        torch.testing.assert_close(out[s, :, y, x], fourier.COLOUR @ plane[s, :, y, x])


def test_first_pictures_have_the_spectrum_of_photographs():
    size = 128
    pixels = fourier.picture(fourier.first_parameters(size, generators(8)))
    assert pixels.shape == (8, 3, size, size) and 0 < pixels.min() and pixels.max() < 1
    amplitude = torch.fft.rfft2(pixels).abs().pow(2).mean((0, 1)).sqrt().ravel().log()
    f = fourier.frequencies(size).ravel()
    inside = (f > 3 / size) & (f < 0.45)
    slope = np.polyfit(f[inside].log().numpy(), amplitude[inside].numpy(), 1)[0]
    assert -1.1 < slope < -0.9
    grey = pixels - pixels.mean(1, keepdim=True)
    assert grey.std() < 0.5 * (pixels - 0.5).std()  # mostly light and dark, as in photographs


def test_transforms_keep_shape_and_range_and_move_things():
    pixels = torch.rand(4, 3, 40, 40, generator=generators(1)[0])
    out = fourier.transformed(pixels, generators(4))
    assert out.shape == pixels.shape and out.min() >= 0 and out.max() <= 1
    torch.testing.assert_close(out, fourier.transformed(pixels, generators(4)))
    assert (out - fourier.transformed(pixels, generators(4, 9))).abs().mean() > 0.01
    grey = torch.full((4, 3, 40, 40), 0.5)
    torch.testing.assert_close(fourier.transformed(grey, generators(4)), grey)
    spot = torch.zeros(200, 3, 81, 81)
    spot[:, :, 39:42, 39:42] = 0.5  # beside the grey that is taken away
    y, x = torch.meshgrid(torch.arange(81.0), torch.arange(81.0), indexing="ij")
    mass = fourier.transformed(spot + 0.5, generators(200))[:, 0] - 0.5
    where = torch.stack([(mass * a).sum((1, 2)) / mass.sum((1, 2)) - 40 for a in (x, y)], 1) / 81
    assert 0.03 < where.abs().max() < (fourier.SHIFT + 0.5 / 81) * 1.15  # of the width, up to the zoom
    assert where.mean(0).abs().max() < 0.01  # to no side


def test_a_seed_does_not_depend_on_its_neighbours():
    pixels = torch.rand(1, 3, 24, 24).expand(3, -1, -1, -1)
    first, alone = fourier.transformed(pixels, generators(3, 5)), fourier.transformed(pixels[:1], generators(1, 6))
    torch.testing.assert_close(first[1:2], alone)


def test_roughness_is_the_power_spectrum_times_f_squared():
    y = torch.arange(64) / 64 * 2 * torch.pi
    low, high = (0.5 + 0.3 * torch.sin(k * y)[None, None, :, None].expand(1, 3, 64, 64) for k in (2, 4))
    assert fourier.roughness(torch.full((1, 3, 8, 8), 0.3)) == 0
    assert 3.8 < float(fourier.roughness(high) / fourier.roughness(low)) < 4.05


def test_noise_has_the_spectrum_and_mean_of_its_picture():
    picture = 0.5 + 0.1 * fourier.picture(fourier.first_parameters(48, generators(2)) * 10)
    noise = fourier.same_spectrum(picture, generators(1)[0])
    torch.testing.assert_close(noise.mean((2, 3)), picture.mean((2, 3)), atol=1e-4, rtol=0)
    found, wanted = (torch.fft.rfft2(p)[..., 1:-1].abs() for p in (noise, picture))
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=1e-2)
    r = torch.corrcoef(torch.stack([noise.ravel(), picture.ravel()]))[0, 1]
    assert abs(r) < 0.9 and (noise - picture).abs().mean() > 0.2 * picture.std()


# ---------------------------------------------------------------- truth


def test_a_colour_at_a_place_is_found():
    encoder = colour_encoder()
    target = target_of(encoder, {"roi": "red left", "suppress": {"roi": "green right"}})
    found = maximize(encoder, target, steps=120, seeds=2, noise=16, rendered=4)
    assert found.images.shape == (2, 32, 32, 3) and found.images.dtype == np.uint8
    assert found.history.shape == (2, 120) and found.response.shape == (2, 12)
    left, right = found.images[:, 8:24, 6:10], found.images[:, 8:24, 22:26]
    assert left[..., 0].mean() > 225 and right[..., 1].mean() < 30  # the best there is: 255 and 0
    np.testing.assert_allclose(found.response, encoder.predict(found.images), atol=1e-6)
    best = found.response @ target / 2
    shown = encoder.predict(list(np.concatenate(list(localizer(12, 32).values())))) @ target / 2
    assert best.min() > shown.max() + 0.1
    numbers = found.result.numbers
    assert numbers["objective"]["best"] == pytest.approx(best.max(), abs=1e-6)
    assert numbers["baselines"]["noise"]["best"] < best.min()
    assert numbers["baselines"]["grey"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("sign", [1, -1], ids=["driven", "suppressed"])
def test_beyond_every_picture_of_the_shipped_run(sign):
    encoder, gallery = ft.Encoder.load(DEMO), analysis.read_gallery(DEMO)
    target = sign * target_of(encoder, {"roi": "FFA"})
    found = maximize(encoder, target, seeds=1, noise=8, rendered=4)
    others = gallery.predicted.astype(np.float32) @ target
    best = found.response @ target
    assert best.max() > others.max() + 0.2
    assert best.max() > found.result.numbers["baselines"]["noise"]["best"] + 0.2
    assert found.result.numbers["target"]["z"] > 2
    assert any("several times that of a real picture" in note for note in found.result.notes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_beyond_all_pictures_that_the_subject_has_seen():
    encoder, subject = ft.Encoder.load(DEMO), ft.load_subject("demo-1")
    seen = encoder.predict_features(ft.extract(encoder.backbone(), subject.images))
    assert len(seen) == 3000
    for roi, sign in itertools.product(("FFA", "PPA", "V1"), (1, -1)):
        target = sign * target_of(encoder, {"roi": roi})
        found = maximize(encoder, target, seeds=1, noise=4, rendered=1)
        assert found.response[0] @ target > (seen @ target).max() + 0.2, (roi, sign)


def test_gradients_reach_every_pixel():
    encoder = ft.Encoder.load(DEMO)
    pixels = torch.rand(2, 3, 112, 112, requires_grad=True)
    encoder.read(*encoder.backbone().pixel_tokens(pixels), vertices=[3, 700]).sum().backward()
    assert torch.isfinite(pixels.grad).all() and (pixels.grad.abs().sum(1) > 0).float().mean() > 0.999


def test_same_seed_same_picture():
    encoder = colour_encoder()
    state = torch.random.get_rng_state()
    one, two = (maximize(encoder, target_of(encoder, {"vertex": 3}), **QUICK | {"seeds": [4, 7]}) for _ in range(2))
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.history, two.history)
    assert np.abs(one.images[0].astype(int) - one.images[1]).mean() > 2  # another seed, another picture
    alone = maximize(encoder, target_of(encoder, {"vertex": 3}), **QUICK | {"seeds": [7]})
    assert np.abs(alone.images[0].astype(int) - one.images[1]).max() <= 2
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's random numbers are left alone


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/resnet10t"])
def test_every_kind_of_network(name):
    encoder = random_encoder(ft.load_backbone(name, weights="untrained"))
    found = maximize(encoder, target_of(encoder, {"roi": "first"}), **QUICK | {"steps": 12})
    side = encoder.backbone().input_size
    assert found.images.shape == (1, side, side, 3)
    assert found.result.numbers["objective"]["best"] > found.result.numbers["baselines"]["noise"]["best"]
    assert any("untrained" in note for note in found.result.notes)


@pytest.mark.parametrize("model", ["classtoken", "patchtoken", "gnetvit", "ridge"])
def test_baseline_encoders_too(model):
    from factortopy.features.extraction import compute

    network, shown, rng = ColourNetwork(), pictures(60, 32), np.random.default_rng(0)
    features = compute(network, shown)
    red = features.global_[0][:, :1].astype(np.float32)
    responses = (red - red.mean()) / red.std() + 0.3 * rng.standard_normal((60, 20)).astype(np.float32)
    subject = ft.Subject(responses, list(shown), np.arange(20) // 10, np.arange(20) % 10, name="red", simulated=True)
    encoder = ft.fit(subject, features, model=model, **({"reduce": "data"} if model == "ridge" else {"steps": 20}))
    encoder._backbone = network
    found = maximize(encoder, np.ones(20), **QUICK)
    assert found.result.numbers["objective"]["best"] > encoder.predict(list(shown)).mean(1).max()


# ---------------------------------------------------------------- what comes with it


def test_result_is_kept_whole(tmp_path):
    encoder, seen, done = colour_encoder(), [], []
    settings = json.loads(json.dumps(DEFAULTS | QUICK | {"target": {"roi": "blue right"}, "seeds": 2}))
    result = run(encoder, settings, lambda *at: done.append(at), lambda step, images: seen.append((step, images)))
    assert done[-1][0] == done[-1][1] and [at[0] for at in done] == sorted(at[0] for at in done)
    assert seen[-1][0] == 30 and all(images.shape == (2, 32, 32, 3) for _, images in seen) and len(seen) >= 20
    np.testing.assert_array_equal(seen[-1][1], result.pictures["maximized"])
    result.save(tmp_path)
    again = Result.load(tmp_path)
    assert again.settings == settings and again.numbers == json.loads(json.dumps(result.numbers))
    np.testing.assert_array_equal(again.pictures["maximized"], result.pictures["maximized"])
    assert len(again.pictures["growth"]) == len(again.numbers["growth_steps"]) > 3
    best = again.numbers["objective"]["seeds"].index(again.numbers["objective"]["best_seed"])
    np.testing.assert_array_equal(again.pictures["growth"][-1], again.pictures["maximized"][best])
    np.testing.assert_allclose(again.maps["response"], encoder.predict(again.pictures["maximized"])[best], atol=1e-6)


def test_areas_tell_how_selective_a_picture_is():
    """Two ROIs of vertices that read blue, left and right: driving one leaves the other; red is nowhere in the target."""
    encoder = colour_encoder()
    result = run(encoder, DEFAULTS | QUICK | {"target": {"roi": "blue right"}, "steps": 100, "rendered": 6})
    rois, others = result.numbers["rois"], result.numbers["others"]
    assert rois["blue right"]["in_target"] == 1 and rois["blue left"]["in_target"] == 0
    assert rois["blue right"]["z"] == pytest.approx(result.numbers["target"]["z"])
    shown = encoder.predict(list(np.concatenate(list(localizer(6, 32).values()))))
    mask = encoder.rois["red left"]
    expected = (result.maps["response"][mask].mean() - shown[:, mask].mean()) / shown[:, mask].mean(1).std(ddof=1)
    assert rois["red left"]["z"] == pytest.approx(expected, rel=1e-3)
    assert others["areas"] == 3 and others["z"] == max(rois[r]["z"] for r in rois if r != "blue right")
    assert others["z"] < result.numbers["target"]["z"]


def test_a_target_that_cannot_be_told_apart_is_said_to_be_unselective():
    encoder = colour_encoder()
    encoder.rois = {"some": np.arange(12) == 3, "its neighbour": np.arange(12) == 4}
    encoder._selectors.space[4] = encoder._selectors.space[3]  # the same reader twice
    result = run(encoder, DEFAULTS | QUICK | {"target": {"roi": "some"}})
    assert result.numbers["others"]["most_driven"] == "its neighbour"
    assert any(note.startswith("Not selective: its neighbour") for note in result.notes)


@pytest.mark.parametrize("last", [1, 5, 32])
def test_stops_when_told(last):
    steps = []

    def on_progress(done, total):
        steps.append(done)
        return done < last

    with pytest.raises(Stopped):
        maximize(colour_encoder(), np.ones(12), **QUICK, on_progress=on_progress)
    assert steps[-1] >= last and len(steps) <= last + 1


# ---------------------------------------------------------------- targets and faults


def test_targets():
    encoder = colour_encoder()
    encoder.scores = {"clusters": np.array([0] * 5 + [1] * 5 + [-1] * 2)}
    third = np.float32(1 / 3)
    np.testing.assert_array_equal(target_of(encoder, {"roi": "blue left"}), np.float32([0] * 3 + [third] * 3 + [0] * 6))
    np.testing.assert_allclose(target_of(encoder, {"cluster": 1}), np.float32([0] * 5 + [0.2] * 5 + [0] * 2))
    rows = encoder.vertices.rows
    assert rows[7] > 10_000  # in the right hemisphere
    np.testing.assert_array_equal(target_of(encoder, {"vertex": int(rows[7])}), np.eye(12, dtype=np.float32)[7])
    drawn = np.linspace(-1, 1, 12)
    np.testing.assert_allclose(target_of(encoder, {"weights": drawn.tolist()}), drawn / np.abs(drawn).sum(), rtol=1e-6)
    both = target_of(encoder, {"roi": "red left", "suppress": {"vertex": int(rows[7])}})
    assert both[7] == -1 and both[:3].sum() == pytest.approx(1) and np.count_nonzero(both) == 4
    np.testing.assert_array_equal(target_of(encoder, {"suppress": {"vertex": 0}}), -np.eye(12, dtype=np.float32)[0])


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"roi": "V9"}, "red left, blue left"),
        ({"roi": 3}, "choose one of"),
        ({"vertex": 4_000}, "rows 0 to"),
        ({"vertex": 1.5}, "found 1.5"),
        ({"vertex": True}, "found True"),
        ({"cluster": 0}, "not scored"),
        ({"weights": [1, 2]}, "expected 12 weights"),
        ({"weights": [0] * 12}, "all 0"),
        ({"weights": [float("nan")] * 12}, "NaN"),
        ({"weights": "red"}, "numbers"),
        ({"roi": "red left", "suppress": {"roi": "red left"}}, "all 0"),
        ({"roi": "red left", "vertex": 3}, "expected one of"),
        ({"area": "red left"}, "found area"),
        ({}, "expected a description"),
        ("red left", "expected a description"),
        (None, "expected a description"),
    ],
)
def test_faults_in_targets(spec, words):
    with pytest.raises(ft.InputError, match=words) as caught:
        run(colour_encoder(), DEFAULTS | QUICK | {"target": spec})
    assert str(caught.value).startswith("target: ")


@pytest.mark.parametrize(
    "name, value",
    [
        ("steps", 0), ("steps", 1.5), ("steps", True), ("seeds", 0), ("seeds", []), ("seeds", [1.5]), ("seeds", "3"),
        ("seeds", 17), ("size", 8), ("size", 4000), ("rate", 0), ("rate", "fast"), ("rate", float("nan")),
        ("smoothness", -1), ("transforms", 1), ("noise", 0), ("rendered", 1000),
    ],
)  # fmt: skip
def test_faults_in_settings(name, value):
    with pytest.raises(ft.InputError, match=f"setting '{name}'"):
        maximize(colour_encoder(), np.ones(12), **QUICK | {name: value})


def test_unknown_settings_and_encoders_without_a_network():
    with pytest.raises(ft.InputError, match="found speed"):
        maximize(colour_encoder(), np.ones(12), speed=3)
    encoder = colour_encoder()
    encoder._backbone, encoder.info = None, {}
    with pytest.raises(ft.InputError, match="expected a network"):
        maximize(encoder, np.ones(12))


def test_numbers_that_run_away_are_told():
    encoder = colour_encoder()
    encoder._bias[0] = np.inf
    with pytest.raises(ft.InputError, match="NaN or infinity at step 1"):
        maximize(encoder, np.ones(12), **QUICK)
