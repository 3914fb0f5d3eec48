"""Small things a run folder is made of: history lines, locks looked at, refusals of the operating system in words."""

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

from factortopy.encoder.choices import FACTORS, MODELS, RECIPES
from factortopy.errors import InputError
from factortopy.storage.allowed_folders import typed
from factortopy.storage.files import write_atomic
from factortopy.storage.machine import explain_os_error
from factortopy.surfaces.meshes import N_VERTICES

HISTORY_COLUMNS = ("step", "seconds", "loss", "val_score")
DEFAULTS = {
    "subject": None, "subject_id": None, "density": None, "trials": None, "backbone": None, "weights": None,
    "recipe": "fast", "seed": 0, "steps": None, "pictures": None, "model": "factorized",
    "select": list(FACTORS), "topology": True, "space_samples": 1, "decay": None, "layers": None, "pca": None,
}  # fmt: skip


LEAST_PICTURES = 10  # to learn from


@dataclass
class History:
    """What history.csv holds; lists of equal length, None where a value was not measured."""

    step: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    loss: list = field(default_factory=list)
    val_score: list = field(default_factory=list)
    damaged: int = 0  # lines that could not be read and were left out

    def columns(self):
        """{column: list}, ready for a table or a chart."""
        return {name: getattr(self, name) for name in HISTORY_COLUMNS}


def check_settings(settings):
    """Settings with defaults filled in and the subject's path made absolute.

    Keys: subject, subject_id (which subject of a folder), density, trials (as ``load_subject`` takes them), backbone,
    weights, recipe, seed, steps, pictures (how many are used; None all), ``fit``'s model, select, topology and
    space_samples, decay (steps after which the regulariser is gone; None the recipe's own), layers (0-based, those that
    are read; None all) and pca (components kept of a layer; None all channels).

    Raises
    ------
    InputError
        Naming the setting.
    """
    if settings.get("subject") == "demo":
        settings = {**settings, "subject": "demo-1"}
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError(f"settings: {unknown[0]!r} is not one of {', '.join(DEFAULTS)}")
    full = {**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}}
    for key in ("subject", "backbone"):
        if not full[key]:
            raise InputError(f"{key}: expected a {key}, found none; give one (--{key})")
        full[key] = str(full[key])
    for key, known in (("recipe", RECIPES), ("model", MODELS)):
        if full[key] not in known:
            raise InputError(f"{key}: expected one of {', '.join(known)}, found {full[key]!r}")
    if full["density"] not in (None, *N_VERTICES):
        raise InputError(f"density: expected one of {', '.join(N_VERTICES)}, found {full['density']!r}")
    if not isinstance(full["select"], (list, tuple)) or set(full["select"]) - set(FACTORS):
        raise InputError(f"select: expected names among {', '.join(FACTORS)}, found {full['select']!r}")
    full["select"] = [name for name in FACTORS if name in full["select"]]
    for key, least in (
        ("seed", 0),
        ("steps", 1),
        ("pictures", LEAST_PICTURES),
        ("space_samples", 1),
        ("decay", 1),
        ("pca", 1),
    ):
        value = full[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(f"{key}: expected a whole number from {least} up, found {value!r}")
    if full["pca"] and full["model"] == "ridge":
        raise InputError("pca: expected none with the pooled ridge, which reduces channels itself; leave it out")
    layers = full["layers"]
    whole = isinstance(layers, (list, tuple)) and layers and all(type(k) is int and k >= 0 for k in layers)
    if layers is not None and not whole:
        raise InputError(f"layers: expected a list of whole numbers from 0 up, found {layers!r}")
    # The queue's worker starts elsewhere: a relative path would mean another folder there.
    for key in ("subject", "weights"):
        if not full[key] or re.fullmatch(r"demo(-\d)?|untrained", full[key]):
            continue
        path = typed(full[key], key)
        if path.exists():
            full[key] = str(path.resolve())
    return full


def check_told(told, path):
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
    settings = {
        "select": (list, tuple),
        "model": str,
        "steps": whole,
        "pictures": whole,
        "subject": words,
        "backbone": words,
        "weights": words,
    }
    asked = told.get("settings") if isinstance(told.get("settings"), dict) else {}
    parts = [(name, told[name], kind) for name, kind in kinds.items() if name in told]
    parts += [(f"settings, {name}", asked[name], kind) for name, kind in settings.items() if name in asked]
    held = told.get("pictures") if isinstance(told.get("pictures"), dict) else {}
    parts += [(f"pictures, {name}", count, int) for name, count in held.items()]
    rows = told.get("scores") if isinstance(told.get("scores"), list) else []
    for row in rows:
        cells = row.items() if isinstance(row, dict) else [("row", row)]
        parts += [
            (f"{key} in its table of scores", value, (int, float, type(None))) for key, value in cells if key != "roi"
        ]
        parts.append(("roi in its table of scores", row.get("roi") if isinstance(row, dict) else None, str))
    for name, value, kind in parts:
        if not isinstance(value, kind):
            found = f"{type(value).__name__} {str(value)[:40]!r}"
            raise InputError(f"{path}: expected another kind of value for {name}, found {found}; copy the run again")
    return told


def read_history(path):
    """History of a history.csv; a line counts only when it is whole, its line break included."""
    history = History()
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return history
    lines = text.split("\n")
    # What follows the last line break was cut while it was written: "0.05" may have been "0.0512".
    history.damaged += bool(lines.pop())
    for number, line in enumerate(lines):
        row = line.split(",")
        if number == 0 and row == list(HISTORY_COLUMNS):
            continue
        try:
            step, seconds, loss, val_score = row
            values = int(step), float(seconds), _number(loss), _number(val_score)
        except ValueError:
            history.damaged += 1
            continue
        for name, value in zip(HISTORY_COLUMNS, values, strict=True):
            getattr(history, name).append(value)
    return history


def write_history(path, history):
    """Write a History as a whole, atomically."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [history_line(*row) for row in zip(*history.columns().values(), strict=True)]
    write_atomic(path, "\n".join(lines) + "\n")


def history_line(step, seconds, loss, val_score):
    """One line of history.csv, without its line break."""
    return f"{step},{seconds:.2f},{_text(loss)},{_text(val_score)}"


def write_score_table(path, rows):
    """Write the rows of run.json's ``scores`` as CSV."""
    path = Path(path)
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise explain_os_error(error, path) from None


def _number(text):
    return float(text) if text else None


def _text(value):
    return "" if value is None else f"{value:.6g}"
