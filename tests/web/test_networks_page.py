"""The Networks page: the table and its filters, one network's facts, its layers, weights that cannot be fetched."""

import time

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, follow, words

from factortopy.analysis.token_colours import token_colours
from factortopy.backbones.loading import list_backbones
from factortopy.jobs import job as work
from pages.parts.background import tasks


@pytest.fixture
def networks(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for key in list(tasks.all()):
        tasks.forget(key)
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/networks.py").run()


def pressed(at, label):
    return next(button for button in at.button if button.label.startswith(label)).click().run()


def until(at, done, seconds=120):
    end = time.monotonic() + seconds
    while not done(at):
        assert time.monotonic() < end and not at.exception
        time.sleep(0.3)
        at.run()
    return at


def network_of(at):
    """What the page Train has chosen."""
    return at.selectbox(key="train network").value


def test_every_network_is_in_the_table(networks):
    assert not networks.exception and not networks.error
    rows = networks.dataframe[0].value
    assert rows["Network"].tolist() == [entry.name for entry in list_backbones()]
    assert "demo-vit" in words(networks).replace("\\", "") and "BSD" in words(networks)
    assert any(one.value.startswith("**Trained for** supervised") for one in networks.markdown)


def test_a_network_of_a_library_is_looked_up_by_its_name(networks):
    at = networks.text_input(key="typed network").set_value("timm/vit_tiny_patch16_224").run()
    said = words(at).replace("\\", "")
    assert not at.exception and not at.error
    assert (
        "**Layers** 12, up to 192 channels" in said and "5.5 million" in said and "huggingface.co/timm/vit_tiny" in said
    )
    at = pressed(at, "Fetch the weights of timm")
    at = until(at, lambda at: at.error)
    assert "model hub" in at.error[0].value and "vit\\_tiny" in at.error[0].value
    at = at.toggle(key="random timm/vit_tiny_patch16_224").set_value(True).run()
    assert "unknown until the first batch" in words(at)
    at = pressed(at, "Show its layers")
    at = until(at, lambda at: "principal components over" in words(at))
    assert "timm/vit_tiny_patch16_224 untrained" in words(at)
    at = follow(at, "Train an encoder with it")
    assert network_of(at) == "timm/vit_tiny_patch16_224 untrained" and not at.exception
    assert "like ViT" in words(at)


def test_a_name_that_nothing_has_is_said_beside_it(networks):
    at = networks.text_input(key="typed network").set_value("vit_bas_patch16_224").run()
    assert not at.exception and "did you mean timm" in at.error[0].value and "demo-vit" in words(at).replace("\\", "")


def test_filters(networks):
    at = networks.selectbox(key="objective").set_value("masked reconstruction").run()
    shown = at.dataframe[0].value["Network"].tolist()
    assert shown and all(name.startswith(("mae", "demo-mae")) for name in shown)
    at = at.toggle(key="here").set_value(True).run()
    assert set(at.dataframe[0].value["Weights"]) == {"here"}
    at = at.selectbox(key="library").set_value("diffusers").run()
    assert "No network is like that" in words(at) and not at.exception


def test_one_pictures_tokens_are_shown_layer_by_layer(networks):
    at = pressed(networks, "Show its layers")
    at = until(at, lambda at: "principal components" in words(at) or at.error)
    assert not at.error
    said = words(at)
    assert r"10,000 pictures\: about" in said and "of disk" in said


def test_random_weights_are_called_untrained_and_go_to_training(networks):
    at = networks.toggle(key="random demo-vit").set_value(True).run()
    at = follow(at, "Train an encoder with it")
    assert not at.exception
    assert network_of(at) == "demo-vit untrained"


def test_how_an_extraction_ended_stays_to_be_read(networks, monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)  # nobody does it: how it goes is said here
    monkeypatch.setattr("factortopy.jobs.queue.wake", lambda: None)

    def opened(at):
        (found,) = [one for one in at.expander if one.label.startswith("Extract its features")]
        return found.proto.expanded

    at = networks.run()
    assert not opened(at) and "the demo subject is made, once" in words(at)
    at = pressed(at, "Extract features")
    (job,) = work.list_jobs()
    assert job.status == "queued" and opened(at.run()) and not at.exception
    job.update(state="failed", reason="the disk is full")
    assert opened(at.run()) and "the disk is full" in at.error[0].value
    job.update(state="finished", finished=True, result={"pictures": 3000, "layers": 12, "simulated": True})
    assert opened(at.run()) and "3,000 pictures (simulated), 12 layers, kept on disk" in at.success[0].value
    other = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/networks.py").run()
    assert not opened(other)  # who did not see it begin is not shown it


def test_weights_that_cannot_be_fetched_are_said(networks):
    at = networks.selectbox(key="library").set_value("open_clip").run()
    assert "not on this machine yet" in words(at)
    at = pressed(at, "Fetch the weights of clip-xl")
    at = until(at, lambda at: at.error)
    assert "model hub" in at.error[0].value and "Traceback" not in at.error[0].value


def test_train_says_what_is_to_be_fetched_and_what_it_takes(networks):
    at = networks.switch_page("pages/train.py").run()
    box = next(box for box in at.selectbox if box.label == "Network")
    at = box.set_value("clip-l").run()
    said = words(at).replace("\\", "")
    assert "Its weights, about 345 MB, are not on this machine" in said and "laion/CLIP-ViT-B-16" in said
    assert "3.6 GB of disk at most" in said and "are free" in said and "About 2" in said and not at.exception
    at = next(box for box in at.number_input if box.label.startswith("Principal components")).set_value(64).run()
    assert "0.3 GB of disk at most" in words(at).replace("\\", "")


# ---------------------------------------------------------------- the colours


def test_colours_follow_the_largest_differences():
    rng = np.random.default_rng(0)
    side = np.zeros((8, 8, 5))
    side[:, 4:, 2] = 10.0  # right half
    side[4:, :, 1] = 3.0  # lower half
    colours, share = token_colours([side + 0.01 * rng.standard_normal(side.shape), -side])
    red = colours[0][..., 0].astype(float)
    assert abs(red[:, 4:].mean() - red[:, :4].mean()) > 150 and abs(red[4:].mean() - red[:4].mean()) < 50
    assert share[0] > 0.99 and colours[0].dtype == np.uint8 and colours[0].shape == (8, 8, 3)
    apart = np.abs(colours[0].astype(float) - colours[1])[..., :2]
    assert apart.mean() < 30  # the sign of a layer follows the one before


def test_colours_of_layers_without_differences_or_of_few_channels():
    colours, share = token_colours([np.ones((4, 4, 3)), np.arange(4.0).reshape(2, 2, 1)])
    assert share.tolist() == [0, 1] and np.unique(colours[0]).tolist() == [128]
    assert colours[1].shape == (2, 2, 3) and torch.tensor(colours[1][..., 0]).unique().numel() == 4
