"""A subject: responses of cortical vertices to pictures, where those vertices lie, and every check of both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.pictures.reading import read_image, safe_label
from factortopy.subjects.arrays import as_float32, mapped_blocks, row_blocks
from factortopy.subjects.findings import first_few, stop, warn
from factortopy.subjects.split import MIN_IMAGES, Split, default_split, whole_numbers
from factortopy.surfaces import N_VERTICES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = ["MIN_IMAGES", "Split", "Subject", "default_split"]


class Subject:
    """Measured or simulated responses of one person.

    Parameters (and attributes of the same names)
    ----------
    responses : (T, N) array of numbers, float32 kept as it is (also memory-mapped), others converted
        One row a trial, one column a vertex; any unit, NSD and Algonauts z-scored per session.
    images : sequence of (H, W, 3) uint8 arrays or paths, or None when only features are used
    hemi : (N,) 0 left, 1 right; left first
    vertex : (N,) 0-based index in that hemisphere's fsaverage mesh of ``density``
    coords : (N, 3) float32, optional
        Positions for the encoder; derived from the mesh on first use when None.
    rois : {name: (N,) bool}, optional
    noise_ceiling : (N,), optional
        Share of the variance that can be explained, 0…1; NaN where unknown.
    image_index : (T,) row of ``images`` behind each trial; default 0…T−1
    split : Split, optional
        Default 8:1:1 over unique pictures, seeded, the same for every network.
    name : str
    simulated : bool
    density : "10k", "41k" or "164k"
    image_degrees : float
        Width of a picture in degrees of visual angle.
    session : (T,), onset : (T,) seconds, tr : seconds; optional
    maps : {name: (N,)}, optional
        Measured maps, to stand beside simulated ones.
    film : movies.Film, optional; then a row is a TR, ``images`` are its frames, and the split is by contiguous blocks

    More attributes
    ---------------
    constant : (N,) bool
        Vertices that never change: grey on maps, left out of means.
    surface : str or None
        Folder of fsaverage's surfaces beside the data, from which ``coords`` are derived; None: fsaverage5 subdivided.
    kept : (N given,) bool
        False for columns that were dropped because values are missing or infinite.
    notes : list of str
        What was noticed and done, one sentence each: ``remarks`` (list of str) and ``warnings`` (list of Problem).

    Raises
    ------
    InputError
        Naming the argument, what was expected, what was found, what to do.
    """

    def __init__(
        self,
        responses: Any,
        images: Sequence[Any] | np.ndarray | None,
        hemi: ArrayLike,
        vertex: ArrayLike,
        coords: ArrayLike | None = None,
        rois: Mapping[str, ArrayLike] | None = None,
        noise_ceiling: ArrayLike | None = None,
        image_index: ArrayLike | None = None,
        split: Split | None = None,
        name: str = "",
        simulated: bool = False,
        density: str = "10k",
        image_degrees: float = 8.4,
        session: ArrayLike | None = None,
        onset: ArrayLike | None = None,
        tr: float | None = None,
        maps: Mapping[str, ArrayLike] | None = None,
        film: Any = None,
    ) -> None:
        self.name = safe_label(name) if str(name).strip() else ""
        self.simulated = bool(simulated)
        self.warnings: list[Any] = []
        self.remarks: list[str] = []
        self.surface: str | None = None
        self.density = known_density(density)
        self.image_degrees = _positive(image_degrees, "image_degrees", "degrees of visual angle")
        self.tr = None if tr is None else _positive(tr, "tr", "seconds")
        responses = _matrix(responses)
        n_trials, n_given = responses.shape
        hemi, vertex = _positions(hemi, vertex, self.density, responses.shape)
        self.images = _images(images)
        self.image_index = _image_index(image_index, n_trials, self.images)
        self.film = film
        if film is not None and len(film.frames) != n_trials:
            raise stop(
                "film", f"{n_trials:,} TRs, as responses have rows", f"{len(film.frames):,}", "give one row a TR"
            )
        split = film.split() if film is not None and split is None else split
        self.split = _split(split, self.image_index)
        self.session = _per_trial(session, "session", n_trials)
        self.onset = _per_trial(onset, "onset", n_trials)

        self.responses, self.kept, self.constant = self._usable(responses)
        keep = self.kept
        self.hemi, self.vertex = hemi[keep].astype(np.uint8), vertex[keep]
        self._coords = None if coords is None else _coords(coords, n_given)[keep]
        self.coords_given = coords is not None  # of the caller's own making: the encoder stretches their own span
        self.rois = {str(k): _mask(v, k, n_given)[keep] for k, v in (rois or {}).items()}
        self.maps = {str(k): _per_vertex(v, f"map {k}", n_given)[keep] for k, v in (maps or {}).items()}
        self.noise_ceiling = self._ceiling(noise_ceiling, n_given)
        empty = [name for name, mask in self.rois.items() if not mask.any()]
        if empty:
            self._warn(warn("rois", "vertices in every ROI", f"none in {first_few(empty)}", "they are not shown"))

    # ------------------------------------------------------------ what was found

    @property
    def notes(self) -> list[str]:
        """What was noticed and done, one sentence each."""
        return [*self.remarks, *(problem.line() for problem in self.warnings)]

    def remark(self, text: object) -> None:
        """Add a sentence to ``notes``."""
        self.remarks.append(" ".join(str(text).split()))

    def _warn(self, problem):
        self.warnings.append(problem)

    # ------------------------------------------------------------ sizes and parts

    @property
    def n_trials(self) -> int:
        return self.responses.shape[0]

    @property
    def n_vertices(self) -> int:
        return self.responses.shape[1]

    @property
    def n_images(self) -> int:
        """Different pictures that were seen."""
        return len(np.unique(self.image_index))

    @property
    def coords(self) -> np.ndarray:
        """(N, 3) float32 positions for the encoder, hemispheres apart, the whole mesh spanning 0…100."""
        if self._coords is None:
            from factortopy.surfaces import encoder_coords

            self._coords = encoder_coords(self.hemi, self.vertex, self.density, self.surface)
        return self._coords

    def roi_names(self) -> list[str]:
        """Names of the ROIs that hold at least one vertex, in order."""
        return [name for name, mask in self.rois.items() if mask.any()]

    def repeats(self) -> dict[int, int]:
        """{times shown: number of pictures}, ascending."""
        times = np.unique(self.image_index, return_counts=True)[1]
        return {int(k): int(n) for k, n in zip(*np.unique(times, return_counts=True), strict=True)}

    def image(self, i: int) -> np.ndarray:
        """Picture ``i`` of ``images`` as (H, W, 3) uint8."""
        if self.images is None:
            raise stop("subject", "pictures", "responses alone (images=None)", "load it with its pictures")
        if not 0 <= i < len(self.images):
            raise stop("picture", f"a number from 0 to {len(self.images) - 1:,}", f"{i}", "choose another")
        picture = self.images[i]
        return picture if isinstance(picture, np.ndarray) else read_image(picture)

    def picture_name(self, i: int) -> str:
        """What picture ``i`` is called: its file, its NSD number, else its number from 1."""
        if hasattr(self.images, "label"):
            return self.images.label(i)
        picture = self.images[i] if isinstance(self.images, list) else None
        return safe_label(picture) if isinstance(picture, str | os.PathLike) else f"picture {i + 1}"

    def answers(self, i: int) -> np.ndarray:
        """Trial rows that answer to picture ``i``; of a film, those its delays later."""
        rows = np.flatnonzero(self.image_index == i)
        return rows if self.film is None else self.film.answers(rows)

    def describe(self) -> str:
        """One line: who, how many trials and pictures, how many vertices where."""
        left = int((self.hemi == 0).sum())
        parts = [
            (self.name or "unnamed") + (" (simulated)" if self.simulated else ""),
            f"{self.n_trials:,} trials of {self.n_images:,} pictures",
            f"{left:,} left and {self.n_vertices - left:,} right vertices at {self.density}",
            f"{len(self.roi_names())} ROIs",
            "no noise ceiling" if self.noise_ceiling is None else "with noise ceiling",
        ]
        return " · ".join(parts)

    def __repr__(self) -> str:
        return f"<Subject {self.describe()}>"

    # ------------------------------------------------------------ checks that also repair

    def _usable(self, responses):
        """Responses without vertices that hold missing or infinite values; a memory map stays one if none do."""
        n_trials, n = responses.shape
        bad, constant, empty_rows = np.zeros(n, bool), np.ones(n, bool), 0
        first = np.array(responses[0])
        for _, block in mapped_blocks(responses):
            finite = np.isfinite(block)
            bad |= ~finite.all(0)
            constant &= (block == first).all(0)
            empty_rows += int((~finite.any(1)).sum())
        if bad.all():
            why = f"{empty_rows:,} trials without any value" if empty_rows else "missing values in every vertex"
            raise stop("responses", "at least one vertex with all its values", why, "remove those trials")
        if bad.any():
            self._warn(
                warn(
                    "responses",
                    "finite values",
                    f"{int(bad.sum()):,} of {n:,} vertices hold missing or infinite values",
                    "they are dropped",
                )
            )
            kept = np.empty((n_trials, int((~bad).sum())), dtype=np.float32)
            for rows in row_blocks(n_trials, n):
                kept[rows] = responses[rows][:, ~bad]
            responses = kept
        constant = constant[~bad]
        if constant.any():
            self._warn(
                warn(
                    "responses",
                    "values that vary from trial to trial",
                    f"{int(constant.sum()):,} of {len(constant):,} vertices that never change",
                    "they stay grey and out of means",
                )
            )
        return responses, ~bad, constant

    def _ceiling(self, ceiling, n_given):
        if ceiling is None:
            self.remark("no noise ceiling: only raw R² can be shown")
            return None
        ceiling = _per_vertex(ceiling, "noise_ceiling", n_given)[self.kept]
        high = np.nanmax(ceiling, initial=0)
        if high > 1 + 1e-6:
            raise stop(
                "noise_ceiling", "shares of the variance from 0 to 1", f"up to {high:g}", "divide per cent by 100"
            )
        useless = ~(ceiling > 0)
        if useless.any():
            self._warn(
                warn(
                    "noise_ceiling",
                    "values above 0",
                    f"{int(useless.sum()):,} of {len(ceiling):,} vertices with none, zero or less",
                    "they are left out wherever scores are divided by it",
                )
            )
        return None if useless.all() else np.where(useless, np.nan, ceiling).astype(np.float32)


# ---------------------------------------------------------------- checks of single arguments


def known_density(density: str) -> str:
    """The density itself; DataError when there is none of that name."""
    if density not in N_VERTICES:
        raise stop("density", "'10k', '41k' or '164k' (fsaverage5, 6, 7)", repr(density), "choose one of these")
    return density


def _positive(value, what, unit):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise stop(what, f"{unit} above 0", repr(value), "correct it")
    return number


def _matrix(responses):
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


def _positions(hemi, vertex, density, shape):
    n_trials, n = shape
    hemi, vertex = whole_numbers(hemi, "hemi"), whole_numbers(vertex, "vertex")
    if len(hemi) != n or len(vertex) != n:
        found = f"{n:,} columns of responses, {len(hemi):,} in hemi, {len(vertex):,} in vertex"
        turned = len(hemi) == len(vertex) == n_trials
        remedy = "responses look transposed: give (trials, vertices)" if turned else "give one value a vertex"
        raise stop("hemi and vertex", "as many values as responses have columns", found, remedy)
    if not np.isin(hemi, (0, 1)).all():
        raise stop("hemi", "0 for left and 1 for right", f"{first_few(np.setdiff1d(hemi, (0, 1)))}", "recode it")
    if (np.diff(hemi) < 0).any():
        raise stop("hemi", "all left vertices first", "right before left", "sort by np.argsort(hemi, kind='stable')")
    top = N_VERTICES[density]
    if vertex.min() < 0 or vertex.max() >= top:
        outside = vertex[(vertex < 0) | (vertex >= top)]
        one_based = vertex.min() >= 1 and vertex.max() == top
        remedy = "counted from 1? subtract 1" if one_based else f"check the density ({density})"
        raise stop("vertex", f"indices from 0 to {top - 1:,} ({density})", f"{first_few(np.unique(outside))}", remedy)
    numbers, counts = np.unique(hemi * top + vertex, return_counts=True)
    if (counts > 1).any():
        doubles = [f"{'left' if k < top else 'right'} {k % top}" for k in numbers[counts > 1]]
        raise stop("vertex", "every vertex once", f"{len(doubles):,} twice: {first_few(doubles)}", "remove the doubles")
    return hemi, vertex


def _images(images):
    if images is None:
        return None
    if isinstance(images, np.ndarray) and images.dtype != object:
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise stop(
                "images",
                "(n, height, width, 3) uint8",
                f"shape {images.shape} of {images.dtype}",
                "convert them (floats from 0 to 1: times 255, then to uint8)",
            )
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
            found = f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise stop(f"images[{i}]", "a path or a (height, width, 3) uint8 array", found, "use factortopy.read_image")
    if missing:
        names = first_few([safe_label(path) for path in missing])
        raise stop("images", "files that exist", f"{len(missing):,} that do not: {names}", "correct the paths")
    return list(images)


def _image_index(index, n_trials, images):
    if index is None:
        if images is not None and len(images) != n_trials:
            found = f"{len(images):,} pictures but {n_trials:,} rows"
            raise stop("responses", "one row a picture (no image_index given)", found, "give image_index")
        return np.arange(n_trials)
    index = whole_numbers(index, "image_index", n_trials)
    top = len(images) if images is not None else None
    if index.min() < 0 or (top is not None and index.max() >= top):
        outside = index[(index < 0) | (index >= (top or np.inf))]
        wanted = "rows of images from 0 on" if top is None else f"rows of images from 0 to {top - 1:,}"
        raise stop("image_index", wanted, f"{first_few(np.unique(outside))}", "counted from 1? subtract 1")
    return index


def _split(split, image_index):
    if split is None:
        return default_split(image_index)
    if not isinstance(split, Split):
        raise stop("split", "a factortopy.Split(train, val, test)", f"a {type(split).__name__}", "build one")
    split.check(image_index)
    return split


def _per_trial(values, what, n_trials):
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != (n_trials,):
        raise stop(what, f"one value a trial ({n_trials:,})", f"shape {values.shape}", "check it")
    return values


def _per_vertex(values, what, n):
    try:
        values = as_float32(values)
    except (TypeError, ValueError):
        raise stop(what, f"one number a vertex ({n:,})", "something else", "check it") from None
    if values.shape != (n,):
        raise stop(what, f"one number a vertex ({n:,})", f"shape {values.shape}", "another subject's?")
    return values


def _coords(coords, n):
    try:
        coords = as_float32(coords)
    except (TypeError, ValueError):
        raise stop("coords", f"numbers of shape ({n:,}, 3)", "something else", "check it") from None
    if coords.shape != (n, 3):
        raise stop("coords", f"shape ({n:,}, 3)", f"shape {coords.shape}", "give x, y, z of every vertex")
    if not np.isfinite(coords).all():
        raise stop("coords", "finite numbers", "missing or infinite ones", "correct them")
    return coords


def _mask(mask, name, n):
    mask = np.asarray(mask)
    if mask.shape != (n,) or not (mask.dtype == bool or (mask.dtype.kind in "iu" and np.isin(mask, (0, 1)).all())):
        found = f"shape {mask.shape} of {mask.dtype}"
        raise stop(f"roi {safe_label(name)}", f"({n:,},) true or false, one a vertex", found, "give a mask")
    return mask.astype(bool)
