"""The run folder: status from what lies there, locks, torn files, clocks, names."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_here import run_here
from trials import (
    SETTINGS,
    TRAIN,
    start_holder,
    told_in_one_line,
)

from factortopy.errors import InputError
from factortopy.runs import folder, history
from factortopy.runs.folder import RunBusy, RunFromNewer
from factortopy.runs.recorder import Recorder
from factortopy.runs.run import Run, find_run, list_runs, new_run_name
from factortopy.runs.settings import check_settings
from factortopy.storage import home
from factortopy.storage.files import write_json
from factortopy.storage.home import runs_dir
from factortopy.storage.records import without_nan


@pytest.fixture
def run():
    return Run.create(runs_dir() / "a", SETTINGS)


# ---- status


def test_status_follows_from_the_folder(run):
    assert run.status == "queued"
    run.update(state="running")
    assert run.status == "interrupted" and run.resumable
    run.request_stop()
    assert run.status == "stopped"
    run.clear_stop()
    run.update(state="failed", reason="no such network")
    assert run.state() == ("failed", "no such network")
    run.update(state="stopped", reason="stopped on request")
    assert run.status == "stopped" and run.resumable
    run.update(finished=True, state="finished", reason=None)
    assert run.status == "finished" and not run.resumable
    shutil.rmtree(run.path)
    assert run.status == "deleted"


def test_held_run_is_running_until_its_holder_is_killed(run):
    run.update(state="running")
    holder = start_holder(run)
    try:
        assert run.status == "running"
        run.request_stop()
        assert run.status == "stopping"
        run.clear_stop()
        with pytest.raises(RunBusy, match="another process holds this run"), run.lock(timeout=0.1):
            pass
        with pytest.raises(RunBusy):
            run.delete()
    finally:
        holder.kill()
        holder.wait()
    assert run.status == "interrupted"
    with run.lock(timeout=0.1):
        pass


def test_looking_at_a_run_changes_nothing(run):
    (run.path / "lock").unlink()
    before = sorted(os.listdir(run.path))
    assert (run.status, run.progress(), run.scores(), run.preview(), run.log_tail()) == ("queued", None, None, None, "")
    assert sorted(os.listdir(run.path)) == before


def test_create_refuses_foreign_folders_and_existing_runs(run, tmp_path):
    with pytest.raises(InputError, match="holds a run already"):
        Run.create(run.path, SETTINGS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="thesis.txt"):
        Run.create(tmp_path / "mine", SETTINGS)
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    with pytest.raises(InputError, match="could not be used"):
        Run.create(tmp_path / "mine" / "thesis.txt" / "run", SETTINGS)


def test_newer_schema_is_said(run):
    write_json(run.path / "run.json", {**run.info, "schema": 99})
    with pytest.raises(RunFromNewer, match="schema 99"):
        _ = run.info
    assert run.status == "unreadable" and "newer FactorTopy" in run.reason
    line = told_in_one_line(run_here(*TRAIN, "--out", run.path, "--resume"))
    assert "schema 99" in line and json.loads((run.path / "run.json").read_text())["schema"] == 99


# ---- torn files


def test_run_json_cut_at_each_byte(run):
    run.update(finished=True, state="finished", scores=[{"roi": "all", "score": 0.5}])
    file = run.path / "run.json"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        status, reason = run.state()
        assert status == "unreadable" and "\n" not in reason and "run.json" in reason
    file.write_bytes(whole)
    assert run.status == "finished"
    file.write_bytes(b'["\xff\xfe"]')
    assert run.status == "unreadable" and run in list_runs()


def test_history_cut_at_each_byte(run):
    true = history.History([1, 2, 30], [0.5, 1.25, 60.0], [0.912, 0.8, float("nan")], [None, 0.0512, -1.5])
    file = run.path / "history.csv"
    history.write_history(file, true)
    whole = file.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        read = run.history()
        n = max(0, sum(end <= length for end in ends) - 1)
        assert read.step == true.step[:n] and read.val_score == true.val_score[:n]
        assert read.damaged == (length > 0 and length not in ends)
    assert np.isnan(read.loss[2])


@given(st.binary(max_size=300))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_history_of_any_bytes(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("history") / "history.csv"
    file.write_bytes(content)
    read = history.read_history(file)
    assert len(read.step) == len(read.seconds) == len(read.loss) == len(read.val_score)


def test_resumed_history_repeats_no_step(run):
    file = run.path / "history.csv"
    history.write_history(file, history.History([10, 20, 30], [1.0, 2.0, 3.0], [0.9, 0.8, 0.7], [None] * 3))
    with open(file, "a") as out:
        out.write("40,4.0,0.")  # the line that a kill tore
    recorder = Recorder(run)
    recorder.begin("fit")
    selectors = type("S", (), {name: np.zeros((2, 2)) for name in ("space", "layer", "scale")})
    for step in (21, 22):
        progress = type("P", (), {"step": step, "total": 100, "loss": 0.5, "val_score": None, "selectors": selectors})
        assert recorder.on_fit(progress)
    read = run.history()
    assert read.step == [10, 20, 21, 22] and read.damaged == 0
    assert read.seconds == sorted(read.seconds) and read.seconds[2] >= 2.0


# ---- clocks


def test_odd_clocks_are_no_death(run):
    run.update(state="running", holder={"pid": os.getpid()})
    recorder = Recorder(run)
    recorder.begin("fit", 100)
    holder = start_holder(run)
    try:
        for day in (-86400, 86400):
            os.utime(run.path / "progress.json", (time.time() + day, time.time() + day))
            write_json(run.path / "progress.json", {**run.progress(), "heartbeat": time.time() + day})
            assert run.status == "running" and not run.hung and run.silent_seconds() < 60
        silent = time.monotonic() - folder.HUNG_SECONDS - 1
        write_json(run.path / "progress.json", {**run.progress(), "monotonic": silent})
        assert run.hung and run.status == "running"
        write_json(run.path / "progress.json", {**run.progress(), "host": "elsewhere"})
        assert not run.hung  # another machine's clock tells nothing here
    finally:
        holder.kill()
        holder.wait()
    assert not run.hung


def test_remaining_time_is_measured_from_the_first_step_of_this_process(run, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    told = []
    recorder = Recorder(run, told.append)
    recorder.begin("fit", 100)
    for step, at in ((81, 1005.0), (82, 1006.0), (91, 1015.0)):
        clock[0] = at
        recorder.report(step, 100)
    assert [p["remaining"] for p in told] == [None, None, 18.0, 9.0]


# ---- names and settings


@given(st.text(max_size=30))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_no_name_leaves_the_store(name):
    try:
        found = find_run(name)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found.path.parent in (runs_dir(), home.assets_dir() / "runs")


def test_names_that_would_leave_the_store(run, tmp_path):
    outside = Run.create(tmp_path / "outside", SETTINGS)
    (runs_dir() / "link").symlink_to(outside.path)
    for name in ("../outside", "..", ".", "", "/etc", "a/../a", "a\n", "link", "a" * 200, None, 3):
        with pytest.raises(InputError):
            find_run(name)
    assert find_run("a") == run


@given(st.text(max_size=40), st.text(max_size=40), st.integers(0, 10**6))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_new_names_are_run_names(subject, backbone, seed):
    assert folder.NAME_PATTERN.fullmatch(new_run_name({"subject": subject, "backbone": backbone, "seed": seed}))


def test_new_names_are_free_and_readable():
    demo = {"subject": "demo-1", "backbone": "demo-vit"}
    other = {"subject": "/data/subj05/", "backbone": "timm/vit_small", "seed": 3}
    assert new_run_name(other) == "subj05_vit-small_fast_seed3"
    assert new_run_name(other | {"subject_id": "subj01", "steps": 7}) == "subj01_vit-small_fast_seed3"
    named = new_run_name(demo | {"weights": "/data/my weights.safetensors"})
    assert named == "demo-1_demo-vit_weights-my-weights_fast_seed0"
    assert new_run_name(demo | {"weights": "untrained"}) == "demo-1_demo-vit_untrained_fast_seed0"
    (runs_dir() / "demo-1_demo-vit_fast_seed0").mkdir()
    assert new_run_name(demo) == "demo-1_demo-vit_fast_seed0-2"
    left_out = demo | {"pictures": 300, "select": ["layer"], "topology": False}
    assert new_run_name(left_out) == "demo-1_demo-vit_fast_seed0_300pictures_no-space_no-scale_no-topology"
    assert new_run_name(demo | {"model": "ridge", "recipe": "paper"}) == "demo-1_demo-vit_paper_seed0_ridge"


def test_list_is_newest_first_and_only_runs(run):
    later = Run.create(runs_dir() / "b", SETTINGS)
    later.update(created="2999-01-01T00:00:00+00:00")
    (runs_dir() / "no-run").mkdir()
    assert list_runs(shipped=False) == [later, run]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"subject": None}, "subject"),
        ({"backbone": ""}, "backbone"),
        ({"recipe": "slow"}, "recipe"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_named(change, word):
    with pytest.raises(InputError, match=word):
        check_settings({**SETTINGS, **change})


def test_settings_survive_a_change_of_folder(tmp_path, monkeypatch):
    (tmp_path / "subj01").mkdir()
    monkeypatch.chdir(tmp_path)
    assert check_settings({**SETTINGS, "subject": "subj01"})["subject"] == str(tmp_path / "subj01")
    (tmp_path / "demo").mkdir()
    assert check_settings({**SETTINGS, "subject": "demo"})["subject"] == "demo-1"


def test_recipes_are_those_of_the_encoder():
    from factortopy.encoder import baselines
    from factortopy.encoder.fitting import SOLVERS
    from factortopy.encoder.names import MODELS, RECIPES

    assert tuple(SOLVERS) == RECIPES
    assert set(MODELS) == {"factorized", "ridge", *baselines.MODELS}


@given(
    st.recursive(
        st.floats() | st.integers() | st.text() | st.builds(np.float32, st.floats(width=32)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_without_nan_is_strict_json(value):
    json.dumps(without_nan(value), allow_nan=False)
