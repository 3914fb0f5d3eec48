"""An experiment on a fitted encoder as a job of the queue; the result is kept where the Lab finds it."""

from factortopy.errors import InputError
from factortopy.experiments.protocol import NAMES
from factortopy.jobs.contract import Kind, only
from factortopy.runs.run import find_run


class Simulate(Kind):
    """Settings: run (name of a fitted run), protocol (as in a protocol file, complete)."""

    name, words = "simulate", "Experiment"

    def title(self, settings):
        return f"{NAMES[settings['protocol']['experiment']]} on {settings['run']}"

    def folder(self, settings):
        return f"{settings['protocol']['experiment']} on {settings['run']}"

    def check_settings(self, settings):
        from factortopy.experiments.protocol import complete

        only(settings, "run", "protocol")
        protocol = settings.get("protocol")
        if not isinstance(protocol, dict):
            raise InputError(f"protocol: expected a protocol, found {type(protocol).__name__}; give one")
        return {"run": find_run(settings.get("run")).name, "protocol": complete(protocol)}

    def work(self, job, on_progress):
        """Responses that were predicted before come from the cache."""
        from factortopy.encoder.encoder import Encoder
        from factortopy.experiments import protocol as protocols

        run, protocol = find_run(job.settings["run"]), job.settings["protocol"]
        encoder = Encoder.load(run.path)
        job.update(simulated=bool(encoder.simulated))
        stage = "maximize" if protocol["experiment"] == "maximize" else "features"

        def shown(done, total):
            return on_progress({"stage": stage, "step": done, "total": total})

        result = protocols.run_protocol(protocol, encoder, shown, lambda step, pictures: job.show(pictures))
        run.check_there()  # deleted meanwhile: nothing is made again
        folder = protocols.keep(result, run)
        job.log(f"kept: {folder}")
        return {"folder": str(folder), "simulated": bool(encoder.simulated)}
