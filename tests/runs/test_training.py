"""Training in a run folder: stopped, resumed, killed at any moment, on a full disk, in a folder that goes away."""

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
from tiny_here import run_here, tiny  # noqa: F401  (a fixture)
from trials import (
    SETTINGS,
    TRAIN,
    environment,
    fitting,
    start_command,
    told_in_one_line,
    wait_for,
)

import factortopy
from factortopy.errors import InputError
from factortopy.runs import settings
from factortopy.runs.folder import RunGone
from factortopy.runs.recorder import Recorder
from factortopy.runs.run import Run
from factortopy.runs.training import train_run
from factortopy.storage.home import runs_dir


@pytest.fixture
def run():
    return Run.create(runs_dir() / "a", SETTINGS)


def test_stopped_and_resumed_equals_undisturbed(tiny, tmp_path):  # noqa: F811
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
    split = json.loads((half.path / "split.json").read_text())  # the tiny subject shows each picture once
    assert half.info["pictures"] == {part: len(rows) for part, rows in split.items()} and half.info[
        "best_step"
    ] in range(41)
    assert {"checkpoint", "preview.safetensors", "cancel"}.isdisjoint(os.listdir(half.path))
    assert half.history().step == list(range(1, 41))
    for name in ("encoder.safetensors", "selectors.safetensors", "scores.safetensors"):
        assert (half.path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    before = (half.path / "encoder.safetensors").stat().st_mtime_ns
    train_run(half.path, "tiny", "tiny-net")
    assert (half.path / "encoder.safetensors").stat().st_mtime_ns == before


def test_torn_run_json_is_told_again_and_goes_on(tiny, tmp_path):  # noqa: F811
    run = train_run(tmp_path / "a", "tiny", "tiny-net", steps=20, on_progress=lambda p: p["step"] != 5)
    (run.path / "run.json").write_text('{"schema": 1, "sett')
    with pytest.raises(InputError, match="run.json"):
        train_run(run.path, resume=True)
    train_run(run.path, "tiny", "tiny-net", steps=20, resume=True)
    assert run.status == "finished" and (run.path / "run.json.damaged").exists()


def test_too_little_space_is_said_before(run):
    from factortopy.runs.training import _check_space

    with pytest.raises(InputError, match=r"needs about 1000000000 MB there, \d+ MB are free"):
        _check_space(run, 10**9)


def test_second_process_leaves_and_names_the_first(tmp_path):
    out = tmp_path / "a"
    first = start_command(*TRAIN, "--steps", 100_000, "--out", out)
    try:
        wait_for(lambda: fitting(Run(out)))
        line = told_in_one_line(run_here(*TRAIN, "--out", out), 75)
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


def test_full_disk_is_said_and_resumed(tiny, tmp_path):  # noqa: F811
    subject = factortopy.load_subject("tiny")
    features = factortopy.extract(factortopy.load_backbone("tiny-net"), subject.images)
    factortopy.fit(
        subject, features, steps=1
    )  # its tokens are reduced and kept: only the run's own files are written below
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
import factortopy.__main__, factortopy.cli.train, factortopy.runs.training  # Python itself may be out of that user's reach
os.setgroups([]); os.setgid(65534); os.setuid(65534)
words, outs = sys.argv[1:-2], sys.argv[-2:]
sys.exit(2 if [factortopy.cli.main.main([*words, "--out", out]) for out in outs] == [2, 2] else 9)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_read_only_folder_is_said_before_training():
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        home = Path(place) / "home"
        (home / "runs").mkdir(parents=True)
        held = Run.create(home / "runs" / "held", SETTINGS)
        outs = [str(home / "runs" / "new"), str(held.path)]
        result = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *TRAIN, "--steps", "30", "--resume", *outs],
            env=environment(FACTORTOPY_HOME=str(home)), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert result.returncode == 2 and result.stdout == "", result.stderr
        for line, out in zip(result.stderr.strip().splitlines(), outs, strict=True):
            assert "permission denied" in line and out in line and "choose another folder" in line
        assert held.status == "queued"


KILLS = """
import os, random, signal, sys, time
import torch, factortopy, factortopy.encoder, factortopy.analysis
from factortopy.runs.run import Run
from factortopy.runs.training import train_run

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
    [pytest.param(100, seed, marks=pytest.mark.slow) for seed in (2, 3)],  # ten in the ordinary run: test_kills.py
)
def test_killed_at_any_moment(tmp_path, kills, seed):
    words = [sys.executable, "-c", KILLS, str(tmp_path / "a"), str(kills), str(seed)]
    result = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    assert "status finished" in result.stdout


SAVES = """
import itertools, sys
import numpy as np
from factortopy.storage.files import write_tensors
from factortopy.runs.run import Run
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
        assert run.status == "queued" and len(run.info["settings"]) == len(settings.DEFAULTS)
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


def test_ridge_without_known_weights_takes_the_data(tiny, tmp_path):  # noqa: F811
    said = []
    run = train_run(tmp_path / "a", "tiny", "tiny-net", model="ridge", say=said.append)
    assert run.status == "finished" and run.info["reduce"] == "data"
    assert any("principal components" in line for line in said)
