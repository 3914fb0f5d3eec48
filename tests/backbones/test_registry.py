"""Every row of the registry: names and shapes at true size, a forward pass, what users see; a module of one's own."""

import gc
from pathlib import Path

import networks
import numpy as np
import open_clip
import pytest
import timm
import torch
from networks import small

import factortopy as ft
from factortopy.backbones import diffusers_adapter
from factortopy.backbones.loading import list_backbones, load_backbone
from factortopy.backbones.registry import ENTRIES, MOCO, OPTIONS, SOURCES, source_of
from factortopy.errors import InputError

ROWS = list(ENTRIES.values())
NAMES = (
    "clip-xl clip-l clip-m clip-s sam-b sam-l sam-h imagenet-b imagenet-l dinov2-s dinov2-b dinov2-l dinov2-g mae-b mae-l "
    "mae-h mocov3-s mocov3-b mocov3-l sd-1.5 inception-v3 demo-vit demo-mae"
).split()  # that docs/networks.md promises


def ids(entry):
    return entry.name


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)


def seen(backbone, images):
    """Assert that a network gives what it says, for each picture by itself; local and global tokens."""
    local, global_ = backbone.tokens(images)
    assert len(local) == len(global_) == len(backbone.layer_names) == len(set(backbone.layer_names))
    assert [tuple(tokens.shape[1:]) for tokens in local] == [tuple(shape) for shape in backbone.token_shapes()]
    for tokens, whole in zip(local, global_, strict=True):
        assert tokens.shape[:2] == (len(images), tokens.shape[2]) and whole.shape == (len(images), tokens.shape[3])
        assert torch.isfinite(tokens).all() and torch.isfinite(whole).all() and not tokens.requires_grad
        assert tokens[0].std() > 0
    alone = backbone.tokens(images[1:])[0]
    for a, b in zip(alone, local, strict=True):  # no picture changes another
        torch.testing.assert_close(a[0], b[1], atol=2e-3, rtol=2e-2)
    return local, global_


# ---------------------------------------------------------------- the table


def test_the_registry_names_every_network_of_the_papers():
    entries = {entry.name: entry for entry in list_backbones()}
    assert set(NAMES) <= set(entries)
    for entry in entries.values():
        facts = (entry.objective, entry.licence, entry.library, entry.training_data, entry.source)
        assert all(facts) and entry.parameters > 0 and entry.layers > 1 and entry.available in (True, False)


def test_the_docs_have_every_row():
    lines = (Path(__file__).parents[2] / "docs" / "networks.md").read_text().splitlines()
    for entry in list_backbones():
        (line,) = [line for line in lines if line.startswith(f"| `{entry.name}` |")]
        for fact in (f"{entry.layers} × {entry.width}", f"{entry.input_size}, {entry.patch}", f"{entry.parameters / 1e6:,.1f}",
                     entry.objective, entry.training_data, entry.licence, entry.model, entry.library,
                     place(entry.source)):  # fmt: skip
            assert fact in line, (entry.name, fact)
    listed = [line.split("`")[1] for line in lines if line.startswith("| `") and line.count(" | ") == 8]
    assert listed == [entry.name for entry in list_backbones()]  # and no other, in this order


def place(source):
    """Where weights are published as the table has it: a repository of the hub, a server, a module of ours."""
    if source.startswith("huggingface.co/"):
        return "hub: " + source.removeprefix("huggingface.co/")
    return source.split("/")[2] if "://" in source else source


@pytest.mark.parametrize("entry", [e for e in ROWS if e.name not in MOCO], ids=ids)
def test_sources_are_those_that_the_libraries_know(entry):
    if entry.library == "timm":
        from factortopy.backbones.timm_adapter import hub_of

        assert source_of(entry).repo == hub_of(entry.model).repo
    elif entry.library == "open_clip":
        from factortopy.backbones.open_clip_adapter import source_of as known

        assert source_of(entry).repo == known(entry.model).repo
        assert set(source_of(entry).files) == set(known(entry.model).files)
    elif entry.library == "torchvision":
        from factortopy.backbones.torchvision_adapter import source_of as known

        assert source_of(entry) == known(entry.model)
    else:
        assert SOURCES[entry.name] is diffusers_adapter.SOURCE


@pytest.mark.parametrize("entry", ROWS, ids=ids)
def test_names_and_shapes_at_true_size(entry):
    if entry.library == "diffusers":
        pytest.importorskip("diffusers")
    with torch.device("meta"):  # no memory, no numbers
        backbone = load_backbone(entry.name, weights="untrained")
    assert backbone.name == f"{entry.name} untrained" and not backbone.trained and backbone.weights == "untrained"
    shapes = backbone.token_shapes()
    assert len(shapes) == entry.layers == len(backbone.layer_names) == len(set(backbone.layer_names))
    assert max(shape[2] for shape in shapes) == entry.width == backbone.width
    assert shapes[0][:2] == (entry.input_size // entry.patch,) * 2 and backbone.input_size == entry.input_size
    assert sum(tensor.numel() for tensor in backbone.model.parameters()) == entry.parameters


@pytest.mark.parametrize("entry", ROWS, ids=ids)
def test_a_scaled_down_network_of_each_row(entry, images):
    if entry.library == "diffusers":
        pytest.importorskip("diffusers")
    backbone = small(entry)
    local, global_ = seen(backbone, images)
    has_class = entry.library != "diffusers" and not entry.name.startswith(
        ("sam", "siglip", "inception", "convnext", "resnet")
    )
    mean = torch.allclose(global_[-1], local[-1].mean((1, 2)), atol=1e-5)
    assert mean != has_class  # the class token where there is one, else the mean
    weights = backbone.channel_weights()
    if weights is not None:
        assert [len(w) for w in weights] == [shape[2] for shape in backbone.token_shapes()]
    sites = backbone.sites()
    assert sites is None or len(sites) == len(local)


@pytest.mark.slow
@pytest.mark.parametrize("entry", [e for e in ROWS if e.parameters < 100e6], ids=ids)
def test_a_network_at_its_true_size(entry, images):
    try:
        backbone = load_backbone(entry.name, weights="untrained")
        if entry.input_size > 512:  # two at once would need four gigabytes
            local, _ = backbone.tokens(images[:1])
            assert all(torch.isfinite(tokens).all() and tokens.shape[1] == 64 for tokens in local)
        else:
            local, _ = seen(backbone, images)
        assert len(local) == entry.layers
        assert sum(tensor.numel() for tensor in backbone.model.parameters()) == entry.parameters
    finally:
        backbone = None
        gc.collect()


# ---------------------------------------------------------------- against the libraries' own ways


def test_open_clip_tokens_are_its_own_intermediates(images):
    backbone = small(ENTRIES["clip-m"])
    local, global_ = backbone.tokens(images)
    own = backbone.model.forward_intermediates(
        backbone.prepare(images), intermediates_only=True, output_extra_tokens=True
    )
    for i in range(2):
        torch.testing.assert_close(local[i].permute(0, 3, 1, 2), own["image_intermediates"][i])
        torch.testing.assert_close(global_[i], own["image_intermediates_prefix"][i][:, 0])


RENAMED = (
    ("class_token", "cls_token"), ("conv_proj", "patch_embed.proj"), ("encoder.pos_embedding", "pos_embed"),
    ("encoder.layers.encoder_layer_", "blocks."), ("ln_1", "norm1"), ("ln_2", "norm2"), ("self_attention.in_proj_", "attn.qkv."),
    ("self_attention.out_proj", "attn.proj"), ("mlp.0", "mlp.fc1"), ("mlp.3", "mlp.fc2"), ("encoder.ln", "norm"),
)  # fmt: skip


def test_torchvision_tokens_are_those_of_timms_network_with_the_same_weights(images):
    backbone = small(ENTRIES["imagenet-b"])
    networks.shaken(backbone.model)
    tensors = {}
    for key, tensor in backbone.model.state_dict().items():
        for old, new in RENAMED:
            key = key.replace(old, new)
        tensors[key] = tensor
    other = timm.create_model(
        "vit_base_patch16_224", img_size=64, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, num_classes=0
    )
    other.load_state_dict(tensors)
    local, global_ = backbone.tokens(images)
    with torch.no_grad():
        own = other.eval().forward_intermediates(
            backbone.prepare(images), return_prefix_tokens=True, intermediates_only=True, norm=False
        )
    for l, (grid, prefix) in enumerate(own):
        torch.testing.assert_close(local[l].permute(0, 3, 1, 2), grid, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(global_[l], prefix[:, 0], atol=1e-4, rtol=1e-3)


def test_mocos_small_network_has_its_own_number_of_heads():
    with torch.device("meta"):
        ours, timms = load_backbone("mocov3-s", "untrained"), load_backbone("timm/vit_small_patch16_224", "untrained")
    assert ours.model.blocks[0].attn.num_heads == OPTIONS["mocov3-s"]["num_heads"] == 12
    assert timms.model.blocks[0].attn.num_heads == 6


# ---------------------------------------------------------------- Stable Diffusion


@pytest.mark.parametrize(
    "name, layers, first",
    [
        ("sd-1.5", 20, "encoder 1"),
        ("sd-1.5@25", 20, "encoder 1"),
        ("sd-1.5:encoder@25", 8, "encoder 1"),
        ("sd-1.5:decoder", 12, "decoder 1"),
        ("sd-1.5:decoder-6", 10, "decoder 6, step 5"),
    ],
)
def test_parts_and_steps_of_stable_diffusion(name, layers, first):
    pytest.importorskip("diffusers")
    with torch.device("meta"):
        backbone = load_backbone(name, "untrained")
    assert len(backbone.layer_names) == layers == len(backbone.token_shapes()) and backbone.layer_names[0] == first
    assert backbone.name == f"{name} untrained"


@pytest.mark.parametrize(
    "name", ["sd-1.5:", "sd-1.5:middle", "sd-1.5:decoder-13", "sd-1.5@0", "sd-1.5@51", "sd-1.5:decoder-6@25"]
)
def test_parts_that_stable_diffusion_does_not_have(name):
    with pytest.raises(InputError, match="expected sd-1.5") as caught:
        load_backbone(name, "untrained")
    assert "\n" not in str(caught.value)


def test_the_clean_picture_and_a_step_of_inversion(images):
    """T = 50 is one call of the U-Net on the picture's latent; T = 49 one call on what DDIM's formula makes of that."""
    pytest.importorskip("diffusers")
    model = networks.small_diffusion()
    clean, later = (diffusers_adapter.DiffusionBackbone(model, "tiny", "decoder", step) for step in (50, 49))
    unet, hooked = model["unet"], []
    with torch.no_grad():
        latent = model["vae"].encode(clean.prepare(images)).latent_dist.mean * 0.18215
        prompt = model["text"](torch.tensor([[49406] + [49407] * 76])).last_hidden_state.expand(2, -1, -1)
        handle = unet.up_blocks[1].attentions[2].register_forward_hook(lambda m, i, out: hooked.append(out[0]))
        noise = unet(latent, 1, encoder_hidden_states=prompt).sample
        beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        alpha = torch.cumprod(1 - beta, 0)
        before, after = alpha[0], alpha[1]  # the clean end; time 1
        picture = (latent - (1 - before) ** 0.5 * noise) / before**0.5
        unet(after**0.5 * picture + (1 - after) ** 0.5 * noise, 21, encoder_hidden_states=prompt)
        handle.remove()
    for backbone, expected in zip((clean, later), hooked, strict=True):
        found = backbone.tokens(images)[0][5].permute(0, 3, 1, 2)
        expected = expected if expected.ndim == 4 else expected[None]
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    over_time = diffusers_adapter.DiffusionBackbone(model, "tiny", "decoder-6", None)
    assert over_time.layer_names[-1] == "decoder 6, step 50"
    torch.testing.assert_close(over_time.tokens(images)[0][-1], clean.tokens(images)[0][5], atol=1e-4, rtol=1e-3)


# ---------------------------------------------------------------- a module of one's own, any OpenCLIP model


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 4, 4)
        self.blocks = torch.nn.ModuleList(
            torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)
        )
        self.register_buffer("start", torch.ones(1, 1, 8))

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.start.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return x


def test_a_module_of_ones_own(images):
    own = Own()
    backbone = ft.from_module(own, ["stem", "blocks.0", own.blocks[1]], name="mine", input_size=32)
    local, global_ = seen(backbone, images)
    assert backbone.layer_names == ["stem", "blocks.0", "blocks.1"] and [t.shape[1] for t in local] == [8, 8, 8]
    x = own(backbone.prepare(images))
    torch.testing.assert_close(global_[2], x[:, 0])
    torch.testing.assert_close(local[2], x[:, 1:].unflatten(1, (8, 8)))
    torch.testing.assert_close(global_[0], local[0].mean((1, 2)))
    features = ft.extract(backbone, list(images))
    assert features.backbone == "mine" and len(features) == 2
    before = backbone.fingerprint
    own.stem.weight += 1
    assert ft.from_module(own, ["stem"], name="mine", input_size=32).fingerprint != before
    pixels = torch.rand(1, 3, 32, 32, requires_grad=True)
    backbone.pixel_tokens(pixels)[1][-1][:, 0].sum().backward()  # (a layer norm makes the sum of all constant)
    assert pixels.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "layers, options, words",
    [
        ([], {}, "at least one layer"),
        (["blocks.7"], {}, "blocks.7"),
        ([torch.nn.Identity()], {}, "Identity"),
        (["stem", "stem"], {}, "every layer once"),
        (["blocks.0"], {"prefix": 2}, "side²"),
        (["blocks.0"], {"form": "nchw"}, "blocks.0"),
        (["blocks.0.norm1", "blocks"], {}, "blocks was not"),
    ],
)
def test_layers_that_cannot_be_read(layers, options, words):
    with pytest.raises(InputError, match=words) as caught:
        ft.from_module(Own(), layers, name="mine", input_size=32, **options)
    assert "\n" not in str(caught.value) and "mine" in str(caught.value)


@pytest.mark.parametrize("name", ["ViT-B-32:openai", "RN50:yfcc15m", "ViT-B-16-SigLIP2:webli"])
def test_any_open_clip_model(name):
    with torch.device("meta"):
        backbone = load_backbone(f"open_clip/{name}", "untrained")
    shapes = backbone.token_shapes()
    assert backbone.name == f"open_clip/{name} untrained" and len(shapes) == len(backbone.layer_names)
    assert tuple(backbone._mean.shape) == (3, 1, 1)
    if "openai" in name:  # its own activation, which the name of the model alone does not say
        assert any(type(m).__name__ == "QuickGELU" for m in backbone.model.modules())


@pytest.mark.parametrize(
    "name, weights, words",
    [
        ("ViT-Z-99:openai", None, "found none of that name"),
        ("ViT-B-32:no_such_tag", "untrained", "ViT-B-32:TAG"),
        ("ViT-B-32", None, "found no tag"),
        ("", "untrained", "docs/networks.md"),
    ],
)
def test_open_clip_names_that_do_not_exist(name, weights, words):
    with pytest.raises(InputError, match=words) as caught:
        load_backbone(f"open_clip/{name}", weights)
    assert "\n" not in str(caught.value)


def test_every_open_clip_architecture_of_the_table_is_known():
    known = {f"{model}:{tag}" for model, tag in open_clip.list_pretrained()}
    assert {e.model for e in ROWS if e.library == "open_clip"} <= known
