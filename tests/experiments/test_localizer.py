"""The category localizer: formulas, planted category patches, folders of a user's own, errors."""

import json

import numpy as np
import pytest
from colour_encoder import colour_encoder, over
from PIL import Image
from scipy import stats

import factortopy as ft
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError
from factortopy.experiments import contrast, localizer
from factortopy.experiments.responses import Stopped
from factortopy.experiments.result import Result, plain
from factortopy.stimuli.localizer import localizer as rendered
from factortopy.subjects.algonauts.rois import NAMES

RED, GREEN, BLUE = np.eye(3)


def tinted(colour, n=12, seed=0):
    """(n, 32, 32, 3) noise with more of one colour."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 120, (n, 32, 32, 3)) + 60 * np.asarray(colour) * rng.random((n, 1, 1, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def sets():
    return {"red": tinted(RED, seed=1), "green": tinted(GREEN, seed=2), "blue": tinted(BLUE, 9, seed=3)}


@pytest.fixture(scope="module")
def planted_patches():
    """Patches of demo-vit's last layer that name a category, learnt on other pictures, among vertices that do not."""
    network, rng = ft.load_backbone("demo-vit"), np.random.default_rng(0)
    train = rendered(12, 112, seed=5)
    tokens = np.concatenate([network.tokens(x)[1][-1].numpy() for x in train.values()])
    label = np.repeat(np.arange(5), 12)
    tokens = (tokens - tokens.mean(0)).astype(np.float64)
    gram = tokens.T @ tokens
    ridge = np.linalg.inv(gram + 0.03 * np.trace(gram) / 128 * np.eye(128)) @ tokens.T
    kinds = dict(zip(train, [ridge @ ((label == k) - 0.2) for k in range(5)], strict=True))
    areas = {"FFA": "faces", "EBA": "bodies", "PPA": "scenes", "VWFA": "words"}
    # The others: random directions that carry no category, at the same scale.
    plane = np.linalg.qr(np.stack(list(kinds.values()), 1))[0]
    means = np.stack([tokens[label == k].mean(0) for k in range(5)], 1)
    plane = np.linalg.qr(np.concatenate([plane, means], 1))[0]
    channel, rois = [], {}
    for roi, kind in areas.items():
        rois[roi] = np.arange(200) // 20 == len(rois)
        channel += [kinds[kind] / np.linalg.norm(kinds[kind])] * 20
    noise = rng.standard_normal((120, 128))
    noise -= noise @ plane @ plane.T
    channel = np.concatenate([np.stack(channel), noise / np.linalg.norm(noise, axis=1)[:, None]])
    channel[:80] += 0.2 * rng.standard_normal((80, 128)) / 128**0.5
    n, layers = len(channel), len(network.layer_names)
    last = np.tile(np.eye(layers, dtype=np.float32)[-1], (n, 1))
    selectors = Selectors(
        np.zeros((n, 2), np.float32), last, np.ones(n, np.float32), (128 * channel).astype(np.float32)
    )
    maps = [np.eye(128, dtype=np.float32)] * layers
    encoder = over(network, selectors, maps, [np.zeros(128, np.float32)] * layers, rois)
    encoder.maps = {"floc-faces": rois["FFA"] + 0.3 * rng.standard_normal(n), "prf_size": rng.random(n)}
    return encoder


def test_formulas_are_welchs_t_d_prime_and_bh(sets):
    encoder = colour_encoder()
    found = contrast(encoder, sets, "red")
    a, b = encoder.predict(sets["red"]), encoder.predict(np.concatenate([sets["green"], sets["blue"]]))
    welch = stats.ttest_ind(a.astype(float), b.astype(float), equal_var=False)
    np.testing.assert_allclose(found.t, welch.statistic, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.q, stats.false_discovery_control(welch.pvalue), rtol=1e-3)
    spread = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / 2)
    np.testing.assert_allclose(found.dprime, (a.mean(0) - b.mean(0)) / spread, rtol=1e-4, atol=1e-5)
    assert found.n == (12, 21) and found.against == ("green", "blue")
    red = encoder.rois["red left"]
    assert (found.dprime[red] > 0.8).all() and (found.dprime[~red] < 0.5).all()


def test_against_one_or_several(sets):
    encoder = colour_encoder()
    one = contrast(encoder, sets, "red", against="blue")
    reverse = contrast(encoder, sets, "blue", against=["red"])
    np.testing.assert_allclose(one.dprime, -reverse.dprime, rtol=1e-5)
    every = contrast(encoder, sets, "red", against=["green", "blue"])
    np.testing.assert_array_equal(every.t, contrast(encoder, sets, "red").t)
    assert not np.allclose(one.t, every.t)


def test_more_pictures_raise_t_and_leave_d_prime():
    encoder = colour_encoder()
    few, many = (contrast(encoder, {"red": tinted(RED, n, 1), "blue": tinted(BLUE, n, 2)}, "red") for n in (10, 160))
    red = encoder.rois["red left"]
    assert many.t[red].mean() > 3 * few.t[red].mean()
    assert abs(many.dprime[red].mean() / few.dprime[red].mean() - 1) < 0.4


def test_a_vertex_without_variance_gets_finite_numbers():
    found = localizer.compare({"a": np.ones((3, 2)) * [1, 0], "b": np.zeros((4, 2))}, "a", ("b",))
    assert np.isfinite(found.t).all() and np.isfinite(found.dprime).all() and np.isfinite(found.q).all()
    assert found.dprime[0] > 1e3 and found.dprime[1] == 0 and found.q[1] == 1


@pytest.mark.parametrize("area", [name for kind, names in NAMES.items() if kind.startswith("floc-") for name in names])
def test_every_area_of_the_published_floc_files_is_known_by_its_contrast(area):
    """OWFA among them; the areas of one category compete, and one that prefers it is found."""
    file = next(kind for kind, names in NAMES.items() if area in names)
    category = {"floc-places": "scenes"}.get(file, file.removeprefix("floc-"))
    mask = np.arange(60) < 6
    rng = np.random.default_rng(len(area))
    dprime = {name: rng.normal(size=60) + 9 * mask * (name == category) for name in localizer.ALIKE}
    row = localizer.agreement(dprime, {area: mask})[area]
    assert row["category"] == category and row["auc"] == row["dice"] == row["found"] == 1


def test_planted_patches_are_found(planted_patches):
    settings = localizer.DEFAULTS | {"n": 10}
    seen = []
    result = localizer.run(planted_patches, settings, lambda done, total: seen.append((done, total)))
    assert set(result.numbers["agreement"]) == {"FFA", "EBA", "PPA", "VWFA"}
    for roi, row in result.numbers["agreement"].items():
        assert row["auc"] > 0.95, (roi, row)
        assert row["dice"] > 0.7 and row["found"] == row["dice"], (roi, row)
        rows = result.numbers["profile"][roi]
        assert max(rows, key=lambda name: rows[name]["mean"]) == row["category"]
    assert list(result.numbers["measured"]) == ["faces"]
    assert result.numbers["measured"]["faces"]["r"] > 0.5
    assert seen[-1][0] == seen[-1][1] and all(0 <= done <= total for done, total in seen)
    np.testing.assert_array_equal(result.maps["dprime"], result.maps["dprime faces"])
    again = localizer.run(planted_patches, settings)
    for name, values in result.maps.items():
        np.testing.assert_array_equal(values, again.maps[name])


def test_result_is_kept_and_read(planted_patches, tmp_path):
    result = localizer.run(planted_patches, localizer.DEFAULTS | {"n": 2, "category": "scenes", "against": "objects"})
    json.dumps(plain(result.numbers), allow_nan=False)
    result.save(tmp_path / "kept")
    loaded = Result.load(tmp_path / "kept")
    np.testing.assert_array_equal(loaded.maps["dprime"], result.maps["dprime"])
    assert set(loaded.pictures) == {"faces", "bodies", "scenes", "objects", "words"}
    assert any("between pictures" in note for note in loaded.notes)


def test_measured_maps_are_known_by_many_names():
    dprime = {"faces": np.arange(6.0), "places": np.arange(6.0)[::-1], "words": np.ones(6)}
    for label in ("faces", "face", "faces_t", "floc-faces", "floc_facestval", "Faces dprime", "faces-t"):
        assert localizer.measured(dprime, {label: np.arange(6.0)})["faces"]["r"] == pytest.approx(1)
    assert localizer.measured(dprime, {"scenes_t": np.arange(6.0)})["places"]["r"] == pytest.approx(-1)
    assert localizer.measured(dprime, {"word": np.arange(6.0) * np.nan, "prf_size": np.ones(6)}) == {}


def write(folder, name, n, seed=0, size=32):
    (folder / name).mkdir(parents=True)
    for i, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / name / f"{name}-{i}.png")


def test_own_folder(tmp_path):
    folder = tmp_path / "mine"
    for k, name in enumerate(("faces", "my things")):
        write(folder, name, 5, k, size=20 + k)
    (folder / "faces" / "broken.png").write_bytes(b"not a picture")
    found = localizer.read_categories(folder)
    assert {name: len(x) for name, x in found.items()} == {"faces": 5, "my things": 5}
    assert [label for label, _ in found.bad] == ["faces/broken.png"]
    result = localizer.run(colour_encoder(), localizer.DEFAULTS | {"pictures": str(folder)})
    assert len(result.numbers["unread"]) == 1 and any("1 files were not used" in note for note in result.notes)
    few = localizer.read_categories(folder, n=3, seed=1)
    assert len(few["my things"]) == 3


def test_floc_names_are_joined(tmp_path):
    for k, name in enumerate(localizer.FLOC):
        write(tmp_path, name, 2, k)
    found = localizer.read_categories(tmp_path)
    assert {name: len(x) for name, x in found.items()} == {
        "faces": 4, "bodies": 4, "places": 4, "characters": 4, "objects": 4, "scrambled": 2,
    }  # fmt: skip
    assert localizer.named(found, "scenes") == "places" and localizer.named(found, "words") == "characters"


def test_names_stay_where_some_are_the_users_own(tmp_path):
    for k, name in enumerate(("house", "kitten")):
        write(tmp_path, name, 2, k)
    assert list(localizer.read_categories(tmp_path)) == ["house", "kitten"]


def test_folders_that_are_wrong(tmp_path):
    with pytest.raises(InputError, match="found nothing there"):
        localizer.read_categories(tmp_path / "none")
    write(tmp_path, "faces", 3)
    with pytest.raises(InputError, match=r"found 1 \(faces\) and 0 loose files"):
        localizer.read_categories(tmp_path)
    (tmp_path / "scenes").mkdir()
    with pytest.raises(InputError, match="category 'scenes': expected at least 2 readable pictures, found 0 among 0"):
        localizer.read_categories(tmp_path)
    with pytest.raises(InputError, match="found a file"):
        localizer.read_categories(tmp_path / "faces" / "faces-0.png")


@pytest.mark.parametrize(
    "category, against, words",
    [
        ("yellow", None, "category 'yellow': expected one of those with pictures (red, green, blue)"),
        ("red", "yellow", "category 'yellow'"),
        ("red", ["red", "blue"], "found itself among them"),
        ("red", [], "found no other"),
    ],
)
def test_contrasts_that_are_wrong(sets, category, against, words):
    with pytest.raises(InputError) as told:
        contrast(colour_encoder(), sets, category, against)
    assert words in str(told.value)


def test_too_few_pictures(sets):
    with pytest.raises(InputError, match="category 'blue': expected at least 2 pictures, found 1"):
        contrast(colour_encoder(), sets | {"blue": sets["blue"][:1]}, "red")
    with pytest.raises(InputError, match="no other"):
        contrast(colour_encoder(), {"red": sets["red"]}, "red")


@pytest.mark.parametrize("wrong", [{"n": 1}, {"n": "many"}, {"q": 2}, {"seed": -1}, {"category": "pies"}])
def test_settings_that_are_wrong(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        localizer.run(colour_encoder(), localizer.DEFAULTS | {"n": 2} | wrong)


def test_stop(sets):
    with pytest.raises(Stopped):
        contrast(colour_encoder(), sets, "red", on_progress=lambda done, total: False)
