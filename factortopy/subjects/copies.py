"""Copies of a picture under several numbers: one picture that was shown several times, which must not stand on two sides of a split."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.formats.problems import warn
from factortopy.wording import first_few, safe_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from factortopy.formats.problems import Problem


def first_copies(images: Sequence[object] | np.ndarray | None) -> np.ndarray | None:
    """(n,) int64: of each picture the first one that is the same, byte by byte (files) or pixel by pixel (arrays).

    None where pictures are read one by one from a larger file (NSD's, whose pictures differ), or there are none. A file and an array
    are never the same here, nor are two encodings of one picture.
    """
    if not isinstance(images, (list, np.ndarray)):
        return None
    first, seen = np.arange(len(images)), {}
    for i, image in enumerate(images):
        seen.setdefault(_quick(image), []).append(i)
    for alike in seen.values():
        whole = {}
        for i in alike if len(alike) > 1 else ():
            first[i] = whole.setdefault(_content(images[i]), i)
    return first


def copies_warning(first: np.ndarray, images: Sequence[object] | np.ndarray, thing: object) -> Problem | None:
    """What to say of copies; None where there are none."""
    again = np.flatnonzero(first != np.arange(len(first)))
    if not len(again):
        return None
    pairs = first_few([f"{_name(images, first[k])} = {_name(images, k)}" for k in again], 3)
    return warn(
        thing, "every picture once", f"{len(again):,} that {'is a copy' if len(again) == 1 else 'are copies'}: {pairs}",
        "they count as the same picture shown again; if they were meant to differ, correct the files",
    )  # fmt: skip


def _name(images, k):
    return safe_label(Path(images[k]).name) if isinstance(images[k], (str, os.PathLike)) else f"picture {k + 1}"


def _quick(image):
    """What is quickly read and differs between most pictures."""
    if isinstance(image, np.ndarray):
        return image.shape, image[len(image) // 2].tobytes()
    try:
        with open(image, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(size // 2)
            return size, file.read(512)
    except (OSError, TypeError):  # whoever reads the picture says so
        return id(image)


def _content(image):
    try:
        data = image.tobytes() if isinstance(image, np.ndarray) else Path(image).read_bytes()
    except (OSError, TypeError):
        return id(image)
    return hashlib.blake2b(data, digest_size=16).digest()  # not the bytes: a thousand alike ones would fill the memory
