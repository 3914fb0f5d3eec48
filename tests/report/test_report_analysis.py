"""What the report adds to the analyses: planted differences come back with their known numbers."""

import numpy as np
import pytest
from compared import L, N, made
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy import analysis
from factortopy.analysis import averaging, curves, scores, single_layer
from factortopy.errors import InputError


def with_layers(index, score=0.3, **more):
    """An encoder whose vertices have all their weight on the layers ``index`` (N,)."""
    return made(np.full(N, score), layer=np.eye(L, dtype=np.float32)[np.broadcast_to(index, N)], **more)


# ---------------------------------------------------------------- scores


def test_pearson_is_numpys_and_says_what_is_not_known():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((50, 4))
    p = 3 * y + rng.standard_normal((50, 4)) - 7
    y[:, 3] = 2.0
    r = scores.pearson(y, p)
    np.testing.assert_allclose(r[:3], [np.corrcoef(y[:, k], p[:, k])[0, 1] for k in range(3)], rtol=1e-5)
    assert np.isnan(r[3])


def test_normalised_score_is_the_share_of_the_ceiling():
    found = scores.normalised(np.array([0.3, 0.3, 0.3, -0.1]), np.array([0.6, 0.05, np.nan, 0.5]))
    np.testing.assert_allclose(found, [0.5, np.nan, np.nan, -0.2])
    assert np.isnan(scores.normalised(np.zeros(3), None)).all()


def test_the_challenge_metric_is_the_published_one_and_ours_has_another_name():
    r = np.array([0.6, -0.5, 0.9, np.nan, 0.3, 0.3, 0.2, -0.3], np.float32)
    ceiling = np.array([0.72, 0.5, 0.5, 0.4, np.nan, 0.0, 0.16, 0.0])
    # 0.36 / 0.72; below 0; 0.81 / 0.5 cut; a prediction that never changes; unknown; a ceiling of 0: 1e-14; 0.04 / 0.16; 0 / 1e-14
    np.testing.assert_allclose(scores.algonauts_2023(r, ceiling), [0.5, 0, 1, 0, np.nan, 1, 0.25, 0], atol=1e-6)
    ours = [0.5, 0, 1.62, np.nan, np.nan, np.nan, 0.25, np.nan]
    np.testing.assert_allclose(scores.pearson_normalised(r, ceiling), ours, atol=1e-6)
    for metric in (scores.algonauts_2023, scores.pearson_normalised):
        assert np.isnan(metric(r, None)).all() and len(metric(None, ceiling)) == 0
        assert np.isnan(metric(np.full(2, np.nan), np.ones(2))).all()  # scored before r was kept
    encoder = made(np.full(N, 0.25))
    encoder.scores["pearson"] = np.where(np.arange(N) < N // 4, 0.5, 0.1).astype(np.float32)
    encoder.noise_ceiling = np.where(np.arange(N) < 3 * N // 4, 0.5, 0)
    row = analysis.by_roi(encoder)[-1]
    published = np.where(np.arange(N) < N // 4, 0.5, np.where(np.arange(N) < 3 * N // 4, 0.02, 1))
    assert row["algonauts_2023"] == pytest.approx(np.median(published))
    assert row["pearson_normalised"] == pytest.approx((0.5 * (N // 4) + 0.02 * (N // 2)) / (N // 4 + N // 2))
    assert not {"challenge", "challenge_median"} & set(row)  # whose meaning was another


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([0.0, 1e-14, 0.05, 0.4, 1.0])), min_size=1, max_size=30))
def test_the_challenge_metric_of_any_vertices(pairs):
    """As the challenge's own code has it, a line at a time."""
    r, ceiling = map(np.array, zip(*pairs, strict=True))
    expected, floor = r.copy(), ceiling.copy()
    expected[expected < 0] = 0
    expected = expected**2
    floor[floor == 0] = 1e-14
    expected = np.divide(expected, floor)
    expected[expected > 1] = 1
    np.testing.assert_allclose(scores.algonauts_2023(r, ceiling), expected)


def test_table_has_new_columns_and_old_runs_leave_them_empty():
    encoder = made(np.full(N, 0.25))
    rows = {row["roi"]: row for row in analysis.by_roi(encoder)}
    assert rows["V1"]["normalised"] == pytest.approx(0.5) and np.isnan(rows["V1"]["pearson"])
    encoder.scores["pearson"] = np.full(N, 0.7, np.float32)
    assert analysis.by_roi(encoder)[-1]["pearson"] == pytest.approx(0.7)


# ---------------------------------------------------------------- averages over subjects


def test_average_of_two_subjects():
    a, b = with_layers(0, 0.2), with_layers(L - 1, 0.6)
    b.rois = {"V1": np.zeros(N, bool), "EBA": a.rois["EBA"]}
    b.scores["score"][3] = np.nan
    b.scores["predicted"][:] = 0
    mean = averaging.average([a, b])
    assert mean.scores["score"][0] == pytest.approx(0.4) and mean.scores["score"][3] == pytest.approx(0.2)
    np.testing.assert_allclose(mean.selectors().layer_mean, 0.5)
    assert mean.scores["predicted"].all() and mean.rois["EBA"].any()
    assert mean.rois["V1"].sum() == a.rois["V1"].sum()  # half of two subjects is enough
    assert averaging.average([a]) is a
    np.testing.assert_allclose(a.scores["score"], 0.2)  # the subjects' own stay as they are


def test_average_needs_the_same_vertices_and_layers():
    with pytest.raises(InputError, match="subject 2"):
        averaging.average([made(np.zeros(N)), made(np.zeros(40), n=40)])
    other = made(np.zeros(N), layer=np.eye(3, dtype=np.float32)[np.zeros(N, int)])
    with pytest.raises(InputError, match="4, 3 layers"):
        averaging.average([made(np.zeros(N)), other])


# ---------------------------------------------------------------- numbers along a setting


def test_collapse_and_layers_used():
    one, spread = curves.in_numbers(with_layers(2)), curves.in_numbers(with_layers(np.arange(N) % L))
    assert one["one_layer"] == 1 and one["layers_used"] == pytest.approx(1) and curves.collapsed(one)
    assert spread["one_layer"] == 0.25 and spread["layers_used"] == pytest.approx(4) and not curves.collapsed(spread)
    assert one["slope"] == pytest.approx(0, abs=1e-6) and one["confidence"] == pytest.approx(1)


def test_numbers_without_areas_or_predicted_vertices():
    bare = with_layers(0, predicted=False)
    bare.rois = {}
    row = curves.in_numbers(bare)
    assert np.isnan(row["slope"]) and np.isnan(row["one_layer"]) and not curves.collapsed(row)
    assert row["score"] == pytest.approx(0.3)


def test_smoothness_counts_neighbours():
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    encoder = with_layers(np.where(np.arange(N) < 3, 0, 1))
    assert curves.smoothness(encoder, edges) == pytest.approx(3 / 4)
    encoder.scores["predicted"][2] = 0
    assert curves.smoothness(encoder, edges) == pytest.approx(1)
    assert np.isnan(curves.smoothness(encoder, edges[1:2]))


def test_neighbours_are_edges_of_the_mesh():
    from factortopy.surfaces.meshes import load_mesh

    encoder = made(np.zeros(N))
    pairs = curves.neighbours(encoder)
    assert (encoder.hemi[pairs[:, 0]] == encoder.hemi[pairs[:, 1]]).all() and (pairs[:, 0] < pairs[:, 1]).all()
    mesh = load_mesh(encoder.density)
    vertex = encoder.vertex[pairs] + mesh.n * encoder.hemi[pairs].astype(int)
    faces = {frozenset(face) for face in mesh.faces.tolist()}
    assert all(any(set(pair) <= face for face in faces) for pair in vertex[:20].tolist())


def test_ablation_is_measured_against_the_full_model():
    better = np.full(N, 0.2)
    better[:6] = 0.5
    rows = curves.ablation({"full": made(np.full(N, 0.3)), "less": made(better)}, "full")
    assert rows[0]["difference"] == 0 and rows[1]["difference"] == pytest.approx(better.mean() - 0.3)
    assert rows[1]["better"] == pytest.approx(0.1) and rows[1]["EBA"] == pytest.approx(0.2)


# ---------------------------------------------------------------- single layers


def test_grid_search_finds_planted_layers():
    truth = np.arange(N) * L // N
    full = with_layers(truth)
    singles = {k: made(np.where(truth == k, 0.5, 0.1)) for k in range(L)}
    assert (single_layer.best_single_layer(singles) == truth).all()
    rows, told = single_layer.against_learnt(full, singles)
    assert told["equal"] == 1 and told["near"] == 1 and told["r"] == pytest.approx(1)
    assert told["chance"] == pytest.approx(0.25)
    by_roi = {row["roi"]: row for row in rows}
    assert by_roi["all"]["best_single"] == pytest.approx(0.2) and by_roi["all"]["full"] == pytest.approx(0.3)
    assert by_roi["V1"]["searched"] == pytest.approx(truth[full.rois["V1"]].mean() / (L - 1))
    _, wrong = single_layer.against_learnt(with_layers(truth[::-1]), singles)
    assert wrong["equal"] == 0 and wrong["r"] == pytest.approx(-1)


def test_grid_search_of_some_layers():
    truth = np.arange(N) * L // N
    singles = {k: made(np.where(truth == k, 0.5, 0.1)) for k in (0, 3)}
    rows, told = single_layer.against_learnt(with_layers(truth), singles)
    assert {"R² 1", "R² 4", "weight 1", "weight 4"} <= set(rows[0]) and "R² 2" not in rows[0]
    with pytest.raises(InputError, match="two or more of the 4"):
        single_layer.against_learnt(with_layers(truth), {0: singles[0]})
    with pytest.raises(InputError, match="found"):
        single_layer.against_learnt(with_layers(truth), {0: singles[0], 9: singles[3]})
