"""What a newcomer's folders meet: everything that could be read is told beside what is wrong, and each problem once."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from plain_folder import clone, make_film_folder, make_folder, table, write

from factortopy.errors import InputError
from factortopy.formats.problems import close_to, foreign
from factortopy.storage.files import read_json
from factortopy.subjects import check as check_module
from factortopy.subjects.layouts import find, subjects_in
from factortopy.subjects.loading import load_subject
from factortopy.subjects.preview import preview
from factortopy.wording import count, score_text

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture
def folder(original, tmp_path):
    return clone(original, tmp_path)


def check(path, **how):
    return check_module.check(str(path), **how)


def lines(findings, severity="stops"):
    return [problem.line() for problem in findings.problems if problem.severity == severity]


# ---------------------------------------------------------------- what could be read is shown beside what is wrong


def test_one_stop_hides_no_fact(folder):
    (folder / "images/picture-003.png").unlink()
    findings = check(folder)
    assert findings.stops and findings.facts["trials"] == "24" and findings.facts["vertices"] == "40 left, 40 right"
    areas = {area.name: area for area in findings.areas}
    # Labels 0 … 3 go round over 40 vertices a hemisphere; ncsnr 1 of single trials is a ceiling of one half.
    assert areas["V1v"].vertices == 20 and areas["V1"].vertices == 40 and areas["V1v"].part_of == "V1"
    assert areas["V1"].ceiling == pytest.approx(0.5) and areas["FFA"].part_of == ""
    assert "V1 40" in findings.facts["ROIs"] and findings.facts["noise ceiling"].startswith("mean 0.50")
    assert any("trials" in line and "24" in line for line in findings.lines())
    assert "24 trials" in findings.sentence() and "80 vertices" in findings.sentence()


def test_facts_of_a_damaged_algonauts_folder(tmp_path):
    from algonauts_folder import make_algonauts

    folder = make_algonauts(tmp_path, trials=12, tests=0)
    (folder / "training_split/training_fmri/rh_training_fmri.npy").write_bytes(LFS)
    findings = check(folder)
    (stop,) = lines(findings)
    assert "Git-LFS pointer" in stop and "the picture" not in stop
    assert findings.facts["trials"] == "12" and findings.facts["pictures"] == "12"
    assert findings.facts["vertices"] == "19,004 left, 20,544 right"
    assert {"V1", "FFA"} <= {area.name for area in findings.areas} and "noise ceiling" in findings.facts


def test_a_lost_hemisphere_warns(folder):
    (folder / "responses/hemi-L.npy").rename(folder / "responses/left.npy")
    findings = check(folder)
    (warning,) = [line for line in lines(findings, "warning") if "hemi-L.npy" in line]
    assert "left hemisphere" in warning and "vertices/hemi-L.npy" in warning and not findings.stops
    for part in ("vertices", "roi", "noise", "maps"):
        for path in (folder / part).glob("hemi-L*"):
            path.unlink()
    assert not any("hemi-L" in line for line in lines(check(folder), "warning"))


def test_a_folder_without_dataset_json_is_known_by_its_other_files(folder):
    (folder / "dataset.json").unlink()
    findings = check(folder)
    (stop,) = lines(findings)
    assert "dataset.json" in stop and "looks like the folder layout" in stop and '"density"' in stop
    assert findings.facts["trials"] == "24"
    assert "dataset.json" in lines(check(folder.parent))[0]
    with pytest.raises(InputError, match="looks like the folder layout"):
        load_subject(folder)


def test_responses_without_pictures_are_no_data_set(tmp_path):
    write(tmp_path / "x/responses/hemi-L.npy", np.zeros((3, 4), np.float32))
    write(tmp_path / "y/images/a.png", b"")
    (tmp_path / "y/responses").mkdir()
    for name in "xy":
        with pytest.raises(InputError, match="none of these"):
            find(tmp_path / name)


def test_data_sets_at_different_depths_are_all_listed(original, tmp_path):
    shutil.copytree(original, tmp_path / "all/anna")
    shutil.copytree(original, tmp_path / "all/more/bert")
    assert subjects_in(tmp_path / "all") == ["anna", "bert"]
    with pytest.raises(InputError, match="anna, bert"):
        find(tmp_path / "all")
    assert find(tmp_path / "all", "bert")[1] == tmp_path / "all/more/bert"


# ---------------------------------------------------------------- each problem once, in the right words


def test_one_cause_warns_once(folder):
    (folder / "roi/visual.tsv").unlink()
    assert len([line for line in lines(check(folder), "warning") if "visual.tsv" in line]) == 1


def test_a_pointer_is_not_called_a_picture(folder):
    write(folder / "responses/hemi-L.npy", LFS)
    (stop,) = lines(check(folder))
    assert "Git-LFS pointer instead of the file" in stop and "git lfs pull" in stop and "picture" not in stop
    assert foreign(b"hello there, this is text\n") == "plain text" and foreign(b"\0\1\2\3") == "a file of another kind"


def test_a_renamed_file_is_named_beside_the_gap(folder):
    (folder / "images/picture-003.png").rename(folder / "images/Picture_003.png")
    (stop,) = lines(check(folder))
    assert "1 picture that does not exist: picture-003.png (is it Picture_003.png?)" in stop
    names = ["rh_training_fmri.npy", "lh_training_fmri (1).npy", "hemi-R.npy", "picture-004.png"]
    assert close_to("hemi-L.npy", names) == close_to("picture-003.png", names) == ""
    assert close_to("hemi-L.npy", ["hemi_L.npy", "hemi-R.npy"]) == " (is it hemi_L.npy?)"


def test_a_renamed_algonauts_picture(tmp_path):
    from factortopy.subjects.algonauts.pictures import list_images

    for k in (1, 2, 3):
        write(tmp_path / f"train-{k:04d}_nsd-{k * 100:05d}.png", b"")
    (tmp_path / "train-0002_nsd-00200.png").rename(tmp_path / "train_0002_nsd_00200.png")
    with pytest.raises(InputError, match=r"no picture 2 \(but train_0002_nsd_00200.png: renamed\?\)"):
        list_images(tmp_path, "train")


def test_words():
    assert (
        count(1, "picture") == "1 picture" and count(9841, "row") == "9,841 rows" and count(2, "vertex") == "2 vertices"
    )
    assert (
        score_text(0.1234) == "0.123"
        and "worse than the mean" in score_text(-824.242)
        and "824" not in score_text(-824.2)
    )
    with pytest.raises(InputError) as raised:
        find("tests")
    assert "demo-1, demo-2, demo-3" in str(raised.value)


def test_the_last_step_is_told():
    from factortopy.cli.progress import Ticker

    out = io.StringIO()
    ticker = Ticker(out)
    for step in (1, 2, 3):
        ticker({"stage": "fit", "step": step, "total": 3})
    assert out.getvalue().splitlines() == ["fit · 1 of 3", "fit · 3 of 3"]


def test_score_prints_the_challenge_metric(tmp_path, capsys):
    from factortopy.cli.main import main
    from factortopy.storage.files import write_json
    from factortopy.storage.home import assets_dir

    run = shutil.copytree(assets_dir() / "runs" / "demo-vit_demo-1", tmp_path / "run")
    record = read_json(run / "run.json")
    for row in record["scores"]:
        row |= {"pearson_normalised": 0.3126, "algonauts_2023": 0.25, "challenge": 0.77}  # of before: another meaning
    write_json(run / "run.json", record | {"scores": record["scores"], "ceiling_note": "of other pictures"})
    assert main(["score", str(run)]) == 0
    out = capsys.readouterr().out
    assert "Algonauts 2023" in out and "0.313" in out and "0.250" in out and "0.77" not in out and "1e-14" in out
    assert "note: of other pictures" in out
    record["scores"][0]["score"] = -824.242
    write_json(run / "run.json", record)
    assert main(["score", str(run)]) == 0 and "worse than telling the mean" in capsys.readouterr().out


def test_few_pictures_and_memory(folder):
    findings = check(folder)
    assert any("100 training pictures" in line for line in lines(findings, "warning"))
    assert float(findings.facts["memory"].split(" GB")[0]) >= 1.0 and "PyTorch" in findings.facts["memory"]


def test_check_takes_a_density(tmp_path, capsys):
    from factortopy.cli.main import main

    folder = make_folder(tmp_path, density="41k")
    assert main(["check", str(folder), "--density", "10k"]) == 0
    assert "on the 10k mesh" in capsys.readouterr().out
    assert main(["check", str(folder), "--density", "12k"]) == 2 and "'12k'" in capsys.readouterr().out


# ---------------------------------------------------------------- films


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return make_film_folder(tmp_path_factory.mktemp("films"), delay=3, trs=130)


def test_a_damaged_frame_stops_before_training(watched, tmp_path):
    folder = clone(watched, tmp_path)
    frame = folder / "stimuli/film-1/00007.png"
    write(frame, frame.read_bytes()[:60])
    (stop,) = lines(check(folder))
    assert "stimuli/film-1" in stop and "00007.png" in stop and "incomplete" in stop


def test_a_frame_damaged_within_is_named_with_its_folder(tmp_path):
    from small_network import SmallNetwork

    from factortopy.features.extraction import compute

    path = tmp_path / "stimuli/film-0/00003.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="film-0/00003.png"):
        compute(SmallNetwork(), [path])


def test_responses_of_a_film_are_those_of_its_delays(watched):
    subject = load_subject(watched)
    middle = subject.film.image_index
    # TR 10 of the first run answers in TRs 12 to 20; the last TR but two of a run has one TR left, the last none.
    assert subject.answers(int(middle[10])).tolist() == list(range(12, 21))
    assert subject.answers(int(middle[127])).tolist() == [129] and len(subject.answers(int(middle[129]))) == 0
    look = preview(str(watched))
    assert look.delays == "2 to 10 TRs (2 to 10 s)" and look.names[0].startswith("film-0/")
    shown = [int(i) for i in np.unique(middle)][:24]
    rows = np.array([subject.answers(i) for i in shown])
    means, sample = subject.responses[rows].mean(1), subject.responses  # 260 rows: all are looked at
    np.testing.assert_allclose(look.responses, (means - sample.mean(0)) / sample.std(0), atol=1e-4)
    assert not look.order.suspicious and "2 to 10 TRs" in look.order.sentence()


def test_left_out_trs_are_explained(watched):
    text = check(watched).facts["split"]
    subject = load_subject(watched)
    n = 260 - sum(len(part) for part in (subject.split.train, subject.split.val, subject.split.test))
    assert n > 0 and f"{n} TRs left out" in text and "gaps of 16 TRs (16 s)" in text
    assert "2 runs, 2 films" in check(watched).facts["film"]


# ---------------------------------------------------------------- names


def test_pictures_are_called_by_their_files_or_numbers(folder):
    look = preview(str(folder))
    assert look.names[:2] == ["picture-000.png", "picture-001.png"]
    from factortopy.subjects.nsd.images import NsdImages

    images = object.__new__(NsdImages)
    images.numbers = np.array([12, 844])
    assert images.label(1) == "nsd-00844"


def test_equal_file_names_in_two_folders_stay_apart(folder):
    for k in range(24):
        place = folder / f"images/part-{k % 2}"
        place.mkdir(exist_ok=True)
        (folder / f"images/picture-{k:03d}.png").rename(place / f"{k // 2:02d}.png")
    table(folder, image=[f"part-{k % 2}/{k // 2:02d}.png" for k in range(24)], session=np.arange(24) // 8)
    names = preview(str(folder)).names
    assert len(set(names)) == 24 and names[0].startswith("00.png")
