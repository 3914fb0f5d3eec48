"""Lesions: what is not used may go, what is used must be missed; inside the network and in what is read of it."""

import copy
import json
import threading

import numpy as np
import pytest
import torch
from colour_encoder import colour_encoder, random_encoder
from small_network import pictures

import factortopy as ft
from factortopy.errors import InputError
from factortopy.experiments import damage, lesion, lesions, respond
from factortopy.experiments.responses import Stopped
from factortopy.experiments.result import plain
from factortopy.experiments.used_channels import most_used, random_like

IMAGES = pictures(5, 32, seed=1)
REFERENCE = pictures(12, 32, seed=2)


@pytest.fixture(scope="module")
def demo():
    return random_encoder(ft.load_backbone("demo-vit", weights="untrained"))


@pytest.fixture(scope="module")
def timm_vit():
    return random_encoder(ft.load_backbone("timm/vit_tiny_patch16_224", weights="untrained"))


def hooks(network):
    module = getattr(network, "module", None) or network.model
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def tokens(network, images=IMAGES):
    return [[t.numpy() for t in kind] for kind in network.tokens(images)]


# ---------------------------------------------------------------- what is used and what is not


def test_unused_parts_change_nothing_and_used_ones_everything():
    encoder = colour_encoder()
    intact = encoder.predict(IMAGES)
    red = encoder.rois["red left"]
    np.testing.assert_array_equal(lesion(encoder, layers="coarse").predict(IMAGES), intact)
    np.testing.assert_array_equal(lesion(encoder, channels={0: [1, 2]}).predict(IMAGES)[:, red], intact[:, red])
    used = lesion(encoder, layers=0, channels=[0]).predict(IMAGES)
    np.testing.assert_array_equal(used[:, red], 0)
    np.testing.assert_array_equal(used[:, ~red], intact[:, ~red])
    np.testing.assert_array_equal(lesion(encoder).predict(IMAGES), 0)  # the biases are 0
    np.testing.assert_array_equal(lesion(encoder, gain=1.0).predict(IMAGES), intact)
    np.testing.assert_allclose(lesion(encoder, gain=2.0).predict(IMAGES), 2 * intact, rtol=1e-5)


def test_region_acts_on_the_tokens_inside():
    encoder = colour_encoder()
    intact, left = encoder.predict(IMAGES), encoder.rois["red left"] | encoder.rois["blue left"]
    half = lesion(encoder, region=(-1, -1, 0, 1)).predict(IMAGES)
    np.testing.assert_array_equal(half[:, left], 0)
    np.testing.assert_array_equal(half[:, ~left], intact[:, ~left])
    top = lesion(encoder, region=(-1, -1, 1, 0)).predict(IMAGES)  # y points down: heights −0.375, 0.125, 0.375
    for roi in encoder.rois.values():
        rows = np.flatnonzero(roi)
        np.testing.assert_array_equal(top[:, rows[0]], 0)
        np.testing.assert_array_equal(top[:, rows[2]], intact[:, rows[2]])


def test_mean_ablation_leaves_the_mean():
    encoder = colour_encoder()
    silent = lesion(encoder, around="mean", reference=REFERENCE).predict(IMAGES)
    # Every token at its mean over pictures and places: all vertices of a colour answer that colour's mean.
    means = REFERENCE.mean((0, 1, 2)) / 255
    expected = [means[c] for c in (0, 2, 1, 2) for _ in range(3)]
    np.testing.assert_allclose(silent, np.tile(expected, (5, 1)), atol=2e-3)


def test_noise_has_its_size_and_is_the_same_for_a_picture():
    encoder = colour_encoder()
    noisy = lesion(encoder, gain=1.0, noise=0.5, reference=REFERENCE, seed=3)
    added = noisy.predict(pictures(400, 32, seed=5)) - encoder.predict(pictures(400, 32, seed=5))
    patches = REFERENCE.reshape(12, 8, 4, 8, 4, 3).mean((2, 4)) / 255
    sd = patches.std((0, 1, 2))
    # At (−0.5, −0.375): between two columns and in the middle of a row, so that two tokens are averaged.
    assert abs(added[:, 0].std() / (0.5 * sd[0] / 2**0.5) - 1) < 0.12 and abs(added[:, 0].mean()) < 0.01
    first = noisy.predict(IMAGES)
    np.testing.assert_allclose(noisy.predict(IMAGES[2:3])[0], first[2], atol=1e-5)
    np.testing.assert_allclose(noisy.predict(list(IMAGES[::-1])), first[::-1], atol=1e-5)
    other = lesion(encoder, gain=1.0, noise=0.5, reference=REFERENCE, seed=4)
    assert np.abs(other.predict(IMAGES) - first).max() > 0.01
    assert other.fingerprint != noisy.fingerprint


# ---------------------------------------------------------------- inside the network


@pytest.mark.parametrize("name", ["demo", "timm_vit"])
@pytest.mark.parametrize("what", [{}, {"channels": [0, 3, 7]}, {"gain": 0.5}, {"gain": 2.0, "channels": {-1: [5]}}])
def test_at_the_last_layer_both_ways_are_one(name, what, request):
    encoder = request.getfixturevalue(name)
    layers = what.pop("layers", -1)
    inside, read = (lesion(encoder, layers, propagate=p, **what).predict(IMAGES) for p in (True, False))
    intact = encoder.predict(IMAGES)
    assert np.abs(read - intact).max() > 1e-3
    np.testing.assert_allclose(inside, read, atol=2e-3 * np.abs(intact).max())


@pytest.mark.parametrize("name", ["demo", "timm_vit"])
def test_damage_travels_to_later_layers_alone(name, request):
    encoder = request.getfixturevalue(name)
    network = encoder.backbone()
    before = tokens(network)
    damaged = tokens(lesion(encoder, 3, channels=[1, 2], propagate=True).backbone())
    for l in range(len(network.layer_names)):
        for old, new in zip(before, damaged, strict=True):
            if l < 3:
                np.testing.assert_array_equal(new[l], old[l])
            else:
                assert np.abs(new[l] - old[l]).max() > 1e-4
    assert (damaged[0][3][..., [1, 2]] == 0).all() and (damaged[1][3][:, [1, 2]] == 0).all()
    np.testing.assert_array_equal(damaged[0][3][..., 3:], before[0][3][..., 3:])
    for kind, again in zip(before, tokens(network), strict=True):
        for old, new in zip(kind, again, strict=True):
            np.testing.assert_array_equal(new, old)
    assert hooks(network) == 0


@pytest.mark.parametrize("name", ["demo", "timm_vit"])
def test_a_silenced_head_is_a_mixer_without_its_columns(name, request):
    encoder = request.getfixturevalue(name)
    network, which = encoder.backbone(), 1
    damaged = tokens(lesion(encoder, [4], heads=[which], propagate=True).backbone())
    cut = copy.deepcopy(network)
    mixer, heads = cut.sites()[4].mixer, cut.sites()[4].heads
    size = mixer.in_features // heads
    with torch.no_grad():
        mixer.weight[:, which * size : (which + 1) * size] = 0
    for new, expected, old in zip(damaged, tokens(cut), tokens(network), strict=True):
        for l in range(len(new)):
            np.testing.assert_allclose(new[l], expected[l], atol=1e-4)
            assert (np.abs(new[l] - old[l]).max() > 1e-4) == (l >= 4)
    assert hooks(network) == 0


def test_heads_of_some_layers_and_around_the_mean(demo):
    intact = demo.predict(IMAGES)
    zero, mean = (
        lesion(demo, heads={2: [0], 9: [1, 3]}, propagate=True, around=around, reference=REFERENCE).predict(IMAGES)
        for around in ("zero", "mean")
    )
    assert np.abs(zero - intact).max() > 1e-3 and np.abs(mean - intact).max() > 1e-4
    assert np.abs(mean - zero).max() > 1e-4
    every = lesion(demo, heads=[0, 1, 2, 3], propagate=True)
    assert {l: len(k) for l, k in every.damage.where.items()} == dict.fromkeys(range(12), 128)


@pytest.mark.parametrize("name", ["demo", "timm_vit"])
def test_region_and_mean_inside(name, request):
    encoder = request.getfixturevalue(name)
    network = encoder.backbone()
    before = tokens(network)
    damaged = tokens(lesion(encoder, 5, region=(-1, -1, 0, 1), propagate=True).backbone())
    side = before[0][5].shape[1]
    assert (damaged[0][5][:, :, : side // 2] == 0).all()
    np.testing.assert_array_equal(damaged[0][5][:, :, side // 2 :], before[0][5][:, :, side // 2 :])
    if name == "timm_vit":  # a class token of its own is no part of the picture
        np.testing.assert_array_equal(damaged[1][5], before[1][5])
    else:
        np.testing.assert_allclose(damaged[1][5], damaged[0][5].mean((1, 2)), atol=1e-5)
    mean = tokens(lesion(encoder, 5, propagate=True, around="mean", reference=REFERENCE).backbone())
    reference = [t[5] for t in tokens(network, REFERENCE)]
    np.testing.assert_allclose(mean[0][5], np.broadcast_to(reference[0].mean((0, 1, 2)), mean[0][5].shape), atol=1e-4)
    np.testing.assert_allclose(mean[1][5], np.broadcast_to(reference[1].mean(0), mean[1][5].shape), atol=1e-4)


def test_a_convolutional_network_is_damaged_inside():
    encoder = random_encoder(ft.load_backbone("timm/convnext_atto", weights="untrained"))
    network = encoder.backbone()
    before, damaged = tokens(network), tokens(lesion(encoder, 1, channels=[2], propagate=True).backbone())
    assert (damaged[0][1][..., 2] == 0).all()
    np.testing.assert_allclose(damaged[1][1][:, 2], 0, atol=1e-6)
    np.testing.assert_array_equal(damaged[0][0], before[0][0])
    assert np.abs(damaged[0][2] - before[0][2]).max() > 0
    with pytest.raises(InputError, match="expected a layer that has heads"):
        lesion(encoder, heads=[0], propagate=True)


def test_noise_inside_is_the_same_for_a_picture(demo):
    noisy = lesion(demo, 2, gain=1.0, noise=0.3, propagate=True, reference=REFERENCE)
    found = noisy.predict(IMAGES)
    assert np.abs(found - demo.predict(IMAGES)).max() > 1e-3
    np.testing.assert_allclose(noisy.predict(IMAGES[3:4])[0], found[3], atol=5e-3)


def test_hooks_go_when_something_fails(demo):
    small = lesion(demo, 1, region=(0.001, 0.001, 0.002, 0.002), propagate=True)
    with pytest.raises(InputError, match="found none of the 14 × 14"):
        small.predict(IMAGES)
    assert hooks(demo.backbone()) == 0


def test_another_thread_gets_the_network_whole(demo):
    network, seen = demo.backbone(), {}
    whole = tokens(network)[0][6]
    broken = lesion(demo, 0, propagate=True)
    zero = tokens(broken.backbone())[0][6]
    with broken.backbone()._damaged(None):
        other = threading.Thread(target=lambda: seen.update(tokens=tokens(network)[0][6]))
        other.start()
        other.join()
        np.testing.assert_array_equal(tokens(network)[0][6], zero)
    np.testing.assert_array_equal(seen["tokens"], whole)
    assert np.abs(zero - whole).max() > 1e-3


def test_a_lesion_of_a_lesion(demo):
    both = lesion(lesion(demo, 2, channels=[1], propagate=True), 2, channels=[4], propagate=True)
    once = lesion(demo, 2, channels=[1, 4], propagate=True)
    np.testing.assert_allclose(both.predict(IMAGES), once.predict(IMAGES), atol=1e-4)
    twice = lesion(lesion(demo, 5, channels=[1]), 5, channels=[4])
    np.testing.assert_allclose(twice.predict(IMAGES), lesion(demo, 5, channels=[1, 4]).predict(IMAGES), atol=1e-5)
    assert hooks(demo.backbone()) == 0


def test_gradients_pass_through_a_lesion(demo):
    for propagate in (True, False):
        broken = lesion(demo, 3, channels=[0], propagate=propagate)
        pixels = torch.rand(2, 3, 112, 112, requires_grad=True)
        broken.read(*broken.backbone().pixel_tokens(pixels)).sum().backward()
        assert pixels.grad.abs().max() > 0


# ---------------------------------------------------------------- an encoder like any other


def test_it_is_an_encoder_of_its_own_fingerprint(demo):
    intact = demo.predict(IMAGES)
    different = [
        lesion(demo), lesion(demo, 0), lesion(demo, 0, propagate=True), lesion(demo, 0, gain=0.5), lesion(demo, 0, [1]),
        lesion(demo, 0, region=(-1, -1, 0, 0)), lesion(demo, 0, around="mean"), lesion(demo, 0, heads=[0], propagate=True),
        lesion(demo, 0, around="mean", reference=REFERENCE),
    ]  # fmt: skip
    assert len({one.fingerprint for one in different} | {demo.fingerprint}) == 10
    assert lesion(demo, 0).fingerprint == lesion(demo, "block 1").fingerprint == lesion(demo, -12).fingerprint
    assert lesion(demo, gain=1.0, propagate=True).fingerprint == demo.fingerprint
    one = different[1]
    assert one.n_vertices == 20 and one.rois is demo.rois and one.simulated and one.layer_names == demo.layer_names
    np.testing.assert_array_equal(respond(demo, IMAGES), intact)
    np.testing.assert_array_equal(respond(one, IMAGES), one.predict(IMAGES))
    assert np.abs(respond(one, IMAGES) - intact).max() > 1e-4
    assert copy.copy(one).n_vertices == 20


def test_features_of_the_intact_network_do(demo):
    features = ft.extract(demo.backbone(), IMAGES)
    for what in ({"layers": 2}, {"region": (-1, -1, 0.3, 1)}, {"around": "mean", "gain": 0.2, "reference": REFERENCE}):
        one = lesion(demo, **what)
        np.testing.assert_allclose(one.predict_features(features), one.predict(IMAGES), atol=1e-4)
    with pytest.raises(InputError, match="use predict"):
        lesion(demo, propagate=True).predict_features(features)


def test_one_picture_or_many(demo):
    from PIL import Image

    one = lesion(demo, 4, noise=0.1, reference=REFERENCE)
    expected = one.predict(IMAGES[:1])
    np.testing.assert_allclose(one.predict(IMAGES[0]), expected, atol=1e-5)
    np.testing.assert_allclose(one.predict(Image.fromarray(IMAGES[0])), expected, atol=1e-5)
    np.testing.assert_allclose(one.predict([Image.fromarray(IMAGES[0])]), expected, atol=1e-5)


def test_encoders_of_bare_features_and_baselines():
    from planted import plant

    problem = plant(n_images=160, n_layers=3, channels=16, n_vertices=40, grid=4, rank=4)
    subject, features = problem.subject(), problem.features[np.arange(20)]
    for what in ({"steps": 6}, {"model": "ridge", "reduce": "data"}):
        encoder = ft.fit(subject, problem.features, grid=4, **what)
        intact = encoder.predict_features(features)
        silent = lesion(encoder).predict_features(features)
        assert (silent.std(0) < 1e-5).all() and intact.std() > 1e-2
        part, rest, whole = (
            intact - lesion(encoder, layers=[1], channels=c).predict_features(features)
            for c in ([0, 1], range(2, 16), None)
        )
        np.testing.assert_allclose(part + rest, whole, atol=1e-3)  # linear in its tokens
        assert np.abs(part).max() > 1e-3


# ---------------------------------------------------------------- channels, doses, the experiment


def test_most_used_channels_are_those_that_are_read():
    encoder = colour_encoder()
    found = most_used(encoder, encoder.rois["blue left"], 1, reference=REFERENCE)
    assert {l: c.tolist() for l, c in found.items()} == {0: [2]}
    found = most_used(encoder, np.flatnonzero(encoder.rois["green right"]), 0.34, reference=REFERENCE)
    assert found[0].tolist() == [1] and len(found[1]) == 2
    assert most_used(encoder, encoder.rois["red left"], 1, layers=["coarse"], reference=REFERENCE).keys() == {1}
    with pytest.raises(InputError, match="at most 9 channels, found 3 and 10"):
        most_used(encoder, encoder.rois["red left"], 10)
    with pytest.raises(InputError, match="found 0 and 1"):
        most_used(encoder, np.zeros(12, bool), 1)


def test_most_used_counts_spread_and_weight(demo):
    rows = np.flatnonzero(demo.rois["first"])
    s, global_ = demo.selectors(), tokens(demo.backbone(), REFERENCE)[1]
    pooled = ft.extract(demo.backbone(), REFERENCE).local[7].astype(np.float32)
    sd = pooled.std((0, 1, 2)), global_[7].std(0)
    weight = np.abs(demo._alignment["local"][7] @ s.channel[rows].T)
    share = s.layer[rows, 7]
    use = (weight * share * (1 - s.scale[rows])).sum(1) * sd[0] + (weight * share * s.scale[rows]).sum(1) * sd[1]
    found = most_used(demo, demo.rois["first"], 10, layers=7, reference=REFERENCE)
    assert set(found[7]) == set(np.argsort(-use)[:10])


def test_random_channels_are_equally_many(demo):
    chosen = {2: np.arange(5), 7: np.arange(40)}
    found = random_like(chosen, demo, seed=1)
    assert {l: len(set(c.tolist())) for l, c in found.items()} == {2: 5, 7: 40}
    assert all(c.max() < 128 for c in found.values())
    again = random_like(chosen, demo, seed=1)
    assert all((found[l] == again[l]).all() for l in found)
    assert any((found[l] != random_like(chosen, demo, seed=2)[l]).any() for l in found)


def test_without_propagation_the_dose_response_is_a_straight_line(demo):
    def dose_response(**options):
        return [lesion(demo, gain=gain, layers=[3, 6], **options).predict(IMAGES) for gain in (1, 0.5, 0)]

    line, curve = dose_response(), dose_response(propagate=True)
    np.testing.assert_allclose(line[0], demo.predict(IMAGES), atol=1e-5)
    np.testing.assert_allclose(line[1], (line[0] + line[2]) / 2, atol=1e-4)
    assert np.abs(curve[1] - (curve[0] + curve[2]) / 2).max() > 1e-3


@pytest.mark.parametrize("propagate", [False, True])
def test_run_sets_a_lesion_beside_random_channels(demo, propagate):
    settings = lesions.DEFAULTS | {
        "channels": {"roi": "first", "share": 0.2}, "n": 2, "propagate": propagate, "doses": [1.0, 0.0],
    }  # fmt: skip
    seen = []
    result = lesions.run(demo, settings, lambda *at: seen.append(at))
    json.dumps(plain(result.numbers), allow_nan=False)
    assert result.numbers["lesioned"]["layers"] == dict.fromkeys(demo.layer_names, 26)
    maps, area = result.maps, result.numbers["rois"]["first"]
    np.testing.assert_allclose(maps["dprime change"], maps["dprime after"] - maps["dprime before"])
    assert np.abs(maps["response change"]).max() > 1e-3 and "response change, random" in maps
    assert area["similarity"] < area["similarity, random"] < 1
    curve = result.numbers["doses"]["rois"]["first"]
    assert curve["lesion"]["similarity"][0] == pytest.approx(1) and curve["lesion"]["change"][0] == pytest.approx(
        0, abs=1e-6
    )
    assert curve["lesion"]["similarity"][1] == pytest.approx(area["similarity"])
    assert curve["random"]["dprime"][1] == pytest.approx(area["dprime after, random"])
    assert all(0 <= done <= total for done, total in seen) and seen[-1][0] == seen[-1][1]
    again = lesions.run(demo, settings)
    for name in maps:
        np.testing.assert_array_equal(maps[name], again.maps[name])
    assert any("random channels" in note for note in result.notes)


def test_run_of_layers_heads_and_regions(demo):
    small = lesions.DEFAULTS | {"n": 2, "doses": None, "channels": None}
    heads = lesions.run(demo, small | {"heads": {"3": [0, 1]}, "propagate": True})
    assert heads.numbers["lesioned"] == {"of": "heads", "layers": {"block 4": 2}}
    assert "response change, random" not in heads.maps and any("no random control" in n for n in heads.notes)
    region = lesions.run(demo, small | {"region": [-1, -1, 0, 1], "around": "zero", "noise": 0.1})
    assert np.abs(region.maps["response change"]).max() > 1e-3
    assert any("never sees" in note for note in region.notes)
    with pytest.raises(Stopped):
        lesions.run(demo, small, lambda done, total: False)


@pytest.mark.parametrize(
    "what, words",
    [
        ({"layers": 12}, "layer 12: expected 0 … 11"),
        ({"layers": "conv 1"}, "layer 'conv 1'"),
        ({"layers": True}, "layer True"),
        ({"layers": []}, "found an empty list"),
        ({"channels": [128]}, "channels of layer block 1: expected numbers 0 … 127"),
        ({"channels": [-1]}, "expected numbers 0 … 127"),
        ({"channels": [0.5]}, "expected numbers 0 … 127"),
        ({"channels": {20: [1]}}, "layer 20"),
        ({"channels": {3: [1]}, "layers": 2}, "expected layers among those chosen"),
        ({"gain": float("nan")}, "gain: expected a number"),
        ({"gain": "off"}, "gain: expected a number"),
        ({"noise": -1}, "noise: expected a number of at least 0"),
        ({"around": "median"}, 'around: expected "zero" or "mean"'),
        ({"heads": [0]}, "found propagate=False"),
        ({"heads": [0], "channels": [1], "propagate": True}, "found channels too"),
        ({"heads": [4], "propagate": True}, "heads of layer block 1: expected numbers 0 … 3"),
        ({"region": (0, 0, -1, 1)}, "region: expected (x0, y0, x1, y1)"),
        ({"region": 3}, "region: expected (x0, y0, x1, y1)"),
        ({"region": (0.01, 0.01, 0.02, 0.02)}, "found none of the 8 × 8"),
        ({"seed": -1}, "seed"),
    ],
)
def test_parts_that_are_not_there(demo, what, words):
    with pytest.raises(InputError) as told:
        lesion(demo, **what)
    assert words in str(told.value)


def test_networks_that_cannot_be_reached_inside():
    with pytest.raises(InputError, match="use propagate=False"):
        lesion(colour_encoder(), propagate=True)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"channels": {"roi": "FFA", "share": 0.1}}, "channels of 'FFA': expected one of the encoder's areas"),
        ({"channels": {"roi": "first", "share": 1.5}}, "share: expected a part"),
        ({"propagate": "yes"}, "propagate: expected true or false"),
        ({"doses": ["a"]}, "doses: expected a number"),
        ({"contrast": "pies"}, "category 'pies'"),
    ],
)
def test_settings_that_are_wrong(demo, wrong, words):
    with pytest.raises(InputError) as told:
        lesions.run(demo, lesions.DEFAULTS | {"channels": None, "n": 2} | wrong)
    assert words in str(told.value)


def test_too_few_reference_pictures(demo):
    with pytest.raises(InputError, match="reference: expected at least 2"):
        lesion(demo, around="mean", reference=REFERENCE[:1]).predict(IMAGES)


def test_reference_scenes_are_their_own():
    from factortopy.stimuli.scenes import LOCALIZER_SEEDS

    assert damage.REFERENCE_SEEDS > LOCALIZER_SEEDS + 9_000_000
