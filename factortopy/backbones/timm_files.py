"""A timm network with the weights of a file: compared first, converted by timm where it has the authors' own names."""

import math
import re
from collections import Counter

from factortopy.backbones.fit import (
    AFTER,
    POSITIONS,
    check_facts,
    check_positions,
    finite,
    match,
    positions_notice,
    refuse,
)
from factortopy.backbones.unwrap import plain_names, under
from factortopy.backbones.weights import read_weights
from factortopy.errors import InputError
from factortopy.foreign import door

WRAPPER = re.compile(
    r"^(state_dict(_ema)?|model(_ema|_state_dict)?|module|net|network|backbone|teacher|student|ema|_orig_mod|base_model)\."
)


def from_file(timm, name, path, label, options):
    """(network, sentences for people) of a timm name with the weights of a file, all of them.

    timm itself bends what it is given: patch embeddings are resampled, heads dropped. So names and shapes are compared before.

    Raises
    ------
    InputError
        See ``fit.fit_weights``.
    """
    import torch

    file, where = read_weights(path, label), f"{path}: expected weights of {label}"
    config = timm.get_pretrained_cfg(name)
    heads = (config and config.classifier) or ()
    heads = {head.split(".")[0] for head in ((heads,) if isinstance(heads, str) else heads)}

    def compared(options):
        with torch.device("meta"):  # names and shapes alone
            empty = timm.create_model(name, pretrained=False, **options)
        return empty, match(file, empty.state_dict(), where, heads)

    empty, result = compared(options)
    pooled = {"global_pool": "avg"}  # fine-tuned on the mean of the tokens, which has its own last norm
    if any(key.startswith("fc_norm.") for key in result.unknown) and "norm.weight" in result.absent:
        empty, result = compared(options | pooled)
        options = options | pooled
    grid = getattr(getattr(empty, "patch_embed", None), "grid_size", None)
    if result.fits:
        check_facts(file, empty, str(path), label)
        notices = result.notices + check_positions(result, str(path), label, grid)
        model = create(timm, name, str(path), label, **_overlay(result.tensors), **options)
    else:
        if result.named:  # of another patch size, width or kind of numbers
            refuse(result, file.tensors, str(path), label)
        model, notices = _by_timm(timm, name, path, label, options, file, heads, result, set(empty.state_dict()))
        check_facts(file, model, str(path), label)
    finite(model, str(path), label)
    return model, notices


def create(timm, name, what, label, **options):
    """``timm.create_model`` with published weights; InputError where they do not fit."""
    with door(what, f"weights that fit {label}", "use the file of this network"):
        return timm.create_model(name, pretrained=True, **options)


def _overlay(tensors):
    # Told that the file has no classifier either, timm compares strictly.
    return {
        "pretrained_cfg_overlay": {"state_dict": tensors, "num_classes": 0, "label_offset": 0, "custom_load": False}
    }


def _by_timm(timm, name, path, label, options, file, heads, result, wanted):
    """The network of a file in its authors' names, which timm converts; the first comparison's error where it cannot."""
    tensors = plain_names(file.tensors, wanted)
    bare = dict(tensors)
    while bare and (starts := Counter(m[0] for key in bare if (m := WRAPPER.match(key)))):
        start = starts.most_common(1)[0][0]
        bare = {key.removeprefix(start): t for key, t in bare.items() if key.startswith(start)}
    for given in (under(tensors, result.prefix), bare):
        given = {k: t for k, t in given.items() if k.split(".")[0] not in heads and k.rsplit(".", 1)[-1] not in AFTER}
        try:
            model = create(timm, name, str(path), label, **_overlay(dict(given)), **options)
        except InputError:
            continue
        return model, result.notices + _unbent(given, model, str(path), label)
    refuse(result, file.tensors, str(path), label)
    raise InputError(f"{path}: expected weights that fit {label}, found others; use the file of this network")


def _unbent(given, model, label, what):
    """Sentences on resampled positions of a network that timm filled; InputError where it resampled anything else."""
    kernels = {tuple(t.shape) for t in given.values() if t.ndim >= 4}
    patches = {t.numel() for key, t in given.items() if t.ndim < 4 and "patch" in key}
    tables = [t for key, t in given.items() if POSITIONS.search(key)]
    notices = []
    for key, tensor in model.state_dict().items():
        shape = tuple(tensor.shape)
        if POSITIONS.search(key):
            if tables and tensor.numel() not in {t.numel() for t in tables}:
                (a, b), (c, d) = _grid(tuple(tables[0].shape)), _grid(shape)
                if not a or not c:
                    raise InputError(
                        f"{label}: expected position embeddings of {what}, {key} of {shape}, found {tuple(tables[0].shape)}: no other "
                        "size of the same square grid; use the file of this network"
                    )
                notices += [positions_notice((a, b), (c, d))] if a != c else []
        elif tensor.ndim >= 4 and shape not in kernels and tensor.numel() not in patches:
            raise InputError(
                f"{label}: expected the kernels of {what}, {key} of {shape}, found none of that shape in the file; "
                "use the file of this network"
            )
    return list(dict.fromkeys(notices))


def _grid(shape):
    """(rows, columns) of a square of positions, class token and registers aside; (0, 0) where they make none."""
    if len(shape) == 4:
        return shape[1:3] if shape[1] == shape[2] else (0, 0)
    n = shape[-2]
    side = next((math.isqrt(n - k) for k in range(min(n, 10)) if math.isqrt(n - k) ** 2 == n - k), 0)
    return side, side
