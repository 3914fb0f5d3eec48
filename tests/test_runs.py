"""The run folder: status from what lies there, locks, kills, torn files, full disks, clocks."""

import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import (
    SETTINGS,
    TINY,
    TRAIN,
    environment,
    fitting,
    run_command,
    start_command,
    start_holder,
    told_in_one_line,
    wait_for,
)

import factortopy
from factortopy import records, runs
from factortopy.errors import InputError
from factortopy.files import write_json
from factortopy.home import runs_dir
from factortopy.recorder import Recorder
from factortopy.runs import Run, RunBusy, RunFromNewer, RunGone, find_run, list_runs, new_run_name
from factortopy.training import train_run


@pytest.fixture
def run():
    return Run.create(runs_dir() / "a", SETTINGS)


@pytest.fixture
def tiny(monkeypatch):
    """The tiny subject and network in this process, too."""
    for name in ("load_subject", "load_backbone"):
        monkeypatch.setattr(factortopy, name, getattr(factortopy, name))  # put back afterwards
    spec = importlib.util.spec_from_file_location("tiny_training", TINY / "sitecustomize.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


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
    line = told_in_one_line(run_command(*TRAIN, "--out", run.path, "--resume"))
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
    true = records.History([1, 2, 30], [0.5, 1.25, 60.0], [0.912, 0.8, float("nan")], [None, 0.0512, -1.5])
    file = run.path / "history.csv"
    records.write_history(file, true)
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
    read = records.read_history(file)
    assert len(read.step) == len(read.seconds) == len(read.loss) == len(read.val_score)


def test_resumed_history_repeats_no_step(run):
    file = run.path / "history.csv"
    records.write_history(file, records.History([10, 20, 30], [1.0, 2.0, 3.0], [0.9, 0.8, 0.7], [None] * 3))
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
        silent = time.monotonic() - runs.HUNG_SECONDS - 1
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
        assert found.path.parent in (runs_dir(), runs.assets_dir() / "runs")


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
    assert runs.NAME_PATTERN.fullmatch(new_run_name(subject, backbone, "fast", seed))


def test_new_names_are_free_and_readable():
    assert new_run_name("/data/subj05/", "timm/vit_small", seed=3) == "subj05_vit-small_fast_seed3"
    (runs_dir() / "demo-1_demo-vit_fast_seed0").mkdir()
    assert new_run_name("demo-1", "demo-vit") == "demo-1_demo-vit_fast_seed0-2"


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
        records.check_settings({**SETTINGS, **change})


def test_settings_survive_a_change_of_folder(tmp_path, monkeypatch):
    (tmp_path / "subj01").mkdir()
    monkeypatch.chdir(tmp_path)
    assert records.check_settings({**SETTINGS, "subject": "subj01"})["subject"] == str(tmp_path / "subj01")
    (tmp_path / "demo").mkdir()
    assert records.check_settings({**SETTINGS, "subject": "demo"})["subject"] == "demo-1"


def test_recipes_are_those_of_the_encoder():
    from factortopy.encoder.fitting import RECIPES

    assert tuple(records.RECIPES) == tuple(RECIPES)


@given(
    st.recursive(
        st.floats() | st.integers() | st.text() | st.builds(np.float32, st.floats(width=32)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_without_nan_is_strict_json(value):
    json.dumps(records.without_nan(value), allow_nan=False)


# ---- training, undisturbed and disturbed


def test_stopped_and_resumed_equals_undisturbed(tiny, tmp_path):
    train_run(tmp_path / "whole", "tiny", "tiny-net", steps=40)

    def stop_at_17(progress):
        return not (progress["stage"] == "fit" and progress["step"] == 17)

    half = train_run(tmp_path / "half", "tiny", "tiny-net", steps=40, on_progress=stop_at_17)
    assert half.state() == ("stopped", "stopped on request") and half.preview()["space"].shape == (24, 2)
    with pytest.raises(InputError, match="train --resume"):
        factortopy.Encoder.load(half.path)
    with pytest.raises(InputError, match="--resume"):
        train_run(half.path)
    with pytest.raises(InputError, match="seed of this run is 0"):
        train_run(half.path, seed=1, resume=True)
    train_run(half.path, resume=True)
    assert half.status == "finished" and half.info["simulated"] and half.info["scores"][0]["roi"] == "all"
    assert {"checkpoint", "preview.safetensors", "cancel"}.isdisjoint(os.listdir(half.path))
    assert half.history().step == list(range(1, 41))
    for name in ("encoder.safetensors", "selectors.safetensors", "scores.safetensors"):
        assert (half.path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    before = (half.path / "encoder.safetensors").stat().st_mtime_ns
    train_run(half.path, "tiny", "tiny-net")
    assert (half.path / "encoder.safetensors").stat().st_mtime_ns == before


def test_torn_run_json_is_told_again_and_goes_on(tiny, tmp_path):
    run = train_run(tmp_path / "a", "tiny", "tiny-net", steps=20, on_progress=lambda p: p["step"] != 5)
    (run.path / "run.json").write_text('{"schema": 1, "sett')
    with pytest.raises(InputError, match="run.json"):
        train_run(run.path, resume=True)
    train_run(run.path, "tiny", "tiny-net", steps=20, resume=True)
    assert run.status == "finished" and (run.path / "run.json.damaged").exists()


def test_too_little_space_is_said_before(run):
    from factortopy.training import _check_space

    with pytest.raises(InputError, match=r"needs about 1000000000 MB there, \d+ MB are free"):
        _check_space(run, 10**9)


def test_second_process_leaves_and_names_the_first(tmp_path):
    out = tmp_path / "a"
    first = start_command(*TRAIN, "--steps", 100_000, "--out", out)
    try:
        wait_for(lambda: fitting(Run(out)))
        line = told_in_one_line(run_command(*TRAIN, "--out", out), 75)
        assert f"process {first.pid} on" in line
        first.send_signal(signal.SIGSTOP)
        assert Run(out).status == "running"
        first.send_signal(signal.SIGCONT)
        os.rename(out, tmp_path / "bin")  # deleted while it trains
        _, said = first.communicate(timeout=60)
        assert first.returncode == 2 and "deleted while it was in use" in said and "Traceback" not in said
        assert not out.exists()
    finally:
        first.kill()
        first.communicate()


def test_full_disk_is_said_and_resumed(tiny, tmp_path):
    factortopy.extract(factortopy.load_backbone("tiny-net"), factortopy.load_subject("tiny").images)
    out, (soft, hard) = tmp_path / "a", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))  # no file may grow beyond: what a full disk does
    try:
        with pytest.raises(InputError, match="encoder.safetensors: could not be written") as caught:
            train_run(out, "tiny", "tiny-net", steps=20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "MB are needed" in str(caught.value)
    assert Run(out).state() == ("failed", str(caught.value))
    assert not list(out.glob(".*.part"))
    assert train_run(out, resume=True).status == "finished"


AS_NOBODY = """
import os, sys
import factortopy.__main__, factortopy.commands, factortopy.training  # Python itself may be out of that user's reach
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(factortopy.__main__.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_read_only_folder_is_said_before_training():
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        home = Path(place) / "home"
        (home / "runs").mkdir(parents=True)
        held = Run.create(home / "runs" / "held", SETTINGS)
        for out in (home / "runs" / "new", held.path):
            result = subprocess.run(
                [sys.executable, "-c", AS_NOBODY, *TRAIN, "--steps", "30", "--resume", "--out", str(out)],
                env=environment(FACTORTOPY_HOME=str(home)), capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            line = told_in_one_line(result)
            assert "permission denied" in line and str(out) in line and "choose another folder" in line
            assert result.stdout == ""
        assert held.status == "queued"


KILLS = """
import os, random, signal, sys, time
import torch, factortopy, factortopy.encoder, factortopy.analysis
from factortopy.runs import Run
from factortopy.training import train_run

out, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
draw, run, survived = random.Random(seed), Run(out), 0
begun = time.monotonic()
if os.fork() == 0:
    train_run(out + "-whole", "tiny", "tiny-net", steps=30)
    os._exit(0)
os.wait()
whole = min(2.0, time.monotonic() - begun)  # kills fall anywhere from the start to just after the end
for kill in range(kills):
    child = os.fork()
    if child == 0:
        train_run(out, "tiny", "tiny-net", steps=30, resume=True)
        os._exit(0)
    time.sleep(draw.uniform(0.0, 1.1 * whole))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    status = run.status
    loads = True
    try:
        factortopy.Encoder.load(out)
    except factortopy.InputError:
        loads = False
    assert status in ("interrupted", "finished", "deleted") or not os.path.exists(out + "/run.json"), run.state()
    assert loads == (status == "finished"), (status, loads)
    run.history()
    if status == "finished":
        survived += 1
        import shutil; shutil.rmtree(out)
train_run(out, "tiny", "tiny-net", steps=30, resume=True)
factortopy.Encoder.load(out)
print("status", run.status, "finished before the kill", survived)
"""


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(10, 1), pytest.param(100, 2, marks=pytest.mark.slow), pytest.param(100, 3, marks=pytest.mark.slow)],
)
def test_killed_at_any_moment(tmp_path, kills, seed):
    words = [sys.executable, "-c", KILLS, str(tmp_path / "a"), str(kills), str(seed)]
    result = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    assert "status finished" in result.stdout


SAVES = """
import itertools, sys
import numpy as np
from factortopy.files import write_tensors
from factortopy.runs import Run
run = Run(sys.argv[1])
with run.lock():
    print("saving", flush=True)
    for i in itertools.count():
        write_tensors(run.path / "scores.safetensors", {"score": np.full(50_000, i, np.float32)})
        run.update(seconds=i, reason="x" * (i % 3000))
"""


def test_killed_while_saving(run):
    draw = random.Random(0)
    for _ in range(10):
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVES, str(run.path)], env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert saver.stdout.readline() == "saving\n"
        time.sleep(draw.uniform(0.0, 0.2))
        saver.kill()
        saver.communicate()
        assert run.status == "queued" and len(run.info["settings"]) == len(records.DEFAULTS)
        scores = run.scores()
        assert scores is None or len(np.unique(scores["score"])) == 1


def test_deleted_run_is_not_made_again(run):
    recorder = Recorder(run)
    shutil.rmtree(run.path)
    progress = type("P", (), {"step": 1, "total": 2, "loss": 1.0, "val_score": None})
    for act in (lambda: recorder.on_fit(progress), run.request_stop, lambda: run.log("x"), lambda: run.info):
        with pytest.raises(RunGone):
            act()
    with pytest.raises(RunGone):
        train_run(run.path, queued=True, resume=True)
    with pytest.raises(RunGone), run.lock(timeout=0.1):
        pass
    assert not run.path.exists()
