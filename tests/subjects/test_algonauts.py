"""Algonauts 2023 folders: recognised, read, checked; every sentence that they can cause."""

import os
from functools import partial

import numpy as np
import pytest
from algonauts_folder import CLASSES, COUNTS, clone, make_algonauts, replace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factortopy import subjects
from factortopy.errors import InputError
from factortopy.subjects import check as check_module
from factortopy.subjects.algonauts import layout as algonauts_layout

# Most of what is looked at here does not depend on the density; full resolution has tests of its own below.
load_subject = partial(subjects.load_subject, density="10k")
check = partial(check_module.check, density="10k")

PROPERTY = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FMRI = "training_split/training_fmri/lh_training_fmri.npy"
PICTURES = "training_split/training_images"
MASK = "roi_masks/lh.all-vertices_fsaverage_space.npy"


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """One sound subject; tests change clones of it."""
    return make_algonauts(tmp_path_factory.mktemp("algonauts"), test_fmri=True)


@pytest.fixture
def folder(original, tmp_path):
    """A sound subject without test responses, as during the challenge."""
    folder = clone(original, tmp_path)
    for hemi in ("lh", "rh"):
        (folder / f"test_split/test_fmri/{hemi}_test_fmri.npy").unlink()
    (folder / "test_split/test_fmri").rmdir()
    return folder


def problems(path, severity, **options):
    """Lines of one severity; loading agrees with them."""
    findings = check(path, **options)
    lines = [problem.line() for problem in findings.problems if problem.severity == severity]
    assert all("\n" not in line for line in lines)
    if findings.stops:
        with pytest.raises(InputError) as error:
            load_subject(path, **options)
        assert str(error.value) == next(p.line() for p in findings.problems if p.severity == "stops")
    else:
        load_subject(path, **options)
    return lines


def stops(path, *words, **options):
    """The only sentence that stops training; it holds all the words and names the path."""
    lines = problems(path, "stops", **options)
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def warns(path, *words):
    """Some warning holds all the words, and nothing stops."""
    assert problems(path, "stops") == []
    lines = problems(path, "warning")
    assert any(all(word in line for word in words) for line in lines), lines


# ---------------------------------------------------------------- a sound subject


def test_a_sound_subject(folder):
    subject = load_subject(folder)
    masks = [np.flatnonzero(np.load(folder / f"roi_masks/{h}.all-vertices_fsaverage_space.npy")) for h in ("lh", "rh")]
    assert [len(mask) for mask in masks] == list(COUNTS.values())
    keep = [mask < 10242 for mask in masks]
    fmri = [np.load(folder / f"training_split/training_fmri/{h}_training_fmri.npy") for h in ("lh", "rh")]
    assert np.array_equal(subject.responses, np.hstack([f[:, k] for f, k in zip(fmri, keep, strict=True)]))
    assert np.array_equal(subject.vertex, np.concatenate([m[k] for m, k in zip(masks, keep, strict=True)]))
    assert np.array_equal(subject.hemi, np.repeat([0, 1], [k.sum() for k in keep]))
    assert (subject.name, subject.density, subject.image_degrees, subject.simulated) == ("subj01", "10k", 8.4, False)
    assert f"drawn and trained at 10k: {subject.n_vertices:,} of 39,548 vertices" in subject.notes
    assert any("4 test pictures without responses" in note for note in subject.notes)
    assert [path.name[:10] for path in subject.images] == [f"train-{k:04d}" for k in range(1, 25)]
    assert len(subject.test_images) == 4 and subject.image(0).shape == (64, 64, 3)
    assert subject.coords.shape == (subject.n_vertices, 3)


def test_rois_and_their_unions(folder):
    subject = load_subject(folder)
    assert set(subject.rois) == {name for names in CLASSES.values() for name in names} | {
        "V1", "V2", "V3", "FFA", "FBA", "VWFA"
    }  # fmt: skip
    labels = [np.load(folder / f"roi_masks/{h}.prf-visualrois_challenge_space.npy") for h in ("lh", "rh")]
    n_left = int((subject.hemi == 0).sum())
    labels = np.concatenate([labels[0][:n_left], labels[1][: subject.n_vertices - n_left]])
    assert np.array_equal(subject.rois["V1v"], labels == 1) and np.array_equal(subject.rois["hV4"], labels == 7)
    assert np.array_equal(subject.rois["V1"], (labels == 1) | (labels == 2)) and subject.rois["V1"].any()
    assert np.array_equal(subject.rois["FFA"], subject.rois["FFA-1"] | subject.rois["FFA-2"])
    assert list(subject.rois)[:4] == ["V1", "V2", "V3", "hV4"]


def test_noise_ceiling(folder):
    subject = load_subject(folder)
    left = np.load(folder / "test_split/noise_ceiling/lh_noise_ceiling.npy")
    n_left = int((subject.hemi == 0).sum())
    assert np.allclose(subject.noise_ceiling[:n_left], left[:n_left])
    # It is of the challenge's test pictures; without their responses others are scored.
    assert "challenge's test pictures" in subject.ceiling_note and any(
        subject.ceiling_note == note for note in subject.notes
    )


def test_density_is_a_parameter(folder):
    subject = load_subject(folder, density="164k")
    assert subject.n_vertices == 39548 and subject.responses.shape == (24, 39548)
    half = load_subject(folder, density="41k")
    assert half.vertex.max() < 40962 and np.array_equal(half.rois["V1"].sum() > 0, True)
    assert "'10k', '41k' or '164k'" in str(pytest.raises(InputError, load_subject, folder, density="20k").value)


def test_test_responses_become_the_test_split(original):
    subject = load_subject(original)
    assert subject.n_trials == 28 and subject.split.test.tolist() == [24, 25, 26, 27] and subject.test_images == []
    assert subject.noise_ceiling is not None and subject.ceiling_note == ""
    assert sorted(np.concatenate([subject.split.train, subject.split.val])) == list(range(24))
    assert subject.images[24].name.startswith("test-0001")
    left = np.load(original / "test_split/test_fmri/lh_test_fmri.npy")
    assert np.array_equal(subject.responses[24:, :100], left[:, :100])


def test_test_data_in_a_root_of_their_own(original, tmp_path):
    folder = clone(original, tmp_path / "train_data")
    (tmp_path / "test_data" / "subj01").mkdir(parents=True)
    (folder / "test_split").rename(tmp_path / "test_data" / "subj01" / "test_split")
    subject = load_subject(tmp_path / "train_data")
    assert subject.n_trials == 28 and subject.noise_ceiling is not None


def test_findings_of_a_sound_subject(folder):
    findings = check(folder)
    assert findings.layout == "Algonauts 2023" and findings.subject == "subj01" and not findings.stops
    assert [problem.actual for problem in findings.problems] == ["20"]  # training pictures: few
    facts = findings.facts
    assert facts["trials"] == "24" and facts["pictures"].startswith("24 (24 shown once)")
    assert "left" in facts["vertices"] and "10k" in facts["vertices"] and "V1 " in facts["ROIs"]
    assert facts["noise ceiling"].startswith("mean 0.5") and "V1 0." in facts["noise ceiling"]
    assert "GB" in facts["memory"]
    assert findings.lines()[-1] == "Can be trained on; 1 warning." and all(
        "\n" not in line for line in findings.lines()
    )


# ---------------------------------------------------------------- recognised, also from above and below (1)


@pytest.mark.parametrize("inside", ["", "training_split", "training_split/training_fmri", "roi_masks", FMRI])
def test_from_the_folder_and_from_inside(folder, inside):
    assert load_subject(folder / inside).name == "subj01"
    assert load_subject(str(folder / inside) + os.sep if not inside.endswith("npy") else folder / inside).n_trials == 24


def test_from_above(folder, tmp_path):
    assert load_subject(folder.parent).name == "subj01"
    clone(folder, tmp_path / "more").rename(folder.parent / "subj05")
    (tmp_path / "more").rmdir()
    stops(folder.parent, "expected one subject, found 2: subj01, subj05", 'subject="subj01"')
    for name in ("subj05", 5, "5", "subj5"):
        assert load_subject(folder.parent, subject=name).name == "subj05"
    stops(folder.parent, "found subjects subj01, subj05", subject="subj07")
    stops(folder, "found 'subj01'", subject="subj05")
    assert check(folder.parent, subject="subj05").subject == "subj05"


def test_a_folder_that_is_no_data_set(folder, tmp_path):
    empty = tmp_path / "holiday"
    empty.mkdir()
    line = stops(empty, str(empty), "training_split/ and roi_masks/", "nsddata_betas/", "dataset.json")
    assert "demo-2" in line
    deep = tmp_path / "x"
    (deep / "a" / "b").mkdir(parents=True)
    clone(folder, deep / "a" / "b")
    stops(deep, f"did you mean {deep / 'a' / 'b'}?")
    (folder / "notes").mkdir()
    stops(folder / "notes", f"did you mean the folder above, {folder}?")
    stops(tmp_path / "missing", "found nothing at this path")
    (tmp_path / "subj01.zip").write_bytes(b"PK")
    stops(tmp_path / "subj01.zip", "found an archive; unpack it")
    stops("a\0b", "path")


def test_names_of_demo_subjects():
    assert "demo-1, demo-2, demo-3" in str(pytest.raises(InputError, load_subject, "demo-4").value)
    assert check("demo-4").stops


# ---------------------------------------------------------------- sentences that stop


def test_missing_files(folder):
    (folder / FMRI).unlink()  # 2: one hemisphere without the other
    stops(folder, FMRI, "expected a .npy file, found none; copy it there")
    (folder / MASK).unlink()
    (folder / "training_split/training_fmri/rh_training_fmri.npy").unlink()
    lines = problems(folder, "stops")
    assert len(lines) == 3 and len({line.split(":")[0] for line in lines}) == 3


def test_all_problems_are_listed_not_the_first(folder):
    replace_file(folder / FMRI, b"<html>")
    replace_file(folder / MASK, np.ones(227021, int))
    replace_file(folder / "roi_masks/mapping_streams.npy", b"")
    next((folder / PICTURES).iterdir()).unlink()
    findings = check(folder)
    assert findings.stops and len(problems(folder, "stops")) == 3
    assert findings.lines()[-1].startswith("Cannot be trained on: 3 problems to mend")
    assert sum(line.startswith("STOPS: ") for line in findings.lines()) == 3


def test_3_pictures_and_rows(folder):
    for path in sorted((folder / PICTURES).iterdir())[-2:]:
        path.unlink()
    stops(folder, PICTURES, "found 22 pictures but 24 rows of responses")


def test_3_a_picture_missing_in_the_middle(folder):
    next((folder / PICTURES).glob("train-0007*")).unlink()
    stops(folder, "expected pictures 1 to 24, found no picture 7")


def test_3_two_pictures_for_a_row(folder):
    replace_file(folder / PICTURES / "train-0007_nsd-99999.png", b"")
    stops(folder, "two for row 7")


def test_3_no_pictures(folder):
    for path in (folder / PICTURES).iterdir():
        path.rename(path.with_suffix(".bak"))
    stops(folder, "pictures named train-0001_nsd-00013.png, found none")


def test_3_other_files_among_the_pictures_do_not_count(folder):
    for name in (".DS_Store", "._train-0001_nsd-00013.png", "Thumbs.db", "train-0001.png"):
        replace_file(folder / PICTURES / name, b"x")
    assert load_subject(folder).n_trials == 24


def test_3_rows_differ_between_hemispheres(folder):
    replace_file(folder / FMRI, np.load(folder / FMRI)[:-1])
    stops(folder, "found 23 rows left, 24 right")


def test_4_mask_of_another_subject(folder):
    fmri = np.load(folder / FMRI)
    replace_file(folder / FMRI, fmri[:, :18978])
    stops(folder, FMRI, "expected 19,004 columns", "found 18,978 columns", "another subject's?")


def test_5_transposed(folder):
    replace_file(folder / FMRI, np.ascontiguousarray(np.load(folder / FMRI).T))
    stops(folder, FMRI, "it looks transposed: save array.T")


def test_6_native_surface(folder):
    replace_file(folder / MASK, np.ones(227021, dtype=int))
    stops(folder, MASK, "expected 163,842 vertices (fsaverage), found 227,021; a native surface?")


def test_6_empty_mask(folder):
    replace_file(folder / MASK, np.zeros(163842, dtype=int))
    assert any("an empty mask" in line for line in problems(folder, "stops"))


@pytest.mark.parametrize("shape", [(19004,), (24, 19004, 1), (0, 19004)])
def test_responses_of_another_shape(folder, shape):
    replace_file(folder / FMRI, np.zeros(shape, np.float32))
    stops(folder, FMRI, "expected an (images, vertices) array")


def test_10_scaled_values(folder):
    fmri = np.load(folder / FMRI)
    replace_file(folder / FMRI, (fmri * 300).astype(np.int16))
    stops(folder, FMRI, "found whole numbers (int16); scaled by 300")
    replace_file(folder / FMRI, fmri * 300)
    warns(folder, FMRI, "expected z-scores, mostly between −3 and 3, found values of typically")


def test_swapped_bytes(folder):
    fmri = np.load(folder / FMRI)
    replace_file(folder / FMRI, fmri.astype(">f4"))
    assert np.array_equal(load_subject(folder).responses[:, :100], fmri[:, :100])  # honestly declared: fine
    replace_file(folder / FMRI, fmri.byteswap())  # declared little-endian, but it is not
    stops(folder, FMRI, "bytes swapped or damaged")


@pytest.mark.parametrize("dtype", ["f8", "f2"])
def test_other_precisions_are_read(folder, dtype):
    fmri = np.load(folder / FMRI).astype(dtype)
    replace_file(folder / FMRI, fmri)
    subject = load_subject(folder)
    assert subject.responses.dtype == np.float32 and np.array_equal(subject.responses[:, :9], fmri[:, :9].astype("f4"))


def test_13_pictures_that_cannot_be_opened(folder):
    pictures = sorted((folder / PICTURES).iterdir())
    data = pictures[3].read_bytes()
    for path, content in zip(pictures[3:6], (data[: len(data) // 2], b"", b"<html></html>"), strict=True):
        replace_file(path, content)
    lines = problems(folder, "stops")
    assert [path.name in line for path, line in zip(pictures[3:6], lines, strict=True)] == [True] * 3
    assert "incomplete" in lines[0] and "empty file" in lines[1] and "web page" in lines[2]


def test_13_a_damaged_picture_with_both_ends(folder):
    path = sorted((folder / PICTURES).iterdir())[0]
    data = bytearray(path.read_bytes())
    data[50:70] = bytes(20)
    replace_file(path, bytes(data))
    stops(folder, path.name, "damaged")


def test_16_same_picture_in_training_and_test(original, tmp_path):
    folder = clone(original, tmp_path)
    number = next((folder / PICTURES).iterdir()).name[-9:-4]
    first = next((folder / "test_split/test_images").glob("test-0001*"))
    first.rename(first.with_name(f"test-0001_nsd-{number}.png"))
    stops(folder, f"found 1 in both (NSD numbers {int(number)})")


@pytest.mark.parametrize("change", ["columns", "rows", "no pictures"])
def test_test_responses_that_do_not_fit(original, tmp_path, change):
    folder = clone(original, tmp_path)
    path = folder / "test_split/test_fmri/lh_test_fmri.npy"
    fmri = np.load(path)
    if change == "no pictures":
        (folder / "test_split/test_images").rename(folder / "elsewhere")
    else:
        replace_file(path, fmri[:, :-1] if change == "columns" else fmri[:-1])
    assert any("test_split" in line for line in problems(folder, "stops"))


@pytest.mark.parametrize("n", [1, 5])
def test_17_too_few_pictures(tmp_path, n):
    folder = make_algonauts(tmp_path, trials=n, tests=0, counts={"lh": 300, "rh": 300}, noise_ceiling=False)
    stops(folder, "at least 10 different pictures", f"found {n};")


def test_19_truncated_and_pointers(folder):
    data = (folder / FMRI).read_bytes()
    replace_file(folder / FMRI, data[: len(data) // 2])
    stops(folder, FMRI, "bytes for 24 × 19,004 of float32", "truncated")
    replace_file(folder / FMRI, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1824512\n")
    stops(folder, FMRI, "git lfs pull")
    replace_file(folder / MASK, b"/annex/objects/MD5E-s1310864--0.npy\n")
    assert any("git annex get" in line for line in problems(folder, "stops"))


@given(st.sampled_from([FMRI, MASK, "roi_masks/lh.floc-faces_challenge_space.npy"]), st.integers(0, 2**31))
@PROPERTY
def test_heads_of_random_bytes_never_raise_anything_else(folder, name, seed):
    rng = np.random.default_rng(seed)
    before = (folder / name).read_bytes()
    head = bytearray(before[:160])
    for at in rng.integers(0, len(head), 4):
        head[at] = rng.integers(0, 256)
    replace_file(folder / name, bytes(head) + before[160:])
    check(folder)
    replace_file(folder / name, before)


# ---------------------------------------------------------------- warnings


def test_9_missing_values(folder):
    fmri = np.load(folder / FMRI)
    fmri[3, 5], fmri[:, 9] = np.nan, np.inf
    replace_file(folder / FMRI, fmri)
    warns(folder, "2 of", "vertices hold missing or infinite values; they are dropped")


def test_constant_vertices(folder):
    fmri = np.load(folder / FMRI)
    fmri[:, 4] = 0
    replace_file(folder / FMRI, fmri)
    warns(folder, "1 of", "never change")
    assert load_subject(folder).constant.nonzero()[0].tolist() == [4]


def test_14_labels_without_a_name(folder):
    path = folder / "roi_masks/lh.floc-faces_challenge_space.npy"
    labels = np.load(path)
    labels[:5], labels[5:9] = 9, -(2**63)  # missing values that were cast to int in the preparation
    replace_file(path, labels)
    warns(folder, "mapping_floc-faces.npy", "found labels without one: 9")


def test_15_an_empty_roi(folder):
    for hemi in ("lh", "rh"):
        path = folder / f"roi_masks/{hemi}.floc-faces_challenge_space.npy"
        labels = np.load(path)
        labels[np.isin(labels, (2, 3))] = 0
        replace_file(path, labels)
    warns(folder, "found none in FFA, FFA-1, FFA-2")
    assert "FFA" not in load_subject(folder).roi_names() and "PPA" in load_subject(folder).roi_names()


def test_a_roi_too_small_for_the_density(folder):
    for hemi in ("lh", "rh"):
        path = folder / f"roi_masks/{hemi}.floc-faces_challenge_space.npy"
        labels = np.load(path)
        labels[:5000][labels[:5000] == 4] = 0
        replace_file(path, labels)
    subject = load_subject(folder)
    assert "too small to have a vertex at 10k: mTL-faces" in subject.notes and subject.warnings == []


def test_rois_from_the_fsaverage_space_files(folder):
    before = load_subject(folder).rois
    for path in (folder / "roi_masks").glob("*_challenge_space.npy"):
        path.unlink()
    after = load_subject(folder)
    assert after.warnings == [] and all(np.array_equal(after.rois[name], before[name]) for name in before)


def test_damaged_and_missing_roi_files(folder):
    replace_file(folder / "roi_masks/lh.floc-faces_challenge_space.npy", b"")
    warns(folder, "lh.floc-faces_challenge_space.npy", "the fsaverage_space file is used")
    (folder / "roi_masks/rh.floc-words_challenge_space.npy").unlink()
    (folder / "roi_masks/rh.floc-words_fsaverage_space.npy").unlink()
    warns(folder, "labels of floc-words", "missing in this hemisphere")
    for path in (folder / "roi_masks").iterdir():
        if "all-vertices" not in path.name:
            path.unlink()
    warns(folder, "expected ROI masks, found none")
    assert load_subject(folder).rois == {}


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_20_a_mapping_file_that_would_run_code(folder, tmp_path):
    marker = tmp_path / "was-run"
    path = folder / "roi_masks/mapping_floc-faces.npy"
    path.unlink()
    np.save(path, {0: "Unknown", 1: Payload(marker)}, allow_pickle=True)
    warns(folder, "mapping_floc-faces.npy", "refused for safety", "the published names are used")
    assert load_subject(folder).rois["OFA"].any() and not marker.exists()


def test_names_of_the_data_set_win_over_the_published_ones(folder):
    replace_file(folder / "roi_masks/mapping_floc-places.npy", {0: "Unknown", 1: "PPA", 2: "OPA", 3: "<b>RSC</b>"})
    subject = load_subject(folder)
    labels = np.load(folder / "roi_masks/lh.floc-places_challenge_space.npy")
    assert np.array_equal(subject.rois["PPA"][:100], labels[:100] == 1) and subject.warnings == []
    assert any("RSC" in name and name.startswith("<b>") for name in subject.rois)


def test_a_class_that_the_challenge_did_not_publish(folder):
    labels = np.load(folder / "roi_masks/lh.floc-places_challenge_space.npy")
    replace_file(folder / "roi_masks/lh.motion_challenge_space.npy", (labels > 0).astype(int))
    replace_file(folder / "roi_masks/mapping_motion.npy", {0: "Unknown", 1: "hMT"})
    assert load_subject(folder).rois["hMT"].any()


def test_22_no_noise_ceiling(folder):
    (folder / "test_split/noise_ceiling/lh_noise_ceiling.npy").unlink()
    warns(folder, "lh_noise_ceiling.npy", "until then only raw R² is shown")
    (folder / "test_split").rename(folder / "elsewhere")
    warns(folder, "noise_ceiling: expected noise ceilings, found none; only raw R² can be shown")
    assert check(folder).facts["noise ceiling"] == "none: only raw R² can be shown"


def test_noise_ceilings_of_zero_and_in_per_cent(folder):
    path = folder / "test_split/noise_ceiling/lh_noise_ceiling.npy"
    ceiling = np.load(path)
    zeros = ceiling.copy()
    zeros[:7] = 0
    replace_file(path, zeros)
    warns(folder, "7 of", "none, zero or less")
    replace_file(path, ceiling * 100)
    warns(folder, "found values up to", "divided by 100")
    assert np.allclose(load_subject(folder).noise_ceiling[:50], ceiling[:50])
    replace_file(path, ceiling[:-1])
    warns(folder, "expected an array of 19,004, found 19,003")
    assert load_subject(folder).noise_ceiling is None


def test_order_of_pictures(folder):
    first, second = sorted((folder / PICTURES).iterdir())[:2]
    numbers = first.name[-9:-4], second.name[-9:-4]
    first.rename(first.with_name(f"train-0001_nsd-{numbers[1]}.png"))
    second.rename(second.with_name(f"train-0002_nsd-{numbers[0]}.png"))
    warns(folder, "NSD numbers that ascend", "were files renamed?")


def test_18_memory(folder, monkeypatch):
    monkeypatch.setattr("factortopy.subjects.check.free_memory", lambda: 1000)
    warns(folder, "memory: expected 1.0", "found 0.0 GB free")
    monkeypatch.setattr("factortopy.subjects.check.free_memory", lambda: None)
    assert not any(problem.thing == "memory" for problem in check(folder).problems)


def test_a_name_with_markup_or_line_breaks_stays_one_line(original, tmp_path):
    folder = clone(original, tmp_path)
    odd = folder.rename(tmp_path / "subj01\n<img onerror=x>\x1b[31m")
    subject = load_subject(odd)
    assert subject.name == "subj01 <img onerror=x> [31m"
    assert all("\n" not in line and "\x1b" not in line for line in check(odd).lines())


def test_nothing_large_is_read_by_looking(folder):
    examination = algonauts_layout.examine(folder)
    assert all(isinstance(array, np.memmap) for array in examination.responses.values())
    assert examination.first_stop() is None
