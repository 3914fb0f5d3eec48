"""The Sweep page, run as Streamlit runs it: cost told before, start, table, cancel, resume, what opens."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest
from web_pages import link

from factortopy import sweeps
from factortopy.jobs import queue
from factortopy.storage.home import runs_dir

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)
    monkeypatch.setattr("factortopy.jobs.queue.wake", lambda: None)


def open_page():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return at.switch_page("pages/sweep.py").run()


def find(elements, label):
    (found,) = [element for element in elements if element.label == label]
    return found


def texts(at):
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.error, at.subheader) for e in kind)


def test_from_choice_to_table_to_resume():
    at = open_page()
    assert not at.exception and not at.error and "No sweep yet" in texts(at)
    find(at.multiselect, "Subjects").set_value(["demo-1", "demo-2"])
    find(at.text_input, "Seeds").set_value("0, 1")
    find(at.text_input, "Steps").set_value("20,40").run()
    told = texts(at)
    assert "16 runs" in told and "2 subjects × 2 networks × 2 seeds × 2 steps" in told and "for 2 of them" in told
    plain = told.replace("\\", "")
    assert "min (on two cores, no GPU)" in plain and "1.3 GB of disk" in plain and not list(runs_dir().iterdir())
    find(at.text_input, "Name (optional)").set_value("first")
    find(at.button, "Start 16 runs").click().run()
    assert not at.exception and not at.error and len(queue.queued_names()) == 16
    (sweep,) = sweeps.list_sweeps()
    frame = at.dataframe[0].value
    assert sweep.name == "first" and list(frame["status"]) == ["waiting"] * 16 and set(frame["steps"]) == {20, 40}
    find(at.button, "Cancel").click().run()
    assert list(at.dataframe[0].value["status"]) == ["stopped"] * 16
    find(at.button, "Resume 16").click().run()
    assert list(at.dataframe[0].value["status"]) == ["waiting"] * 16
    assert link(at, "Open in Train").query_string == f"watch={queue.queued_names()[0].removeprefix('runs/')}"


def test_finished_runs_open_and_compare():
    sweep = sweeps.make({"subject": ["demo-1"], "backbone": ["demo-vit", "demo-mae", "demo-vit untrained"]})
    sweeps.start(sweep)
    for trial in sweep.runs[:2]:
        row = {"roi": "all", "score": 0.25, "ceiling": 0.5}
        sweeps.run_of(trial).update(finished=True, state="finished", scores=[row], seconds=60.0, simulated=True)
    sweeps.run_of(sweep.runs[2]).update(state="failed", reason="no <b>such</b> thing")
    at = open_page()
    frame = at.dataframe[0].value
    assert list(frame["status"]) == ["finished", "finished", "failed"] and frame["mean R²"][0] == 0.25
    assert frame["subject"][0] == "demo-1 (simulated)"  # so in what the table's tool bar saves
    assert "imulated" in texts(at) and r"no \<b\>such" in at.error[0].value
    done = [sweeps.run_of(trial).name for trial in sweep.runs[:2]]
    assert parse_qs(link(at, "Compare the 2 finished").query_string) == {"runs": [",".join(done)]} and find(
        at.button, "Resume 1"
    )
    assert link(at, "Open in Explore").query_string == f"run={done[0]}"


@pytest.mark.parametrize(
    ("label", "value", "word"),
    [("Seeds", "0;1", "Seeds"), ("Seeds", "", "Seeds"), ("Steps", "many", "Steps"), ("Pictures", "3", "pictures"),
     ("Folder of mine", "/no/such/folder", "no/such")],
)  # fmt: skip
def test_wrong_input_is_said_beside_it(label, value, word):
    at = open_page()
    find(at.text_input, label).set_value(value).run()
    assert not at.exception and len(at.error) == 1 and word in at.error[0].value.replace("\\", "")
    assert (
        find(at.button, "Start").disabled and find(at.text_input, "Name (optional)") and "--" not in at.error[0].value
    )


def test_every_control_has_help():
    at = open_page()
    for kind in (at.selectbox, at.multiselect, at.text_input):
        for widget in kind:
            assert widget.help or widget.label == "Sweep", widget.label


def test_train_leads_here():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page("pages/train.py").run()
    assert not at.exception and "sweep" in [
        link.url if hasattr(link, "url") else link.proto.page for link in at.get("page_link")
    ]
