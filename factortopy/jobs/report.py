"""The report of finished runs as a job of the queue."""

from factortopy.errors import InputError
from factortopy.jobs.contract import Kind, only
from factortopy.runs.folder import RunBusy
from factortopy.runs.run import find_run

FOLDER = "report"  # inside the job's
FIT_SHARES = {"fit": (0.1, 0.8), "score": (0.9, 0.1)}  # of a fit's time: what was before, and its own


class WriteReport(Kind):
    """Settings: runs (names of finished runs of the same vertices), quick (no new fits), steps (of new fits; None the run's), and,
    where they are not the usual ones, refits (new fits of each network for its slope's interval) and levels ({area: 0 early … 1 late},
    of the hierarchy slope)."""

    name, words, again = "report", "Report", False

    def title(self, settings):
        """Its first runs and how it is made."""
        names = settings["runs"]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        how = ", quick" if settings["quick"] else f", {settings['steps']} steps" if settings["steps"] else ""
        return f"{', '.join(names[:3])}{more}{how}"

    def check_settings(self, settings):
        from factortopy.report.entries import read_entries
        from factortopy.report.levels import levels_of_settings

        only(settings, "runs", "quick", "steps", "levels", "refits")
        names, quick, steps = settings.get("runs"), settings.get("quick") or False, settings.get("steps")
        if not isinstance(names, (list, tuple)) or not names or len(set(map(str, names))) < len(names):
            raise InputError(
                f"runs: expected names of finished runs, each once, found {str(names)[:100]}; choose at least one"
            )
        if not isinstance(quick, bool):
            raise InputError(f"quick: expected true or false, found {quick!r}")
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
            raise InputError(f"steps: expected a whole number from 1 up, found {steps!r}")
        read = read_entries(runs_named(names))  # runs that cannot be compared are said at once
        levels, refits = levels_of_settings(settings.get("levels"), read[0].encoder.rois), settings.get("refits")
        check_refits(refits)
        kept = {"runs": [str(name) for name in names], "quick": quick, "steps": None if quick else steps}
        kept |= {} if refits is None or quick else {"refits": refits}
        return kept | ({} if levels is None else {"levels": levels})

    def work(self, job, on_progress):
        """The result: file (path of report.html), simulated. New fits are kept for other reports of the network too.

        Raises KeyboardInterrupt as well when it was asked to stop; finished fits and what an unfinished one learnt are kept.
        """
        from factortopy.report.plan import shared_folder
        from factortopy.report.whole import report

        s = job.settings
        runs = runs_named(s["runs"])
        simulated = any(run.info.get("simulated") for run in runs)
        job.update(simulated=simulated)
        how = {"levels": s.get("levels"), "fits": shared_folder(), "refits": s.get("refits")}
        try:
            path = report(runs, job.path / FOLDER, s["quick"], s["steps"], Progress(on_progress), job.log, **how)
        except RunBusy as error:  # of a fit, not of this job
            raise InputError(f"{error} (another report makes this fit at the moment)") from None
        return {"file": str(path), "simulated": simulated}


def check_refits(refits):
    """InputError unless it is None or a number of refits."""
    from factortopy.report.slopes import check_count

    if refits is not None and (isinstance(refits, bool) or not isinstance(refits, int) or refits < 0):
        raise InputError(f"refits: expected a whole number from 0 up, found {refits!r}")
    check_count(refits, "refits")


def runs_named(names):
    """Finished runs of these names; InputError where one is none."""
    runs = [find_run(name) for name in names]
    for run in runs:
        if run.status != "finished":
            raise InputError(
                f"run {run.name}: expected a finished run, found it {run.status}; wait for it or leave it out"
            )
    return runs


def file_of(job):
    """The report's page in a job's folder; there when the job is finished."""
    return job.path / FOLDER / "report.html"


class Progress:
    """Puts the progress of many fits into one.

    What comes before the first fit (pictures, weights, features that are not on disk yet) is a stage of its own. From then on a step is a
    fit, so that the remaining time is that of all of them.
    """

    def __init__(self, on_progress):
        self.on_progress, self.fitting = on_progress, False

    def __call__(self, progress):
        if "fits" not in progress:
            return self.on_progress(progress)
        doing = f"{progress['doing']}, fit {progress['fit'] + 1} of {progress['fits']}"
        self.fitting = self.fitting or progress["stage"] in FIT_SHARES
        if not self.fitting:
            now = {key: progress.get(key) for key in ("stage", "step", "total")}
            return self.on_progress(now | {"doing": doing})
        before, own = FIT_SHARES.get(progress["stage"], (0.0, 0.0))
        share = before + own * (progress.get("step") or 0) / (progress.get("total") or 1)
        return self.on_progress(
            {
                "stage": "fits",
                "step": round(progress["fit"] + min(share, 1.0), 3),
                "total": progress["fits"],
                "doing": doing,
            }
        )
