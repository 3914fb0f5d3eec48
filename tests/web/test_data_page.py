"""The Data page: a demo subject, an Algonauts folder with what is wrong in it, a path that leads nowhere."""

import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, follow, words

from factortopy.subjects import demo


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(demo, "load_demo", partial(demo.load_demo, n_pictures=60))
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/data.py").run()


def until_there(at, seconds=120):
    end = time.monotonic() + seconds
    while not (at.error or at.subheader):
        assert time.monotonic() < end
        time.sleep(0.3)
        at.run()
    return at


def until_done(at, seconds=120):
    """Until the order of the pictures has been tested, too."""
    end = time.monotonic() + seconds
    while not any(one.label == "Look again" for one in at.button):
        assert time.monotonic() < end and not at.exception
        time.sleep(0.3)
        at.run()
    return at


def button(at, label):
    return next(one for one in at.button if one.label == label)


def test_first_sight_says_what_to_do(data):
    said = words(data)
    assert not data.exception and "What is in my folder?" in said
    assert all(name in said for name in ("Algonauts 2023", "NSD", "a plain folder", "dataset.json"))
    assert "An example" in said and "simulated" in said  # a brain at once, nothing is rendered for it
    at = button(data, "Get the data").click().run()
    said = words(at)
    assert not at.exception and "nsd_expdesign.mat" in said and "training_fmri" in said and "trials.tsv" in said
    assert "](" not in said.replace("](http", "")  # links between pages lead nowhere here


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A folder whose pictures are looked at only when the event is set."""
    from plain_folder import make_folder

    from factortopy.subjects import picture_files
    from pages.parts import subjects

    go_on, real = threading.Event(), picture_files.looks_whole
    monkeypatch.setattr(picture_files, "looks_whole", lambda path: go_on.wait(60) and real(path))
    monkeypatch.setattr(subjects, "AT_ONCE", 0.1)
    yield make_folder(tmp_path, trials=60), go_on
    go_on.set()


def run_until(at, there, seconds=60):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end and not at.exception, (far(at), words(at))
        time.sleep(0.1)
        at.run()


def far(at):
    """What the progress bar says."""
    return "".join(bar.proto.text for bar in at.get("progress")).replace("\\", "")


def test_a_long_look_says_how_far_and_can_be_stopped(data, slow):
    folder, go_on = slow
    at = data.text_input[0].set_value(str(folder)).run()
    run_until(at, lambda: "Looking at the ends of the picture files: 0 of 60" in far(at))
    at = button(at, "Stop").click().run()
    go_on.set()
    run_until(at, lambda: at.info)
    assert "Stopped" in at.info[0].value
    at = until_there(button(at, "Look again").click().run())
    assert not at.error and "What was found" in words(at)


def test_train_says_how_far_and_can_be_stopped_too(slow):
    folder, go_on = slow
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.query_params["subject"] = str(folder)
    at = at.switch_page("pages/train.py").run()
    run_until(at, lambda: "0 of 60" in far(at))
    at = button(at, "Stop").click().run()
    go_on.set()
    run_until(at, lambda: "Stopped before" in words(at))
    at = button(at, "Look through the folder").click().run()
    run_until(at, lambda: "60 trials" in words(at))
    assert not at.error


def test_every_picture_is_looked_at_when_asked(data, tmp_path):
    from plain_folder import make_folder, write

    def looked(at):
        return " ".join(at.table[0].value["found"]).replace("\\", "")

    folder = make_folder(tmp_path, trials=60)
    at = until_done(data.text_input[0].set_value(str(folder)).run())
    assert not at.error and "24 of 60 pictures decoded" in looked(at)
    at = until_done(button(at, "Look at every picture").click().run())
    assert not at.error and "all 60 pictures decoded" in looked(at)
    path = folder / "images/picture-001.png"  # none of the 24, but the first pictures are shown
    good = path.read_bytes()
    write(path, good[:-60] + bytes(30) + good[-30:])
    at = until_done(button(at, "Look again").click().run())
    assert "picture-001.png': expected a whole picture" in " ".join(e.value for e in at.error).replace("\\", "")
    assert "24 of 60" in looked(at)  # what was found stays


def test_a_demo_subject_is_shown(data):
    at = button(data, "Demo subject").click().run()
    assert at.sidebar.selectbox[0].value == "demo-1"
    at = until_done(at)
    assert not at.exception and not at.error
    said = words(at)
    assert "What was found" in said and "local contrast" in said and "picture 5" in said
    assert "vertices" in at.table[0].value[""].tolist() and "ROIs" not in at.table[0].value[""].tolist()
    areas = at.dataframe[0].value
    assert {"V1", "FFA"} <= set(areas["area (simulated)"]) and (areas["vertices"] > 0).all()
    assert at.query_params["subject"] in ("demo-1", ["demo-1"])
    outlines = next(box for box in at.selectbox if box.label == "Outlines")
    assert outlines.value == "main areas" and outlines.options[-1] == "None"
    assert not outlines.set_value("none").run().exception
    follow(at, "Train an encoder on it")
    assert (
        not at.exception
        and at.sidebar.selectbox[0].value == "demo-1"
        and at.query_params["subject"] in ("demo-1", ["demo-1"])
    )


def test_a_folder_is_handed_to_train(tmp_path, monkeypatch):
    from plain_folder import make_folder

    folder = make_folder(tmp_path, trials=60)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.query_params["subject"] = str(folder)  # as the address says it
    at = until_there(at.switch_page("pages/data.py").run())
    assert not at.exception and at.text_input[0].value == str(folder)
    said = words(at)
    assert "picture\\-000\\.png" in said and "What was found" in said
    from factortopy.subjects import check

    def never(*_, **__):
        raise AssertionError("the folder is looked through a second time")

    monkeypatch.setattr(check, "look_through", never)  # Train takes over what was found
    follow(at, "Train an encoder on it")
    assert not at.exception and not at.error
    assert at.sidebar.text_input[0].value == str(folder) and not at.sidebar.button[0].disabled
    assert "60 trials" in words(at).replace("\\", "")


def test_a_path_that_leads_nowhere_is_said(data, tmp_path):
    at = data.text_input[0].set_value(str(tmp_path / "no")).run()
    at.run()
    assert not at.exception and len(at.error) >= 1


def test_a_folder_without_a_data_set_is_no_dead_end(data, tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    at = until_done(data.text_input[0].set_value(str(tmp_path)).run())
    said = at.warning[0].value.replace("\\", "")
    assert not at.exception and not at.error and "notes.txt" in said
    assert [line for line in said.split("\n") if line.startswith("- ")] == [
        "- training_split/ and roi_masks/ (Algonauts 2023)", "- nsddata_betas/ and nsddata/ (NSD)",
        "- dataset.json and responses/ (folder layout)",
    ]  # fmt: skip
    assert "An example" in words(at)
    at = button(at, "Demo subject").click().run()
    assert not at.exception and at.sidebar.selectbox[0].value == "demo-1"


def test_the_demo_subject_keeps_the_picture_that_was_shown_first():
    from pages.parts import data_start

    shown = data_start.example()
    found = replace(
        shown, pictures=None, names=["another"], responses=shown.responses[:1], ceiling=np.ones(len(shown.vertices))
    )
    kept = data_start.as_shown(found)
    assert kept.names == shown.names and kept.responses is shown.responses and kept.ceiling is found.ceiling
    assert data_start.as_shown(None) is shown
    number = int(shown.names[0].split()[-1])  # from 1, as the data set counts them
    loaded = demo.load_demo(1, n_pictures=20)
    assert loaded.picture_name(number - 1) == shown.names[0]
    assert np.abs(loaded.image(number - 1).astype(float) - shown.pictures[0]).mean() < 12


def test_every_problem_of_a_folder_is_listed(data, tmp_path):
    from algonauts_folder import make_algonauts

    folder = make_algonauts(tmp_path)
    np.save(folder / "training_split" / "training_fmri" / "lh_training_fmri.npy", np.zeros((5, 3), np.float32))
    (folder / "training_split" / "training_fmri" / "rh_training_fmri.npy").write_bytes(b"cut")
    at = until_there(data.text_input[0].set_value(str(folder)).run())
    assert not at.exception and "has to be mended" in words(at) and "Look again" in [one.label for one in at.button]
    assert "19,004 left" in " ".join(at.table[0].value["found"]).replace("\\", "")
    assert {"V1", "FFA"} <= set(at.dataframe[0].value["area"])
    assert sum("fmri.npy" in e.value.replace("\\", "") for e in at.error) >= 2
