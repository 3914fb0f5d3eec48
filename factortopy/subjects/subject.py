"""A subject: responses of cortical vertices to pictures, where those vertices lie, and every check of both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.formats.npy import mapped_blocks, row_blocks
from factortopy.formats.problems import stop, warn
from factortopy.pictures.reading import read_image
from factortopy.subjects import arguments
from factortopy.subjects.copies import copies_warning, first_copies
from factortopy.subjects.progress import each
from factortopy.subjects.split import Split
from factortopy.surfaces.coordinates import OnVertices
from factortopy.wording import first_few, safe_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike


class Subject(OnVertices):
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
        Share of the variance of the test rows that can be explained, 0…1; NaN where unknown.
    image_index : (T,) row of ``images`` behind each trial; default 0…T−1; copies of a picture get the number of the first (not a film's)
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
    film : folder.films.Film, optional; then a row is a TR, ``images`` are its frames, and the split is by contiguous blocks

    More attributes
    ---------------
    vertices : Vertices
        ``hemi``, ``vertex`` and ``density`` in one, as maps take them.
    constant : (N,) bool
        Vertices that never change: grey on maps, left out of means.
    surface : str or None
        Folder of fsaverage's surfaces beside the data, from which ``coords`` are derived; None: fsaverage5 subdivided.
    kept : (N given,) bool
        False for columns that were dropped because values are missing or infinite.
    ceiling_note : str
        Why the noise ceiling does not belong to the pictures that are scored; "" where it does.
    whole : Split or None
        Of a half of a subject (``subset.half_of_pictures``) the split of all its pictures: what a fit settles before it learns
        (number of channels; scales of the ``paper`` recipe) is taken from that, so that a half is fitted as the whole is.
    notes : list of str
        What was noticed and done, one sentence each: ``remarks`` (list of str) and ``warnings`` (list of Problem).

    Raises
    ------
    InputError
        Naming the argument, what was expected, what was found, what to do.
    """

    NO_CEILING = "no noise ceiling: only raw R² can be shown"

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
        self.ceiling_note = ""
        self.whole: Split | None = None
        self.image_degrees = arguments.positive(image_degrees, "image_degrees", "degrees of visual angle")
        self.tr = None if tr is None else arguments.positive(tr, "tr", "seconds")
        responses = arguments.matrix(responses)
        n_trials, n_given = responses.shape
        vertices = arguments.checked_vertices(hemi, vertex, density, responses.shape)
        self.images = arguments.checked_images(images)
        self.image_index = arguments.checked_index(image_index, n_trials, self.images)
        self.film = film
        if film is not None and len(film.frames) != n_trials:
            expected = f"{n_trials:,} TRs, as responses have rows"
            raise stop("film", expected, f"{len(film.frames):,}", "give one row a TR")
        if film is None:  # grey frames of a film are copies too, and its parts are divided in time
            self._join_copies()
        split = film.split() if film is not None and split is None else split
        self.split = arguments.checked_split(split, self.image_index)
        self.session = arguments.per_trial(session, "session", n_trials)
        self.onset = arguments.per_trial(onset, "onset", n_trials)

        self.responses, self.kept, self.constant = self._usable(responses)
        keep = self.kept
        self.vertices = vertices.subset(keep)
        self._coords = None if coords is None else arguments.checked_coords(coords, n_given)[keep]
        self.coords_given = coords is not None  # of the caller's own making: the encoder stretches their own span
        self.rois = {str(k): arguments.checked_mask(v, k, n_given)[keep] for k, v in (rois or {}).items()}
        self.maps = {str(k): arguments.per_vertex(v, f"map {k}", n_given)[keep] for k, v in (maps or {}).items()}
        self.noise_ceiling = self._ceiling(noise_ceiling, n_given)
        empty = [name for name, mask in self.rois.items() if not mask.any()]
        if empty:
            self._warn("rois", "vertices in every ROI", f"none in {first_few(empty)}", "they are not shown")

    # ------------------------------------------------------------ what was noticed

    @property
    def notes(self) -> list[str]:
        """What was noticed and done, one sentence each."""
        return [*self.remarks, *(problem.line() for problem in self.warnings)]

    def remark(self, text: object) -> None:
        """Add a sentence to ``notes``."""
        self.remarks.append(" ".join(str(text).split()))

    def _warn(self, *words):
        self.warnings.append(warn(*words))

    def _join_copies(self):
        first = first_copies(self.images)
        if first is not None and (first[self.image_index] != self.image_index).any():
            self.image_index = first[self.image_index]
            self.warnings.append(copies_warning(first, self.images, "images"))

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
            self._coords = self.vertices.coords(self.surface)
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
        for _, block in each(mapped_blocks(responses), "reading the responses", len(row_blocks(n_trials, n))):
            finite = np.isfinite(block)
            bad |= ~finite.all(0)
            constant &= (block == first).all(0)
            empty_rows += int((~finite.any(1)).sum())
        if bad.all():
            why = f"{empty_rows:,} trials without any value" if empty_rows else "missing values in every vertex"
            raise stop("responses", "at least one vertex with all its values", why, "remove those trials")
        if bad.any():
            actual = f"{int(bad.sum()):,} of {n:,} vertices hold missing or infinite values"
            self._warn("responses", "finite values", actual, "they are dropped")
            kept = np.empty((n_trials, int((~bad).sum())), dtype=np.float32)
            for rows in row_blocks(n_trials, n):
                kept[rows] = responses[rows][:, ~bad]
            responses = kept
        constant = constant[~bad]
        if constant.any():
            actual = f"{int(constant.sum()):,} of {len(constant):,} vertices that never change"
            self._warn("responses", "values that vary from trial to trial", actual, "they stay grey and out of means")
        return responses, ~bad, constant

    def _ceiling(self, ceiling, n_given):
        if ceiling is None:
            self.remark(self.NO_CEILING)
            return None
        ceiling = arguments.per_vertex(ceiling, "noise_ceiling", n_given)[self.kept]
        high = np.nanmax(ceiling, initial=0)
        if high > 1 + 1e-6:
            expected = "shares of the variance from 0 to 1"
            raise stop("noise_ceiling", expected, f"up to {high:g}", "divide per cent by 100")
        useless = ~(ceiling > 0)
        if useless.any():
            actual = f"{int(useless.sum()):,} of {len(ceiling):,} vertices with none, zero or less"
            self._warn("noise_ceiling", "values above 0", actual, "they are left out wherever scores are divided by it")
        # 0 stays 0: it is known that nothing can be explained there, and the Algonauts 2023 metric counts it.
        return None if useless.all() else np.where(ceiling < 0, 0, ceiling).astype(np.float32)
