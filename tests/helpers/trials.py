"""Helps the tests of runs, jobs and the command line: real processes that train something tiny."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "helpers" / "tiny"
SETTINGS = {"subject": "tiny", "backbone": "tiny-net", "steps": 30}
TRAIN = ("train", "--subject", "tiny", "--backbone", "tiny-net")


def environment(**more):
    """The environment of a process that knows the tiny subject and network."""
    path = os.pathsep.join([str(TINY), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


def command(*words):
    """The command line as a list."""
    return [sys.executable, "-m", "factortopy", *map(str, words)]


def run_command(*words, **options):
    """Run the command line to its end; CompletedProcess with text output."""
    return subprocess.run(command(*words), env=environment(), capture_output=True, text=True, timeout=120, **options)


def start_command(*words, **options):
    """Start the command line."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*words), env=environment(), **streams, **options)


def start_holder(run):
    """A process that holds the run's lock until it is ended."""
    code = "import sys, time; from factortopy.runs.run import Run\n"
    code += "with Run(sys.argv[1]).lock():\n    print('held', flush=True); time.sleep(600)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def wait_for(condition, seconds=60.0):
    """Wait until the condition holds; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value, "waited in vain"
            return value
        time.sleep(0.05)


def wait_for_worker():
    """Wait until a worker serves this home folder."""
    from factortopy.jobs.queue import worker_alive

    return wait_for(worker_alive, 20.0)


def fitting(run):
    """True when the run's process is at its optimiser steps."""
    progress = run.progress() or {}
    return run.silent_seconds() is not None and progress.get("stage") == "fit" and progress.get("step")


def told_in_one_line(result, code=2):
    """Assert that a finished command said what is wrong in one line; the line."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    return lines[0]
