"""What a report's networks bring along for the checklist: numbers of a fit, scores on the same pictures, maps that are turned."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from compared import N, made

from factortopy.analysis.channels import hemisphere_cosines
from factortopy.analysis.gallery import Gallery
from factortopy.encoder.encoder import Encoder
from factortopy.report import gathered
from factortopy.report.evidence import Evidence, FittedNetwork
from factortopy.report.fits import numbers
from factortopy.report.rules import clip_leads
from factortopy.report.tried import FILM, Tried
from factortopy.report.turned import Turner, of_seeds
from factortopy.storage.home import assets_dir
from factortopy.surfaces.meshes import load_mesh


def test_numbers_of_a_fit():
    encoder = made(np.linspace(0, 1, N))
    own = numbers(encoder)
    assert own["score"]["all"] == pytest.approx(0.5) and own["score"]["V1"] < own["score"]["EBA"]
    layer, left = encoder.selectors().layer_mean, encoder.hemi == 0
    assert own["layer"]["V1"] == pytest.approx([layer[encoder.rois["V1"] & s].mean() for s in (left, ~left)])
    assert own["last"]["EBA"] == pytest.approx([0, 1]) and own["first"]["V1"] == pytest.approx([1, 0])
    x = encoder.selectors().space[:, 0]
    assert own["contralateral"] == pytest.approx([(x[left] > 0).mean(), (x[~left] <= 0).mean()])
    names, cosines = own["cosines"]
    whole = dict(zip(names, np.diag(cosines), strict=True))
    weight = encoder.selectors().channel
    a, b = (weight[encoder.rois["V1"] & s].mean(0) for s in (left, ~left))
    assert whole["V1"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-5)
    encoder.rois = {}
    assert hemisphere_cosines(encoder)[1].shape == (0, 0) and numbers(encoder)["layer"] == {}


def gallery(rng, measured=None, image=40):
    measured = rng.normal(size=(image, N)) if measured is None else measured
    return Gallery(None, measured, measured + rng.normal(size=measured.shape), np.arange(image))


def test_answers_are_compared_on_the_same_pictures_alone():
    rng, areas = np.random.default_rng(0), {"all": np.ones(N, bool)}
    first = gallery(rng)
    same, other = gallery(rng, first.measured), gallery(rng)
    answers = gathered.answers({"a": [first], "other": [other], "b": [same], "none": [None]}, areas)
    assert answers.names == ("a", "b") and answers.pictures == 40
    assert gathered.answers({"a": [first], "other": [other]}, areas) is None and gathered.answers({}, areas) is None


def test_volumes_of_a_film_decide_nothing():
    rng, areas = np.random.default_rng(0), {"all": np.ones(N, bool)}
    first = gallery(rng)
    both = {"clip-l": [first], "sam-b": [gallery(rng, first.measured)]}
    networks = {n: FittedNetwork(n) for n in both}
    pictures, film = (Evidence(networks, gathered.answers(both, areas, film)) for film in (False, True))
    assert isinstance(clip_leads(pictures), Tried) and clip_leads(film) == FILM
    seen = SimpleNamespace(encoders=[SimpleNamespace(info={"fir": {"tr": 1.0}})])
    assert gathered.of_film(seen) and not gathered.of_film(SimpleNamespace(encoders=[made(np.linspace(0, 1, N))]))


def test_pictures_are_the_same_whatever_their_numbers():
    """Fits of fewer pictures number those that are left anew; their test pictures are those of all, and were taken for others."""
    rng = np.random.default_rng(0)
    whole = gallery(rng)
    part = replace(gallery(rng, whole.measured), image=np.arange(40) + 7)
    assert gathered.answers({"100": [part], "300": [whole]}, {"all": np.ones(N, bool)}).names == ("100", "300")
    other = gallery(rng)
    assert gathered.answers({"100": [other], "300": [whole]}, {"all": np.ones(N, bool)}) is None


def test_seeds_widen_an_interval():
    rng = np.random.default_rng(0)
    first = gallery(rng)
    answers = gathered.answers({"a": [first], "b": [gallery(rng, first.measured)]}, {"all": np.ones(N, bool)})
    evidence, weights = Evidence({n: FittedNetwork(n) for n in "ab"}, answers), {("a", "all"): 1, ("b", "all"): -1}
    alone = evidence.scored(weights)
    evidence.fits = {"a": [{"score": {"all": v}} for v in (0.1, 0.2, 0.3)]}
    assert evidence.scored(weights).error == pytest.approx(np.sqrt(alone.error**2 + 2 * 0.01))
    evidence.fits = {"a": evidence.fits["a"][:2]}  # two seeds are no spread
    assert evidence.scored(weights).error == alone.error


def test_subjects_are_lined_up_by_name():
    def entry(name, *subjects):
        encoders = [made(np.full(N, score)) for _, score in subjects]
        for encoder, (subject, _) in zip(encoders, subjects, strict=True):
            encoder.info = {"subject": subject}
        return SimpleNamespace(name=name, encoders=encoders)

    found = gathered.by_subject(
        [entry("a", ("x", 0.1), ("y", 0.2)), entry("b", ("y", 0.4), ("x", 0.3)), entry("c", ("x", 0.9))]
    )
    assert {n: [round(s["all"], 3) for s in of] for n, of in found.items()} == {"a": [0.1, 0.2], "b": [0.3, 0.4]}


@pytest.fixture(scope="module")
def demo():
    encoder = Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    sphere = load_mesh(encoder.density).coords["sphere"]
    places = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    turn = Turner(encoder.vertices, encoder.rois, np.ones(encoder.n_vertices, bool), sphere)
    return encoder, places[encoder.vertices.rows], turn


def test_a_planted_order_is_beyond_turned_maps(demo):
    chances = of_seeds([demo[0]])
    assert chances["scale"] < 0.02 and chances["first"] < 0.02 and set(chances) >= {"diversity", "last ventral"}
    turn, rng = demo[2], np.random.default_rng(0)
    level = np.full(len(turn.use), 0.5)
    for name, value in turn.levels.items():
        level[turn.rois[name]] = value
    assert turn.rising(level + rng.normal(0, 0.1, len(level))) < 0.02
    assert turn.rising(-level) > 0.9


def test_smooth_noise_is_in_no_order(demo):
    """Labels dealt at random would pass 13 to 23 % of such maps (benchmarks/nulls_checklist.py)."""
    encoder, places, turn = demo
    rng, passed = np.random.default_rng(0), 0
    sides = [encoder.hemi == side for side in (0, 1)]
    kernels = [np.exp(-np.square(np.arccos(np.clip(places[s] @ places[s].T, -1, 1))) / 0.32) for s in sides]
    for _ in range(60):
        values = np.zeros(encoder.n_vertices)
        for side, kernel in zip(sides, kernels, strict=True):
            values[side] = kernel @ rng.normal(size=len(kernel))
        passed += turn.rising(values) <= 0.05
    assert passed <= 6


def test_channels_are_symmetrical_beyond_smooth_noise(demo):
    """Areas' labels dealt at random forget that V1 to V3 are neighbours: 13 % of smooth unrelated halves passed."""
    encoder, places, turn = demo
    assert of_seeds([encoder])["symmetry"] < 0.02  # planted: the same channels in both hemispheres
    rng, passed = np.random.default_rng(0), 0
    sides = [encoder.hemi == side for side in (0, 1)]
    kernels = [np.exp(-np.square(np.arccos(np.clip(places[s] @ places[s].T, -1, 1))) / 0.08) for s in sides]
    for _ in range(40):
        weight = np.zeros((encoder.n_vertices, 8))
        for side, kernel in zip(sides, kernels, strict=True):
            weight[side] = kernel @ rng.normal(size=(len(kernel), 8))
        passed += turn.more_symmetrical(weight) <= 0.05
    assert passed <= 5
