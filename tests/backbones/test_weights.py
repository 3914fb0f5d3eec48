"""Weights: every library's own file format, hostile files, servers that fail, folders, progress."""

import hashlib
import http.server
import json
import os
import socket
import threading
import time

import huggingface_hub as hub
import networks
import open_clip
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from test_backbones import Payload, own_hub, said  # noqa: F401

from factortopy.backbones.diffusers_adapter import load_diffusers
from factortopy.backbones.loading import load_backbone
from factortopy.backbones.published import Hub, Stopped, Url
from factortopy.backbones.registry import MOCO
from factortopy.backbones.timm_adapter import load_timm
from factortopy.backbones.torchvision_adapter import load_torchvision
from factortopy.backbones.weights import read_weights
from factortopy.errors import InputError


@torchvision.models._api.register_model("tiny_vit_for_tests")
def tiny_vit(weights=None):
    return torchvision.models.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=5)


def equal(loaded, original, prefix=""):
    """Assert that a module's every tensor is the one that was saved."""
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, original[prefix + key]), key


# ---------------------------------------------------------------- each library's own format


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "epoch_3.pt", "folder"])
def test_an_open_clip_checkpoint_loads_bit_for_bit(tmp_path, file):
    name = networks.own_clip(tmp_path)
    model = networks.shaken(open_clip.create_model(name))
    path = tmp_path / file
    if file == "epoch_3.pt":  # as OpenCLIP's own training saves it
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": t for k, t in model.state_dict().items()}}, path)
    else:
        path.mkdir() if file == "folder" else None
        networks.save(model, path / "open_clip_model.safetensors" if file == "folder" else path)
    backbone = load_backbone(f"open_clip/{name}", path)
    assert backbone.trained and backbone.name == f"open_clip/{name}" and backbone.weights == str(path)
    equal(backbone.model, model.state_dict(), "visual.")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_torchvision_checkpoint_loads_bit_for_bit(tmp_path, suffix):
    model, path = networks.shaken(tiny_vit()), tmp_path / f"vit{suffix}"
    torch.save(model.state_dict(), path) if suffix == ".pth" else networks.save(model, path)
    equal(load_torchvision("tiny_vit_for_tests", path).model, model.state_dict())


def mm_name(key):
    """A key of timm's transformer as MMPreTrain has it."""
    for ours, theirs in (
        ("blocks.", "layers."), ("norm1", "ln1"), ("norm2", "ln2"), ("mlp.fc1", "ffn.layers.0.0"), ("mlp.fc2", "ffn.layers.1"),
        ("patch_embed.proj", "patch_embed.projection"),
    ):  # fmt: skip
        key = key.replace(ours, theirs)
    return "backbone." + ("ln1." + key[5:] if key.startswith("norm.") else key)


@pytest.mark.parametrize("layout", ["authors", "mmpretrain"])
def test_a_moco_checkpoint_loads_bit_for_bit(tmp_path, layout):
    options = {"embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 0}
    model = networks.shaken(timm.create_model("vit_small_patch16_224", **options))
    own = model.state_dict()
    if layout == "authors":
        tensors = {f"module.base_encoder.{key}": tensor for key, tensor in own.items()}
        tensors |= {f"module.momentum_encoder.{key}": tensor + 1 for key, tensor in own.items()}
        tensors |= {"module.base_encoder.head.0.weight": torch.ones(3, 48), "module.predictor.0.weight": torch.ones(2)}
        saved = {"epoch": 300, "arch": "vit_small", "state_dict": tensors, "optimizer": {"state": {}}}
    else:
        tensors = {mm_name(key): tensor for key, tensor in own.items()}
        saved = {"meta": {"epoch": 300}, "state_dict": {**tensors, "neck.fc0.weight": torch.ones(3)}}
    path = tmp_path / "vit-s-300ep.pth.tar"
    torch.save(saved, path)
    backbone = load_timm("vit_small_patch16_224", path, "mocov3-s", options, source=MOCO["mocov3-s"])
    equal(backbone.model, own)


@pytest.mark.parametrize("old_names", [False, True])
def test_a_folder_of_stable_diffusion_loads_bit_for_bit(tmp_path, old_names):
    pytest.importorskip("diffusers")
    model = networks.shaken(networks.small_diffusion())
    for part, folder in (("unet", "unet"), ("vae", "vae"), ("text", "text_encoder")):
        model[part].save_pretrained(tmp_path / folder)
    if old_names:  # as the published files have them
        path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = {}
        for key, tensor in model["vae"].state_dict().items():
            for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
                key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
            tensors[key] = tensor.contiguous()
        save_file(tensors, path)
        path = tmp_path / "text_encoder" / "model.safetensors"
        tensors = {
            f"text_model.{key.removeprefix('text_model.')}": t.contiguous()
            for key, t in model["text"].state_dict().items()
        }
        save_file(tensors | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, path)
    backbone = load_backbone("sd-1.5:encoder", tmp_path)
    for part in ("unet", "vae", "text"):
        equal(backbone.model[part], model[part].state_dict())
    assert backbone.trained and backbone.name == "sd-1.5:encoder" and backbone.input_size == 64
    (tmp_path / "text_encoder" / "model.safetensors").unlink()
    with pytest.raises(InputError) as caught:
        load_diffusers("sd-1.5", tmp_path)
    said(caught, "text_encoder", "check the path")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["clip-s", "imagenet-b", "mae-b", "mocov3-s", "dinov2-s", "sam-b", "inception-v3", "resnet50"]
)
def test_a_checkpoint_at_true_size_loads_bit_for_bit(tmp_path, name):
    """Untrained weights, saved by the library's names, come back."""
    original = load_backbone(name, "untrained").model
    prefix = {"clip-s": "visual.", "mocov3-s": "base_encoder."}.get(name, "")
    path = tmp_path / "mine.safetensors"
    save_file({prefix + key: tensor.contiguous() for key, tensor in original.state_dict().items()}, path)
    backbone = load_backbone(name, path)
    assert backbone.trained and backbone.name == name
    equal(backbone.model, original.state_dict())


# ---------------------------------------------------------------- files that are no weights of this network


def good(path):
    """Tensors of a tiny vision transformer, as saved by torchvision."""
    tensors = {key: tensor.contiguous() for key, tensor in networks.shaken(tiny_vit()).state_dict().items()}
    save_file(tensors, path)
    return tensors


def rename(path):
    tensors = good(path)
    tensors["encoder.ln.wait"] = tensors.pop("encoder.ln.weight")
    save_file(tensors, path)


def reshape(path):
    tensors = good(path)
    tensors["encoder.ln.weight"] = torch.ones(33)
    save_file(tensors, path)


def poison(path):
    tensors = good(path)
    tensors["encoder.ln.weight"][3] = float("inf")
    save_file(tensors, path)


def cut(path):
    good(path)
    path.write_bytes(path.read_bytes()[:20_000])


def header(text, length=None):
    def write(path):
        data = text.encode()
        path.write_bytes((length or len(data)).to_bytes(8, "little") + data)

    return write


def tensor_header(**facts):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **facts}
    return header(json.dumps({"class_token": entry}))


@pytest.mark.parametrize(
    "write, words",
    [
        (rename, ("1 missing (encoder.ln.weight)", "1 unknown (encoder.ln.wait)")),
        (reshape, ("encoder.ln.weight is (33,) instead of (32,)",)),
        (poison, ("encoder.ln.weight", "NaN")),
        (cut, ("cannot be read",)),
        (header("{}", 2**60), ("cannot be read",)),
        (header("{not json"), ("cannot be read",)),
        (tensor_header(), ("cannot be read",)),
        (tensor_header(dtype="Q99"), ("cannot be read",)),
        (tensor_header(shape=[-1]), ("cannot be read",)),
        (tensor_header(data_offsets=[0, 2**62]), ("cannot be read",)),
        (header("{}"), ("no tensors",)),
        (lambda path: path.write_text("<!DOCTYPE html><html>log in</html>"), ("cannot be read",)),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n"), ("git lfs pull",)),
        (lambda path: path.write_bytes(b""), ("cannot be read",)),
        (lambda path: path.mkdir(), ("found none",)),
        (lambda path: None, ("check the path",)),
    ],
)
def test_a_file_that_does_not_fit_says_why(tmp_path, write, words):
    path = tmp_path / "my weights.safetensors"
    write(path)
    with pytest.raises(InputError) as caught:
        load_torchvision("tiny_vit_for_tests", path)
    said(caught, "my weights.safetensors", "tiny_vit_for_tests", *words)


def torch_file(change=None, tail=None):
    """A writer of a PyTorch file of good tensors, changed or cut."""

    def write(path):
        tensors = networks.shaken(tiny_vit()).state_dict()
        held = tensors if change is None else change(dict(tensors))
        torch.save(held, path)
        path.write_bytes(path.read_bytes()[:tail])

    return write


@pytest.mark.parametrize(
    "write, words",
    [
        (torch_file(tail=20_000), ("cannot be read",)),
        (torch_file(tail=3), ("cannot be read",)),
        (torch_file(lambda t: list(t.values())), ("no tensors",)),
        (torch_file(lambda t: {"epoch": 3, "lr": 0.1}), ("no tensors",)),
        (torch_file(lambda t: 7), ("no tensors",)),
        (torch_file(lambda t: {k: v for k, v in t.items() if k != "class_token"}), ("1 missing (class_token)",)),
        (
            torch_file(lambda t: t | {"encoder.ln.weight": torch.full((32,), float("nan"))}),
            ("encoder.ln.weight", "NaN"),
        ),
        (
            torch_file(lambda t: t | {"encoder.ln.weight": torch.ones(32, dtype=torch.int8)}),
            ("encoder.ln.weight is torch.int8",),
        ),
        (torch_file(lambda t: t | {"encoder.ln.weight": torch.ones(32, 32, 32)}), ("(32, 32, 32) instead of (32,)",)),
        (torch_file(lambda t: {1: torch.ones(2), "class_token": torch.ones(2)}), ("missing",)),
        (lambda path: path.write_text("<html>log in</html>"), ("web page",)),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n"), ("git lfs pull",)),
        (lambda path: path.write_bytes(b""), ("cannot be read",)),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(500)), ("cannot be read",)),
        (lambda path: path.write_bytes(b"\x80\x02" + b"(" * 100_000), ("cannot be read",)),
    ],
)
def test_a_pytorch_file_that_does_not_fit_says_why(tmp_path, write, words):
    path = tmp_path / "vit.pth"
    write(path)
    with pytest.raises(InputError) as caught:
        load_torchvision("tiny_vit_for_tests", path)
    said(caught, "vit.pth", "tiny_vit_for_tests", *words)


@pytest.mark.parametrize("network", ["torchvision", "open_clip", "timm", "sd"])
@pytest.mark.parametrize("inside", ["alone", "state_dict"])
def test_code_in_a_checkpoint_is_not_run(tmp_path, network, inside):
    path, trace = tmp_path / "weights.pth", tmp_path / "was here"
    held = {"class_token": Payload(trace)}
    torch.save(held if inside == "alone" else {"state_dict": held}, path)
    loads = {
        "torchvision": lambda: load_torchvision("tiny_vit_for_tests", path),
        "open_clip": lambda: load_backbone("open_clip/ViT-B-32", path),
        "timm": lambda: load_backbone("mae-b", path),
        "sd": lambda: read_weights(path, "sd-1.5"),
    }
    with pytest.raises(InputError) as caught:
        loads[network]()
    said(caught, "weights.pth", "nothing in it was run")
    assert not trace.exists()


def test_a_folder_with_several_files_asks_which(tmp_path):
    for name in ("a.safetensors", "b.safetensors"):
        good(tmp_path / name)
    with pytest.raises(InputError) as caught:
        load_torchvision("tiny_vit_for_tests", tmp_path)
    said(caught, "a.safetensors, b.safetensors", "the file itself")
    (tmp_path / "b.safetensors").unlink()
    assert load_torchvision("tiny_vit_for_tests", tmp_path).trained


def test_the_weights_of_another_network_of_the_registry(tmp_path):
    path = tmp_path / "mine.safetensors"
    good(path)
    for name in ("mae-b", "clip-s", "imagenet-b"):
        with pytest.raises(InputError) as caught:
            load_backbone(name, path)
        said(caught, name, "mine.safetensors")


# ---------------------------------------------------------------- without a connection

EACH_LIBRARY = ("clip-s", "mae-b", "imagenet-b", "mocov3-s", "mocov3-l", "sd-1.5", "inception-v3")


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """Imported once, so that the tests time the answer and not the import."""
    for name in ("clip-s", "imagenet-b", "mocov3-s"):
        with torch.device("meta"):
            load_backbone(name, "untrained")


@pytest.mark.parametrize("name", EACH_LIBRARY)
def test_without_a_connection_the_way_by_hand_is_named_in_seconds(own_hub, tmp_path, name):  # noqa: F811
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for variable in ("HTTPS_PROXY", "https_proxy"):
        own_hub.setenv(variable, f"http://127.0.0.1:{port}")
    own_hub.setenv("TORCH_HOME", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_backbone(name)
    said(caught, name, "did not answer", "weights", "demo-vit")
    assert time.monotonic() - start < 5


class Server:
    """A web server of one file, which keeps to ranges; ``cut`` bytes and it hangs up."""

    def __init__(self, content, cut=None, kind="application/octet-stream"):
        outer = self
        self.content, self.cut, self.kind, self.asked = content, cut, kind, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def head(self, begin):
                self.send_response(206 if begin else 200)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Content-Length", str(len(outer.content) - begin))
                if begin:
                    size = len(outer.content)
                    self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("ETag", '"' + hashlib.sha256(outer.content).hexdigest() + '"')
                self.end_headers()

            def do_HEAD(self):
                self.head(0)

            def do_GET(self):
                wanted = self.headers.get("Range", "bytes=0-")
                begin = int(wanted.removeprefix("bytes=").split("-")[0])
                outer.asked.append(begin)
                self.head(begin)
                self.wfile.write(outer.content[begin : outer.cut])

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.http.shutdown()
        self.http.server_close()


CONTENT = os.urandom(3_000_000)
NAMED = f"vit-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


def test_a_file_is_fetched_with_progress_once(own_hub):  # noqa: F811
    told = []
    with Server(CONTENT) as server:
        source = Url(f"{server.at}/{NAMED}")
        assert source.find() is None
        path = source.fetch("mine", lambda done, total: told.append((done, total)))
        assert path.read_bytes() == CONTENT and source.find() == path == source.fetch("mine")
        assert len(server.asked) == 1
    assert told[-1] == (len(CONTENT), len(CONTENT)) and len(told) > 1 and told == sorted(told)


def test_a_download_that_broke_off_goes_on(own_hub):  # noqa: F811
    with Server(CONTENT, cut=1_500_000) as server:
        source = Url(f"{server.at}/{NAMED}")
        with pytest.raises(InputError) as caught:
            source.fetch("mine")
        said(caught, "mine", "did not answer")
        assert source.find() is None
        server.cut = None
        assert source.fetch("mine").read_bytes() == CONTENT
        assert server.asked[0] == 0 and 0 < server.asked[1] <= 1_500_000


def test_a_download_can_be_stopped_and_gone_on_with(own_hub):  # noqa: F811
    with Server(CONTENT) as server:
        source = Url(f"{server.at}/{NAMED}")
        with pytest.raises(Stopped):
            source.fetch("mine", lambda done, total: False)
        assert source.find() is None and source.fetch("mine").read_bytes() == CONTENT
        assert server.asked[1] > 0


def test_what_a_server_gives_is_checked(own_hub):  # noqa: F811
    with Server(CONTENT[::-1]) as server:
        source = Url(f"{server.at}/{NAMED}")
        with pytest.raises(InputError, match="SHA-256"):
            source.fetch("mine")
        assert source.find() is None
        server.kind = "text/html; charset=utf-8"
        with pytest.raises(InputError, match="web page") as caught:
            source.fetch("mine")
    said(caught, "HTTPS_PROXY")


def test_the_hub_is_fetched_with_progress_and_then_found_offline(own_hub, tmp_path):  # noqa: F811
    told = []
    own_hub.setattr(hub.constants, "HF_HUB_DISABLE_XET", True)
    with Server(CONTENT) as server:
        own_hub.setattr(hub.constants, "ENDPOINT", server.at)
        own_hub.setattr(
            hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.at + "/{repo_id}/resolve/{revision}/{filename}"
        )
        source = Hub("someone/network", ("model.safetensors",))
        assert source.find() is None
        path = source.fetch("mine", lambda done, total: told.append((done, total)))
        assert path.read_bytes() == CONTENT
    assert told and told[-1][0] == len(CONTENT)
    own_hub.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    assert source.find() == source.fetch("mine") == path


def test_a_source_knows_what_torch_hub_has_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints"
    place.mkdir(parents=True)
    assert Url("https://example.org/a.pth").find() is None
    (place / "a.pth").write_bytes(b"x")
    assert Url("https://example.org/a.pth").find() == place / "a.pth"
