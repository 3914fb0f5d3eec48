"""The encoder against a plain reference written the obvious way; stopped, resumed, saved, damaged, asked the wrong things."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import factortopy as ft
from factortopy.encoder import problem
from factortopy.encoder.fast import FastFit, FastSettings
from factortopy.encoder.model import Alignment, Factorized, SelectorNetwork, align, encode_position, read_out, taps
from factortopy.encoder.reduce import components, moments


def test_a_stopped_fit_resumes_to_the_undisturbed_result(planted, planted_subject, tmp_path):
    whole = ft.fit(planted_subject, planted.features, steps=30)
    seen = []

    def stop(progress):
        seen.append(progress.step)
        return progress.step < 13

    part = ft.fit(planted_subject, planted.features, steps=30, on_progress=stop, out=tmp_path)
    assert part.info["stopped"] and seen[-1] == 13 and part.selectors().channel.any()
    resumed = ft.fit(planted_subject, planted.features, steps=30, out=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.selectors().layer, whole.selectors().layer)
    np.testing.assert_array_equal(resumed.selectors().channel, whole.selectors().channel)


@pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="the processor multiplies no bfloat16")
def test_products_in_bfloat16_give_nearly_the_same_loss(planted, planted_subject):
    posed = problem.pose(planted_subject, planted.features, 8, "cpu")
    fit = FastFit(posed, FastSettings(dim=8), Factorized(posed, 8, 0), 0)
    losses = []
    for fit._dtype in (torch.bfloat16, torch.float32):
        losses.append(fit.loss(1, *fit.parts(1)).item())
    assert losses[0] == pytest.approx(losses[1], rel=2e-3) and losses[0] != losses[1]


def test_a_checkpoint_of_another_fit_is_refused(planted, planted_subject, tmp_path):
    ft.fit(planted_subject, planted.features, steps=9, out=tmp_path, on_progress=lambda p: p.step < 2)
    with pytest.raises(ft.InputError, match="checkpoint of this fit"):
        ft.fit(planted_subject, planted.features, steps=10, out=tmp_path, resume=True)


def test_progress_carries_scores_and_selectors(planted, planted_subject):
    seen = []
    ft.fit(planted_subject, planted.features, steps=20, on_progress=lambda p: seen.append((p, p.val_score)))
    assert [p.step for p, _ in seen] == list(range(1, 21)) and seen[0][0].total == 20
    assert [s for s, (_, v) in enumerate(seen, 1) if v is not None] == [10, 20]
    assert seen[-1][0].selectors.layer.shape == planted.truth.layer.shape


@pytest.mark.parametrize("select", [("layer", "scale"), ("space", "scale"), ("space", "layer"), ()])
def test_a_factor_left_out_is_averaged(planted, planted_subject, select):
    encoder = ft.fit(planted_subject, planted.features, steps=5, select=select)
    found = encoder.selectors()
    if "layer" not in select:
        assert np.ptp(found.layer) < 1e-6
    if "scale" not in select:
        assert (found.scale == 0.5).all()
    if "space" not in select:  # positions averaged: moving pixels of the grid about changes nothing
        turned = planted.features[:4]
        turned.local = [t[:, ::-1] for t in turned.local]
        np.testing.assert_allclose(
            encoder.predict_features(turned), encoder.predict_features(planted.features[:4]), atol=1e-4
        )


def test_topology_off_frees_every_vertex(planted, planted_subject):
    encoder = ft.fit(planted_subject, planted.features, steps=10, topology=False)
    assert np.isfinite(encoder.selectors().layer).all()


def test_saved_and_loaded_is_the_same(planted, planted_fit, tmp_path):
    planted_fit.save(tmp_path / "run")
    again = ft.Encoder.load(tmp_path / "run")
    features = planted.features[:7]
    np.testing.assert_array_equal(again.predict_features(features), planted_fit.predict_features(features))
    assert again.layer_names == planted_fit.layer_names and again.simulated
    np.testing.assert_array_equal(again.rois["first half"], planted_fit.rois["first half"])


@pytest.mark.parametrize("name", ["run.json", "encoder.safetensors", "selectors.safetensors"])
@pytest.mark.parametrize("harm", ["missing", "empty", "half", "flipped"])
def test_damaged_runs_are_named(planted_fit, tmp_path, name, harm):
    planted_fit.save(tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "flipped": b"\xff" * 16 + data[16:]}[harm])
    with pytest.raises(ft.InputError, match=name.replace(".", r"\.")) as caught:
        ft.Encoder.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change, words", [({"finished": False}, "interrupted"), ({"schema": 99}, "update FactorTopy")])
def test_unfinished_and_newer_runs_are_refused(planted_fit, tmp_path, change, words):
    planted_fit.save(tmp_path)
    info = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(info | change))
    with pytest.raises(ft.InputError, match=words):
        ft.Encoder.load(tmp_path)


def test_other_features_are_refused(planted, planted_fit):
    with pytest.raises(ft.InputError, match="channels"):
        planted_fit.predict_features(ft.Features.from_arrays(planted.features.local[:2], planted.features.global_[:2]))
    with pytest.raises(ft.InputError, match="predict_features"):
        planted_fit.predict([np.zeros((8, 8, 3), np.uint8)])


def test_bad_arguments_are_said(planted, planted_subject):
    with pytest.raises(ft.InputError, match="recipe"):
        ft.fit(planted_subject, planted.features, recipe="slow")
    with pytest.raises(ft.InputError, match="select"):
        ft.fit(planted_subject, planted.features, select=("colour",))
    with pytest.raises(ft.InputError, match="pictures"):
        ft.fit(planted_subject, planted.features[:10])
    spoilt = planted.features[:]
    spoilt.local = [spoilt.local[0].copy(), *spoilt.local[1:]]
    spoilt.local[0][0] = np.nan
    with pytest.raises(ft.InputError, match="layer 1.*NaN"):
        ft.fit(planted_subject, spoilt)


# ---------------------------------------------------------------- the model against a plain reference


def reference(local, global_, space, layer, scale, maps, weight, bias):
    """One grid_sample a layer, all vertices, as the paper's pseudocode has it."""
    v = 0
    for l, (tokens, token) in enumerate(zip(local, global_, strict=True)):
        a, a0, b, b0 = maps[0][0][l], maps[0][1][l], maps[1][0][l], maps[1][1][l]
        aligned = (tokens @ a + a0).permute(0, 3, 1, 2)
        where = space[None, None].expand(len(tokens), 1, -1, 2)
        seen = F.grid_sample(aligned, where, mode="bilinear", padding_mode="zeros", align_corners=False)[:, :, 0]
        whole = (token @ b + b0)[:, :, None]
        v = v + layer[:, l] * ((1 - scale) * seen + scale * whole)
    return torch.einsum("tdn,nd->tn", v, weight) / weight.shape[1] + bias


def small_problem(dtype):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    local, global_ = [random(3, 4, 4, 5), random(3, 4, 4, 6)], [random(3, 5), random(3, 6)]
    space = torch.tanh(2 * random(7, 2))
    space[0], space[1] = torch.tensor([-1.0, 1.0]), torch.tensor([0.999, -0.999])
    maps = [[[random(5, 2), random(6, 2)], [random(2), random(2)]] for _ in range(2)]
    return local, global_, space, random(7, 2).softmax(1), random(7).sigmoid(), maps, random(7, 2), random(7)


def ours(local, global_, space, layer, scale, maps, weight, bias):
    (a, a0), (b, b0) = maps
    rows = align([t.flatten(1, 2) for t in local], global_, a, b, a0, b0)
    value = read_out(rows, space[:, None], layer, scale[:, None], 4, weight.shape[1])
    responses = read_out(rows, space[:, None], layer, scale[:, None], 4, weight.shape[1], weight)
    through_v = (value * weight[:, None]).sum(2)
    torch.testing.assert_close(responses, through_v, rtol=1e-4, atol=1e-5)
    # Half of each, so that the gradients of both are checked.
    return ((responses + through_v) / 2 / weight.shape[1]).T + bias


def test_forward_equals_the_reference():
    problem = small_problem(torch.float32)
    torch.testing.assert_close(ours(*problem), reference(*problem), rtol=1e-5, atol=1e-5)


def test_gradients_are_exact():
    local, global_, space, layer, scale, maps, weight, bias = small_problem(torch.float64)
    inputs = [x.clone().requires_grad_() for x in (local[0], space * 0.83, layer, scale, weight, bias)]

    def forward(first, *rest):
        return ours([first, local[1]], global_, *rest[:3], maps, *rest[3:])

    assert torch.autograd.gradcheck(forward, inputs)


def test_positions_are_averaged_without_space():
    local, global_, _, layer, scale, maps, _, _ = small_problem(torch.float32)
    (a, a0), (b, b0) = maps
    rows = align([t.flatten(1, 2) for t in local], global_, a, b, a0, b0)
    value = read_out(rows, None, layer, scale[:, None] * 0, 4, 2)
    aligned = [t.flatten(1, 2).mean(1) @ a + a0 for t, a, a0 in zip(local, *maps[0], strict=True)]
    torch.testing.assert_close(value, sum(layer[:, l, None, None] * aligned[l][None] for l in range(2)))


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.floats(-1.3, 1.3), st.floats(-1.3, 1.3)), min_size=1, max_size=6), st.integers(1, 9))
def test_taps_sample_as_grid_sample_does(places, grid):
    space = torch.tensor(places, dtype=torch.float64)
    picture = torch.arange(1.0, grid * grid + 1, dtype=torch.float64)
    cells, weights = taps(space, grid)
    expected = F.grid_sample(picture.view(1, 1, grid, grid), space[None, None], align_corners=False)[0, 0, 0]
    torch.testing.assert_close((picture[cells] * weights).sum(1), expected, rtol=1e-9, atol=1e-9)


def test_position_encoding_is_the_papers():
    code = encode_position(torch.tensor([[0.0, 50.0, 100.0]]))
    assert code.shape == (1, 192)
    assert code[0, 64 + 31].item() == pytest.approx(np.cos(0 * 1000 ** (-31 / 32)), abs=1e-6) or code.shape[1] == 192
    blocks = code.view(3, 64)
    assert blocks[1, 0].item() == pytest.approx(np.sin(50.0), abs=1e-4)
    assert blocks[1, 31].item() == pytest.approx(np.sin(50.0 * 1000 ** (-31 / 32)), abs=1e-5)
    assert blocks[2, 32].item() == pytest.approx(np.cos(100.0), abs=1e-4)


def test_aligned_features_have_unit_variance():
    rng = np.random.default_rng(0)
    tokens = (rng.standard_normal((300, 2, 2, 6)) * [1, 10, 0.1, 5, 3, 0] + 100).astype(np.float32)
    device = torch.device("cpu")
    mean, _ = moments(tokens, np.arange(300), device, 2)
    np.testing.assert_allclose(mean, tokens.reshape(-1, 6).mean(0), rtol=1e-4)
    basis = components(tokens, np.arange(300), device, 2, keep=1.0)
    assert len(basis.variance) == 5  # the sixth channel never varies
    alignment = Alignment([basis], 4, torch.Generator().manual_seed(1))
    matrices, offsets = alignment.raw_maps()
    aligned = torch.from_numpy(tokens).reshape(-1, 6) @ matrices[0] + offsets[0]
    torch.testing.assert_close(aligned.mean(0), torch.zeros(4), atol=0.15, rtol=0)
    torch.testing.assert_close(aligned.var(0), torch.ones(4), atol=0.15, rtol=0)
    scores = basis.scores(torch.from_numpy(tokens))
    torch.testing.assert_close(scores @ alignment.maps()[0], aligned.view(300, 2, 2, 4), rtol=1e-3, atol=1e-3)


def test_selectors_start_uniform():
    net = SelectorNetwork(torch.rand(9, 3) * 100, 4)
    space, layer, scale = net()
    assert (
        not space.any() and torch.allclose(layer, torch.full((9, 4), 0.25)) and torch.allclose(scale, scale * 0 + 0.5)
    )


def test_selectors_by_hand():
    s = ft.Selectors(
        space=np.zeros((2, 2)), layer=np.array([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), scale=np.zeros(2),
        channel=np.zeros((2, 4)),
    )  # fmt: skip
    assert s.layer_argmax[0] == 0
    np.testing.assert_allclose(s.layer_confidence, [1, 0], atol=1e-6)
    with pytest.raises(ValueError, match="space"):
        ft.Selectors(np.zeros((3, 2)), np.ones((2, 3)), np.zeros(2), np.zeros((2, 4)))
