"""Weights whose path was typed, looked at where they are typed: there, and of a kind that can be read; no tensor is read."""

import zipfile
from pathlib import Path

from factortopy.backbones.demo_facts import OBJECTIVES
from factortopy.backbones.pickled_weights import NOT_WHOLE
from factortopy.backbones.weights import opened, shards_of, unreadable, weights_file
from factortopy.errors import InputError
from factortopy.storage.allowed_folders import typed
from factortopy.wording import first_words


def check_weights(name: str, weights: str | Path) -> str:
    """The path of a network's weights as it was typed, ``~`` read as in a shell, once a look found them readable.

    The network is not loaded: whether the tensors fit it shows when it is.

    Raises
    ------
    InputError
        Nothing there, a folder with none or several, a file of another kind or a cut one.
    """
    path, demo = typed(weights, "weights"), name in OBJECTIVES
    if name.startswith("sd-1.5"):
        from factortopy.backbones.diffusers_adapter import FOLDERS

        for file in FOLDERS.values():
            _look_at(path / file, name)
    elif demo and path.is_dir():
        raise InputError(f"{path}: expected a .safetensors file of {name}, found a folder; give the file itself")
    else:
        _look_at(path, name, safe=demo)
    return str(path)


def _look_at(path: Path, what: str, safe: bool = False) -> None:
    """InputError where the file cannot be read, as far as its ends tell; ``safe``: only safetensors will do."""
    for file in shards_of(weights_file(path, what), what):
        _look_at_one(file, what, safe)


def _look_at_one(path: Path, what: str, safe: bool) -> None:
    from safetensors import SafetensorError, safe_open

    path, pickled = opened(path, what)
    if pickled and not safe:
        with open(path, "rb") as file:
            old = file.read(1) == b"\x80"  # a bare pickle, as PyTorch wrote before its zip archives
        if not old and not zipfile.is_zipfile(path):
            raise unreadable(path, what, NOT_WHOLE)
        return
    try:
        with safe_open(path, "numpy") as file:
            empty = not file.keys()
    except (SafetensorError, OSError) as error:
        raise unreadable(path, what, first_words(error, 120)) from None
    if empty:
        raise unreadable(path, what, "no tensors are in it")
