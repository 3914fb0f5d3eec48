"""New fits of finished runs, for the intervals of their hierarchy slopes, as a job of the queue."""

from factortopy.errors import InputError
from factortopy.jobs.contract import Kind, only
from factortopy.jobs.report import Progress, check_refits, runs_named
from factortopy.runs.folder import RunBusy


class RefitSlopes(Kind):
    """Settings: runs (names of finished runs), refits (new fits of each)."""

    name, words = "slope", "Intervals of slopes"

    def title(self, settings):
        names = settings["runs"]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{', '.join(names[:3])}{more}, {settings['refits']} fits each"

    def check_settings(self, settings):
        from factortopy.analysis.slope import REFITS

        only(settings, "runs", "refits")
        names, refits = settings.get("runs"), settings.get("refits") or REFITS
        if not isinstance(names, (list, tuple)) or not names or len(set(map(str, names))) < len(names):
            raise InputError(f"runs: expected names of finished runs, each once, found {str(names)[:100]}; choose one")
        check_refits(refits)
        runs_named(names)
        return {"runs": [str(name) for name in names], "refits": refits}

    def work(self, job, on_progress):
        """The result: failed (sentences). Finished fits are kept, and the next call goes on."""
        from factortopy.report.slopes import make

        runs = runs_named(job.settings["runs"])
        job.update(simulated=any(run.info.get("simulated") for run in runs))
        try:
            failed = make(runs, job.settings["refits"], Progress(on_progress), job.log)
        except RunBusy as error:  # of a fit, not of this job
            raise InputError(f"{error} (another job makes this fit at the moment)") from None
        if len(failed) == len(runs):
            raise InputError("; ".join(failed))
        return {"failed": failed}
