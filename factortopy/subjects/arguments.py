"""What ``Subject`` is given, checked argument by argument: each comes back in its one form, or an error says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from factortopy.formats.npy import as_float32, row_blocks, whole_numbers
from factortopy.formats.problems import stop
from factortopy.subjects.split import Split, default_split
from factortopy.surfaces.coordinates import Vertices
from factortopy.wording import first_few, safe_label


def positive(value, what, unit):
    """A float above 0; ``unit`` says of what."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise stop(what, f"{unit} above 0", repr(value), "correct it")
    return number


def matrix(responses):
    """Responses as a (T, N) float32 array; a float32 memory map stays one."""
    if not isinstance(responses, np.ndarray):
        try:
            responses = np.asarray(responses)
        except (ValueError, TypeError):
            raise stop("responses", "a (trials, vertices) array", "rows of different length", "check it") from None
    if responses.ndim != 2 or 0 in responses.shape:
        raise stop("responses", "a (trials, vertices) array that is not empty", f"shape {responses.shape}", "check it")
    if responses.dtype.kind not in "fiu":
        raise stop("responses", "numbers", f"values of type {responses.dtype}", "convert them to float32")
    if responses.dtype == np.float32 and responses.dtype.isnative:
        return responses
    out = np.empty(responses.shape, dtype=np.float32)
    for rows in row_blocks(*responses.shape):
        out[rows] = as_float32(responses[rows])
    return out


def checked_vertices(hemi, vertex, density, shape):
    """``Vertices`` of the columns of responses of this shape."""
    n_trials, n = shape
    hemi, vertex = whole_numbers(hemi, "hemi"), whole_numbers(vertex, "vertex")
    if len(hemi) != n or len(vertex) != n:
        actual = f"{n:,} columns of responses, {len(hemi):,} in hemi, {len(vertex):,} in vertex"
        turned = len(hemi) == len(vertex) == n_trials
        remedy = "responses look transposed: give (trials, vertices)" if turned else "give one value a vertex"
        raise stop("hemi and vertex", "as many values as responses have columns", actual, remedy)
    return Vertices(hemi, vertex, density)


def checked_images(images):
    """None, an (n, H, W, 3) uint8 array, a list of such pictures or paths, or a sequence that reads them one by one."""
    if images is None:
        return None
    if isinstance(images, np.ndarray) and images.dtype != object:
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            remedy = "convert them (floats from 0 to 1: times 255, then to uint8)"
            raise stop("images", "(n, height, width, 3) uint8", f"shape {images.shape} of {images.dtype}", remedy)
        return images
    if isinstance(images, (str, bytes, os.PathLike)) or not hasattr(images, "__len__"):
        raise stop("images", "a list of arrays or paths", f"a {type(images).__name__}", "give one entry a picture")
    if not isinstance(images, (list, tuple)):
        return images  # a sequence that reads its pictures one by one
    missing = []
    for i, image in enumerate(images):
        if isinstance(image, (str, os.PathLike)):
            if not Path(image).is_file():
                missing.append(image)
        elif not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            actual = f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            expected = "a path or a (height, width, 3) uint8 array"
            raise stop(f"images[{i}]", expected, actual, "use factortopy.read_image")
    if missing:
        names = first_few([safe_label(path) for path in missing])
        raise stop("images", "files that exist", f"{len(missing):,} that do not: {names}", "correct the paths")
    return list(images)


def checked_index(index, n_trials, images):
    """(T,) int64 row of ``images`` behind each trial."""
    if index is None:
        if images is not None and len(images) != n_trials:
            actual = f"{len(images):,} pictures but {n_trials:,} rows"
            raise stop("responses", "one row a picture (no image_index given)", actual, "give image_index")
        return np.arange(n_trials)
    index = whole_numbers(index, "image_index", n_trials)
    top = len(images) if images is not None else None
    if index.min() < 0 or (top is not None and index.max() >= top):
        outside = index[(index < 0) | (index >= (top or np.inf))]
        wanted = "rows of images from 0 on" if top is None else f"rows of images from 0 to {top - 1:,}"
        raise stop("image_index", wanted, f"{first_few(np.unique(outside))}", "counted from 1? subtract 1")
    return index


def checked_split(split, image_index):
    """A Split that fits the trials; the default one for None."""
    if split is None:
        return default_split(image_index)
    if not isinstance(split, Split):
        raise stop("split", "a factortopy.Split(train, val, test)", f"a {type(split).__name__}", "build one")
    split.check(image_index)
    return split


def per_trial(values, what, n_trials):
    """(T,) array, or None."""
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != (n_trials,):
        raise stop(what, f"one value a trial ({n_trials:,})", f"shape {values.shape}", "check it")
    return values


def per_vertex(values, what, n):
    """(N,) float32."""
    try:
        values = as_float32(values)
    except (TypeError, ValueError):
        raise stop(what, f"one number a vertex ({n:,})", "something else", "check it") from None
    if values.shape != (n,):
        raise stop(what, f"one number a vertex ({n:,})", f"shape {values.shape}", "another subject's?")
    return values


def checked_coords(coords, n):
    """(N, 3) float32, all finite."""
    try:
        coords = as_float32(coords)
    except (TypeError, ValueError):
        raise stop("coords", f"numbers of shape ({n:,}, 3)", "something else", "check it") from None
    if coords.shape != (n, 3):
        raise stop("coords", f"shape ({n:,}, 3)", f"shape {coords.shape}", "give x, y, z of every vertex")
    if not np.isfinite(coords).all():
        raise stop("coords", "finite numbers", "missing or infinite ones", "correct them")
    return coords


def checked_mask(mask, name, n):
    """(N,) bool of a ROI."""
    mask = np.asarray(mask)
    if mask.shape != (n,) or not (mask.dtype == bool or (mask.dtype.kind in "iu" and np.isin(mask, (0, 1)).all())):
        actual = f"shape {mask.shape} of {mask.dtype}"
        raise stop(f"roi {safe_label(name)}", f"({n:,},) true or false, one a vertex", actual, "give a mask")
    return mask.astype(bool)
