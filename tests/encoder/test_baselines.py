"""The baselines: each finds what it alone can see, equals a plain computation, is saved and loaded; pooled ridge."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_baselines import (
    CEILING,
    CHANNELS,
    GRID,
    LAYERS,
    PICTURES,
    VERTICES,
    flat,
    planted,
    random_features,
    subject_of,
)
from sklearn.linear_model import Ridge

import factortopy as ft
from factortopy import analysis
from factortopy.encoder import baselines, ridge
from factortopy.encoder.encoder import BaselineEncoder
from factortopy.encoder.problem import pose
from factortopy.encoder.ridge import fit_ridge, folds, ridge_cv

FITTED = ("classtoken", "patchtoken", "gnetvit")
NAMES = (*FITTED, "ridge")


@pytest.fixture(scope="module")
def features():
    return random_features()


@pytest.fixture(scope="module")
def fits(features):
    """{model: (subject, encoder, reachable R²)}."""
    out = {}
    for model in NAMES:
        subject, reachable = planted(model, features)
        options = {"reduce": None} if model == "ridge" else {"steps": 60}
        out[model] = subject, ft.fit(subject, features, model=model, grid=GRID, **options), reachable
    return out


# ---------------------------------------------------------------- what each can see


@pytest.mark.parametrize("model", NAMES)
def test_a_baseline_finds_what_its_own_structure_made(fits, features, model):
    subject, encoder, reachable = fits[model]
    assert 0.75 * reachable < np.mean(ft.brain_score(encoder, subject, features)) < CEILING + 0.05
    assert analysis.predicted(encoder, subject, features).mean() > 0.95
    assert encoder.info["model"] == model and encoder.info["val_score"] > 0.5 * reachable


def test_what_it_cannot_see_it_does_not_predict(fits, features):
    subject, _, _ = fits["gnetvit"]  # made from local tokens; the global ones know nothing of them
    encoder = ft.fit(subject, features, model="classtoken", grid=GRID, steps=20)
    assert np.mean(ft.brain_score(encoder, subject, features)) < 0.02
    assert analysis.predicted(encoder, subject, features).mean() <= 0.05


@pytest.mark.parametrize("model", FITTED)
def test_the_papers_recipe_fits_them_too(fits, features, model):
    from factortopy.encoder.paper import PaperSettings

    subject, fast, _ = fits[model]
    fit = PaperSettings(dim=16, steps=300, rate=1e-2)
    encoder = ft.fit(subject, features, recipe="paper", model=model, grid=GRID, settings=fit)
    score, reference = (np.mean(ft.brain_score(e, subject, features)) for e in (encoder, fast))
    assert score > 0.6 * reference


@pytest.mark.parametrize("model", FITTED)
def test_same_seed_same_result(fits, features, model):
    subject, _, _ = fits[model]
    a, b, c = (ft.fit(subject, features, model=model, grid=GRID, steps=3, seed=s) for s in (5, 5, 6))
    for name in a.tensors:
        np.testing.assert_array_equal(a.tensors[name], b.tensors[name])
    assert any((a.tensors[name] != c.tensors[name]).any() for name in a.tensors)


# ---------------------------------------------------------------- the forward pass


def plainly(encoder, features):
    """Predicted responses (T, N) in numpy, float64, written the obvious way."""
    t, layers = encoder.tensors, range(LAYERS)
    w, b = t["weight"].astype(float), t["bias"]

    def m(name, l):
        return t[f"{name}.{l:03d}"].astype(float)

    if encoder.model == "classtoken":
        v = np.mean([features.global_[l] @ m("map", l) + m("offset", l) for l in layers], 0)
    elif encoder.model == "patchtoken":
        v = 0
        for l in layers:
            x = (flat(features, l) @ m("matrix", l) + m("shift", l)).reshape(PICTURES, -1) @ m("first", l)
            x = torch.nn.functional.gelu(torch.from_numpy(x + m("first_bias", l))).numpy()
            v = v + (x @ m("second", l) + m("second_bias", l)) / LAYERS
    else:
        mask = t["mask"].reshape(VERTICES, LAYERS, GRID * GRID).astype(float)
        aligned = np.stack([flat(features, l) @ m("map", l) + m("offset", l) for l in layers])
        v = np.einsum("nlk,ltkd->ntd", mask, aligned)
        return np.einsum("ntd,nd->tn", v, w) / w.shape[1] + b
    return v @ w.T / w.shape[1] + b


@pytest.mark.parametrize("model", FITTED)
def test_predictions_equal_a_plain_computation(fits, features, model):
    _, encoder, _ = fits[model]
    np.testing.assert_allclose(encoder.predict_features(features), plainly(encoder, features), atol=2e-4)


@pytest.mark.parametrize("raw", [False, True], ids=["fast", "paper"])
@pytest.mark.parametrize("model", FITTED)
def test_designs_on_scores_and_predictions_on_raw_tokens_agree(fits, features, model, raw):
    subject, _, _ = fits[model]
    problem = pose(subject, features, GRID, "cpu", raw=raw)
    net = baselines.MODELS[model](problem, 6, torch.Generator().manual_seed(0))
    weight = np.random.default_rng(0).standard_normal((VERTICES, 6)).astype(np.float32)
    rows = torch.tensor([3, 50, 7])
    with torch.no_grad():
        cortex = net.cortex(rows)
        design = net.design(net.pictures(problem.tokens(np.arange(9))), cortex)
        assert design.shape == (3 if model == "gnetvit" else 1, 9, 6) and not net.regulariser(cortex)
        expected = (design.expand(3, 9, 6) * torch.from_numpy(weight)[rows][:, None]).mean(2).T
    info = {"model": model, "simulated": True}
    place = subject.vertices, features.layer_names, GRID, info
    encoder = BaselineEncoder.of(net, problem, weight, np.zeros(VERTICES), *place)
    found = encoder.predict_features(features[:9])[:, rows]
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())  # scores are float16


def test_gradients_are_exact():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    local = [random(2, 4, 3).detach(), random(2, 4, 5).detach()]

    def pooled(mask, *maps):
        return mask @ baselines.mapped_rows(local, maps)

    assert torch.autograd.gradcheck(pooled, (random(3, 8), random(3, 2), random(5, 2)))

    def flattened(a, b, a0, c, d):
        return baselines.through_mlps(local, (a, b), (a0, a0), (c, c), (d, d))

    inputs = random(12, 6), random(20, 6), random(6), random(6, 2), random(2)
    assert torch.autograd.gradcheck(flattened, inputs)


# ---------------------------------------------------------------- the encoder they leave


@pytest.mark.parametrize("model", NAMES)
def test_saved_and_loaded_is_the_same(fits, features, tmp_path, model):
    _, encoder, _ = fits[model]
    encoder.save(tmp_path)
    again = ft.Encoder.load(tmp_path)
    assert isinstance(again, BaselineEncoder) and again.simulated and again.rois["first"].sum() == 18
    assert json.loads((tmp_path / "run.json").read_text())["model"] == model
    np.testing.assert_array_equal(again.predict_features(features), encoder.predict_features(features))


@pytest.mark.parametrize("name", ["run.json", "encoder.safetensors"])
@pytest.mark.parametrize("harm", ["missing", "half"])
def test_damaged_runs_are_named(fits, tmp_path, name, harm):
    fits["gnetvit"][1].save(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if harm == "half":
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ft.InputError, match=name.replace(".", r"\.")) as caught:
        ft.Encoder.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"model": "none"}, {"channels": None}, {"channels": [1]}, {"model": "factorized"}])
def test_a_run_that_does_not_match_itself_is_refused(fits, tmp_path, change):
    fits["classtoken"][1].save(tmp_path)
    info = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(info | change))
    with pytest.raises(ft.InputError, match="mismatch|selectors.safetensors"):
        ft.Encoder.load(tmp_path)


@pytest.mark.parametrize("model", NAMES)
def test_no_selectors_and_other_features_are_said(fits, features, model):
    _, encoder, _ = fits[model]
    with pytest.raises(ft.InputError, match='no selectors; fit with model="factorized"'):
        encoder.selectors()
    with pytest.raises(ft.InputError, match="channels"):
        encoder.predict_features(ft.Features.from_arrays(features.local[:2], features.global_[:2]))


def test_a_baselines_run_shows_its_scores_alone():
    from streamlit.testing.v1 import AppTest

    from factortopy.storage.home import assets_dir, runs_dir

    shipped = ft.Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    n, layers = shipped.n_vertices, len(shipped.layer_names)
    tensors = {"weight": np.zeros((n, 4), np.float32), "bias": np.zeros(n, np.float32)}
    known = {k: shipped.info[k] for k in ("subject", "simulated", "backbone", "seed", "image_degrees")}
    info = known | {"model": "classtoken", "recipe": "fast", "channels": [128] * layers}
    place = shipped.vertices, shipped.layer_names, shipped.grid, info
    encoder = BaselineEncoder(tensors, *place, shipped.rois, shipped.noise_ceiling)
    encoder.scores = {name: shipped.scores[name] for name in ("score", "predicted")}
    encoder.save(runs_dir() / "baseline")
    at = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    at.query_params["run"] = "baseline"
    index = int(np.flatnonzero(encoder.rois["FFA"])[0])
    at.query_params["vertex"] = str(int(encoder.vertices.rows[index]))
    at.run()
    assert not at.exception and not at.error
    assert {m.label for m in at.metric} == {"R²", "Ceiling"}
    from factortopy.view import selector_maps

    maps = selector_maps(None, encoder.vertices, score=encoder.scores["score"])
    assert [m.name for m in maps] == ["Brain score"]


# ---------------------------------------------------------------- pooled ridge


@pytest.mark.parametrize("shape", [(60, 25), (40, 90)], ids=["wide", "long"])
def test_ridge_equals_scikit_learns_at_a_given_penalty(shape):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(np.float32), rng.standard_normal((shape[0], 7)).astype(np.float32) + 3
    x -= x.mean(0)
    weight, bias, penalty, _ = ridge_cv(x, y, folds(np.arange(len(x))), penalties=[0.2])
    unit = float((x.astype(float) ** 2).sum() / len(x))
    expected = Ridge(0.2 * unit).fit(x.astype(float), y)
    np.testing.assert_allclose(weight, expected.coef_.T, atol=2e-5)
    np.testing.assert_allclose(bias, expected.intercept_, atol=1e-4)
    np.testing.assert_allclose(penalty, 0.2, rtol=1e-4)


def test_the_penalty_of_each_vertex_suits_its_noise():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 300)).astype(np.float32)
    signal = x @ rng.standard_normal((300, 20)) / 300**0.5
    noisy = np.concatenate([signal, 0.3 * signal + rng.standard_normal(signal.shape)], 1).astype(np.float32)
    *_, penalty, score = ridge_cv(x, noisy, folds(np.arange(200)))
    assert np.median(penalty[:20]) < np.median(penalty[20:]) / 5
    assert score[:20].mean() > 0.3 > score[20:].mean()


def test_folds_never_split_a_picture():
    image = np.random.default_rng(0).integers(0, 40, 130)
    splits = folds(image)
    assert len(splits) == 5
    for fitted, held in splits:
        assert len(held) and not set(image[fitted]) & set(image[held])
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in splits])), np.arange(130))


def test_repeated_pictures_are_fitted_by_trial(features):
    image = np.random.default_rng(4).integers(0, PICTURES, 700)
    signal = flat(features, 0)[image, 5] @ np.random.default_rng(5).standard_normal((CHANNELS, VERTICES))
    subject = subject_of((signal / signal.std(0)).astype(np.float32), image)
    encoder = fit_ridge(subject, features, reduce="data", grid=GRID)
    assert np.mean(ft.brain_score(encoder, subject, features)) > 0.8


@pytest.fixture(scope="module")
def drawn():
    """Subject (simulated) of 40 pictures and features of the demo network."""
    pictures = np.random.default_rng(0).integers(0, 256, (40, 112, 112, 3), dtype=np.uint8)
    features = ft.extract(ft.load_backbone("demo-vit"), pictures, cache=False)
    return subject_of(np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32), n=6), features


def test_the_weights_reduction_knows_no_pictures(drawn):
    subject, features = drawn
    split = subject.split
    other = subject_of(np.asarray(subject.responses)[::-1].copy(), n=6)
    other.split = ft.Split(split.train[::2], split.val, split.test)
    a, b = (fit_ridge(s, features, components=12) for s in (subject, other))
    c, d = (fit_ridge(s, features, reduce="data", components=12) for s in (subject, other))
    block = ft.load_backbone("demo-vit").module.blocks[4]
    written = torch.cat([block.out.weight, block.down.weight], 1)
    for l in range(12):
        name = f"project.{l:03d}"
        p = a.tensors[name]
        np.testing.assert_array_equal(p, b.tensors[name])
        assert p.shape == (128, 12) and np.abs(p.T @ p - np.eye(12)).max() < 1e-5
        assert np.abs(c.tensors[name] - d.tensors[name]).max() > 1e-3
    kept = a.tensors["project.004"].T @ written.numpy()
    top = torch.linalg.svdvals(written)[:12].square().sum()
    assert np.square(kept).sum() == pytest.approx(float(top), rel=1e-4)


def test_a_single_layer_by_number_or_name(drawn):
    subject, features = drawn
    by_number, by_name = (fit_ridge(subject, features, layer=layer) for layer in (3, features.layer_names[3]))
    assert by_number.info["layers"] == [3] and len(by_number.tensors["weight"]) == 8 * 8 * ridge.COMPONENTS
    np.testing.assert_array_equal(by_number.tensors["weight"], by_name.tensors["weight"])
    other = features[:]
    other.local = [t if l == 3 else t * 0 for l, t in enumerate(features.local)]
    np.testing.assert_array_equal(by_number.predict_features(other), by_number.predict_features(features))


def test_ridge_tells_how_far_it_is_and_stops(drawn):
    subject, features = drawn
    seen = []
    fit_ridge(subject, features, on_progress=seen.append)
    assert [(p.step, p.total) for p in seen] == [(k, 13) for k in range(1, 14)] and seen[-1].val_score is not None
    stopped = fit_ridge(subject, features, on_progress=lambda p: p.step < 4)
    assert stopped.info["stopped"]
    rows = np.concatenate([subject.split.train, subject.split.val])
    expected = np.asarray(subject.responses)[rows].mean(0)
    np.testing.assert_allclose(stopped.predict_features(features[:2]), np.stack([expected] * 2), atol=1e-5)


def test_a_vertex_that_never_varies_is_left_out(fits, features):
    subject, _, _ = fits["ridge"]
    responses = np.array(subject.responses)
    responses[:, 5] = 0
    encoder = fit_ridge(subject_of(responses), features, reduce=None, grid=GRID)
    assert np.isfinite(encoder.predict_features(features)).all() and not encoder.tensors["weight"][:, 5].any()


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, 'bare features; use reduce="data"'),
        ({"reduce": "pca"}, "reduce"),
        ({"reduce": "data", "layer": 3}, "layer"),
        ({"reduce": "data", "layer": "block 1"}, "layer"),
        ({"reduce": "data", "components": 0}, "components"),
    ],
)
def test_bad_arguments_are_said(fits, features, options, words):
    with pytest.raises(ft.InputError, match=words):
        fit_ridge(fits["ridge"][0], features, **options)


def test_features_that_do_not_belong_are_said(fits, features):
    subject, _, _ = fits["ridge"]
    with pytest.raises(ft.InputError, match="pictures"):
        fit_ridge(subject, features[:10], reduce="data")
    spoilt = features[:]
    spoilt.local = [spoilt.local[0].copy(), *spoilt.local[1:]]
    spoilt.local[0][0] = np.nan
    with pytest.raises(ft.InputError, match="layer 1.*NaN"):
        fit_ridge(subject, spoilt, reduce="data")


def test_weights_that_write_a_layer():
    vit = ft.load_backbone("timm/test_vit", "untrained")
    block, weights = vit.model.blocks[2], vit.channel_weights()
    np.testing.assert_array_equal(weights[2], torch.cat([block.attn.proj.weight, block.mlp.fc2.weight], 1).numpy())
    block.ls1.gamma = torch.full((64,), 2.0)
    np.testing.assert_array_equal(vit.channel_weights()[2][:, :64], 2 * block.attn.proj.weight.numpy())
    cnn = ft.load_backbone("timm/test_resnet", "untrained")
    weights = cnn.channel_weights()
    np.testing.assert_array_equal(weights[0], cnn.model.conv1[-1].weight.flatten(1).numpy())
    assert [len(w) for w in weights] == cnn._widths
