"""A queue.db and folders that the version before the rebuild wrote (``before/README.md``) are opened and served."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from test_jobs import children  # noqa: F401  (a fixture)
from trials import wait_for

from factortopy.encoder.encoder import Encoder
from factortopy.jobs import queue, worker
from factortopy.jobs.job import Job, list_all, list_jobs
from factortopy.runs.archive import pack_run
from factortopy.runs.run import Run, find_run, list_runs
from factortopy.storage.home import home

BEFORE = Path(__file__).parent / "before"
EXTRACTION = "tiny-net-on-the-pictures-of-a-19bb3875"
WAITING = ["waits", f"jobs/{EXTRACTION}", "jobs/localizer"]


@pytest.fixture
def before():
    """The home folder holds what was written then."""
    shutil.copytree(BEFORE, home(), dirs_exist_ok=True)


def test_folders_are_read(before):
    assert {run.name: run.status for run in list_runs(shipped=False)} == {
        "done": "finished", "stopped": "stopped", "waits": "queued",
    }  # fmt: skip
    kinds = {job.name: (job.kind, job.status, job.info["title"]) for job in list_jobs()}
    assert kinds == {
        EXTRACTION: ("extract", "queued", "tiny-net on the pictures of a"),
        "tiny-net-on-the-pictures-of-b-d47af338": ("extract", "finished", "tiny-net on the pictures of b"),
        "localizer": ("simulate", "queued", "Localizer on demo-vit_demo-1"),
    }
    done, stopped = find_run("done"), find_run("stopped")
    assert done.settings["steps"] == 30 and done.info["scores"][0]["roi"] == "all" and done.info["simulated"]
    assert done.scores()["score"].shape == (24,) and done.history().step[-1] == 30 and not done.history().damaged
    encoder = Encoder.load(done.path)
    assert np.isclose(encoder.scores["score"].mean(), done.info["scores"][0]["score"], atol=1e-6)
    assert stopped.kept() == (150, 400) and stopped.resumable and stopped.reason == "stopped on request"
    assert stopped.settings["topology"] is False and set(stopped.preview()) >= {"space", "layer", "scale", "hemi"}


def test_a_run_can_be_sent(before, tmp_path):
    assert pack_run(find_run("done"), tmp_path).name == "done_simulated.factortopy.zip"


def test_the_same_wish_is_the_same_folder(before):
    tiny = {"subject": "tiny", "backbone": "tiny-net"}
    assert queue.submit({**tiny, "steps": 30, "seed": 1}, start=False).name == "waits"
    assert queue.submit_job("extract", {**tiny, "subject_id": "a"}, start=False).name == EXTRACTION
    assert len(list_all()) == 6


def test_the_queue_keeps_its_order_and_its_task(before):
    # The extraction of b was done beside the queue: its task waits there, and finds nothing to do.
    assert [key for key in queue.queued_names() if not key.endswith("d47af338")] == WAITING
    assert [
        queue.queue_position(job) for job in (Run(home() / "runs" / "waits"), Job(home() / "jobs" / "localizer"))
    ] == [1, 3]
    assert worker.Worker().reconcile() == []  # all that waits is in it
    queue.enqueue("later")
    with contextlib.closing(sqlite3.connect(home() / "queue.db")) as base:
        tasks = [bytes(row[0]) for row in base.execute("select data from task")]
    assert len(tasks) == 5 and all(b'"name": "factortopy.jobs.work"' in task for task in tasks)


def test_what_waits_is_done_and_what_was_stopped_is_begun_again(before, children):  # noqa: F811
    waits, extraction, stopped = find_run("waits"), Job(home() / "jobs" / EXTRACTION), find_run("stopped")
    queue.cancel(Job(home() / "jobs" / "localizer"))  # a demo network: long
    queue.resume(stopped)  # starts the worker
    wait_for(lambda: all(job.status == "finished" for job in (waits, extraction, stopped)), 150)
    assert extraction.info["result"] == {"pictures": 60, "layers": 3, "simulated": True}
    steps = stopped.history().step
    assert steps == sorted(set(steps)) and steps[-1] > 150
    # Its alignments stand on components that are made in another way now.
    assert "the checkpoint is of an earlier version; the fit begins again" in stopped.log_tail()
    assert stopped.kept() is None and stopped.history().step[0] < 20
    assert Encoder.load(waits.path).info["seed"] == 1 and waits.info["scores"][0]["vertices"] == 24
