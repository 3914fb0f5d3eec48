"""An experiment on a fitted encoder as a job of the queue; the result is kept where the Lab finds it."""

from factortopy.encoder.encoder import Encoder
from factortopy.errors import InputError
from factortopy.experiments import protocol as protocols
from factortopy.runs.run import find_run

KEYS = ("run", "protocol")


def check_settings(settings):
    """Complete settings: run (name of a fitted run), protocol (as in a protocol file; every setting told)."""
    for key in sorted(set(settings) - set(KEYS)):
        raise InputError(f"settings: {key!r} is not one of {', '.join(KEYS)}")
    if not isinstance(settings.get("protocol"), dict):
        raise InputError(f"protocol: expected a protocol, found {type(settings.get('protocol')).__name__}; give one")
    return {"run": find_run(settings.get("run")).name, "protocol": protocols.complete(settings["protocol"])}


def simulate_job(job, on_progress):
    """Run the protocol and keep its result with the run; responses that were predicted before come from the cache."""
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
