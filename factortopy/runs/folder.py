"""A folder of work: what was asked, how far it is, how it ended; the truth of which the queue is only a hint.

The status is never stored as such: it follows from what lies in the folder and from whether a living process holds its
lock, so that a kill at any moment leaves a folder that tells what happened.

    run.json        what was asked and what came out; ``finished`` is written last
    progress.json   how far, remaining seconds, heartbeat
    log.txt, lock, cancel

A training is a ``factortopy.runs.run.Run``, everything else that the queue does a ``factortopy.jobs.job.Job``.
"""

import contextlib
import math
import os
import re
import shutil
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.storage.files import read_json, write_json
from factortopy.storage.machine import explain_os_error, file_is_locked
from factortopy.storage.records import now, versions, without_nan

SCHEMA = 1
STATUSES = (
    "queued", "running", "stopping", "stopped", "interrupted", "finished", "failed", "unreadable", "deleted",
)  # fmt: skip
ACTIVE = ("queued", "running", "stopping")
RESUMABLE = ("stopped", "interrupted", "failed")
BUSY_EXIT = 75  # exit code of a process that finds its folder held by another
HUNG_SECONDS = 600
NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,120}")


class RunBusy(InputError):
    """Another process holds the folder; the command line exits with 75."""


class RunGone(InputError):
    """The folder was deleted while it was in use; it is not made again."""


class RunFromNewer(InputError):
    """The folder was written by a newer version of FactorTopy."""


class JobFolder:
    """One folder of work; when there is none at ``path``, its status is "deleted"."""

    noun = "job"  # what messages call it

    def __init__(self, path):
        self.path = Path(path)

    def __repr__(self):
        return f"{type(self).__name__}({str(self.path)!r})"

    def __eq__(self, other):
        return isinstance(other, JobFolder) and self.path.absolute() == other.path.absolute()

    def __hash__(self):
        return hash(self.path.absolute())

    @property
    def name(self):
        """The folder's name."""
        return self.path.absolute().name

    @property
    def key(self):
        """What the queue calls it."""
        raise NotImplementedError

    def command(self):
        """Words after ``python -m factortopy`` that go on with it, in a child of the queue's worker."""
        raise NotImplementedError

    # ---- what was asked and what came out

    def make_folder(self):
        """Make the folder, or check that the existing one is a run or empty, and that it can be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(".") and p.name != "lock")
            if names and "run.json" not in names:
                raise InputError(
                    f"{self.path}: expected a new or empty folder or a {self.noun}, found other files ({names[0]}, …); "
                    "choose another folder"
                )
            probe = self.path / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def write_first(self, kind, settings, state, **more):
        """Write the first run.json; the caller holds the lock. ``more``: what else it says."""
        if (self.path / "run.json").exists():
            raise InputError(f"{self.path}: holds a {self.noun} already; choose another folder or resume it")
        first = {
            "schema": SCHEMA,
            "kind": kind,
            "name": self.name,
            "created": now(),
            "state": state,
            "reason": None,
            "finished": False,
            "simulated": None,
            **more,
            "settings": settings,
            "versions": versions(),
            "seconds": None,
            "deaths": 0,
            "turn": 0,
            "holder": None,
        }
        write_json(self.path / "run.json", first)

    @property
    def info(self):
        """What run.json holds.

        Raises
        ------
        InputError
            When it is missing, torn, or of a newer version of FactorTopy.
        """
        if not os.path.isdir(self.path):
            raise RunGone(f"{self.path}: this {self.noun}'s folder is gone; it was deleted or moved")
        info = read_json(self.path / "run.json")
        schema = info.get("schema")
        if not isinstance(schema, int) or schema < 1:
            raise InputError(
                f"{self.path / 'run.json'}: expected a schema number, found {schema!r}; copy the {self.noun} again"
            )
        if schema > SCHEMA:
            raise RunFromNewer(
                f"{self.path / 'run.json'}: written by a newer FactorTopy (schema {schema}, this one reads "
                f"up to {SCHEMA}); update FactorTopy to read it"
            )
        return info

    def update(self, **changes):
        """Change run.json; the caller holds the lock."""
        write_json(self.path / "run.json", without_nan({**self.info, **changes}))

    def finish(self, reason=None, **results):
        """Say "finished": the last thing that is written, since who reads it counts on everything being in its place."""
        self.update(state="finished", finished=True, reason=reason, holder=None, **results)

    # ---- status

    @property
    def status(self):
        """One of ``STATUSES``, from the folder and its lock."""
        return self.state()[0]

    @property
    def reason(self):
        """Why it failed, stopped or cannot be read, in one line; None otherwise."""
        return self.state()[1]

    def state(self, locked=None):
        """(status, reason or None); ``locked`` False for a caller that holds the lock itself."""
        if not os.path.isdir(self.path):
            return "deleted", f"{self.path}: this {self.noun}'s folder is gone"
        try:
            info = self.info
        except InputError as error:
            return "unreadable", str(error)
        if info.get("finished"):
            return "finished", info.get("reason")
        if self.is_locked() if locked is None else locked:
            return ("stopping" if self.stop_requested() else "running"), None
        state = info.get("state")
        if state in ("failed", "stopped"):
            return state, info.get("reason")
        if self.stop_requested():
            return "stopped", "stopped on request"
        if state == "queued":
            return "queued", None
        return "interrupted", "the process that worked on it ended before it was done; it can be resumed"

    @property
    def resumable(self):
        """True when ``jobs.resume`` goes on with it."""
        return self.status in RESUMABLE

    def silent_seconds(self):
        """Seconds since the last heartbeat of what runs on this machine; None when that cannot be known.

        Measured on the monotonic clock, which all processes of a machine share: a jump of the wall clock is no death.
        """
        progress = self.progress() or {}
        if progress.get("host") != socket.gethostname() or not self.is_locked():
            return None
        # A process that has just begun may not have said anything: the last words are those of another one.
        if progress.get("pid") != self._holder().get("pid"):
            return None
        silent = time.monotonic() - (progress.get("monotonic") or math.inf)
        return silent if 0 <= silent < math.inf else None

    @property
    def hung(self):
        """True when a process gave no sign of life for ten minutes."""
        return (self.silent_seconds() or 0) > HUNG_SECONDS

    # ---- lock and stop

    @contextlib.contextmanager
    def lock(self, timeout=1.5):
        """Hold the folder; RunBusy, naming the holder, when another process still holds it after ``timeout`` seconds."""
        if not os.path.isdir(self.path):  # the lock would make it
            raise RunGone(f"{self.path}: this {self.noun}'s folder is gone; it was deleted or moved")
        lock = FileLock(self.path / "lock")
        try:  # looking whether a lock is held takes it for an instant; the timeout outlasts that
            lock.acquire(timeout=timeout)
        except Timeout:
            raise RunBusy(
                f"{self.path}: {self.holder()} holds this {self.noun}; wait until it ends, or stop it"
            ) from None
        except OSError as error:
            raise explain_os_error(error, self.path) from None
        try:
            yield
        finally:
            lock.release()

    def is_locked(self):
        """True while a living process holds the folder; never makes or changes a file."""
        return file_is_locked(self.path / "lock")

    def holder(self):
        """Who holds the folder, in words."""
        holder = self._holder()
        if "pid" not in holder:
            return "another process"
        return f"process {holder['pid']} on {holder.get('host')} (since {holder.get('since')})"

    def _holder(self):
        try:
            return self.info.get("holder") or {}
        except InputError:
            return {}

    def request_stop(self):
        """Ask whoever works on it to stop and keep what is done; what was deleted stays deleted."""
        try:
            (self.path / "cancel").touch()
        except FileNotFoundError:
            raise RunGone(f"{self.path}: this {self.noun}'s folder is gone; nothing to stop") from None
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def stop_requested(self):
        """True when a stop was asked for and not yet obeyed."""
        return os.path.exists(self.path / "cancel")

    def clear_stop(self):
        """Forget a stop that was asked for."""
        (self.path / "cancel").unlink(missing_ok=True)

    def delete(self):
        """Remove the folder with everything in it; RunBusy while a process works on it."""
        with self.lock(timeout=0.5):
            # First the file that makes it a run, so that a kill in the middle leaves no half of it in the list.
            (self.path / "run.json").unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    # ---- what is written while it works

    def progress(self):
        """What progress.json holds, or None: stage, step, total, loss, val_score, remaining (s), heartbeat, …"""
        try:
            return read_json(self.path / "progress.json")
        except InputError:
            return None

    def kept(self):
        """(step, of how many) that it goes on from when it is resumed; None where nothing tells."""
        return None

    def log(self, line):
        """Append a line with the time to log.txt."""
        self.check_there()
        try:
            with open(self.path / "log.txt", "a", encoding="utf-8") as file:
                file.write(f"{now()} {line}\n")
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def log_tail(self, lines=200):
        """The last lines of log.txt as one string; empty when there is none."""
        try:
            with open(self.path / "log.txt", "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 200 * lines))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def check_there(self):
        """Raise RunGone when the folder is gone: nothing is written there again."""
        if not os.path.exists(self.path / "run.json"):
            raise RunGone(f"{self.path}: this {self.noun}'s folder was deleted while it was in use; the work ends")
