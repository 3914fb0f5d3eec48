"""NSD folders with something wrong: every sentence that they can cause, and all at once."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import h5py
import numpy as np
import pytest
from nsd_folder import (
    BETAS,
    EXPDESIGN,
    FULL,
    LOG,
    STIMULI,
    clone,
    ctab,
    general_mask,
    make_nsd,
    mgh_bytes,
    write,
    write_mgh,
)
from scipy.io import loadmat, savemat

from factortopy import subjects
from factortopy.errors import InputError
from factortopy.jobs.queue import child_environment
from factortopy.subjects import check as check_module
from factortopy.subjects.nsd import betas as nsd_betas
from factortopy.subjects.nsd import layout as nsd_layout

# Most of what is looked at here does not depend on the density; a sixteenth is read sooner.
load_subject = partial(subjects.load_subject, density="10k")
load_nsd = partial(nsd_layout.load_nsd, density="10k")
check = partial(check_module.check, density="10k")

FOLDER = BETAS.format("subj01")
SESSION = f"{FOLDER}/lh.betas_session02.mgh"
LABELS = "nsddata/freesurfer/subj01/label"
GENERAL = "nsddata/freesurfer/fsaverage/label"
TRANSFORM = "nsddata/ppdata/subj01/transforms/lh.white-to-fsaverage.mgz"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_nsd(tmp_path_factory.mktemp("nsd") / "nsd")


@pytest.fixture
def root(original, tmp_path):
    return clone(original, tmp_path / "nsd")


def problems(path, severity):
    """Lines of one severity; loading agrees with them."""
    findings = check(path)
    lines = [problem.line() for problem in findings.problems if problem.severity == severity]
    assert all("\n" not in line for line in lines)
    if findings.stops:
        with pytest.raises(InputError) as error:
            load_subject(path)
        assert str(error.value) == next(p.line() for p in findings.problems if p.severity == "stops")
    else:
        load_subject(path)
    return lines


def stops(path, *words):
    """The only sentence that stops; it holds all the words."""
    lines = problems(path, "stops")
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines[0]


def warns(path, *words):
    """Some warning holds all the words, and nothing stops."""
    assert problems(path, "stops") == []
    lines = problems(path, "warning")
    assert any(all(word in line for word in words) for line in lines), lines


def betas(root, session=2, hemi="lh"):
    data = (root / FOLDER / f"{hemi}.betas_session{session:02d}.mgh").read_bytes()
    return np.array(np.frombuffer(data, ">f4", 12 * FULL, 284).reshape(12, FULL))


def save_design(root, **changes):
    design = {k: v for k, v in loadmat(root / EXPDESIGN).items() if not k.startswith("_")} | changes
    (root / EXPDESIGN).unlink()
    savemat(root / EXPDESIGN, {k: v for k, v in design.items() if v is not None}, do_compression=True)


# ---------------------------------------------------------------- all at once


def test_every_problem_is_listed_not_the_first(root):
    (root / FOLDER / "rh.betas_session01.mgh").unlink()
    write(root / SESSION, (root / SESSION).read_bytes()[:9999])
    write(root / EXPDESIGN, b"<html>")
    write(root / STIMULI, b"version https://git-lfs.github.com/spec/v1\n")
    write(root / GENERAL / "lh.nsdgeneral.mgz", b"")
    write(root / GENERAL / "rh.nsdgeneral.mgz", b"/annex/objects/MD5E-s1")
    findings = check(root)
    assert len(problems(root, "stops")) == 6
    assert sum(line.startswith("STOPS: ") for line in findings.lines()) == 6


def test_1_a_root_without_betas(root):
    shutil.rmtree(root / "nsddata_betas")
    stops(root, "expected lh.betas_session01.mgh, rh.betas_session01.mgh, …, found none", "docs/nsd.md")
    shutil.rmtree(root / "nsddata")
    lines = problems(root, "stops")
    assert len(lines) == 1 and "nsddata_betas/ and nsddata/ (NSD)" in lines[0]


def test_1_other_betas(root):
    (root / FOLDER).rename((root / FOLDER).with_name("betas_assumehrf"))
    stops(root, "found only betas_assumehrf")


def test_2_a_session_of_one_hemisphere(root):
    (root / SESSION).unlink()
    stops(root, SESSION, "session 02 has right betas but no left ones")


def test_2_hemispheres_of_other_length(root):
    write_mgh(root / SESSION, betas(root)[:11])
    stops(root, "found 11 trials left, 12 right")


def test_3_too_many_trials(root):
    for hemi in ("lh", "rh"):
        path = root / FOLDER / f"{hemi}.betas_session02.mgh"
        data = bytearray(path.read_bytes()[:284])
        data[16:20] = (751).to_bytes(4, "big")
        write(path, bytes(data))
        with open(path, "r+b") as file:
            file.truncate(284 + 4 * FULL * 751)  # sparse
    lines = problems(root, "stops")
    assert len(lines) == 2 and all("expected at most 750 trials, found 751" in line for line in lines)


def test_3_a_session_that_never_was(root):
    for hemi in ("lh", "rh"):
        (root / FOLDER / f"{hemi}.betas_session03.mgh").rename(root / FOLDER / f"{hemi}.betas_session41.mgh")
    lines = problems(root, "stops")
    assert len(lines) == 2 and all("expected sessions 1 to 40, found session 41" in line for line in lines)


def test_5_transposed(root):
    write_mgh(root / SESSION, betas(root).T, axes=(12, 1, 1))
    stops(root, SESSION, "it looks transposed")


def test_6_native_surface_and_volume(root):
    write_mgh(root / SESSION, np.zeros((12, 227021)))
    stops(root, SESSION, "expected 163,842 vertices (fsaverage), found 227,021; a native surface, not fsaverage?")
    write_mgh(root / SESSION, np.zeros((1, 24 * 25 * 26)), axes=(24, 25, 26))
    stops(root, SESSION, "found a volume of 24 × 25 × 26; project it to the surface first")


@pytest.mark.parametrize("change", [-1, 5000])
def test_7_a_transform_beyond_the_native_surface(root, change):
    transform = np.ones(FULL)
    transform[9] += change  # 0: counted from 0
    write_mgh(root / TRANSFORM, transform)
    warns(root, "lh.white-to-fsaverage.mgz: expected native vertices from 1 to 2,270", "counted from 0?")
    assert "V1" not in load_subject(root).rois and "early" in load_subject(root).rois


def test_9_missing_values(root):
    warns(root, "found 1 of 2,310 vertices hold missing values in some session; they are dropped")


def test_9_nothing_but_missing_values(root):
    write_mgh(root / SESSION, np.full((12, FULL), np.nan))
    write_mgh(root / FOLDER / "rh.betas_session01.mgh", np.full((12, FULL), np.nan))
    assert any("expected vertices with values in every session, found none" in line for line in problems(root, "stops"))


def test_10_scaled_by_300(root):
    path = root / FOLDER / "lh.betas_session01.mgh"
    write_mgh(path, betas(root, 1) * 300)
    before = np.array(load_subject(root).responses)
    warns(root, "expected per cent signal change, found values of typically", "scaled by 300 (int16)?")
    write_mgh(path, np.round(betas(root, 1)), dtype=">i2")
    warns(root, "found whole numbers (int16)")
    assert np.isfinite(before).all()


def test_10_swapped_bytes(root):
    write_mgh(root / FOLDER / "rh.betas_session01.mgh", betas(root, 1, "rh").byteswap())
    assert any("bytes swapped or damaged" in line for line in problems(root, "stops"))
    head = mgh_bytes(np.ones((12, 4)))[:284]
    swapped = b"".join(head[k : k + 4][::-1] for k in range(0, 28, 4)) + head[28:]
    write(root / FOLDER / "rh.betas_session01.mgh", swapped + bytes(4 * 12 * FULL))
    stops(root, "found one with its bytes swapped")


def test_11_already_normalised(root):
    values = betas(root, 1).astype(float)
    varying = values.std(0) > 0
    values[:, varying] = (values[:, varying] - values[:, varying].mean(0)) / values[:, varying].std(0)
    write_mgh(root / FOLDER / "lh.betas_session01.mgh", values)
    warns(root, "found values that are already normalised; z-scoring them again changes nothing")


def test_12_13_pictures_that_are_not_there(root):
    with h5py.File(root / STIMULI, "r") as file:
        here = np.array(load_subject(root).images.numbers)
        kept = {int(k): file["imgBrick"][int(k)] for k in here[2:]}
    with h5py.File(root / "new.h5", "w") as file:
        bricks = file.create_dataset("imgBrick", (73000, 425, 425, 3), "u1", chunks=(1, 425, 425, 3))
        for number, picture in kept.items():
            bricks[number] = picture
    os.replace(root / "new.h5", root / STIMULI)
    stops(root, STIMULI, "2 missing", f"{here[0]:,}, {here[1]:,}")
    with h5py.File(root / "new.h5", "w") as file:
        file.create_dataset("imgBrick", data=np.zeros((2, 425, 425, 3), np.uint8))
    os.replace(root / "new.h5", root / STIMULI)
    stops(root, STIMULI, f"{sum(here > 1)} missing")


def test_13_a_picture_whose_data_are_damaged(root):
    number = int(load_subject(root).images.numbers[0])
    with h5py.File(root / STIMULI, "r") as file:
        where = file["imgBrick"].id.get_chunk_info_by_coord((number, 0, 0, 0))
    data = bytearray((root / STIMULI).read_bytes())
    data[where.byte_offset + 20 : where.byte_offset + 60] = bytes(40)
    write(root / STIMULI, bytes(data))
    stops(root, STIMULI, f"expected picture {number:,}, found data that cannot be read")


def test_14_labels_without_a_name_and_other_tables(root):
    write(root / LABELS / "floc-faces.mgz.ctab", ctab(("OFA", "FFA-1", "FFA-2")))
    warns(root, "floc-faces.mgz.ctab: expected a name for every label, found labels without one: 4, 5")
    write(root / LABELS / "floc-faces.mgz.ctab", b"\x89PNG\r\n\x1a\n not a table")
    warns(root, "floc-faces.mgz.ctab", "the published names are used")
    assert "aTL-faces" in load_subject(root).rois


def test_the_tables_own_names_win(root):
    write(
        root / LABELS / "floc-words.mgz.ctab",
        b"# words\n0\tUnknown 0 0 0 0\n 1  VWFA-1\t\n2 OWFA 25 5 25 0\n3 c\n4 d\n5 e",
    )
    first = load_subject(root).rois
    write(root / LABELS / "floc-words.mgz.ctab", ctab(("OWFA", "VWFA-1", "c", "d", "e")))
    second = load_subject(root).rois
    assert np.array_equal(first["VWFA-1"], second["OWFA"]) and first["VWFA-1"].any() and "VWFA" in first


def test_15_an_empty_roi(root):
    for hemi in ("lh", "rh"):
        data = (root / LABELS / f"{hemi}.floc-faces.mgz").read_bytes()
        import gzip

        labels = np.frombuffer(gzip.decompress(data), ">f4", offset=284)[:-5]
        write_mgh(root / LABELS / f"{hemi}.floc-faces.mgz", np.where(np.isin(labels, (2, 3)), 0, labels))
    warns(root, "found none in FFA, FFA-1, FFA-2")


def test_labels_of_another_length_than_their_surface(root):
    write_mgh(root / LABELS / "rh.floc-places.mgz", np.ones(100))
    warns(root, "expected native vertices from 1 to 100", "the regions of floc-places are missing")
    subject = load_subject(root)
    assert "PPA" not in subject.rois and "V1" in subject.rois


def test_17_too_few_pictures(tmp_path):
    root = make_nsd(tmp_path / "nsd", sessions=1, trials=12)
    stops(root, "at least 10 different pictures", "found 8")


def test_18_a_full_disk(root, monkeypatch):
    gigabyte = shutil._ntuple_diskusage(10**9, 10**9, 1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: gigabyte)
        findings = check(root)
        (line,) = [p.line() for p in findings.problems if p.severity == "stops"]
        with pytest.raises(InputError) as error:
            load_subject(root)
        assert str(error.value) == line
        assert "0.00 GB for the responses" in line and "choose fewer sessions or an ROI" in line

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(nsd_betas, "take_space", full)
        with pytest.raises(InputError, match="No space left on device"):
            load_subject(root)
    from factortopy.storage.home import cache_dir

    assert not [path for path in cache_dir("subjects").iterdir() if path.is_dir()]  # nothing half is left
    assert load_subject(root).n_trials == 36


def test_18_a_disk_that_fills_while_writing(root, tmp_path):
    """A real limit of the system on the size of a file."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "import factortopy\n"
        "try: factortopy.load_subject(sys.argv[1])\n"
        "except factortopy.InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, env=child_environment())
    assert "for the responses" in done.stdout and done.stderr == "", done.stderr
    assert load_subject(root).n_trials == 36


def test_killed_while_writing(root):
    """kill -9 at any moment leaves nothing that is taken for whole."""
    whole = np.array(load_subject(root).responses)
    from factortopy.storage.home import cache_dir

    code = (
        "import sys, factortopy.subjects.nsd.betas as b\n"
        "write = b._write_all\n"
        "def slow(file, block):\n"
        "    write(file, block[: len(block) // 2]); print('half', flush=True)\n"
        "    import time; time.sleep(60)\n"
        "b._write_all = slow\n"
        "import factortopy; factortopy.load_subject(sys.argv[1])\n"
    )
    shutil.rmtree(cache_dir("subjects"))
    process = subprocess.Popen(
        [sys.executable, "-c", code, root], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.suffix for path in cache_dir("subjects").iterdir() if path.is_dir()] == [".part"]
    start = time.monotonic()
    assert np.array_equal(load_subject(root).responses, whole) and time.monotonic() - start < 30


def test_19_truncated_and_pointers(root):
    data = (root / SESSION).read_bytes()
    for content, words in (
        (data[: len(data) // 2], "truncated, or its header lies"),
        (data[:100], "100 bytes: truncated"),
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s491526000--0.mgh\n", "git annex get"),
        (b"<!DOCTYPE html><html>" + bytes(500), "web page"),
    ):
        write(root / SESSION, content)
        stops(root, SESSION, words)
    (root / SESSION).unlink()
    (root / SESSION).symlink_to(root / "gone")
    stops(root, SESSION, "a link to a file that is not here; fetch it (git annex get, git lfs pull)")


def test_19_cut_and_flipped_mgz(root):
    path = root / GENERAL / "rh.nsdgeneral.mgz"
    data = bytearray(path.read_bytes())
    write(path, bytes(data[:-9]))
    stops(root, "rh.nsdgeneral.mgz: expected a whole gzipped MGH file, found a truncated one")
    data[-6] ^= 1  # the checksum alone
    write(path, bytes(data))
    stops(root, "rh.nsdgeneral.mgz", "found a damaged one")


def test_an_empty_mask(root):
    for hemi in ("lh", "rh"):
        write_mgh(root / GENERAL / f"{hemi}.nsdgeneral.mgz", np.zeros(FULL))
    stops(root, "mask: expected vertices in nsdgeneral, found none")


def test_one_hemisphere_of_the_mask_may_be_empty(root):
    write_mgh(root / GENERAL / "lh.nsdgeneral.mgz", -general_mask("lh"))
    subject = load_subject(root)
    assert (subject.hemi == 1).all() or subject.vertex[subject.hemi == 0].tolist() == list(range(100, 200))


@pytest.mark.parametrize("name", [EXPDESIGN, STIMULI, GENERAL + "/lh.nsdgeneral.mgz", LOG.format("subj01")])
def test_20_a_pickle_in_place_of_a_file_is_never_run(root, name, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    write(root / name, pickle.dumps(Bomb()))
    stops(root, name)
    assert not (tmp_path / "exploded").exists()


def test_21_the_log_disagrees_with_the_design(root):
    path = root / LOG.format("subj01")
    lines = path.read_text().splitlines()
    words = lines[1 + 12 + 4].split("\t")
    words[4] = str(int(words[4]) % 73000 + 1)
    lines[1 + 12 + 4] = "\t".join(words)
    write(path, "\n".join(lines).encode())
    stops(root, LOG.format("subj01"), "in session 2, trial 5, as nsd_expdesign.mat has it", "so in 1 of this session")
    write(path, "\n".join(lines[:20]).encode())
    stops(root, "expected 12 trials of session 2, found 7")
    write(path, b"a,b\n1,2\n")
    stops(root, "a column SESSION, 73KID, found a, b")
    path.unlink()
    assert any("responses.tsv is not here" in note for note in load_subject(root).notes)


def test_22_no_noise_ceiling(root):
    (root / FOLDER / "rh.ncsnr.mgh").unlink()
    warns(root, "rh.ncsnr.mgh", "until then only raw R² is shown")
    assert load_subject(root).noise_ceiling is None


def test_designs_that_do_not_fit(root):
    design = loadmat(root / EXPDESIGN)
    for name, values, words in (
        ("masterordering", design["masterordering"] - 1, "expected masterordering from 1 to 10,000, found 0 to"),
        ("masterordering", design["masterordering"][:, :-1], "expected masterordering, 1 × 30,000 numbers"),
        ("subjectim", design["subjectim"] + 0.5, "fractions or missing values"),
        ("subjectim", design["subjectim"] * np.nan, "fractions or missing values"),
        ("subjectim", design["subjectim"] + 1, "expected subjectim from 1 to 73,000"),
        ("subjectim", None, "expected subjectim, 8 × 10,000 numbers, found none"),
        ("subjectim", np.full((8, 10000), "a"), "found none"),
    ):
        save_design(root, **{k: v for k, v in design.items() if k[0] != "_"} | {name: values})
        stops(root, EXPDESIGN, words)
    for dtype in ("uint16", "int32", ">f8"):  # MATLAB stores numbers as small as they fit
        save_design(root, masterordering=design["masterordering"].astype(dtype), subjectim=design["subjectim"])
        assert load_subject(root).n_trials == 36


def test_no_transforms_and_no_labels(root):
    shutil.rmtree(root / "nsddata/ppdata/subj01/transforms")
    shutil.rmtree(root / GENERAL.replace("label", "nothing"), ignore_errors=True)
    warns(root, "white-to-fsaverage.mgz", "this subject's own regions (V1, FFA, …) are missing")
    with pytest.raises(InputError, match="expected .nsdgeneral., .all. or a region, found 'V1'"):
        load_nsd(root, 1, mask="V1")
