"""Halves of a subject's pictures: nothing on two sides, repeats together, the rest as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.errors import InputError
from factortopy.subjects.split import SPLIT_PARTS
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import half_of_pictures


def subject(n_images, times, seed=0):
    """A subject who saw each picture up to ``times`` times, in any order."""
    rng = np.random.default_rng(seed)
    index = rng.permutation(np.repeat(np.arange(n_images), rng.integers(1, times + 1, n_images)))
    responses = rng.standard_normal((len(index), 4)).astype(np.float32)
    return Subject(responses, None, [0, 0, 1, 1], [0, 1, 0, 1], image_index=index, simulated=True)


def pictures(one, *parts):
    return set(one.image_index[np.concatenate([getattr(one.split, part) for part in parts])].tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(30, 90), st.integers(1, 4), st.integers(0, 10**6), st.integers(0, 5))
def test_pairs_divide_the_pictures(n_images, times, seed, pair):
    whole = subject(n_images, times, seed)
    first, second = (half_of_pictures(whole, 2 * pair + k) for k in (1, 2))
    learnt = pictures(whole, "train", "val")
    assert pictures(first, "train", "val") | pictures(second, "train", "val") == learnt
    assert not pictures(first, "train", "val") & pictures(second, "train", "val")
    for half in (first, second):
        for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
            assert not pictures(half, a) & pictures(half, b)
        assert half.split.test.tolist() == whole.split.test.tolist() and half.whole == whole.split
        rows = np.concatenate([getattr(half.split, part) for part in SPLIT_PARTS])
        both = pictures(half, "train", "val")
        assert {r for r in range(whole.n_trials) if whole.image_index[r] in both} == set(rows) - set(half.split.test)
        assert abs(len(pictures(half, "val")) / len(both) - len(pictures(whole, "val")) / len(learnt)) <= 1 / len(both)
    assert half_of_pictures(whole, 2 * pair + 1).split == first.split
    assert half_of_pictures(whole, 2 * pair + 3).split != first.split


def test_too_few_pictures_are_said():
    with pytest.raises(InputError, match="training pictures|different pictures"):
        small = subject(10, 1)
        half = half_of_pictures(half_of_pictures(small, 1), 1)
        half_of_pictures(half, 1)


def test_a_half_is_prepared_as_the_whole_is(planted, planted_subject):
    """Number of channels and principal components are those of all pictures: a half is fitted as the whole is."""
    from factortopy.encoder.fast import FastSettings
    from factortopy.encoder.fitting import fit
    from factortopy.encoder.problem import pose

    half = half_of_pictures(planted_subject, 1)
    whole, part = (pose(one, planted.features, 8, "cpu") for one in (planted_subject, half))
    for a, b in zip(whole.local_basis, part.local_basis, strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)
    assert len(part.train) < 0.6 * len(whole.train) and not set(part.train) & set(part.val)
    encoder = fit(half, planted.features, steps=2)
    assert encoder._alignment["local"][0].shape[1] == FastSettings().settled(len(planted_subject.split.train)).dim
