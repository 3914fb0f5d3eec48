"""One picture under several numbers is one picture: no copy stands on another side of a split than the first."""

import shutil
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_folder import table

from factortopy.errors import InputError
from factortopy.subjects.check import check
from factortopy.subjects.copies import first_copies
from factortopy.subjects.loading import load_subject
from factortopy.subjects.split import SPLIT_PARTS, Split
from factortopy.subjects.subject import Subject
from factortopy.subjects.subset import fewer_pictures, half_of_pictures


def pictures_of(which, seed=0):
    """(n, 6, 4, 3) pictures, equal where the numbers ``which`` are; different ones may share the middle row that is looked at first."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 2, (max(which) + 1, 6, 4, 3)).astype(np.uint8)
    own[:, 3] = own[0, 3]
    own.reshape(len(own), -1)[:, :5] = np.arange(len(own))[:, None] // 2 ** np.arange(5) % 2
    return own[list(which)]


def seen(subject, part):
    """Contents of the pictures of a part of the split."""
    return {subject.image(i).tobytes() for i in subject.image_index[getattr(subject.split, part)]}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 31), min_size=40, max_size=90), st.booleans(), st.integers(0, 10**6))
def test_no_picture_is_on_two_sides(which, as_list, seed):
    images = pictures_of([*range(26), *which], seed)
    images = list(images) if as_list else images
    n = len(images)
    first = first_copies(images)
    assert first.tolist() == [next(j for j in range(n) if np.array_equal(images[i], images[j])) for i in range(n)]
    responses = np.random.default_rng(seed).standard_normal((n, 2)).astype(np.float32)
    whole = Subject(responses, images, [0, 1], [0, 0], simulated=True)
    assert whole.n_images == len(set(first.tolist()))
    for one in (whole, half_of_pictures(whole, 1), fewer_pictures(whole, 12)):
        for a, b in combinations(SPLIT_PARTS, 2):
            assert not seen(one, a) & seen(one, b)
    halves = [half_of_pictures(whole, k) for k in (1, 2)]
    learnt = [seen(half, "train") | seen(half, "val") for half in halves]
    assert not learnt[0] & learnt[1]


def test_copies_are_said_once_and_a_split_that_divides_them_is_refused():
    images = pictures_of([*range(20), 3, 7])
    subject = Subject(np.random.default_rng(0).standard_normal((22, 2)), images, [0, 1], [0, 0], simulated=True)
    assert subject.image_index[-2:].tolist() == [3, 7] and subject.repeats() == {1: 18, 2: 2}
    (said,) = [note for note in subject.notes if "copies" in note]
    assert "2 that are copies: picture 4 = picture 21, picture 8 = picture 22" in said
    apart = Split(np.arange(14), [14, 15], [16, 17, 18, 19, 20, 21])  # 20 and 21 are 3 and 7
    with pytest.raises(InputError, match="2 pictures in both train and test"):
        Subject(np.zeros((22, 2)), images, [0, 1], [0, 0], split=apart, simulated=True)


def test_copies_among_files(folder):
    shutil.copy(folder / "images" / "picture-002.png", folder / "images" / "picture-009.png")
    subject = load_subject(folder)
    assert subject.image_index.tolist() == [*range(9), 2, *range(10, 24)]
    lines = [line for line in check(folder).lines() if "picture-002.png = picture-009.png" in line]
    assert len(lines) == 1 and sum("picture-009.png" in note for note in subject.notes) == 1
    names = [f"picture-{k:03d}.png" for k in range(24)]
    part = np.array(["train"] * 24)
    part[[0, 1, 9]], part[[20, 21]] = "test", "val"
    table(folder, image=names, split=part)
    with pytest.raises(InputError, match=r"1 in train and in test: picture-002\.png"):
        load_subject(folder)


def test_nothing_is_said_where_all_differ(folder):
    subject = load_subject(folder)
    assert subject.image_index.tolist() == list(range(24)) and not any("cop" in note for note in subject.notes)


def test_pictures_that_cannot_be_read_are_left_to_their_reader(tmp_path):
    gone = str(tmp_path / "gone.png")
    assert len(first_copies([gone, gone, object()])) == 3
