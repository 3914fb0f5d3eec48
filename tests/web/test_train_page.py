"""The page Train: weights that were named elsewhere, what its address tells, how far a training came, which step it kept."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from test_jobs_page import bars
from trials import start_holder
from web_pages import ROOT, SHIPPED, follow, link, words

from factortopy.backbones.demo_facts import weights_path
from factortopy.backbones.weights_check import check_weights
from factortopy.errors import InputError
from factortopy.jobs import queue
from factortopy.runs.run import Run, list_runs
from factortopy.storage.home import assets_dir, runs_dir


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)
    monkeypatch.setattr("factortopy.jobs.queue.wake", lambda: None)


def open_page(page="train", **query):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    at.query_params.clear()
    for name, value in query.items():
        at.query_params[name] = value
    return at.switch_page(f"pages/{page}.py").run()


def train(at):
    (button,) = [button for button in at.button if button.label == "Train"]
    return button


def address(at):
    """(network, weights) that the address names."""
    known = {name: value if isinstance(value, str) else value[0] for name, value in at.query_params.items()}
    return known.get("network"), known.get("weights")


# ---------------------------------------------------------------- weights


@pytest.fixture
def own_weights(tmp_path):
    """A weights file of a person's own."""
    return str(shutil.copy(weights_path("demo-vit"), tmp_path / "mine.safetensors"))


def test_a_weights_file_is_looked_at_where_it_is_typed(tmp_path, own_weights):
    at = open_page("networks")
    (tmp_path / "notes.txt").write_text("no weights")
    for wrong, says in (("/nope/w.safetensors", "found none"), (str(tmp_path / "notes.txt"), "cannot be read")):
        at = at.text_input(key="path demo-vit").set_value(wrong).run()
        assert not at.exception and len(at.error) == 1 and says in at.error[0].value
        assert not [one for one in at.get("page_link") if one.proto.label == "Train an encoder with it"]
        assert not [button for button in at.button if button.label == "Show its layers"]
    at = at.text_input(key="path demo-vit").set_value(own_weights).run()
    assert not at.error and "weights=" in link(at, "Train an encoder with it").query_string


def test_a_weights_file_stands_beside_its_network_and_in_the_runs_name(own_weights):
    at = open_page("networks")
    at = follow(at.text_input(key="path demo-vit").set_value(own_weights).run(), "Train an encoder with it")
    assert at.text_input(key="train weights").value == own_weights and address(at) == ("demo-vit", own_weights)
    train(at).click().run()
    (run,) = list_runs(shipped=False)
    assert run.name == "demo-1_demo-vit_weights-mine_fast_seed0" and run.settings["weights"] == own_weights
    assert r"weights of the file mine\.safetensors" in words(at.run())
    at = at.text_input(key="train weights").set_value("").run()  # dropped
    assert address(at) == ("demo-vit", None) and not [box for box in at.text_input if box.key == "train weights"]
    train(at).click().run()
    assert {run.settings["weights"] for run in list_runs(shipped=False)} == {None, own_weights}


def test_a_wrong_weights_file_of_the_address_is_said_and_nothing_starts():
    at = open_page(network="demo-vit", weights="/nope/w.safetensors")
    assert not at.exception and len(at.error) == 1 and "found none" in at.error[0].value and train(at).disabled
    at = at.selectbox(key="train network").set_value("demo-mae").run()
    assert address(at) == ("demo-mae", None) and not at.error and not train(at).disabled
    at = at.selectbox(key="train network").set_value("demo-vit").run()
    assert address(at)[1] is None and not at.error


def test_the_address_opens_the_network_that_it_names():
    assert open_page().selectbox(key="train network").value == "demo-vit"
    at = open_page(network="demo-mae")
    assert at.selectbox(key="train network").value == "demo-mae" and address(at) == ("demo-mae", None)
    at = open_page(network="demo-vit", weights="untrained")
    assert at.selectbox(key="train network").value == "demo-vit untrained"
    at.query_params.clear()  # as the browser's Back does
    assert at.run().selectbox(key="train network").value == "demo-vit"


def test_what_a_look_at_a_weights_file_tells(tmp_path, own_weights):
    whole = tmp_path / "whole.pth"
    torch.save({"a": torch.ones(3)}, whole)
    assert check_weights("timm/vit_tiny", str(whole)) == str(whole)
    assert check_weights("demo-vit", own_weights) == own_weights
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "cut.safetensors").write_bytes(open(own_weights, "rb").read()[:5000])
    (tmp_path / "page.safetensors").write_text("<!DOCTYPE html>")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1")
    save_file({}, tmp_path / "none.safetensors")
    for network, file, says in (
        ("timm/vit_tiny", "cut.pth", "no whole PyTorch file"), ("timm/vit_tiny", "cut.safetensors", "cannot be read"),
        ("timm/vit_tiny", "page.safetensors", "a web page"), ("timm/vit_tiny", "pointer.pth", "git lfs pull"),
        ("timm/vit_tiny", "none.safetensors", "no tensors"), ("demo-vit", "whole.pth", "cannot be read"),
        ("demo-vit", "", "give the file itself"), ("timm/vit_tiny", "", "one weights file"), ("sd-1.5:decoder@40", "", "found none"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says) as caught:
            check_weights(network, str(tmp_path / file))
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- a training that is watched


def finished(**told):
    """A run that is finished, its run.json saying ``told``."""
    run = Run(runs_dir() / "mine")
    shutil.copytree(assets_dir() / "runs" / SHIPPED, run.path)
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(info | told))
    return run


def chart(at):
    """{"data", "layout"} of the learning curve."""
    (found,) = at.get("plotly_chart")
    return json.loads(found.proto.spec)


def test_a_finished_run_says_which_step_was_kept_and_what_its_score_is_of():
    run = finished(
        pictures={"train": 240, "val": 30, "test": 300}, steps=400, steps_done=170, best_step=50, val_score=0.3188
    )
    at = open_page()
    assert not at.exception and "over 2,154 vertices, on 300 pictures it has not seen" in at.success[0].value
    said = words(at)
    assert "Kept: step 50, the best on the 30 validation pictures (R² 0.319). Stopped early, at step 170 of 400" in said
    (kept,) = [trace for trace in chart(at)["data"] if trace["name"] == "kept: step 50"]
    history = run.history()
    assert kept["x"] == [50] and kept["y"] == [history.val_score[history.step.index(50)]]
    assert r"demo\-1 (simulated) · demo\-vit · fast, seed 0" in said


def test_the_curves_axes_are_readable_at_one_point():
    run = Run.create(runs_dir() / "begun", {"subject": "demo-1", "backbone": "demo-vit"}, state="stopped")
    lines = [f"{step},{step}.0,{0.661 + step / 10_000},{0.3 if step == 10 else ''}" for step in range(1, 12)]
    (run.path / "history.csv").write_text("\n".join(["step,seconds,loss,val_score", *lines, ""]))
    layout = chart(open_page())["layout"]
    low, high = layout["yaxis2"]["range"]
    assert 0.2 < low < 0.3 < high < 0.4 and "tickformat" not in layout["yaxis"]
    low, high = layout["yaxis"]["range"]
    assert 0.6 < low < 0.661 and 0.662 < high < 0.7


def test_what_was_stopped_says_how_far_it_came_and_goes_on_from_there():
    run = queue.submit(
        {"subject": "demo-1", "backbone": "demo-vit", "steps": 400, "pictures": 300, "seed": 1}, start=False
    )
    run.update(state="stopped", reason="stopped on request")
    (run.path / "progress.json").write_text('{"stage": "features", "step": 30, "total": 120}')
    said = "Stopped on request while showing the pictures to the network, at 25%"
    assert said in words(open_page())
    assert said in words(open_page("jobs"))
    (run.path / "checkpoint").mkdir()
    (run.path / "checkpoint" / "state.json").write_text('{"step": 40, "total": 400}')
    at = open_page()
    assert "Stopped on request at step 40 of 400." in words(at)
    assert "seed 1, 400 steps, 300 pictures" in words(at)  # whatever the form beside it says
    at = open_page("jobs")
    assert "Stopped on request at step 40 of 400" in words(at) and link(at, "Show it").page == "train"
    run.update(state="queued")
    holder = start_holder(run)
    try:
        (run.path / "progress.json").write_text('{"stage": "pictures", "step": 0, "total": 300}')
        assert bars(open_page("jobs")) == ["Preparing pictures: 0% · goes on from step 40 of 400"]
        assert link(open_page("jobs"), "Watch it").page == "train"
    finally:
        holder.kill()
        holder.wait()


def test_a_demo_subject_that_is_made_is_not_announced(monkeypatch):
    assert "rendered at the first use" in words(open_page())
    monkeypatch.setattr("factortopy.runs.costs.on_disk", lambda number: (True, True))
    assert "rendered at the first use" not in words(open_page())
