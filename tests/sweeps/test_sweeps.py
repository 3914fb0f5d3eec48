"""Sweeps: made, read, shown, started in this machine's queue, stopped, resumed; the verb's words. SLURM: test_slurm.py."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trials import SETTINGS, TRAIN, command, environment, run_command, start_holder, told_in_one_line

from factortopy import sweeps
from factortopy.cli import sweep as sweep_command
from factortopy.cli.main import main, parser
from factortopy.errors import InputError
from factortopy.jobs import queue, worker
from factortopy.runs.folder import RunBusy
from factortopy.runs.run import Run
from factortopy.storage.home import assets_dir, home, runs_dir
from factortopy.sweeps import axes, folder, slurm
from factortopy.sweeps.table import summary

AXES = {"subject": ["tiny", "tiny2"], "backbone": ["tiny-net"], "seed": [0, 1], "steps": [20, 30]}
DEMO = ("sweep", "--subjects", "demo-1", "--backbones", "demo-vit", "--set", "steps=5")
WORDS = ("sweep", "--subjects", "tiny", "--backbones", "tiny-net", "--set", "steps=5")


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)


def states(sweep):
    return [status for status, _ in sweeps.states(sweep).values()]


# ---- made and read


def test_every_combination_once_and_extraction_first():
    made = sweeps.settings_of(AXES)
    assert len(made) == 8 and len({json.dumps(s) for s in made}) == 8
    assert {s["subject"] for s in made[:2]} == {"tiny", "tiny2"}  # each subject's features once, before any second run
    assert len(sweeps.settings_of({"subject": ["demo", "demo-1"], "backbone": ["demo-vit"]})) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"subject": []}, "subject"),
        ({"backbone": []}, "backbone"),
        ({"seed": []}, "seed"),
        ({"seed": 3}, "seed"),
        ({"colour": ["red"]}, "colour"),
        ({"steps": [20, 0]}, "steps"),
        ({"recipe": ["slow"]}, "recipe"),
        ({"seed": list(range(2000))}, "2,000"),
    ],
)
def test_wrong_axes_are_named_and_make_nothing(change, word, tmp_path):
    with pytest.raises(InputError, match=word):
        sweeps.make({**AXES, **change}, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_folder_that_holds_something_is_refused(tmp_path):
    sweep = sweeps.make(AXES, tmp_path / "s")
    with pytest.raises(InputError, match="holds a sweep already"):
        sweeps.make(AXES, tmp_path / "s")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match="a.jpg"):
        sweeps.make(AXES, tmp_path / "photos")
    assert sweeps.read(sweep.path).info == sweep.info


def test_names_are_run_names_and_free(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (sweeps.make({**AXES, "subject": ["a/b c", "d/ü"]}, tmp_path / k / "my sweep!") for k in "ab")
    sweeps.start(first)
    third = sweeps.make(AXES, tmp_path / "c" / "my sweep!")
    names = [trial["name"] for sweep in (first, third) for trial in sweep.runs]
    assert len(set(names)) == 16 and all(folder.NAME_PATTERN.fullmatch(name) for name in names)
    assert names[0] == "my-sweep_1_b-c_tiny-net_seed0" and third.name == "my-sweep-2"
    assert second.name == "my-sweep"  # nothing was begun under that name yet
    assert sweeps.make(AXES).path.parent == home() / "sweeps"
    assert [sweep.path for sweep in sweeps.list_sweeps()] == [next((home() / "sweeps").iterdir())]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("schema", "one", "schema"),
        ("schema", 99, "newer"),
        ("name", "../x", "name"),
        ("engine", "cloud", "engine"),
        ("slurm", [], "slurm"),
        ("axes", {"seed": []}, "axes"),
        ("runs", [], "runs"),
        ("runs", ["a"], r"runs\[0\]"),
        ("runs", [{"name": "../../etc"}], r"runs\[0\].name"),
        ("runs", [{"name": "a", "settings": {**SETTINGS, "steps": 0}}], r"runs\[0\].settings.*steps"),
        ("runs", [{"name": "a", "settings": SETTINGS, "path": 3}], r"runs\[0\].path"),
        ("runs", [{"name": "a", "settings": SETTINGS, "job": "1; rm -rf"}], r"runs\[0\].job"),
        ("runs", [{"name": "a", "settings": SETTINGS}] * 2, "different names"),
    ],
)
def test_damaged_file_names_the_key(key, value, told, tmp_path):
    sweep = sweeps.make(AXES, tmp_path / "s")
    file = sweep.path / "sweep.json"
    file.write_text(json.dumps({**sweep.info, key: value}))
    with pytest.raises(InputError, match=told) as error:
        sweeps.read(sweep.path)
    assert "\n" not in str(error.value) and "sweep.json" in str(error.value)


@given(data=st.data())
@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused_in_words(data, tmp_path):
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["local", "a"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*AXES, "name", "settings", "job"]), inner)
        ),
        max_leaves=6,
    )
    keys = ("schema", "name", "engine", "slurm", "axes", "runs")
    whole = {
        "schema": 1,
        "name": "a",
        "engine": "local",
        "slurm": {},
        "axes": {},
        "runs": [{"name": "a", "settings": SETTINGS}],
    }
    changed = data.draw(st.dictionaries(st.sampled_from(keys), value, max_size=2))
    (tmp_path / "sweep.json").write_text(json.dumps({**whole, **changed}))
    try:
        sweep = sweeps.read(tmp_path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert sweeps.rows(sweep)


# ---- started, shown, stopped, gone on with


def test_started_runs_wait_in_the_queue_and_are_linked(tmp_path):
    sweep = sweeps.make(AXES, tmp_path / "s")
    assert states(sweep) == ["planned"] * 8 and not list(runs_dir().iterdir())
    names = sweeps.start(sweep)
    assert states(sweep) == ["queued"] * 8 and queue.queued_names() == names
    run = sweeps.run_of(sweep.runs[0])
    assert run.settings == sweep.runs[0]["settings"] and run.path == runs_dir() / names[0]
    assert Run(sweep.path / names[0]).status == "queued"  # the link
    assert sweeps.start(sweep) == sweeps.resume(sweep) == []
    again = sweeps.make(AXES, tmp_path / "again")
    assert sweeps.start(again) and len(queue.queued_names()) == 8  # the same runs, not made twice
    assert {trial["name"] for trial in again.runs} == set(names)


def test_start_that_was_cut_is_gone_on_with(tmp_path, monkeypatch):
    sweep = sweeps.make(AXES, tmp_path / "s")
    submit, made = queue.submit, []

    def cut(*arguments, **more):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(submit(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(queue, "submit", cut)
    with pytest.raises(KeyboardInterrupt):
        sweeps.start(sweep)
    file = json.loads((sweep.path / "sweep.json").read_text())
    file["runs"][2]["path"] = None  # as if it had died between making the run and writing that down
    (sweep.path / "sweep.json").write_text(json.dumps(file))
    monkeypatch.setattr(queue, "submit", submit)
    sweep = sweeps.read(sweep.path)
    assert states(sweep).count("planned") == 6
    sweeps.resume(sweep)
    assert states(sweep) == ["queued"] * 8 and len(queue.queued_names()) == 8 and len(list(runs_dir().iterdir())) == 8


def test_cancel_and_resume(tmp_path):
    sweep = sweeps.make({**AXES, "steps": [20]}, tmp_path / "s")
    names = sweeps.start(sweep)
    done, held = (sweeps.run_of(trial) for trial in sweep.runs[:2])
    done.update(state="finished", finished=True)
    holder = start_holder(held)
    try:
        assert states(sweep) == ["finished", "running", "queued", "queued"]
        assert sweeps.cancel(sweep) == names[1:]
        assert states(sweep) == ["finished", "stopping", "stopped", "stopped"]
        assert sweeps.resume(sweep) == names[2:]
    finally:
        holder.kill()
        holder.wait()
    assert states(sweep) == ["finished", "stopped", "queued", "queued"]
    sweeps.run_of(sweep.runs[3]).delete()
    assert sweeps.resume(sweep) == names[1:2]  # what was deleted stays deleted
    assert states(sweep)[3] == "deleted"


def test_only_one_process_changes_a_sweep(tmp_path):
    sweep = sweeps.make(AXES, tmp_path / "s")
    other = sweeps.read(sweep.path)
    with sweep.lock(), pytest.raises(RunBusy, match="another process"):
        sweeps.start(other)


def test_table_is_tidy(tmp_path):
    sweep = sweeps.make({**AXES, "select": [["space"], ["space", "layer"]]}, tmp_path / "s")
    sweeps.start(sweep)
    first = sweeps.run_of(sweep.runs[0])
    row = {"roi": "all", "score": 0.25, "ceiling": 0.5, "vertices": 24}
    first.update(state="finished", finished=True, scores=[row], seconds=7.0, simulated=True, vertices=24)
    table = sweeps.rows(sweep)
    sweeps.write_csv(tmp_path / "t.csv", table)
    read = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert len(read) == 16 and len({tuple(r) for r in read}) == 1
    told = {
        "status": "finished",
        "mean_r2": "0.25",
        "noise_ceiling": "0.5",
        "seconds": "7.0",
        "simulated": "True",
        "steps": "20",
    }
    assert told.items() <= read[0].items()
    assert {r["select"] for r in read} == {"space", "space+layer"} and read[1]["mean_r2"] == ""
    assert sweeps.counts(table) == {"queued": 15, "finished": 1} and sweeps.remaining(table) == 7.0 * 15
    assert "1 of 16 finished · 15 queued" in summary(table) and "simulated" in summary(table)


def test_moved_home_is_found_by_name(tmp_path, monkeypatch):
    sweep = sweeps.make(AXES, tmp_path / "s")
    sweeps.start(sweep)
    (tmp_path / "home").rename(tmp_path / "moved")
    monkeypatch.setenv("FACTORTOPY_HOME", str(tmp_path / "moved"))
    assert states(sweep) == ["queued"] * 8


# ---- what SLURM's runs are told apart by (the cluster itself: test_slurm.py)


def slurm_run(**info):
    run = Run.create(runs_dir() / "a", SETTINGS)
    run.update(engine="slurm", **info)
    return run


def beat(run, age, host="node7"):
    (run.path / "progress.json").write_text(json.dumps({"host": host, "heartbeat": time.time() - age}))


def test_life_by_folder_squeue_and_heartbeat():
    run = slurm_run()
    assert slurm.state(run, "1", {"1": ("PENDING", "Resources")}) == ("queued", "SLURM: Resources")
    assert slurm.state(run, "1", {})[0] == "interrupted"
    assert slurm.state(run, None, None)[0] == "interrupted"
    assert slurm.state(run, "1", None)[0] == "queued"
    run.update(state="running")
    assert slurm.state(run, "1", {"1": ("RUNNING", "None")})[0] == "running"  # its lock is not seen here
    assert slurm.state(run, "1", {"2": ("RUNNING", "None")})[0] == "interrupted"
    beat(run, 5)
    assert slurm.state(run, "1", None)[0] == "running"
    beat(run, 5, socket.gethostname())
    assert slurm.state(run, "1", None)[0] == "interrupted"
    beat(run, 3600)
    assert slurm.state(run, "1", None)[0] == "interrupted"
    run.request_stop()
    assert slurm.state(run, "1", {"1": ("RUNNING", "None")})[0] == "stopping"
    run.clear_stop()
    run.update(state="stopped", reason="stopped by signal SIGTERM")
    assert slurm.state(run, "1", {"1": ("PENDING", "BeginTime")})[0] == "queued"  # preempted: SLURM starts it again
    run.update(finished=True)
    assert slurm.state(run, "1", {"1": ("PENDING", "BeginTime")})[0] == "finished"


def test_the_local_worker_leaves_slurm_runs_alone():
    run = slurm_run(state="running")
    assert run.status == "interrupted" and worker.Worker().reconcile() == [] and run.info["deaths"] == 0
    slurm.claim(run.path)
    assert run.status == "queued" and worker.Worker().reconcile() == []
    queue.resume(run)  # asked for here
    assert run.info["engine"] is None and queue.queued_names() == [run.name]


def test_extraction_is_done_by_one_run_a_network_and_subject(tmp_path):
    sweep = sweeps.make({**AXES, "steps": [20]}, tmp_path / "s")  # tiny 0, tiny2 0, tiny 1, tiny2 1
    told = {trial["name"]: ("planned", None) for trial in sweep.runs}
    first, others, after = sweeps.waves(sweep.runs, sweep.runs, told)
    assert first == sweep.runs[:2] and others == sweep.runs[2:] and after == []
    told[sweep.runs[0]["name"]] = ("running", None)
    sweep.runs[0]["job"] = "7_0"
    first, others, after = sweeps.waves(sweep.runs, sweep.runs[1:], told)
    assert first == [sweep.runs[1]] and others == sweep.runs[2:] and after == ["7_0"]
    told[sweep.runs[0]["name"]] = ("finished", None)
    assert sweeps.waves(sweep.runs, sweep.runs[1:], told)[0] == sweep.runs[1:3]


@pytest.mark.parametrize(("text", "wanted"), [("90", 90), ("90:30", 91), ("1:30:00", 90), ("1-12", 2160), ("1-0:30", 1470),
                                              ("0:0:1", 1)])  # fmt: skip
def test_time_limits(text, wanted):
    assert slurm.minutes(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["partition", "=gpu", "time=soon", "time=0", "mem=lots", "array=0", "cpus=x", "output=x", "wrap=rm", "a b=c", "x=$(id)", "x=a;b",
     "x=`id`", "partition=a\nb=c"],
)  # fmt: skip
def test_slurm_options_are_checked(text):
    with pytest.raises(InputError, match="--slurm"):
        slurm.options(text)


def test_slurm_options():
    found = slurm.options(
        "partition=gpu, time=2:00:00,gpus=a100:1,mem=32G,array=8,account=lab_x,--qos=low,nodelist=n[1-2]"[:-16]
    )
    assert found == {
        "partition": "gpu",
        "time": "2:00:00",
        "gpus": "a100:1",
        "mem": "32G",
        "array": "8",
        "account": "lab_x",
        "qos": "low",
    }
    assert slurm.options("") == {}


# ---- the verb


def test_words_of_settings():
    told = axes.settings(
        ["steps=20,30", "select=space+layer,layer", "topology=true,false", "layers=0+2", "weights=untrained"]
    )
    assert told == {"steps": [20, 30], "select": [["space", "layer"], ["layer"]], "topology": [True, False], "layers": [[0, 2]],
                    "weights": ["untrained"]}  # fmt: skip
    for wrong in ("steps", "colour=red", "steps="):
        with pytest.raises(InputError, match="--set"):
            axes.settings([wrong])
    with pytest.raises(InputError, match="twice"):
        axes.settings(["steps=1", "steps=2"])


@pytest.mark.parametrize(
    "words",
    [
        ("--subjects", "tiny"),
        ("--status",),
        ("nowhere", "--status"),
        ("nowhere",),
        ("nowhere", "--resume", "--subjects", "tiny"),
        ("--subjects", "tiny", "--backbones", "tiny-net", "--seeds", "0,x"),
        ("--subjects", "tiny", "--backbones", "tiny-net", "--set", "seed=1"),
        ("--subjects", "tiny", "--backbones", "tiny-net", "--set", "steps=none"),
    ],
)
def test_wrong_words_make_nothing(words):
    with pytest.raises(InputError) as error:
        sweep_command.sweep(parser().parse_args(["sweep", *words]))
    assert "\n" not in str(error.value) and not list(runs_dir().iterdir())


def test_no_wait_status_cancel_and_plan(tmp_path, capsys):
    def say(*words):
        code = sweep_command.sweep(parser().parse_args(["sweep", *map(str, words)]))
        return code, capsys.readouterr().out

    code, told = say(*DEMO[1:], "--seeds", "0,1", "--plan")
    last = told.splitlines()[-1]
    assert code == 0 and not list(runs_dir().iterdir())
    assert last.startswith("2 runs") and " of disk" in last and "two cores" in last
    code, told = say(*DEMO[1:], "--seeds", "0,1", "--out", tmp_path / "s", "--no-wait")
    assert code == 0 and "2 runs" in told and len(queue.queued_names()) == 2
    code, told = say(tmp_path / "s", "--status", "--csv", tmp_path / "t.csv")
    assert code == 0 and "0 of 2 finished · 2 queued" in told and (tmp_path / "t.csv").read_text().count("queued") == 2
    code, told = say(tmp_path / "s", "--cancel")
    assert code == 0 and "2 runs stopped" in told
    code, told = say(tmp_path / "s", "--resume", "--no-wait")
    assert code == 0 and "2 runs started again" in told
    sweeps.run_of(sweeps.read(tmp_path / "s").runs[0]).update(state="failed", reason="no such network")
    assert say(tmp_path / "s", "--status")[0] == 1


def test_ctrl_c_leaves_the_runs_working(tmp_path, monkeypatch, capsys):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_command.time, "sleep", interrupted)
    code = sweep_command.sweep(parser().parse_args([*DEMO, "--out", str(tmp_path / "s")]))
    told = capsys.readouterr().out
    assert code == 130 and "the runs go on" in told and "--cancel" in told
    assert states(sweeps.read(tmp_path / "s")) == ["queued"]


def test_renewing_table_redraws_in_place(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    sweep = sweeps.make({**AXES, "seed": list(range(20))}, tmp_path / "s")
    screen = sweep_command.Screen(Terminal())
    few = sweeps.rows(sweep)[:4]
    screen.show(sweep, few)
    screen.show(sweep, few)
    assert screen.out.getvalue().count("\x1b[6F") == 1  # four runs, the heading, the summary
    screen.show(sweep, sweeps.rows(sweep))
    assert screen._height == 2  # 80 runs wait: only what moves is shown
    screen.last(sweep, sweeps.rows(sweep))
    assert screen.out.getvalue().count(sweep.runs[79]["name"]) == 1


@pytest.fixture
def worker_ends():
    """The worker that a command started is ended after the test."""
    yield
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = f"FACTORTOPY_HOME={home()}" in (process / "environ").read_text(errors="replace")
            if ours and "factortopy.jobs.worker" in (process / "cmdline").read_text():
                os.kill(int(process.name), signal.SIGKILL)


def patient(*words):
    """Run the command line to its end, on a busy machine too."""
    return subprocess.run(command(*words), env=environment(), capture_output=True, text=True, timeout=400)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the worker by Linux's /proc")
def test_whole_sweep_in_the_queue_equals_single_trainings(tmp_path, worker_ends):
    done = patient(*WORDS, "--seeds", "0,1", "--out", tmp_path / "s", "--csv", tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 finished" in done.stdout and "Traceback" not in done.stdout
    alone = patient(*TRAIN, "--steps", 5, "--seed", 1, "--out", tmp_path / "alone")
    assert alone.returncode == 0
    sweep = sweeps.read(tmp_path / "s")
    assert Run(tmp_path / "alone").info["scores"] == sweeps.run_of(sweep.runs[1]).info["scores"]
    assert len(list(csv.DictReader((tmp_path / "t.csv").open()))) == 2
    assert "holds a sweep" in told_in_one_line(run_command(*WORDS, "--out", tmp_path / "s"))


@pytest.mark.parametrize(
    ("backbone", "subject", "match"),
    [("dinov2b", "demo-1", "did you mean dinov2-b"), ("demo-vit", "demo-9", "demo-1"), ("finetuned/x", "demo-1", "finetuned/x"),
     ("demo-vit", "/no/such/folder", "nothing at this path")],
)  # fmt: skip
def test_names_that_do_not_exist_are_refused_before_anything_is_made(tmp_path, backbone, subject, match, capsys):
    out = tmp_path / "sweep"
    assert main(["sweep", "--subjects", subject, "--backbones", backbone, "--out", str(out), "--no-wait"]) == 2
    assert re.search(match, capsys.readouterr().err)
    assert not out.exists() and not list(runs_dir().iterdir())


def test_a_finished_run_is_left_alone_for_the_same_wish_only(tmp_path, capsys):
    out = tmp_path / "run"
    copytree(assets_dir() / "runs" / "demo-vit_demo-1", out)
    assert main(["train", "--out", str(out)]) == 0
    assert main(["train", "--subject", "demo-1", "--backbone", "demo-vit", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["train", "--subject", "demo-2", "--backbone", "demo-vit", "--out", str(out)]) == 2
    assert "subject of this run is 'demo-1', asked for was 'demo-2'" in capsys.readouterr().err
