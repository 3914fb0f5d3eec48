"""The encoder's benchmark measures what it says: planted problems, the plain reference, its instruments (synthetic)."""

import sys

import numpy as np
import pytest
import torch

from benchmarks.encoder_step import differences, paper_fit
from benchmarks.measuring import exponent, in_child, peak_above
from benchmarks.plain_encoder import PlainEncoder, PlainFit, regulariser, standardised
from benchmarks.planted_size import Size, mixture, planted_size

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


def test_responses_hold_the_planted_signal_at_the_stated_ceiling(planted):
    vertices = np.arange(SIZE.vertices)
    signal = (planted.designs(vertices) * planted.truth.channel[:, None]).sum(2)
    explained = [np.corrcoef(s, y)[0, 1] ** 2 for s, y in zip(signal, planted.subject.responses.T, strict=True)]
    assert np.mean(explained) == pytest.approx(SIZE.ceiling, abs=0.02)
    assert 0.4 < planted.reachable() < 0.66


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
