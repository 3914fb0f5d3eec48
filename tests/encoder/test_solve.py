"""The last solve against ridge regression on single trials, written the obvious way: repeats, films, strange vertices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant, random_network

from factortopy.encoder import baselines, designs, fast, repeats, shared
from factortopy.encoder.films import of_trials
from factortopy.encoder.model import Factorized
from factortopy.encoder.problem import pose
from factortopy.encoder.solve import PENALTIES, on_all_cores, solve
from factortopy.encoder.solve import ridge as counted_ridge
from factortopy.features.extraction import Features
from factortopy.subjects.folder.films import Film, Frames
from factortopy.subjects.split import Split
from factortopy.subjects.subject import Subject

GRID, DIM = 4, 6


@pytest.fixture(scope="module")
def pictures():
    """70 pictures, each once: 3 layers of 8 channels, 60 vertices."""
    return plant(n_images=70, n_layers=3, channels=8, n_vertices=60, grid=GRID)


def shown(pictures, count, seed=0):
    """The planted subject with ``count`` (70,) noisy trials of each picture, in random order; the last 20 are held out."""
    rng = np.random.default_rng(seed)
    index = rng.permutation(np.repeat(np.arange(70), count))
    noise = rng.standard_normal((len(index), pictures.responses.shape[1])).astype(np.float32)
    rows = [
        np.flatnonzero(part[index]) for part in (np.arange(70) < 50, np.arange(70) % 2 == 0, np.arange(70) % 2 == 1)
    ]
    train, val, test = rows[0], *(np.setdiff1d(r, rows[0]) for r in rows[1:])
    half = len(pictures.hemi) // 2
    return Subject(
        pictures.responses[index] + noise + 3, None, pictures.hemi, np.tile(np.arange(half), 2), coords=pictures.coords,
        image_index=index, split=Split(train, val, test), simulated=True,
    )  # fmt: skip


def posed(subject, features):
    return pose(subject, features, GRID, "cpu")


def model_of(problem, name="factorized", scattered=1.0, **options):
    """A model whose selectors are not where they start."""
    if name != "factorized":
        model = baselines.MODELS[name](problem, DIM, torch.Generator().manual_seed(0))
        if name == "gnetvit":
            torch.nn.init.normal_(model.mask, generator=torch.Generator().manual_seed(1))
        return model
    model = Factorized(problem, DIM, 0, **options)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for factor in model.selectors.factors.values():
            torch.nn.init.normal_(factor[-1].weight, std=scattered)
    return model


@torch.no_grad()
def by_trials(problem, model):
    """Weight, bias and penalty of every usable vertex from single trials, vertex by vertex, in double precision."""
    rows = torch.from_numpy(np.flatnonzero(problem.usable))
    both = np.concatenate([problem.train, problem.val])
    design = model.design(model.pictures(problem.tokens(both)), model.cortex(rows)).expand(len(rows), -1, -1)
    response, n, out = problem.answers(both).T[rows].double().numpy(), len(problem.train), []
    for x, y in zip(design.double().numpy(), response, strict=True):
        candidates = [ridge(x[:n], y[:n], penalty) for penalty in PENALTIES]
        errors = [((y[n:] - x[n:] @ w - b) ** 2).sum() for w, b in candidates]
        out.append((*ridge(x, y, PENALTIES[int(np.argmin(errors))]), PENALTIES[int(np.argmin(errors))]))
    return [np.array(part) for part in zip(*out, strict=True)]


def ridge(x, y, penalty):
    a = x - x.mean(0)
    gram = a.T @ a
    w = np.linalg.solve(gram + penalty * np.trace(gram) / len(gram) * np.eye(len(gram)), a.T @ (y - y.mean()))
    return w, y.mean() - x.mean(0) @ w


WAYS = {"products": 1e9, "designs": 0.0}  # how much slower designs are held to be: which of the two is taken


def solved(problem, model, way, pieces=1):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "SLOWER", WAYS[way])
        return solve(problem, model, pieces)


def assert_as_by_trials(problem, model, way="products", pieces=1):
    weight, bias, penalty = solved(problem, model, way, pieces)
    expected = by_trials(problem, model)
    k = problem.usable
    np.testing.assert_allclose(penalty[k], expected[2], rtol=1e-6)
    np.testing.assert_allclose(weight[k], expected[0], atol=1e-5 * np.abs(expected[0]).max())
    np.testing.assert_allclose(bias[k], expected[1], atol=1e-5 * np.abs(expected[1]).max())
    assert not weight[~k].any() and not bias[~k].any() and np.isnan(penalty[~k]).all()
    return penalty


MODELS = {
    "factorized": {}, "three places": {"space_samples": 3}, "no space": {"select": ("layer", "scale")},
    "no factors": {"select": ()}, "classtoken": {}, "patchtoken": {}, "gnetvit": {},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_pictures_give_the_solution_of_trials(pictures, name, way):
    problem = posed(shown(pictures, np.arange(70) % 4 + 1), pictures.features)
    model = model_of(problem, name if name in baselines.MODELS else "factorized", **MODELS[name])
    assert len(problem.train_pictures) == 50 and len(problem.train) == problem.train_pictures.count.sum() > 120
    assert len(np.unique(assert_as_by_trials(problem, model, way))) > 1  # the choice of the penalty is looked at


@given(
    seed=st.integers(0, 1000), most=st.integers(1, 9), scattered=st.floats(0, 3), way=st.sampled_from(sorted(WAYS)),
    pieces=st.sampled_from([1, 4, 16]),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_any_number_of_repeats(pictures, seed, most, scattered, way, pieces):
    count = np.random.default_rng(seed).integers(1, most + 1, 70)
    problem = posed(shown(pictures, count, seed), pictures.features)
    assert_as_by_trials(problem, model_of(problem, scattered=scattered), way, pieces)


@pytest.mark.parametrize("way", WAYS)
def test_constant_and_missing_responses_stay_by_themselves(pictures, way):
    subject = shown(pictures, np.full(70, 2))
    clean = posed(subject, pictures.features)
    expected = solve(clean, model_of(clean))
    responses = subject.responses.copy()
    responses[:, 3], responses[clean.train[5], 7] = 4.0, np.nan
    usable = clean.usable & ~np.isin(np.arange(60), [3, 7])
    problem = replace(clean, responses=responses, usable=usable)
    assert_as_by_trials(problem, model_of(problem), way)
    for found, before in zip(solved(problem, model_of(problem), way), expected, strict=True):
        np.testing.assert_allclose(found[usable], before[usable], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("held", [0, 2**31])
def test_mapped_responses_are_averaged_as_those_in_memory(pictures, tmp_path, monkeypatch, held):
    monkeypatch.setattr(repeats, "HELD_BYTES", held)
    monkeypatch.setattr(repeats, "READ_BYTES", 5000)  # a few trials at once
    subject = shown(pictures, np.arange(70) % 3 + 1)
    np.save(tmp_path / "responses.npy", subject.responses)
    memory = posed(subject, pictures.features)
    mapped = replace(memory, responses=np.load(tmp_path / "responses.npy", mmap_mode="r"))
    rows, vertices = np.array([7, 0, 31]), np.array([5, 59, 2])
    for problem in (mapped, memory):
        trials = [problem.train[problem.image[problem.train] == problem.train_pictures.image[k]] for k in rows]
        expected = np.stack([subject.responses[t].mean(0) for t in trials]) / problem.unit
        np.testing.assert_allclose(problem.train_pictures.answers(rows), expected, rtol=1e-5)
        np.testing.assert_allclose(problem.train_pictures.answers(rows, vertices), expected[:, vertices], rtol=1e-5)
    for a, b in zip(solve(mapped, model_of(mapped)), solve(memory, model_of(memory)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_data_with_one_trial_a_picture_are_read_as_they_are(pictures):
    problem = posed(pictures.subject(), pictures.features)
    for part, trials in ((problem.train_pictures, problem.train), (problem.val_pictures, problem.val)):
        assert part.once
        np.testing.assert_array_equal(part.trials, trials)
        np.testing.assert_array_equal(part.image, problem.image[trials])
        assert torch.equal(part.answers(np.arange(7)), problem.answers(trials[:7]))
    assert_as_by_trials(problem, model_of(problem))


def test_products_that_do_not_fit_are_made_in_passes(pictures, monkeypatch):
    """Few pairs of rows, and few pictures, at once."""
    problem = posed(shown(pictures, np.arange(70) % 3 + 1), pictures.features)
    model = model_of(problem)
    cortex = model.cortex(torch.from_numpy(np.flatnonzero(problem.usable)))
    places = model.places(cortex, int(problem.usable.sum()))
    places = places.of(places.cells[:, 0].argsort(stable=True))
    whole = solved(problem, model, "products")
    assert len(shared.passes(places, DIM)) == 1
    for name, value in (("PRODUCT_BYTES", 20 * 8 * 18**2), ("BLOCK_BYTES", 1), ("VERTICES", 3)):
        monkeypatch.setattr(shared, name, value)
    passes = shared.passes(places, DIM)
    assert len(passes) > 2 and [g for some in passes for g in some] == places.groups()
    for found, expected in zip(solved(problem, model, "products"), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("single_precision")
@torch.no_grad()
def test_validation_is_scored_on_single_trials(pictures):
    problem = posed(shown(pictures, np.arange(70) % 4 + 1), pictures.features)
    fit = fast.FastFit(problem, fast.FastSettings(dim=DIM), model_of(problem), 0, begin=False)
    cortex, expected = fit.model.cortex(torch.from_numpy(fit.probe)), []
    first = np.array([np.flatnonzero(problem.image == k)[0] for k in np.unique(problem.image[problem.train])])
    x, x_val = (fit.model.design(fit.model.pictures(problem.tokens(t)), cortex).numpy() for t in (first, problem.val))
    for k, vertex in enumerate(fit.probe):
        trials = problem.answers(np.arange(len(problem.image))).numpy()[:, vertex]
        shown_by = np.flatnonzero(np.isin(problem.image, problem.image[first]))
        row = np.searchsorted(problem.image[first], problem.image[shown_by])
        w, b = ridge(x[k].astype(float)[row], trials[shown_by].astype(float), 0.3 * fit.readout().item())
        y = trials[problem.val]
        expected.append(1 - ((y - x_val[k] @ w - b) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert abs(fit.measure() - np.mean(expected)) < 1e-5


@given(count=st.lists(st.integers(1, 9), min_size=12, max_size=40), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_counted_rows_are_rows_so_many_times(count, seed):
    rng = torch.Generator().manual_seed(seed)
    design, response = torch.randn(2, len(count), 5, generator=rng), torch.randn(2, len(count), generator=rng)
    count = torch.tensor(count)
    repeated = (x.repeat_interleave(count, 1) for x in (design, response))
    for found, expected in zip(
        counted_ridge(design, response, 0.1, count.float()), counted_ridge(*repeated, 0.1), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_step_looks_at_every_picture_once(pictures):
    problem = posed(shown(pictures, np.arange(70) % 4 + 1), pictures.features)
    fit = fast.FastFit(problem, fast.FastSettings(dim=DIM), model_of(problem), 0, begin=False)
    for step in range(5):
        rows = fit.parts(step)[1]
        assert sorted(rows) == list(range(50))  # fewer than a step may look at: all, in random order
    assert np.isfinite(fit.step())


@pytest.mark.parametrize("way", WAYS)
def test_several_cores_give_what_one_gives(pictures, way, monkeypatch):
    monkeypatch.setattr(shared, "VERTICES", 5)
    monkeypatch.setattr(designs, "VERTICES", 5)
    problem = posed(shown(pictures, np.full(70, 2)), pictures.features)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(solved(problem, model_of(problem), way))
            assert torch.get_num_threads() == threads

        def fail(part):
            raise ValueError(part)

        with pytest.raises(ValueError, match="first"):
            list(on_all_cores(fail, [("a", "first"), ("b", "second")], torch.device("cpu")))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for one, several in zip(*found, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-6)


def test_a_large_offset_costs_no_digits(pictures):
    subject = shown(pictures, np.full(70, 2))
    problem = posed(subject, pictures.features)
    far = replace(problem, responses=(subject.responses + 1000).astype(np.float32))
    for way in WAYS:
        near = solved(problem, model_of(problem), way)
        weight, bias, penalty = solved(far, model_of(far), way)
        np.testing.assert_allclose(weight, near[0], atol=1e-3 * np.abs(near[0]).max())
        np.testing.assert_allclose(bias, near[1] + 1000 / problem.unit, rtol=1e-5)
        np.testing.assert_array_equal(penalty, near[2])


def test_each_volume_of_a_film_is_a_picture_of_its_own(pictures):
    """A film shown twice: what came before a frame differs between the runs, and with it the tokens."""
    trs, rng = 100, np.random.default_rng(0)
    position = np.tile(np.arange(trs), 2)
    frames = Frames([np.zeros((trs, 8, 8, 3), np.uint8)], np.stack([np.zeros(trs, int), np.arange(trs)], 1))
    run = np.repeat([0, 1], trs)
    film = Film(position[:, None], run, np.zeros(2 * trs, int), position, position * 1.0, 1.0, (1, 2), frames)
    subject = Subject(
        rng.standard_normal((2 * trs, 60)).astype(np.float32), None, pictures.hemi, np.tile(np.arange(30), 2),
        coords=pictures.coords, film=film, image_index=film.image_index, simulated=True,
        split=Split(np.r_[0:70, 100:170], np.r_[75:85, 175:185], np.r_[90:100, 190:200]),
    )  # fmt: skip
    local, global_ = random_network(rng, trs, 2, 8, GRID, 0.5)
    problem = posed(subject, of_trials(subject, Features.from_arrays(local, global_)))
    np.testing.assert_array_equal(problem.train_pictures.image, problem.train)
    assert problem.train_pictures.once and problem.val_pictures.once
    assert_as_by_trials(problem, model_of(problem))
