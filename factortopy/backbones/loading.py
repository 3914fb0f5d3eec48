"""Names in, networks in evaluation mode out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.finetuned import WEIGHTS, find_finetuned
from factortopy.backbones.names import unknown
from factortopy.errors import InputError
from factortopy.foreign import door
from factortopy.storage.allowed_folders import permitted
from factortopy.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from factortopy.backbones.base import Backbone, Entry

OTHERWISE = (
    "build it yourself and use factortopy.from_module"  # what to do with a network that cannot be loaded by its name
)
ELSEWHERE = ("timm/", "open_clip/", "sd-1.5:", "sd-1.5@")  # how names begin that their library knows


def list_backbones() -> list[Entry]:
    """All networks known by name, as ``Entry`` rows.

    Any timm network can be loaded as "timm/NAME" beside them, any OpenCLIP model as "open_clip/MODEL:TAG", a module of your
    own by ``factortopy.from_module``.
    """
    from factortopy.backbones.demo_facts import demo_entries
    from factortopy.backbones.registry import entries

    return demo_entries() + entries()


def load_backbone(
    name: str,
    weights: str | Path | None = None,
    on_progress: Callable[..., Any] | None = None,
) -> Backbone:
    """Load a network.

    Parameters
    ----------
    name : str
        A registry name (see ``list_backbones``), "timm/NAME", "open_clip/MODEL:TAG", or a part of Stable Diffusion
        ("sd-1.5:decoder@40": at step 40; "sd-1.5:decoder-6": one layer over time), "finetuned/NAME" for one that the app tuned.
    weights : None, "untrained" or path
        None: as published (fetched once where needed). "untrained": random weights, and called so everywhere. A path: a
        .safetensors or PyTorch file, or a folder with one.
    on_progress : callable, optional
        Gets (bytes done, bytes in all) while weights are fetched.

    Returns
    -------
    Backbone

    Raises
    ------
    InputError
        Unknown name; weights that cannot be fetched, are damaged or belong to another network.
    """
    name = str(name).strip()
    if name.endswith(UNTRAINED):  # the name that an untrained network goes by
        name, weights = name.removesuffix(UNTRAINED), "untrained"
    if weights not in (None, "untrained"):
        permitted(weights, "weights")
    if name.startswith("finetuned/"):
        return load_finetuned(name, weights, on_progress)
    return of_name(name, weights, on_progress)


def check_name(name):
    """Raise InputError when no network has this name; those of timm and OpenCLIP are looked up when they are loaded."""
    from factortopy.backbones.demo_facts import OBJECTIVES
    from factortopy.backbones.registry import ENTRIES

    plain = str(name).strip().removesuffix(UNTRAINED)
    if plain.startswith("finetuned/"):
        from factortopy.backbones.finetuned import find_finetuned

        find_finetuned(plain)
    elif not plain.startswith(ELSEWHERE) and plain not in OBJECTIVES and plain not in ENTRIES:
        raise _unknown(plain)


def _unknown(name):
    from factortopy.backbones.demo_facts import OBJECTIVES
    from factortopy.backbones.registry import ENTRIES

    return unknown(name, (*OBJECTIVES, *ENTRIES))


def of_name(name, weights=None, on_progress=None):
    """The network of a name without its endings; ``load_backbone`` without the look at where the weights lie."""
    remedy = OTHERWISE if weights in (None, "untrained") else "give the file or folder of this network as weights"
    with door(f"network {name}", "one that its library builds", remedy):
        backbone = _of_library(name, weights, on_progress)
    backbone.weights = None if weights is None else str(weights)
    if backbone.weights and backbone.weights.endswith(".safetensors"):
        from factortopy.backbones.finetuned import describe

        describe(backbone, weights)
    return backbone


def _of_library(name, weights, on_progress):
    from factortopy.backbones.demo import OBJECTIVES, load_demo
    from factortopy.backbones.registry import ENTRIES, load

    if name.startswith("timm/"):
        from factortopy.backbones.timm_adapter import load_timm

        return load_timm(name.removeprefix("timm/"), weights, on_progress=on_progress)
    if name.startswith("open_clip/"):
        from factortopy.backbones.open_clip_adapter import load_open_clip

        return load_open_clip(name.removeprefix("open_clip/"), weights, on_progress=on_progress)
    if name in OBJECTIVES:
        return load_demo(name, weights)
    if name in ENTRIES or name.startswith(("sd-1.5:", "sd-1.5@")):
        return load(name, weights, on_progress)
    raise _unknown(name)


def load_finetuned(name, weights=None, on_progress=None):
    """The network of "finetuned/NAME": a job of the app that ended.

    Raises
    ------
    InputError
        No such network, files that are damaged, other weights asked for.
    """

    if weights is not None:
        raise InputError(
            f"network {name}: expected no weights beside it, found {weights}; load the network that it was made of with them"
        )
    path = find_finetuned(name)
    description = read_json(path, "fine-tuned network")
    if not isinstance(description.get("base"), str):
        raise InputError(
            f"{path}: expected the name of the network that was fine-tuned (base), found none; copy the folder again"
        )
    backbone = of_name(description["base"], path.parent / WEIGHTS, on_progress)
    backbone.name, backbone.weights = name, None
    return backbone
