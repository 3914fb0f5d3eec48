"""The networks that are known by name, and how each is loaded; facts as their authors state them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factortopy.backbones.base import Entry
from factortopy.backbones.diffusers_adapter import SOURCE as STABLE_DIFFUSION
from factortopy.backbones.published import Hub, Url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from factortopy.backbones.base import Backbone

CONTRASTIVE, SIGMOID = "contrastive: pictures and captions", "sigmoid contrast: pictures and captions"
DISTILLED, MASKED, VIEWS = (
    "self-distillation, masked tokens",
    "masked reconstruction",
    "contrastive: two views of a picture",
)
SUPERVISED, MORE = "supervised: 1,000 categories", "supervised: 21,000, then 1,000 categories"
SEGMENT, DENOISING = "segmentation of what is pointed at", "generative: denoising"
IN1K, K21, SA1B = "ImageNet-1k (1.28 M pictures)", "ImageNet-21k, ImageNet-1k", "SA-1B (11 M pictures)"
LVD, LAION = "LVD-142M", "LAION-5B (English and aesthetic parts)"
NC, APACHE, RAIL, DINOV3 = "CC-BY-NC-4.0", "Apache-2.0", "CreativeML OpenRAIL-M", "DINOv3 licence (Meta's own)"
CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
MOCO = {
    "mocov3-s": Url("https://dl.fbaipublicfiles.com/moco-v3/vit-s-300ep/vit-s-300ep.pth.tar"),
    "mocov3-b": Url("https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar"),
    "mocov3-l": Url(
        "https://download.openmmlab.com/mmselfsup/1.x/mocov3/mocov3_vit-large-p16_64xb64-amp-coslr-300e_in1k/"
        "mocov3_vit-large-p16_64xb64-amp-coslr-300e_in1k-224_20220829-9b88a442.pth"
    ),
}
SOURCES: dict[str, Any] = MOCO | {
    "clip-xl": Hub("laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", CLIP),
    "clip-l": Hub("laion/CLIP-ViT-B-16-DataComp.L-s1B-b8K", CLIP),
    "clip-m": Hub("laion/CLIP-ViT-B-32-DataComp.M-s128M-b4K", CLIP),
    "clip-s": Hub("laion/CLIP-ViT-B-32-DataComp.S-s13M-b4K", CLIP),
    "imagenet-b": Url("https://download.pytorch.org/models/vit_b_16-c867db91.pth"),
    "imagenet-l": Url("https://download.pytorch.org/models/vit_l_16-852ce7e3.pth"),
    "sd-1.5": STABLE_DIFFUSION,
}
AT_224 = {"img_size": 224}  # as in the paper; published for 518
# Beside the library's defaults; "layers" are patterns of module names, where blocks or stages would be too few.
OPTIONS: dict[str, dict[str, Any]] = {
    "dinov2-s": AT_224, "dinov2-b": AT_224, "dinov2-l": AT_224, "dinov2-g": AT_224, "dinov2-reg-b": AT_224,
    "mocov3-s": {"num_heads": 12},  # timm's has 6: MoCo's weights would fit and be silently wrong
    "inception-v3": {"layers": ("Conv2d_*", "Pool?", "Mixed_*")},
    "convnext-b": {"layers": ("stages.*.blocks.*",)},
    "resnet50": {"layers": ("layer?.?",)},
}  # fmt: skip

# name, library, its name there, layers, width, input size, patch, parameters, objective, training data, licence
ROWS = [
    ("clip-xl", "open_clip", "ViT-L-14:datacomp_xl_s13b_b90k", 24, 1024, 224, 14, 303_966_208, CONTRASTIVE, "DataComp XL", "MIT"),
    ("clip-l", "open_clip", "ViT-B-16:datacomp_l_s1b_b8k", 12, 768, 224, 16, 86_192_640, CONTRASTIVE, "DataComp L", "MIT"),
    ("clip-m", "open_clip", "ViT-B-32:datacomp_m_s128m_b4k", 12, 768, 224, 32, 87_849_216, CONTRASTIVE, "DataComp M", "MIT"),
    ("clip-s", "open_clip", "ViT-B-32:datacomp_s_s13m_b4k", 12, 768, 224, 32, 87_849_216, CONTRASTIVE, "DataComp S", "MIT"),
    ("sam-b", "timm", "samvit_base_patch16.sa1b", 12, 768, 1024, 16, 89_670_912, SEGMENT, SA1B, APACHE),
    ("sam-l", "timm", "samvit_large_patch16.sa1b", 24, 1024, 1024, 16, 308_278_272, SEGMENT, SA1B, APACHE),
    ("sam-h", "timm", "samvit_huge_patch16.sa1b", 32, 1280, 1024, 16, 637_026_048, SEGMENT, SA1B, APACHE),
    ("imagenet-b", "torchvision", "vit_b_16", 12, 768, 224, 16, 85_798_656, SUPERVISED, IN1K, "BSD-3-Clause"),
    ("imagenet-l", "torchvision", "vit_l_16", 24, 1024, 224, 16, 303_301_632, SUPERVISED, IN1K, "BSD-3-Clause"),
    ("dinov2-s", "timm", "vit_small_patch14_dinov2.lvd142m", 12, 384, 224, 14, 21_628_800, DISTILLED, LVD, APACHE),
    ("dinov2-b", "timm", "vit_base_patch14_dinov2.lvd142m", 12, 768, 224, 14, 85_724_928, DISTILLED, LVD, APACHE),
    ("dinov2-l", "timm", "vit_large_patch14_dinov2.lvd142m", 24, 1024, 224, 14, 303_227_904, DISTILLED, LVD, APACHE),
    ("dinov2-g", "timm", "vit_giant_patch14_dinov2.lvd142m", 40, 1536, 224, 14, 1_134_769_664, DISTILLED, LVD, APACHE),
    ("mae-b", "timm", "vit_base_patch16_224.mae", 12, 768, 224, 16, 85_798_656, MASKED, IN1K, NC),
    ("mae-l", "timm", "vit_large_patch16_224.mae", 24, 1024, 224, 16, 303_301_632, MASKED, IN1K, NC),
    ("mae-h", "timm", "vit_huge_patch14_224.mae", 32, 1280, 224, 14, 630_764_800, MASKED, IN1K, NC),
    ("mocov3-s", "timm", "vit_small_patch16_224", 12, 384, 224, 16, 21_665_664, VIEWS, IN1K, NC),
    ("mocov3-b", "timm", "vit_base_patch16_224", 12, 768, 224, 16, 85_798_656, VIEWS, IN1K, NC),
    ("mocov3-l", "timm", "vit_large_patch16_224", 24, 1024, 224, 16, 303_301_632, VIEWS, IN1K, NC),
    ("sd-1.5", "diffusers", "sd-1.5", 20, 1280, 512, 8, 1_066_235_307, DENOISING, LAION, RAIL),
    ("inception-v3", "timm", "inception_v3.tv_in1k", 18, 2048, 299, 2, 21_785_568, SUPERVISED, IN1K, APACHE),
    ("augreg-s", "timm", "vit_small_patch16_224.augreg_in1k", 12, 384, 224, 16, 21_665_664, SUPERVISED, IN1K, APACHE),
    ("augreg-b", "timm", "vit_base_patch16_224.augreg_in1k", 12, 768, 224, 16, 85_798_656, SUPERVISED, IN1K, APACHE),
    ("augreg-l", "timm", "vit_large_patch16_224.augreg_in21k_ft_in1k", 24, 1024, 224, 16, 303_301_632, MORE, K21, APACHE),
    ("dinov2-reg-b", "timm", "vit_base_patch14_reg4_dinov2.lvd142m", 12, 768, 224, 14, 85_727_232, DISTILLED, LVD, APACHE),
    ("dinov3-s", "timm", "vit_small_patch16_dinov3.lvd1689m", 12, 384, 256, 16, 21_586_944, DISTILLED, "LVD-1689M", DINOV3),
    ("dinov3-b", "timm", "vit_base_patch16_dinov3.lvd1689m", 12, 768, 256, 16, 85_641_216, DISTILLED, "LVD-1689M", DINOV3),
    ("dinov3-l", "timm", "vit_large_patch16_dinov3.lvd1689m", 24, 1024, 256, 16, 303_079_424, DISTILLED, "LVD-1689M", DINOV3),
    ("siglip2-b", "timm", "vit_base_patch16_siglip_224.v2_webli", 12, 768, 224, 16, 92_884_224, SIGMOID, "WebLI", APACHE),
    ("siglip2-so400m", "timm", "vit_so400m_patch14_siglip_224.v2_webli", 27, 1152, 224, 14, 427_680_704, SIGMOID, "WebLI", APACHE),
    ("eva02-b", "timm", "eva02_base_patch14_224.mim_in22k", 12, 768, 224, 14, 85_758_720, "masked CLIP features", "ImageNet-22k", "MIT"),
    ("convnext-b", "timm", "convnext_base.fb_in22k_ft_in1k", 36, 1024, 224, 4, 87_566_464, MORE, K21, APACHE),
    ("resnet50", "timm", "resnet50.a1_in1k", 16, 2048, 224, 4, 23_508_032, SUPERVISED, IN1K, APACHE),
]  # fmt: skip


def _entry(row):
    name, library, model, layers, width, size, patch, parameters, objective, data, licence = row
    return Entry(
        name=name, library=library, model=model, layers=layers, width=width, input_size=size, patch=patch,
        parameters=parameters, objective=objective, training_data=data, licence=licence, available=False,
    )  # fmt: skip


ENTRIES = {row[0]: _entry(row) for row in ROWS}


def source_of(entry: Entry) -> Hub | Url:
    """Where the weights of an entry are published (``Hub`` or ``Url``), without importing its library."""
    return SOURCES.get(entry.name) or Hub(f"timm/{entry.model}")


def entries() -> list[Entry]:
    """The rows with what can change: whether the weights are on this machine, and where they come from."""
    rows = []
    for entry in ENTRIES.values():
        source = source_of(entry)
        rows.append(replace(entry, available=source.find() is not None, source=source.where))
    return rows


def load(name: str, weights: str | Path | None = None, on_progress: Callable[..., Any] | None = None) -> Backbone:
    """A network of this registry by its name; see ``factortopy.load_backbone``."""
    entry = ENTRIES.get(name) or ENTRIES["sd-1.5"]
    how = {"weights": weights, "label": name, "on_progress": on_progress}
    if entry.library == "open_clip":
        from factortopy.backbones.open_clip_adapter import load_open_clip

        return load_open_clip(entry.model, **how)
    if entry.library == "torchvision":
        from factortopy.backbones.torchvision_adapter import load_torchvision

        return load_torchvision(entry.model, **how)
    if entry.library == "diffusers":
        from factortopy.backbones.diffusers_adapter import load_diffusers

        return load_diffusers(name, **how)
    if entry.library != "timm":
        raise NotImplementedError(f"{name}: its library, {entry.library}, has no adapter here")
    from factortopy.backbones.timm_adapter import load_timm

    options = dict(OPTIONS.get(name, {}))
    layers = options.pop("layers", None)
    return load_timm(entry.model, options=options, source=MOCO.get(name), layers=layers, **how)
