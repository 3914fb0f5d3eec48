"""Checkpoints as people bring them: wrapped, of several networks, in shards, of another size, or of another program."""

import argparse
import json
import pathlib
import sys
import tarfile
import types
import zipfile

import h5py
import networks
import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.utils.prune
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_backbones import said

from factortopy.backbones.fit import fit_weights
from factortopy.backbones.loading import load_backbone
from factortopy.backbones.timm_adapter import load_timm
from factortopy.backbones.unwrap import choose, plain_names
from factortopy.backbones.weights import flat, read_weights
from factortopy.backbones.weights_check import check_weights
from factortopy.encoder.problem import origin
from factortopy.errors import InputError
from factortopy.features.extraction import compute
from pages.parts.runs import network_of

NAME = "vit_tiny_patch16_224"
OURS = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64}


def state(seed=0, **options):
    """Tensors of a small vision transformer of timm."""
    torch.manual_seed(seed)
    return networks.shaken(timm.create_model(NAME, num_classes=0, **(OURS | options))).state_dict()


def loaded(path, **options):
    return load_timm(NAME, path, options=OURS | options)


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        loaded(path, **options)
    return said(caught, path.name, *words)


def equal(backbone, tensors):
    for key, tensor in backbone.model.state_dict().items():
        assert torch.equal(tensor, tensors[key]), key
    assert backbone.trained


def under(prefix, tensors):
    return {prefix + key: tensor for key, tensor in tensors.items()}


# ---------------------------------------------------------------- wrappers

WORDS = st.sampled_from(
    (
        "module",
        "_orig_mod",
        "model",
        "backbone",
        "encoder",
        "student",
        "visual",
        "base_model",
        "net",
        "0",
        "_fsdp_wrapped_module",
    )
)
OWN = ("cls", "encoder.layer.0.weight", "encoder.layer.1.weight", "model.norm.weight", "0.bias")


@given(st.lists(WORDS, max_size=5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_wrappers_come_off_and_no_name_of_the_network(prefix, inside):
    tensors = {key: torch.full((2,), float(k)) for k, key in enumerate(OWN)}
    content = under("".join(f"{word}." for word in prefix), tensors)
    if inside:  # FSDP and compiling wrap parts too
        content = {key.replace("layer.", "layer._fsdp_wrapped_module._orig_mod."): t for key, t in content.items()}
    content |= {"text.other.weight": torch.ones(2)}
    chosen = choose(plain_names(content, OWN), OWN, "file")
    assert {key: chosen.tensors[key] for key in OWN} == tensors and not chosen.other


@given(
    st.permutations(("teacher", "student", "momentum_encoder")),
    st.lists(WORDS.filter(lambda w: w != "student"), max_size=2),
)
@settings(max_examples=50, deadline=None)
def test_the_teacher_is_read_wherever_it_lies(order, inner):
    content = {
        one: under("".join(f"{w}." for w in inner), {key: torch.full((2,), float(k)) for key in OWN})
        for k, one in enumerate(order)
    }
    chosen = choose(plain_names(flat({"model": content}), OWN), OWN, "file")
    assert (
        float(chosen.tensors["cls"][0]) == order.index("teacher")
        and len(chosen.other) == 2
        and "teacher" in chosen.notice()
    )


@pytest.mark.parametrize("prefix", ["_orig_mod.module.", "model.", "base_model.model.", "module.student.backbone."])
def test_a_wrapped_checkpoint_loads_bit_for_bit(tmp_path, prefix):
    own = state()
    torch.save({"state_dict": under(prefix, own), "epoch": 3}, tmp_path / "c.pth")
    equal(loaded(tmp_path / "c.pth"), own)


def test_training_checkpoints_of_dino_mae_and_timm(tmp_path):
    own, other, path = state(), state(1), tmp_path / "c.pth"
    head = {"head.mlp.0.weight": torch.ones(8, 48), "head.last_layer.weight_v": torch.ones(8, 8)}
    chunks = {key.replace("blocks.", "blocks.0."): t for key, t in own.items()}
    files = {
        "dino": {
            "student": under("module.backbone.", other) | under("module.", head),
            "teacher": under("backbone.", own) | head,
        },
        "dinov2": {
            "model": under("student.backbone.", other)
            | under("teacher.backbone.", chunks)
            | under("teacher.dino_", head)
        },
        "ema": {"state_dict": other, "state_dict_ema": own, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        "mae": {
            "model": own
            | {
                "mask_token": torch.ones(1, 1, 8),
                "decoder_blocks.0.norm1.weight": torch.ones(8),
                "decoder_pos_embed": torch.ones(1),
            }
        },
        "lightning": {
            "state_dict": under("net.", own) | {"probe.weight": torch.ones(3)},
            "hyper_parameters": {"lr": 0.1},
        },
        "ijepa": {
            "encoder": under("module.", other),
            "target_encoder": under("module.", own),
            "predictor": {"module.x": torch.ones(1)},
        },
    }
    for kind, content in files.items():
        torch.save(content, path)
        backbone = loaded(path)
        equal(backbone, own)
        assert bool(backbone.notices) == (kind in ("dino", "dinov2", "ema", "ijepa")), kind
    torch.save({"one": own, "two": other}, path)
    refused(path, "several networks that fit alike (one, two)")
    torch.save([own, own], path)
    equal(loaded(path), own)
    torch.save([own, other], path)
    refused(path, "several networks that fit alike (0, 1)")


def test_parts_of_one_network_are_no_networks(tmp_path):
    """lightly's SimCLR: torchvision's parts in a Sequential, whose blocks have names like the network's own."""
    parts, path = ["conv1", "bn1", "", "", "layer1", "layer2", "layer3", "layer4"], tmp_path / "c.pth"
    own = timm.create_model("resnet18", num_classes=0).state_dict()
    inside = {key: key.partition(".") for key in own}
    torch.save({f"backbone.{parts.index(a)}.{rest}": own[key] for key, (a, _, rest) in inside.items()}, path)
    with pytest.raises(InputError, match=r"unknown \(backbone.0.weight.* missing \(conv1.weight"):
        load_timm("resnet18", path)


def test_a_mae_that_was_fine_tuned_on_the_mean(tmp_path):
    own = state(global_pool="avg")
    torch.save(
        {
            "model": own | {"head.weight": torch.ones(5, 48), "head.bias": torch.ones(5)},
            "args": argparse.Namespace(lr=1),
        },
        tmp_path / "c.pth",
    )
    backbone = loaded(tmp_path / "c.pth")
    assert "fc_norm.weight" in backbone.model.state_dict()
    equal(backbone, own)


def test_pruned_and_weight_normed_tensors_are_read_as_they_act():
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 2))
    torch.nn.utils.prune.l1_unstructured(module[0], "weight", amount=5)
    torch.nn.utils.parametrizations.weight_norm(module[1])
    torch.nn.utils.parametrizations.spectral_norm(module[2])
    x = torch.randn(5, 4)
    plain = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 3))
    tensors = {key: t for key, t in module.state_dict().items() if not key.startswith("2.")}
    fit_weights(plain, tensors, "file", "network")
    torch.testing.assert_close(plain(x), module[:2](x))
    with pytest.raises(InputError, match="take the parametrization off"):
        fit_weights(torch.nn.Sequential(*plain, torch.nn.Linear(3, 2)), module.state_dict(), "file", "network")


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("pixels, side", [(32, 2), (96, 6), (160, 10)])
def test_other_position_grids_are_resampled_and_said(tmp_path, pixels, side):
    own = state(img_size=pixels)
    torch.save(own, tmp_path / "c.pth")
    backbone = loaded(tmp_path / "c.pth")
    assert backbone.notices == [
        f"position embeddings resampled from {side} × {side} (the file's) to 4 × 4 (this network's)"
    ]
    wanted = timm.layers.resample_abs_pos_embed(own["pos_embed"], [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(backbone.model.pos_embed, wanted)
    assert torch.equal(backbone.model.blocks[1].attn.qkv.weight, own["blocks.1.attn.qkv.weight"])


@given(st.sampled_from([8, 12, 20, 32]), st.integers(1, 4), st.sampled_from([24, 72, 48]))
@settings(max_examples=20, deadline=None)
def test_another_patch_depth_or_width_is_refused(tmp_path_factory, patch, depth, width):
    path = tmp_path_factory.mktemp("w") / "c.pth"
    options = {"patch_size": patch, "depth": depth, "embed_dim": width, "img_size": patch * 4}
    torch.save(timm.create_model(NAME, num_classes=0, **(OURS | options)).state_dict(), path)
    refused(path)


def test_positions_of_a_rectangle_registers_and_tokens_that_lack_are_refused(tmp_path):
    path = tmp_path / "c.pth"
    torch.save(state(img_size=(32, 96)), path)
    refused(path, "no other size of the same square grid")
    torch.save(state(reg_tokens=4), path)
    refused(path, "1 unknown (reg_token)")
    torch.save(state(class_token=False, global_pool="avg", fc_norm=False), path)
    refused(path, "missing (cls_token")
    torch.save(
        {"state_dict": state(img_size=(16, 256)), "args": argparse.Namespace(img_size=[16, 256])}, path
    )  # as many as 4 × 4
    refused(path, "16 × 256")
    message = refused(path.with_name("none.pth"), "check the path")
    torch.save({f"visual.x{k}": torch.ones(2) for k in range(7)}, path)
    message = refused(path, "7 unknown (visual.x0", "missing (cls_token")
    assert message.index("unknown") < message.index("missing")


@pytest.mark.parametrize("where", ["args", "hyper_parameters", "config.json", "header"])
def test_another_number_of_heads_is_refused_where_the_file_says_it(tmp_path, where):
    path = tmp_path / "model.safetensors"
    for heads in (3, 6):
        save_file(state(), path, {"config": json.dumps({"num_heads": heads})} if where == "header" else None)
        if where == "config.json":
            (tmp_path / "config.json").write_text(
                json.dumps({"num_attention_heads": heads, "text_config": {"num_attention_heads": 9}})
            )
        elif where != "header":
            path = tmp_path / "c.pth"
            torch.save(
                {
                    "state_dict": state(),
                    where: argparse.Namespace(num_heads=heads) if where == "args" else {"model": {"num_heads": heads}},
                },
                path,
            )
        if heads == 3:
            assert loaded(path).trained
        else:
            refused(path, "3 attention heads", "says 6")


def test_another_activation_is_refused(tmp_path):
    name = networks.own_clip(tmp_path)
    path = tmp_path / "mine" / "model.safetensors"
    path.parent.mkdir()
    networks.save(open_clip.create_model(name), path)
    assert load_backbone(f"open_clip/{name}", path).trained
    path.with_name("config.json").write_text(json.dumps({"vision_config": {"hidden_act": "quick_gelu"}}))
    with pytest.raises(InputError, match="trained with GELU"):
        load_backbone(f"open_clip/{name}", path)


# ---------------------------------------------------------------- shards


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("index", [True, False])
def test_shards_are_read_from_folder_index_or_one_of_them(tmp_path, ending, index):
    own, names = state(), [f"model-0000{k}-of-00003.{ending}" for k in (1, 2, 3)]
    parts = {name: dict(list(own.items())[k::3]) for k, name in enumerate(names)}
    for name, part in parts.items():
        save_file(part, tmp_path / name) if ending == "safetensors" else torch.save(part, tmp_path / name)
    given = [tmp_path, tmp_path / names[1]]
    if index:
        given += [tmp_path / f"model.{ending}.index.json"]
        given[-1].write_text(json.dumps({"weight_map": {key: name for name, part in parts.items() for key in part}}))
    for path in given:
        assert check_weights(f"timm/{NAME}", str(path)) == str(path)
        equal(loaded(path), own)
    (tmp_path / names[2]).unlink()
    for path in given:
        with pytest.raises(InputError, match=f"3 shards .* without {names[2]}"):
            loaded(path)


def test_an_index_that_leaves_its_folder_is_none(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    for text in (
        '{"weight_map": {"a": "../b.safetensors"}}',
        '{"weight_map": {}}',
        "[1]",
        "{",
        '{"weight_map": {"a": 3}}',
        json.dumps({"weight_map": {"a": "x" * 300}}),
        json.dumps({"weight_map": {"a": "b\0.safetensors"}}),
    ):
        path.write_text(text)
        refused(path, "expected an index of the shards")


# ---------------------------------------------------------------- beside the tensors, and other kinds


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(0.7),
        np.float32(1),
        np.ones(3),
        argparse.Namespace(lr=1e-3),
        pathlib.PosixPath("/x"),
        {"a": [np.int64(3)]},
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_settings_beside_the_tensors_do_no_harm(tmp_path, beside, old):
    own = state()
    torch.save({"state_dict": own, "beside": beside}, tmp_path / "c.pt", _use_new_zipfile_serialization=not old)
    equal(loaded(tmp_path / "c.pt"), own)


def test_objects_of_another_program_are_named_with_the_lines_that_save_the_tensors(tmp_path, monkeypatch):
    program = types.ModuleType("their_program")
    program.Config = type("Config", (), {"__module__": "their_program"})
    monkeypatch.setitem(sys.modules, "their_program", program)
    monkeypatch.chdir(tmp_path)
    own, path = state(), tmp_path / "c.pt"
    torch.save({"state_dict": own, "config": program.Config()}, path)
    message = refused(path, "their_program.Config", "nothing in it was run", "save its tensors alone: ")
    exec(message.split("save its tensors alone: ")[1], {})  # the lines work as they stand
    equal(loaded(tmp_path / "weights.pth"), own)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.visual(x)


def jit(path):
    torch.jit.save(torch.jit.script(Net()), str(path))


def archive(name, text=b"x"):
    def write(path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(name, text)

    return write


def tar(path):
    with tarfile.open(path, "w") as file:
        file.addfile(tarfile.TarInfo("w.pth"))


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["a"] = 1


def folder(*names):
    def write(path):
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b"x")

    return write


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name, write, words",
    [
        ("ViT-B-32.pt", jit, ("TorchScript", "torch.jit.load('ViT-B-32.pt', map_location='cpu')", "state_dict()")),
        ("w.safetensors", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), ("git lfs pull",)),
        ("w.pth", lambda p: p.write_text("/annex/objects/MD5E-s3--00.pth"), ("git annex get",)),
        ("w.pth", lambda p: p.symlink_to("/nowhere/annex"), ("git annex get",)),
        ("w.pth", lambda p: p.write_text("<!DOCTYPE html>"), ("web page", "download it again")),
        ("w.pth", lambda p: p.write_bytes(b""), ("0 bytes",)),
        ("model.ckpt.index", lambda p: p.write_bytes(b"\0\0\0\0abc"), ("TensorFlow",)),
        ("w.h5", hdf5, ("Keras",)),
        ("w.onnx", lambda p: p.write_bytes(b"\x08\x08\x12\x07pytorch"), ("ONNX",)),
        ("w.gguf", lambda p: p.write_bytes(b"GGUF\3\0\0\0"), ("GGUF",)),
        ("ViT-B_16.npz", lambda p: np.savez(p, a=np.ones(2)), ("NumPy", "load_pretrained")),
        ("flax_model.msgpack", lambda p: p.write_bytes(b"\x81\xa1a\x01"), ("Flax",)),
        ("w.pth.tar.gz", lambda p: p.write_bytes(b"\x1f\x8b\x08\0"), ("unpack it",)),
        ("w.pth.tar", tar, ("a tar archive; unpack it",)),
        ("w.zip", archive("weights/vit.pth"), ("a zip archive (vit.pth)", "unpack it")),
        ("config.json", lambda p: p.write_text("{}"), ("no tensors",)),
        ("dcp", folder(".metadata", "__0_0.distcp"), ("dcp_to_torch",)),
        ("zero", folder("mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"), ("zero_to_fp32.py",)),
        ("tf", folder("saved_model.pb"), ("TensorFlow",)),
    ],
)  # fmt: skip
def test_files_of_another_kind_are_named(tmp_path, name, write, words):
    path = tmp_path / name
    write(path)
    refused(path, *words)
    with pytest.raises(InputError):  # where it is typed, too
        check_weights(f"timm/{NAME}", str(path))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: {key: v.to(torch.int8) if v.ndim > 1 else v for key, v in t.items()}, ("torch.int8", "quantised")),
        (lambda t: {key: v.to(torch.float8_e4m3fn) for key, v in t.items()}, ("float8", "quantised")),
        (lambda t: t | {"norm.weight": torch.empty(48, device="meta")}, ("meta device",)),
        (lambda t: t | {"blocks.0.mlp.fc1.weight": t["blocks.0.mlp.fc1.weight"].to_sparse()}, ("sparse",)),
        (lambda t: {key: torch.empty(0) for key in t}, ("ZeRO stage 3",)),
        (lambda t: {"_fsdp_wrapped_module._flat_param": torch.ones(9)}, ("FSDP", "FULL_STATE_DICT")),
        (
            lambda t: {f"base_model.model.blocks.{k}.attn.qkv.lora_A.weight": torch.ones(4, 48) for k in (0, 1)},
            ("LoRA", "merge"),
        ),
    ],
)
def test_tensors_that_are_no_plain_weights_are_named(tmp_path, change, words):
    torch.save(change(dict(state())), tmp_path / "c.pth")
    refused(tmp_path / "c.pth", *words)


def test_half_precision_strides_and_shared_storage_are_read(tmp_path):
    own = {key: t.to(torch.bfloat16) for key, t in state().items()}
    own["blocks.0.mlp.fc1.weight"] = own["blocks.0.mlp.fc1.weight"].t().contiguous().t()
    both = torch.stack([own["blocks.0.norm1.weight"], own["blocks.0.norm1.bias"]])
    own |= {"blocks.0.norm1.weight": both[0], "blocks.0.norm1.bias": both[1]}
    torch.save(own, tmp_path / "c.pth")
    equal(loaded(tmp_path / "c.pth"), {key: t.float() for key, t in own.items()})
    (tmp_path / "c.pth").rename(tmp_path / "c.safetensors")  # by its name torch.load would take it for one
    equal(loaded(tmp_path / "c.safetensors"), {key: t.float() for key, t in own.items()})


def test_read_weights_keeps_the_path_of_each_tensor(tmp_path):
    torch.save(
        {"teacher": {"backbone": {"a": torch.ones(1)}}, "optimizer": {"a": torch.ones(1)}, "best": 3},
        tmp_path / "c.pth",
    )
    assert list(read_weights(tmp_path / "c.pth", "x").tensors) == ["teacher.backbone.a"]


def test_openai_weights_are_no_network_with_another_activation(tmp_path):
    sizes = {"layers": 2, "width": 48, "head_width": 16, "patch_size": 16, "image_size": 64}
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.model.CLIP(16, open_clip.CLIPVisionCfg(**sizes), open_clip.CLIPTextCfg(**text), quick_gelu=True)
    path, tensors = tmp_path / "c.pt", networks.shaken(model).state_dict()
    only_theirs = {
        "input_resolution": torch.tensor(64),
        "context_length": torch.tensor(8),
        "vocab_size": torch.tensor(50),
    }
    torch.save(tensors | only_theirs, path)
    with pytest.raises(InputError, match="OpenAI's, which were trained with QuickGELU"):
        load_timm("vit_base_patch16_clip_224", path, options=OURS)
    backbone = load_timm("vit_base_patch16_clip_quickgelu_224", path, options=OURS)
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = model.eval().visual(backbone._normalised(pixels))
        norm, token = model.visual.ln_post, backbone.pixel_tokens(pixels)[1][-1]
        torch.testing.assert_close(norm(token) @ model.visual.proj, wanted, atol=2e-5, rtol=1e-4)


def test_originals_that_timm_converts_are_looked_at_too(tmp_path):
    name, options, path = "vit_small_patch14_reg4_dinov2", OURS | {"patch_size": 16}, tmp_path / "c.pth"

    def original(**changes):
        own = networks.shaken(timm.create_model(name, num_classes=0, **(options | changes))).state_dict()
        tensors = {key: t for key, t in own.items() if key != "reg_token"}
        tensors |= {"register_tokens": own["reg_token"], "mask_token": torch.ones(1, 48)}
        tensors["pos_embed"] = torch.cat([torch.zeros(1, 1, 48), own["pos_embed"]], 1)
        torch.save({"teacher": {f"backbone.{key}": t for key, t in tensors.items()}}, path)
        return own

    own = original()
    equal(load_timm(name, path, options=options), own)
    original(img_size=96)
    assert "resampled from 6 × 6" in load_timm(name, path, options=options).notices[0]
    original(patch_size=14, img_size=56)
    with pytest.raises(InputError, match="kernels"):
        load_timm(name, path, options=options)


def test_relative_positions_of_another_window_are_resampled_and_said(tmp_path):
    name, small = (
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 24, "depths": (1, 1), "num_heads": (2, 2), "img_size": 56},
    )
    torch.save(timm.create_model(name, num_classes=0, window_size=5, **small).state_dict(), tmp_path / "c.pth")
    assert load_timm(name, tmp_path / "c.pth", options=small).notices == [
        "relative positions resampled from 9 × 9 (the file's) to 13 × 13 (this network's)"
    ]


def test_a_residual_network_of_moco_without_counts_of_batches(tmp_path):
    own = networks.shaken(timm.create_model("resnet10t", num_classes=0)).state_dict()
    plain = {key: t for key, t in own.items() if "num_batches" not in key}
    query, key = under("module.encoder_q.", plain), under("module.encoder_k.", {k: t + 1 for k, t in plain.items()})
    torch.save(
        {"state_dict": query | key | {"module.encoder_q.fc.0.weight": torch.ones(3), "module.queue": torch.ones(3)}},
        tmp_path / "c.pth",
    )
    backbone = load_timm("resnet10t", tmp_path / "c.pth")
    assert (
        all(torch.equal(t, backbone.model.state_dict()[k]) for k, t in plain.items())
        and "encoder_q" in backbone.notices[0]
    )


def test_what_was_done_to_the_weights_goes_with_features_and_runs(tmp_path):
    torch.save(state(img_size=96), tmp_path / "c.pth")
    backbone = loaded(tmp_path / "c.pth")
    features = compute(backbone, np.zeros((2, 64, 64, 3), np.uint8), grid=None)
    assert features.notices == backbone.notices and features[:1].notices and features.only([0]).notices
    subject = types.SimpleNamespace(name="anna", simulated=False, image_degrees=8.4)
    info = origin(subject, features)
    assert info["notices"] == backbone.notices
    assert "6 × 6" in network_of({"backbone": "mine", **info})
    torch.save(state(), tmp_path / "c.pth")
    assert "notices" not in origin(
        subject, compute(loaded(tmp_path / "c.pth"), np.zeros((1, 64, 64, 3), np.uint8), grid=None)
    )
