"""The simulated lab: classic experiments of vision science on a fitted encoder."""

from importlib import import_module

_WHERE = {
    "Result": "result",
    "Stopped": "responses",
    "contrast": "localizer",
    "lesion": "lesions",
    "maximize": "maximization",
    "motion": "moving",
    "respond": "responses",
    "retinotopy": "retinotopic",
}

__all__ = list(_WHERE)

# What pages call the experiments.
NAMES = {
    "retinotopy": "Retinotopy", "localizer": "Localizer", "lesion": "Lesion", "maximize": "Dream (maximize)", "motion": "Motion",
}  # fmt: skip


def __getattr__(name):
    # Resolved on first use: reading a kept result needs no torch. No module may bear the name of a function here.
    if name in _WHERE:
        return getattr(import_module(f"factortopy.experiments.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'factortopy.experiments' has no attribute {name!r}")
