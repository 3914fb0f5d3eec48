"""Extraction at scale: what it says before, memory that runs out, precision and device, a network of each library to a map."""

import numpy as np
import pytest
import torch
from networks import small
from small_network import SmallNetwork, pictures

import factortopy as ft
from factortopy.backbones.registry import ENTRIES
from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.features.estimate import plan
from factortopy.features.extraction import compute, extract
from factortopy.features.reader import Reader, on_device


class Hungry(SmallNetwork):
    """Has memory for so many pictures at once."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        super().__init__()
        self.room, self.error, self.sizes = room, error, []

    def tokens(self, images):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.error("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        return super().tokens(images)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_batches_shrink_until_they_fit_and_nothing_is_lost(error):
    hungry, images = Hungry(5, error), pictures(70)
    found, expected = compute(hungry, images), compute(SmallNetwork(), images)
    for a, b in zip(found.local + found.global_, expected.local + expected.global_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(size > 5 for size in hungry.sizes) == 3  # 32, 16, 8: learnt once
    assert sum(size for size in hungry.sizes if size <= 5) == 70


def test_no_room_for_one_picture_and_other_faults():
    with pytest.raises(InputError, match="memory for one picture") as caught:
        compute(Hungry(0), pictures(3))
    assert "\n" not in str(caught.value)

    class Broken(SmallNetwork):
        def tokens(self, images):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        compute(Broken(), pictures(3))


def test_a_plan_tells_what_is_written():
    network, images = SmallNetwork(), pictures(50)
    told = plan(network, 50, seconds=0.1)
    features = extract(network, images)
    assert told.bytes == sum(array.nbytes for array in (*features.local, *features.global_))
    assert told.pictures == 50 and told.pictures_per_second > 0 and told.seconds > 0
    assert "50 pictures: about" in told.sentence() and "of disk" in told.sentence()
    assert plan(network, 73_000, seconds=0.1).bytes == 1460 * told.bytes
    assert "more than the" in plan(network, 10**12, seconds=0.1).sentence()
    assert plan(network, 50, grid=None, seconds=0.1).bytes == 50 * 2 * (64 * 3 + 16 * 6 + 9)


def test_precision_is_part_of_the_key_and_close():
    network, images = ft.load_backbone("demo-vit", "untrained"), pictures(4, 112)
    exact, mixed = extract(network, images), extract(network, images, precision="bfloat16")
    assert not np.array_equal(exact.local[-1], mixed.local[-1])  # computed anew
    scale = np.abs(exact.local[-1]).astype(float).std()
    assert np.abs(exact.local[-1].astype(float) - mixed.local[-1]).mean() < 0.05 * scale
    np.testing.assert_array_equal(extract(network, images).local[-1], exact.local[-1])
    with pytest.raises(InputError, match="float32, float16, bfloat16"):
        extract(network, images, precision="float8")


def test_a_convolutional_network_in_bfloat16_is_left_as_it_was():
    network = ft.load_backbone("timm/resnet18", "untrained")
    images, weights = pictures(3, 64), {k: (w.stride(), w.clone()) for k, w in network.model.state_dict().items()}
    exact, mixed = compute(network, images, grid=4), compute(network, images, grid=4, precision="bfloat16")
    for k, w in network.model.state_dict().items():
        assert w.stride() == weights[k][0] and torch.equal(w, weights[k][1])
    for a, b in zip(exact.local, mixed.local, strict=True):
        assert not np.array_equal(a, b) and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    again = compute(network, images, grid=4)
    for a, b in zip(exact.local, again.local, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pace_in_another_precision_is_not_kept():
    network, images = SmallNetwork(), pictures(8)
    plan(network, 50, seconds=0.3, images=images, precision="bfloat16")
    assert "small" not in speed.measured()
    plan(network, 50, seconds=0.3, images=images)
    assert "small" in speed.measured()


def test_a_device_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    network = ft.load_backbone("demo-vit", "untrained")
    with pytest.raises(InputError, match="device cuda: expected one that holds demo-vit") as caught:
        extract(network, pictures(2), device="cuda")
    assert "\n" not in str(caught.value) and network.device.type == "cpu"
    for nonsense in ("potato", "cuda:x"):
        with pytest.raises(InputError, match="device"):
            extract(network, pictures(2), device=nonsense)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_is_used_in_half_precision_and_left_again():
    network = ft.load_backbone("demo-vit", "untrained")
    images = pictures(40, 112)
    exact = extract(network, images, device="cpu")
    found = extract(network, images)
    assert network.device.type == "cpu"
    with on_device(network, None):
        assert network.device.type == "cuda" and Reader(network, 8).precision == "float16"
    scale = np.abs(exact.local[-1]).astype(float).std()
    assert np.abs(exact.local[-1].astype(float) - found.local[-1]).mean() < 0.02 * scale


@pytest.mark.parametrize("name", ["clip-m", "mae-b", "imagenet-b", "sd-1.5", "inception-v3", "resnet50"])
def test_a_network_of_each_library_goes_to_a_map(name):
    """Extract, train, predict, factors (simulated responses)."""
    if name == "sd-1.5":
        pytest.importorskip("diffusers")
    network, images = small(ENTRIES[name]), pictures(20, 32)
    features = extract(network, images, grid=4)
    assert not features.trained and len(features.local) == len(network.layer_names)
    rng = np.random.default_rng(0)
    responses = rng.standard_normal((20, 6)).astype(np.float32)
    subject = ft.Subject(responses, images, [0, 0, 0, 1, 1, 1], [0, 1, 2] * 2, simulated=True)
    encoder = ft.fit(subject, features, steps=2)
    assert encoder.selectors().layer.shape == (6, len(network.layer_names))
    assert np.isfinite(encoder.predict_features(features)).all() and encoder.info["trained"] is False
