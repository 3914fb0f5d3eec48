"""The run folder, which is the truth: what was asked, how far it is, what came out.

A run is a folder (DESIGN.md section 4). Its status is never stored as such: it follows from what lies in the folder and
from whether a living process holds its lock, so that a kill at any moment leaves a folder that tells what happened.

    run.json              what was asked and what came out; ``finished`` is written last
    history.csv           step, seconds, loss, val_score; one line a measured step
    progress.json         how far, remaining seconds, heartbeat
    preview.safetensors   the selectors so far, for the map that forms while it trains
    scores.safetensors    score (N,), predicted (N,) 0 or 1, noise_ceiling (N,)
    encoder.safetensors, selectors.safetensors, checkpoint/    written by ``factortopy.encoder``
    log.txt, lock, cancel
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

from factortopy.encoder.choices import FACTORS
from factortopy.errors import InputError
from factortopy.files import read_json, read_tensors, write_json
from factortopy.home import assets_dir, runs_dir
from factortopy.records import (
    DEFAULTS,
    check_settings,
    explain_os_error,
    file_is_locked,
    now,
    read_history,
    versions,
    without_nan,
)

SCHEMA = 1
STATUSES = (
    "queued", "running", "stopping", "stopped", "interrupted", "finished", "failed", "unreadable", "deleted",
)  # fmt: skip
ACTIVE = ("queued", "running", "stopping")
RESUMABLE = ("stopped", "interrupted", "failed")
HUNG_SECONDS = 600
NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,120}")


class RunBusy(InputError):
    """Another process holds the run; the command line exits with 75."""


class RunGone(InputError):
    """The run's folder was deleted while it was in use; it is not made again."""


class RunFromNewer(InputError):
    """The run was written by a newer version of FactorTopy."""


class Run:
    """One run folder; when there is none at ``path``, its status is "deleted".

    shipped : True for the fitted runs that come with the project, which are read-only.
    """

    def __init__(self, path, shipped=False):
        self.path = Path(path)
        self.shipped = shipped

    def __repr__(self):
        return f"Run({str(self.path)!r})"

    def __eq__(self, other):
        return isinstance(other, Run) and self.path.absolute() == other.path.absolute()

    def __hash__(self):
        return hash(self.path.absolute())

    @property
    def name(self):
        """The folder's name, which is the run's id in the app."""
        return self.path.absolute().name

    # ---- what was asked and what came out

    @classmethod
    def create(cls, path, settings, state="queued"):
        """Make the folder, new or empty before, and its run.json; ``settings`` as for ``check_settings``.

        Raises
        ------
        InputError
            When the folder holds other files or a run, or cannot be written.
        """
        run = cls(path)
        settings = check_settings(settings)
        run.make_folder()
        with run.lock():
            run.write_new(settings, state)
        return run

    def make_folder(self):
        """Make the folder, or check that the existing one is a run or empty, and that it can be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(".") and p.name != "lock")
            if names and "run.json" not in names:
                raise InputError(
                    f"{self.path}: expected a new or empty folder or a run, found other files ({names[0]}, …); "
                    "choose another folder"
                )
            probe = self.path / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def write_new(self, settings, state):
        """Write the first run.json; the caller holds the lock."""
        if (self.path / "run.json").exists():
            raise InputError(f"{self.path}: holds a run already; choose another folder or resume it")
        write_json(
            self.path / "run.json",
            {
                "schema": SCHEMA,
                "kind": "train",
                "name": self.name,
                "created": now(),
                "state": state,
                "reason": None,
                "finished": False,
                "simulated": None,
                "subject": settings["subject"],
                "backbone": settings["backbone"],
                "recipe": settings["recipe"],
                "seed": settings["seed"],
                "settings": settings,
                "versions": versions(),
                "scores": None,
                "seconds": None,
                "deaths": 0,
                "turn": 0,
                "holder": None,
            },
        )

    @property
    def info(self):
        """What run.json holds.

        Raises
        ------
        InputError
            When it is missing, torn, or of a newer version of FactorTopy.
        """
        if not self.path.is_dir():
            raise RunGone(f"{self.path}: this run's folder is gone; it was deleted or moved")
        info = read_json(self.path / "run.json")
        schema = info.get("schema")
        if not isinstance(schema, int) or schema < 1:
            raise InputError(
                f"{self.path / 'run.json'}: expected a schema number, found {schema!r}; copy the run again"
            )
        if schema > SCHEMA:
            raise RunFromNewer(
                f"{self.path / 'run.json'}: written by a newer FactorTopy (schema {schema}, this one reads "
                f"up to {SCHEMA}); update FactorTopy to read it"
            )
        return info

    @property
    def settings(self):
        """What was asked: ``DEFAULTS`` with the run's own values."""
        return {**DEFAULTS, **(self.info.get("settings") or {})}

    def update(self, **changes):
        """Change run.json; the caller holds the lock."""
        write_json(self.path / "run.json", without_nan({**self.info, **changes}))

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
        if not self.path.is_dir():
            return "deleted", f"{self.path}: this run's folder is gone"
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
        return "interrupted", "the process that trained it ended before it was done; it can be resumed"

    @property
    def resumable(self):
        """True when ``jobs.resume`` or ``train --resume`` goes on with it."""
        return not self.shipped and self.status in RESUMABLE

    def silent_seconds(self):
        """Seconds since the last heartbeat of a running run of this machine; None when that cannot be known.

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
        """True when a running run gave no sign of life for ten minutes."""
        return (self.silent_seconds() or 0) > HUNG_SECONDS

    # ---- lock and stop

    @contextlib.contextmanager
    def lock(self, timeout=1.5):
        """Hold the run; RunBusy, naming the holder, when another process still holds it after ``timeout`` seconds."""
        if not self.path.is_dir():  # the lock would make it
            raise RunGone(f"{self.path}: this run's folder is gone; it was deleted or moved")
        lock = FileLock(self.path / "lock")
        try:  # looking whether a lock is held takes it for an instant; the timeout outlasts that
            lock.acquire(timeout=timeout)
        except Timeout:
            raise RunBusy(f"{self.path}: {self.holder()} holds this run; wait until it ends, or stop it") from None
        except OSError as error:
            raise explain_os_error(error, self.path) from None
        try:
            yield
        finally:
            lock.release()

    def is_locked(self):
        """True while a living process holds the run; never makes or changes a file."""
        return file_is_locked(self.path / "lock")

    def holder(self):
        """Who holds the run, in words."""
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
        """Ask whoever trains it to stop and keep what was learnt; a deleted run stays deleted."""
        try:
            (self.path / "cancel").touch()
        except FileNotFoundError:
            raise RunGone(f"{self.path}: this run's folder is gone; nothing to stop") from None
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def stop_requested(self):
        """True when a stop was asked for and not yet obeyed."""
        return (self.path / "cancel").exists()

    def clear_stop(self):
        """Forget a stop that was asked for."""
        (self.path / "cancel").unlink(missing_ok=True)

    def delete(self):
        """Remove the folder with everything in it; RunBusy while it trains, InputError for a shipped run."""
        if self.shipped:
            raise InputError(f"run {self.name}: comes with FactorTopy and cannot be deleted")
        with self.lock(timeout=0.5):
            # First the file that makes it a run, so that a kill in the middle leaves no half run in the list.
            (self.path / "run.json").unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def forget(self):
        """Take back a run that failed before it began; files that are not the run's stay."""
        for name in ("run.json", "progress.json", "history.csv", "log.txt", "cancel", "lock"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            self.path.rmdir()

    # ---- what is written while it trains

    def progress(self):
        """What progress.json holds, or None: stage, step, total, loss, val_score, remaining (s), heartbeat, …"""
        try:
            return read_json(self.path / "progress.json")
        except InputError:
            return None

    def history(self):
        """History; torn lines are left out and counted in ``damaged``."""
        return read_history(self.path / "history.csv")

    def preview(self):
        """{space, layer, scale, hemi, vertex, "roi.NAME"…} so far, or None before the first."""
        return self._tensors("preview.safetensors")

    def scores(self):
        """{score, predicted, noise_ceiling} per vertex, or None before it is finished."""
        return self._tensors("scores.safetensors")

    def _tensors(self, name):
        if not (self.path / name).is_file():
            return None
        return read_tensors(self.path / name)

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
        if not (self.path / "run.json").exists():
            raise RunGone(f"{self.path}: this run's folder was deleted while it was in use; the training ends")


# ---- the store of runs


def list_runs(shipped=True):
    """All runs, newest first, then the fitted ones that ship with the project."""
    own = [Run(p) for p in runs_dir().iterdir() if NAME_PATTERN.fullmatch(p.name) and (p / "run.json").is_file()]
    own.sort(key=_created, reverse=True)
    folder = assets_dir() / "runs"
    if not shipped or not folder.is_dir():
        return own
    return own + [Run(p, shipped=True) for p in sorted(folder.iterdir()) if (p / "run.json").is_file()]


def find_run(name):
    """The run of that name among the user's own and the shipped ones.

    Raises
    ------
    InputError
        When the name is not a run's name, or there is none of it. Never leaves the folders of runs.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise InputError(f"run {str(name)[:60]!r}: expected letters, digits, - and _; choose a run from the list")
    for folder, shipped in ((runs_dir(), False), (assets_dir() / "runs", True)):
        path = folder / name
        # A link that leads elsewhere is not taken.
        if (path / "run.json").is_file() and path.resolve().parent == folder.resolve():
            return Run(path, shipped=shipped)
    raise InputError(f"run {name!r}: there is none of that name; choose one from the list or train one")


def new_run_name(
    subject, backbone, recipe="fast", seed=0, pictures=None, model="factorized", select=FACTORS, topology=True
):
    """A free name that says what the run is: demo-1_demo-vit_fast_seed0, then …-2, …-3."""
    parts = (Path(str(subject)).name or "subject", str(backbone).split("/")[-1], recipe, f"seed{seed}")
    parts += (f"{pictures}pictures",) if pictures else ()
    parts += (model,) if model != "factorized" else tuple(f"no-{name}" for name in FACTORS if name not in select)
    parts += () if topology else ("no-topology",)
    stem = "_".join(re.sub(r"[^A-Za-z0-9-]+", "-", part).strip("-") or "x" for part in parts)[:100]
    taken = {p.name for folder in (runs_dir(), assets_dir() / "runs") if folder.is_dir() for p in folder.iterdir()}
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    return name


def _created(run):
    try:
        return str(run.info.get("created") or "")
    except InputError:
        return ""
