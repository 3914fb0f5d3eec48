"""Settings of an experiment: of the right type, numbers whole or not and within bounds. An error names the setting."""

import json
import sys

import numpy as np

from factortopy.errors import InputError

WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a word", list: "a list", dict: "an object",
}  # fmt: skip


def of_type(name, value, default, also):
    """The value, of the default's type or one of ``also``; a whole number becomes a float where a float belongs."""
    types = (() if default is None else (type(default),)) + tuple(also)
    if value is None and default is None or type(value) in types:
        return value
    if float in types and type(value) is int:
        return float(value)
    if value is None and None in types:
        return None
    words = ", ".join([WORDS[kind] for kind in types if kind] + (["null"] if default is None or None in types else []))
    raise InputError(f"setting {name}: expected {words}, found {json.dumps(value)[:60]}; change it")


def is_whole(value):
    """Whether it is a whole number, True and False not counted."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole(name, value, least=0, most=None):
    """The value as int; InputError unless it is a whole number of at least ``least`` and at most ``most``."""
    if not is_whole(value) or value < least or (most is not None and value > most):
        bounds = f", {least} or more" if most is None else f" from {least} to {most}"
        raise InputError(f"{name}: expected a whole number{bounds}, found {value!r:.60}; change it")
    return int(value)


def number(name, value, least=None, most=None, unit=""):
    """The value as float; InputError unless it is a finite number of at least ``least`` and at most ``most``."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    finite = real and abs(value) <= sys.float_info.max
    if not finite or (least is not None and value < least) or (most is not None and value > most):
        bounds = (
            "" if least is None else f" of at least {least:g}" if most is None else f" from {least:.4g} to {most:.4g}"
        )
        raise InputError(f"{name}: expected a number{bounds}{unit}, found {value!r:.60}; change it")
    return float(value)
