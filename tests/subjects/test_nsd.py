"""NSD folders: recognised, read, z-scored, kept, with the pictures that belong to the trials."""

from functools import partial

import numpy as np
import pytest
from nsd_folder import (
    BETAS,
    CLASSES,
    EXPDESIGN,
    LOG,
    MISSING,
    NATIVE,
    STREAMS,
    clone,
    general_mask,
    make_nsd,
    write_mgh,
)
from scipy.io import loadmat, savemat

import factortopy as ft
from factortopy import subjects
from factortopy.errors import InputError
from factortopy.runs.settings import load_subject_of
from factortopy.subjects import check as check_module
from factortopy.subjects.layouts import subjects_in
from factortopy.subjects.nsd import betas
from factortopy.subjects.nsd import layout as nsd_layout

# Most of what is looked at here does not depend on the density; a sixteenth is read sooner.
load_subject = partial(subjects.load_subject, density="10k")
load_nsd = partial(nsd_layout.load_nsd, density="10k")
check = partial(check_module.check, density="10k")

FULL = 163842


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One sound root; nothing here changes it."""
    return make_nsd(tmp_path_factory.mktemp("nsd") / "nsd")


def frames(root, session, hemi):
    """Betas as the bytes of the file say, without our reader."""
    data = (root / BETAS.format("subj01") / f"{hemi}.betas_session{session:02d}.mgh").read_bytes()
    return np.frombuffer(data, ">f4", 12 * FULL, 284).reshape(12, FULL)


def expected(root, sessions=(1, 2, 3), top=10242):
    """z-scored responses and vertices, written out the plain way."""
    vertex = {h: np.flatnonzero(general_mask(h)[:top] == 1) for h in ("lh", "rh")}
    blocks = [np.hstack([frames(root, s, h)[:, vertex[h]] for h in ("lh", "rh")]) for s in sessions]
    keep = np.isfinite(np.vstack(blocks)).all(0)
    z = np.vstack([(b[:, keep] - b[:, keep].mean(0, dtype=float)) / b[:, keep].std(0, dtype=float) for b in blocks])
    hemi = np.repeat([0, 1], [len(vertex["lh"]), len(vertex["rh"])])[keep]
    return z, hemi, np.concatenate([vertex["lh"], vertex["rh"]])[keep]


def seen(root, sessions=(1, 2, 3)):
    """0-based NSD numbers, trial by trial, from the design file."""
    design = loadmat(root / EXPDESIGN)
    trials = [(s - 1) * 750 + k for s in sessions for k in range(12)]
    return [int(design["subjectim"][0, int(design["masterordering"][0, t]) - 1]) - 1 for t in trials]


# ---------------------------------------------------------------- a sound subject


def test_responses_and_pictures(root):
    subject = load_subject(root)
    z, hemi, vertex = expected(root)
    np.testing.assert_allclose(subject.responses, z, atol=2e-5)
    assert np.array_equal(subject.hemi, hemi) and np.array_equal(subject.vertex, vertex)
    assert (subject.name, subject.density, subject.image_degrees, subject.simulated) == ("subj01", "10k", 8.4, False)
    assert subject.session.tolist() == [1] * 12 + [2] * 12 + [3] * 12
    assert [subject.images.numbers[i] for i in subject.image_index] == seen(root)
    assert subject.repeats() == {1: 12, 2: 12} and len(subject.images) == 24
    picture = subject.image(3)
    assert picture.shape == (425, 425, 3) and picture.dtype == np.uint8 and picture.std() > 10


def test_a_vertex_without_values_in_one_session_is_dropped_and_counted(root):
    subject = load_subject(root)
    left = subject.vertex[subject.hemi == 0]
    assert MISSING - 1 in left and MISSING not in left
    assert any("1 of 2,310 vertices hold missing values in some session" in note for note in subject.notes)
    assert MISSING in load_nsd(root, 1, sessions=[1, 3]).vertex[: len(left)]


def test_a_gap_within_a_session_is_dropped_too(root, tmp_path):
    changed = clone(root, tmp_path / "nsd")
    values = np.array(frames(root, 1, "rh"))
    values[7, 50] = np.inf
    write_mgh(changed / BETAS.format("subj01") / "rh.betas_session01.mgh", values)
    subject, whole = load_subject(changed), load_subject(root)
    right = subject.vertex[subject.hemi == 1]
    assert 50 not in right and 51 in right and subject.n_vertices == whole.n_vertices - 1
    keep = (whole.hemi == 0) | (whole.vertex != 50)
    assert np.array_equal(subject.responses, whole.responses[:, keep])


def test_a_vertex_that_does_not_change_within_a_session_is_zero_there(root, tmp_path):
    changed = clone(root, tmp_path / "nsd")
    values = np.array(frames(root, 1, "rh"))
    values[:, 51] = 1.1
    write_mgh(changed / BETAS.format("subj01") / "rh.betas_session01.mgh", values)
    subject = load_subject(changed)
    column = np.flatnonzero((subject.hemi == 1) & (subject.vertex == 51))[0]
    assert not subject.responses[:12, column].any() and subject.responses[12:, column].all()
    assert any("1 vertices that never change within some session; they are 0 there" in n for n in subject.notes)


def test_rois_carried_from_the_native_surface(root):
    subject = load_subject(root)
    for hemi, code in (("lh", 0), ("rh", 1)):
        mine = subject.hemi == code
        n = NATIVE[hemi]
        native = (np.arange(n) // 40) % 9 - 1  # as the fixture writes prf-visualrois
        vertex = subject.vertex[mine]
        few = vertex < n  # there the transform is vertex + 1, counted from 1
        assert np.array_equal(subject.rois["V1v"][mine][few], native[vertex[few]] == 1)
        assert np.array_equal(subject.rois["hV4"][mine][few], native[vertex[few]] == 7)
    assert np.array_equal(subject.rois["V1"], subject.rois["V1v"] | subject.rois["V1d"])
    assert np.array_equal(subject.rois["FBA"], subject.rois["FBA-1"] | subject.rois["FBA-2"])
    assert np.array_equal(subject.rois["midventral"], subject.vertex % 8 == 2)
    assert not subject.rois["VWFA"][subject.hemi == 1].any() and subject.rois["VWFA"].any()
    names = {name for kind in CLASSES.values() for name in kind} | {"V1", "V2", "V3", "FFA", "FBA", "VWFA", *STREAMS}
    assert set(subject.rois) == names and list(subject.rois)[:4] == ["V1", "V2", "V3", "hV4"]


def test_noise_ceiling_of_single_trials_and_of_averages(root):
    subject, averaged = load_subject(root), load_nsd(root, "subj01", average=True)
    data = (root / BETAS.format("subj01") / "lh.ncsnr.mgh").read_bytes()
    ratio = np.frombuffer(data, ">f4", FULL, 284)[subject.vertex[subject.hemi == 0]].astype(float)
    left = subject.hemi == 0
    np.testing.assert_allclose(subject.noise_ceiling[left], ratio**2 / (ratio**2 + 1), rtol=1e-5)
    # Of the pictures that are scored: 12 of all 24 were shown twice, 12 once.
    shown = np.unique(subject.image_index, return_counts=True)[1][averaged.split.test]
    np.testing.assert_allclose(averaged.noise_ceiling[left], ratio**2 / (ratio**2 + np.mean(1 / shown)), rtol=1e-5)


def test_averages_are_means_of_z_scores(root):
    single, averaged = load_subject(root), load_nsd(root, "subj01", average=True)
    assert averaged.responses.shape == (24, single.n_vertices) and averaged.session is None
    assert isinstance(averaged.responses, np.memmap)
    for i in range(24):
        rows = single.responses[single.image_index == i]
        np.testing.assert_allclose(averaged.responses[i], rows.mean(0), atol=1e-6)
    assert np.array_equal(averaged.image(5), single.image(5))


def test_masks(root):
    whole = load_nsd(root, "subj01", mask="all", density="164k", sessions=[1])
    assert whole.n_vertices == 2 * FULL
    region = load_nsd(root, "subj01", mask="V1", sessions=[1, 3])
    assert region.rois["V1"].all() and region.n_vertices > 50
    atlas = load_nsd(root, "subj01", mask="Kastner2015 V1d", atlases=("streams", "Kastner2015"), sessions=[1])
    assert (atlas.vertex % 3 == 2).all() and atlas.rois["Kastner2015 V1d"].all()
    full = load_nsd(root, "subj01", density="164k")
    z, hemi, vertex = expected(root, top=FULL)
    assert np.array_equal(full.vertex, vertex) and full.vertex.max() > 40962
    np.testing.assert_allclose(full.responses, z, atol=2e-5)


def test_sessions(root):
    subject = load_nsd(root, "subj01", sessions=[3, 1])
    z, _, vertex = expected(root, (1, 3))
    np.testing.assert_allclose(subject.responses, z, atol=2e-5)
    assert [subject.images.numbers[i] for i in subject.image_index] == seen(root, (1, 3))


def test_paper(root, tmp_path):
    changed = clone(root, tmp_path / "nsd")
    for hemi in ("lh", "rh"):  # of subject 1's 40 sessions the paper had the first 37
        folder = changed / BETAS.format("subj01")
        (folder / f"{hemi}.betas_session03.mgh").rename(folder / f"{hemi}.betas_session38.mgh")
    (changed / LOG.format("subj01")).unlink()
    design = loadmat(changed / EXPDESIGN)
    design["masterordering"][0, 37 * 750 : 37 * 750 + 12] = design["masterordering"][0, 1500:1512]
    (changed / EXPDESIGN).unlink()
    savemat(changed / EXPDESIGN, {k: v for k, v in design.items() if not k.startswith("_")})
    assert np.unique(load_nsd(changed, 1).session).tolist() == [1, 2, 38]
    subject = load_nsd(changed, 1, paper=True)
    assert np.unique(subject.session).tolist() == [1, 2] and subject.n_trials == 24
    assert any("sessions 1 to 37" in note for note in subject.notes)


def test_the_split_is_over_unique_pictures_and_the_same_for_every_network(root):
    first, again = load_subject(root), load_subject(root)
    assert first.split == again.split
    parts = [set(first.image_index[getattr(first.split, part)]) for part in ("train", "val", "test")]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert sum(map(len, parts)) == 24 and [len(part) for part in parts[1:]] == [2, 2]


# ---------------------------------------------------------------- the kept file


def test_responses_are_kept_and_mapped(root, monkeypatch):
    first = load_subject(root)
    monkeypatch.setattr(betas, "_write_sessions", None)  # a second writing would fail
    again = load_subject(root)
    assert isinstance(again.responses, np.memmap) and again.responses.mode == "r"
    assert np.array_equal(first.responses, again.responses) and first.notes == again.notes


def test_a_changed_file_or_another_setting_makes_a_new_one(root, tmp_path):
    changed = clone(root, tmp_path / "nsd")
    before = np.array(load_subject(changed).responses)
    values = np.array(frames(root, 1, "lh"))
    write_mgh(changed / BETAS.format("subj01") / "lh.betas_session01.mgh", values[::-1])
    assert not np.allclose(load_subject(changed).responses, before)
    assert load_nsd(changed, 1, sessions=[1]).n_trials == 12


def test_a_cut_or_half_written_file_is_made_again(root):
    from factortopy.storage.home import cache_dir

    before = np.array(load_subject(root).responses)
    (folder,) = [path for path in cache_dir("subjects").iterdir() if path.is_dir()]
    file = folder / "responses.npy"
    file.write_bytes(file.read_bytes()[:5000])
    (folder.with_name(folder.name + ".part")).mkdir()  # of a process that was killed
    assert np.array_equal(load_subject(root).responses, before)
    assert [path for path in cache_dir("subjects").iterdir() if path.is_dir()] == [folder]


def test_check_reads_no_responses_and_says_what_load_says(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("factortopy.subjects.nsd.layout.kept_responses", None)
        findings = check(root)
    assert findings.layout == "Natural Scenes Dataset" and findings.subject == "subj01" and not findings.stops
    facts, subject = findings.facts, load_subject(root)
    assert facts["trials"] == "36" and facts["pictures"] == "24 (12 shown once, 12 shown twice), 8.4° wide"
    assert facts["vertices"].startswith(f"{(subject.hemi == 0).sum():,} left, {(subject.hemi == 1).sum():,} right")
    assert f"V1 {subject.rois['V1'].sum()}" in facts["ROIs"]
    assert facts["noise ceiling"].startswith(f"mean {subject.noise_ceiling.mean():.2f} (V1 ")
    *problems, few = (p.line() for p in findings.problems)
    assert problems == [p.line() for p in subject.warnings] and "100 training pictures" in few
    assert len(problems) == 2 and "GB to" in facts["notes"]


# ---------------------------------------------------------------- recognised, also from above and below (1)


@pytest.mark.parametrize(
    "inside", ["", "nsddata", "nsddata_betas/ppdata", BETAS.format("subj01"), "nsddata/ppdata/subj01/behav"]
)
def test_from_the_root_and_from_inside(root, inside):
    assert load_subject(root / inside).name == "subj01"
    assert load_subject(root / inside, subject="subj01").n_trials == 36


def test_from_above_and_several_subjects(root, tmp_path):
    assert load_subject(root.parent).name == "subj01"
    two = clone(root, tmp_path / "two" / "nsd")
    (two / "nsddata_betas/ppdata/subj05").mkdir()
    for path in (two, two.parent):
        assert subjects_in(path) == ["subj01", "subj05"]
        with pytest.raises(InputError, match="expected one subject, found 2: subj01, subj05"):
            load_subject(path)
        for name in ("subj01", 1, "1", "subj1"):
            assert load_subject(path, subject=name).name == "subj01"
        with pytest.raises(InputError, match="found subjects subj01, subj05"):
            load_subject(path, subject="subj07")
    assert load_subject(two / BETAS.format("subj01")).name == "subj01"
    (two / "nsddata/ppdata/subj07/behav").mkdir(parents=True)
    with pytest.raises(InputError, match="subj07"):
        load_subject(two / "nsddata/ppdata/subj07/behav")


def test_pictures_in_pieces(root):
    images = load_subject(root).images
    part = images[2:5]
    assert len(part) == 3 and np.array_equal(part[0], images[2]) and np.array_equal(images[[4, 2]][1], images[2])
    assert len(list(images)) == 24 and np.array_equal(images[-1], images[23])
    with pytest.raises(IndexError):
        images[24]


def test_fewer_pictures_keep_the_file(root):
    from factortopy.subjects.subset import fewer_pictures

    subject = load_subject(root)
    few = fewer_pictures(subject, 12)
    assert type(few.images) is type(subject.images) and few.n_images == len(few.images) < 24
    assert np.array_equal(
        few.image(0), subject.images[int(np.searchsorted(subject.images.numbers, few.images.numbers[0]))]
    )


def test_arguments(root):
    for words, options in {
        "expected numbers from 1 to 40": {"sessions": [0]},
        "choose among these": {"sessions": [1, 9]},
        "expected the paper's sessions": {"paper": True, "average": True},
        "regions: V1, V2": {"mask": "V9"},
        "expected some of streams": {"atlases": ("wang",)},
        "expected '10k', '41k' or '164k'": {"density": "1m"},
    }.items():
        with pytest.raises(InputError, match=words.replace("'", ".")):
            load_nsd(root, "subj01", **options)
    with pytest.raises(InputError, match="expected subj01 to subj08"):
        load_nsd(root, "subj09")
    assert ft.load_subject is subjects.load_subject


def test_what_a_trial_is_can_be_chosen_by_name(root):
    single, mean = (subjects.load_subject(root, density="10k", trials=word) for word in ("single", "mean"))
    assert single.n_trials == 36 and mean.n_trials == mean.n_images == single.n_images
    first = single.image_index == 0
    np.testing.assert_allclose(mean.responses[0], single.responses[first].mean(0), atol=1e-5)
    settings = {"subject": str(root), "density": "10k", "trials": "mean"}
    assert load_subject_of(settings).n_trials == mean.n_trials
    findings = check_module.check(str(root), density="10k", trials="often")
    assert findings.stops and "expected single or mean or paper, found 'often'" in findings.problems[0].line()
    with pytest.raises(InputError, match="trials: expected single, found 'mean' for a demo subject"):
        subjects.load_subject("demo", trials="mean")


def test_a_first_look_reads_the_first_sessions_only(root):
    examination = nsd_layout.examine(root / BETAS.format("subj01").split("/fsaverage")[0])
    part, words = nsd_layout.sample(examination, "10k")
    sessions = sorted({int(k) for k in part.session})
    assert len(sessions) < 3 and words == f"in session {', '.join(map(str, sessions))}"
    same = load_nsd(root, "subj01", sessions=sessions)
    np.testing.assert_array_equal(part.responses, same.responses)
    np.testing.assert_array_equal(part.image_index, same.image_index)
    for i in (0, part.n_images - 1):
        np.testing.assert_array_equal(part.image(i), same.image(i))
