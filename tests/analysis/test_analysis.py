"""Reading an encoder: scores, vertices above chance, a scored run, held-out pictures."""

import numpy as np
import pytest
from compared import hand_made
from sklearn.metrics import r2_score

import factortopy as ft
from factortopy import analysis
from factortopy.analysis.chance import above_chance, discovery_rates
from factortopy.analysis.gallery import TILE
from factortopy.analysis.scores import r2
from factortopy.encoder import Encoder
from factortopy.errors import InputError
from factortopy.storage.files import read_tensors, write_tensors
from factortopy.subjects.split import Split
from factortopy.subjects.subject import Subject


@pytest.fixture(scope="module")
def quick_fit(planted, planted_subject):
    """The planted problem after a few steps: predicts, if not as well as it could."""
    return ft.fit(planted_subject, planted.features, steps=25)


@pytest.fixture
def encoder(quick_fit, tmp_path):
    """A copy of it, which a test may score or spoil."""
    quick_fit.save(tmp_path / "run")
    return Encoder.load(tmp_path / "run")


def subject_like(planted_subject, planted, responses, **changes):
    s = planted_subject
    options = {"coords": planted.coords, "simulated": True, "rois": s.rois} | changes
    return Subject(responses, options.pop("images", None), s.hemi, s.vertex, **options)


# ---------------------------------------------------------------- brain score


def test_score_is_the_usual_r2():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((30, 7)).astype(np.float32)
    p = (0.6 * y + rng.standard_normal(y.shape)).astype(np.float32)
    np.testing.assert_allclose(r2(y, p), r2_score(y, p, multioutput="raw_values"), rtol=1e-4)
    y[:, 2] = 5
    found = r2(y, p)
    assert np.isnan(found[2]) and np.isfinite(np.delete(found, 2)).all()
    assert r2(y, y)[0] == 1 and r2(y, np.repeat(y.mean(0, keepdims=True), 30, 0))[0] == pytest.approx(0, abs=1e-5)


def test_score_is_taken_on_test_trials_alone(planted, planted_subject, quick_fit):
    score = ft.brain_score(quick_fit, planted_subject, planted.features)
    test = np.asarray(planted_subject.split.test)
    prediction = quick_fit.predict_features(planted.features)[test]
    expected = r2_score(planted.responses[test], prediction, multioutput="raw_values")
    np.testing.assert_allclose(score, expected, atol=1e-4)
    responses = planted.responses.copy()
    responses[np.asarray(planted_subject.split.train)] = 0  # what was trained on no longer matters
    other = subject_like(planted_subject, planted, responses, split=planted_subject.split)
    np.testing.assert_array_equal(ft.brain_score(quick_fit, other, planted.features), score)


def repeated(planted, planted_subject, noise=0.3):
    """Each picture shown twice, in another order than the features have; every tenth picture is for testing."""
    rng = np.random.default_rng(3)
    image = rng.permutation(np.repeat(np.arange(len(planted.responses)), 2))
    responses = planted.responses[image] + noise * rng.standard_normal((len(image), planted.responses.shape[1]))
    tests = np.flatnonzero(image % 10 == 0)
    split = Split(np.flatnonzero(image % 10 > 1), np.flatnonzero(image % 10 == 1), tests)
    return subject_like(planted_subject, planted, responses.astype(np.float32), image_index=image, split=split), image


def test_repeated_trials_are_each_compared_with_their_picture(planted, planted_subject, quick_fit):
    subject, image = repeated(planted, planted_subject)
    measured, prediction = analysis.held_out(quick_fit, subject, planted.features)
    test = np.asarray(subject.split.test)
    assert len(test) == 80
    np.testing.assert_array_equal(measured, subject.responses[test])
    np.testing.assert_allclose(prediction, quick_fit.predict_features(planted.features)[image[test]], atol=1e-5)
    assert np.nanmean(ft.brain_score(quick_fit, subject, planted.features)) > 0.05
    assert analysis.predicted(quick_fit, subject, planted.features).mean() > 0.5


# ---------------------------------------------------------------- above chance


def noise(seed, trials=50, vertices=300):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((trials, vertices)), rng.standard_normal((trials, vertices))


def test_pure_noise_is_not_painted():
    shares = np.array([above_chance(*noise(seed), permutations=300).mean() for seed in range(20)])
    assert shares.mean() <= 0.05
    assert (shares > 0).mean() <= 0.2  # any at all: 5 % of the times in the long run


def test_chance_is_exact_for_a_single_vertex():
    """A single vertex needs no correction: where there is nothing, a share q of them passes."""
    y, p = noise(1, trials=40, vertices=400)
    passed = [above_chance(y[:, [v]], p[:, [v]], q=0.2, permutations=100, seed=v)[0] for v in range(400)]
    assert 0.13 < np.mean(passed) < 0.27


def test_a_few_strong_vertices_are_found_among_many_weak_ones():
    y, p = noise(2, trials=100, vertices=2000)
    p[:, 7:1000:300] = y[:, 7:1000:300] + np.random.default_rng(5).standard_normal((100, 4))
    found = above_chance(y, p)
    assert found[7:1000:300].all() and found.sum() <= 6
    p[:, 7:1000:300] *= -1  # predicted the wrong way round is not predicted
    assert not above_chance(y, p)[7:1000:300].any()


@pytest.mark.parametrize("n", [1, 2, 500])
def test_discovery_rates_are_those_of_scipy(n):
    from scipy.stats import false_discovery_control

    chance = np.round(np.random.default_rng(n).random(n) ** 3, 2)  # ties, and the largest rates above 1
    np.testing.assert_array_equal(discovery_rates(chance), false_discovery_control(chance))


def test_false_discoveries_stay_below_q():
    wrong = found = 0
    for seed in range(5):
        y, p = noise(seed, trials=80, vertices=500)
        p[:, :150] += 0.6 * y[:, :150]
        painted = above_chance(y, p, q=0.05, permutations=500)
        assert painted[:150].mean() > 0.8
        wrong, found = wrong + painted[150:].sum(), found + painted.sum()
    assert wrong / found <= 0.05


def test_repeats_of_a_picture_are_not_taken_for_independent():
    """Three trials of one picture answer alike. Exchanged one by one they would make noise look predicted."""
    painted, naive = 0, 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = np.repeat(np.arange(60), 3)
        signal, guess = rng.standard_normal((2, 60, 500))
        order = rng.permutation(len(image))
        y = (0.9 * signal[image] + 0.4 * rng.standard_normal((180, 500)))[order]
        painted += above_chance(y, guess[image][order], image=image[order]).sum()
        naive += above_chance(y, guess[image][order]).sum()
    assert painted <= 3 < naive


def test_constant_missing_and_too_few():
    y, p = noise(3)
    p[:] = y + 0.1 * p
    y[:, 0], p[:, 1], y[3, 2], p[4, 3] = 7.0, -1.0, np.nan, np.nan
    painted = above_chance(y, p)
    assert not painted[:4].any() and painted[4:].all()
    assert not above_chance(y[:4], p[:4]).any()  # four trials tell nothing
    assert not above_chance(np.zeros((50, 3)), p[:, :3]).any()


def test_large_offsets_and_scales_do_not_matter():
    y, p = noise(4, vertices=60)
    p[:, :30] += y[:, :30]
    expected = above_chance(y, p)
    np.testing.assert_array_equal(above_chance(1000 + 30 * y, p / 100 - 5), expected)


def test_permutations_are_seeded():
    y, p = noise(6, vertices=200)
    p += 0.25 * y
    np.testing.assert_array_equal(above_chance(y, p, permutations=200), above_chance(y, p, permutations=200))


# ---------------------------------------------------------------- a scored run


def test_scoring_a_run(planted, planted_subject, encoder, tmp_path):
    responses = planted.responses.copy()
    responses[:, 3] = 1.0  # never answers
    subject = subject_like(planted_subject, planted, responses, noise_ceiling=np.full(len(planted.hemi), 0.6))
    scores = analysis.score_run(encoder, subject, planted.features)
    np.testing.assert_array_equal(scores["score"], ft.brain_score(encoder, subject, planted.features))
    np.testing.assert_array_equal(
        scores["predicted"].astype(bool), analysis.predicted(encoder, subject, planted.features)
    )
    assert np.isnan(scores["score"][3]) and not scores["predicted"][3] and scores["clusters"][3] == -1
    np.testing.assert_array_equal(scores["clusters"] >= 0, scores["predicted"].astype(bool))
    rows = {row["roi"]: row for row in analysis.by_roi(encoder)}
    assert list(rows) == ["first half", "all"]
    assert rows["all"]["vertices"] == 600 and rows["first half"]["vertices"] == 300
    half = encoder.rois["first half"]
    half = half & (np.arange(600) != 3)  # the constant vertex is not in the means
    assert rows["first half"]["score"] == pytest.approx(scores["score"][half].mean(), rel=1e-5)
    assert rows["first half"]["share"] == pytest.approx(scores["predicted"][half].mean(), rel=1e-5)
    assert rows["all"]["ceiling"] == pytest.approx(0.6)
    assert 1 <= rows["all"]["layer"] <= 5 and 0 <= rows["all"]["scale"] <= 1
    encoder.save(tmp_path / "scored")
    again = Encoder.load(tmp_path / "scored")
    np.testing.assert_array_equal(again.scores["clusters"], scores["clusters"])


def test_a_run_that_predicts_nothing_still_has_a_table(planted, planted_subject, encoder):
    order = np.random.default_rng(0).permutation(len(planted.responses))
    subject = subject_like(planted_subject, planted, planted.responses[order])
    scores = analysis.score_run(encoder, subject, planted.features)
    assert scores["predicted"].mean() < 0.01 and (scores["clusters"] == -1).mean() > 0.98
    assert {row["roi"] for row in analysis.by_roi(encoder)} == {"first half", "all"}


def test_a_table_needs_scores(encoder):
    encoder.scores = {}
    with pytest.raises(InputError, match="score"):
        analysis.by_roi(encoder)


def test_an_empty_roi_and_a_missing_ceiling_have_no_figure():
    encoder = hand_made(layer=np.eye(3)[[0, 1, 2, 2]])
    encoder.rois = {"V1": np.array([True, True, False, False]), "none": np.zeros(4, bool)}
    encoder.scores = {"score": np.array([0.1, 0.3, np.nan, 0.5]), "predicted": np.array([1, 0, 0, 1])}
    rows = {row["roi"]: row for row in analysis.by_roi(encoder)}
    assert rows["V1"] == pytest.approx(
        {"roi": "V1", "vertices": 2, "score": 0.2, "ceiling": np.nan, "share": 0.5, "layer": 1.5, "confidence": 1.0,
         "scale": 0.25, "pearson": np.nan, "normalised": np.nan, "pearson_normalised": np.nan, "algonauts_2023": np.nan}, nan_ok=True,
    )  # fmt: skip
    assert np.isnan(rows["none"]["score"]) and rows["none"]["vertices"] == 0
    assert rows["all"]["score"] == pytest.approx(0.3) and rows["all"]["layer"] == pytest.approx(2.0)


# ---------------------------------------------------------------- gallery


def coloured(n):
    """(n, 16, 16, 3) uint8, each picture of a colour of its own."""
    rng = np.random.default_rng(0)
    return np.broadcast_to(rng.integers(0, 256, (n, 1, 1, 3), dtype=np.uint8), (n, 16, 16, 3)).copy()


@pytest.mark.parametrize("tested", [3, 13, 40, 200])
def test_the_gallery_goes_to_disk_and_back(planted, planted_subject, quick_fit, tmp_path, tested):
    images = coloured(len(planted.responses))
    rows = np.random.default_rng(1).permutation(len(images))
    split = Split(np.sort(rows[tested + 2 :]), rows[tested : tested + 2], np.sort(rows[:tested]))
    subject = subject_like(planted_subject, planted, planted.responses, images=images, split=split)
    analysis.make_gallery(quick_fit, subject, planted.features, tmp_path)
    gallery = analysis.read_gallery(tmp_path)
    shown = gallery.image
    assert len(shown) == min(tested, 120) and set(shown) <= set(split.test.tolist())
    assert gallery.pictures.shape == (len(shown), TILE, TILE, 3) and gallery.pictures.dtype == np.uint8
    off = np.abs(gallery.pictures[:, 8:-8, 8:-8].astype(int) - images[shown][:, :1, :1])
    assert off.max(axis=(1, 2, 3)).max() < 20  # the right picture in the right place (JPEG)
    np.testing.assert_allclose(gallery.measured, planted.responses[shown], rtol=1e-2, atol=1e-3)
    prediction = quick_fit.predict_features(planted.features[shown])
    np.testing.assert_allclose(gallery.predicted, prediction, rtol=1e-2, atol=1e-3)
    top = gallery.top(5, k=3)
    assert list(top) == list(np.argsort(-gallery.predicted[:, 5].astype(float), kind="stable")[:3])


def test_repeats_are_averaged_in_the_gallery(planted, planted_subject, quick_fit, tmp_path):
    subject, image = repeated(planted, planted_subject)
    pictures = coloured(len(planted.responses))
    subject = subject_like(
        planted_subject, planted, subject.responses, images=pictures, image_index=image, split=subject.split
    )
    analysis.make_gallery(quick_fit, subject, planted.features, tmp_path)
    gallery = analysis.read_gallery(tmp_path)
    assert list(gallery.image) == list(range(0, 400, 10))
    expected = np.stack([subject.responses[image == i].mean(0) for i in gallery.image])
    np.testing.assert_allclose(gallery.measured, expected, rtol=1e-2, atol=2e-3)


def test_no_pictures_no_gallery(planted, planted_subject, quick_fit, tmp_path):
    analysis.make_gallery(quick_fit, planted_subject, planted.features, tmp_path)
    assert analysis.read_gallery(tmp_path) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["no sheet", "other sheet", "torn sheet", "torn numbers", "too few", "other numbers"])
def test_a_damaged_gallery_is_named(planted, planted_subject, quick_fit, tmp_path, harm):
    subject = subject_like(planted_subject, planted, planted.responses, images=coloured(400))
    analysis.make_gallery(quick_fit, subject, planted.features, tmp_path)
    sheet, numbers = tmp_path / "gallery.jpg", tmp_path / "gallery.safetensors"
    if harm == "no sheet":
        sheet.unlink()
    elif harm == "other sheet":
        from PIL import Image

        Image.new("RGB", (1500, 900)).save(sheet)
    elif harm == "torn sheet":
        sheet.write_bytes(sheet.read_bytes()[:2000])
    elif harm == "torn numbers":
        numbers.write_bytes(numbers.read_bytes()[:2000])
    else:
        made = read_tensors(numbers)
        made = {"measured": made["measured"][:3]} if harm == "other numbers" else made | {"image": np.arange(300)}
        write_tensors(numbers, made)
    with pytest.raises(InputError, match="gallery") as caught:
        analysis.read_gallery(tmp_path)
    assert "\n" not in str(caught.value)
