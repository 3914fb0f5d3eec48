"""A network of each library through extract, train and maps on the demo subject (80 pictures, simulated), by the command line."""

import os
import subprocess
import sys

import huggingface_hub as hub
import networks
import numpy as np
import pytest
from test_backbones import own_hub  # noqa: F401
from test_weights import CONTENT, NAMED, Server
from trials import ROOT

import factortopy as ft
from factortopy.backbones.published import Url
from factortopy.cli.main import main
from factortopy.subjects import demo

PICTURES = 80
NETWORKS = {  # one or more of each library; the registry's own names where there is one
    "factortopy": ("demo-vit", None),
    "timm, a transformer": ("timm/vit_tiny_patch16_224", "untrained"),
    "timm, of the registry": ("dinov2-s", "untrained"),
    "timm, convolutional": ("inception-v3", "untrained"),
    "open_clip": ("clip-s", "untrained"),
    "open_clip by name": ("open_clip/RN50:yfcc15m", "untrained"),
    "torchvision": ("imagenet-b", "untrained"),
    "diffusers": ("sd-1.5:encoder@48", "folder"),
}


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """One home, so that the pictures are drawn once; a demo subject of few pictures (FACTORTOPY_DEMO_PICTURES)."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("FACTORTOPY_HOME", str(home))
        patch.setenv("FACTORTOPY_DEMO_PICTURES", str(PICTURES))  # for processes; this one has read it already
        patch.setattr(demo.load_demo, "__defaults__", (1, PICTURES))
        yield home


@pytest.fixture
def ran(capsys):
    """Run the command line; what it said."""

    def run(*words):
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return run


def painted(out):
    """The layers on the maps of a folder, and that they lie in a file that says "simulated"."""
    import nibabel

    files = {path.name for path in out.iterdir()}
    assert any("simulated" in name for name in files), files
    layers = [np.asarray(nibabel.load(p).darrays[0].data) for p in sorted(out.glob("*hemi-*_layer.label.gii"))]
    assert len(layers) == 2 and any(name.endswith(".png") for name in files)
    return np.concatenate(layers)


def through(ran, name, weights, tmp_path, *more):
    """Extract, train and maps; the encoder."""
    words = ("--subject", "demo-1", "--backbone", name, *(("--weights", weights) if weights else ()), *more)
    said = ran("extract", *words)
    assert f"{PICTURES} pictures: about" in said and "of disk" in said and f"{PICTURES} pictures, " in said
    run = tmp_path / "run"
    said = ran("train", *words, "--steps", 6, "--out", run)
    assert "finished" in said
    ran("maps", run, "--out", tmp_path / "maps")
    encoder = ft.Encoder.load(run)
    assert encoder.simulated and (encoder.info["trained"] is (weights is None or weights == str(tmp_path / "sd")))
    layers = painted(tmp_path / "maps")
    assert layers.max() <= len(encoder.layer_names)
    assert encoder.selectors().layer.shape == (encoder.n_vertices, len(encoder.layer_names))
    picture = ft.load_subject("demo-1").images[0]
    assert np.isfinite(encoder.predict(picture)).all() and encoder.backbone_name.startswith(name)
    return encoder


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("library", NETWORKS)
def test_a_network_of_each_library(shared_home, ran, tmp_path, library):
    name, weights = NETWORKS[library]
    if weights == "folder":  # Stable Diffusion's layout, three million parameters
        pytest.importorskip("diffusers")
        model = networks.small_diffusion()
        for part, folder in (("unet", "unet"), ("vae", "vae"), ("text", "text_encoder")):
            model[part].save_pretrained(tmp_path / "sd" / folder)
        weights = str(tmp_path / "sd")
    through(ran, name, weights, tmp_path)


def test_the_smallest_network_with_components(shared_home, ran, tmp_path):
    """The quick one of the ordinary suite; tokens of 64 channels are kept as 8."""
    encoder = through(ran, "timm/test_vit", "untrained", tmp_path, "--pca", 8)
    assert encoder.info["pca"] == 8 and encoder.channels == [64] * 6


OWN = """
import torch
import factortopy as ft
from factortopy.export import export_maps

torch.manual_seed(0)
blocks = torch.nn.Sequential(*(torch.nn.TransformerEncoderLayer(32, 2, 64, batch_first=True) for _ in range(3)))
patches = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 16, 16), torch.nn.Flatten(2))

class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.blocks = patches, blocks

    def forward(self, x):
        return self.blocks(self.patches(x).transpose(1, 2))

backbone = ft.from_module(Mine(), [f"blocks.{i}" for i in range(3)], name="mine", input_size=112, trained=False)
subject = ft.load_subject("demo-1")
features = ft.extract(backbone, subject.images)
encoder = ft.fit(subject, features, steps=6)
score = ft.brain_score(encoder, subject, features)
from factortopy import analysis
told = export_maps("maps", encoder.selectors(), score, analysis.predicted(encoder, subject, features),
                   encoder.vertices, encoder.simulated, "mine on demo-1 (simulated)", rois=encoder.rois)
encoder.save("run")
again = ft.Encoder.load("run")
assert again.predict_features(features).shape == (80, encoder.n_vertices)
try:
    again.predict(subject.images[0])
except ft.InputError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_module_of_ones_own(shared_home, tmp_path):
    done = subprocess.run([sys.executable, "-c", OWN], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=1100)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert painted(tmp_path / "maps").max() <= 3
    assert "mine" in done.stdout and "\n" not in done.stdout.strip()


def test_weights_that_cannot_be_fetched_stop_a_training_in_one_line(shared_home, own_hub, capsys, tmp_path):  # noqa: F811
    """Nothing is left behind, so that the corrected command finds a new folder."""
    own_hub.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    code = main(["train", "--subject", "demo-1", "--backbone", "clip-s", "--out", str(tmp_path / "run")])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and "clip-s" in line and "open_clip_model.safetensors" in line and not (tmp_path / "run").exists()


def test_a_training_that_fetches_says_how_far_and_can_be_stopped(shared_home, own_hub, tmp_path):  # noqa: F811
    from factortopy.backbones import torchvision_adapter
    from factortopy.runs.training import train_run

    told = []

    def stop(progress):
        told.append(progress)
        return not (progress["stage"] == "weights" and progress["step"] > 1_500_000)

    with Server(CONTENT) as server:
        own_hub.setattr(torchvision_adapter, "source_of", lambda name: Url(f"{server.at}/{NAMED}"))
        run = train_run(tmp_path / "run", "demo-1", "imagenet-b", on_progress=stop)
        assert run.status == "stopped" and run.resumable
        written = run.progress()
        assert written["stage"] == "weights" and written["total"] == len(CONTENT)
        fetching = [p for p in told if p["stage"] == "weights"]
        assert fetching[-1]["step"] > 1_500_000 and any(p["remaining"] is not None for p in fetching)
        with pytest.raises(ft.InputError, match="imagenet-b"):  # it goes on with the download, then looks into the file
            train_run(run.path, resume=True)
        assert server.asked[0] == 0 and server.asked[1] > 0
