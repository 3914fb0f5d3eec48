"""What torch.save wrote, read without running code in it; settings beside the tensors are kept as plain values."""

import re
import sys

from factortopy.errors import InputError
from factortopy.wording import first_few

NOT_WHOLE = "it is no whole PyTorch file"
# Packages whose objects lie in checkpoints beside the weights: settings, figures, paths. None of theirs is made: ``Aside`` stands in.
SETTINGS = ("numpy", "argparse", "pathlib", "collections", "datetime", "typing", "enum", "omegaconf", "yacs", "ml_collections",
            "easydict", "addict", "munch", "lightning", "pytorch_lightning", "lightning_fabric", "lightning_utilities")  # fmt: skip
PLAIN = ("list", "dict", "set", "frozenset", "tuple", "int", "float", "str", "bool", "bytes", "slice", "object")
TYPES = tuple(f"{module}.{name}" for module in ("builtins", "__builtin__")
              for name in PLAIN)  # fmt: skip
UNKNOWN = re.compile(r"[Gg]lobal:? (?:GLOBAL )?([\w.]+)")
SHOWN = 4


class Aside(dict):
    """Stands for an object of a checkpoint that is no tensor: keeps its plain attributes, does nothing."""

    __hash__ = object.__hash__

    def __new__(cls, *values, **named):
        return dict.__new__(cls)

    def __init__(self, *values, **named):
        pass

    def __eq__(self, other):
        return self is other

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update({str(key): value for key, value in state.items()})


def read_pickle(path, what):
    """What a file of torch.save holds: dicts, tensors, plain values; ``Aside`` for settings of known packages.

    Raises
    ------
    InputError
        It holds other objects (named, with the lines that save its tensors alone), or is not whole.
    """
    stand_ins = {}
    while True:
        content, name = _tried(path, stand_ins)
        if name is None:
            return content
        if name in stand_ins or not (name.split(".")[0] in SETTINGS or name in TYPES):
            names = _names(path, name)
            # The classes of a training's own program; functions of Python itself have no business beside weights.
            foreign = all(one.split(".")[0] not in sys.stdlib_module_names for one in names)
            raise InputError(
                f"{path}: expected weights of {what} as tensors alone (.safetensors), found a pickle that holds more than tensors "
                f"({first_few(names, SHOWN)}; nothing in it was run); "
                + (
                    f"if you trust it, save its tensors alone: {_lines(path)}"
                    if foreign
                    else "take a file that you trust"
                )
            )
        stand_ins[name] = type("Aside", (Aside,), {})


def _tried(path, stand_ins):
    """(content, None), or (None, name of what stands in its way)."""
    import warnings

    import torch

    try:
        with torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with open(path, "rb") as file:  # by its name torch would take it for safetensors
                    return torch.load(file, "cpu", weights_only=True), None
    except Exception as error:
        name = UNKNOWN.search(str(error))
        if name and ("Unsupported" in str(error) or "allowed" in str(error)):
            return None, name[1]
        raise


def _names(path, first):
    """Names of what lies in a file beside tensors and settings."""
    import torch

    try:
        with open(path, "rb") as file:
            names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except Exception:  # a format from before archives, or one that is damaged further on
        names = []
    return [name for name in names if name.split(".")[0] not in SETTINGS and name not in TYPES] or [first]


def _lines(path):
    """Python that saves a checkpoint's tensors alone."""
    return (
        f"import torch; c = torch.load({path.name!r}, 'cpu', weights_only=False); "
        "c = next((c[k] for k in ('state_dict', 'model', 'teacher') if isinstance(c, dict) and k in c), c); "
        "c = c if isinstance(c, dict) else c.state_dict(); "
        "torch.save({k: v for k, v in c.items() if torch.is_tensor(v)}, 'weights.pth')"
    )
