"""The encoder's benchmark measures what it says: planted problems, the plain reference, its instruments (synthetic)."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import begin, encoder, nsd_size, planted_features, scale
from benchmarks.encoder_step import differences, paper_fit
from benchmarks.measuring import exponent, in_child, kept, peak_above
from benchmarks.plain_encoder import PlainEncoder, PlainFit, regulariser, standardised
from benchmarks.planted_size import Size, mixture, planted_size
from factortopy.encoder.fast import FastSettings
from factortopy.runs import costs

SIZE = Size(150, 3, 32, 120, decay=1.0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_size(SIZE, seed=3, folder=tmp_path_factory.mktemp("bench"))


def test_planted_problems_are_memory_mapped_and_made_once(planted):
    assert all(isinstance(t, np.memmap) and t.dtype == np.float16 for t in planted.features.local)
    assert isinstance(planted.subject.responses, np.memmap) and planted.subject.simulated
    before = (planted.folder / "responses.npy").stat().st_mtime_ns
    again = planted_size(SIZE, seed=3, folder=planted.folder.parent)
    assert (planted.folder / "responses.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.subject.responses, planted.subject.responses)


def test_the_same_seed_makes_the_same_problem(planted, tmp_path):
    other = planted_size(SIZE, seed=3, folder=tmp_path)
    np.testing.assert_array_equal(other.features.local[2], planted.features.local[2])
    np.testing.assert_array_equal(other.subject.responses, planted.subject.responses)


@pytest.mark.parametrize("trials", [None, 400])
def test_responses_hold_the_planted_signal_at_the_stated_ceiling(planted, trials):
    if trials:
        planted = planted_size(replace(SIZE, trials=trials), seed=3, folder=planted.folder.parent)
    vertices = np.arange(SIZE.vertices)
    signal = (planted.designs(vertices) * planted.truth.channel[:, None]).sum(2)[:, planted.subject.image_index]
    explained = [np.corrcoef(s, y)[0, 1] ** 2 for s, y in zip(signal, planted.subject.responses.T, strict=True)]
    assert np.mean(explained) == pytest.approx(SIZE.ceiling, abs=0.02)
    assert 0.4 < planted.reachable() < 0.66


def test_repeated_pictures_are_seen_unequally_often_and_a_tenth_of_them_are_for_testing(planted):
    subject = planted_size(replace(SIZE, trials=400), seed=3, folder=planted.folder.parent).subject
    assert len(subject.responses) == 400 and set(subject.repeats()) == {1, 2, 3} and subject.n_images == SIZE.images
    assert len(np.unique(subject.image_index[subject.split.test])) == SIZE.images // 10
    assert (np.diff(subject.image_index) < 0).any()  # in any order


def test_a_killed_writer_goes_on_to_the_same_files(planted, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def kill(what, done, total):
        raise Killed

    size = replace(SIZE, trials=400)
    monkeypatch.setattr(planted_features, "MARKED", 1)  # after every chunk
    for _ in range(2 * -(-size.images // planted_features.CHUNK)):  # killed after each
        with pytest.raises(Killed):
            planted_size(size, seed=3, folder=tmp_path, report=kill)
    again = planted_size(size, seed=3, folder=tmp_path)
    whole = planted_size(size, seed=3, folder=planted.folder.parent)
    np.testing.assert_array_equal(again.features.local[2], planted.features.local[2])
    np.testing.assert_array_equal(again.subject.responses, whole.subject.responses)


def test_more_pictures_begin_with_the_same(planted, tmp_path):
    fewer = planted_size(replace(SIZE, images=70), seed=3, folder=tmp_path)
    np.testing.assert_array_equal(fewer.features.local[1], planted.features.local[1][:70])
    shared = planted_size(
        replace(SIZE, images=70), seed=3, folder=planted.folder.parent
    )  # of the features that are there
    np.testing.assert_array_equal(shared.subject.responses, fewer.subject.responses)
    assert len(shared.features) == 70 and "150x" in str(shared.features.local[0].filename)


def test_features_on_disk_hold_what_the_weights_read(planted):
    for l in range(SIZE.layers):
        tokens = np.array(planted.features.local[l][::4], np.float32).reshape(-1, SIZE.channels)
        tokens = np.concatenate([tokens, np.ones_like(tokens[:, :1])], 1)
        combined = planted.projected[::4, l].reshape(len(tokens), -1)
        fitted = tokens @ np.linalg.lstsq(tokens, combined)[0]
        assert np.abs(fitted - combined).max() < 0.02 * combined.std()  # half precision


def test_channels_decay_as_said_and_every_layer_is_used(planted):
    tokens = standardised(planted.features.local[1], slice(None)).flatten(0, 2)
    variance = torch.linalg.eigvalsh(tokens.T.cov()).flip(0)
    slope = np.polyfit(np.log(np.arange(1, 33)), np.log(variance.numpy()), 1)[0]
    assert -1.2 < slope < -0.8
    assert (np.bincount(planted.truth.layer_argmax, minlength=SIZE.layers) > 10).all()
    assert planted.agreement(planted.truth)["layer argmax right"] == 1


def test_mixture_is_grid_sample(planted):
    truth = planted.truth
    ones = np.ones((120, 1), np.float32)
    picture = torch.randn(1, 1, 8, 8)
    where = torch.from_numpy(np.linspace([-1, -0.7], [0.9, 1], 120, dtype=np.float32))
    expected = torch.nn.functional.grid_sample(picture, where[None, None], align_corners=False)[0, 0, 0]
    found = mixture(where.numpy(), ones, np.zeros(120), 8) @ picture.numpy().ravel()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert mixture(truth.space, truth.layer, truth.scale, 8).shape == (120, 3 * 64)


def test_the_reference_starts_as_the_design_says():
    model = PlainEncoder(torch.rand(20, 3) * 100, [8, 16], dim=4)
    space, layer, scale = model.selectors()
    assert (space == 0).all() and (layer == 0.5).all() and (scale == 0.5).all()
    assert regulariser(layer, scale).item() == pytest.approx(-1)
    y = model([torch.randn(3, 8, 8, 8), torch.randn(3, 8, 8, 16)], [torch.randn(3, 8), torch.randn(3, 16)])
    assert y.shape == (3, 20)


def test_the_reference_learns(planted):
    fit = PlainFit(planted.subject, planted.features, dim=16, batch=10**6)  # all of them: no noise of batches
    losses = [fit.step() for _ in range(15)]
    assert losses[-1] < losses[0] - 0.001
    history = fit.run(0.05, every=1000)
    assert history[-1][1] == fit.steps and np.isfinite(history[-1][2])


def test_ours_and_the_reference_agree_at_equal_parameters(planted):
    plain = PlainFit(planted.subject, planted.features)
    error, gradient = differences(paper_fit(planted.subject, planted.features, "cpu"), plain)
    assert error < 1e-4 and gradient < 1e-3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_what_a_call_allocates():
    def allocate():
        held = np.ones(40_000_000, np.uint8)
        del held

    assert peak_above(allocate) == pytest.approx(40, abs=4)


def test_exponents_and_children():
    assert exponent([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    arguments = {"sizes": [1, 2, 4], "times": [1, 4, 16]}
    assert in_child("benchmarks.measuring", "exponent", arguments) == pytest.approx(2)


TINY = Size(120, 2, 16, 80, decay=1.0)


@pytest.fixture
def tiny_sizes(monkeypatch, tmp_path):
    """The command of the large sizes on tiny ones, in this process."""
    sizes = {"a": TINY, "b": replace(TINY, images=240, trials=500), "c": replace(TINY, vertices=320)}
    for module in (nsd_size, encoder):
        monkeypatch.setattr(module, "SIZES", sizes)
    monkeypatch.setattr(nsd_size, "settings_for", lambda size: FastSettings(dim=16, steps=2))
    monkeypatch.setattr(nsd_size, "product_rate", lambda: 50.0)
    monkeypatch.setattr(nsd_size, "in_child", lambda module, name, arguments, **_: getattr(nsd_size, name)(**arguments))
    target = tmp_path / "results.json"
    return lambda *words: (encoder.main(["--nsd", "--whole", "--results", str(target), *words]), kept(target))[1]


def test_the_large_sizes_stages_go_on_where_they_were(tiny_sizes, capsys):
    found = tiny_sizes("--size", "a", "--stage", "data", "fit")["nsd a, whole"]
    parts = [found["fit"][f"{name}, s"] for name in nsd_size.PARTS.values()]
    assert all(seconds > 0 for seconds in parts) and sum(parts) <= found["fit"]["time in all, s"]
    assert found["fit"]["machine"]["commit"] and found["fit"]["steps"] == 2
    assert "again" not in found and "summary" in found
    found = tiny_sizes()
    for name in "abc":
        section = found[f"nsd {name}, whole"]
        assert section["again"]["share of the first fit's time"] > 0
        assert section["summary"]["plain reference (extrapolated), times longer"] > 1
    assert set(found["nsd growth, whole"]) > {"last solve, vertices", "last solve, pictures"}
    assert "before and now" in capsys.readouterr().out or found["nsd a, whole"]["fit"]["machine"]["commit"][-1] != "+"


def test_products_of_a_solve_are_those_of_its_formula(planted):
    settings = FastSettings(dim=10)
    problem = encoder.pose(planted.subject, planted.features, 8, "cpu")
    needed = nsd_size.products(problem, settings, steps_done=3)
    width, pictures = sum(t.shape[-1] for t in problem.local), 135
    seen = 2 * pictures * (65 * width * 10 + 120 * (5 * 3 * 10 + 100))
    assert needed["last solve"] == seen + 15 * 120 * 2 * 10 * 8
    assert needed["steps and validations"] > 0


def test_a_tenth_costs_as_much_a_picture_as_the_whole():
    size = nsd_size.SIZES["b"]
    part = nsd_size.tenth(size)
    assert (part.images, part.trials, part.vertices) == (1000, 2775, 3798)
    assert nsd_size.settings_for(size).dim == 64 and nsd_size.settings_for(nsd_size.SIZES["a"]).dim == 49


def test_costs_are_fitted_to_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(scale, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(scale, "COSTS", tmp_path / "costs.json")
    (tmp_path / "costs.json").write_text(json.dumps(costs.table()))
    results = {}
    for name, size in nsd_size.SIZES.items():
        terms = costs.fit_terms(*scale.sides(vars(size)), 180, 64)
        prepare, steps, solve = (sum((i + 1) * x for i, x in enumerate(row.values())) for row in terms.values())
        took = dict(zip(nsd_size.PARTS.values(), (prepare / 2, prepare / 2, steps, solve), strict=True))
        fit = {f"{part}, s": seconds for part, seconds in took.items()}
        results[f"nsd {name}, whole"] = {
            "problem": vars(size),
            "fit": fit | {"steps": 180, "aligned channels": 64, "machine": {"date": "2026-01-02 3"}},
        }
    (tmp_path / "results.json").write_text(json.dumps(results))
    scale.main(["--write"])
    measured = json.loads((tmp_path / "costs.json").read_text())["measured"]
    for row in (
        "prepare",
        "solve",
    ):  # 1, 2, 3 …, as they were put in; a step's cannot be told apart: channels are alike
        numbers = [value for key, value in measured[row].items() if key.startswith("seconds")]
        assert numbers == pytest.approx(range(1, len(numbers) + 1), rel=1e-3)
    assert (
        measured["step"]["date"] == "2026-01-02"
        and measured["network pass"] == costs.table()["measured"]["network pass"]
    )


def test_parts_before_the_first_step_are_timed_cold_and_warm(planted, tmp_path, monkeypatch):
    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path))
    cold, warm = begin.begin(planted, SIZE, 0), begin.begin(planted, SIZE, 1)
    made = {"moments", "eigenvectors", "scores on the first components, check of all", "cache written"}
    assert {part for part in cold if not cold[part]} == set()
    assert {part for part in warm if not warm[part]} == made
    for seconds in (cold, warm):
        assert seconds["checks and components"] + seconds["start"] == pytest.approx(seconds["in all"])
        assert sum(seconds[part] for part in begin.PARTS if part.startswith("start")) < seconds["start"]
    assert begin.plain(planted.features.local[0]) > 0
