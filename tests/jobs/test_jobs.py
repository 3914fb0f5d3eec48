"""The queue and its worker: real processes, killed, stopped, resumed, found again."""

import contextlib
import datetime
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huey.registry import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import ROOT, SETTINGS, TINY, environment, fitting, start_holder, wait_for, wait_for_worker

from factortopy.errors import InputError
from factortopy.jobs import queue as jobs
from factortopy.jobs import worker
from factortopy.runs.run import Run, find_run, list_runs
from factortopy.storage.home import home, runs_dir

LONG = {**SETTINGS, "steps": 100_000}


@pytest.fixture
def children(monkeypatch):
    """Children of this process know the tiny subject; what is left of them ends with the test."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("finds processes by Linux's /proc")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TINY), str(ROOT)]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    ours = str(home())
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{number}/cmdline").read()
            theirs = open(f"/proc/{number}/environ").read()
        except OSError:
            continue
        if "-m\0factortopy" in words and f"FACTORTOPY_HOME={ours}" in theirs:
            os.kill(int(number), signal.SIGKILL)


def worker_number():
    """Process number of the worker of this home folder."""
    return jobs.this_process.workers[home()][0].pid


# ---- the queue's file


@given(
    st.builds(
        Message,
        id=st.text(),
        name=st.text(),
        eta=st.none() | st.datetimes(),
        retries=st.integers(0, 9),
        args=st.lists(st.text()),
        kwargs=st.dictionaries(st.text(), st.text()),
    )
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_tasks_survive_json(message):
    serializer = jobs.JsonSerializer()
    data = serializer.serialize(message)
    json.loads(data)
    assert serializer.deserialize(memoryview(data)) == message
    value = [None, False, "x"]
    assert serializer.deserialize(serializer.serialize(value)) == value


def test_queue_file_is_private_and_holds_no_pickle():
    run = jobs.submit(SETTINGS, start=False)
    queue = jobs.queue()
    queue.add_schedule(queue._registry.string_to_task("factortopy.jobs.work")(("later",), eta=datetime.datetime.max))
    content = b""
    for path in home().glob("queue.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        content += path.read_bytes()
    assert f'"args": ["{run.name}"]'.encode() in content
    assert not any(sign in content for sign in (b"\x80\x04\x95", b"\x80\x05\x95", b"chuey", b"pickle"))
    assert jobs.queued_names() == [run.name, "later"]


def test_a_pickle_put_into_the_queue_is_not_run(tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    queue = jobs.queue()
    queue.storage.enqueue(pickle.dumps(Payload()))
    assert jobs.queued_names() == []
    with pytest.raises(ValueError):
        queue.dequeue()
    assert not (tmp_path / "ran").exists() and len(queue) == 0


def test_damaged_or_deleted_queue_loses_nothing():
    first = jobs.submit(SETTINGS, start=False)
    second = jobs.submit({**SETTINGS, "seed": 1}, start=False)
    for path in home().glob("queue.db*"):
        path.unlink()
    assert jobs.queued_names() == []
    assert sorted(worker.Worker().reconcile()) == sorted([first.name, second.name]) == sorted(jobs.queued_names())
    for path in home().glob("queue.db-*"):
        path.unlink()
    (home() / "queue.db").write_bytes(b"no database" * 1000)
    jobs.this_process.queues.clear()
    assert jobs.queued_names() == [] and list(home().glob("queue.db.damaged-*"))
    assert sorted(worker.Worker().reconcile()) == sorted([first.name, second.name])
    assert worker.Worker().reconcile() == []


# ---- submit, cancel, resume without a worker


def test_double_click_makes_one_run():
    names = []
    clicks = [threading.Thread(target=lambda: names.append(jobs.submit(SETTINGS, start=False).name)) for _ in range(6)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len(names) == 6 and len(set(names)) == 1 and len(list_runs(shipped=False)) == 1
    assert jobs.queued_names() == names[:1]
    assert jobs.submit({**SETTINGS, "seed": 5}, start=False).name not in names


def test_order_is_shown_and_any_can_go():
    waiting = [jobs.submit({**SETTINGS, "seed": seed}, start=False) for seed in range(20)]
    assert [jobs.queue_position(run) for run in waiting] == list(range(1, 21))
    jobs.cancel(waiting[0])
    jobs.cancel(waiting[7])
    assert waiting[7].state() == ("stopped", "stopped before its turn") and jobs.queue_position(waiting[7]) is None
    assert jobs.queue_position(waiting[19]) == 18
    waiting[3].delete()
    assert waiting[3].status == "deleted" and jobs.queue_position(waiting[19]) == 17
    worker.Worker().see_through(waiting[0].name)
    worker.Worker().see_through(waiting[3].name)  # neither is trained nor made again
    assert waiting[0].status == "stopped" and not waiting[3].path.exists()
    jobs.resume(waiting[0], start=False)
    assert waiting[0].status == "queued" and jobs.queue_position(waiting[0])


def test_wrong_settings_make_no_run():
    with pytest.raises(InputError, match="recipe"):
        jobs.submit({**SETTINGS, "recipe": "quick"}, start=False)
    assert list_runs(shipped=False) == []


def test_stop_that_comes_while_nobody_works_is_obeyed():
    run = jobs.submit(SETTINGS, start=False)
    run.request_stop()
    assert run.status == "stopped"
    worker.Worker().see_through(run.name)
    assert run.info["state"] == "stopped" and not run.stop_requested()


def test_reconcile_counts_deaths_and_gives_up():
    run = jobs.submit(SETTINGS, start=False)
    for death in (1, 2):
        run.update(state="running")
        jobs.queue().flush()
        assert run.status == "interrupted"
        assert worker.Worker().reconcile() == [run.name]
        assert run.status == "queued" and run.info["deaths"] == death
    run.update(state="running")
    jobs.queue().flush()
    assert worker.Worker().reconcile() == []
    assert run.status == "failed" and "3 times" in run.reason
    jobs.resume(run, start=False)
    assert run.status == "queued" and run.info["deaths"] == 0


def test_what_is_held_by_somebody_else_is_left_alone():
    run = Run.create(runs_dir() / "a", SETTINGS, state="running")
    holder = start_holder(run)
    try:
        assert worker.Worker().reconcile() == [] and run.status == "running"
        jobs.cancel(run)
        assert run.status == "stopping"
    finally:
        holder.kill()
        holder.wait()
    assert run.status == "stopped"
    assert worker.Worker().reconcile() == []


# ---- with processes


def test_run_goes_on_when_app_and_worker_die(children):
    """Submitted by a process that ends, finished by a child whose worker was killed, then stopped and resumed."""
    code = f"from factortopy import jobs; print(jobs.submit({LONG!r}, name='long').name, flush=True)"
    app = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert app.stdout == "long\n", app.stderr
    run = find_run("long")
    wait_for(lambda: fitting(run))
    assert jobs.worker_alive()
    jobs.ensure_worker()  # one serves already: nothing is started
    assert home() not in jobs.this_process.workers

    trainer = run.info["holder"]["pid"]
    os.kill(_worker_of(trainer), signal.SIGKILL)
    wait_for(lambda: not jobs.worker_alive())
    assert run.status == "running"
    waiting = jobs.submit({**SETTINGS, "seed": 1})  # starts a new worker, which watches the run that it found
    assert wait_for_worker()
    wait_for(lambda: jobs.queue_position(waiting) == 1)
    time.sleep(1.0)
    assert run.info["holder"]["pid"] == trainer and waiting.status == "queued"  # one at a time

    jobs.cancel(run)
    wait_for(lambda: run.status == "stopped")
    step = json.loads((run.path / "checkpoint" / "state.json").read_text())["step"]
    wait_for(lambda: waiting.status == "finished")
    jobs.resume(run)
    wait_for(lambda: fitting(run) and run.progress()["step"] > step)
    assert run.history().step == sorted(set(run.history().step))
    assert run.reason is None


def _worker_of(trainer):
    """The worker that started a trainer: its parent."""
    return int(open(f"/proc/{trainer}/stat").read().rsplit(")", 1)[1].split()[1])


def test_killed_trainer_is_started_again_three_times_at_most(children):
    run = jobs.submit(LONG)
    killed = []
    for _ in range(3):
        wait_for(lambda: run.is_locked() and (run.info["holder"] or {}).get("pid") not in (None, *killed))
        killed.append(run.info["holder"]["pid"])
        os.kill(killed[-1], signal.SIGKILL)
    wait_for(lambda: run.status == "failed")
    assert "killed by signal 9, 3 times, probably out of memory" in run.reason and "\n" not in run.reason
    assert len(set(killed)) == 3 and run.log_tail().count("goes on from its checkpoint") == 2


def open_files(pid):
    """Paths that a process has open."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(os.readlink(one))
    return found


def test_queue_deleted_under_the_worker_is_replaced(children):
    jobs.ensure_worker()
    assert wait_for_worker()
    first = worker_number()
    # One that is still opening its queue would take the new one, and rightly stay.
    wait_for(lambda: "consumer started" in (home() / "worker.log").read_text())
    assert os.path.realpath(home() / "queue.db") in open_files(first)  # so no other file gets its number
    for path in home().glob("queue.db*"):
        path.unlink()
    run = jobs.submit({**SETTINGS, "subject": "nowhere"})
    wait_for(lambda: run.status == "failed")
    assert "nowhere" in run.reason and "Traceback" not in run.log_tail()
    wait_for(lambda: not os.path.exists(f"/proc/{first}") or "zombie" in open(f"/proc/{first}/status").read())
    assert wait_for_worker()


@pytest.mark.parametrize("when", ["before", "after"])
def test_queue_deleted_while_it_is_opened(monkeypatch, when):
    path, opened = home() / "queue.db", []
    real = jobs.Queue

    def disturbed(*args, **options):
        made = real(*args, **options) if when == "after" else None
        if not opened:
            path.unlink()
        opened.append(when)
        return made or real(*args, **options)

    monkeypatch.setattr(jobs, "Queue", disturbed)
    queue = jobs.queue()
    assert jobs.identity(path) == queue.identity and path.stat().st_mode & 0o777 == 0o600
    jobs.enqueue("first")
    assert jobs.queued_names() == ["first"]


def test_worker_outlives_a_queue_that_cannot_be_read(monkeypatch, children):
    """Its tables are dropped under it: what waits is done all the same."""
    jobs.ensure_worker()
    assert wait_for_worker()
    jobs.queue()
    with contextlib.closing(sqlite3.connect(home() / "queue.db")) as base:
        base.execute("drop table task")
    run = jobs.submit({**SETTINGS, "subject": "nowhere"})
    wait_for(lambda: run.status == "failed")


def test_two_workers_are_one(children):
    start = [subprocess.Popen([sys.executable, "-m", "factortopy.jobs.worker"], env=environment()) for _ in range(3)]
    wait_for(lambda: sum(process.poll() is not None for process in start) == 2)
    assert jobs.worker_alive()
    (serving,) = [process for process in start if process.poll() is None]
    serving.terminate()
    serving.wait(timeout=20)
    assert not jobs.worker_alive()


def test_hung_trainer_is_flagged_and_can_be_stopped(children, monkeypatch):
    monkeypatch.setattr("factortopy.runs.folder.HUNG_SECONDS", 1.0)
    monkeypatch.setattr(worker, "GRACE_SECONDS", 1.0)
    run = jobs.submit(LONG, start=False)
    served = threading.Thread(target=worker.Worker().see_through, args=(run.name,))
    served.start()
    wait_for(lambda: run.silent_seconds() is not None)
    os.kill(run.info["holder"]["pid"], signal.SIGSTOP)
    wait_for(lambda: run.hung)
    assert run.status == "running"
    jobs.cancel(run)
    wait_for(lambda: run.status == "stopped")
    served.join(timeout=20)
    assert not served.is_alive() and run.reason == "stopped on request" and run.resumable


def test_worker_waits_for_a_run_that_another_process_holds(children):
    run = jobs.submit(SETTINGS, start=False)
    holder = start_holder(run)
    served = threading.Thread(target=worker.Worker().see_through, args=(run.name,))
    served.start()
    time.sleep(1.0)
    assert served.is_alive() and not (run.path / "log.txt").exists()
    run.request_stop()
    holder.kill()
    holder.wait()
    served.join(timeout=20)
    assert run.status == "stopped"


def test_idle_worker_ends(children, monkeypatch):
    code = "from factortopy.jobs import worker; worker.IDLE_SECONDS = 0.5; worker.run_worker()"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment())
    assert process.wait(timeout=30) == 0 and not jobs.worker_alive()
    jobs.wake()
    assert not jobs.worker_alive() and home() not in jobs.this_process.workers  # nothing waits: no worker
