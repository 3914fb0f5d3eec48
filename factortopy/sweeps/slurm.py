"""Runs on a cluster: submitit hands run folders to SLURM; what became of them is read from the folders and from squeue.

submitit's own account of a job is not asked: after ``kill -9`` it says "not done" for ever. It keeps the call that a job makes
as a pickle in SWEEP/slurm, which only this user can read; FactorTopy itself reads none of them.
"""

import contextlib
import getpass
import io
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from factortopy.errors import InputError
from factortopy.jobs.queue import child_environment, guard
from factortopy.runs.folder import HUNG_SECONDS, RunBusy, RunGone
from factortopy.runs.run import Run
from factortopy.storage.machine import explain_os_error

MINUTES = 240  # a job's time limit unless told otherwise; at the limit a run is queued again and goes on
TIMEOUTS = 50  # so often at most
SECONDS = 30  # SLURM's commands are given this long: they hang when its daemon is away
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "CONFIGURING", "RESV_DEL_HOLD", "SPECIAL_EXIT")
OWN = ("array", "cpus", "gpus", "mem", "partition", "time")
KEPT = (
    "chdir",
    "dependency",
    "error",
    "input",
    "open-mode",
    "output",
    "parsable",
    "signal",
    "wait",
    "wrap",
)  # ours to set


# ---- what is asked for


def options(text):
    """{name: value} of "partition=gpu,time=2:00:00,gpus=1,mem=32G,array=8"; other names are sbatch's own.

    ``time`` as sbatch takes it (minutes, or [days-]hours:minutes:seconds), ``gpus`` a run, ``mem`` a run, ``cpus`` a run,
    ``array`` how many run at once.

    Raises
    ------
    InputError
        Naming the option.
    """
    asked = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, equals, value = part.partition("=")
        name = name.strip().lstrip("-").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z-]*", name) or not equals or not re.fullmatch(r"[\w.:/@%+*=-]+", value):
            raise InputError(f"--slurm {part[:60]!r}: expected NAME=VALUE, as in partition=gpu,time=2:00:00,gpus=1")
        if name in KEPT:
            raise InputError(f"--slurm {name}: is set by FactorTopy; leave it out")
        asked[name] = value
    for name in ("array", "cpus"):
        if name in asked and not re.fullmatch(r"[1-9]\d{0,5}", asked[name]):
            raise InputError(f"--slurm {name}: expected a whole number from 1 up, found {asked[name]!r}")
    if "mem" in asked and not re.fullmatch(r"\d+[KMGT]?B?", asked["mem"], re.IGNORECASE):
        raise InputError(f"--slurm mem: expected a size such as 32G, found {asked['mem']!r}")
    if "time" in asked:
        minutes(asked["time"])
    return asked


def minutes(text):
    """Whole minutes, rounded up, of a time limit as sbatch takes it: 90, 90:30, 1:30:00, 1-12, 1-12:30, 1-12:30:00."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(text))
    if not match:
        raise InputError(f"--slurm time: expected minutes or hours:minutes:seconds, found {text!r}")
    days, *rest = match.groups()
    a, b, c = (int(part or 0) for part in rest)
    if days is not None or rest[2] is not None:  # days-hours[:minutes[:seconds]], hours:minutes:seconds
        seconds = int(days or 0) * 86400 + a * 3600 + b * 60 + c
    else:  # minutes[:seconds]
        seconds = a * 60 + b
    if not seconds:
        raise InputError(f"--slurm time: expected more than nothing, found {text!r}")
    return -(-seconds // 60)


# ---- the job


class Trial:
    """What a job does: go on with one run folder. Called again by SLURM after a preemption or at its time limit."""

    def __call__(self, path, home):
        """Train; the run folder says how it ended. ``home``: the folder that FACTORTOPY_HOME names."""
        os.environ["FACTORTOPY_HOME"] = home
        from factortopy.runs.training import train_run

        run = Run(path)
        try:
            if os.environ.get("SLURM_RESTART_COUNT", "0") != "0" and not run.stop_requested():
                wait_again(run)
            train_run(path, resume=True, queued=True, say=lambda line: _say(run, line))
        except SystemExit:  # submitit has queued the job again
            with contextlib.suppress(InputError):
                wait_again(run)
            raise
        except RunBusy as error:
            _say(run, f"this job leaves it alone: {error}")
        except InputError as error:
            print(error)
        return run.status

    def checkpoint(self, path, home):
        """For submitit, when the job is to be queued again: the same call; the run folder knows how far it is."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, path, home)


def wait_again(run):
    """Put a run that is not finished back to waiting; it goes on from its checkpoint."""
    with run.lock(timeout=10):
        if run.state(locked=False)[0] != "finished":
            run.clear_stop()
            run.update(state="queued", reason=None, deaths=0, holder=None)


def _say(run, line):
    print(line, flush=True)
    with contextlib.suppress(InputError):
        run.log(line)


# ---- SLURM's commands


def check_here():
    """Raise InputError where SLURM's commands or submitit are missing."""
    missing = [name for name in ("sbatch", "srun", "squeue", "scancel") if not shutil.which(name)]
    if missing:
        raise InputError(
            f"slurm: expected SLURM's {missing[0]} on this machine, found none; run this on the cluster's login node, or "
            "leave out --slurm"
        )
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise InputError("slurm: needs submitit; pip install 'factortopy[cluster]'") from None


def submit(folder, paths, home, asked, after=()):
    """Hand run folders to SLURM as one job array.

    Parameters
    ----------
    folder : path-like
        For submitit's files and the jobs' output; on a disk that the nodes share.
    paths : list of run folders
    home : the folder that FACTORTOPY_HOME names
    asked : dict of ``options``
    after : job ids that must have ended, in whatever way, before these begin

    Returns
    -------
    list of str
        The job id of each run: "12" or, of an array, "12_0", "12_1", …
    """
    check_here()
    import submitit

    folder = Path(folder)
    others = {name: value for name, value in asked.items() if name not in OWN}
    if after:
        others["dependency"] = "afterany:" + ":".join(after)
    settings = {"timeout_min": minutes(asked.get("time", MINUTES)), "slurm_additional_parameters": others}
    settings |= {"name": others.pop("job-name", "factortopy")}
    for name, key in (("partition", "slurm_partition"), ("gpus", "slurm_gpus_per_node"), ("mem", "slurm_mem")):
        settings |= {key: asked[name]} if name in asked else {}
    for name, key in (("cpus", "cpus_per_task"), ("array", "slurm_array_parallelism")):
        settings |= {key: int(asked[name])} if name in asked else {}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        executor = submitit.AutoExecutor(folder=folder / "%j", cluster="slurm", slurm_max_num_timeout=TIMEOUTS)
        executor.update_parameters(**settings)
        with job_environment(), contextlib.redirect_stderr(io.StringIO()):  # sbatch's words are in the error
            submitted = executor.map_array(Trial(), [str(path) for path in paths], [str(home)] * len(paths))
    except OSError as error:
        raise explain_os_error(error, folder) from None
    except Exception as error:  # submitit raises its own, and plain RuntimeError, with sbatch's words in them
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"slurm: the runs were not taken ({' '.join(lines[-2:])[:300]}); correct --slurm") from None
    return [job.job_id for job in submitted]


@contextlib.contextmanager
def job_environment():
    """sbatch hands on the environment: this copy of FactorTopy wherever a job starts, and what a process of ours starts with."""
    before = dict(os.environ)
    os.environ.update(child_environment())
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def jobs():
    """{job id: (state, reason)} of this user's jobs that wait or run; None when SLURM does not answer."""
    listing = _ask("squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--format=%i|%T|%r")
    if listing is None:
        return None
    rows = (line.strip().split("|", 2) for line in listing.splitlines())
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def cancel(ids):
    """Take jobs away: one that waits is gone, one that runs is asked to stop (SIGTERM) and killed after SLURM's KillWait."""
    for start in range(0, len(ids), 200):
        _ask("scancel", *ids[start : start + 200])


def _ask(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


# ---- alive or dead


def state(run, job, listed):
    """(status, reason) of a run that was given to SLURM.

    job : its job id, None when SLURM did not take it; listed : what ``jobs`` says, or None. The folder is believed first:
    "finished" and "failed" stand there. A lock taken on another machine may not be seen here (NFS without locks, Lustre
    without flock), so a run that looks interrupted is alive while SLURM has its job or, where SLURM cannot be asked, while
    its heartbeat from another host is younger than ten minutes.
    """
    status, reason = run.state()
    if status in ("finished", "failed", "running", "stopping", "unreadable", "deleted"):
        return status, reason
    if listed is None and job:
        if status == "interrupted" and beats_elsewhere(run):
            return "running", "on another machine, by its heartbeat"
        return status, reason
    if job is None or job not in listed:
        if status == "queued":
            return "interrupted", "its SLURM job ended before it began; it can be resumed"
        return status, reason
    word, why = listed[job]
    if run.stop_requested():
        return "stopping", None
    if word in WAITING:
        return "queued", f"SLURM: {why}" if why not in ("", "None") else None
    return "running", None


def beats_elsewhere(run):
    """True when a process on another host gave a sign of life in the last ten minutes (by both machines' wall clocks)."""
    progress = run.progress() or {}
    if progress.get("host") in (None, socket.gethostname()):
        return False
    return abs(time.time() - float(progress.get("heartbeat") or 0)) < HUNG_SECONDS


def claim(path, settings=None):
    """The run at ``path``, made or put back to waiting, and marked as SLURM's, so that no local worker takes it."""
    run = Run(path)
    with guard():  # a worker that looks for lost runs waits meanwhile
        if not run.path.exists():
            if settings is None:
                raise RunGone(f"{run.path}: this run's folder is gone; it was deleted")
            Run.create(path, settings)
        wait_again(run)
        with run.lock():
            run.update(engine="slurm")
    return run
