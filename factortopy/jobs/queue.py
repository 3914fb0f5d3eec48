"""Work in the background: a queue (huey on SQLite) and its worker, a process of its own.

A folder of work is the truth, the queue a hint: deleting ``queue.db`` loses nothing, since ``reconcile`` finds what waits
or was interrupted. One worker (``factortopy.jobs.worker``) does one thing at a time, or one a GPU, each in a child process
(``factortopy train … --queued``, ``factortopy work … --queued``) with its output in log.txt. Pages come and go; worker and
child go on.

    submit(settings) -> Run      submit_job(kind, settings) -> Job
    cancel(job)      resume(job)      queue_position(job)      wake()         for runs and jobs alike
"""

import contextlib
import datetime
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout
from huey import Huey
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import SqliteStorage

from factortopy.errors import InputError
from factortopy.jobs.job import Job, forget_oldest, job_of, list_all, of_key
from factortopy.jobs.kinds import kind_of
from factortopy.runs.folder import ACTIVE, NAME_PATTERN, RESUMABLE, RunBusy
from factortopy.runs.run import Run, list_runs, new_run_name
from factortopy.runs.settings import check_settings
from factortopy.storage import machine
from factortopy.storage.home import home, jobs_dir, runs_dir
from factortopy.storage.machine import explain_os_error, file_is_locked
from factortopy.storage.records import now


class ThisProcess:
    """What this process has opened and started."""

    def __init__(self):
        self.queues = {}  # queue.db: Queue
        self.workers = {}  # home folder: (the worker's process, monotonic second of its start)


this_process = ThisProcess()


# ---- the queue


class JsonSerializer(Serializer):
    """Tasks as JSON: unlike pickle, nothing in the queue's file can run code when it is read."""

    def _serialize(self, data):
        if isinstance(data, Message):
            fields = data._asdict()
            fields["eta"] = fields["eta"].isoformat() if fields["eta"] else None
            data = {"task": fields}
        else:
            data = {"value": data}
        return json.dumps(data).encode()

    def _deserialize(self, data):
        data = json.loads(bytes(data))
        if "task" not in data:
            return data["value"]
        fields = data["task"]
        fields["eta"] = datetime.datetime.fromisoformat(fields["eta"]) if fields["eta"] else None
        return Message(**fields)


class Queue(Huey):
    """The queue in a file. ``see_through(key)`` is what the worker of this process does when a run's or job's turn has come.

    identity : of the file that was opened; its name may lead to another one later
    """

    def __init__(self, path, identity):
        super().__init__(
            "factortopy", storage_class=SqliteStorage, filename=str(path), serializer=JsonSerializer(), results=False,
            strict_fifo=True,
        )  # fmt: skip
        self.identity, self.see_through = identity, None

        def work(key):
            self.see_through(key)

        work.__module__ = "factortopy.jobs"  # queue.db keeps the task's name: it outlives this module's place
        self.work = self.task(name="work")(work).task_class

    def put(self, key, first=False):
        """A task for a key; ``first`` before those that have not had a turn."""
        self.enqueue(self.work((key,), priority=int(first)))


def queue():
    """The queue of the current home folder; a file that is no database is put aside."""
    path = home() / "queue.db"
    opened = this_process.queues.get(path)
    if opened is not None and identity(path) == opened.identity:
        with contextlib.suppress(sqlite3.DatabaseError):
            opened.pending_count()
            return opened
    for tries_left in range(9, -1, -1):
        try:
            opened = _open_queue(path)
            if identity(path) == opened.identity:
                this_process.queues[path] = opened
                return opened
        except sqlite3.DatabaseError as error:
            # An operational error is another process that makes or deletes it at this very moment; else, or when it
            # stays, the file is a damaged hint: what waits is known from the run folders.
            if tries_left < 5 or not isinstance(error, sqlite3.OperationalError):
                _put_aside(path)
        time.sleep(0.1)
    raise InputError(
        f"{path.name}: expected a file that stays, found it deleted or damaged again and again; "
        f"see what else uses {path.parent}"
    )


def _put_aside(path):
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_name(f"queue.db.damaged-{int(time.time())}"))
    for extra in ("-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)


def _open_queue(path):
    # The file is made here, so that it is never readable for others, not even for a moment.
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        status = os.fstat(file)
        os.close(file)
    except OSError as error:
        raise explain_os_error(error, path) from None
    opened = Queue(path, (status.st_dev, status.st_ino))
    opened.pending()
    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile: found by its identity
        os.chmod(path, 0o600)
    return opened


def identity(path):
    """What tells a file from another one of the same name; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def queued_names():
    """Keys of what is in the queue, next first: a run's name, or "jobs/" and a job's."""
    names = []
    for task in (*queue().pending(), *queue().scheduled()):
        if task.args and task.args[0] not in names:
            names.append(task.args[0])
    return names


def enqueue(name, first=False):
    """Put a run's or job's key into the queue unless it waits there; ``first`` before those that have not had a turn."""
    if name not in queued_names():
        queue().put(name, first)


@contextlib.contextmanager
def guard():
    """One at a time among all pages, apps and workers: a look at the queue followed by a change of it."""
    lock = FileLock(home() / "queue.lock")
    try:
        lock.acquire(timeout=30)
    except Timeout:
        raise InputError("queue: another process has been changing it for 30 seconds; try again") from None
    except OSError as error:
        raise explain_os_error(error, home()) from None
    try:
        yield
    finally:
        lock.release()


# ---- what pages call


def submit(settings, name=None, start=True):
    """Queue a training and make sure that a worker runs.

    Parameters
    ----------
    settings : dict
        as ``runs.settings.check_settings`` takes them.
    name : str, optional
        Name of the run; made from the settings when None.
    start : bool
        Start the worker.

    Returns
    -------
    Run
        The same one for a second click: a run with the same settings that waits or runs is not made again.
    """
    settings = check_settings(settings)
    with guard():
        for run in list_runs(shipped=False):
            if run.status in ACTIVE and run.settings == settings:
                break
        else:
            run = Run.create(runs_dir() / (name or new_run_name(settings)), settings)
            enqueue(run.key)
        if start:
            ensure_worker()
    return run


def submit_job(kind, settings, name=None, start=True):
    """Queue work that is no training and make sure that a worker runs.

    Parameters
    ----------
    kind : str
        One of ``kinds.KINDS``: extract, simulate, finetune, report.
    settings : dict
        As the kind's ``check_settings`` takes them.
    name : str, optional
        Name of the job's folder; made from the settings when None.
    start : bool
        Start the worker.

    Returns
    -------
    Job
        The same settings are the same job: one that waits or runs is not made again, one that stopped goes on. A finished
        one is done again when its result lies elsewhere (extract, simulate).

    Raises
    ------
    InputError
        Settings that do not do; a name that other work has.
    """
    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise InputError(f"job {name[:60]!r}: expected letters, digits, - and _; choose another name")
    settings = json.loads(json.dumps(kind_of(kind).check_settings(settings)))  # as run.json will hold them
    job = job_of(kind, settings) if name is None else Job(jobs_dir() / name)
    with guard():
        if not (job.path / "run.json").exists():
            forget_oldest()
            Job.create(job.path, kind, settings)
            enqueue(job.key)
        elif job.status not in (*ACTIVE, *RESUMABLE, "finished"):
            raise InputError(f"job {job.name}: {job.reason}; delete it on the page Jobs, then try again")
        elif (job.info["kind"], job.settings) != (kind, settings):
            raise InputError(
                f"job {job.name}: expected a name of its own, found other work of that name; choose another name"
            )
        elif job.status in RESUMABLE or (job.status == "finished" and kind_of(kind).again):
            with job.lock():
                anew = {"created": now(), "finished": False, "result": None, "seconds": None}
                _queue_again(job, **(anew if job.info["finished"] else {}))
        if start:
            ensure_worker()
    return job


def cancel(run):
    """Stop a run or job: one that waits at once, one that works as soon as it has kept what it did."""
    if run.status not in ACTIVE:
        return
    run.request_stop()
    try:
        with run.lock(timeout=0.1):
            if run.state(locked=False)[0] == "finished":
                run.clear_stop()
                return
            waited = run.info.get("state") == "queued"
            run.update(
                state="stopped", reason="stopped before its turn" if waited else "stopped on request", holder=None
            )
            run.clear_stop()
    except RunBusy:
        pass  # it works: it looks at the request at every step


def resume(run, start=True):
    """Queue a stopped, interrupted or failed run or job again; it goes on from its checkpoint."""
    if getattr(run, "shipped", False):
        raise InputError(f"run {run.name}: comes with FactorTopy and cannot be trained; train one of your own")
    with guard():
        with run.lock():
            if run.state(locked=False)[0] != "finished":
                _queue_again(run)
        if start:
            ensure_worker()


def _queue_again(run, **changes):
    """Put it back to waiting; the caller holds guard and lock."""
    run.clear_stop()
    # The turn tells a worker that is just ending with this run that it was queued anew.
    turn = run.info.get("turn", 0) + 1
    run.update(state="queued", reason=None, deaths=0, holder=None, engine=None, turn=turn, **changes)
    enqueue(run.key)


def queue_position(run):
    """1 for the run or job that is next, 2 for the one after …; None when it does not wait."""
    waiting = [key for key in queued_names() if of_key(key).status == "queued"]
    return waiting.index(run.key) + 1 if run.key in waiting else None


def worker_alive():
    """True while a worker serves this home folder."""
    return file_is_locked(home() / "worker.lock")


def ensure_worker():
    """Start the worker when none runs; safe to call at any time from anywhere."""
    fresh = this_process.workers.get(home())
    if worker_alive() or (fresh and fresh[0].poll() is None and time.monotonic() - fresh[1] < 10):
        return
    detach = {"start_new_session": True}
    if os.name == "nt":
        detach = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    log = home() / "worker.log"
    with open(log, "wb" if log.exists() and log.stat().st_size > 1_000_000 else "ab") as out:
        # Two that start at the same time are harmless: the second finds the lock held and goes.
        command = [sys.executable, "-m", "factortopy.jobs.worker"]
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
        process = subprocess.Popen(command, env=child_environment(), cwd=home(), **streams, **detach)
        this_process.workers[home()] = process, time.monotonic()


def wake():
    """Start the worker when something waits or was interrupted; the app calls it when it opens."""
    if not worker_alive() and any(job.status in (*ACTIVE, "interrupted") for job in list_all()):
        ensure_worker()


def child_environment():
    """The environment of a child: this copy of FactorTopy, wherever the child starts."""
    root = str(Path(__file__).resolve().parents[2])
    others = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    path = os.pathsep.join([root, *others])
    return machine.child_environment(PYTHONPATH=path, PYTHONUNBUFFERED="1", FACTORTOPY_HOME=str(home().resolve()))
