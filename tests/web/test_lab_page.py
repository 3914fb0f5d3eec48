"""The lab and the video page as Streamlit runs them: choose, run, see, take away; protocols; what is wrong is said."""

import io
import json
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from in_process import serve
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, words

from factortopy.experiments import protocol as protocols
from factortopy.experiments.result import Result
from factortopy.jobs import queue
from factortopy.runs.run import find_run
from pages.parts.background import tasks

SHIPPED = "demo-vit_demo-1"


@pytest.fixture
def lab(monkeypatch):
    serve(monkeypatch)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    return at.run().switch_page("pages/lab.py").run()


def choose(at, experiment):
    at.session_state["experiment"] = experiment
    return at.run()


def press(at, label):
    return next(b for b in at.button if b.label == label).click().run()


def until_done(at, seconds=120):
    end = time.monotonic() + seconds
    while any(b.label == "Stop" for b in at.button):
        assert time.monotonic() < end, "the experiment did not end"
        time.sleep(0.3)
        at.run()
    return at


def test_first_sight_says_what_to_do(lab):
    assert not lab.exception and not lab.error
    assert "Not run yet" in words(lab) and any(b.label == "Run" for b in lab.button)


@pytest.mark.parametrize("experiment", protocols.EXPERIMENTS)
def test_every_experiment_has_its_controls(lab, experiment):
    at = choose(lab, experiment)
    assert not at.exception and not at.error
    for kind in (at.selectbox, at.slider, at.multiselect, at.toggle, at.text_input):
        for widget in kind:
            assert widget.help, f"{experiment}: {widget.label}"


def taken_away(at, monkeypatch):
    """The zip of the shown result; its drawings have a test of their own, and are left out here."""
    for name in ("flat_png", "flat_svg"):
        monkeypatch.setattr(f"factortopy.export.result.{name}", lambda one, path, **_: path.write_bytes(b"") or path)
    at.button(key="make result").click().run()
    end = time.monotonic() + 30
    while not (ended := [t for key, t in tasks.all().items() if key.startswith("result of") and t.state == "finished"]):
        assert time.monotonic() < end and not at.exception and not at.error
        time.sleep(0.1)
    at.run()
    assert any("Save them (zip)" in b.proto.label for b in at.get("download_button"))
    return zipfile.ZipFile(io.BytesIO(ended[0].result))


def test_run_see_and_find_again(lab, monkeypatch):
    at = choose(lab, "localizer")
    next(s for s in at.slider if s.label == "Pictures a category").set_value(4).run()
    until_done(press(at, "Run"))
    assert not at.exception and not at.error
    assert "faces against bodies, scenes, objects, words" in words(at) and "simulated" in words(at)
    protocol = {"experiment": "localizer", "settings": {"n": 4}}
    found = protocols.kept(find_run(SHIPPED), protocol)
    assert found is not None and set(found.numbers["agreement"]) >= {"FFA", "PPA"}
    # The page loaded again, which is a new session, shows the same.
    again = loaded_again(at)
    assert (
        "faces against bodies, scenes, objects, words" in words(again)
        and again.session_state["experiment"] == "localizer"
    )
    assert next(s for s in again.slider if s.label == "Pictures a category").value == 4
    with taken_away(at, monkeypatch) as archive:
        names = set(archive.namelist())
        assert {"protocol.json", "result.json", "result.safetensors", "pictures/faces-000.png"} <= names
        maps = [name.replace("_simulated", "") for name in names if name.startswith("maps/")]
        for name in found.maps:
            assert {f"maps/hemi-L_{name}.func.gii", f"maps/flat_{name}.png", f"maps/flat_{name}.svg"} <= set(maps)
        table = pd.read_csv(archive.open("maps/maps_simulated.csv"))
    assert table["simulated"].all() and np.allclose(table["t"], found.maps["t"], rtol=1e-4, equal_nan=True)
    # Another setting shows the last result and says so.
    next(s for s in at.slider if s.label == "Pictures a category").set_value(5).run()
    assert "n 4 instead of 5" in words(at)


def test_retinotopy_stands_beside_what_is_known(lab):
    next(s for s in lab.selectbox if s.label == "Stimulus").set_value("wedges and rings").run()
    next(s for s in lab.slider if s.label == "Steps a sweep").set_value(8).run()
    next(s for s in lab.slider if s.label == "Repetitions").set_value(1).run()
    until_done(press(lab, "Run"))
    assert not lab.exception and not lab.error
    said = words(lab)
    assert "places have a fit" in said and "Truth (simulated)" in said
    beside = next(s for s in lab.selectbox if s.label == "Beside it")
    assert len(beside.options) == 3
    assert not beside.set_value("atlas").run().exception
    assert "an earlier version's test" not in said
    # A result of before the tests of today opens, and says so.
    protocol = {"experiment": "retinotopy", "settings": {"protocol": "wedges and rings", "steps": 8, "repetitions": 1}}
    before = protocols.kept(find_run(SHIPPED), protocol)
    for name in ("level", "lacking", "suppressed", "global"):
        del before.numbers[name]
    for score in (score for scores in before.numbers["agreement"].values() for score in scores.values()):
        del score["p"]
    before.numbers["floor"] = 0.31
    protocols.keep(before, find_run(SHIPPED))
    said = words(loaded_again(lab))
    assert "R² above 0.31, which shuffled frames reach in 5 % (an earlier version's test, which finds too many)" in said


def loaded_again(at):
    """What a new session shows at the same address."""
    new = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    for name, value in at.query_params.items():
        new.query_params[name] = value
    new.switch_page("pages/lab.py").run()
    assert not new.exception and not new.error and not new.warning
    return new


def test_the_address_names_the_experiment_also_before_it_has_run(lab):
    """... or where a control ends the page with a message; a change of controls stays."""
    at = choose(lab, "lesion")
    assert loaded_again(at).session_state["experiment"] == "lesion" and "job" not in at.query_params
    at = choose(at, "maximize")
    next(s for s in at.selectbox if s.label == "Drive").set_value("the clicked place").run()
    assert loaded_again(at).session_state["experiment"] == "maximize"
    assert "Click a coloured place" in at.info[0].value and len(at.get("bidi_component")) == 1  # a brain to click on
    at = choose(at, "motion")
    slider = next(s for s in at.slider if s.label == "Clips of each")
    slider.set_value(5).run().run()
    assert next(s for s in at.slider if s.label == "Clips of each").value == 5


GIVEN = {
    "lesion": {"channels": {"3": [1, 2, 3]}, "region": [-0.2, -0.2, 0.2, 0.2], "layers": ["block 4"], "doses": []},
    "maximize": {"target": {"roi": "PPA", "suppress": {"roi": "V1"}}, "seeds": [0, 3]},
    "retinotopy": {"noise": 4, "steps": 60},
    "motion": {"types": "grating"},
    "localizer": {"against": "scenes", "n": 5},
}


@pytest.mark.parametrize("experiment", GIVEN)
def test_an_opened_protocol_is_what_runs(lab, experiment):
    """Whatever it says, also what the controls cannot."""
    given = {"experiment": experiment, "settings": GIVEN[experiment]}
    uploader = next(u for u in lab.file_uploader if u.label == "Open a protocol")
    uploader.upload("mine.json", json.dumps(given).encode(), "application/json").run()
    lab.run()
    assert not lab.exception and not lab.error
    text = next(t for t in lab.text_area if t.label == "Protocol")
    assert json.loads(text.value) == protocols.complete(given)
    # Edited there, and left again for the controls.
    text.set_value(text.value.replace('"experiment"', '"experimant"')).run()
    assert len(lab.error) == 1 and not lab.exception
    press(lab, "Use the controls instead")
    assert not lab.text_area and not lab.exception


def opened_from_jobs(monkeypatch, experiment, settings):
    """The Lab as a link of the Jobs page opens it, and the complete protocol."""
    serve(monkeypatch)
    asked = {"run": SHIPPED, "protocol": {"experiment": experiment, "settings": settings}}
    job = queue.submit_job("simulate", asked, start=False)
    queue.cancel(job)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.query_params["job"] = job.key
    at.switch_page("pages/lab.py").run()
    assert not at.exception and not at.error
    return at, job.settings["protocol"]


SAID = [
    ("retinotopy", {"radius": 2.0, "bar_width": 0.6, "ring_width": 0.6, "noise": 1, "carrier": "picture"}),
    ("localizer", {"category": "scenes", "against": ["faces"], "n": 5}),
    ("lesion", {"channels": {"roi": "V1", "share": 0.29}, "layers": [2, 3], "gain": 0.5, "around": "zero"}),
    ("lesion", {"channels": None, "region": [0, -1, 1, 1]}),
    ("lesion", {"channels": None, "heads": [1], "propagate": True}),
    ("maximize", {"target": {"roi": "PPA", "suppress": {"roi": "V1"}}, "seeds": 2}),
    ("motion", {"types": ["grating"], "speed": 2.5}),
]


@pytest.mark.parametrize(("experiment", "settings"), SAID)
def test_an_experiment_of_the_queue_opens_as_the_controls(monkeypatch, experiment, settings):
    at, protocol = opened_from_jobs(monkeypatch, experiment, settings)
    assert not at.text_area and json.loads(at.code[0].value) == protocol
    assert "Run it again" in words(at)


@pytest.mark.parametrize("experiment", ["lesion", "maximize", "motion"])
def test_what_the_controls_cannot_say_opens_as_a_text(monkeypatch, experiment):
    at, protocol = opened_from_jobs(monkeypatch, experiment, GIVEN[experiment])
    assert json.loads(next(t for t in at.text_area if t.label == "Protocol").value) == protocol


def test_an_edited_protocol_runs(lab):
    given = {"experiment": "localizer", "settings": {"n": 5}}
    uploader = next(u for u in lab.file_uploader if u.label == "Open a protocol")
    uploader.upload("mine.json", json.dumps(given).encode(), "application/json").run()
    text = next(t for t in lab.text_area if t.label == "Protocol")
    text.set_value(text.value.replace('"n": 5', '"n": 4')).run()
    until_done(press(lab, "Run"))
    assert protocols.kept(find_run(SHIPPED), {"experiment": "localizer", "settings": {"n": 4}}) is not None


def test_controls_and_running_work_are_there_after_a_look_elsewhere(lab):
    at = choose(lab, "maximize")
    next(s for s in at.selectbox if s.label == "Suppress").set_value("V1").run()
    press(at, "Run")
    at.switch_page("pages/explore.py").run()
    at.switch_page("pages/lab.py").run()
    assert at.session_state["experiment"] == "maximize"
    assert next(s for s in at.selectbox if s.label == "Suppress").value == "V1"
    # From another experiment it is seen, too.
    choose(at, "localizer")
    press(at, "Stop")
    until_done(at)
    assert not at.exception


def test_a_result_of_an_earlier_encoder_is_not_shown(lab):
    run = find_run(SHIPPED)
    made = Result("localizer", protocols.complete({"experiment": "localizer", "settings": {"n": 7}})["settings"])
    folder = protocols.keep(made, run)
    told = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(told | {"info": told["info"] | {"encoder": "another"}}))
    assert protocols.newest(run, "localizer") is None
    assert "Not run yet" in words(choose(lab, "localizer"))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"experiment": "seance"}',
        '{"experiment": "lesion", "settings": {"gian": 1}}',
        '{"experiment": "lesion", "settings": {"doses": 0.5}}',
        '{"experiment": ["x"]}',
        '{"experiment": "maximize", "settings": {"steps": "abc"}}',
    ],
)
def test_a_wrong_protocol_file_is_said(lab, text):
    uploader = next(u for u in lab.file_uploader if u.label == "Open a protocol")
    uploader.upload("mine.json", text.encode(), "application/json").run()
    assert not lab.exception and len(lab.error) == 1 and "mine" in lab.error[0].value


def test_a_folder_that_is_not_there_is_said(lab, tmp_path):
    at = choose(lab, "localizer")
    next(t for t in at.text_input if t.label == "Pictures").set_value(str(tmp_path / "no")).run()
    assert not at.exception and len(at.error) == 1


def test_stop(lab):
    at = choose(lab, "maximize")
    at = press(at, "Run")
    assert "At work" in words(at) and "Not run yet" not in words(at)
    press(at, "Stop")
    until_done(at)
    assert not at.exception and not at.error and any(b.label == "Run" for b in at.button)


# ---------------------------------------------------------------- a video


def test_video_sample_plays():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/your_pictures.py").run()
    at.session_state["kind"] = "A video"
    at.run()
    assert "Drop a video" in words(at)
    next(s for s in at.slider if s.label == "Pictures a second").set_value(1).run()
    at = next(b for b in at.button if b.label.startswith("No video at hand")).click().run()
    until_done(at)
    at.run()
    assert not at.exception and not at.error and "one picture at a time" in words(at)


def test_video_that_is_none_is_said():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/your_pictures.py").run()
    at.session_state["kind"] = "A video"
    at.run()
    next(u for u in at.file_uploader if u.label == "Drop a video here").upload("a.mp4", b"no video", "video/mp4").run()
    until_done(at)
    at.run()
    assert not at.exception and len(at.error) == 1


def test_pictures_from_a_folder_are_ranked(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/your_pictures.py").run()
    next(t for t in at.text_input if t.label == "Folder with pictures").set_value(str(tmp_path)).run()
    assert not at.exception and "could not be read" in " ".join(e.label for e in at.expander)
    next(s for s in at.selectbox if s.label == "Among").set_value("my pictures").run()
    assert not at.exception and "What drives V1 most" in words(at)
