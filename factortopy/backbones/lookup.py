"""What any network is, by its name, before its weights are here: the registry's line of one that timm or OpenCLIP knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factortopy.backbones import open_clip_adapter, registry, timm_adapter
from factortopy.backbones.base import UNTRAINED, Entry
from factortopy.backbones.loading import OTHERWISE, list_backbones
from factortopy.backbones.names import unknown
from factortopy.backbones.published import Hub, Url
from factortopy.errors import InputError
from factortopy.foreign import door

if TYPE_CHECKING:
    from collections.abc import Callable

UNSTATED = "its library does not say"
NOWHERE = "nowhere: random weights, or a file"


def look_up(name: str) -> Entry:
    """The line of a network: of the registry, "timm/NAME", "open_clip/MODEL:TAG", or these names without what stands before them.

    Layers, width, input and parameters are those of the network itself, built without memory for its weights.

    Raises
    ------
    InputError
        No network of that name, or one whose layers cannot be read.
    """
    name = str(name).strip().removesuffix(UNTRAINED)
    entries = {entry.name: entry for entry in list_backbones()}
    if name in entries:
        return entries[name]
    own = name.removeprefix("timm/")
    if not name.startswith("open_clip/") and timm_adapter.import_timm().is_model(own.split(".")[0]):
        return _of_timm(own)
    own = name.removeprefix("open_clip/")
    if own.partition(":")[0] in _open_clip_models():
        return _of_open_clip(own)
    raise unknown(name, list(entries))


def source_of(entry: Entry) -> Hub | Url | None:
    """Where the weights of a looked-up network are published; None where they are not."""
    if entry.name in registry.ENTRIES:
        return registry.source_of(entry)
    try:
        of_library = open_clip_adapter.source_of if entry.library == "open_clip" else timm_adapter.hub_of
        return of_library(entry.model)
    except InputError:
        return None


def _open_clip_models() -> list[str]:
    import open_clip

    return open_clip.list_models()


def _of_timm(model: str) -> Entry:
    timm, label = timm_adapter.import_timm(), f"timm/{model}"
    timm_adapter.check_name(timm, model, label)

    def build():
        return timm_adapter.wrap(timm.create_model(model, pretrained=False, **timm_adapter.OPTIONS), label)

    backbone, config = _built(label, build), timm.get_pretrained_cfg(model)
    return _entry(backbone, "timm", model, (config and getattr(config, "license", None)) or UNSTATED)


def _of_open_clip(model: str) -> Entry:
    label = f"open_clip/{model}"
    own, _, tag = model.partition(":")
    config, published = open_clip_adapter.configuration(own, tag, label)
    if not tag:
        raise InputError(f"network {label}: expected MODEL:TAG, found no tag; {open_clip_adapter.tags_hint(own)}")

    def build():
        return open_clip_adapter.wrap(open_clip_adapter.build(config, published), label, published)

    return _entry(_built(label, build), "open_clip", model, UNSTATED)


def _built(label: str, build: Callable[[], Any]) -> Any:
    """The network without numbers."""
    import torch

    with door(f"network {label}", "one whose layers are blocks or stages", OTHERWISE), torch.device("meta"):
        return build()


def _entry(backbone: Any, library: str, model: str, licence: str) -> Entry:
    shapes = backbone.token_shapes()
    weights = sum(tensor.numel() for tensor in backbone.model.parameters())
    entry = Entry(
        name=backbone.name, library=library, model=model, layers=len(shapes), width=max(shape[-1] for shape in shapes),
        input_size=backbone.input_size, patch=round(backbone.input_size / shapes[0][0]), parameters=weights,
        objective=UNSTATED, training_data=UNSTATED, licence=str(licence), available=False,
    )  # fmt: skip
    source = source_of(entry)
    if source is None:
        return replace(entry, source=NOWHERE)
    return replace(entry, source=source.where, available=source.find() is not None)
