"""The page Fine-tune, and Compare before and after, run as Streamlit runs them."""

import shutil

import pytest
from labelled_pictures import planted
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, SHIPPED, follow, link, words

from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.storage.files import read_json, write_json
from factortopy.storage.home import assets_dir, jobs_dir, runs_dir


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)


def opened(**query):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    return at.switch_page("pages/fine_tune.py").run()


def pressed(at, label):
    return next(button for button in at.button if button.label == label).click().run()


def test_a_folder_is_looked_through_and_a_job_is_queued_once(tmp_path):
    folder = planted(tmp_path / "colours", n=3)
    at = opened()
    assert not at.exception and "still look like a brain" in words(at)
    at.radio[0].set_value("A folder on this machine").run()
    at = at.text_input[0].set_value(str(tmp_path / "none")).run()
    assert "expected a folder of pictures by class" in words(at)
    at = at.text_input[0].set_value(str(folder)).run()
    assert "3 classes, 9 pictures" in words(at) and "a fifth of them" in words(at)
    at = pressed(at, "Fine-tune")
    (job,) = work.list_jobs()
    assert job.info["kind"] == "finetune" and job.settings["images"] == str(folder) and job.settings["per_class"] == 50
    pressed(at, "Fine-tune")
    assert len(work.list_jobs()) == 1 and not at.exception
    at = pressed(at, "Stop")
    assert job.status == "stopped" and not at.exception


def test_a_finished_one_shows_its_accuracy(tmp_path):
    job = queue.submit_job(
        "finetune",
        {"backbone": "demo-vit", "images": "drawings", "steps": 2, "per_class": 1, "test_per_class": 1},
        "tried",
    )
    assert work.work_job(job.path).status == "finished" and job.info["result"]["simulated"]
    at = opened()
    said = words(at)
    assert not at.exception and "Rendered drawings, not photographs" in said and "held-out pictures" in said
    assert [row for row in at.dataframe[0].value["class (simulated)"]][:2] == [
        "all",
        "animal",
    ] and "finetuned/tried" in said
    assert link(at, "Compare before and after").disabled
    at = follow(at, "Train an encoder with it")
    assert not at.exception and any("finetuned/tried" in box.options for box in at.selectbox if box.label == "Network")
    assert (jobs_dir() / "tried" / "drawings" / "factortopy-rendered.txt").is_file()


def test_compare_shows_before_and_after():
    after = runs_dir() / "after"
    shutil.copytree(assets_dir() / "runs" / "demo-mae_demo-1", after)
    told = {"all": 0.5, "mean of classes": 0.5, "classes": {"a": 0.5}}
    info = read_json(after / "run.json") | {"backbone": "finetuned/x", "finetuned": {
        "base": "demo-vit", "began_as": "demo-vit", "data": "EuroSAT", "layer": 12, "layers": 12, "chance": 0.1,
        "accuracy": {"before": told, "after": told | {"all": 0.875}}}}  # fmt: skip
    write_json(after / "run.json", info)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    at.query_params["runs"] = f"{SHIPPED},after"
    at = at.run().switch_page("pages/compare.py").run()
    said = words(at)
    assert not at.exception and "Before and after fine-tuning" in said and "demo\\-vit fine\\-tuned on EuroSAT" in said
    assert any(metric.value == "87.5%" and metric.delta == "+37.5%" for metric in at.metric)
    assert at.selectbox(key="compared from").value == SHIPPED and at.selectbox(key="compared to").value == "after"
