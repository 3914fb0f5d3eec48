"""A sweep's folder: what was asked for and which runs it made; the runs' own folders say how far they are.

SWEEP/sweep.json    versioned; settings of every run, and where it is
SWEEP/NAME          a link to each run's folder, where the system has links
SWEEP/slurm/        what SLURM's jobs printed
"""

import contextlib
import os
import re
from pathlib import Path

from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.runs.folder import NAME_PATTERN, RunBusy
from factortopy.runs.run import Run
from factortopy.runs.settings import DEFAULTS, check_settings
from factortopy.storage.files import read_json, write_json
from factortopy.storage.home import assets_dir, home, runs_dir
from factortopy.storage.machine import explain_os_error
from factortopy.storage.names import as_path, file_stem
from factortopy.storage.records import now, versions
from factortopy.sweeps import slurm
from factortopy.sweeps.axes import settings_of

SCHEMA = 1
ENGINES = ("local", "slurm")
NAMED = ("subject", "backbone", "seed")


class Sweep:
    """A sweep's folder; ``info`` is what its sweep.json holds."""

    def __init__(self, path, info):
        self.path, self.info = Path(path), info

    @property
    def name(self):
        return self.info["name"]

    @property
    def runs(self):
        """One dict a run: name, settings, path (None while it was not made), job (SLURM's id, or None)."""
        return self.info["runs"]

    @property
    def axes(self):
        """{setting: values}, those with a single value included."""
        return self.info["axes"]

    @property
    def varied(self):
        """Settings that differ between its runs, beside subject, network and seed."""
        return [name for name, values in self.axes.items() if len(values) > 1 and name not in NAMED]

    def save(self):
        """Write sweep.json."""
        write_json(self.path / "sweep.json", self.info)

    @contextlib.contextmanager
    def lock(self):
        """Only one process starts, resumes or cancels at a time; RunBusy for the second. What the file says is read anew."""
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=1.5)
        except Timeout:
            raise RunBusy(f"{self.path}: another process is starting or stopping this sweep; try again") from None
        except OSError as error:
            raise explain_os_error(error, self.path) from None
        try:
            self.info = read(self.path).info
            yield
        finally:
            lock.release()


def run_of(trial):
    """The run of one of ``Sweep.runs``: where it was made or, after a move of the home folder, the one of that name."""
    there = trial["path"] and os.path.isdir(trial["path"])  # what a file says may be no path at all
    return Run(trial["path"] if there else runs_dir() / trial["name"])


# ---- make and read


def make(axes, out=None, name=None, engine="local", options=None):
    """Make a sweep's folder; nothing is started.

    Parameters
    ----------
    axes : dict, as for ``settings_of``
    out : path-like, optional
        New or empty folder; None: one under the home folder's ``sweeps``.
    name : str, optional
        What its runs' names begin with; None: the folder's name, or the date.
    engine : "local" (the queue of this machine) or "slurm", with SLURM's ``options`` (``slurm.options``)

    Raises
    ------
    InputError
        For settings that are none, or a folder that holds something else.
    """
    settings = settings_of(axes)
    if engine not in ENGINES:
        raise InputError(f"engine: expected one of {', '.join(ENGINES)}, found {engine!r}")
    if engine == "slurm":
        slurm.check_here()
    words = name or (Path(out).name if out else "")
    stem = _free(file_stem(words, 40, otherwise="sweep-" + now()[:10], also=""))
    path = (as_path(out, "sweep") if out else home() / "sweeps" / stem).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = sorted(p.name for p in path.iterdir() if not p.name.startswith(".") and p.name != "lock")
    except OSError as error:
        raise explain_os_error(error, path) from None
    if "sweep.json" in names:
        raise InputError(f"{path}: holds a sweep already; go on with --resume or choose another folder")
    if names:
        raise InputError(
            f"{path}: expected a new or empty folder, found other files ({names[0]}, …); choose another one"
        )
    width = len(str(len(settings)))
    runs = []
    for number, chosen in enumerate(settings, 1):
        words = (
            Path(chosen["subject_id"] or chosen["subject"]).name,
            chosen["backbone"].split("/")[-1],
            f"seed{chosen['seed']}",
        )
        words = (file_stem(word, also="") for word in words)
        runs.append(
            {
                "name": "_".join([stem, f"{number:0{width}}", *words])[:120],
                "settings": chosen,
                "path": None,
                "job": None,
            }
        )
    info = {
        "schema": SCHEMA, "kind": "sweep", "name": stem, "created": now(), "engine": engine, "slurm": options or {},
        "axes": {key: list(values) for key, values in axes.items()}, "runs": runs, "versions": versions(),
    }  # fmt: skip
    sweep = Sweep(path, info)
    sweep.save()
    return sweep


def _free(stem):
    """The name, or with a number behind it: neither a run nor a sweep begins with it yet."""
    folders = (runs_dir(), assets_dir() / "runs", home() / "sweeps")
    taken = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    name, count = stem, 1
    while any(other == name or other.startswith(name + "_") for other in taken):
        count += 1
        name = f"{stem}-{count}"
    return name


def read(path):
    """The sweep in a folder.

    Raises
    ------
    InputError
        Naming the file and the key that is wrong.
    """
    path = as_path(path, "sweep")
    file = path / "sweep.json"
    if not file.is_file():
        raise InputError(
            f"{path}: expected a sweep's folder, found no sweep.json; give the folder that sweep --out made"
        )
    info = read_json(file, "sweep")

    def check(good, key, wanted, value):
        if not good:
            raise InputError(f"{file}: {key}: expected {wanted}, found {str(value)[:60]!r}; copy the folder again")

    schema = info.get("schema")
    check(isinstance(schema, int) and schema > 0, "schema", "a schema number", schema)
    if schema > SCHEMA:
        raise InputError(
            f"{file}: written by a newer FactorTopy (schema {schema}, this one reads up to {SCHEMA}); update FactorTopy"
        )
    check(
        isinstance(info.get("name"), str) and NAME_PATTERN.fullmatch(info["name"]), "name", "a name", info.get("name")
    )
    check(info.get("engine") in ENGINES, "engine", f"one of {', '.join(ENGINES)}", info.get("engine"))
    check(isinstance(info.get("slurm"), dict), "slurm", "an object", info.get("slurm"))
    axes, runs = info.get("axes"), info.get("runs")
    good = isinstance(axes, dict) and all(isinstance(values, list) and values for values in axes.values())
    check(good and not set(axes) - set(DEFAULTS), "axes", "lists of values of settings", axes)
    check(isinstance(runs, list) and runs, "runs", "a list of runs", runs)
    for k, trial in enumerate(runs):
        check(isinstance(trial, dict), f"runs[{k}]", "an object", trial)
        name, place, job = (trial.setdefault(key, None) for key in ("name", "path", "job"))
        check(isinstance(name, str) and NAME_PATTERN.fullmatch(name), f"runs[{k}].name", "a run's name", name)
        check(place is None or isinstance(place, str), f"runs[{k}].path", "a path or null", place)
        check(
            job is None or (isinstance(job, str) and re.fullmatch(r"\d+(_\d+)?", job)),
            f"runs[{k}].job",
            "a job id",
            job,
        )
        check(isinstance(trial.get("settings"), dict), f"runs[{k}].settings", "an object", trial.get("settings"))
        try:
            trial["settings"] = check_settings(trial["settings"])
        except InputError as error:
            raise InputError(f"{file}: runs[{k}].settings: {error}") from None
    names = [trial["name"] for trial in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    check(twice is None, "runs", "different names", twice)
    return Sweep(path, info)


def list_sweeps():
    """Sweeps of the home folder that can be read, newest first."""
    sweeps = []
    for path in (home() / "sweeps").glob("*/sweep.json"):
        with contextlib.suppress(InputError):
            sweeps.append(read(path.parent))
    return sorted(sweeps, key=lambda sweep: str(sweep.info.get("created")), reverse=True)
