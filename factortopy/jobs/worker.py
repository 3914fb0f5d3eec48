"""The queue's worker: a process of its own that sees one run or job after the other through to its end.

Each is done by a child process, so that the system can kill one without the other: when the worker dies the child goes on
and the next worker watches it; when the child dies the worker starts it again from its checkpoint, three times at most.
With several GPUs there are as many children at a time, each with one to itself.
"""

import contextlib
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.jobs.job import find, list_all
from factortopy.jobs.queue import (
    child_environment,
    enqueue,
    ensure_worker,
    guard,
    identity,
    queue,
    queued_names,
)
from factortopy.runs.folder import ACTIVE, BUSY_EXIT, RunBusy, RunGone
from factortopy.storage.home import home
from factortopy.storage.machine import explain_os_error

TRIES = 3  # a run whose process is killed this often has failed
POLL_SECONDS = 0.3
GRACE_SECONDS = 60.0  # between asking a process to stop and killing it: it may be solving or saving
RECONCILE_SECONDS = 30.0
IDLE_SECONDS = 900.0  # without work the worker goes; the next submit starts another
log = logging.getLogger("factortopy.jobs.worker")


class Worker:
    """Sees to the runs and jobs of a queue. Its threads share what they work on, and the GPUs.

    gpus : names of those to share out among children, [] where there is nothing to share
    """

    def __init__(self, gpus=()):
        self.gpus = list(gpus)
        self.working = set()  # keys of what it sees to
        self._lent = {}  # key: the GPU that its child has
        self._sharing = threading.Lock()

    # ---- what waits

    def reconcile(self):
        """Queue again what the folders say is unfinished and nobody works on; returns the keys.

        Called when a worker starts and now and then while it runs. A run whose process died counts the death; the third one
        is its end.
        """
        keys = []
        with guard():
            seen_to = set(queued_names()) | self.working
            for run in list_all():
                if run.key in seen_to:
                    continue
                with contextlib.suppress(InputError):  # deleted, or taken by a process, while it was looked at
                    if run.info.get("engine"):  # SLURM's, not this queue's
                        continue
                    before = status = run.status
                    if status == "interrupted":
                        status = _count_death(run, "killed or ended with the machine")
                    orphan = status in ("running", "stopping") and (run.info.get("holder") or {}).get("queue")
                    if status == "queued" or orphan:
                        # What already had its turn goes on before others begin: one at a time.
                        enqueue(run.key, first=before != "queued")
                        keys.append(run.key)
        return keys

    # ---- one run or job

    def see_through(self, key):
        """What the queue's task does: see the run or job of a key through to its end."""
        try:
            run = find(key)
        except InputError:
            return  # deleted while it waited
        while not self._take(key):  # another thread is just ending with it: stopped and resumed
            time.sleep(POLL_SECONDS)
        try:
            turn = _turn(run)
            while _turn(run) == turn and not _settled(run):
                self._attempt(run, turn)
        finally:
            self.working.discard(key)
            self._lent.pop(key, None)

    def _take(self, key):
        """True when this thread is now the one that sees to a key."""
        with self._sharing:
            free = key not in self.working
            self.working.add(key)
            return free

    def _attempt(self, run, turn):
        """One process for the run: start it, or watch the one that is there, until it ends."""
        child = None
        if not run.is_locked():
            if run.status == "interrupted" and _count_death(run, "killed") == "failed":
                return
            child = _start(run, self._gpu_for(run))
            if child is None:
                return
        asked_at = None
        while child.poll() is None if child else run.is_locked():
            if run.stop_requested() or not run.path.is_dir():
                asked_at = asked_at or time.monotonic()
                if not run.hung and time.monotonic() - asked_at < GRACE_SECONDS:
                    _send(run, child, signal.SIGTERM)
                else:
                    _send(run, child, getattr(signal, "SIGKILL", signal.SIGTERM))
            time.sleep(POLL_SECONDS)
        if child is not None:
            _after(run, turn, child.returncode, asked_at is not None)

    def _gpu_for(self, run):
        """{CUDA_VISIBLE_DEVICES: a GPU that no other child has}; {} where there is nothing to share out."""
        with self._sharing:
            taken = {gpu for key, gpu in self._lent.items() if key != run.key}
            for other in list_all() if self.gpus else ():
                if other != run and other.is_locked():  # of an earlier worker
                    with contextlib.suppress(InputError):
                        taken.add((other.info.get("holder") or {}).get("gpu"))
            for gpu in self.gpus:
                if gpu not in taken:
                    self._lent[run.key] = gpu
                    return {"CUDA_VISIBLE_DEVICES": gpu}
        return {}

    # ---- its own life

    def serve(self, lock):
        """Do what comes until there has been nothing to do for a while; ``lock`` is released then."""
        from huey.consumer import Consumer

        served = queue()
        served.see_through = self.see_through
        try:
            self.reconcile()
        except Exception:  # others count on this worker now: it looks again while it runs
            log.exception("looking for what waits")
        consumer = Consumer(
            served, workers=len(self.gpus) or 1, periodic=False, max_delay=0.5, backoff=1.0, initial_delay=0.2
        )
        threading.Thread(target=self._watch, args=(consumer, served, lock), daemon=True).start()
        consumer.run()

    def _watch(self, consumer, served, lock):
        """Queue again what was lost; end the worker when it is idle or its queue was deleted."""
        path = home() / "queue.db"
        idle_since = looked = time.monotonic()
        while True:
            time.sleep(1.0)
            try:
                gone = identity(path) != served.identity
                try:
                    if self.working or served.pending_count() or served.scheduled_count():
                        idle_since = time.monotonic()
                except sqlite3.DatabaseError as error:  # its files were deleted in part, or are damaged
                    log.warning("the queue cannot be read (%s): a new one is made", error)
                    gone = True
                # Nobody can submit while the guard is held: no run is left between a last look and the end.
                if not self.working and (gone or time.monotonic() - idle_since > IDLE_SECONDS):
                    with guard():
                        time.sleep(0.5)  # a task that was taken this moment shows in ``working`` by then
                        if not self.working and (gone or not served.pending_count()):
                            lock.release()
                            if gone:
                                ensure_worker()  # before the stop, which ends this process and this thread with it
                            consumer.stop()
                            return
                if time.monotonic() - looked > RECONCILE_SECONDS and not gone:
                    looked = time.monotonic()
                    self.reconcile()
            except Exception:
                log.exception("looking after the queue")


# ---- runs and their processes


def _turn(run):
    """How often the run was resumed; None when it is gone or cannot be read."""
    try:
        return run.info.get("turn", 0)
    except InputError:
        return None


def _settled(run):
    """True when there is nothing (more) to do for a run of the queue."""
    status = run.status
    if status == "stopped" and run.info.get("state") == "queued":  # a stop that came while it waited
        with contextlib.suppress(RunBusy), run.lock():
            run.update(state="stopped", reason="stopped before its turn", holder=None)
            run.clear_stop()
    return status not in (*ACTIVE, "interrupted")


def _start(run, gpu):
    """The child that goes on with a run; None when it could not be started. ``gpu``: what its environment says of GPUs."""
    command = [sys.executable, "-m", "factortopy", *run.command()]
    detach = {"start_new_session": True} if os.name != "nt" else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        with open(run.path / "log.txt", "ab") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=child_environment() | gpu,
                cwd=home(),
                **detach,
            )
    except OSError as error:
        if run.path.is_dir():
            _fail(run, str(explain_os_error(error, run.path)))
        return None


def _send(run, child, number):
    """Signal the process that trains; its whole group when the queue started it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if child is not None:
            if os.name == "nt":
                child.terminate()
            else:
                os.killpg(child.pid, number)
            return
        holder = run.info.get("holder") or {} if run.path.is_dir() else {}
        # The lock is held, so the process number has not been given to another one.
        if holder.get("pid") and holder.get("host") == socket.gethostname():
            os.kill(holder["pid"], number)


def _after(run, turn, code, asked):
    """What the end of a child means for its run."""
    if _turn(run) != turn:
        return  # deleted, or stopped and resumed before this worker looked
    status = run.status
    if status not in (*ACTIVE, "interrupted"):
        return  # it said itself how it ended
    with contextlib.suppress(RunGone):
        if code == BUSY_EXIT or run.is_locked():
            return  # somebody else trains it; watched from now on
        if asked or run.stop_requested():
            with run.lock():
                run.update(state="stopped", reason="stopped on request", holder=None)
                run.clear_stop()
        elif code < 0 or code >= 128:
            number = -code if code < 0 else code - 128
            if _count_death(run, f"killed by signal {number}", out_of_memory=number == 9) != "failed":
                run.log(f"the process was killed by signal {number}; it goes on from its checkpoint")
                time.sleep(2.0)
        else:
            last = (run.log_tail(1) or "no message").strip()
            _fail(run, f"the process ended with code {code}: {last[:300]}")


def _count_death(run, how, out_of_memory=True):
    """Count a process that died; the run waits again, or has failed with the third. Returns its new state."""
    with run.lock():
        if run.state(locked=False)[0] not in ("interrupted", "queued"):
            return run.state(locked=False)[0]
        deaths = int(run.info.get("deaths") or 0) + 1
        if deaths < TRIES:
            run.update(state="queued", deaths=deaths, holder=None)
            return "queued"
        why = ", probably out of memory: close other programs or choose fewer pictures" if out_of_memory else ""
        run.update(
            state="failed", deaths=deaths, holder=None, reason=f"{how}, {deaths} times{why}; resume to try again"
        )
        return "failed"


def _fail(run, reason):
    with contextlib.suppress(RunBusy, RunGone), run.lock():
        run.update(state="failed", reason=reason, holder=None)


# ---- the process


def gpus():
    """GPUs to share out, as CUDA_VISIBLE_DEVICES names them; [] when there is one at most, which needs no sharing."""
    own = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        if own is None:
            listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
            names = [str(k) for k in range(sum(line.startswith("GPU ") for line in listing.splitlines()))]
        else:
            names = [name.strip() for name in own.split(",") if name.strip()]
        if len(names) < 2:
            return []
        # Whether this torch can use them is for a process of its own to say: the worker stays small.
        code = "import torch; print(torch.cuda.device_count())"
        count = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout
        return names if count.strip() == str(len(names)) else []
    except (OSError, subprocess.SubprocessError):
        return []


def run_worker():
    """Serve the queue until there has been nothing to do for a while; returns at once when another worker serves."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    lock = FileLock(home() / "worker.lock", thread_local=False)
    try:
        lock.acquire(timeout=1.0)
    except Timeout:
        return
    Worker(gpus()).serve(lock)


if __name__ == "__main__":
    run_worker()
