"""Networks side by side: planted differences come back; what cannot be compared is said."""

import numpy as np
import pytest
from compared import D, L, N, made

from factortopy import analysis
from factortopy.analysis.resampled import behind_the_best
from factortopy.errors import InputError


def test_scores_and_distance_to_best():
    a, b = np.full(N, 0.4), np.full(N, 0.1)
    b[:5] = 0.7  # of V1's 20 vertices
    both = {"a": made(a), "b": made(b)}
    by_roi = {row["roi"]: row for row in analysis.scores_by_roi(both)}
    assert by_roi["V1"]["b"] == pytest.approx(0.1 + 0.6 * 5 / 20) and by_roi["all"]["ceiling"] == 0.5
    far = {row["roi"]: row for row in analysis.distance_to_best(both)}
    assert far["V1"]["best"] == pytest.approx(0.4 + 0.3 * 5 / 20)
    assert far["V1"]["a"] == pytest.approx(np.sqrt(0.3**2 * 5 / 20)) and far["EBA"]["a"] == 0
    assert far["EBA"]["b"] == pytest.approx(0.3)
    best = analysis.best_network(both)
    assert (best[:5] == 1).all() and (best[5:] == 0).all()
    np.testing.assert_allclose(analysis.lead(both), 0.3, atol=1e-6)


def responses(rng, gain, n=60, vertices=40):
    """Measured and predicted responses of networks whose R² is ``gain`` in truth, each with its own errors."""
    signal, noise = rng.normal(size=(2, n, vertices))
    measured = np.sqrt(0.7) * signal + np.sqrt(0.3) * noise
    return measured, {
        name: np.sqrt(0.7) * signal + np.sqrt(0.7 - own) * rng.normal(size=signal.shape) for name, own in gain.items()
    }


def test_of_equal_networks_none_is_behind_the_best():
    """Where the pictures that measure also choose, all are behind and the lucky one the least; chosen on others, none is on average."""
    rng, areas, crossed, naive = np.random.default_rng(0), {"all": np.ones(40, bool)}, [], []
    for _ in range(60):
        measured, predicted = responses(rng, dict.fromkeys("abcd", 0.3))
        crossed.append(list(behind_the_best(measured, predicted, areas)["all"].values()))
        total = np.square(measured - measured.mean(0)).sum(0)
        score = np.stack([1 - np.square(measured - p).sum(0) / total for p in predicted.values()])
        naive.append((score.max(0) - score).mean(1))
    error = np.std(crossed, axis=0, ddof=1) / 60**0.5
    assert (np.abs(np.mean(crossed, 0)) < 3.5 * error).all() and np.mean(naive, 0).min() > 0.08


def test_what_a_network_is_behind_comes_back():
    measured, predicted = responses(np.random.default_rng(1), {"a": 0.5, "b": 0.3}, 400, 200)
    early = np.arange(200) < 100
    found = behind_the_best(measured, predicted, {"early": early, "all": early | True, "none": early & False})
    assert found["all"]["a"] == pytest.approx(0, abs=0.01) and found["all"]["b"] == pytest.approx(0.2, abs=0.03)
    assert found["early"]["b"] == pytest.approx(0.2, abs=0.03) and np.isnan(found["none"]["a"])


def test_unpredicted_vertices_and_missing_scores():
    score = np.full(N, 0.3)
    score[3] = np.nan
    dark = {"a": made(score, predicted=False), "b": made(score, predicted=False)}
    assert (analysis.best_network(dark) == -1).all()
    assert {row["roi"]: row for row in analysis.distance_to_best(dark)}["all"]["vertices"] == N - 1
    bare = made(score)
    bare.scores = {}
    with pytest.raises(InputError, match="score it first"):
        analysis.scores_by_roi({"a": made(score), "b": bare})


def test_other_vertices_are_named():
    with pytest.raises(InputError, match="expected b"):
        analysis.scores_by_roi({"a": made(np.zeros(N)), "b": made(np.zeros(40), n=40)})
    with pytest.raises(InputError, match="train one"):
        analysis.scores_by_roi({})


def test_layer_shares_and_shift():
    one, two = made(np.zeros(N)), made(np.zeros(N), layer=np.eye(L, dtype=np.float32)[np.full(N, L - 1)])
    np.testing.assert_allclose(analysis.layer_shares(one), 0.25)
    np.testing.assert_allclose(analysis.layer_shares(two), [0, 0, 0, 1])
    shift = analysis.layer_shift(one, two)
    assert shift[0] == pytest.approx(1) and shift[-1] == pytest.approx(0)


def test_agreement_of_equal_and_of_other_encoders():
    a = made(np.linspace(0, 1, N))
    same = analysis.agreement(a, a)
    assert same.layer_equal == 1 and same.layer_r == pytest.approx(1) and same.space == 0
    other = analysis.agreement(a, made(np.linspace(1, 0, N), seed=1, layer=a.selectors().layer[::-1].copy()))
    assert other.layer_equal == 0 and other.layer_r == pytest.approx(-1) and other.score_r == pytest.approx(-1)
    assert other.space > 0.1


# ---------------------------------------------------------------- channels


def test_hemispheres_and_diversity():
    rng = np.random.default_rng(0)
    v1, eba = rng.standard_normal((2, D))
    channel = np.where((np.arange(N) % (N // 2) < 10)[:, None], v1, eba) + 0.05 * rng.standard_normal((N, D))
    encoder = made(np.zeros(N), channel=channel.astype(np.float32))
    for row in analysis.hemispheres_alike(encoder):
        assert row["same"] > 0.99 > abs(row["other"])
    assert all(row["diversity"] < 0.02 for row in analysis.channel_diversity(encoder))
    wild = made(np.zeros(N), channel=rng.standard_normal((N, D)).astype(np.float32))
    assert all(row["diversity"] > 0.9 for row in analysis.channel_diversity(wild))


def test_diversity_is_the_mean_over_pairs():
    encoder = made(np.zeros(N), seed=3)
    unit = encoder.selectors().channel[encoder.rois["V1"]]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    found = {row["roi"]: row["diversity"] for row in analysis.channel_diversity(encoder)}
    assert found["V1"] == pytest.approx(1 - pairs.mean(), abs=1e-6)


def test_clusters_by_area():
    labels = np.where(np.arange(N) % (N // 2) < 10, 0, -1)
    labels[np.arange(N) % (N // 2) >= 25] = 1
    rows = analysis.cluster_areas(labels, made(np.zeros(N)).rois)
    assert [row["vertices"] for row in rows] == [20, 10]
    assert rows[0]["V1"] == 1 and rows[0]["EBA"] == 0 and rows[1]["EBA"] == 1


def test_channel_image_shows_what_the_channels_weigh():
    """A bright square on grey: an area that reads contrast sees the square, and the sign says where it is more."""
    import factortopy as ft
    from factortopy.storage.home import assets_dir

    encoder = ft.Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    rng = np.random.default_rng(0)
    image = np.full((112, 112, 3), 128, np.uint8)
    image[64:96, 64:96] = rng.integers(0, 256, (32, 32, 3))
    seen = analysis.channel_image(encoder, image, encoder.rois["V1"])
    assert seen.shape == (14, 14, 3) and seen.min() >= 0 and seen.max() <= 1
    inside = np.zeros((14, 14), bool)
    inside[8:12, 8:12] = True
    assert seen[inside, 0].mean() > seen[~inside, 0].mean() + 0.3
    one = analysis.channel_image(encoder, image, int(np.flatnonzero(encoder.rois["V1"])[0]))
    assert one.shape == (14, 14)
    two = analysis.channel_image(encoder, image, np.flatnonzero(encoder.rois["V1"])[:2])
    assert two.shape == (14, 14, 3) and np.ptp(two[..., 2]) == 0  # two vertices span two directions


@pytest.mark.parametrize("vertices", [-1, 10**6, [], np.zeros(2154, bool), 0.5])
def test_channel_image_of_no_vertices_is_said(vertices):
    import factortopy as ft
    from factortopy.storage.home import assets_dir

    encoder = ft.Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    with pytest.raises(InputError, match="vertices"):
        analysis.channel_image(encoder, np.zeros((112, 112, 3), np.uint8), vertices)
