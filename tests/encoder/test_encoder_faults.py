"""What goes wrong in a fit: losses that are no numbers, memory, strange data, damaged caches; each is survived or said."""

import numpy as np
import pytest
import torch

import factortopy as ft
from factortopy import analysis
from factortopy.encoder import fast, start, state
from factortopy.encoder.paper import PaperSettings
from factortopy.encoder.problem import pose
from factortopy.features.extraction import Features

PAPER = PaperSettings(steps=6, every=3, dim=8)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Nothing here asks for good maps."""
    monkeypatch.setattr(start, "STEPS", 8)


def quick(subject, features, recipe="fast", steps=6, **more):
    settings = PAPER if recipe == "paper" else None
    return ft.fit(subject, features, recipe=recipe, steps=steps, settings=settings, grid=4, **more)


def assert_same_maps(first, second, rtol=0.0, atol=0.0):
    for name in ("space", "layer", "scale", "channel"):
        found, expected = (getattr(e.selectors(), name) for e in (first, second))
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=name)


# ---------------------------------------------------------------- losses and responses


def test_a_loss_that_is_no_number_keeps_what_was_best(subject, small, monkeypatch):
    loss = fast.FastFit.loss
    monkeypatch.setattr(
        fast.FastFit, "loss", lambda self, step, *rest: loss(self, step, *rest) * (np.nan if step > 13 else 1)
    )
    spoilt = quick(subject, small.features, steps=40)
    assert spoilt.info["diverged"] and spoilt.info["steps_done"] == 14 and spoilt.info["best_step"] == 10
    assert np.isfinite(spoilt.predict_features(small.features)).all() and spoilt.selectors().channel.any()
    monkeypatch.setattr(fast.FastFit, "loss", lambda self, *rest: loss(self, *rest) * np.inf)
    with pytest.raises(ft.InputError, match="no number at step 1, before"):
        quick(subject, small.features)


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_huge_responses_are_survived_or_said(subject, small, recipe):
    huge = small.responses.copy()
    huge[:, 3] *= 1e17
    huge[:, 4] *= 1e30  # its variance is beyond float32: the vertex is left out
    other = small.subject(huge)
    encoder = quick(other, small.features, recipe)
    assert np.isfinite(encoder.predict_features(small.features)).all()
    assert not encoder.predict_features(small.features)[:, 4].any()
    with pytest.raises(ft.InputError, match="responses: expected vertices that vary"):
        quick(small.subject(small.responses * np.float32(1e30)), small.features, recipe)


def test_units_of_the_responses_do_not_matter(small):
    plain = quick(small.subject(), small.features, steps=30)
    scaled = quick(small.subject(small.responses * np.float32(0.01)), small.features, steps=30)
    np.testing.assert_allclose(scaled.selectors().layer, plain.selectors().layer, atol=1e-3)


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_constant_responses(subject, small, recipe):
    with pytest.raises(ft.InputError, match="responses: expected vertices that vary"):
        quick(small.subject(np.ones_like(small.responses)), small.features, recipe)
    one = small.responses.copy()
    one[:, 5] = 7
    still = small.subject(one)
    encoder = quick(still, small.features, recipe)
    score = ft.brain_score(encoder, still, small.features)
    assert np.isnan(score[5]) and np.isfinite(np.delete(score, 5)).all()
    assert not encoder.selectors().channel[5].any() and not analysis.predicted(encoder, still, small.features)[5]
    # Constant while it trains, varying while it is tested: nothing to learn, nothing predicted, no NaN.
    one = small.responses.copy()
    one[subject.split.train, 5] = 0
    encoder = quick(small.subject(one), small.features, recipe)
    assert np.isfinite(encoder.predict_features(small.features)).all()


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_a_single_layer(subject, small, recipe):
    features = Features.from_arrays(small.features.local[:1], small.features.global_[:1])
    encoder = quick(subject, features, recipe)
    assert (encoder.selectors().layer_confidence == 1).all() and (encoder.selectors().layer == 1).all()
    assert np.isfinite(ft.brain_score(encoder, subject, features)).all()


def test_one_picture_is_too_few(small):
    with pytest.raises(ft.InputError, match="images: expected at least 10 different pictures .* found 1"):
        quick(small.subject(rows=slice(1)), small.features[:1])
    with pytest.raises(ft.InputError, match="training pictures: expected at least 8, found 6"):
        split = ft.Split(np.arange(6), np.arange(6, 8), np.arange(8, 12))
        few = small.subject(rows=slice(12))
        few.split = split
        quick(few, small.features[:12])


def test_fewer_pictures_than_the_batch(small):
    few, features = small.subject(rows=slice(14)), small.features[:14]
    settings = PaperSettings(steps=6, every=3, dim=8, batch=64)
    encoder = ft.fit(few, features, recipe="paper", settings=settings, grid=4)
    assert encoder.info["steps_done"] == 6 and np.isfinite(encoder.predict_features(features)).all()
    assert np.isfinite(quick(few, features).predict_features(features)).all()


# ---------------------------------------------------------------- memory of the device


class Little:
    """A device whose memory holds so many vertices at once: beyond, designs raise what torch raises."""

    def __init__(self, monkeypatch, vertices, of="design"):
        from factortopy.encoder.model import Factorized

        self.refused, real = 0, getattr(Factorized, of)

        def call(model, pictures, cortex, *rest):
            if len(cortex[1]) > vertices:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines of advice")
            return real(model, pictures, cortex, *rest)

        monkeypatch.setattr(Factorized, of, call)


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize(("recipe", "of"), [("fast", "design"), ("paper", "respond")])
def test_too_little_memory_falls_back_to_smaller_pieces(subject, small, monkeypatch, recipe, of):
    whole = quick(subject, small.features, recipe)
    little = Little(monkeypatch, 20, of)
    pieces = quick(subject, small.features, recipe)
    assert little.refused >= 2  # halves, quarters, and so on where the last solve has more at once
    assert_same_maps(pieces, whole, rtol=1e-3, atol=1e-3)


def test_memory_that_runs_out_in_the_last_solve(subject, small, monkeypatch):
    whole = quick(subject, small.features)
    real, calls = fast.solve, []

    def solve(problem, model, pieces):
        calls.append(pieces)
        if pieces < 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(problem, model, pieces)

    monkeypatch.setattr(fast, "solve", solve)
    assert_same_maps(quick(subject, small.features), whole, rtol=1e-4, atol=1e-4)
    assert calls == [1, 2, 4]


@pytest.mark.parametrize(("recipe", "of"), [("fast", "design"), ("paper", "respond")])
def test_no_memory_at_all_is_said(subject, small, monkeypatch, recipe, of):
    little = Little(monkeypatch, 0, of)
    with pytest.raises(ft.InputError, match="device cpu: expected memory for 1/16 of a step") as caught:
        quick(subject, small.features, recipe)
    assert "\n" not in str(caught.value) and "advice" not in str(caught.value)
    assert little.refused == 5 and state.SMALLEST == 16


# ---------------------------------------------------------------- features of every kind


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("recipe", ["fast", "paper"])
@pytest.mark.parametrize("kind", ["float64", "float16", "big-endian", "fortran", "channels first", "whole numbers"])
def test_arrays_of_every_layout(subject, small, recipe, kind):
    change = {
        "float64": lambda a: a.astype(np.float64),
        "float16": lambda a: a.astype(np.float16),
        "big-endian": lambda a: a.astype(">f4"),
        "fortran": np.asfortranarray,
        "channels first": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 1)), 1, -1),
        "whole numbers": lambda a: np.round(2000 * a).astype(np.int16),
    }[kind]
    features = Features.from_arrays(
        *([change(a) for a in part] for part in (small.features.local, small.features.global_))
    )
    expected = quick(subject, small.features, recipe).predict_features(small.features)
    found = quick(subject, features, recipe).predict_features(features)
    exact = kind not in ("float16", "whole numbers")
    np.testing.assert_allclose(found, expected, atol=1e-4 if exact else 0.1)


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (1, 1), (9, 6)])
def test_features_off_the_grid(subject, small, shape):
    rng = np.random.default_rng(0)
    local = [rng.standard_normal((80, *shape, 8)).astype(np.float32) + 3 for _ in range(2)]
    features = Features.from_arrays(local, small.features.global_[:2])
    problem = pose(subject, features, 4, "cpu")
    resized = [
        torch.nn.functional.interpolate(
            torch.from_numpy(t).permute(0, 3, 1, 2), (4, 4), mode="bilinear", antialias=True
        )
        for t in local
    ]
    for scores, basis, raw in zip(problem.local, problem.local_basis, resized, strict=True):
        expected = basis.scores(raw.permute(0, 2, 3, 1).reshape(80, 16, 8))
        np.testing.assert_allclose(scores, expected, atol=0.02)
    for recipe in ("fast", "paper"):
        encoder = quick(subject, features, recipe)
        assert np.isfinite(encoder.predict_features(features)).all()


def test_values_beyond_all_bounds_are_said(subject, small):
    features = Features.from_arrays([a * np.float32(1e25) for a in small.features.local], small.features.global_)
    with pytest.raises(ft.InputError, match="features: expected values whose squares float32 holds"):
        quick(subject, features)
