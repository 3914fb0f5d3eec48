"""Scaled-down networks of every library, built as the registry builds the large ones; also in each library's file format."""

import json

import open_clip
import timm
import torch
import torchvision
from safetensors.torch import save_file

from factortopy.backbones import diffusers_adapter, open_clip_adapter, timm_adapter, torchvision_adapter
from factortopy.backbones.registry import OPTIONS
from factortopy.backbones.weights import seeded

NARROW = {"embed_dim": 48, "depth": 2, "num_heads": 2}
# What makes a timm network small, by how its name starts.
SMALL = {
    "samvit": {**NARROW, "img_size": 128, "global_attn_indexes": (1,)},
    "vit": NARROW,
    "eva": {**NARROW, "num_heads": 4},
    "convnext": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "resnet": {"layers": (1, 1, 1, 1), "base_width": 16},
    "inception": {},
}
TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
}
TINY_UNET = {"sample_size": 8, "block_out_channels": (32, 64, 64, 64), "norm_num_groups": 8, "cross_attention_dim": 32,
             "attention_head_dim": 4}  # fmt: skip
TINY_VAE = {"block_out_channels": (8,) * 4, "norm_num_groups": 4, "layers_per_block": 1, "sample_size": 64}
TINY_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "projection_dim": 32,
}


def small(entry):
    """A scaled-down network of a registry row."""
    name = f"{entry.name} scaled down"
    if entry.library == "open_clip":
        _, published = open_clip_adapter.configuration(*entry.model.split(":"), name)
        config = open_clip.get_model_config(entry.model.split(":")[0])
        config["vision_cfg"] |= {"layers": 2, "width": 64, "head_width": 32}
        return open_clip_adapter.wrap(
            seeded(lambda: open_clip_adapter.build(config, published)), name, published, False
        )
    if entry.library == "torchvision":
        return torchvision_adapter.wrap(small_torchvision(), name, False)
    if entry.library == "diffusers":
        return diffusers_adapter.DiffusionBackbone(small_diffusion(), name, step=48, trained=False)
    options = dict(OPTIONS.get(entry.name, {}))
    layers = options.pop("layers", None)
    options |= next((change for start, change in SMALL.items() if entry.model.startswith(start)))
    options = {**options, **({"num_heads": 3} if "num_heads" in OPTIONS.get(entry.name, {}) else {})}
    model = timm_adapter.settled(
        seeded(lambda: timm.create_model(entry.model, pretrained=False, num_classes=0, **options))
    )
    return timm_adapter.wrap(model, name, layers, False, options.get("img_size"))


def small_torchvision():
    """torchvision's vision transformer, two blocks."""
    model = seeded(lambda: torchvision.models.VisionTransformer(64, 16, 2, 2, 32, 64))
    model.heads = torch.nn.Identity()
    return model


def small_diffusion():
    """Stable Diffusion's three networks, 3 M parameters."""
    return seeded(lambda: diffusers_adapter.build(TINY_UNET, TINY_VAE, TINY_TEXT))


def shaken(module):
    """The module with every weight drawn anew: zeros and ones of a fresh network would not be told from lost ones."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.02)
    return module


def own_clip(folder):
    """Make a tiny model known to OpenCLIP as one of its users would; its name."""
    (folder / "tiny-clip.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / "tiny-clip.json")
    return "tiny-clip"


def save(module, path):
    """Write a state dictionary as safetensors."""
    save_file({key: tensor.contiguous() for key, tensor in module.state_dict().items()}, path)
