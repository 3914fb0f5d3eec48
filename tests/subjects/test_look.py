"""Looking through a data set: how far it is, the way out, damage beyond the pictures looked at, sets of areas."""

import os
from dataclasses import replace

import av
import numpy as np
import pytest
from plain_folder import clone, make_film_folder, make_folder, table, write

from factortopy.errors import Stopped
from factortopy.subjects import layouts, progress
from factortopy.subjects.area_sets import area_sets
from factortopy.subjects.check import check
from factortopy.subjects.picture_files import SAMPLE, spread
from factortopy.subjects.preview import preview

N = 60


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("look"), trials=N)


@pytest.fixture
def folder(original, tmp_path):
    return clone(original, tmp_path)


def damage(path):
    """Zeros inside a picture's data: both ends stay as they are."""
    data = path.read_bytes()
    middle = len(data) // 2
    write(path, data[: middle - 8] + bytes(16) + data[middle + 8 :])


def test_every_step_is_told_and_ends(folder):
    steps_seen = []
    with progress.listening(steps_seen.append):
        preview(str(folder))
    steps = {}
    for step in steps_seen:
        assert 0 <= step.done < step.total and (step.remaining is None or step.remaining >= 0)
        steps.setdefault(step.words, []).append(step.done)
    assert steps["looking at the ends of the picture files"] == list(range(N))
    assert steps["decoding pictures"] == list(range(SAMPLE)) and "testing the order of the pictures" in steps
    steps_seen.clear()
    preview(str(folder))
    assert not steps_seen  # nobody listens any more


@pytest.mark.parametrize(
    "words", ["looking at the ends of the picture files", "reading the responses", "reading the first pictures"]
)
def test_it_can_be_stopped(folder, words):
    steps_seen = []

    def listener(step):
        steps_seen.append(step)
        return step.words != words

    with pytest.raises(Stopped), progress.listening(listener):
        preview(str(folder))
    assert steps_seen[-1].words == words


def test_a_preview_examines_once_and_shows_before_it_tests_the_order(folder, monkeypatch):
    looked, shown = [], []
    layout = next(one for one in layouts.LAYOUTS if "folder" in one.name)
    counted = replace(layout, examine=lambda *a, **k: looked.append(a) or layout.examine(*a, **k))
    monkeypatch.setattr(layouts, "LAYOUTS", (counted,))
    look = preview(str(folder), show=shown.append)
    assert len(looked) == 1 and len(shown) == 1
    assert shown[0].order is None and look.order.pictures == N
    np.testing.assert_array_equal(shown[0].responses, look.responses)


def test_damage_beyond_the_pictures_looked_at(folder):
    spared = sorted(set(range(N)) - set(spread(N, SAMPLE).tolist()))[:7]
    for k in spared:
        damage(folder / f"images/picture-{k:03d}.png")
    findings = check(str(folder))
    assert (
        not findings.stops
        and findings.sampled
        and findings.facts["looked at"] == f"{SAMPLE} of {N} pictures decoded, evenly spread"
    )
    assert any("--all" in line for line in findings.lines())
    findings = check(str(folder), thorough=True)
    assert findings.stops and not findings.sampled and not any("--all" in line for line in findings.lines())
    assert findings.facts["looked at"] == f"all {N} pictures decoded"
    lines = [problem.line() for problem in findings.problems if problem.severity == "stops"]
    assert len(lines) == 6 and f"picture-{spared[0]:03d}.png: expected a whole picture, found" in lines[0]
    assert "2 besides these that cannot be read" in lines[-1] and f"picture-{spared[6]:03d}.png" in lines[-1]


def test_the_command_line_looks_at_all(folder, capsys):
    from factortopy.cli.main import main

    damage(folder / "images/picture-001.png")
    assert main(["check", str(folder)]) == 0
    assert "Some pictures were decoded" in capsys.readouterr().out
    assert main(["check", str(folder), "--all"]) == 2
    out = capsys.readouterr()
    assert "picture-001.png: expected a whole picture" in out.out and not out.err  # no progress beside a file


def test_frames_of_a_film_beyond_those_looked_at(tmp_path):
    folder = make_film_folder(tmp_path)
    frames = sorted((folder / "stimuli/film-0").iterdir())
    damage(frames[sorted(set(range(len(frames))) - set(spread(len(frames), SAMPLE).tolist()))[0]])
    findings = check(str(folder))
    assert not findings.stops and f"{SAMPLE} of {len(frames)} frames decoded" in findings.facts["looked at"]
    assert check(str(folder), thorough=True).stops


@pytest.mark.parametrize("size", [4, 3000])
def test_a_damaged_film_is_told(tmp_path, size):
    folder = make_film_folder(tmp_path, runs=1)
    film, rows = folder / "stimuli/film.mp4", 200
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (48, 48, 3), np.uint8)
    with av.open(str(film), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuv420p"
        for k in range(5 * rows):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, k, 0), format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    table(folder, stimulus=["film.mp4"] * rows, run=[1] * rows)
    assert "all of film.mp4 decoded" in check(str(folder)).facts["looked at"]
    whole = film.read_bytes()
    write(film, whole[: len(whole) // 2] + rng.bytes(size) + whole[len(whole) // 2 + size :])
    os.utime(film, (1, 1))
    for _ in range(2):  # the second time from what was kept of it
        lines = [problem.line() for problem in check(str(folder)).problems]
        assert any(
            "film.mp4: expected a whole film, found" in line and "copy the film again" in line for line in lines
        ), lines


def test_sets_of_areas():
    names = (
        "V1",
        "V1v",
        "V1d",
        "hV4",
        "FFA",
        "FFA-1",
        "EBA",
        "LO",
        "early",
        "ecc1",
        "Kastner2015 V1v",
        "Kastner2015 hV4",
        "empty",
    )
    rois = {name: np.arange(3) < (name != "empty") for name in names}
    sets = area_sets(rois)
    assert next(iter(sets)) == "main areas" and sets["main areas"] == ["V1", "hV4", "FFA", "EBA", "LO"]
    assert sets["their parts"] == ["V1v", "V1d", "FFA-1"] and sets["streams"] == ["early"]
    assert sets["Kastner2015"] == ["Kastner2015 V1v", "Kastner2015 hV4"] and sets["none"] == []
    assert "empty" not in sum(sets.values(), [])
    assert area_sets({}) == {"none": []}
    many = {f"area {chr(97 + k)}{k}": np.ones(3, bool) for k in range(30)}
    assert list(area_sets({name.replace(" ", "-"): mask for name, mask in many.items()})) == ["other areas", "none"]
    # A part whose whole is not listed stands for itself.
    assert area_sets({"FFA-1": np.ones(3, bool)})["main areas"] == ["FFA-1"]
