"""Principal components kept in place of channels: planted low rank, projection of new pictures, cache, encoders, training."""

import numpy as np
import pytest
import torch
from small_network import pictures

import factortopy as ft
from factortopy.backbones.base import Backbone
from factortopy.errors import InputError
from factortopy.features import extraction
from factortopy.features.components import Moments, Reduction, principal
from factortopy.features.estimate import plan
from factortopy.features.extraction import compute, extract
from factortopy.storage.home import cache_dir

RANK, WIDTH = 5, 40


class LowRank(Backbone):
    """Two layers of 40 channels that are mixtures of 5 numbers of the picture's colours; a little noise in the second.

    The mixtures, and a mean far from 0, are the planted truth.
    """

    layer_names, width, input_size = ("pure", "noisy"), WIDTH, 16
    name, fingerprint, noise = "low-rank", "low-rank", 0.05

    def __init__(self):
        rng = np.random.default_rng(3)
        self.mixtures = [torch.tensor(rng.standard_normal((RANK, WIDTH)), dtype=torch.float32) for _ in range(2)]
        self.mean = torch.linspace(-4, 4, WIDTH)
        self.seen = 0

    def tokens(self, images):
        self.seen += len(images)
        cells = torch.from_numpy(images).float().reshape(len(images), 8, 2, 8, 2, 3).mean((2, 4)) / 64
        hidden = torch.cat([cells, cells[..., :2] ** 2], -1)
        local = [hidden @ m + self.mean for m in self.mixtures]
        grain = torch.sin(1e3 * cells.sum(-1, keepdim=True) * torch.arange(1, WIDTH + 1))
        local[1] = local[1] + self.noise * grain
        return local, [t.mean((1, 2)) for t in local]


def restored(found):
    """Tokens of all channels of reduced features."""
    local, token = found.reduction.back(
        *([torch.from_numpy(np.array(t)) for t in k] for k in (found.local, found.global_))
    )
    return [t.numpy() for t in (*local, *token)]


def test_planted_rank_is_found_and_nothing_is_lost():
    network, images = LowRank(), pictures(200)
    full, found = extract(network, images), extract(network, images, reduce=16)
    assert [t.shape for t in found.local] == [(200, 8, 8, RANK), (200, 8, 8, 16)]  # of 16 asked for, 5 are there
    assert found.reduction.channels == [WIDTH, WIDTH]
    for back, tokens, most in zip(restored(found), (*full.local, *full.global_), (0.02, 0.2, 0.02, 0.2), strict=True):
        assert np.abs(back - np.asarray(tokens, np.float32)).max() < most  # half precision; the noise beyond 16
    few = extract(network, images, reduce=RANK)  # the noise goes, what was planted stays
    np.testing.assert_allclose(restored(few)[1], np.asarray(full.local[1], np.float32), atol=0.2)
    one = extract(network, images, reduce=1)
    kept = [np.var(restored(f)[0]) / np.asarray(full.local[0], np.float32).var() for f in (one, few)]
    assert kept[0] < 0.98 * kept[1] and abs(kept[1] - 1) < 0.01


def test_components_are_those_of_the_standardised_training_pictures():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.standard_normal((4000, 3)) @ np.diag([1, 100, 0.01]) + [5, 0, -1])
    x = torch.cat([x, x[:, :1] * 7 + 3, torch.full((4000, 1), 9.0, dtype=x.dtype)], 1).float()
    sums = Moments()
    for block in x.split(700):
        sums.add(block)
    mean, covariance = sums.result()
    torch.testing.assert_close(mean, x.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(covariance, torch.cov(x.T, correction=0), rtol=1e-3, atol=1e-3)
    basis = principal(mean, covariance)
    assert len(basis.variance) == 3  # one channel says what another says, one never varies
    torch.testing.assert_close(basis.variance, torch.tensor([2.0, 1, 1]), rtol=0.06, atol=0.06)
    torch.testing.assert_close(basis.scores(x).var(0, correction=0), basis.variance, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(basis.back(basis.scores(x)), x, rtol=1e-3, atol=2e-3)
    network, images = LowRank(), pictures(60)
    bright = np.concatenate([images, np.full((20, 16, 16, 3), 255, np.uint8)])
    alone, among = extract(network, images, reduce=3), extract(network, bright, reduce=3, train=np.arange(60))
    np.testing.assert_array_equal(alone.local[0], among.local[0][:60])  # test pictures have no say
    other = extract(network, bright, reduce=3)
    assert not np.allclose(np.abs(other.local[0][:60]), np.abs(alone.local[0]), atol=0.05)


def test_a_layer_of_which_most_channels_never_vary():
    """As the class token of a network with random weights; single precision alone gives up on some of these."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = np.full((64, 384), 0.02, np.float32)
        x[:, rng.permutation(384)[: 30 + 5 * seed]] += rng.integers(0, 2, (64, 30 + 5 * seed)) * 2.0**-21
        sums = Moments()
        sums.add(torch.from_numpy(x))
        basis = principal(*sums.result())
        assert torch.isfinite(basis.matrix).all() and 20 < len(basis.variance) <= 63
        back = basis.back(basis.scores(torch.from_numpy(x))).numpy()
        assert np.abs(back - x).max() < 2.0**-21


def test_new_pictures_are_projected_alike():
    network, images = LowRank(), pictures(80)
    found, new = extract(network, images[:60], reduce=4), images[60:]
    later = compute(network, new, reduction=found.reduction)
    assert later.reduction is found.reduction
    whole = extract(network, images, reduce=4, train=np.arange(60))
    np.testing.assert_array_equal(later.local[0], whole.local[0][60:])
    in_memory = extract(network, images[:60], reduce=4, cache=False)
    for a, b in zip((*in_memory.local, *in_memory.global_), (*found.local, *found.global_), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_and_layers_keep_their_components():
    found = extract(LowRank(), pictures(40), reduce=3)
    part = found[5:9].only([1])
    assert part.reduction.channels == [WIDTH] and len(part) == 4
    np.testing.assert_array_equal(restored(part)[0], restored(found)[1][5:9])


def test_the_cache_tells_components_apart_and_gives_them_back():
    network, images = LowRank(), pictures(50)
    first = extract(network, images, reduce=3)
    seen = network.seen
    again = extract(network, [np.array(i) for i in images], reduce=3)
    assert network.seen == seen and isinstance(again.local[0], np.memmap)
    np.testing.assert_array_equal(restored(again)[0], restored(first)[0])
    for options in ({"reduce": 4}, {"reduce": 3, "train": np.arange(20)}, {}):
        before = network.seen
        extract(network, images, **options)
        assert network.seen > before, options
    folder = next(p.parent for p in cache_dir("features").glob("*/components.safetensors"))
    (folder / "components.safetensors").write_bytes(b"torn")
    for options in ({"reduce": 3}, {"reduce": 4}, {"reduce": 3, "train": np.arange(20)}):
        found = extract(network, images, **options)
        assert found.reduction is not None and np.isfinite(restored(found)[0]).all()


def test_a_stop_while_components_are_learnt_and_after(monkeypatch):
    monkeypatch.setattr(extraction, "SAMPLE", 64)
    network, images, told = LowRank(), pictures(200), []

    def stop_at(limit):
        def on_progress(done, total):
            told.append((done, total))
            return done < limit

        return on_progress

    assert extract(network, images, stop_at(30), reduce=3) is None and told[-1] == (32, 264)
    assert extract(network, images, stop_at(150), reduce=3) is None
    seen = network.seen
    found = extract(network, images, stop_at(10**9), reduce=3)
    assert network.seen - seen == 1 + 200 - 96  # components and 96 pictures were kept
    assert told[-1] == (264, 264)
    expected = extract(LowRank(), images, reduce=3, cache=False)
    np.testing.assert_allclose(found.local[1], expected.local[1], atol=0.02)


@pytest.mark.parametrize("reduce", [0, -3, 2.5, True, "many"])
def test_numbers_of_components_that_make_no_sense(reduce):
    with pytest.raises(InputError, match="reduce: expected a number of components") as caught:
        extract(LowRank(), pictures(9), reduce=reduce)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("train", [[], [3], [0, 99], [-1, 2]])
def test_training_rows_that_are_not_there(train):
    with pytest.raises(InputError, match="at least 2 rows of the 9 pictures"):
        extract(LowRank(), pictures(9), reduce=2, train=train)


def test_a_plan_counts_components():
    network, images = LowRank(), pictures(40)
    found = extract(network, images, reduce=4)
    told = plan(network, 40, seconds=0.05, reduce=4, images=images)
    assert told.bytes == sum(a.nbytes for a in (*found.local, *found.global_)) and told.first == 40
    assert plan(network, 73_000, seconds=0.05, reduce=4, images=images).first == 1024
    assert plan(network, 40, 8, 0.05, 400, images).bytes == plan(network, 40, 8, 0.05, None, images).bytes


# ---------------------------------------------------------------- encoders on components


@pytest.fixture
def subject():
    images, rng = pictures(120), np.random.default_rng(1)
    responses = compute(LowRank(), images).local[1].astype(np.float32).reshape(120, -1)[:, rng.integers(0, 2560, 24)]
    responses = responses / responses.std(0) + 0.3 * rng.standard_normal((120, 24))
    return ft.Subject(responses, images, np.repeat([0, 1], 12), [*range(12)] * 2, simulated=True)


@pytest.mark.parametrize(
    "model, recipe",
    [
        ("factorized", "fast"),
        ("factorized", "paper"),
        ("classtoken", "fast"),
        ("patchtoken", "fast"),
        ("gnetvit", "fast"),
    ],
)
def test_an_encoder_of_components_reads_pictures_and_features_alike(subject, tmp_path, monkeypatch, model, recipe):
    """Saved, loaded, from pictures, from components and from all channels: the same responses."""
    network, train = LowRank(), np.unique(subject.image_index[subject.split.train])
    found = extract(network, subject.images, reduce=4, train=train)
    encoder = ft.fit(subject, found, recipe=recipe, model=model, steps=3, seed=0)
    assert encoder.info["pca"] == 4 and encoder.channels == [WIDTH, WIDTH]
    expected = encoder.predict_features(found)
    encoder.save(tmp_path / "run")
    loaded = ft.Encoder.load(tmp_path / "run")
    loaded._backbone = network
    scale = expected.std()
    for other in (loaded.predict_features(found), loaded.predict(list(subject.images)),
                  loaded.predict_features(extract(network, subject.images))):  # fmt: skip
        np.testing.assert_allclose(other, expected, atol=0.03 * scale + 1e-6)
    with pytest.raises(InputError, match="features: expected layers of"):
        loaded.predict_features(found.only([0]))


def test_enough_components_cost_no_score(subject):
    network = LowRank()
    full, few = extract(network, subject.images), extract(network, subject.images, reduce=RANK)
    scores = [ft.brain_score(ft.fit(subject, f, steps=20, seed=0), subject, f).mean() for f in (full, few)]
    assert scores[0] > 0.2 and abs(scores[0] - scores[1]) < 0.05, scores


def test_ridge_says_that_it_reduces_itself(subject):
    with pytest.raises(InputError, match="without reduce"):
        ft.fit(subject, extract(LowRank(), subject.images, reduce=2), model="ridge", reduce="data")


def test_reduction_as_tensors():
    found = extract(LowRank(), pictures(30), reduce=2).reduction
    again = Reduction.of(found.tensors(), 2, 2)
    for a, b in zip(again.local + again.global_, found.local + found.global_, strict=True):
        assert torch.equal(a.matrix, b.matrix) and torch.equal(a.mean, b.mean)
