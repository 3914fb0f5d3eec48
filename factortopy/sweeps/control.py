"""A sweep: subjects × networks × seeds × settings; each is an ordinary run, trained by this machine's queue or by SLURM.

make(axes, out=None) -> Sweep      read(path)      start(sweep)      resume(sweep)      cancel(sweep)      rows(sweep)
"""

import contextlib
import shutil
from pathlib import Path

from factortopy import backbones, subjects
from factortopy.errors import InputError
from factortopy.jobs import queue
from factortopy.runs.folder import ACTIVE, RESUMABLE, RunBusy
from factortopy.runs.settings import EXTRACTION, antialiased
from factortopy.storage.home import home
from factortopy.sweeps import slurm
from factortopy.sweeps.folder import run_of
from factortopy.sweeps.table import states


def look_up(planned):
    """Raise InputError for the first subject or network that does not exist, of all runs' settings."""
    for path, subject in dict.fromkeys((chosen["subject"], chosen["subject_id"]) for chosen in planned):
        subjects.check_name(path, subject)
    for name in dict.fromkeys(chosen["backbone"] for chosen in planned):
        backbones.check_name(name)


# ---- how far


# ---- start, stop, go on


def start(sweep, engine=None, options=None):
    """Start what was never started; the names of those runs."""
    return _go(sweep, ("planned",), engine, options)


def resume(sweep, engine=None, options=None):
    """Start what was never started and go on with what died, failed or was stopped; the names of those runs.

    engine, options : where they go on; None: where the sweep was begun. Runs that wait, run or are finished are left alone.
    """
    return _go(sweep, ("planned", *RESUMABLE), engine, options)


def _go(sweep, statuses, engine, options):
    with sweep.lock():
        engine = engine or sweep.info["engine"]
        if engine == "slurm":
            slurm.check_here()
        status_of = states(sweep)
        todo = [trial for trial in sweep.runs if status_of[trial["name"]][0] in statuses]
        if options is not None:
            sweep.info["slurm"] = options
        sweep.info["engine"] = engine
        if todo:
            (_to_slurm if engine == "slurm" else _to_queue)(sweep, todo, status_of)
        sweep.save()
    for trial in todo:
        _link(sweep, trial)
    return [trial["name"] for trial in todo]


def withdraw(sweep):
    """Take back a sweep whose start was refused before any run began; nothing of it stays."""
    for trial in sweep.runs:
        with contextlib.suppress(InputError):
            if trial["path"] and trial["job"] is None:
                run_of(trial).delete()
        with contextlib.suppress(OSError):
            (sweep.path / trial["name"]).unlink(missing_ok=True)
    shutil.rmtree(sweep.path / "slurm", ignore_errors=True)
    for name in ("sweep.json", "lock"):
        (sweep.path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the user's own files stay
        sweep.path.rmdir()


def _to_queue(sweep, todo, status_of):
    """Give runs to this machine's queue."""
    for trial in todo:
        run = run_of(trial)
        if run.path.is_dir():
            with contextlib.suppress(RunBusy):  # somebody trains it by hand
                queue.resume(run, start=False)
        else:  # a run with the same settings that waits or runs already is this sweep's too
            run = queue.submit(trial["settings"], name=trial["name"], start=False)
        trial |= {"name": run.name, "path": str(run.path.absolute()), "job": None}
        sweep.save()
    queue.ensure_worker()


def _to_slurm(sweep, todo, status_of):
    """Give runs to SLURM: one of each (subject, network), which extracts, first; those that read its features after it."""
    first, others, wait_for = waves(sweep.runs, todo, status_of)
    for trial in todo:
        run = slurm.claim(run_of(trial).path, trial["settings"])
        trial |= {"path": str(run.path.absolute()), "job": None}
    sweep.save()
    for wave in (first, others):
        if wave:
            paths = [Path(trial["path"]).resolve() for trial in wave]
            before = sorted({job.split("_")[0] for job in wait_for}) if wave is others else []
            jobs = slurm.submit(sweep.path / "slurm", paths, home().resolve(), sweep.info["slurm"], after=before)
            for trial, job in zip(wave, jobs, strict=True):
                trial["job"] = job
            wait_for += jobs
            sweep.save()


def waves(trials, todo, status_of):
    """Who extracts and who waits for it, so that no two runs compute the same features at once.

    Parameters
    ----------
    trials : all of the sweep; todo : those to start; status_of : ``states``

    Returns
    -------
    first : trials that extract, or whose features are there
    others : trials that begin when those have ended
    wait_for : jobs of runs under way that ``others`` have to wait for as well
    """
    ready, under_way = set(), {}
    for trial in trials:
        key = _features_of(trial)
        status = status_of[trial["name"]][0]
        stage = (run_of(trial).progress() or {}).get("stage") if trial["path"] else None
        if status == "finished" or stage in ("fit", "score"):
            ready.add(key)
        elif status in ACTIVE:
            under_way[key] = trial["job"]
    first, others = [], []
    for trial in todo:
        key = _features_of(trial)
        alone = key in ready or key not in under_way
        (first if alone else others).append(trial)
        under_way.setdefault(key, None)
    needed = {_features_of(trial) for trial in others}
    return first, others, [job for key, job in under_way.items() if job and key in needed]


def _features_of(trial):
    return (*(trial["settings"].get(name) for name in EXTRACTION), antialiased(trial["settings"]))


def cancel(sweep):
    """Stop all that waits or runs; what was learnt is kept. Returns the names of those runs."""
    stopped = []
    with sweep.lock():
        for trial, (status, _) in zip(sweep.runs, states(sweep).values(), strict=True):
            if status not in ACTIVE:
                continue
            run = run_of(trial)
            with contextlib.suppress(InputError):  # deleted meanwhile
                queue.cancel(run)
                if trial["job"] and run.status == "interrupted":  # alive on a machine whose lock is not seen here
                    run.request_stop()
            stopped.append(trial)
        slurm.cancel([trial["job"] for trial in stopped if trial["job"]])
    return [trial["name"] for trial in stopped]


def _link(sweep, trial):
    """Make SWEEP/NAME lead to the run."""
    link = sweep.path / trial["name"]
    with contextlib.suppress(OSError, NotImplementedError):  # a convenience; Windows asks for a privilege
        if not link.is_symlink() and not link.exists():
            link.symlink_to(trial["path"], target_is_directory=True)
