"""The same networks by transformers' names: its features are those of the network that read its file."""

import networks
import pytest
import torch
import torchvision

from factortopy.backbones.fit import fit_weights
from factortopy.backbones.loading import load_backbone
from factortopy.backbones.timm_adapter import load_timm
from factortopy.backbones.weights import read_weights
from factortopy.errors import InputError

transformers = pytest.importorskip("transformers")
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "image_size": 64,
    "patch_size": 16,
}
V2 = {key: value for key, value in SIZES.items() if key != "intermediate_size"} | {"mlp_ratio": 4}
OURS = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64}


def vit():
    config = transformers.ViTConfig(**SIZES, layer_norm_eps=1e-6)
    return transformers.ViTForImageClassification(config), "vit_tiny_patch16_224", {}


def mae():
    small = {
        "decoder_hidden_size": 16,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 32,
    }
    config = transformers.ViTMAEConfig(**SIZES, **small, layer_norm_eps=1e-6, mask_ratio=0.0)
    return transformers.ViTMAEForPreTraining(config), "vit_base_patch16_224.mae", {}


def dinov2():
    return transformers.Dinov2Model(transformers.Dinov2Config(**V2)), "vit_small_patch14_dinov2", {"patch_size": 16}


def dinov2_gated():
    model = transformers.Dinov2Model(transformers.Dinov2Config(**V2, use_swiglu_ffn=True))
    hidden = model.state_dict()["encoder.layer.0.mlp.down_proj.weight"].shape[1]
    return model, "vit_giant_patch14_dinov2", {"patch_size": 16, "mlp_ratio": 2 * hidden / 48}


def registers():
    model = transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**V2))
    return model, "vit_small_patch14_reg4_dinov2", {"patch_size": 16}


def dinov3():
    config = transformers.DINOv3ViTConfig(**SIZES, num_register_tokens=4)
    return transformers.DINOv3ViTModel(config), "vit_small_patch16_dinov3_qkvb", {}


def dinov3_plain():
    model = dinov3()[0]
    for key, tensor in model.state_dict().items():
        if key.endswith(("q_proj.bias", "v_proj.bias")):
            tensor.zero_()
    return model, "vit_small_patch16_dinov3", {"zero": True}


def siglip():
    config = transformers.SiglipVisionConfig(**SIZES, hidden_act="gelu")
    return transformers.SiglipVisionModel(config), "vit_base_patch16_siglip_224", {"act_layer": "gelu"}


def clip():
    config = transformers.CLIPVisionConfig(**SIZES, hidden_act="gelu", projection_dim=16)
    return transformers.CLIPVisionModelWithProjection(config), "vit_base_patch16_clip_224", {}


def sam():
    config = transformers.SamVisionConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=64, patch_size=16, window_size=2,
        global_attn_indexes=[1], output_channels=16, mlp_dim=192, num_pos_feats=8,
    )  # fmt: skip
    ours = {"window_size": 2, "global_attn_indexes": (1,), "neck_chans": 16}
    return transformers.SamVisionModel(config), "samvit_base_patch16", ours


KINDS = (vit, mae, dinov2, dinov2_gated, registers, dinov3, dinov3_plain, siglip, clip, sam)


def written(model, folder, how):
    """A file of the model: as its library publishes it, or its state_dict as it is in memory, inside a training's wrappers."""
    if how == "published":
        model.save_pretrained(folder)
        return folder / "model.safetensors"
    path = folder / "last.ckpt"
    torch.save({"state_dict": {f"net._orig_mod.{key}": t for key, t in model.state_dict().items()}, "epoch": 3}, path)
    return path


def layers_of(model, pixels):
    """What each block of a transformers model gives for pixels that are normalised already."""
    given = {"output_hidden_states": True}
    if isinstance(model, transformers.ViTMAEForPreTraining):
        model, given["noise"] = model.vit, torch.arange(16.0)[None].expand(len(pixels), -1)
    model = getattr(model, "vit", model)
    model = model.vision_encoder if hasattr(model, "vision_encoder") else model
    with torch.no_grad():
        return model(pixels, **given).hidden_states[1:]


@pytest.mark.parametrize("how", ["published", "memory"])
@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_transformers_features_are_ours(tmp_path, build, how):
    torch.manual_seed(0)
    model, name, options = build()
    zero = options.pop("zero", False)
    networks.shaken(model.eval())
    if zero:
        for key, tensor in model.state_dict().items():
            if key.endswith(("q_proj.bias", "v_proj.bias")):
                tensor.zero_()
    path = written(model, tmp_path, how)
    backbone = load_timm(name, path, options=OURS | options)
    assert backbone.trained and not backbone.notices
    pixels = torch.rand(2, 3, 64, 64)
    wanted = layers_of(model, backbone._normalised(pixels))
    local, global_ = backbone.pixel_tokens(pixels)
    assert len(wanted) == len(local) == 2
    for theirs, grid, token in zip(wanted, local, global_, strict=True):
        theirs = theirs if theirs.ndim == 3 else theirs.flatten(1, 2)
        torch.testing.assert_close(grid.flatten(1, 2), theirs[:, theirs.shape[1] - 16 :], atol=2e-5, rtol=1e-4)
        if backbone._class_token:
            torch.testing.assert_close(token, theirs[:, 0], atol=2e-5, rtol=1e-4)


def test_transformers_clip_is_read_by_open_clip(tmp_path):
    name = networks.own_clip(tmp_path)
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "image_size": 64,
        "patch_size": 16,
    }
    vision = {**sizes, "hidden_act": "gelu", "projection_dim": 16}
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 50,
        "eos_token_id": 1,
    }
    config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)
    whole = networks.shaken(transformers.CLIPModel(config).eval())
    alone = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**vision)).eval()  # without the projection
    pixels = torch.rand(2, 3, 64, 64)
    for k, model in enumerate((whole, alone)):
        folder = tmp_path / str(k)
        model.save_pretrained(folder)
        backbone = load_backbone(f"open_clip/{name}", folder)
        tower = model.vision_model if k == 0 else model
        with torch.no_grad():
            out = tower(backbone._normalised(pixels), output_hidden_states=True)
        local, global_ = backbone.pixel_tokens(pixels)
        for theirs, grid, token in zip(out.hidden_states[1:], local, global_, strict=True):
            torch.testing.assert_close(grid.flatten(1, 2), theirs[:, 1:], atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(token, theirs[:, 0], atol=2e-5, rtol=1e-4)
    with torch.no_grad():
        embedding = whole.get_image_features(backbone._normalised(pixels))
    embedding = getattr(embedding, "pooler_output", embedding)
    tower = load_backbone(f"open_clip/{name}", tmp_path / "0").model
    torch.testing.assert_close(tower(backbone._normalised(pixels)), embedding, atol=2e-5, rtol=1e-4)
    (tmp_path / "0" / "config.json").write_text('{"vision_config": {"hidden_act": "quick_gelu"}}')
    with pytest.raises(InputError, match="quick_gelu"):
        load_backbone(f"open_clip/{name}", tmp_path / "0")


def test_transformers_vit_is_read_by_torchvision(tmp_path):
    sizes = SIZES | {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    model = networks.shaken(transformers.ViTModel(transformers.ViTConfig(**sizes, layer_norm_eps=1e-6)).eval())
    model.save_pretrained(tmp_path)
    module = torchvision.models.VisionTransformer(64, 16, 2, 2, 32, 64)
    module.heads = torch.nn.Identity()
    assert fit_weights(module, read_weights(tmp_path, "vit"), "file", "vit") == []
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(pixels), model(pixels).last_hidden_state[:, 0], atol=2e-5, rtol=1e-4)


def test_transformers_names_of_another_size_are_told_as_such(tmp_path):
    transformers.ViTModel(transformers.ViTConfig(**SIZES | {"num_hidden_layers": 1})).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="missing .*the names of transformers' ViT"):
        load_timm("vit_tiny_patch16_224", tmp_path, options=OURS)
