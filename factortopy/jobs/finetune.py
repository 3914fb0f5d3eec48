"""Fine-tuning as a job of the app's queue; ``factortopy.jobs.job`` calls it."""

from factortopy.errors import Stopped
from factortopy.finetune import recipe


def check_settings(settings):
    """Complete settings; InputError where network, pictures or a number is missing or wrong."""
    from pathlib import Path

    full = recipe.needed(settings)
    if full["images"] != "drawings":
        full["images"] = str(Path(full["images"]).expanduser().resolve())  # the queue's worker starts elsewhere
    if full["weights"] not in (None, "untrained"):
        full["weights"] = str(Path(full["weights"]).expanduser().resolve())
    return full


def finetune_job(job, on_progress):
    """Fine-tune in a job's folder, from wherever it is to the end.

    Parameters
    ----------
    job : JobFolder
        Offers path, settings, log(line) and stop_requested().
    on_progress : callable
        Gets a dict (stage, step, total, loss, accuracy, remaining); returning False stops.

    Returns
    -------
    dict
        What the job's run.json keeps: weights (path), simulated, accuracy, before and chance (shares of the held-out pictures).

    Raises
    ------
    Stopped
        When it was asked to stop; the next call goes on.
    """
    from factortopy.finetune.training import finetune

    def shown(progress):
        return on_progress(progress) is not False and not job.stop_requested()

    s = job.settings
    result = finetune(s["backbone"], s["images"], job.path, s, shown, say=job.log)
    if not result.finished:
        raise Stopped
    told = result.info["accuracy"]
    return {
        "weights": str(result.weights), "simulated": bool(result.info.get("simulated")), "accuracy": told["after"]["all"],
        "before": told["before"]["all"], "chance": result.info["chance"],
    }  # fmt: skip
