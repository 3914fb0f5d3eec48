"""The order of pictures: a shifted one is noticed, a right one is not blamed, and what cannot be told is said."""

import numpy as np

from factortopy.subjects.folder.films import Film, Frames
from factortopy.subjects.picture_order import picture_order
from factortopy.subjects.split import Split
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
    order = picture_order(subject())
    assert order.as_given > 0.3 > order.shifted and not order.suspicious and "V1" in order.sentence()


def test_shifted_order_is_noticed():
    for shift in (1, -1, 3):
        order = picture_order(subject(shift))
        assert order.suspicious and "may be wrong" in order.sentence()


def watched(delays, n=150, seed=0):
    """A film of one frame a TR, to which the brain answers 3 TRs later."""
    still = subject(n=n, noise=0.3, seed=seed)
    rows = np.arange(n)
    film = Film(rows[:, None], np.zeros(n, int), np.zeros(n, int), rows, rows * 2.0, 2.0, delays, Frames([np.stack(still.images)],
                np.stack([np.zeros(n, int), rows], 1)))  # fmt: skip
    answers = np.roll(still.responses, 3, 0)
    return Subject(answers, film.pictures, still.hemi, still.vertex, split=Split(rows[:100], rows[100:120], rows[120:]),
                   image_index=film.image_index, film=film)  # fmt: skip


def test_a_film_is_looked_at_after_its_delays():
    order = picture_order(watched((3,)))
    assert order.as_given > 0.3 > order.shifted and not order.suspicious and "3 TRs (6 s) later" in order.sentence()
    several = picture_order(watched((2, 3, 4, 5), n=300))
    assert several.as_given > 0.1 and not several.suspicious and "2 to 5 TRs (4 to 10 s)" in several.sentence()
    early = picture_order(watched((0,)))
    assert early.suspicious and "onsets or delays may be wrong" in early.sentence()


def test_noise_says_that_nothing_can_be_told():
    assert "too little" in picture_order(subject(noise=100.0)).sentence()


def test_too_few_or_no_pictures():
    assert picture_order(subject(n=30)) is None and picture_order(subject(images=False)) is None


def test_part_of_a_large_set_keeps_neighbours():
    order = picture_order(subject(1, n=300), most=100)
    assert order.pictures == 100 and order.suspicious
