"""Any OpenCLIP model: its vision tower alone, tokens of every block or stage."""

import copy

from factortopy.backbones.base import UNTRAINED
from factortopy.backbones.fit import fit_weights
from factortopy.backbones.modules import HookedBackbone
from factortopy.backbones.names import unknown
from factortopy.backbones.published import Hub, Url, console_progress
from factortopy.backbones.weights import read_weights, seeded
from factortopy.errors import InputError

FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def load_open_clip(name, weights=None, label=None, on_progress=None):
    """The vision tower of an OpenCLIP model.

    name : "MODEL:TAG" as ``open_clip.list_pretrained()`` pairs them; MODEL alone does for "untrained" and for a file
    weights : None (hub, or the hub's cache on this machine), "untrained", or a file or folder of the whole model or the tower

    Raises
    ------
    InputError
        Unknown model or tag, weights that cannot be fetched or do not fit.
    """
    label = label or f"open_clip/{name}"
    model, _, tag = name.partition(":")
    config, published = configuration(model, tag, label)
    if weights is None and not tag:
        raise InputError(f"network {label}: expected MODEL:TAG, found no tag; {tags_hint(model)}")
    if weights == "untrained":
        return wrap(seeded(lambda: build(config, published)), label + UNTRAINED, published, trained=False)
    if weights is None:
        weights = source_of(name).fetch(label, on_progress or console_progress(label))
    tower = seeded(lambda: build(config, published))
    notices = fit_weights(tower, read_weights(weights, label), str(weights), label)
    backbone = wrap(tower, label, published)
    backbone.notices = notices
    return backbone


def configuration(model, tag, label):
    """(configuration of the model, what is published under the tag)."""
    import open_clip

    config = open_clip.get_model_config(model) if model in open_clip.list_models() else None
    if config is None:
        raise unknown(f"open_clip/{model}{':' * bool(tag)}{tag}")
    published = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    if tag and not published:
        raise InputError(
            f"network {label}: expected weights that OpenCLIP knows, found no tag {tag!r}; {tags_hint(model)}"
        )
    return copy.deepcopy(config), dict(published)


def tags_hint(model):
    import open_clip

    tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)[:4])
    return f"choose open_clip/{model}:TAG, TAG one of {tags}" if tags else f"none are published for {model}"


def source_of(name):
    """Where the weights of MODEL:TAG are published (``Hub`` or ``Url``)."""
    import open_clip

    published = open_clip.get_pretrained_cfg(*name.split(":", 1)) or {}
    if published.get("hf_hub"):
        repo, _, file = published["hf_hub"].rpartition("/")
        return Hub(repo, (file, *FILES) if file else FILES)
    if published.get("url"):
        return Url(published["url"])
    raise InputError(
        f"network open_clip/{name}: expected published weights, found none; load it from a file or untrained"
    )


def build(config, published):
    """The vision tower of a model's configuration, random weights; the other half of the model is not made."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    vision.pop("timm_model_pretrained") if not vision.get("timm_model_name") else None
    quick = config.get("quick_gelu", False) or published.get("quick_gelu", False)  # as the weights were trained
    return _build_vision_tower(config["embed_dim"], CLIPVisionCfg(**vision), quick)


def wrap(tower, name, published, trained=True):
    """The network around a vision tower."""
    import open_clip

    colours = (
        tuple(published.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        tuple(published.get("std") or open_clip.OPENAI_DATASET_STD),
    )
    size = tower.image_size if hasattr(tower, "image_size") else 224
    size = size[0] if isinstance(size, tuple | list) else size
    if hasattr(tower, "trunk"):  # timm's
        from factortopy.backbones.timm_adapter import wrap as wrap_timm

        return wrap_timm(tower.trunk, name, None, trained, size, colours)
    modules = dict(tower.named_modules())
    if "transformer.resblocks" in modules:
        layers = [f"transformer.resblocks.{i}" for i in range(len(modules["transformer.resblocks"]))]
        names, prefix, has_class = [f"block {i + 1}" for i in range(len(layers))], 1, True
    elif "layer4" in modules:
        layers = [f"layer{i + 1}" for i in range(4)]
        names, prefix, has_class = [f"stage {i + 1}" for i in range(4)], 0, False
    else:
        raise InputError(f"network {name}: expected a transformer or a residual network, found {type(tower).__name__}; "
                         "build it yourself and use factortopy.from_module")  # fmt: skip
    return HookedBackbone(
        tower, layers, name, size, *colours, prefix=prefix, class_token=has_class, layer_names=names, trained=trained
    )
