"""The registry of networks and the timm adapter: shapes, tokens, weights files, hostile files, no hub."""

import http.server
import socket
import subprocess
import sys
import threading
import time

import huggingface_hub as hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from trials import environment

import factortopy as ft
from factortopy.backbones.loading import list_backbones, load_backbone
from factortopy.backbones.timm_adapter import TimmBackbone
from factortopy.errors import InputError

NAMES = ("test_vit", "test_convnext", "test_resnet")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)


@pytest.fixture
def own_hub(monkeypatch, tmp_path):
    """No weights on this machine, a fresh connection, and the environment's proxy left out."""
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    hub.close_session()
    yield monkeypatch
    hub.close_session()


def said(caught, *words):
    """Assert that the caught InputError is one line that holds every word."""
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message, message
    return message


def check(backbone, images):
    """Assert that the network gives the shapes that it says."""
    local, global_ = backbone.tokens(images)
    assert len(local) == len(global_) == len(backbone.layer_names) == len(set(backbone.layer_names))
    for tokens, whole in zip(local, global_, strict=True):
        b, h, w, c = tokens.shape
        assert b == len(images) and h == w > 0 and tuple(whole.shape) == (b, c)
        assert tokens.dtype == whole.dtype == torch.float32
        assert torch.isfinite(tokens).all() and not tokens.requires_grad
    assert backbone.width == max(tokens.shape[-1] for tokens in local)
    assert backbone.fingerprint and backbone.name
    return local, global_


# ---------------------------------------------------------------- the registry


def test_every_listed_network_is_what_its_entry_says(images):
    entries = list_backbones()
    assert {"demo-vit", "demo-mae"} <= {entry.name for entry in entries}
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.objective and entry.licence and entry.library
        if not entry.available:
            continue
        backbone = load_backbone(entry.name)
        assert backbone.name == entry.name and backbone.trained and backbone.weights is None
        assert (len(backbone.layer_names), backbone.width, backbone.input_size) == (
            entry.layers, entry.width, entry.input_size,
        )  # fmt: skip
        local, _ = check(backbone, images)
        assert local[0].shape[1] == entry.input_size // entry.patch


@pytest.mark.parametrize("name", ["demo-vit", "timm/test_vit"])
def test_untrained_is_the_same_each_time_and_called_so(name, images):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = load_backbone(name, weights="untrained")
    assert torch.equal(torch.rand(3), expected)  # random numbers of the caller are left alone
    again = load_backbone(first.name)  # by the name that it goes by
    assert first.name == again.name == f"{name} untrained"
    assert not first.trained and not again.trained
    assert first.weights == again.weights == "untrained"
    assert first.fingerprint == again.fingerprint
    for a, b in zip(first.tokens(images)[0], again.tokens(images)[0], strict=True):
        assert torch.equal(a, b)


def test_networks_do_not_share_a_fingerprint():
    names = ("demo-vit", "demo-mae", "demo-vit untrained", *(f"timm/{name} untrained" for name in NAMES))
    assert len({load_backbone(name).fingerprint for name in names}) == len(names)


def test_an_untrained_encoder_says_so_and_finds_its_network(images):
    """The name goes through features into the encoder, which loads the same network again."""
    pictures = np.random.default_rng(1).integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    features = ft.extract(load_backbone("timm/test_resnet", weights="untrained"), pictures)
    assert features.backbone == "timm/test_resnet untrained" and not features.trained
    rng = np.random.default_rng(0)
    subject = ft.Subject(rng.standard_normal((30, 6)), pictures, [0, 0, 0, 1, 1, 1], [0, 1, 2] * 2, simulated=True)
    encoder = ft.fit(subject, features, steps=1)
    assert encoder.backbone_name.endswith("untrained") and encoder.info["trained"] is False
    expected = encoder.predict_features(features[:3])
    np.testing.assert_allclose(encoder.predict(list(pictures[:3])), expected, atol=2e-3)


@pytest.mark.parametrize(
    "name, words",
    [
        ("demo-clip", ("demo-clip", "demo-vit", "timm/NAME")),
        ("", ("demo-vit",)),
        ("resnet34", ("timm/NAME",)),
        ("timm/test_vi", ("timm/test_vi", "did you mean", "test_vit")),
        ("timm/zzz", ("timm/zzz", "list_models")),
        ("timm/", ("timm/",)),
        ("timm/../../etc/passwd", ("passwd",)),
        ("timm/hf-hub:someone/thing", ("someone/thing",)),
        ("timm/local-dir:/tmp", ("local-dir",)),
        ("timm/test_vit.no_such_tag", ("no_such_tag", "test_vit.r160_in1k")),
    ],
)
@pytest.mark.parametrize("weights", [None, "untrained"])
def test_names_that_do_not_exist(own_hub, name, words, weights):
    own_hub.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_backbone(name, weights)
    said(caught, *words)
    assert time.monotonic() - start < 10


# ---------------------------------------------------------------- tokens of timm networks

SIDES = {"test_vit": [10] * 6, "test_convnext": [40, 20, 10, 5], "test_resnet": [80, 40, 20, 10, 5]}  # at 160 pixels


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_timm_networks(name, images):
    backbone = load_backbone(f"timm/{name}", weights="untrained")
    local, global_ = check(backbone, images)
    assert backbone.input_size == 160
    assert backbone.layer_names[0] == ("block 1" if name == "test_vit" else "stage 1")
    assert backbone.layer_names[-1].endswith(f" {len(local)}")
    assert [tokens.shape[1] for tokens in local] == SIDES[name]
    assert [tokens.shape[3] for tokens in local] == [info["num_chs"] for info in backbone.model.feature_info]
    alone = backbone.tokens(images[1:])[0]
    for a, b in zip(alone, local, strict=True):  # no picture changes another
        torch.testing.assert_close(a[0], b[1], atol=1e-4, rtol=1e-3)


def hooked(backbone, images, modules):
    """Outputs of the network's own modules in a plain forward pass."""
    seen = {}
    handles = [
        module.register_forward_hook(lambda module, inputs, output, key=key: seen.__setitem__(key, output))
        for key, module in enumerate(modules)
    ]
    with torch.inference_mode():
        backbone.model(backbone.prepare(images))
    for handle in handles:
        handle.remove()
    return [seen[key] for key in range(len(modules))]


@pytest.mark.parametrize(
    "name, options, class_token",
    [("test_vit", {}, True), ("test_vit", {"reg_tokens": 3}, True), ("test_vit2", {}, False)],
)
def test_tokens_of_a_transformer_are_its_blocks_outputs(name, options, class_token, images):
    model = timm.create_model(name, num_classes=0, **options)
    backbone = TimmBackbone(model, name)
    for token in (model.cls_token, model.reg_token):
        if token is not None:  # near zero at the start, it would say little
            token.normal_(generator=torch.Generator().manual_seed(0))
    local, global_ = backbone.tokens(images)
    prefix = model.num_prefix_tokens
    assert prefix == class_token + options.get("reg_tokens", int(not class_token))
    for tokens, whole, output in zip(local, global_, hooked(backbone, images, list(model.blocks)), strict=True):
        grid = output[:, prefix:].unflatten(1, (10, 10))
        torch.testing.assert_close(tokens, grid)
        # The class token comes first, registers behind it; they are no class token.
        torch.testing.assert_close(whole, output[:, 0] if class_token else grid.mean((1, 2)))


def test_tokens_of_a_convolutional_network_are_its_stages_outputs(images):
    backbone = load_backbone("timm/test_convnext", weights="untrained")
    local, global_ = backbone.tokens(images)
    for tokens, whole, output in zip(
        local, global_, hooked(backbone, images, list(backbone.model.stages)), strict=True
    ):
        torch.testing.assert_close(tokens, output.permute(0, 2, 3, 1))
        torch.testing.assert_close(whole, output.mean((2, 3)))
    backbone = load_backbone("timm/test_resnet", weights="untrained")
    model = backbone.model
    local, _ = backbone.tokens(images)
    outputs = hooked(backbone, images, [model.layer1, model.layer2, model.layer3, model.layer4])
    for tokens, output in zip(local[1:], outputs, strict=True):
        torch.testing.assert_close(tokens, output.permute(0, 2, 3, 1))


def test_places_stay_where_they_are():
    """A bright patch in the upper right is seen there: rows are y, down; columns are x, to the right."""
    blank = np.full((1, 160, 160, 3), 90, np.uint8)
    spot = blank.copy()
    spot[:, 16:48, 112:144] = 255  # rows 1-2, columns 7-8 of the 10 × 10 grid
    for name in ("test_convnext", "test_vit"):
        backbone = load_backbone(f"timm/{name}", weights="untrained")
        change = (backbone.tokens(blank)[0][0] - backbone.tokens(spot)[0][0]).abs().mean(-1)[0]
        side = len(change)
        row, column = divmod(int(change.argmax()), side)
        assert 0.1 <= row / side < 0.35 and 0.65 <= column / side < 0.95, name


def test_pictures_are_squashed_and_normalised(images):
    backbone = load_backbone("timm/test_vit", weights="untrained")
    exact = backbone.prepare(images)
    config = timm.data.resolve_model_data_config(backbone.model)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    torch.testing.assert_close(exact, (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    wide = np.zeros((1, 100, 300, 3), np.uint8)
    wide[:, :, 150:] = 255  # the right half stays the right half
    found = backbone.prepare(wide) * std + mean
    assert found.shape == (1, 3, 160, 160)
    assert found[..., :75].max() < 0.05 and found[..., 85:].min() > 0.95
    assert found.min() >= -1e-6 and found.max() <= 1 + 1e-6


# ---------------------------------------------------------------- weights from a file


def saved(path, name="test_vit", seed=7, **changes):
    """Write the whole network (with its classifier) as a hub file would hold it; the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(name, **changes).eval()
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and not tensor.any():
                tensor.normal_(std=0.02)  # biases and tokens start at zero and would not be told from lost ones
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, path)
    return model


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_convnext", "test_resnet", "test_efficientnet"])
def test_weights_from_a_file_are_those_of_the_network_bit_for_bit(name, tmp_path, images):
    model = saved(tmp_path / "mine.safetensors", name)
    backbone = load_backbone(f"timm/{name}", weights=tmp_path / "mine.safetensors")
    loaded, original = backbone.model.state_dict(), model.state_dict()
    assert 0 < len(original) - len(loaded) <= 2 and set(loaded) < set(original)  # the classifier is left out
    for key, tensor in loaded.items():
        assert torch.equal(tensor, original[key]), key
    expected = TimmBackbone(model, name).tokens(images)
    for found, wanted in zip(backbone.tokens(images), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert backbone.trained and backbone.name == f"timm/{name}"
    assert backbone.weights == str(tmp_path / "mine.safetensors")
    saved(tmp_path / "other.safetensors", name, seed=8)
    assert load_backbone(f"timm/{name}", tmp_path / "other.safetensors").fingerprint != backbone.fingerprint


@pytest.mark.parametrize("classes", [0, 7])
def test_a_file_with_another_classifier_or_none(tmp_path, classes):
    model = saved(tmp_path / "mine.safetensors", num_classes=classes)
    backbone = load_backbone("timm/test_vit", weights=tmp_path / "mine.safetensors")
    assert all(torch.equal(t, model.state_dict()[k]) for k, t in backbone.model.state_dict().items())


def test_a_training_checkpoint_is_unwrapped(tmp_path):
    model = saved(tmp_path / "x.safetensors")
    wrapped = {"state_dict": {f"module.{key}": tensor for key, tensor in model.state_dict().items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "checkpoint.pth")
    backbone = load_backbone("timm/test_vit", weights=tmp_path / "checkpoint.pth")
    assert all(torch.equal(t, model.state_dict()[k]) for k, t in backbone.model.state_dict().items())


class Payload:
    """A pickle that creates a file when it is read carelessly."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_code_in_a_pickle_is_not_run(tmp_path, suffix):
    path, trace = tmp_path / f"weights{suffix}", tmp_path / "was here"
    torch.save({"cls_token": Payload(trace)}, path)
    with pytest.raises(InputError) as caught:
        load_backbone("timm/test_vit", weights=path)
    message = said(caught, path.name, "safetensors")
    assert not trace.exists() and "weights_only" not in message  # nor is the unsafe way recommended
    if suffix != ".safetensors":
        torch.load(path, weights_only=False)  # the payload does work
        assert trace.exists()


def write_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4821152\n")


def write_half(path):
    saved(path)
    path.write_bytes(path.read_bytes()[:50_000])


def write_unrelated(path):
    save_file({f"visual.layer{i}": torch.zeros(2) for i in range(9)}, path)


def write_one_missing(path):
    tensors = saved(path).state_dict()
    save_file({key: tensor for key, tensor in tensors.items() if key != "blocks.3.attn.qkv.weight"}, path)


def write_not_finite(path):
    tensors = saved(path).state_dict()
    tensors["blocks.2.mlp.fc1.weight"][5, 5] = float("nan")
    save_file(tensors, path)


@pytest.mark.parametrize(
    "write, words",
    [
        (lambda path: None, ("none", "check the path")),
        (lambda path: path.mkdir(), ("none",)),
        (write_pointer, ("Git-LFS pointer", "git lfs pull")),
        (lambda path: path.write_bytes(b""), ("cannot be read",)),
        (lambda path: path.write_text("<!doctype html>"), ("cannot be read",)),
        (write_half, ("cannot be read",)),
        (write_unrelated, ("9 unknown (visual.layer0", "missing", "cls_token")),
        (write_one_missing, ("blocks.3.attn.qkv.weight",)),
        (lambda path: saved(path, "test_vit2"), ("fit timm/test_vit", "blocks.0.ls1.gamma", "1 missing (cls_token)")),
        (lambda path: saved(path, "test_vit4"), ("fit timm/test_vit",)),
        (lambda path: saved(path, "test_resnet"), ("fit timm/test_vit",)),
        (lambda path: saved(path, "vit_tiny_patch16_224"), ("fit timm/test_vit",)),
        (write_not_finite, ("blocks.2.mlp.fc1.weight", "NaN")),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_file_is_named(tmp_path, write, words):
    path = tmp_path / "my network.safetensors"
    write(path)
    with pytest.raises(InputError) as caught:
        load_backbone("timm/test_vit", weights=path)
    said(caught, "my network.safetensors", "test_vit", *words)


# ---------------------------------------------------------------- no hub


def test_offline_the_way_by_hand_is_named(own_hub):
    own_hub.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        load_backbone("timm/test_vit")
    said(caught, "timm/test_vit", "offline", "model.safetensors of timm/test_vit.r160_in1k", "demo-vit")


def test_a_network_without_published_weights(own_hub):
    with pytest.raises(InputError) as caught:
        load_backbone("timm/vit_so150m_patch16_reg4_map_256")
    said(caught, "vit_so150m_patch16_reg4_map_256", "none", "untrained")


def test_a_closed_port_is_told_in_seconds(own_hub):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own_hub.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_backbone("timm/test_vit")
    said(caught, "did not answer", "demo-vit")
    assert time.monotonic() - start < 5


def test_a_proxy_that_never_answers_is_told_in_seconds(own_hub):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        own_hub.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(InputError) as caught:
            load_backbone("timm/test_vit")
        said(caught, "did not answer", "demo-vit")
        assert 1 < time.monotonic() - start < 5


@pytest.mark.parametrize(
    "status, code, words",
    [
        (401, "GatedRepo", ("accept", "log in", "demo-vit")),
        (403, "GatedRepo", ("accept",)),
        (404, "RepoNotFound", ("has no timm/test_vit",)),
        (401, "RepoNotFound", ("has no timm/test_vit",)),
        (404, "RevisionNotFound", ("has no timm/test_vit",)),
        (500, None, ("did not answer", "500")),
        (407, None, ("did not answer", "407")),
    ],
)
def test_what_the_hub_refuses_is_told_apart(own_hub, status, code, words):
    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own_hub.setattr(hub, "hf_hub_url", lambda repo, file: f"http://127.0.0.1:{server.server_port}/{repo}/{file}")
        start = time.monotonic()
        with pytest.raises(InputError) as caught:
            load_backbone("timm/test_vit")
        server.shutdown()
    said(caught, "weights of timm/test_vit", "weights", *words)
    assert time.monotonic() - start < 5


WITHOUT_NETWORK = """
import time
from factortopy.backbones import load_backbone
from factortopy.errors import InputError
import timm
start = time.monotonic()
try:
    load_backbone("timm/test_vit")
except InputError as error:
    print(error)
    print(time.monotonic() - start)
"""


def test_a_process_without_network_is_told_in_seconds(tmp_path):
    settings = environment(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK], env=settings, capture_output=True, text=True, timeout=60
    )
    message, seconds = result.stdout.strip().splitlines()
    assert "offline mode is on" in message and float(seconds) < 5
    assert "Traceback" not in result.stderr
