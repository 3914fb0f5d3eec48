"""The order of pictures: a shifted one is noticed, a right one is not blamed, and what cannot be told is said."""

import numpy as np

from factortopy.analysis.order import picture_order
from factortopy.subjects.subject import Subject


def subject(shift=0, n=150, noise=0.5, images=True, seed=0):
    rng = np.random.default_rng(seed)
    strength = rng.uniform(5, 60, (n, 8, 8))
    pictures = 128 + strength.repeat(4, 1).repeat(4, 2)[..., None] * rng.standard_normal((n, 32, 32, 1))
    pictures = np.clip(pictures, 0, 255).astype(np.uint8).repeat(3, 3)
    answers = np.log1p(strength).reshape(n, 64) + noise * rng.standard_normal((n, 64))
    answers = np.roll(answers, shift, 0).astype(np.float32)
    half = np.repeat([0, 1], 32)
    vertex = np.tile(np.arange(32), 2)
    return Subject(
        answers, list(pictures) if images else None, half, vertex, rois={"V1": np.ones(64, bool)}, name="made"
    )


def test_right_order():
    found = picture_order(subject())
    assert found.as_given > 0.3 > found.shifted and not found.suspicious and "V1" in found.sentence()


def test_shifted_order_is_noticed():
    for shift in (1, -1, 3):
        found = picture_order(subject(shift))
        assert found.suspicious and "may be wrong" in found.sentence()


def test_noise_says_that_nothing_can_be_told():
    assert "too little" in picture_order(subject(noise=100.0)).sentence()


def test_too_few_or_no_pictures():
    assert picture_order(subject(n=30)) is None and picture_order(subject(images=False)) is None


def test_part_of_a_large_set_keeps_neighbours():
    found = picture_order(subject(1, n=300), most=100)
    assert found.pictures == 100 and found.suspicious
