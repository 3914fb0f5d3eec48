"""The demo networks: architecture, weights files, hostile files, and the script that trains them."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import make_demo_networks
from factortopy.backbones.demo import SIDE, load_demo, untrained, weights_path
from factortopy.backbones.demo_facts import demo_entries
from factortopy.errors import InputError
from factortopy.stimuli.scenes import render_scenes


@pytest.fixture(scope="module")
def pictures():
    return render_scenes(range(6_500_000, 6_500_004))[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One home for all trainings here, so that their pictures are rendered once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def small(home, monkeypatch):
    """A training of a few steps on a few pictures."""
    monkeypatch.setenv("FACTORTOPY_HOME", str(home))
    return {"pictures": 20, "held_out": 10, "batch": 4}


# ---------------------------------------------------------------- networks
@pytest.mark.parametrize("name", ["demo-vit", "demo-mae"])
def test_tokens(name, pictures):
    backbone = load_demo(name)
    local, global_ = backbone.tokens(pictures)
    assert len(local) == len(global_) == len(backbone.layer_names) == 12
    for tokens, whole in zip(local, global_, strict=True):
        assert tokens.shape == (4, SIDE, SIDE, 128) and tokens.dtype == torch.float32
        assert torch.allclose(whole, tokens.mean((1, 2)), atol=1e-5)
    assert backbone.name == name and backbone.trained and backbone.drawings_only
    alone = backbone.tokens(pictures[:1])[0]
    assert torch.allclose(alone[-1][0], local[-1][0], atol=1e-4)


def test_pictures_of_112_pixels_are_not_resampled_and_others_are_squashed(pictures):
    backbone = load_demo("demo-vit", "untrained")
    exact = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(backbone.prepare(pictures), make_demo_networks.normalise(exact))
    wide = np.repeat(np.repeat(pictures, 2, 1), 3, 2)
    assert backbone.prepare(wide).shape == (4, 3, 112, 112)
    assert (backbone.prepare(wide) - backbone.prepare(pictures)).abs().mean() < 0.1
    tiny = backbone.tokens(pictures[:1, :1, :1])[0]
    assert torch.isfinite(tiny[-1]).all()


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 112, 112, 3), np.float32), np.zeros((112, 112, 3), np.uint8), np.zeros((0, 9, 9, 3), np.uint8), [1]],
)
def test_what_is_no_picture_is_refused(images):
    with pytest.raises(InputError, match="expected a uint8 array of shape"):
        load_demo("demo-vit", "untrained").tokens(images)


def test_untrained_is_seeded_and_says_so(pictures):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = load_demo("demo-vit", "untrained"), load_demo("demo-vit", "untrained")
    assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are left alone
    assert first.name == "demo-vit untrained" and not first.trained
    assert first.fingerprint == second.fingerprint != load_demo("demo-vit").fingerprint
    assert torch.equal(first.tokens(pictures)[0][-1], second.tokens(pictures)[0][-1])


def test_attention_in_training_is_the_one_in_use(pictures):
    network, inputs = untrained(), load_demo("demo-vit", "untrained").prepare(pictures)
    with torch.no_grad():
        assert torch.allclose(network.train()(inputs), network.eval()(inputs), atol=1e-4)


def test_entries_and_shipped_files():
    assert [entry.name for entry in demo_entries()] == ["demo-vit", "demo-mae"]
    for entry in demo_entries():
        path = weights_path(entry.name)
        assert entry.available and path.stat().st_size < 12e6
        assert all(tensor.dtype == torch.float16 for tensor in load_file(path).values())
        assert entry.parameters == sum(tensor.numel() for tensor in load_file(path).values())


@pytest.mark.parametrize("name", ["demo-vit", "demo-mae"])
def test_shipped_description_matches_the_code(name):
    report = json.loads(weights_path(name).with_suffix(".json").read_text())
    assert make_demo_networks.NAMES[report["objective"]] == name
    assert report["pictures_seen"] == report["steps"] * report["batch"]
    assert report["probe_auc"]["mean"] > report["probe_auc_untrained"]["mean"]
    log = weights_path(name).with_suffix(".csv").read_text().splitlines()
    assert log[0].startswith("step,pictures_seen,loss") and log[-1].startswith(f"{report['steps']},")


# ---------------------------------------------------------------- hostile files
def good_tensors():
    return {key: tensor.half().contiguous() for key, tensor in untrained(3).state_dict().items()}


def write_missing(path):
    pass


def write_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4821152\n")


def write_truncated(path):
    save_file(good_tensors(), path)
    path.write_bytes(path.read_bytes()[:100_000])


def write_pickle(path):
    torch.save(good_tensors(), path)


def write_empty(path):
    path.write_bytes(b"")


def write_folder(path):
    path.mkdir()


def write_huge_header(path):
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def write_other_keys(path):
    save_file({f"visual.layer{i}": torch.zeros(2) for i in range(9)}, path)


def write_other_shape(path):
    save_file({**good_tensors(), "patch.weight": torch.zeros(128, 3, 16, 16)}, path)


def write_nan(path):
    tensors = good_tensors()
    tensors["norm.weight"][4] = math.nan
    save_file(tensors, path)


def write_integers(path):
    tensors = good_tensors()
    tensors["norm.weight"] = tensors["norm.weight"].to(torch.int32)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (write_missing, "No such file"),
        (write_folder, "directory"),
        (write_pointer, "git lfs pull"),
        (write_truncated, "100000 bytes"),
        (write_pickle, "safetensors"),
        (write_empty, "0 bytes"),
        (write_huge_header, "10 bytes"),
        (write_other_keys, "first: visual.layer0, visual.layer1, visual.layer2, visual.layer3, visual.layer4"),
        (write_other_shape, "patch.weight of shape (128, 3, 8, 8), found (128, 3, 16, 16)"),
        (write_nan, "norm.weight, found 1 that are infinite or not a number"),
        (write_integers, "norm.weight, found torch.int32"),
    ],
)
def test_hostile_weights_file(tmp_path, write, says):
    path = tmp_path / "my network.safetensors"
    write(path)
    with pytest.raises(InputError) as caught:
        load_demo("demo-vit", weights=path)
    message = str(caught.value)
    assert "my network.safetensors" in message and says in message and "\n" not in message
    assert message.count(";") >= 1  # ends with what to do


def test_unknown_name():
    with pytest.raises(InputError, match="demo-vit, demo-mae"):
        load_demo("demo-clip")


# ---------------------------------------------------------------- training
@pytest.mark.parametrize("objective", ["supervised", "masked"])
def test_training_writes_a_network_that_loads(objective, tmp_path, small, pictures):
    report = make_demo_networks.train(objective, tmp_path, steps=3, seed=1, **small)
    name = make_demo_networks.NAMES[objective]
    backbone = load_demo(name, tmp_path / f"{name}.safetensors")
    local, _ = backbone.tokens(pictures)
    assert torch.isfinite(local[-1]).all()
    assert backbone.fingerprint != load_demo(name).fingerprint
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert written == report and written["steps"] == 3 and written["seed"] == 1 and written["pictures_seen"] == 12
    assert len(written["probe_auc_by_layer"]) == 12
    assert ("auc" in written) == (objective == "supervised")
    assert (tmp_path / f"{name}.csv").read_text().splitlines()[-1].startswith("3,12,")


def test_a_step_lowers_the_loss_of_its_own_pictures(small):
    images, targets, cover = make_demo_networks.training_pictures(small["pictures"])
    torch.manual_seed(0)
    for objective, kind in (("supervised", make_demo_networks.Supervised), ("masked", make_demo_networks.Masked)):
        model = kind()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        data = (images[:3], targets[:3], cover[:3])
        losses = [
            make_demo_networks.train_step(model, optimizer, objective, data, step, 150, 0, 3) for step in range(12)
        ]
        assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3]), objective


def test_resumed_training_equals_undisturbed(tmp_path, small, monkeypatch):
    monkeypatch.setattr(make_demo_networks, "SAVE_EVERY", 2)
    make_demo_networks.train("supervised", tmp_path / "whole", steps=4, seed=2, **small)
    step = make_demo_networks.train_step

    def stops(*arguments):
        if arguments[4] == 3:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(make_demo_networks, "train_step", stops)
    with pytest.raises(KeyboardInterrupt):
        make_demo_networks.train("supervised", tmp_path / "parts", steps=4, seed=2, **small)
    monkeypatch.setattr(make_demo_networks, "train_step", step)
    make_demo_networks.train("supervised", tmp_path / "parts", steps=4, seed=2, resume=True, **small)
    whole, parts = (load_file(tmp_path / way / "demo-vit.safetensors") for way in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_hidden_patches_are_blocks():
    visible = make_demo_networks.visible_patches(5, np.random.default_rng(0))
    assert visible.shape == (5, 48) and all(len(set(row)) == 48 for row in visible.tolist())
    grid = np.zeros((SIDE, SIDE), bool)
    grid.ravel()[visible[0]] = True
    blocks = grid.reshape(7, 2, 7, 2).sum((1, 3))
    assert set(np.unique(blocks)) == {0, 4}


def test_patches_keep_their_pixels():
    pictures = torch.arange(2 * 3 * 112 * 112, dtype=torch.float32).view(2, 3, 112, 112)
    cut = make_demo_networks.patches(pictures)
    assert cut.shape == (2, 196, 192)
    assert torch.equal(cut[1, 15].view(8, 8, 3), pictures[1, :, 8:16, 8:16].permute(1, 2, 0))


def test_area_under_curve():
    truth = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    areas = make_demo_networks.area_under_curve(truth, np.array([[0.9, 1], [0.2, 1], [0.5, 1], [0.1, 1]]))
    assert areas[0] == 0.75 and np.isnan(areas[1])
