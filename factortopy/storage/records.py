"""Small things that every written record holds: the date, versions, values that JSON can hold."""

import contextlib
import datetime
import math
import platform
from importlib import metadata


def without_nan(value):
    """A copy that JSON can hold: NaN and infinities become None, numpy numbers plain ones."""
    if isinstance(value, dict):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions():
    """Versions of what the result depends on; reads metadata, imports nothing heavy."""
    numbers = {"python": platform.python_version()}
    for package in ("factortopy", "numpy", "torch", "timm"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            numbers[package] = metadata.version(package)
    return numbers


def now():
    """The wall clock for people to read: 2026-11-21T08:00:00+00:00."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
