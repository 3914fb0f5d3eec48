"""The folder layout: recognised, read, checked; every sentence that it can cause."""

import json
import shutil

import numpy as np
import pytest
from plain_folder import N10, about, make_folder, table, write
from test_algonauts import problems, stops, warns

import factortopy as ft
from factortopy.errors import InputError
from factortopy.subjects.check import check
from factortopy.subjects.folder.write import write_folder
from factortopy.subjects.loading import load_subject
from factortopy.subjects.response_arrays import z_score
from factortopy.subjects.subject import Subject

# ---------------------------------------------------------------- a sound subject


def test_a_sound_subject(folder):
    subject = load_subject(folder)
    parts = [np.load(folder / f"responses/hemi-{h}.npy") for h in "LR"]
    assert np.array_equal(subject.responses, np.hstack(parts))
    assert np.array_equal(subject.vertex, np.concatenate([np.load(folder / f"vertices/hemi-{h}.npy") for h in "LR"]))
    assert np.array_equal(subject.hemi, np.repeat([0, 1], 40))
    assert (subject.name, subject.density, subject.simulated) == ("anna", "10k", True)
    assert subject.roi_names() == ["V1", "FFA", "V1v", "V1d"] and subject.rois["V1"].sum() == 40
    assert np.allclose(subject.noise_ceiling, 0.5)
    maps = [np.load(folder / f"maps/hemi-{h}_polar_angle.npy") for h in "LR"]
    assert np.array_equal(subject.maps["polar_angle"], np.concatenate(maps))
    assert np.array_equal(subject.session, np.arange(24) // 8)
    assert any("not again" in note for note in subject.notes)
    assert check(folder).lines()[-1] == "Can be trained on; 1 warning."  # 20 training pictures are few


@pytest.mark.parametrize("inside", ["responses", "images", "maps", "roi", "."])
def test_recognised_from_within_and_above(folder, inside):
    assert load_subject(folder / inside).name == "anna"
    assert load_subject(folder.parent).name == "anna"


def test_several_subjects_need_a_name(folder, tmp_path):
    make_folder(tmp_path, "bert", trials=12, vertices=3)
    with pytest.raises(InputError, match="anna, bert"):
        load_subject(tmp_path)
    assert load_subject(tmp_path, "bert").name == "bert"


def test_repeats_split_and_order_come_from_the_table(folder):
    names = [f"picture-{k:03d}.png" for k in (5, 5, 3, *range(6, 24), 0, 1, 2)]
    part = ["test", "test", "test", "val", "val", *["train"] * 19]
    table(folder, image=names, split=part)
    subject = load_subject(folder)
    assert subject.repeats() == {1: 22, 2: 1} and subject.image_index[:3].tolist() == [0, 0, 1]
    assert subject.images[0].name == "picture-005.png"
    assert subject.split.test.tolist() == [0, 1, 2] and subject.split.val.tolist() == [3, 4]


def test_without_a_table_sorted_names_are_the_rows(folder):
    (folder / "trials.tsv").unlink()
    subject = load_subject(folder)
    assert [path.name for path in subject.images] == [f"picture-{k:03d}.png" for k in range(24)]
    for k in range(24):
        (folder / f"images/picture-{k:03d}.png").rename(folder / f"images/picture-{k}.png")
    warns(folder, "picture-10.png", "picture-2.png", "pad the numbers")


def test_a_test_split_alone_leaves_the_rest_to_8_to_1(folder):
    names = [f"picture-{k:03d}.png" for k in range(24)]
    table(folder, image=names, split=["test"] * 4 + ["train"] * 20)
    split = load_subject(folder).split
    assert split.test.tolist() == [0, 1, 2, 3] and len(split.val) == 2 and len(split.train) == 18


def test_z_scored_by_session_where_it_says_none(folder):
    about(folder, normalised="none")
    raw = {h: np.load(folder / f"responses/hemi-{h}.npy") * 7 + 3 for h in "LR"}
    for h, array in raw.items():
        write(folder / f"responses/hemi-{h}.npy", array)
    subject = load_subject(folder)
    expected = z_score(np.hstack(list(raw.values())), np.arange(24) // 8)
    assert np.allclose(subject.responses, expected, atol=1e-4) and "z-scored by session" in subject.notes


def test_one_hemisphere_alone_stays_a_memory_map(folder):
    for part in ("responses", "vertices", "roi", "noise", "maps"):
        for file in (folder / part).glob("hemi-L*"):
            file.unlink()
    subject = load_subject(folder)
    assert isinstance(subject.responses, np.memmap) and subject.hemi.tolist() == [1] * 40
    assert any("right hemisphere alone" in note for note in subject.notes) and subject.rois["V1"].sum() == 20


def test_finer_data_are_drawn_at_10k(folder):
    about(folder, density="164k")
    vertices = np.load(folder / "vertices/hemi-L.npy").astype(np.int32)
    vertices[::2] += 100_000  # not sorted any more
    write(folder / "vertices/hemi-L.npy", vertices)
    subject = load_subject(folder, density="10k")
    assert subject.density == "10k" and (subject.hemi == 0).sum() == 20
    left = np.load(folder / "responses/hemi-L.npy")[:, 1::2]
    assert np.array_equal(subject.responses[:, :20], left)
    assert "drawn and trained at 10k: 60 of 80 vertices" in subject.notes
    about(folder, density="10k")
    write(folder / "vertices/hemi-L.npy", np.arange(40, dtype=np.int32))
    assert load_subject(folder, density="164k").density == "10k"


def test_whole_hemispheres_need_no_indices(tmp_path):
    folder = make_folder(tmp_path, trials=12, vertices=N10, extras=False)
    shutil.rmtree(folder / "vertices")
    subject = load_subject(folder)
    assert subject.n_vertices == 2 * N10 and np.array_equal(subject.vertex, np.tile(np.arange(N10), 2))


def test_whole_mesh_maps_are_cut_to_the_vertices(folder):
    whole = np.random.default_rng(0).normal(size=N10).astype(np.float32)
    write(folder / "maps/hemi-L_floc-faces.npy", whole)
    subject = load_subject(folder)
    values = subject.maps["floc-faces"]
    assert np.array_equal(values[:40], whole[subject.vertex[:40]]) and np.isnan(values[40:]).all()


def test_averaged_rows_need_their_repeats_for_a_ceiling(folder):
    about(folder, averaged=True)
    warns(folder, "repeats", "ncsnr")
    assert load_subject(folder).noise_ceiling is None
    table(folder, image=[f"picture-{k:03d}.png" for k in range(24)], repeats=[3] * 12 + [1] * 12)
    subject = load_subject(folder)
    scored = np.repeat([3, 1], 12)[subject.split.test]  # of the pictures that are scored, not of all
    assert np.allclose(subject.noise_ceiling, 1 / (1 + np.mean(1 / scored)))
    parts = ["train"] * 10 + ["val"] * 4 + ["test"] * 10
    table(folder, image=[f"picture-{k:03d}.png" for k in range(24)], repeats=[3] * 12 + [1] * 12, split=parts)
    assert np.allclose(load_subject(folder).noise_ceiling, 1 / (1 + 1))


def test_written_and_read_again(folder, tmp_path):
    subject = load_subject(folder)
    again = load_subject(write_folder(subject, tmp_path / "copy"))
    for name in ("responses", "hemi", "vertex", "image_index", "session", "noise_ceiling"):
        assert np.array_equal(getattr(again, name), getattr(subject, name)), name
    assert again.split == subject.split and again.simulated and again.roi_names() == subject.roi_names()
    assert all(np.array_equal(again.rois[name], subject.rois[name]) for name in subject.rois)
    assert np.array_equal(again.maps["polar_angle"], subject.maps["polar_angle"])
    assert np.array_equal(again.image(7), subject.image(7))
    with pytest.raises(InputError, match="something in it"):
        write_folder(subject, tmp_path / "copy")
    bare = Subject(subject.responses, None, subject.hemi, subject.vertex)
    with pytest.raises(InputError, match="responses alone"):
        write_folder(bare, tmp_path / "bare")


# ---------------------------------------------------------------- what it says


def test_1_no_data_set_here_and_volumes(tmp_path):
    (tmp_path / "things").mkdir()
    assert "dataset.json" in stops(tmp_path / "things", "data set", "found none")
    write(tmp_path / "things/sub-01/func/sub-01_task-things_bold.nii.gz", b"\x1f\x8b")
    stops(tmp_path / "things", "volumes (sub-01_task-things_bold.nii.gz)", "vol_to_surf", "fsaverage")


def test_volumes_as_responses(folder):
    (folder / "responses/hemi-L.npy").unlink()
    (folder / "responses/hemi-R.npy").unlink()
    write(folder / "responses/betas.nii.gz", b"\x1f\x8b")
    stops(folder, "betas.nii.gz", "a volume", "nilearn.surface.vol_to_surf")


def test_3_pictures_and_rows(folder):
    (folder / "trials.tsv").unlink()
    (folder / "images/picture-003.png").unlink()
    stops(folder, "23 pictures but 24 rows")
    table(folder, image=[f"picture-{k:03d}.png" for k in range(3)] + ["picture-004.png"] * 20)
    assert any("24 rows" in line and "found 23" in line for line in problems(folder, "stops"))


def test_4_columns_and_indices(folder):
    write(folder / "vertices/hemi-R.npy", np.arange(39, dtype=np.int32))
    stops(folder, "vertices/hemi-R.npy", "40 indices", "found 39", "another subject's?")


def test_5_transposed(folder):
    write(folder / "responses/hemi-R.npy", np.ascontiguousarray(np.load(folder / "responses/hemi-R.npy").T))
    lines = problems(folder, "stops")
    assert any("transposed" in line and "hemi-R.npy" in line for line in lines)
    assert any("same number of rows" in line for line in lines)  # all problems are said


def test_5_both_transposed(folder):
    for hemi in "LR":
        write(folder / f"responses/hemi-{hemi}.npy", np.ones((40, 24), np.float32))
    assert "found 24; the responses look transposed: save array.T" in problems(folder, "stops")[0]
    (folder / "trials.tsv").unlink()
    assert "40 rows of responses; the responses look transposed: save array.T" in problems(folder, "stops")[0]


def test_6_a_native_surface(folder):
    shutil.rmtree(folder / "vertices")
    lines = problems(folder, "stops")
    assert len(lines) == 2 and all("10,242 vertices (10k)" in line and "native surface" in line for line in lines)
    about(folder, density="10k")
    for h in "LR":
        write(folder / f"responses/hemi-{h}.npy", np.zeros((24, 40962), np.float32))
    assert all("40,962 (41k)" in line for line in problems(folder, "stops"))
    for h in "LR":
        write(folder / f"responses/hemi-{h}.npy", np.zeros((24, 32492), np.float32))
    assert all("fsLR" in line for line in problems(folder, "stops"))


def test_7_indices_outside_the_mesh(folder):
    write(folder / "vertices/hemi-L.npy", np.r_[np.arange(1, 40), N10].astype(np.int32))
    stops(folder, "indices from 0 to 10,241", "10242", "subtract 1")
    write(folder / "vertices/hemi-L.npy", np.r_[-1, np.arange(39)])
    stops(folder, "found -1")
    write(folder / "vertices/hemi-L.npy", np.arange(40) + 0.5)
    stops(folder, "whole mesh indices")


def test_8_doubles(folder):
    write(folder / "vertices/hemi-L.npy", np.r_[3, 3, np.arange(38) + 10])
    stops(folder, "every vertex once", "1 twice: 3")


def test_9_missing_values_are_dropped_and_counted(folder):
    for value in (np.nan, np.inf):
        array = np.load(folder / "responses/hemi-L.npy")
        array[5, :26] = value
        write(folder / "responses/hemi-L.npy", array)
        warns(folder, "26 of 80 vertices hold missing or infinite values")
        assert load_subject(folder).n_vertices == 54
        about(folder, normalised="none")
        warns(folder, "26 of 80 vertices")


def test_10_scaled_values(folder):
    array = np.load(folder / "responses/hemi-L.npy")
    write(folder / "responses/hemi-L.npy", (array * 300).astype(np.int16))
    warns(folder, "whole numbers (int16)", "scaled by 300")
    warns(folder, "z-scores", "×300")
    write(folder / "responses/hemi-L.npy", array * np.float32(1e20))
    stops(folder, "bytes swapped or damaged")


def test_11_a_session_column_is_needed(folder):
    about(folder, normalised="none")
    table(folder, image=[f"picture-{k:03d}.png" for k in range(24)])
    warns(folder, "a column 'session' to z-score by")


def test_12_names_that_do_not_exist(folder):
    table(folder, image=[f"other-{k}.png" for k in range(24)])
    stops(folder, "24 pictures that do not exist: other-0.png", "and 19 more")
    table(folder, image=["../../etc/passwd"] + [f"picture-{k:03d}.png" for k in range(23)])
    stops(folder, "names of files in images/", "passwd")
    table(folder, image=["/etc/passwd"] * 24)
    stops(folder, "names below images/")


def test_13_pictures_that_cannot_be_opened(folder):
    whole = (folder / "images/picture-004.png").read_bytes()
    write(folder / "images/picture-004.png", whole[: len(whole) // 2])
    stops(folder, "damaged or incomplete", "picture-004.png")
    write(folder / "images/picture-004.png", whole[:60] + bytes(20) + whole[80:])
    stops(folder, "picture-004.png")


def test_14_and_15_rois(folder):
    labels = np.full(40, 9, np.int16)
    write(folder / "roi/hemi-L_visual.npy", labels)
    write(folder / "roi/hemi-R_visual.npy", labels)
    warns(folder, "visual.tsv", "a name for every label", "9")
    warns(folder, "rois", "none in", "FFA")
    (folder / "roi/visual.tsv").unlink()
    warns(folder, "visual.tsv", "its ROIs are left out")
    write(folder / "roi/hemi-L_visual.npy", np.arange(40) % 2)
    write(folder / "roi/hemi-R_visual.npy", np.arange(40) % 2)
    assert load_subject(folder).rois["visual"].sum() == 40  # a mask needs no table


def test_16_a_picture_on_two_sides(folder):
    names = [f"picture-{k:03d}.png" for k in range(23)] + ["picture-000.png"]
    table(folder, image=names, split=["train"] * 18 + ["val", "val", "test", "test", "test", "test"])
    stops(folder, "1 in train and in test: picture-000.png")


def test_17_too_few_pictures(tmp_path):
    folder = make_folder(tmp_path, trials=9)
    stops(folder, "at least 10 different pictures", "found 9")


def test_18_memory(folder, monkeypatch):
    monkeypatch.setattr("factortopy.storage.machine.free_memory", lambda: 1000)
    stops(folder, "GB of memory", "0.0 GB free", "fewer sessions")


def test_19_truncated_and_pointers(folder):
    path = folder / "responses/hemi-L.npy"
    whole = path.read_bytes()
    write(path, whole[:-1])
    stops(folder, "truncated, or its header lies")
    write(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")
    stops(folder, "git lfs pull")
    path.unlink()
    path.symlink_to("/nowhere/.git/annex/objects/x")
    stops(folder, "annex")


def test_20_pickles_are_refused(folder):
    class Payload:
        def __reduce__(self):
            return (write, (folder / "ran", "x"))

    for name in ("responses/hemi-L", "vertices/hemi-L"):
        np.save(folder / f"{name}.npy", np.array([Payload()], dtype=object), allow_pickle=True)
        (folder / "ran").unlink(missing_ok=True)
    lines = problems(folder, "stops")
    assert any("refused for safety" in line for line in lines) and not (folder / "ran").exists()


def test_22_no_noise_ceiling(folder):
    shutil.rmtree(folder / "noise")
    warns(folder, "noise ceilings", "only raw R²")
    write(folder / "noise/hemi-L_noise_ceiling.npy", np.full(40, 50.0))
    warns(folder, "per cent? divided by 100")
    ceiling = load_subject(folder).noise_ceiling
    assert np.allclose(ceiling[:40], 0.5) and np.isnan(ceiling[40:]).all()
    write(folder / "noise/hemi-L_noise_ceiling.npy", np.r_[0.0, -1, np.nan, np.full(37, 0.4)])
    warns(folder, "43 of 80 vertices with none, zero or less")


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("space", "fsLR", "'fsaverage'"), ("density", "32k", "'10k', '41k' or '164k'"), ("density", ["10k"], "'10k'"),
        ("normalised", None, "found nothing"), ("averaged", "yes", "true or false"), ("tr", -1, "above 0"),
        ("image_degrees", float("nan"), "above 0"), ("normalized", "none", "slip of the pen"), ("delays", [3, 2], "rising"),
        ("subject", {"a": 1}, "a name"),
    ],
)  # fmt: skip
def test_dataset_json_is_checked(folder, key, value, words):
    about(folder, **{key: value})
    assert any(words in line and "dataset.json" in line for line in problems(folder, "stops"))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "[" * 100_000, '{"space": 1e999}', "<html>"])
def test_damaged_json(folder, text):
    write(folder / "dataset.json", text)
    assert problems(folder, "stops")


@pytest.mark.parametrize(
    "text, words",
    [
        ("image\n", "rows below"), ("a,b\n1,2\n", "columns among"), ("image\timage\nx\ty\n", "twice"),
        ("image\tsession\nx\n", "1 in line 2"), ("session\n" + "1\n" * 24, "a column 'image'"), ("\0", "binary"),
    ],
)  # fmt: skip
def test_damaged_tables(folder, text, words):
    write(folder / "trials.tsv", text)
    assert any(words in line for line in problems(folder, "stops"))


def test_all_problems_are_listed(folder):
    about(folder, space="MNI")
    write(folder / "vertices/hemi-L.npy", np.zeros(40, int))
    table(folder, image=["nowhere.png"] * 24)
    write(folder / "responses/hemi-R.npy", b"")
    assert len(problems(folder, "stops")) == 4


def test_trained_from_the_command_line(folder, tmp_path, monkeypatch):
    from factortopy.cli.main import main

    assert main(["check", str(folder)]) == 0
    out = tmp_path / "run"
    assert main(["train", "--subject", str(folder), "--backbone", "demo-vit", "--steps", "4", "--out", str(out)]) == 0
    encoder, subject = ft.Encoder.load(out), load_subject(folder)
    assert np.array_equal(encoder.maps["polar_angle"], subject.maps["polar_angle"])
    assert encoder.rois.keys() == subject.rois.keys() and encoder.simulated
    assert json.loads((out / "run.json").read_text())["subject"] == "anna"
    assert encoder.predict(subject.image(0)).shape == (1, 80)


def test_other_files_are_named(folder):
    write(folder / "maps/eccentricity.npy", np.zeros(40))
    warns(folder, "hemi-L_NAME.npy", "another name")
    write(folder / "responses/hemi-L.mgh", b"x")
    stops(folder, "one file of responses a hemisphere", "hemi-L.mgh")
