"""Subject and Split: every check that a constructor can make (faults, rows 55, 56, 58, 60)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factortopy.errors import InputError
from factortopy.subjects.split import MIN_IMAGES, Split, default_split
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import fewer_pictures, learnt_pictures

T, N = 20, 12


def arguments(**changes):
    """A small sound subject: 20 trials of 20 pictures, 6 vertices a side."""
    rng = np.random.default_rng(0)
    given = {
        "responses": rng.normal(size=(T, N)).astype(np.float32),
        "images": rng.integers(0, 256, (T, 16, 16, 3), dtype=np.uint8),
        "hemi": np.repeat([0, 1], N // 2),
        "vertex": np.tile(np.arange(N // 2) * 100, 2),
        "name": "test",
    }
    return given | changes


def refused(**changes):
    with pytest.raises(InputError) as error:
        Subject(**arguments(**changes))
    text = str(error.value)
    assert "\n" not in text and "expected" in text and "found" in text
    return text


def test_defaults():
    subject = Subject(**arguments())
    assert (subject.n_trials, subject.n_vertices, subject.n_images) == (T, N, T)
    assert np.array_equal(subject.image_index, np.arange(T)) and subject.density == "10k"
    assert subject.image_degrees == 8.4 and not subject.simulated and subject.roi_names() == []
    assert subject.kept.all() and not subject.constant.any() and subject.warnings == []
    assert subject.notes == ["no noise ceiling: only raw R² can be shown"]
    assert np.array_equal(subject.image(3), arguments()["images"][3])
    assert "20 trials of 20 pictures" in subject.describe() and "6 left and 6 right" in repr(subject)


def test_coordinates_come_from_the_mesh_and_tell_hemispheres_apart():
    coords = Subject(**arguments()).coords
    assert coords.shape == (N, 3) and coords.dtype == np.float32 and coords.min() >= 0 and coords.max() <= 100
    assert coords[: N // 2, 0].max() < coords[N // 2 :, 0].min()
    own = np.random.default_rng(1).random((N, 3))
    assert np.allclose(Subject(**arguments(coords=own)).coords, own)


def test_simulated_is_said():
    assert "(simulated)" in Subject(**arguments(simulated=True)).describe()


# ---------------------------------------------------------------- responses


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i2"])
def test_other_numbers_become_float32(dtype):
    responses = np.round(arguments()["responses"] * 4).astype(dtype)
    subject = Subject(**arguments(responses=responses))
    assert subject.responses.dtype == np.float32 and subject.responses.dtype.isnative
    assert np.array_equal(subject.responses, responses.astype(np.float32))


def test_memory_maps_stay_memory_maps(tmp_path):
    np.save(tmp_path / "r.npy", arguments()["responses"])
    mapped = np.load(tmp_path / "r.npy", mmap_mode="r")
    assert isinstance(Subject(**arguments(responses=mapped)).responses, np.memmap)


def test_missing_and_infinite_values_are_dropped_and_counted():  # row 55
    responses = arguments()["responses"].copy()
    responses[3, 2], responses[:, 7], responses[5, 8] = np.nan, np.inf, -np.inf
    keep = np.ones(N, bool)
    keep[[2, 7, 8]] = False
    given = arguments(
        responses=responses,
        coords=np.arange(3 * N).reshape(N, 3),
        rois={"V1": np.arange(N) < 4},
        noise_ceiling=np.linspace(0.1, 0.9, N),
        maps={"angle": np.arange(N)},
    )
    subject = Subject(**given)
    assert subject.n_vertices == N - 3 and np.array_equal(subject.kept, keep)
    assert np.array_equal(subject.responses, responses[:, keep]) and np.isfinite(subject.responses).all()
    assert np.array_equal(subject.vertex, given["vertex"][keep]) and np.array_equal(subject.hemi, given["hemi"][keep])
    assert subject.rois["V1"].sum() == 3 and np.array_equal(subject.maps["angle"], np.arange(N)[keep])
    assert np.array_equal(subject.coords, given["coords"][keep])
    assert np.allclose(subject.noise_ceiling, given["noise_ceiling"][keep])
    assert "found 3 of 12 vertices hold missing or infinite values; they are dropped" in subject.notes[0]


def test_values_beyond_float32_count_as_infinite():
    responses = arguments()["responses"].astype(np.float64)
    responses[0, 0] = 1e300
    assert Subject(**arguments(responses=responses)).n_vertices == N - 1


def test_nothing_left():
    responses = arguments()["responses"].copy()
    responses[4] = np.nan
    assert "1 trials without any value; remove those trials" in refused(responses=responses)


def test_constant_vertices_are_marked():  # row 56
    responses = arguments()["responses"].copy()
    responses[:, 5], responses[:, 6], responses[0, 4] = 0.0, 7.5, np.nan
    subject = Subject(**arguments(responses=responses))
    assert np.flatnonzero(subject.constant).tolist() == [4, 5] and subject.n_vertices == N - 1
    assert any("2 of 11 vertices that never change; they stay grey" in note for note in subject.notes)


@pytest.mark.parametrize(
    "responses, words",
    [
        (np.zeros(5), "shape (5,)"),
        (np.zeros((0, N)), "shape (0, 12)"),
        (np.zeros((T, N), complex), "complex128"),
        (np.full((T, N), "x"), "values of type"),
        ([[1, 2], [3]], "rows of different length"),
        (
            np.zeros((N, T + 1), np.float32),
            "21 columns of responses, 12 in hemi, 12 in vertex; responses look transposed",
        ),
        (np.zeros((T, N - 1), np.float32), "11 columns of responses"),
    ],
)
def test_shapes_of_responses(responses, words):
    assert words in refused(responses=responses)


# ---------------------------------------------------------------- vertices


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"hemi": np.repeat([1, 0], 6)}, "right before left"),
        ({"hemi": np.repeat([1, 2], 6)}, "0 for left and 1 for right, found 2"),
        ({"hemi": np.repeat([0.0, 0.5], 6)}, "whole numbers"),
        ({"vertex": np.full(N, np.nan)}, "fractions or missing"),
        ({"vertex": np.array(["a"] * N)}, "whole numbers"),
        ({"vertex": np.arange(N) - 1}, "found -1"),
        ({"vertex": np.arange(N) + 163830}, "check the density (10k)"),
        ({"vertex": np.append(np.arange(1, N), 10242)}, "found 10242; counted from 1? subtract 1"),
        ({"vertex": np.append(np.zeros(2), np.arange(N - 2))}, "found 1 twice: left 0"),
        ({"density": "20k"}, "'10k', '41k' or '164k'"),
        ({"coords": np.zeros((N, 2))}, "shape (12, 2)"),
        ({"coords": np.full((N, 3), np.nan)}, "finite"),
        ({"coords": [["x"] * 3] * N}, "coords"),
    ],
)
def test_vertices(changes, words):
    assert words in refused(**changes)


def test_denser_meshes_have_more_vertices():
    vertex = np.tile([0, 50000, 163841, 1, 2, 3], 2)
    assert Subject(**arguments(vertex=vertex, density="164k")).density == "164k"
    assert "found 50000, 163841" in refused(vertex=vertex, density="41k")


def test_one_hemisphere_alone():
    subject = Subject(**arguments(hemi=np.ones(N), vertex=np.arange(N)))
    assert "0 left and 12 right" in subject.describe()


# ---------------------------------------------------------------- pictures and trials


def test_pictures_may_be_paths(tmp_path):
    paths = []
    for k in range(T):
        paths.append(tmp_path / f"{k}.png")
        Image.new("RGB", (16, 16), (k, 0, 0)).save(paths[-1])
    subject = Subject(**arguments(images=[str(path) for path in paths]))
    assert subject.image(7)[0, 0].tolist() == [7, 0, 0]
    assert "from 0 to 19, found 20" in str(pytest.raises(InputError, subject.image, 20).value)
    paths[3].unlink()
    assert "1 that do not: 3.png" in refused(images=paths)


def test_subject_without_pictures():
    subject = Subject(**arguments(images=None))
    assert subject.images is None and len(subject.image_index) == T
    assert "images=None" in str(pytest.raises(InputError, subject.image, 0).value)


def test_a_sequence_that_reads_its_pictures_one_by_one():
    class Lazy:
        def __len__(self):
            return T

        def __getitem__(self, i):
            return np.full((16, 16, 3), i, np.uint8)

    assert Subject(**arguments(images=Lazy())).image(4)[0, 0, 0] == 4


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros((T, 16, 16, 3)), "float64"),
        (np.zeros((T, 16, 16), np.uint8), "shape (20, 16, 16)"),
        ("folder/of/pictures", "a str"),
        ([np.zeros((16, 16, 3))] * T, "images[0]"),
        ([None] * T, "NoneType"),
        (np.zeros((T - 1, 16, 16, 3), np.uint8), "19 pictures but 20 rows"),
    ],
)
def test_pictures(images, words):
    assert words in refused(images=images)


@pytest.mark.parametrize(
    "index, words",
    [
        (np.arange(T) + 1, "found 20; counted from 1? subtract 1"),
        (np.arange(T) - 1, "found -1"),
        (np.arange(T - 1), "19"),
        (np.arange(T) + 0.5, "fractions"),
    ],
)
def test_image_index(index, words):
    assert words in refused(image_index=index)


def test_repeats():
    subject = Subject(**arguments(image_index=np.append(np.arange(T - 5), np.arange(5))))
    assert subject.n_images == T - 5 and subject.repeats() == {1: 10, 2: 5}


@pytest.mark.parametrize(
    "changes",
    [
        {"session": np.zeros(T - 1)},
        {"onset": np.zeros((T, 2))},
        {"tr": 0},
        {"tr": "fast"},
        {"image_degrees": -1},
        {"image_degrees": np.nan},
        {"maps": {"angle": np.zeros(N - 1)}},
        {"maps": {"angle": ["x"] * N}},
        {"noise_ceiling": np.zeros(N + 1)},
        {"rois": {"V1": np.arange(N)}},
        {"rois": {"V1": np.zeros(N - 1, bool)}},
        {"rois": {"V1": np.zeros(N)}},
    ],
)
def test_what_belongs_to_trials_or_vertices(changes):
    refused(**changes)


# ---------------------------------------------------------------- noise ceiling, ROIs


def test_noise_ceilings_that_are_none_are_left_out_and_counted():  # row 60
    ceiling = np.linspace(0.1, 0.9, N)
    ceiling[:3] = 0, -0.2, np.nan
    subject = Subject(**arguments(noise_ceiling=ceiling))
    np.testing.assert_array_equal(
        subject.noise_ceiling[:3], [0, 0, np.nan]
    )  # 0: known that there is nothing to explain
    assert np.allclose(subject.noise_ceiling[3:], ceiling[3:])
    assert any("found 3 of 12 vertices with none, zero or less" in note for note in subject.notes)
    assert Subject(**arguments(noise_ceiling=np.zeros(N))).noise_ceiling is None
    assert "per cent" in refused(noise_ceiling=ceiling * 100)


def test_an_empty_roi_is_no_error():
    rois = {"V1": np.arange(N) < 3, "FFA": np.zeros(N, bool), "PPA": (np.arange(N) > 8).astype(int)}
    subject = Subject(**arguments(rois=rois))
    assert subject.roi_names() == ["V1", "PPA"] and subject.rois["PPA"].dtype == bool
    assert any("none in FFA" in note for note in subject.notes)


# ---------------------------------------------------------------- splits


@given(st.integers(MIN_IMAGES, 300), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_default_split_is_8_1_1_over_unique_pictures(n_images, repeats, seed):
    index = np.random.default_rng(seed).permutation(np.repeat(np.arange(n_images) * 3, repeats))
    split = default_split(index)
    parts = [set(index[rows]) for rows in (split.train, split.val, split.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert len(split.train) + len(split.val) + len(split.test) == len(index)
    assert len(parts[1]) == len(parts[2]) == max(2, round(n_images / 10))
    assert split == default_split(index.copy()) != default_split(index, seed=1)


def test_default_split_depends_on_the_pictures_alone():
    one, other = Subject(**arguments()), Subject(**arguments(responses=np.random.default_rng(9).normal(size=(T, N))))
    assert one.split == other.split and Split(**one.split.as_dict()) == one.split


def test_a_test_set_of_the_data_set_is_kept():
    index = np.arange(30)
    split = default_split(index, test=np.arange(25, 30))
    assert split.test.tolist() == list(range(25, 30)) and len(split.val) == 3 and len(split.train) == 22


@pytest.mark.parametrize("n", [1, 2, MIN_IMAGES - 1])
def test_too_few_pictures_name_the_minimum(n):  # row 58
    given = arguments()
    text = refused(responses=given["responses"][:n], images=given["images"][:n])
    assert f"at least {MIN_IMAGES} different pictures" in text and f"found {n};" in text
    index = np.arange(T) % n
    assert f"found {n};" in refused(image_index=index)


@pytest.mark.parametrize(
    "parts, words",
    [
        (((0, 1, 2), (3,), (4, 5, 2)), "2"),
        (((0, 1, 1), (3,), (4, 5)), "found some twice: 1"),
        (((0, 1, 2), (3,), (4, 25)), "row 25 in test"),
        (((0, 1, 2), (-1,), (4, 5)), "row -1"),
        (((0, 1, 2), (), (4, 5)), "at least one trial in val, found none"),
        (((0, 1, 2), (3,), (4,)), "2 to test, found 3 and 1"),
        (((0, 1.5), (3,), (4, 5)), "fractions"),
        (("abc", (3,), (4, 5)), "split train"),
    ],
)
def test_splits_that_do_not_fit(parts, words):
    with pytest.raises(InputError) as error:
        Subject(**arguments(split=Split(*parts)))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_same_picture_on_two_sides_is_refused():
    index = np.append(np.arange(T - 1), 0)  # the last trial shows the first picture again
    split = Split(np.arange(15), np.arange(15, 17), np.arange(17, 20))
    assert "1 pictures in both train and test (images 0)" in refused(image_index=index, split=split)
    assert "a tuple" in refused(split=([0], [1], [2]))


def test_fewer_pictures_keep_split_and_repeats():
    rng = np.random.default_rng(0)
    index = np.repeat(np.arange(40), 3)
    images = rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
    whole = Subject(
        rng.standard_normal((120, 6)).astype(np.float32), images, [0] * 3 + [1] * 3, [0, 1, 2] * 2, image_index=index
    )
    part = fewer_pictures(whole, 20)
    learnt = len(np.unique(part.image_index[np.concatenate([part.split.train, part.split.val])]))
    assert learnt == 20 and part.n_images == learnt + 4 and part.repeats() == {3: part.n_images}
    np.testing.assert_array_equal(part.responses[part.split.test], whole.responses[whole.split.test])
    again = fewer_pictures(whole, 20)
    np.testing.assert_array_equal(part.responses, again.responses)
    for trial in range(part.n_trials):  # every trial still has its own picture, in the same part of the split
        where = np.flatnonzero((whole.responses == part.responses[trial]).all(1))[0]
        np.testing.assert_array_equal(part.images[part.image_index[trial]], images[index[where]])
        for name in ("train", "val", "test"):
            assert (trial in getattr(part.split, name)) == (where in getattr(whole.split, name))
    assert fewer_pictures(whole, 36) is whole and fewer_pictures(whole, 35).n_images == 39
    with pytest.raises(InputError, match="at least 10"):
        fewer_pictures(whole, 3)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=12, max_size=60), st.integers(10, 60), st.integers(0, 9), st.booleans(),
)  # fmt: skip
def test_fewer_pictures_learn_from_exactly_as_many_as_were_asked_for(repeats, n, seed, in_order):
    """Pictures to train and to validate on together, for the last solve reads both; the test pictures are all there."""
    index = np.repeat(np.arange(len(repeats)), repeats)
    index = index if in_order else np.random.default_rng(seed).permutation(index)
    values = np.arange(2 * len(index), dtype=np.float32).reshape(-1, 2) ** 2
    whole = Subject(values, None, [0, 1], [0, 0], image_index=index)
    part = fewer_pictures(whole, n, seed)
    assert learnt_pictures(part) == min(n, learnt_pictures(whole))
    assert part.split.train.size and part.split.val.size
    np.testing.assert_array_equal(part.responses[part.split.test], whole.responses[whole.split.test])
    shown = {rows.tobytes() for rows in part.responses[np.r_[part.split.train, part.split.val]]}
    assert all(  # every repeat of a kept picture is kept
        np.all(kept) or not np.any(kept)
        for kept in (
            [whole.responses[t].tobytes() in shown for t in np.flatnonzero(index == i)] for i in np.unique(index)
        )
    )
