"""What the Compare page tells: scores to choose from, seeds, subjects on one surface, what runs are called."""

from dataclasses import replace

import numpy as np
import pytest
from compared import L, N, made

from factortopy import analysis
from factortopy.analysis.averaging import average, on_shared_vertices, without_channels
from factortopy.analysis.measures import MEASURES, R2, available
from factortopy.analysis.seeds import by_area, seed_agreement
from factortopy.errors import InputError
from factortopy.runs.names import families, full_name, network_of, short_names

ONE_HOT = np.eye(L, dtype=np.float32)


# ---------------------------------------------------------------- scores to choose from


def scored(r=0.6, ceiling=0.5):
    encoder = made(np.full(N, 0.3))
    encoder.scores["pearson"] = np.full(N, r, np.float32)
    encoder.noise_ceiling = np.full(N, ceiling)
    return encoder


def test_each_measure_is_what_it_says():
    encoder = scored()
    values = {name: float(measure.of(encoder)[0]) for name, measure in MEASURES.items()}
    assert values[R2] == pytest.approx(0.3) and values["Pearson r"] == pytest.approx(0.6)
    assert values["R² / noise ceiling"] == pytest.approx(0.3 / 0.5)
    assert values["Algonauts 2023"] == pytest.approx(0.36 / 0.5)
    assert available(encoder) == list(MEASURES)


def test_tables_follow_the_measure_and_its_own_ceiling():
    a, b = scored(0.6), scored(0.4)
    rows = analysis.scores_by_roi({"a": a, "b": b}, measure="Pearson r")
    assert rows[-1]["a"] == pytest.approx(0.6) and rows[-1]["ceiling"] == pytest.approx(np.sqrt(0.5))
    assert np.isnan(analysis.scores_by_roi({"a": a}, measure="Algonauts 2023")[-1]["ceiling"])
    assert analysis.distance_to_best({"a": a, "b": b}, measure="Pearson r")[-1]["b"] == pytest.approx(0.2)
    assert (analysis.best_network({"b": b, "a": a}, "Pearson r") == 1).all()
    assert analysis.scores_by_roi({"a": a})[-1] == analysis.scores_by_roi({"a": a}, measure=R2)[-1]


def test_a_run_that_was_scored_before_r_was_kept_knows_no_r():
    encoder = made(np.full(N, 0.3))
    assert available(encoder) == [R2, "R² / noise ceiling"]
    encoder.noise_ceiling = None
    assert available(encoder) == [R2]
    encoder.scores = {}
    assert available(encoder) == []


# ---------------------------------------------------------------- seeds


def test_seeds_that_agree_here_and_not_there():
    same = ONE_HOT[np.arange(N) % L]
    other = same.copy()
    other[: N // 2] = ONE_HOT[(np.arange(N // 2) + 1) % L]  # one layer on, in the first half
    fits = {seed: made(np.full(N, 0.3), layer=layer) for seed, layer in enumerate((same, same, other))}
    found = seed_agreement(fits)
    np.testing.assert_allclose(found.equal, np.where(np.arange(N) < N // 2, 1 / 3, 1))
    assert found.layer_equal == pytest.approx(2 / 3) and found.vertices == N
    assert found.by_chance == pytest.approx(1 / L, abs=0.01)
    assert (found.spread[: N // 2] > 0).all() and (found.spread[N // 2 :] == 0).all()
    rows = {row["roi"]: row for row in by_area(found, fits[0].rois)}
    assert rows["all"]["same layer"] == pytest.approx(2 / 3) and rows["V1"]["vertices"] == fits[0].rois["V1"].sum()


def test_seeds_leave_out_what_one_of_them_does_not_predict():
    a, b = made(np.zeros(N)), made(np.zeros(N))
    b.scores["predicted"][:10] = 0
    found = seed_agreement({0: a, 1: b})
    assert np.isnan(found.equal[:10]).all() and found.vertices == N - 10 and found.layer_equal == 1


def test_what_are_no_seeds_is_said():
    with pytest.raises(InputError, match="two fits or more, found 1"):
        seed_agreement({0: made(np.zeros(N))})
    with pytest.raises(InputError, match="layers"):
        seed_agreement({0: made(np.zeros(N)), 1: made(np.zeros(N), layer=np.ones((N, 2), np.float32) / 2)})


# ---------------------------------------------------------------- subjects


def test_subjects_with_other_vertices_meet_on_those_that_they_share():
    a, b = made(np.linspace(0, 1, N)), made(np.linspace(1, 0, N))
    rows = np.concatenate([np.arange(10, N // 2)[::-1], np.arange(N // 2, N)[::-1]])
    b = without_channels(b, rows)  # fewer, in another order within each hemisphere
    both = on_shared_vertices({"a": a, "b": b})
    assert [e.n_vertices for e in both.values()] == [N - 10] * 2
    np.testing.assert_array_equal(both["a"].vertex, both["b"].vertex)
    np.testing.assert_allclose(both["a"].scores["score"] + both["b"].scores["score"], 1, atol=1e-6)
    np.testing.assert_array_equal(both["a"].rois["V1"], both["b"].rois["V1"])
    mean = average(list(both.values()))
    np.testing.assert_allclose(mean.scores["score"], 0.5, atol=1e-6)
    assert mean.selectors().layer.shape == (N - 10, L)


def test_subjects_that_share_nothing_are_said():
    a, b = made(np.zeros(N)), made(np.zeros(N))
    left, right = without_channels(a, np.arange(30)), without_channels(b, np.arange(30, N))
    with pytest.raises(InputError, match="share vertices"):
        on_shared_vertices({"a": left, "b": right})
    b.vertices = replace(b.vertices, density="41k")
    with pytest.raises(InputError, match="10k \\(a\\), 41k \\(b\\)"):
        on_shared_vertices({"a": a, "b": b})
    with pytest.raises(InputError, match="train one"):
        on_shared_vertices({})


def test_what_is_kept_without_channels():
    a = made(np.linspace(0, 1, N))
    kept = without_channels(a)
    assert kept.selectors().channel.shape == (N, 0) and kept.has_selectors and kept.simulated == a.simulated
    np.testing.assert_array_equal(kept.selectors().layer, a.selectors().layer)
    a.has_selectors = False
    assert not without_channels(a).has_selectors


# ---------------------------------------------------------------- what moved, in words


def test_the_sentence_names_areas_and_directions():
    early, late = ONE_HOT[np.zeros(N, int)], ONE_HOT[np.zeros(N, int)]
    one = made(np.zeros(N), layer=early)
    late[one.rois["EBA"]] = ONE_HOT[L - 1]
    two = made(np.zeros(N), layer=late)
    said = analysis.moved_in_words(one, two, names=("before", "after"))
    assert said.startswith(
        "Compared with before, the mean layer of after, weighted by use, is later in EBA (+100%); about the same in V1."
    )
    back = analysis.moved_in_words(two, one, names=("after", "before"))
    assert "is earlier in EBA (−100%)" in back and "later" not in back
    assert "is about the same in every area" in analysis.moved_in_words(one, one)
    # The mean rises, though the largest weight moves to an earlier layer.
    split, low = np.float32([[0.45, 0.55, 0, 0]] * N), np.float32([[0.55, 0, 0, 0.45]] * N)
    said = analysis.moved_in_words(made(np.zeros(N), layer=split), made(np.zeros(N), layer=low))
    assert (
        "is later in V1 (+27%) and EBA (+27%). The best layer goes the other way in V1 (−33%) and EBA (−33%)." in said
    )
    dark = made(np.zeros(N), predicted=False)
    assert analysis.moved_in_words(one, dark, names=("a", "b")) == "No place is predicted by both a and b."


# ---------------------------------------------------------------- names


def info(backbone="demo-vit", subject="demo-1", seed=0, **settings):
    return {"backbone": backbone, "subject": subject, "seed": seed, "settings": settings}


def test_names_say_what_differs_and_no_more():
    runs = {
        "a": info(),
        "b": info("demo-mae"),
        "c": info(topology=False),
        "d": info(pictures=300, seed=1),
        "e": info(seed=1),
    }
    assert short_names(runs) == {
        "a": "demo-vit · seed 0", "b": "demo-mae", "c": "demo-vit · no topology", "d": "demo-vit · 300 pictures · seed 1",
        "e": "demo-vit · seed 1",
    }  # fmt: skip
    assert short_names({"a": info(), "c": info(topology=False)}) == {
        "a": "demo-vit", "c": "demo-vit · no topology",
    }  # fmt: skip
    assert short_names({"a": info(), "b": info(subject="demo-2")}) == {
        "a": "demo-vit · demo-1", "b": "demo-vit · demo-2",
    }  # fmt: skip
    assert short_names({"only": info()}) == {"only": "demo-vit"}


def test_names_of_equal_runs_are_told_apart_by_what_the_user_called_them():
    long = "x" * 90
    said = short_names({"first try": info(), long: info()})
    assert said["first try"] == "demo-vit · first try" and len(set(said.values())) == 2
    assert len(said[long]) < 60 and "…" in said[long]


def test_the_full_name_says_everything():
    said = full_name("mine", info("timm/vit", "subj01", 3, recipe="paper", topology=False, pictures=300))
    assert said == "mine: timm/vit, subject subj01, paper recipe, seed 3, 300 pictures, no topology"


def test_families_differ_in_one_thing():
    runs = {
        "a": info(), "b": info(seed=1), "c": info(seed=1, subject="demo-2"), "d": info(seed=2, topology=False), "again": info(),
    }  # fmt: skip
    assert families(runs, "seed") == [["a", "b"]]
    assert families(runs, "subject") == [["b", "c"]]
    assert network_of(runs["a"]) == network_of(runs["c"]) != network_of(runs["d"])
