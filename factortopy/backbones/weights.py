"""Weights files read without running code in them: one file, its shards, or what a training left; every tensor by its whole path."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factortopy.backbones.foreign_weights import SHARD, another_kind, folder_of_another_kind
from factortopy.backbones.pickled_weights import NOT_WHOLE, read_pickle
from factortopy.errors import InputError
from factortopy.storage.names import as_path, is_inside
from factortopy.wording import first_words

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")
USUAL = ("model.safetensors", "open_clip_model.safetensors")  # the one that counts beside others in a folder
INDEX = ".index.json"  # of weights in shards: which of them holds which tensor
PARTED = "."  # between the names of a path
# What lies in a checkpoint beside the network's weights.
NO_WEIGHTS = ("optimizer", "optimizers", "optimizer_states", "optim", "opt", "lr_schedulers", "lr_scheduler", "scheduler",
              "scaler", "callbacks", "loops", "rng_state", "random_rng_states")  # fmt: skip


@dataclass
class Checkpoint:
    """What a weights file holds.

    tensors : {path: tensor}; the names of dicts inside dicts stand before a tensor's own, with points between
    facts : list of dict, what the file, or config.json beside it, says of the network (heads, activation, sizes)
    """

    path: Path
    tensors: dict[str, Any]
    facts: list[dict[str, Any]] = field(default_factory=list)


def weights_file(path, what):
    """The one weights file that a path means: itself, or the one in a folder; of shards their index, or the first.

    Raises
    ------
    InputError
        Nothing there, a folder with none or several, one that another program wrote.
    """
    path = as_path(path, "weights")
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        named = [file for file in files if file.name in USUAL]
        indices = sorted(file for file in path.iterdir() if file.name.endswith(INDEX) and file.is_file())
        safe_indices = [file for file in indices if ".safetensors" in file.name]
        whole = [file for file in files if not SHARD.search(file.name)]
        safe = [file for file in whole if file.suffix == ".safetensors"]
        shards = [file for file in files if (match := SHARD.search(file.name)) and int(match[1]) in (0, 1)]
        for choice in (named, safe_indices, safe, indices, whole, shards):
            if len(choice) == 1:
                return choice[0]
        kind = folder_of_another_kind(path)
        if kind:
            raise InputError(f"{path}: expected weights of {what}, found {kind}")
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise InputError(
            f"{path}: expected one weights file of {what} in this folder, found {names}; give the file itself"
        )
    if not path.is_file():
        if path.is_symlink():
            raise InputError(
                f"{path}: expected a weights file of {what}, found a link to a file that is not here; fetch it (git annex get)"
            )
        raise InputError(f"{path}: expected a weights file of {what}, found none; check the path")
    return path


def shards_of(path, what):
    """The files that make up the weights of ``path``: itself, or every shard that its index or its own name speaks of.

    Raises
    ------
    InputError
        Naming a shard that is not there, an index that names none.
    """
    match = SHARD.search(path.name)
    if match:  # its index knows the others; without one their names do
        stem, ending = path.name[: match.start()], path.name[match.end() :]
        index = path.with_name(f"{stem}{ending}{INDEX}")
        if not index.is_file():
            count, first = int(match[2]), 0 if path.with_name(_shard(stem, 0, match, ending)).is_file() else 1
            return _all_there([_shard(stem, k + first, match, ending) for k in range(count)], path, what)
        path = index
    elif not path.name.endswith(INDEX):
        return [path]
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = bool(names) and all(is_inside(name) and Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        plain = False
    if not plain:
        raise InputError(
            f"{path}: expected an index of the shards of {what} (weight_map: tensor to file), found another content; "
            "copy or download it again"
        )
    return _all_there(names, path, what)


def _shard(stem, number, match, ending):
    return f"{stem}-{number:0{len(match[1])}d}-of-{match[2]}{ending}"


def _all_there(names, path, what):
    files = [path.with_name(name) for name in names]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise InputError(
            f"{path}: expected all {len(files)} shards of {what} beside it, found {len(files) - len(absent)}, without "
            f"{', '.join(absent[:5])}{', …' if len(absent) > 5 else ''}; copy or download what is missing"
        )
    return files


def opened(path, what):
    """(path of the one weights file, True when it is to be read as PyTorch's and not as safetensors), by how it begins."""
    path = weights_file(path, what)
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise unreadable(path, what, error.strerror or error) from None
    kind = another_kind(path, head)
    if kind:
        raise InputError(f"{path}: expected weights of {what}, found {kind}")
    if head[4:9] == b"\0\0\0\0{":  # the length of a safetensors header and its start, whatever the file is called
        return path, False
    return path, head.startswith((b"PK", b"\x80")) or path.suffix not in (".safetensors", "")


def unreadable(path, what, reason):
    """InputError for a file that holds no weights that can be read."""
    return InputError(
        f"{path}: expected weights of {what} as .safetensors, found a file that cannot be read ({reason}); "
        "copy or download it again"
    )


def read_weights(path, what):
    """The ``Checkpoint`` of a .safetensors or PyTorch file, of its shards or of a folder with one; a pickle's code is not run.

    Raises
    ------
    InputError
        Missing, cut, a pointer, a web page, another library's file, a shard that is missing, a pickle that holds other objects
        than settings beside its tensors, no tensors at all.
    """
    path = weights_file(path, what)
    tensors, facts = {}, []
    for file in shards_of(path, what):
        content, header = _content(file, what)
        facts += header + list(_dicts(content))
        tensors |= flat(content)
    if not tensors:
        raise InputError(f"{path}: expected weights of {what}, found no tensors in it; give the file of this network")
    config = path.with_name("config.json")
    if config.is_file():
        try:
            beside = json.loads(config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # nothing that the weights need
            beside = None
        facts += [beside] if isinstance(beside, dict) else []
    return Checkpoint(path, tensors, facts)


def _is_list_of_dicts(content):
    """Several state_dicts saved together, not a list of bare tensors."""
    return isinstance(content, list | tuple) and all(isinstance(one, dict) for one in content)


def _content(path, what):
    """(what a file holds, what its header says of it)."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    path, pickled = opened(path, what)
    try:
        if pickled:
            content = read_pickle(path, what)
            return dict(enumerate(content)) if _is_list_of_dicts(content) else content, []
        content = load_file(path)
        with safe_open(path, "pt") as file:
            header = {key: _of_text(text) for key, text in (file.metadata() or {}).items()}
    except InputError:
        raise
    except Exception as error:  # safetensors, pickle and zip raise many classes for one cause
        unknown_words = "weights_only" in str(error)  # torch says how to run what is in it: that is not passed on
        raise unreadable(path, what, NOT_WHOLE if unknown_words else first_words(error, 120)) from None
    return content, [header, *(value for value in header.values() if isinstance(value, dict))]


def _of_text(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def flat(content, path=()):
    """{path: tensor} of dicts inside dicts; an optimiser's are left out."""
    import torch

    tensors = {}
    if not isinstance(content, dict):
        return tensors
    for key, value in content.items():
        here = (*path, str(key))
        if torch.is_tensor(value):
            tensors[PARTED.join(here)] = value
        elif isinstance(value, dict) and str(key).lower() not in NO_WEIGHTS and len(here) < 6:
            tensors |= flat(value, here)
    return tensors


def _dicts(content):
    """The dicts of settings in a checkpoint (args, hyper_parameters, config …), and the checkpoint itself for its plain values."""
    if not isinstance(content, dict):
        return
    yield {key: value for key, value in content.items() if isinstance(value, str | int | float)}
    for key, value in content.items():
        held = vars(value) | dict(value) if hasattr(value, "__dict__") and isinstance(value, dict) else value
        if isinstance(held, dict) and re.fullmatch(
            r"args|arguments|hyper_parameters|hparams|config|cfg|opts?|options|model_args|kwargs|meta", str(key)
        ):
            yield held


def digest(module):
    """Hash of every weight and buffer of a module, names included."""
    import torch

    hashed = hashlib.blake2b(digest_size=10)
    for key, tensor in sorted(module.state_dict().items()):
        hashed.update(key.encode())
        if tensor.ndim == 0:
            hashed.update(str(tensor.item()).encode())
        else:
            # Flat first: a 1 × 1 kernel in channels_last counts as contiguous, and could not be viewed as bytes.
            hashed.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return hashed.hexdigest()


def seeded(build):
    """``build()`` with seeded random numbers: an untrained network is the same one when it is loaded again."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()
