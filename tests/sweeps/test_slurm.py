"""Sweeps on a real one-node SLURM: finished, killed, cancelled, queued again. Skipped where it cannot be started."""

import getpass
import json
import os
import signal
import subprocess

import numpy as np
import pytest
import torch
from slurm_cluster import ask, slurm_daemons  # noqa: F401  (a fixture)
from tiny_here import tiny_network
from trials import ROOT, SETTINGS, TINY, command, environment, fitting, start_holder, wait_for

from factortopy import sweeps
from factortopy.errors import InputError
from factortopy.jobs import worker
from factortopy.runs.run import Run
from factortopy.runs.training import train_run
from factortopy.storage.files import read_tensors
from factortopy.storage.home import home, runs_dir
from factortopy.sweeps import slurm

AXES = {"subject": ["tiny"], "backbone": ["tiny-net"]}
LONG = {**AXES, "steps": [100_000]}
WORDS = ("--subjects", "tiny", "--backbones", "tiny-net")


@pytest.fixture
def cluster(slurm_daemons, monkeypatch):  # noqa: F811
    """Jobs know the tiny subject; none outlives its test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TINY), str(ROOT)]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    home()
    yield
    ask("scancel", "--signal=KILL", "--full", "--state=RUNNING", f"--user={getpass.getuser()}")
    ask("scancel", f"--user={getpass.getuser()}")
    wait_for(lambda: not ask("squeue", "--noheader"), 30)


def sweep_of(out, **axes):
    return sweeps.make({**LONG, **axes}, out, engine="slurm", options={"partition": "main"})


def only(sweep):
    """The run of a sweep of one."""
    (trial,) = sweep.runs
    return sweeps.run_of(trial)


def status(sweep):
    return [told for told, _ in sweeps.states(sweep).values()]


def command_line(*words):
    """Run the command line to its end; jobs may have to wait for each other."""
    return subprocess.run(command(*words), env=environment(), capture_output=True, text=True, timeout=240)


def test_a_run_goes_through_slurm(cluster, tmp_path):
    sweep = sweep_of(tmp_path / "s", steps=[5])
    sweeps.start(sweep)
    assert status(sweep)[0] in ("queued", "running")
    wait_for(lambda: status(sweep) == ["finished"], 200)
    run = only(sweep)
    assert run.info["engine"] == "slurm" and run.info["holder"] is None and run.info["simulated"]
    assert sweeps.rows(sweep)[0]["mean_r2"] == run.info["scores"][0]["score"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_on_slurm_has_the_numbers_of_a_local_run(cluster, tmp_path, monkeypatch):
    done = command_line("sweep", *WORDS, "--seeds", "0,1", "--set", "steps=20", "--out", tmp_path / "s", "--slurm",
                        "partition=main,time=10", "--csv", tmp_path / "t.csv")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 finished" in done.stdout and "simulated" in done.stdout
    assert (tmp_path / "t.csv").read_text().count("finished") == 2
    sweep = sweeps.read(tmp_path / "s")
    first, second = (int(trial["job"].split("_")[0]) for trial in sweep.runs)
    assert first < second  # it waited for the first one's features
    run = sweeps.run_of(sweep.runs[1])
    assert run.path.parent == runs_dir() and run.info["engine"] == "slurm" and run.settings["seed"] == 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the job has
    with tiny_network():
        local = train_run(tmp_path / "local", "tiny", "tiny-net", steps=20, seed=1)
    torch.set_num_threads(threads)
    ours, theirs = (read_tensors(path / "scores.safetensors") for path in (run.path, local.path))
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_job_goes_on_from_its_checkpoint(cluster, tmp_path):
    sweep = sweep_of(tmp_path / "s")
    sweeps.start(sweep)
    run = only(sweep)
    state = run.path / "checkpoint" / "state.json"
    wait_for(lambda: fitting(run) and state.exists(), 200)
    step = json.loads(state.read_text())["step"]
    os.kill(run.info["holder"]["pid"], signal.SIGKILL)
    wait_for(lambda: status(sweep) == ["interrupted"])
    assert worker.Worker().reconcile() == []  # SLURM's run is not this machine's
    assert status(sweep) == ["interrupted"]
    done = command_line("sweep", tmp_path / "s", "--resume", "--no-wait")
    assert done.returncode == 0 and "1 run started again" in done.stdout, done.stderr
    sweep = sweeps.read(tmp_path / "s")
    wait_for(lambda: fitting(run), 200)
    assert run.progress()["step"] >= step
    steps = run.history().step
    assert steps == sorted(set(steps)) and "going on from the checkpoint" in run.log_tail()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_scancel_and_sweep_cancel(cluster, tmp_path):
    sweep = sweep_of(tmp_path / "s", seed=[0, 1])
    sweeps.start(sweep)
    first, second = (sweeps.run_of(trial) for trial in sweep.runs)
    wait_for(lambda: fitting(first), 200)
    assert status(sweep) == ["running", "queued"]
    ask("scancel", sweep.runs[0]["job"])  # behind FactorTopy's back
    wait_for(lambda: status(sweep)[0] == "stopped")
    assert "SIGTERM" in first.reason and first.resumable
    wait_for(lambda: fitting(second), 200)  # its turn
    assert sweeps.resume(sweep) == [first.name]
    wait_for(lambda: fitting(first), 200)
    assert len(sweeps.cancel(sweep)) == 2
    wait_for(lambda: status(sweep) == ["stopped", "stopped"])
    assert first.reason == second.reason == "stopped on request"
    wait_for(lambda: not ask("squeue", "--noheader"), 30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_waiting_jobs_are_cancelled_before_their_turn(cluster, tmp_path):
    ask("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        sweep = sweep_of(tmp_path / "s", seed=[0, 1])
        sweeps.start(sweep)
        assert status(sweep) == ["queued", "queued"]
        ask("scancel", sweep.runs[0]["job"])
        wait_for(lambda: status(sweep) == ["interrupted", "queued"])  # lost: it can be resumed
        assert sweeps.resume(sweep) == [sweep.runs[0]["name"]]
        assert status(sweep) == ["queued", "queued"]
        sweeps.cancel(sweep)
        assert status(sweep) == ["stopped", "stopped"]
        wait_for(lambda: not ask("squeue", "--noheader"), 30)
    finally:
        ask("scontrol", "update", "PartitionName=main", "State=UP")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_preempted_job_is_queued_again_and_goes_on(cluster, tmp_path):
    sweep = sweep_of(tmp_path / "s")
    sweeps.start(sweep)
    run = only(sweep)
    wait_for(lambda: fitting(run) and (run.path / "checkpoint" / "state.json").exists(), 200)
    pid, step = run.info["holder"]["pid"], json.loads((run.path / "checkpoint" / "state.json").read_text())["step"]
    ask("scancel", "--signal=USR2", sweep.runs[0]["job"])  # what submitit takes for a preemption
    wait_for(lambda: status(sweep) == ["queued"], 30)
    assert run.info["state"] == "queued" and run.info["reason"] is None
    wait_for(lambda: fitting(run) and run.info["holder"]["pid"] != pid, 200)
    assert run.progress()["step"] >= step and status(sweep) == ["running"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_held_is_left_alone_by_its_job(cluster, tmp_path):
    run = Run.create(runs_dir() / "held", SETTINGS)
    holder = start_holder(run)
    try:
        (job,) = slurm.submit(tmp_path / "logs", [run.path], home(), {"time": "5"})
        wait_for(lambda: job not in slurm.jobs(), 200)
        assert run.info["state"] == "queued" and "leaves it alone" in run.log_tail()
    finally:
        holder.kill()
        holder.wait()


def test_refused_options_are_said_in_one_line(cluster, tmp_path):
    done = command_line("sweep", *WORDS, "--out", tmp_path / "s", "--slurm", "partition=nowhere")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "partition" in done.stderr.splitlines()[-1], done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (tmp_path / "s").exists() and not list(runs_dir().iterdir())  # nothing in the corrected command's way


def test_without_slurm_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.jobs() is None
    with pytest.raises(InputError, match="login node"):
        sweeps.make(LONG, tmp_path / "s", engine="slurm")
    assert not (tmp_path / "s").exists()
