"""Which trials train, which validate, which test: no picture stands on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from factortopy.formats.npy import whole_numbers
from factortopy.formats.problems import stop
from factortopy.wording import first_few

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MIN_IMAGES = 10  # fewer cannot be split 8:1:1 with two pictures to validate and two to test on
SPLIT_PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of ``responses`` by use.

    train, val, test : (n,) int64
        Trial rows, 0-based, without repeats; trials in none of them are left unused.

    Raises
    ------
    InputError
        When a row is in two parts, twice in one, negative or no whole number.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def __post_init__(self) -> None:
        for part in SPLIT_PARTS:
            object.__setattr__(self, part, whole_numbers(getattr(self, part), f"split {part}"))
        everything = np.concatenate([self.train, self.val, self.test])
        unique, counts = np.unique(everything, return_counts=True)
        if (counts > 1).any():
            raise stop("split", "every trial once", f"some twice: {first_few(unique[counts > 1])}", "remove them")
        if len(unique) and unique[0] < 0:
            raise stop("split", "trial rows from 0 on", f"row {unique[0]}", "count trials from 0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Split) and self.as_dict() == other.as_dict()

    def as_dict(self) -> dict[str, list[int]]:
        """{part: list of int}, for a JSON file."""
        return {part: getattr(self, part).tolist() for part in SPLIT_PARTS}

    def check(self, image_index: np.ndarray) -> None:
        """Raise where the parts do not fit the trials: ``image_index`` (T,) is the picture of each trial."""
        for part in SPLIT_PARTS:
            rows = getattr(self, part)
            if len(rows) == 0:
                raise stop("split", f"at least one trial in {part}", "none", "give every part some pictures")
            if rows.max() >= len(image_index):
                expected = f"trial rows below {len(image_index):,}"
                raise stop("split", expected, f"row {rows.max():,} in {part}", "check the rows")
        images = {part: np.unique(image_index[getattr(self, part)]) for part in SPLIT_PARTS}
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            both = np.intersect1d(images[first], images[second])
            if len(both):
                actual = f"{len(both):,} pictures in both {first} and {second} (images {first_few(both)})"
                remedy = "split by picture, not by trial; copies of a picture count as one"
                raise stop("split", "every picture on one side only", actual, remedy)
        if len(images["train"]) < 2 or len(images["test"]) < 2:
            expected = "at least 2 different pictures to train and 2 to test"
            actual = f"{len(images['train'])} and {len(images['test'])}"
            raise stop("split", expected, actual, "R² has no meaning on one picture: add pictures")


def default_split(image_index: ArrayLike, seed: int = 0, test: np.ndarray | None = None) -> Split:
    """The 8:1:1 split over unique pictures, from the pictures and the seed alone, so the same for every network.

    Parameters
    ----------
    image_index : (T,) int
        Picture of each trial.
    seed : int
    test : (n,) int, optional
        Trial rows that a data set keeps for testing; the rest is then split 8:1 into train and val.

    Raises
    ------
    InputError
        For fewer than ``MIN_IMAGES`` different pictures.
    """
    image_index = np.asarray(image_index)
    kept = np.isin(image_index, image_index[test]) if test is not None else np.zeros(len(image_index), bool)
    pool = np.unique(image_index[~kept])
    n_images = len(np.unique(image_index))
    if n_images < MIN_IMAGES or len(pool) < 4:
        expected = f"at least {MIN_IMAGES} different pictures to train, validate and test on"
        actual = f"{n_images}" if n_images < MIN_IMAGES else f"only {len(pool)} beside the test pictures"
        raise stop("images", expected, actual, "add pictures with their responses")
    shuffled = pool[np.random.default_rng(seed).permutation(len(pool))]
    if test is None:
        n = max(2, round(len(pool) / 10))
        test_images, val_images = shuffled[:n], shuffled[n : 2 * n]
        test_rows = np.flatnonzero(np.isin(image_index, test_images))
        used = 2 * n
    else:
        used = max(1, round(len(pool) / 9))
        val_images, test_rows = shuffled[:used], np.sort(whole_numbers(test, "split test"))
    train_rows = np.flatnonzero(np.isin(image_index, shuffled[used:]))
    return Split(train_rows, np.flatnonzero(np.isin(image_index, val_images)), test_rows)
