"""Weights files read without running code in them, and put into a network that they fit."""

import hashlib
from pathlib import Path

from factortopy.errors import InputError
from factortopy.wording import first_words

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")
USUAL = ("model.safetensors", "open_clip_model.safetensors")  # the one that counts beside others in a folder
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "teacher")
PREFIXES = ("module.", "_orig_mod.")  # of parallel training, of compiled networks
NOT_WHOLE = "it is no whole PyTorch file"


def weights_file(path, what):
    """The one weights file that a path means: itself, or the one in a folder.

    Raises
    ------
    InputError
        Nothing there, a folder with none or several.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        named = [file for file in files if file.name in USUAL]
        safe = [file for file in files if file.suffix == ".safetensors"]
        for choice in (named, safe, files):
            if len(choice) == 1:
                return choice[0]
        names = ", ".join(file.name for file in files[:5]) or "none"
        raise InputError(
            f"{path}: expected one weights file of {what} in this folder, found {names}; give the file itself"
        )
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file of {what}, found none; check the path")
    return path


def opened(path, what):
    """(path of the one weights file, True when it is to be read as PyTorch's and not as safetensors), by how it begins."""
    path = weights_file(path, what)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise unreadable(path, what, error.strerror or error) from None
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: expected weights of {what}, found a Git-LFS pointer; run: git lfs pull")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise unreadable(path, what, "it is a web page")
    pickled = head.startswith(b"PK") or head[:1] == b"\x80" or path.suffix not in (".safetensors", "")
    return path, pickled and path.suffix != ".safetensors"


def unreadable(path, what, reason):
    """InputError for a file that holds no weights that can be read."""
    return InputError(
        f"{path}: expected weights of {what} as .safetensors, found a file that cannot be read ({reason}); "
        "copy or download it again"
    )


def read_weights(path, what):
    """{key: tensor} of a .safetensors or PyTorch file; a pickle's code is not run.

    Training checkpoints are unwrapped (``state_dict``, ``model`` and the like, "module." before each key).

    Raises
    ------
    InputError
        Missing, cut, a Git-LFS pointer, a web page, a pickle that holds more than tensors, no tensors at all.
    """
    import torch
    from safetensors.torch import load_file

    path, pickled = opened(path, what)
    try:
        content = torch.load(path, "cpu", weights_only=True) if pickled else load_file(path)
    except Exception as error:  # safetensors, pickle and zip raise many classes for one cause
        reason = first_words(error, 120)
        if "Unsupported" in str(error):
            reason = "a pickle that holds more than tensors; nothing in it was run"
        elif "weights_only" in str(error):  # torch says how to run what is in it: that is not passed on
            reason = NOT_WHOLE
        raise unreadable(path, what, reason) from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {str(k): v for k, v in content.items() if torch.is_tensor(v)} if isinstance(content, dict) else {}
    if not tensors:
        raise InputError(f"{path}: expected weights of {what}, found no tensors in it; give the file of this network")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def fit_weights(module, tensors, label, what):
    """Load tensors into a module, every one of them and no other.

    Raises
    ------
    InputError
        Naming the first five keys that are missing, unknown or of another shape, and what is not finite.
    """
    wanted = module.state_dict()
    absent = [key for key in wanted if key not in tensors]
    strange = [key for key in tensors if key not in wanted]
    misshapen = [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape
    ]  # fmt: skip
    integers = [  # of a quantised network: they would be taken for weights
        f"{key} is {tensors[key].dtype}"
        for key in wanted if key in tensors and wanted[key].is_floating_point() > tensors[key].is_floating_point()
    ]  # fmt: skip
    kinds = {"missing": absent, "unknown": strange, "of another shape": misshapen, "of another kind": integers}
    problems = [
        f"{len(keys)} {word} ({', '.join(keys[:5])}{', …' if len(keys) > 5 else ''})"
        for word, keys in kinds.items()
        if keys
    ]
    if problems:
        raise InputError(
            f"{label}: expected the {len(wanted)} tensors that fit {what}, found {len(tensors)}, {'; '.join(problems)}; "
            "use the file of this network"
        )
    module.load_state_dict(tensors)
    finite(module, label, what)


def finite(module, label, what):
    """InputError naming the first tensor of a module that holds infinity or NaN."""
    import torch

    for key, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{label}: expected finite weights of {what}, found infinity or NaN in {key}; take an earlier file"
            )


def digest(module):
    """Hash of every weight and buffer of a module, names included."""
    import torch

    hashed = hashlib.blake2b(digest_size=10)
    for key, tensor in sorted(module.state_dict().items()):
        hashed.update(key.encode())
        if tensor.ndim == 0:
            hashed.update(str(tensor.item()).encode())
        else:
            hashed.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return hashed.hexdigest()


def seeded(build):
    """``build()`` with seeded random numbers: an untrained network is the same one when it is loaded again."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()
