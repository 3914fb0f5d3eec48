"""Fine-tuning a network on labelled pictures as a job of the queue."""

from pathlib import Path

from factortopy.errors import Stopped
from factortopy.jobs.contract import Kind, last_part


class FineTune(Kind):
    """Settings: those of ``finetune.recipe``. Network and checkpoint lie in the job's folder, which is kept."""

    name, words, again = "finetune", "Fine-tuning", False

    def title(self, settings):
        return f"{settings['backbone']} on {settings.get('name') or last_part(settings['images'])}"

    def check_settings(self, settings):
        from factortopy.finetune.recipe import needed

        full = needed(settings)
        if full["images"] != "drawings":
            full["images"] = str(Path(full["images"]).expanduser().resolve())
        if full["weights"] not in (None, "untrained"):
            full["weights"] = str(Path(full["weights"]).expanduser().resolve())
        return full

    def work(self, job, on_progress):
        """The result: weights (path), simulated, accuracy, before and chance (shares of the held-out pictures)."""
        from factortopy.finetune.training import finetune

        def shown(progress):
            return on_progress(progress) is not False and not job.stop_requested()

        s = job.settings
        result = finetune(s["backbone"], s["images"], job.path, s, shown, say=job.log)
        if not result.finished:
            raise Stopped
        accuracy = result.info["accuracy"]
        return {
            "weights": str(result.weights), "simulated": bool(result.info.get("simulated")),
            "accuracy": accuracy["after"]["all"], "before": accuracy["before"]["all"], "chance": result.info["chance"],
        }  # fmt: skip
