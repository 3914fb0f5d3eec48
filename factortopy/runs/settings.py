"""Small things a run folder is made of: history lines, locks looked at, refusals of the operating system in words."""

from __future__ import annotations

import re

from factortopy.encoder.choices import FACTORS, MODELS, RECIPES
from factortopy.errors import InputError
from factortopy.storage.allowed_folders import typed
from factortopy.surfaces.meshes import N_VERTICES

DEFAULTS = {
    "subject": None, "subject_id": None, "density": None, "trials": None, "backbone": None, "weights": None,
    "recipe": "fast", "seed": 0, "steps": None, "pictures": None, "model": "factorized",
    "select": list(FACTORS), "topology": True, "space_samples": 1, "decay": None, "layers": None, "pca": None,
}  # fmt: skip


LEAST_PICTURES = 10  # to learn from


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


# Runs that agree in these read the same features: the first one extracts them, the others find them.
EXTRACTION = ("subject", "subject_id", "backbone", "weights", "pictures", "pca")


def load_subject_of(settings):
    """The subject of a run's settings (``records.check_settings``)."""
    from factortopy.subjects.loading import load_subject

    how = {key: settings[key] for key in ("density", "trials") if settings.get(key)}
    return load_subject(settings["subject"], settings.get("subject_id"), **how)
