"""The settings of a training: a row each, from which checks, options, names, sweeps, the form's bounds and docs/settings.md come."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from factortopy.encoder.names import FACTORS, MODELS, RECIPES
from factortopy.errors import InputError
from factortopy.features.reader import PRECISIONS
from factortopy.storage.allowed_folders import typed
from factortopy.storage.home import runs_dir
from factortopy.surfaces.meshes import N_VERTICES


@dataclass(frozen=True)
class Setting:
    """A row of ``SETTINGS``.

    name : its key in run.json, and of ``train_run``
    kind : str, int, float, bool or list; None is taken as well where that is the default
    default, least, choices : of a list, ``choices`` are those of its parts
    flag, metavar, help : on the command line; flag None where it has none there
    in_name : how it is called in a run's name when it is not the default, a text with {}; None: not at all
    in_words : how it is called where runs stand side by side, a text with {}; None: its name and value
    older : other types that files of versions before may hold
    extraction : runs that agree in these read the same features: the first one extracts them, the others find them
    """

    name: str
    kind: type
    default: Any = None
    least: float | None = None
    choices: tuple | None = None
    flag: str | None = None
    metavar: str | None = None
    help: str = ""
    in_name: str | None = None
    in_words: str | None = None
    extraction: bool = False
    older: tuple = ()

    @property
    def json_types(self):
        """Types that its value may have in a file."""
        types = {str: (str,), int: (int,), float: (int, float), bool: (bool, int), list: (list, tuple)}[self.kind]
        return (*types, *self.older, *(() if self.choices and self.default else (type(None),)))

    def check(self, value):
        """Raise InputError, naming the setting, unless a training takes the value."""
        if value is None and self.default is None:
            return
        if self.kind is list:
            self._check_list(value)
        elif self.choices and value not in self.choices:
            raise InputError(f"{self.name}: expected one of {', '.join(self.choices)}, found {value!r}")
        elif self.kind is bool and value not in (True, False):
            raise InputError(f"{self.name}: expected true or false, found {value!r}")
        elif self.kind is str and (isinstance(value, bool) or not isinstance(value, (str, int, PathLike))):
            raise InputError(f"{self.name}: expected a name, found {value!r}")
        elif self.kind is int and (type(value) is not int or value < self.least):
            raise InputError(f"{self.name}: expected a whole number from {self.least} up, found {value!r}")
        elif self.kind is float and not (type(value) in (int, float) and self.least <= value < math.inf):
            raise InputError(f"{self.name}: expected a number from {self.least:g} up, found {value!r}")

    def _check_list(self, value):
        if self.choices:
            if not isinstance(value, (list, tuple)) or any(one not in self.choices for one in value):
                raise InputError(f"{self.name}: expected names among {', '.join(self.choices)}, found {value!r}")
        elif self.least is None:
            if (
                not isinstance(value, (list, tuple))
                or not value
                or not all(isinstance(one, str) and one for one in value)
            ):
                raise InputError(f"{self.name}: expected names or folders of finished runs, found {value!r}")
        elif (
            not isinstance(value, (list, tuple))
            or not value
            or not all(type(k) is int and k >= self.least for k in value)
        ):
            raise InputError(f"{self.name}: expected a list of whole numbers from {self.least} up, found {value!r}")


SETTINGS = (
    Setting(
        "subject", str, flag="--subject", metavar="S", help="demo-1, demo-2, demo-3 (simulated) or a data set's folder",
        in_name="{}", extraction=True,
    ),
    Setting(
        "subject_id", str, flag="--subject-id", metavar="ID", help="which subject, for a folder that holds several (subj05)",
        extraction=True, older=(int,),
    ),
    Setting(
        "density", str, choices=tuple(N_VERTICES), flag="--density", metavar="D",
        help="164k (default: all vertices), 41k, or 10k for a quick look",
    ),
    Setting(
        "trials", str, flag="--trials", metavar="T", in_words="{} trials",
        help="for NSD: single (default), mean (of a picture's repeats) or paper (single, without the last three sessions)",
    ),
    Setting(
        "backbone", str, flag="--backbone", metavar="B", help="network: demo-vit, demo-mae, …, timm/NAME", in_name="{}",
        extraction=True,
    ),
    Setting(
        "weights", str, flag="--weights", metavar="FILE", in_name="weights-{}", in_words="weights {}", extraction=True,
        help="its weights: a .safetensors or PyTorch file, a folder with one, or the word untrained",
    ),
    Setting(
        "recipe", str, "fast", choices=RECIPES, flag="--recipe", in_name="{}",
        help="how it is fitted: fast (default), paper, or paper-released: as the paper's released code",
        in_words="{} recipe",
    ),
    Setting(
        "seed", int, 0, least=0, flag="--seed", metavar="K", help="seed of everything random (default 0)", in_name="seed{}",
    ),
    Setting(
        "steps", int, least=1, flag="--steps", metavar="N", help="optimiser steps (default: the recipe's own number)",
        in_words="{} steps",
    ),
    Setting(
        "pictures", int, least=10, flag="--pictures", metavar="N", in_name="{}pictures", in_words="{} pictures",
        help="learn from N pictures, to train and to validate on; the test part stays whole (default: all)", extraction=True,
    ),
    Setting(
        "model", str, "factorized", choices=MODELS, flag="--model", metavar="M", in_name="{}",
        help="factorized, or a baseline: classtoken, patchtoken, gnetvit, ridge (default: factorized)",
    ),
    Setting(
        "select", list, FACTORS, choices=FACTORS, flag="--select", metavar="F,F", in_name="no-{}",
        help="factors that are learnt (default: space,layer,scale); others are averaged",
    ),
    Setting(
        "topology", bool, True, flag="--no-topology", help="free every vertex from its neighbours", in_name="no-topology",
    ),
    Setting(
        "space_samples", int, 1, least=1, flag="--space-samples", metavar="N", in_words="{} space samples",
        help="places a vertex looks at, averaged (default: 1)",
    ),
    Setting(
        "decay", int, least=1, in_words="decay {}",
        help="steps after which the regulariser is gone (default: the recipe's own number)",
    ),
    Setting(
        "half", int, least=1, in_name="half{}", in_words="half {}",
        help="learn from one random half of the pictures; 1 and 2 are together all of them, as are 3 and 4, … (default: all)",
    ),
    Setting(
        "warm", list, flag="--warm", metavar="RUN,RUN", in_name="warm",
        help="start from fitted runs of the same network, or from the mean of several subjects', and take a third of the steps",
    ),
    Setting("channel", bool, True, help="solve every vertex's channel weights at the end; without, selectors alone and no scores"),
    Setting("layers", list, least=0, help="layers that are read, counted from 0 (default: all)"),
    Setting(
        "pca", int, least=1, flag="--pca", metavar="K", in_words="{} components", extraction=True,
        help="keep K principal components of each layer's tokens, learnt from training pictures (default: all channels)",
    ),
    Setting(
        "precision", str, choices=PRECISIONS, flag="--precision", in_name="{}", in_words="{}", extraction=True,
        help="of the network's products: float32, float16 or bfloat16, faster on processors that have it "
        "(default: float16 on a GPU, float32 elsewhere)",
    ),
)  # fmt: skip
SETTING = {row.name: row for row in SETTINGS}
DEFAULTS = {row.name: list(row.default) if row.kind is list and row.default else row.default for row in SETTINGS}
EXTRACTION = tuple(row.name for row in SETTINGS if row.extraction)
REQUIRED = ("subject", "backbone")


def check_settings(settings):
    """Settings of ``SETTINGS`` with defaults filled in and the subject's path made absolute.

    Raises
    ------
    InputError
        Naming the setting.
    """
    if settings.get("subject") == "demo":
        settings = {**settings, "subject": "demo-1"}
    others = sorted(set(settings) - set(DEFAULTS))
    if others:
        raise InputError(f"settings: {others[0]!r} is not one of {', '.join(DEFAULTS)}")
    full = {**DEFAULTS, **{key: value for key, value in settings.items() if value is not None}}
    for key in REQUIRED:
        if not full[key]:
            raise InputError(f"{key}: expected a {key}, found none; give one (--{key})")
        full[key] = str(full[key])
    for row in SETTINGS:
        value = full[row.name]
        row.check(value)
        if value is not None and row.kind in (str, bool):  # 5 for a subject's number, 0 for false
            full[row.name] = row.kind(value)
    full["select"] = [name for name in FACTORS if name in full["select"]]
    if full["pca"] and full["recipe"] == "paper-released" and full["model"] != "ridge":
        raise InputError("pca: expected none with paper-released, which reads all channels; leave it out")
    if full["pca"] and full["model"] == "ridge":
        raise InputError("pca: expected none with the pooled ridge, which reduces channels itself; leave it out")
    if full["warm"]:
        full["warm"] = [_run_folder(one) for one in full["warm"]]
    # The queue's worker starts elsewhere: a relative path would mean another folder there.
    for key in ("subject", "weights"):
        if not full[key] or re.fullmatch(r"demo(-\d)?|untrained", full[key]):
            continue
        path = typed(full[key], key)
        if path.exists():
            full[key] = str(path.resolve())
    return full


def _run_folder(text):
    """Absolute folder of the run that a name or a path means; whether it is a finished one says who loads it."""
    named = runs_dir() / text
    return str((named if "/" not in text and named.is_dir() else typed(text, "warm")).resolve())


def name_parts(settings):
    """What a run of these settings is called, part by part: subject, network, recipe and seed, and what is not usual."""
    own = {**settings, "subject": settings["subject_id"] or settings["subject"]}
    parts = []
    for row in SETTINGS:
        value = own[row.name]
        if row.in_name is None or (value == DEFAULTS[row.name] and row.name not in ("recipe", "seed")):
            continue
        if row.name == "subject":
            value = Path(str(value)).name or "subject"
        elif row.name == "backbone":
            value = str(value).split("/")[-1]
        elif row.name == "weights" and value != "untrained":
            value = Path(str(value)).stem[:30]
        if row.name == "select":  # a baseline learns none of them
            left_out = [name for name in FACTORS if name not in value] if own["model"] == "factorized" else []
            parts += [row.in_name.format(name) for name in left_out]
        else:
            parts.append(value if value == "untrained" else row.in_name.format(value))
    return parts


def antialiased(settings):
    """Whether the tokens that a training reads are averaged over areas where they are resized."""
    return settings.get("recipe") != "paper-released"


def load_subject_of(settings):
    """The subject of a run's settings (``check_settings``)."""
    from factortopy.subjects.loading import load_subject

    how = {key: settings[key] for key in ("density", "trials") if settings.get(key)}
    return load_subject(settings["subject"], settings.get("subject_id"), **how)
