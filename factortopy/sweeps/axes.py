"""What a sweep varies: settings with several values, and the runs that they make."""

import itertools
import json
import re

from factortopy.errors import InputError
from factortopy.runs.settings import DEFAULTS, EXTRACTION, SETTING, check_settings

LARGEST = 2000  # runs of a sweep


def settings_of(axes):
    """Settings of every run; those that extract features stand first.

    Parameters
    ----------
    axes : dict
        {setting: list of values}; the settings of ``runs.settings.check_settings``, subject and backbone at least.

    Raises
    ------
    InputError
        Naming the setting.
    """
    unknown = [name for name in axes if name not in DEFAULTS]
    if unknown:
        raise InputError(f"sweep: {unknown[0]!r} is no setting; expected some of {', '.join(DEFAULTS)}")
    for name in ("subject", "backbone"):
        if not axes.get(name):
            raise InputError(f"sweep: expected at least one {name}, found none; choose one")
    empty = [name for name, values in axes.items() if not isinstance(values, (list, tuple)) or not len(values)]
    if empty:
        raise InputError(f"{empty[0]}: expected a list of at least one value, found {axes[empty[0]]!r}")
    outer = [name for name in axes if name not in EXTRACTION]
    order = [*outer, *(name for name in EXTRACTION if name in axes)]
    count = 1
    for name in order:
        count *= len(axes[name])
    if count > LARGEST:
        raise InputError(f"sweep: expected up to {LARGEST:,} runs, found {count:,}; make several sweeps")
    combinations = []
    for values in itertools.product(*(axes[name] for name in order)):
        settings = check_settings(dict(zip(order, values, strict=True)))
        if settings not in combinations:
            combinations.append(settings)
    return combinations


def settings(assignments):
    """{name: values} of NAME=V,V words.

    Raises
    ------
    InputError
        Naming the word.
    """
    axes = {}
    for text in assignments:
        name, equals, values = text.partition("=")
        if name not in DEFAULTS or not equals or not values:
            raise InputError(
                f"--set {text[:60]!r}: expected NAME=VALUE or NAME=VALUE,VALUE with NAME one of {', '.join(DEFAULTS)}"
            )
        if name in axes:
            raise InputError(f"--set {name}: stands twice; give all its values at once, {name}=A,B")
        axes[name] = [_value(name, word) for word in values.split(",")]
    return axes


def _value(name, word):
    kind = SETTING[name].kind
    if kind is list:  # one value is a list: written with +
        return [_plain(part) for part in word.split("+")]
    return word if kind is str else _plain(word)


def _plain(word):
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return word if isinstance(value, (list, dict, str)) else value


def whole(name, word):
    """The whole number that a word says, or InputError naming what it is for."""
    if not re.fullmatch(r"\d{1,9}", word):
        raise InputError(f"{name} {word[:60]!r}: expected whole numbers, as in 0,1,2")
    return int(word)
