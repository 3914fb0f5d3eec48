"""A fit that starts from others: the same place, fewer steps; several subjects' mean on the common surface (planted truth)."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant

import factortopy as ft
from factortopy.encoder import fast
from factortopy.encoder.model import Factorized
from factortopy.encoder.problem import pose
from factortopy.encoder.selectors import Selectors
from factortopy.encoder.warm import channels_in_common, mean_selectors, start_from
from factortopy.errors import InputError
from factortopy.features.extraction import Features
from factortopy.surfaces.coordinates import Vertices


@pytest.fixture(scope="module")
def small():
    """One network, two subjects whose noise differs: 240 pictures, 3 layers of 16 channels, 160 vertices."""
    truth = plant(n_images=240, n_layers=3, channels=16, n_vertices=160, grid=4, rank=4)
    other = truth.responses + 0.3 * np.random.default_rng(1).standard_normal(truth.responses.shape)
    return truth, truth.subject(), truth.subject(responses=other.astype(np.float32))


@pytest.fixture(scope="module")
def cold(small):
    truth, *subjects = small
    return [ft.fit(subject, truth.features, grid=4, steps=60) for subject in subjects]


def begun(encoders, subject, truth):
    """A model that starts from encoders, before its first step, and its problem."""
    problem = pose(subject, truth.features, 4, "cpu")
    model = Factorized(problem, encoders[0].selectors().channel.shape[1], 0)
    start_from(encoders, subject.vertices, problem, model, 0)
    return model, problem


def test_a_warm_fit_begins_where_the_other_one_ended(small, cold):
    truth, subject, _ = small
    model, _ = begun(cold[:1], subject, truth)
    space, layer, scale = (x.detach().numpy() for x in model.cortex())
    wanted = cold[0].selectors()
    assert (layer.argmax(1) == wanted.layer_argmax).mean() > 0.97
    assert np.abs(scale[:, 0] - wanted.scale).mean() < 0.03
    local = wanted.scale < 0.5
    assert np.median(np.linalg.norm(space[local, 0] - wanted.space[local], axis=1)) < 0.05
    # The alignments are the encoder's own, in its own order.
    for ours, theirs in zip(model.local.raw_maps()[0], cold[0]._alignment["local"], strict=True):
        np.testing.assert_allclose(ours.detach(), theirs, atol=0.02 * np.abs(theirs).max())


def test_a_warm_fit_is_as_good_after_few_steps(small, cold):
    truth, subject, other = small
    before = np.nanmean(ft.brain_score(cold[0], subject, truth.features))
    for encoders in (cold[0], cold[1], cold):
        warm = ft.fit(subject, truth.features, grid=4, steps=20, warm=encoders)
        assert np.nanmean(ft.brain_score(warm, subject, truth.features)) > before - 0.02
    assert warm.info["warm"] == ["planted", "planted"] and warm.info["steps"] == 20
    assert ft.fit(other, truth.features, grid=4, warm=cold[0]).info["steps"] == 60


def test_channels_of_several_encoders_are_those_that_their_vertices_read(small, cold):
    """Turning an encoder's channels against its weights changes no prediction, and not where a fit starts from it."""
    truth, subject, _ = small
    problem = pose(subject, truth.features, 4, "cpu")
    dim = cold[0].selectors().channel.shape[1]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0].astype(np.float32)
    s = cold[1].selectors()
    turned = SimpleNamespace(
        _alignment={kind: [m @ turn for m in cold[1]._alignment[kind]] for kind in ("local", "global")},
        selectors=lambda: replace(s, channel=s.channel @ turn),
    )
    first, second = (channels_in_common([cold[0], e], problem, dim) for e in (cold[1], turned))
    torch.testing.assert_close(first @ first.T, second @ second.T, atol=1e-3, rtol=1e-3)


def test_a_stopped_warm_fit_resumes_to_the_undisturbed_result(small, cold, tmp_path):
    truth, subject, _ = small
    how = {"grid": 4, "steps": 12, "warm": cold}
    whole = ft.fit(subject, truth.features, **how)
    ft.fit(subject, truth.features, out=tmp_path, on_progress=lambda p: p.step < 5, **how)
    with pytest.raises(InputError, match="checkpoint of this fit"):
        ft.fit(subject, truth.features, out=tmp_path, resume=True, **how | {"warm": cold[0]})
    resumed = ft.fit(subject, truth.features, out=tmp_path, resume=True, **how)
    np.testing.assert_array_equal(resumed.selectors().channel, whole.selectors().channel)


def test_encoders_of_other_networks_are_refused_by_name(small, cold):
    truth, subject, _ = small
    other = Features.from_arrays(truth.features.local[:2], truth.features.global_[:2])
    with pytest.raises(InputError, match="encoder of planted: expected layers"):
        ft.fit(subject, other, grid=4, warm=cold[0])
    fewer = Features.from_arrays([t[..., :8] for t in truth.features.local], truth.features.global_)
    with pytest.raises(InputError, match="encoder of planted: expected channels"):
        ft.fit(subject, fewer, grid=4, warm=cold[0])
    with pytest.raises(InputError, match="warm: expected the fast recipe"):
        ft.fit(subject, truth.features, grid=4, recipe="paper", warm=cold[0])
    base = ft.fit(subject, truth.features, grid=4, steps=2, model="classtoken")
    with pytest.raises(InputError, match="expected a factorized model, found classtoken"):
        ft.fit(subject, truth.features, grid=4, warm=[cold[0], base])


def on_mesh(vertices, values):
    """What ``mean_selectors`` reads of an encoder: the layer weights are (v, 1 − v), space and scale v."""
    v = np.asarray(values, np.float32)
    s = Selectors(np.stack([v, v], 1), np.stack([v, 1 - v], 1), v, np.zeros((len(v), 1), np.float32))
    return SimpleNamespace(vertices=vertices, selectors=lambda: s)


def test_the_mean_is_taken_vertex_by_vertex_and_across_meshes():
    left = Vertices(np.zeros(3), [5, 9, 700], "10k")
    both = Vertices([0, 0, 1], [9, 5, 5], "10k")
    space, layer, scale, near = mean_selectors([on_mesh(left, [0.1, 0.3, 0.5]), on_mesh(both, [0.7, 0.2, 0.9])], both)
    np.testing.assert_allclose(scale, [0.5, 0.15, 0.9], atol=1e-6)  # the right one is in the second encoder alone
    np.testing.assert_allclose(space, scale[:, None] + [0, 0], atol=1e-6)
    np.testing.assert_allclose(layer, np.stack([scale, 1 - scale], 1), atol=1e-6)
    assert near.all()
    # A vertex of fsaverage5 has the same number on the finer meshes; one far from all has nothing.
    fine = Vertices([0, 0, 1], [9, 700, 5], "41k")
    _, _, scale, near = mean_selectors([on_mesh(left, [0.1, 0.3, 0.5])], fine)
    np.testing.assert_allclose(scale[:2], [0.3, 0.5], atol=1e-6)
    assert near.tolist() == [True, True, False]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6), min_size=1, max_size=4),
    st.permutations(range(6)),
)
def test_means_keep_to_what_they_are_of(values, order):
    """Order of encoders and of vertices is nothing; a mean lies between its parts; layers sum to 1."""
    vertices = Vertices(np.repeat([0, 1], 3), [4, 99, 800, 4, 99, 800])
    encoders = [on_mesh(vertices, v) for v in values]
    _, layer, scale, near = mean_selectors(encoders, vertices)
    np.testing.assert_allclose(scale, np.mean(values, 0), atol=1e-5)
    np.testing.assert_allclose(layer.sum(1), 1, atol=1e-5)
    assert near.all()
    again = mean_selectors(encoders[::-1], vertices)[2]
    np.testing.assert_allclose(again, scale, atol=1e-6)
    order = sorted(order, key=lambda k: k // 3)  # within their hemispheres
    shuffled = vertices.subset(np.array(order))
    np.testing.assert_allclose(mean_selectors(encoders, shuffled)[2], scale[order], atol=1e-6)


def test_settings_of_ones_own_count_in_a_warm_fit(small, cold):
    truth, subject, _ = small
    own = fast.FastSettings(steps=3, regulariser=0.02)
    info = ft.fit(subject, truth.features, grid=4, settings=own, warm=cold[0]).info
    assert info["steps"] == 3 and info["recipe_settings"]["regulariser"] == 0.02


def test_only_encoders_of_these_weights_start_a_fit(small, cold):
    truth, subject, _ = small
    alone = ft.fit(subject, truth.features, grid=4, steps=2, weights=False)
    retrained = replace(truth.features, weights="other.safetensors")
    for warm, features, words in (
        ("runs/first", truth.features, "expected encoders, found str"),
        ([cold[0], alone], truth.features, "expected channel weights, found selectors alone"),
        (cold[0], retrained, "expected weights other.safetensors"),
    ):
        with pytest.raises(InputError, match=words):
            ft.fit(subject, features, grid=4, steps=2, warm=warm)
