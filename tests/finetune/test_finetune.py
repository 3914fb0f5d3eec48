"""Fine-tuning: planted classes are learnt and shuffled ones are not, resuming changes nothing, weights come back bit for bit."""

import json

import networks
import numpy as np
import pytest
import torch
from folder_contents import contents
from labelled_pictures import COLOURS, planted

import factortopy
from factortopy.backbones import torchvision_adapter
from factortopy.backbones.diffusers_adapter import DiffusionBackbone
from factortopy.backbones.loading import load_backbone
from factortopy.cli.main import main
from factortopy.errors import InputError, Stopped
from factortopy.finetune import training
from factortopy.finetune.network import accuracy, trainable
from factortopy.finetune.training import finetune
from factortopy.jobs.finetune import FineTune
from factortopy.storage.files import read_json, read_tensors
from factortopy.storage.home import home

QUICK = {"steps": 60, "per_class": 8, "test_per_class": 6, "lr": 1e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("planted") / "colours")


def small():
    """A new small vision transformer, the same every time."""
    return torchvision_adapter.wrap(networks.small_torchvision(), "small")


def state(path):
    return read_tensors(path / "finetuned.safetensors")


# ---------------------------------------------------------------- truth


def test_a_planted_class_is_learnt_and_the_whole_network_moves(folder, tmp_path):
    backbone, said = small(), []
    before = {k: t.clone() for k, t in backbone.model.state_dict().items()}
    result = finetune(backbone, folder, tmp_path / "out", QUICK, say=said.append)
    told = result.info["accuracy"]["after"]
    assert result.finished and told["all"] > 0.9 and set(told["classes"]) == set(COLOURS)
    assert result.info["chance"] == pytest.approx(1 / 3) and result.info["layer"] == 2 and not result.info["simulated"]
    after = state(tmp_path / "out")
    moved = {k for k, t in before.items() if not np.array_equal(t.numpy(), after[k])}
    unused = {"encoder.ln.weight", "encoder.ln.bias"}  # after the layer that the head reads
    assert moved == {k for k in before} - unused
    rows = (tmp_path / "out" / "history.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,loss,accuracy,held_out" and rows[-1].startswith("60,")
    first, last = (float(rows[k].split(",")[2]) for k in (1, -1))
    assert last < first and any(row.split(",")[4] for row in rows[1:]) and "finished" in said[-1]
    assert not backbone.model.training and not any(p.requires_grad for p in backbone.model.parameters())


def test_shuffled_labels_stay_near_chance(tmp_path):
    mixed = planted(tmp_path / "mixed", n=40, shuffled=True)
    result = finetune(small(), mixed, tmp_path / "out", {**QUICK, "per_class": 10, "test_per_class": 30})
    assert abs(result.info["accuracy"]["after"]["all"] - 1 / 3) < 0.17  # 90 pictures: three standard errors
    assert abs(result.info["accuracy"]["before"]["all"] - 1 / 3) < 0.17


def test_a_head_on_an_early_layer_leaves_later_ones(folder, tmp_path):
    backbone = small()
    before = {k: t.clone().numpy() for k, t in backbone.model.state_dict().items()}
    result = finetune(backbone, folder, tmp_path, {**QUICK, "steps": 5, "layer": 1})
    after = state(tmp_path)
    layers = ("encoder.layers.encoder_layer_0.", "encoder.layers.encoder_layer_1.")
    same = [all(np.array_equal(before[k], after[k]) for k in before if k.startswith(layer)) for layer in layers]
    assert same == [False, True] and result.info["layer"] == 1
    with pytest.raises(InputError, match="layer: expected 1 to 2"):
        finetune(small(), folder, tmp_path / "more", {**QUICK, "layer": 3})


def test_accuracy_by_class():
    told = accuracy([0, 0, 0, 1], [0, 0, 1, 1], ["a", "b"])
    assert told == {
        "all": 0.75,
        "mean of classes": pytest.approx(5 / 6),
        "classes": {"a": pytest.approx(2 / 3), "b": 1.0},
    }


# ---------------------------------------------------------------- stopped, killed, resumed


def test_a_stopped_one_goes_on_as_if_it_had_not_been(folder, tmp_path):
    settings = {**QUICK, "steps": 24}
    whole = finetune(small(), folder, tmp_path / "whole", settings)

    def stop_at(step):
        return lambda p: not (p["stage"] == "training" and p["step"] == step)

    for step in (7, 15):
        assert not finetune(small(), folder, tmp_path / "parts", settings, stop_at(step)).finished
        assert read_json(tmp_path / "parts" / "checkpoint" / "state.json")["step"] == step
    parts = finetune(small(), folder, tmp_path / "parts", settings)
    one, two = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert all(np.array_equal(one[k], two[k]) for k in one) and whole.info["accuracy"] == parts.info["accuracy"]
    steps = [
        [row.split(",")[0] for row in (tmp_path / n / "history.csv").read_text().splitlines()]
        for n in ("whole", "parts")
    ]
    assert steps[0] == steps[1] and not (tmp_path / "parts" / "checkpoint").exists()
    again = finetune(small(), folder, tmp_path / "parts", settings)
    assert again.finished and again.info == parts.info


def test_finetuned_json_is_written_last(folder, tmp_path, monkeypatch):
    """Who finds it finds all else in its place and nothing left over."""
    seen, write = {}, training.write_json

    def watched(path, value):
        if path.name == "finetuned.json":
            seen.update(contents(path.parent))
        write(path, value)

    monkeypatch.setattr(training, "write_json", watched)
    out = tmp_path / "out"
    assert finetune(small(), folder, out, QUICK | {"steps": 4}).finished
    after = contents(out)
    assert after.pop("finetuned.json") and after == seen and "finetuned.safetensors" in seen
    assert not (out / "checkpoint").exists() and not (out / "moments.safetensors").exists()
    # Killed before it: the weights say the same, and nothing is trained again.
    (out / "finetuned.json").unlink()
    monkeypatch.setattr(training._Tuning, "run", lambda self: pytest.fail("it was trained again"))
    assert finetune(small(), folder, out).info["accuracy"] and (out / "finetuned.json").exists()


def test_a_stop_before_the_training_is_gone_on_from(folder, tmp_path):
    for stage in ("pictures", "before"):
        assert not finetune(small(), folder, tmp_path, QUICK, lambda p, s=stage: p["stage"] != s).finished
    assert not (tmp_path / "finetuned.json").exists()
    assert finetune(small(), folder, tmp_path).finished


def test_what_does_not_agree_is_said(folder, tmp_path):
    finetune(small(), folder, tmp_path, {**QUICK, "steps": 6}, lambda p: p["step"] < 3 or p["stage"] != "training")
    with pytest.raises(InputError, match="lr of this fine-tuning is 0.001"):
        finetune(small(), folder, tmp_path, {"lr": 0.1})
    with pytest.raises(InputError, match="--resume"):
        finetune(small(), folder, tmp_path, resume=False)
    checkpoint = tmp_path / "checkpoint"
    (checkpoint / "step-3.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="whole safetensors file"):
        finetune(small(), folder, tmp_path)


def test_a_loss_that_is_no_number_is_said(folder, tmp_path):
    backbone = small()

    def broken(progress):  # as a training that diverged leaves it
        if progress["stage"] == "training" and progress["step"] == 2:
            backbone.model.conv_proj.weight.data.fill_(float("nan"))

    with pytest.raises(InputError, match="no number at step 3; begin again with a smaller learning rate"):
        finetune(backbone, folder, tmp_path, QUICK, broken)


# ---------------------------------------------------------------- loading it again


@pytest.mark.parametrize("name", ["demo-mae", "timm/test_vit", "open_clip"])
def test_weights_come_back_bit_for_bit(name, folder, tmp_path, monkeypatch):
    if name == "open_clip":
        name = f"open_clip/{networks.own_clip(tmp_path)}"
    weights = None if name.startswith("demo") else "untrained"
    backbone = load_backbone(name, weights)
    picture = np.random.default_rng(1).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    first = backbone.tokens(picture)[0][-1].clone()
    settings = {**QUICK, "steps": 2, "per_class": 2, "test_per_class": 1, "weights": weights}
    result = finetune(name, folder, home() / "jobs" / "tuned", settings)
    assert result.info["base"] == name
    loaded, by_name = load_backbone(name, weights=result.weights), load_backbone("finetuned/tuned")
    kept = state(result.path)
    for one in (loaded, by_name):
        assert one.finetuned["data"] == "colours" and one.trained
        assert all(np.array_equal(t.numpy(), kept[k]) for k, t in trainable(one).state_dict().items())
    assert loaded.fingerprint != backbone.fingerprint and by_name.name == "finetuned/tuned" and by_name.weights is None
    assert not torch.equal(loaded.tokens(picture)[0][-1], first)
    assert not loaded.drawings_only


def test_a_fine_tuned_network_is_extracted_fitted_and_found_again(folder, tmp_path):
    result = finetune(
        "demo-vit", folder, home() / "jobs" / "mine", {**QUICK, "steps": 1, "per_class": 1, "test_per_class": 1}
    )
    pictures = np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)
    features = [
        factortopy.extract(load_backbone(*which), pictures)
        for which in (("demo-vit",), ("demo-vit", result.weights), ("finetuned/mine",))
    ]
    assert not np.array_equal(features[0].local[-1], features[1].local[-1])
    assert np.array_equal(features[1].local[-1], features[2].local[-1])
    assert len([p for p in (home() / "cache" / "features").iterdir() if p.is_dir()]) >= 2
    subject = factortopy.Subject(
        np.random.default_rng(1).standard_normal((12, 4)).astype(np.float32),
        pictures,
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        name="s",
        simulated=True,
    )
    encoder = factortopy.fit(subject, features[2], steps=2)
    assert (
        encoder.info["finetuned"]["base"] == "demo-vit" and encoder.info["finetuned"]["accuracy"]["after"]["all"] >= 0
    )
    encoder.save(tmp_path / "run")
    found = factortopy.Encoder.load(tmp_path / "run")
    assert found.info["finetuned"]["data"] == "colours" and found.predict(pictures[:1]).shape == (1, 4)


def test_fine_tuned_again_has_the_first_network_as_base(folder, tmp_path):
    few = {**QUICK, "steps": 1, "per_class": 1, "test_per_class": 1}
    finetune("demo-vit", folder, home() / "jobs" / "one", few)
    second = finetune("finetuned/one", folder, home() / "jobs" / "two", few | {"name": "again"})
    assert (
        second.info["base"] == "demo-vit"
        and second.info["earlier"] == ["colours"]
        and second.info["began_with"] == "finetuned/one"
    )
    assert load_backbone("finetuned/two").finetuned["data"] == "again"
    for wrong, told in (("finetuned/none", "finetuned/one"), ("finetuned/../one", "none of that name")):
        with pytest.raises(InputError, match=told):
            load_backbone(wrong)


def test_what_cannot_be_fine_tuned_is_said(folder, tmp_path):
    pytest.importorskip("diffusers")
    network = DiffusionBackbone(networks.small_diffusion(), "sd-1.5", step=48, trained=False)
    with pytest.raises(InputError, match="diffusion network; choose a network of timm"):
        finetune(network, folder, tmp_path)
    from small_network import SmallNetwork

    with pytest.raises(InputError, match="found SmallNetwork"):
        finetune(SmallNetwork(), folder, tmp_path / "other")


# ---------------------------------------------------------------- job and verb


class Folder:
    """What ``FineTune.work`` uses of a job's folder."""

    def __init__(self, path, settings):
        self.path, self.settings, self.lines, self.stop = path, settings, [], False

    def log(self, line):
        self.lines.append(line)

    def stop_requested(self):
        return self.stop


def test_a_job_stops_and_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("factortopy.backbones.loading.of_name", lambda *_: small())
    job = Folder(tmp_path, FineTune().check_settings({"backbone": "small", "images": str(folder), **QUICK}))
    seen = []

    def on_progress(progress):
        seen.append(progress)
        job.stop = progress["stage"] == "training" and progress["step"] == 5

    with pytest.raises(Stopped):
        FineTune().work(job, on_progress)
    job.stop = False
    assert FineTune().work(job, seen.append)["accuracy"] > 0.9
    stages = list(dict.fromkeys(p["stage"] for p in seen))
    assert stages == ["pictures", "before", "training", "after"] and any(p["remaining"] for p in seen)
    assert any("going on from step 5" in line for line in job.lines)
    with pytest.raises(InputError, match="images: expected"):
        FineTune().check_settings({"backbone": "demo-vit"})


def test_the_verb(folder, tmp_path, capsys):
    out = tmp_path / "out"
    few = ["--steps", "2", "--per-class", "2", "--test-per-class", "2", "--seed", "3"]
    assert main(["finetune", "--backbone", "demo-vit", "--images", str(folder), "--out", str(out), *few]) == 0
    told = capsys.readouterr().out
    assert "colours: 3 classes, 6 pictures to train on" in told and "33% by chance" in told and "green" in told
    assert read_json(out / "finetuned.json")["recipe"]["seed"] == 3
    assert main(["finetune", "--out", str(out), "--resume"]) == 0  # finished: left alone
    with open(out / "finetuned.safetensors", "rb") as file:
        assert b"factortopy.finetuned" in file.read(5000)
    for words, said in (
        (["--backbone", "demo-vit", "--out", str(tmp_path / "a")], "images: expected"),
        (
            ["--backbone", "demo-vit", "--images", str(tmp_path / "no"), "--out", str(tmp_path / "b")],
            "expected a folder",
        ),
        (["--backbone", "nope", "--images", str(folder), "--out", str(tmp_path / "c")], "none of that name"),
        (
            ["--backbone", "demo-vit", "--images", str(folder), "--out", str(tmp_path / "d"), "--lr", "-1"],
            "lr: expected",
        ),
        (
            ["--backbone", "demo-vit", "--images", str(folder), "--out", str(out), "--lr", "0.1"],
            "lr of this fine-tuning",
        ),
    ):
        assert main(["finetune", *words]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and said in lines[0], lines
    assert json.loads((out / "settings.json").read_text())["steps"] == 2
