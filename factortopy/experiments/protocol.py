"""Protocols: an experiment and its settings as a JSON file, run on any encoder, the result kept in the run store."""

import hashlib
import json
import os
import shutil
import time
from importlib import import_module

from factortopy.errors import InputError, unexpected
from factortopy.experiments.checks import of_type
from factortopy.experiments.result import SCHEMA, Result, plain
from factortopy.storage.files import read_json, write_json
from factortopy.storage.home import home
from factortopy.storage.records import now

EXPERIMENTS = {
    "retinotopy": "retinotopic", "localizer": "localizer", "lesion": "lesions", "maximize": "maximization", "motion": "moving",
}  # fmt: skip
# What pages call the experiments.
NAMES = {
    "retinotopy": "Retinotopy", "localizer": "Localizer", "lesion": "Lesion", "maximize": "Dream (maximize)", "motion": "Motion",
}  # fmt: skip


def module_of(experiment):
    """The module of an experiment: ``DEFAULTS`` and ``run``.

    Raises
    ------
    InputError
        For a name that is no experiment.
    """
    if not isinstance(experiment, str) or experiment not in EXPERIMENTS:
        raise InputError(f"experiment {experiment!r}: expected one of {', '.join(EXPERIMENTS)}")
    return import_module(f"factortopy.experiments.{EXPERIMENTS[experiment]}")


def complete(protocol):
    """A protocol in which every setting has a value of its type.

    Parameters
    ----------
    protocol : dict
        ``experiment`` and ``settings``, as in a protocol file; settings left out take their defaults.

    Raises
    ------
    InputError
        Naming the setting that the experiment does not know.
    """
    version = protocol.get("protocol", SCHEMA)
    if version != SCHEMA:
        raise InputError(f"protocol: expected version {SCHEMA}, found {version!r}; update FactorTopy to run it")
    module = module_of(protocol.get("experiment"))
    defaults, also = module.DEFAULTS, module.ALSO
    settings = protocol.get("settings") or {}
    if not isinstance(settings, dict):
        raise InputError(f"protocol: expected settings as an object, found {type(settings).__name__}")
    unknown = sorted(set(settings) - set(defaults))
    if unknown:
        names = f"expected names among {', '.join(defaults)}"
        raise InputError(f"protocol: {protocol['experiment']} has no setting {unknown[0]!r}; {names}")
    settings = json.loads(json.dumps(defaults | settings))
    settings = {name: of_type(name, settings[name], defaults[name], also.get(name, ())) for name in defaults}
    return {"protocol": SCHEMA, "experiment": protocol["experiment"], "settings": settings}


def read_protocol(name):
    """The protocol of a JSON file, or an experiment's name with its default settings."""
    if name in EXPERIMENTS:
        return complete({"experiment": name})
    if not os.path.isfile(name):
        raise InputError(f"protocol {name!r}: expected a JSON file or one of {', '.join(EXPERIMENTS)}; check the path")
    protocol = read_json(name, "protocol")
    if "experiment" not in protocol:
        raise unexpected(name, 'a protocol with an "experiment"', "none", f"one of {', '.join(EXPERIMENTS)}")
    return complete(protocol)


def write_protocol(path, protocol):
    """Write a protocol as the JSON file that ``read_protocol`` reads."""
    write_json(path, complete(protocol))


def run_protocol(protocol, encoder, on_progress=None, on_image=None):
    """Run a protocol on a fitted encoder.

    Parameters
    ----------
    protocol : dict
    encoder : Encoder
    on_progress : callable, optional
        Gets (done, total); returning False stops.
    on_image : callable, optional
        Gets (step, pictures) of a picture that grows (maximize alone).

    Returns
    -------
    Result

    Raises
    ------
    Stopped
        When ``on_progress`` returned False.
    InputError
        For a setting that is wrong, or an encoder that the experiment cannot be run on.
    """
    protocol, start = complete(protocol), time.perf_counter()
    encoder.backbone()  # an encoder of bare features is refused at once
    growing = {"on_image": on_image} if protocol["experiment"] == "maximize" else {}
    result = module_of(protocol["experiment"]).run(encoder, protocol["settings"], on_progress, **growing)
    copied = ("subject", "backbone", "weights", "trained", "recipe", "seed", "image_degrees", "versions")
    result.settings = protocol["settings"]
    result.info = {key: encoder.info.get(key) for key in copied} | {
        "simulated": encoder.simulated, "seconds": time.perf_counter() - start, "made": now(),
    }  # fmt: skip
    if encoder.simulated:
        result.notes.append("The subject is simulated: nothing here is a measurement of a brain.")
    if encoder.backbone().drawings_only:
        result.notes.append("The network has seen rendered drawings only; photographs are outside what it knows.")
    return result


# ---------------------------------------------------------------- the store


def folder_of(run):
    """Where the results of a run lie: in its folder; those of a shipped run under the home folder."""
    return home() / "experiments" / run.name if run.shipped else run.path / "experiments"


def result_folder(run, protocol):
    """The folder of a protocol's result: the same settings find it again."""
    protocol = complete(protocol)
    text = json.dumps(protocol["settings"], sort_keys=True)
    return folder_of(run) / f"{protocol['experiment']}-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"


def keep(result, run):
    """Keep a result in the run store; returns its folder."""
    result.info["encoder"] = _stamp(run)
    folder = result_folder(run, {"experiment": result.experiment, "settings": result.settings})
    result.save(folder)
    return folder


def kept(run, protocol):
    """The kept ``Result`` of a protocol, or None; one that was made with an earlier encoder of that name is no result."""
    return _load(result_folder(run, protocol), _stamp(run))


def _load(folder, stamp):
    try:
        result = Result.load(folder)
    except InputError:
        return None
    return result if result.info.get("encoder") == stamp else None


def _stamp(run):
    """Hash of the run's encoder."""
    digest = hashlib.blake2b(digest_size=12)
    for name in ("encoder.safetensors", "selectors.safetensors"):
        path = run.path / name
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def newest(run, experiment):
    """The newest kept ``Result`` of an experiment, of whatever settings, or None; never one of an earlier encoder."""
    stamp = _stamp(run)
    results = (_load(folder, stamp) for folder in list_results(run) if folder.name.startswith(f"{experiment}-"))
    return next((result for result in results if result is not None), None)


def differences(settings, others):
    """How settings differ from others, list of sentences "n 24 instead of 12"."""
    return [
        f"{name} {json.dumps(settings.get(name))} instead of {json.dumps(others.get(name))}"
        for name in others
        if settings.get(name) != others.get(name)
    ]


def list_results(run):
    """Folders of all whole results of a run, newest first."""
    folder = folder_of(run)
    paths = folder.glob("*/result.json") if folder.is_dir() else ()
    return [path.parent for path in sorted(paths, key=lambda path: -path.stat().st_mtime)]


def forget(folder):
    """Delete a kept result."""
    shutil.rmtree(folder, ignore_errors=True)


def summary(result):
    """The numbers of a result as lines of text, nested names joined by points."""
    return [f"{name}: {value}" for name, value in _flat("", plain(result.numbers))]


def _flat(prefix, value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list) and len(value) > 12:
        yield prefix, f"{len(value)} values"
    elif isinstance(value, float):
        yield prefix, f"{value:.4g}"
    else:
        yield prefix, value
