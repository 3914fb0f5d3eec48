"""Work of the queue other than trainings: its folders under ``jobs/``, and what a child of the worker does."""

import contextlib
import hashlib
import json
import re

from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.jobs.kinds import KINDS, kind_of
from factortopy.runs.costs import extraction_key
from factortopy.runs.folder import NAME_PATTERN, JobFolder, RunGone
from factortopy.runs.run import Run, find_run, list_runs
from factortopy.storage.files import read_json, read_tensors, write_tensors
from factortopy.storage.home import cache_dir, jobs_dir, runs_dir

KEPT = 50  # descriptions of finished work whose results lie elsewhere


# ---- the folder


class Job(JobFolder):
    """One folder of work under ``jobs/``: what every folder of work holds, with kind, title, settings and result in run.json."""

    @classmethod
    def create(cls, path, kind, settings, state="queued"):
        """Make the folder, new or empty before, and its run.json; ``settings`` as the kind's ``check_settings`` gives them."""
        job = cls(path)
        job.make_folder()
        with job.lock():
            job.write_first(kind, settings, state, title=kind_of(kind).title(settings), result=None)
        return job

    @property
    def key(self):
        """What the queue calls it; no run's name holds a slash."""
        return f"jobs/{self.name}"

    def command(self):
        """Words after ``python -m factortopy`` that go on with it, in a child of the queue's worker."""
        return ["work", str(self.path), "--queued"]

    @property
    def kind(self):
        """One of ``KINDS``; None when the folder is gone or cannot be read."""
        try:
            return self.info.get("kind")
        except InputError:
            return None

    @property
    def settings(self):
        """What was asked."""
        return self.info.get("settings") or {}

    def show(self, pictures):
        """Keep pictures, (n, H, W, 3) uint8, that a page may show meanwhile."""
        self.check_there()
        with contextlib.suppress(InputError):  # a full disk stops the work only when the work itself needs it
            write_tensors(self.path / "partial.safetensors", {"pictures": pictures})

    def shown(self):
        """The pictures last shown, or None."""
        with contextlib.suppress(InputError, KeyError):
            if (self.path / "partial.safetensors").is_file():
                return read_tensors(self.path / "partial.safetensors", "job")["pictures"]
        return None


# ---- the store


def list_jobs():
    """All jobs that are no trainings, newest first."""
    jobs = [Job(p) for p in jobs_dir().iterdir() if NAME_PATTERN.fullmatch(p.name) and (p / "run.json").is_file()]
    return sorted(jobs, key=lambda job: _created(job), reverse=True)


def list_all():
    """Everything that the queue does: trainings and jobs."""
    return [*list_runs(shipped=False), *list_jobs()]


def of_key(key):
    """The folder of a queue's key, which may be gone."""
    return Job(jobs_dir() / key[5:]) if key.startswith("jobs/") else Run(runs_dir() / key)


def find(key):
    """The folder of a key that is there; InputError where there is none or the key leads elsewhere."""
    if not isinstance(key, str) or not key.startswith("jobs/"):
        return find_run(key)
    job = of_key(key)
    if not NAME_PATTERN.fullmatch(key[5:]) or not (job.path / "run.json").is_file():
        raise InputError(f"job {key[5:65]!r}: there is none of that name; choose one from the list")
    if job.path.resolve().parent != jobs_dir().resolve():
        raise InputError(f"job {key[5:65]!r}: expected a folder, found a link that leads elsewhere; remove it")
    return job


def job_of(kind, settings):
    """The job of these settings (complete ones), which may not exist: the same work has the same folder."""
    words = kind_of(kind).folder(settings)
    title = re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")[:80]
    identity = json.dumps([kind, settings], sort_keys=True)
    return Job(jobs_dir() / f"{title}-{hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()}")


def forget_oldest():
    """Delete the oldest descriptions of finished work whose results lie elsewhere, beyond ``KEPT``."""
    done = [job for job in list_jobs() if job.status == "finished" and getattr(KINDS.get(job.kind), "again", False)]
    for job in done[KEPT:]:
        with contextlib.suppress(InputError):  # somebody uses it
            job.delete()


def _created(job):
    try:
        return str(job.info.get("created") or "")
    except InputError:
        return ""


def job_asked(kind, settings):
    """The job of settings as the kind's ``check_settings`` takes them; InputError for others."""
    return job_of(kind, kind_of(kind).check_settings(settings))


# ---- doing it


def work_job(path, queued=False, on_progress=None, say=None):
    """Do a job from wherever it is to the end.

    Parameters
    ----------
    path : path-like
        Its folder.
    queued : bool
        Started by the queue: go on only when the job still waits there.
    on_progress : callable, optional
        Gets what progress.json gets; returning False stops.
    say : callable, optional
        Gets one line for each thing that happens.

    Returns
    -------
    Job
        Its ``status`` is "finished", or "stopped" when somebody asked for that.

    Raises
    ------
    RunBusy
        When another process holds it.
    InputError
        For everything else that the user can mend.
    """
    from factortopy.runs.attempt import attempt, signals
    from factortopy.runs.recorder import Recorder

    job = Job(path)
    if not (job.path / "run.json").exists():
        raise RunGone(f"{job.path}: expected the folder of a job, found none; it was deleted before its turn came")
    recorder = Recorder(job, on_progress)

    def do(seconds):
        recorder.begin("begin")
        result = kind_of(job.info["kind"]).work(job, recorder.on_job)
        job.check_there()
        (job.path / "partial.safetensors").unlink(missing_ok=True)
        job.clear_stop()
        job.finish(result=result, seconds=seconds + recorder.seconds())

    with job.lock(), signals(recorder):
        info = job.info
        if info["finished"] or (queued and info["state"] != "queued"):
            return job
        if not queued:
            job.clear_stop()  # an old wish; the queue keeps one that came while the job waited
        done = attempt(job, recorder, queued, do)
        if say is not None:
            say("finished" if done else "stopped; what was done is kept")
    return job


def extracted():
    """Keys of the features that finished runs and extractions read, of networks that have features on disk.

    Pictures are not looked at: features that nobody finished with are not found, those that were deleted may be.
    """
    names = set()
    for path in cache_dir("features").glob("*/done.json"):
        with contextlib.suppress(InputError, AttributeError):
            names.add(str(read_json(path, "extraction").get("backbone")).removesuffix(speed.UNTRAINED))
    keys = set()
    for one in [*list_runs(shipped=False), *(job for job in list_jobs() if job.kind == "extract")]:
        with contextlib.suppress(InputError):
            if one.status == "finished" and one.settings["backbone"] in names:
                keys.add(extraction_key(one.settings))
    return keys
