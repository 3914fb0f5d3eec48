"""The run folder of a training, which is the truth: what was asked, how far it is, what came out (docs/formats.md).

Beside what every folder of work holds (``factortopy.runs.folder``):

    history.csv           step, seconds, loss, val_score; one line a measured step
    preview.safetensors   the selectors so far, for the map that forms while it trains
    scores.safetensors    score (N,), predicted (N,) 0 or 1, noise_ceiling (N,)
    encoder.safetensors, selectors.safetensors, checkpoint/    written by ``factortopy.encoder``
"""

import contextlib

from factortopy.errors import InputError
from factortopy.runs.folder import (
    NAME_PATTERN,
    RESUMABLE,
    JobFolder,
)
from factortopy.runs.history import read_history
from factortopy.runs.settings import DEFAULTS, SETTINGS, check_settings, name_parts
from factortopy.storage.files import read_json, read_tensors
from factortopy.storage.home import assets_dir, runs_dir
from factortopy.storage.names import file_stem


class Run(JobFolder):
    """One run folder; when there is none at ``path``, its status is "deleted".

    shipped : True for the fitted runs that come with the project, which are read-only.
    """

    noun = "run"
    kind = "train"  # among the work of the queue

    def __init__(self, path, shipped=False):
        super().__init__(path)
        self.shipped = shipped

    @property
    def key(self):
        """The folder's name, which is the run's id in the app and in the queue."""
        return self.name

    def command(self):
        """Words after ``python -m factortopy`` that go on with it, in a child of the queue's worker."""
        return ["train", "--out", str(self.path), "--resume", "--queued"]

    @classmethod
    def create(cls, path, settings, state="queued"):
        """Make the folder, new or empty before, and its run.json; ``settings`` as for ``check_settings``.

        Raises
        ------
        InputError
            When the folder holds other files or a run, or cannot be written.
        """
        run = cls(path)
        settings = check_settings(settings)
        run.make_folder()
        with run.lock():
            run.write_new(settings, state)
        return run

    def write_new(self, settings, state):
        """Write the first run.json; the caller holds the lock."""
        from factortopy.subjects.names import demo_number

        more = {name: settings[name] for name in ("subject", "backbone", "recipe", "seed")}
        if demo_number(settings["subject"]) is not None:  # of another subject its data tell, when they are read
            more["simulated"] = True
        self.write_first("train", settings, state, **more, scores=None)

    @property
    def info(self):
        """What run.json holds; InputError when it is missing, torn, odd, or of a newer version of FactorTopy."""
        return check_description(super().info, self.path / "run.json")

    @property
    def settings(self):
        """What was asked: ``DEFAULTS`` with the run's own values."""
        return {**DEFAULTS, **(self.info.get("settings") or {})}

    def kept(self):
        """(step, of how many) of its checkpoint; None without one."""
        try:
            state = read_json(self.path / "checkpoint" / "state.json")
            return int(state["step"]), int(state["total"])
        except (InputError, KeyError, TypeError, ValueError):
            return None

    @property
    def resumable(self):
        """True when ``jobs.resume`` or ``train --resume`` goes on with it."""
        return not self.shipped and self.status in RESUMABLE

    def delete(self):
        """Remove the folder with everything in it; RunBusy while it trains, InputError for a shipped run."""
        if self.shipped:
            raise InputError(f"run {self.name}: comes with FactorTopy and cannot be deleted")
        super().delete()

    def forget(self):
        """Take back a run that failed before it began; files that are not the run's stay."""
        for name in ("run.json", "progress.json", "history.csv", "log.txt", "cancel", "lock"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            self.path.rmdir()

    # ---- what is written while it trains

    def history(self):
        """History; torn lines are left out and counted in ``damaged``."""
        return read_history(self.path / "history.csv")

    def preview(self):
        """{space, layer, scale, hemi, vertex, "roi.NAME"…} so far, or None before the first."""
        return self._tensors("preview.safetensors")

    def scores(self):
        """{score, predicted, noise_ceiling} per vertex, or None before it is finished."""
        return self._tensors("scores.safetensors")

    def _tensors(self, name):
        if not (self.path / name).is_file():
            return None
        return read_tensors(self.path / name)


# ---- the store of runs


def list_runs(shipped=True):
    """All runs, newest first, then the fitted ones that ship with the project."""
    own = [Run(p) for p in runs_dir().iterdir() if NAME_PATTERN.fullmatch(p.name) and (p / "run.json").is_file()]
    own.sort(key=_created, reverse=True)
    folder = assets_dir() / "runs"
    if not shipped or not folder.is_dir():
        return own
    return own + [Run(p, shipped=True) for p in sorted(folder.iterdir()) if (p / "run.json").is_file()]


def find_run(name):
    """The run of that name among the user's own and the shipped ones.

    Raises
    ------
    InputError
        When the name is not a run's name, or there is none of it. Never leaves the folders of runs.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise InputError(f"run {str(name)[:60]!r}: expected letters, digits, - and _; choose a run from the list")
    for folder, shipped in ((runs_dir(), False), (assets_dir() / "runs", True)):
        path = folder / name
        # A link that leads elsewhere is not taken.
        if (path / "run.json").is_file() and path.resolve().parent == folder.resolve():
            return Run(path, shipped=shipped)
    names = [run.name for run in list_runs()]
    words = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    raise InputError(f"run {name!r}: there is none of that name; choose one of {words}, or train one")


def new_run_name(settings):
    """A free name that says what a run of these settings is: demo-1_demo-vit_fast_seed0, then …-2, …-3."""
    parts = name_parts({**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}})
    stem = file_stem("_".join(file_stem(part, also="") for part in parts))
    taken = {p.name for folder in (runs_dir(), assets_dir() / "runs") if folder.is_dir() for p in folder.iterdir()}
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    return name


def _created(run):
    try:
        return str(run.info.get("created") or "")
    except InputError:
        return ""


def check_description(info, path):
    """What a run.json says, when each part is of the kind that it must be; a file from elsewhere may say anything.

    Raises
    ------
    InputError
        Naming the file and the part.
    """
    words, whole = (str, type(None)), (int, type(None))
    kinds = {"settings": (dict, type(None)), "holder": (dict, type(None)), "scores": (list, type(None))}
    kinds |= {"state": words, "reason": words, "created": words, "turn": whole, "deaths": whole}
    kinds |= {"best_step": whole, "steps_done": whole, "steps": whole, "val_score": (int, float, type(None))}
    kinds |= {"pictures": (dict, type(None))}
    asked = info.get("settings") if isinstance(info.get("settings"), dict) else {}
    parts = [(name, info[name], kind) for name, kind in kinds.items() if name in info]
    parts += [(f"settings, {row.name}", asked[row.name], row.json_types) for row in SETTINGS if row.name in asked]
    counts = info.get("pictures") if isinstance(info.get("pictures"), dict) else {}
    parts += [(f"pictures, {name}", count, int) for name, count in counts.items()]
    rows = info.get("scores") if isinstance(info.get("scores"), list) else []
    for row in rows:
        cells = row.items() if isinstance(row, dict) else [("row", row)]
        parts += [
            (f"{key} in its table of scores", value, (int, float, type(None))) for key, value in cells if key != "roi"
        ]
        parts.append(("roi in its table of scores", row.get("roi") if isinstance(row, dict) else None, str))
    for name, value, kind in parts:
        if not isinstance(value, kind):
            actual = f"{type(value).__name__} {str(value)[:40]!r}"
            raise InputError(f"{path}: expected another kind of value for {name}, found {actual}; copy the run again")
    return info
