"""Where vertices lie: which of the mesh they are, their rows over both hemispheres, coordinates for the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.formats.npy import whole_numbers
from factortopy.formats.problems import stop
from factortopy.surfaces.meshes import N_VERTICES, from_10k, load_mesh
from factortopy.wording import first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike


def full_index(hemi: ArrayLike, vertex: ArrayLike, density: str = "10k") -> np.ndarray:
    """(N,) int64 rows of the whole mesh (left first) for ``hemi`` 0/1 and ``vertex`` 0-based in its hemisphere."""
    return np.asarray(hemi, dtype=np.int64) * N_VERTICES[density] + np.asarray(vertex, dtype=np.int64)


def checked_density(density: str) -> str:
    """The density itself; InputError when there is none of that name."""
    if density not in N_VERTICES:
        raise stop("density", "'10k', '41k' or '164k' (fsaverage5, 6, 7)", repr(density), "choose one of these")
    return density


@dataclass(frozen=True, eq=False)
class Vertices:
    """The vertices that responses, maps and masks are about: value k of (N, …) lies at vertex k of these.

    Attributes
    ----------
    hemi : (N,) uint8
        0 left, 1 right; left first.
    vertex : (N,) int64
        0-based index in that hemisphere's fsaverage mesh; every vertex once, in any order within its hemisphere.
    density : "10k", "41k" or "164k" (fsaverage5, 6, 7)

    Made from any whole numbers, lists too.

    Raises
    ------
    InputError
        For values that no such vertices have: which, what was expected, what to do.
    """

    hemi: np.ndarray
    vertex: np.ndarray
    density: str = "10k"

    def __post_init__(self) -> None:
        top = N_VERTICES[checked_density(self.density)]
        hemi, vertex = whole_numbers(self.hemi, "hemi"), whole_numbers(self.vertex, "vertex")
        if len(hemi) != len(vertex):
            raise stop("hemi and vertex", "as many values", f"{len(hemi):,} and {len(vertex):,}", "give both a vertex")
        if not np.isin(hemi, (0, 1)).all():
            raise stop("hemi", "0 for left and 1 for right", f"{first_few(np.setdiff1d(hemi, (0, 1)))}", "recode it")
        if (np.diff(hemi) < 0).any():
            raise stop(
                "hemi", "all left vertices first", "right before left", "sort by np.argsort(hemi, kind='stable')"
            )
        outside = np.unique(vertex[(vertex < 0) | (vertex >= top)])
        if len(outside):
            one_based = vertex.min() >= 1 and vertex.max() == top
            remedy = "counted from 1? subtract 1" if one_based else f"check the density ({self.density})"
            raise stop("vertex", f"indices from 0 to {top - 1:,} ({self.density})", first_few(outside), remedy)
        doubles = np.flatnonzero(np.bincount(hemi * top + vertex) > 1)
        if len(doubles):
            names = first_few([f"{'left' if k < top else 'right'} {k % top}" for k in doubles])
            raise stop("vertex", "every vertex once", f"{len(doubles):,} twice: {names}", "remove the doubles")
        object.__setattr__(self, "hemi", hemi.astype(np.uint8))
        object.__setattr__(self, "vertex", vertex)

    @classmethod
    def of_mesh(cls, density: str = "10k", sides: Sequence[int] = (0, 1)) -> Vertices:
        """All vertices of both hemispheres, or of one (``sides``)."""
        n = N_VERTICES[checked_density(density)]
        return cls(np.repeat(sides, n), np.tile(np.arange(n), len(sides)), density)

    def __len__(self) -> int:
        return len(self.vertex)

    def __eq__(self, other: object) -> bool:
        """The same vertices in the same order."""
        return isinstance(other, Vertices) and self.density == other.density and np.array_equal(self.rows, other.rows)

    @cached_property
    def rows(self) -> np.ndarray:
        """(N,) int64 rows of the whole mesh, left hemisphere first."""
        return full_index(self.hemi, self.vertex, self.density)

    def place(self, k: int) -> tuple[str, int]:
        """("left" or "right", index in that hemisphere's mesh) of vertex k."""
        return ("left", "right")[int(self.hemi[k])], int(self.vertex[k])

    def subset(self, kept: Any) -> Vertices:
        """Those of a mask (N,) bool, of indices (M,) int or of a slice."""
        return Vertices(self.hemi[kept], self.vertex[kept], self.density)

    def whole(self, values: ArrayLike, fill: Any = np.nan) -> np.ndarray:
        """Values of these vertices (N, …) on the whole mesh (V, …), ``fill`` elsewhere."""
        values = np.asarray(values)
        if len(values) != len(self):
            raise ValueError(f"{len(values)} values for {len(self)} vertices")
        out = np.full((2 * N_VERTICES[self.density], *values.shape[1:]), fill, np.result_type(values, type(fill)))
        out[self.rows] = values
        return out

    def roi_rows(self, rois: Mapping[str, ArrayLike] | None) -> dict[str, np.ndarray]:
        """{name: whole-mesh rows} of regions {name: (N,) bool}, as views and printed maps outline them."""
        return {name: self.rows[np.asarray(mask, dtype=bool)] for name, mask in (rois or {}).items()}

    def coords(self, folder: str | None = None, surface: str = "inflated") -> np.ndarray:
        """(N, 3) float32 positions that the encoder's selectors see: inflated surface, hemispheres apart, in [0, 100].

        Each axis minus its minimum over the whole mesh, all axes times one factor so that the longest spans 100:
        minimum and factor belong to the mesh, not to the vertices at hand (docs/maths.md). At 41k and 164k they are those of fsaverage's
        surfaces in ``folder``, which lie beside a data set and go with it (``Subject.surface``), else of fsaverage5
        subdivided, whether or not fsaverage itself is on this machine: a fit has the same ones on every machine.

        surface : "sphere" takes fsaverage's sphere instead, laid out as the paper's released code does; fsaverage5's
        subdivided is that of every density.
        """
        if surface == "sphere":
            return _whole_spheres(self.density)[self.rows]
        return _whole_encoder_coords(self.density, None if self.density == "10k" else folder)[self.rows]


class OnVertices:
    """What has ``vertices``, with their parts by name."""

    vertices: Vertices

    @property
    def hemi(self) -> np.ndarray:
        return self.vertices.hemi

    @property
    def vertex(self) -> np.ndarray:
        return self.vertices.vertex

    @property
    def density(self) -> str:
        return self.vertices.density


def apart(coords: np.ndarray, n: int, gap: float = 2.0) -> np.ndarray:
    """Shift the hemispheres of (2n, 3) coordinates apart along x, so that they do not overlap."""
    out = np.array(coords, dtype=np.float32)
    out[:n, 0] -= out[:n, 0].max() + gap
    out[n:, 0] -= out[n:, 0].min() - gap
    return out


@cache
def _whole_spheres(density):
    """(2n, 3) in [0, 100]: spheres of both hemispheres, half a diameter between them along x (brainnet/coords.py, ``load_coords``)."""
    sphere, n = from_10k(load_mesh("10k").coords["sphere"].astype(np.float64), density, "straight"), N_VERTICES[density]
    if density != "10k":
        sphere *= 100 / np.linalg.norm(sphere, axis=1, keepdims=True)
    low, high = sphere[:n, 0].min(), sphere[:n, 0].max()
    sphere[n:, 0] += low + 1.5 * (high - low) - sphere[n:, 0].min()
    return stretched(sphere)


def stretched(coords: np.ndarray) -> np.ndarray:
    """(N, 3) float32 in [0, 100]: each axis minus its minimum, all times one factor so that the longest spans 100."""
    coords = coords - coords.min(0)
    return (coords * (100 / max(float(coords.max()), 1e-6))).astype(np.float32)


@cache
def _whole_encoder_coords(density, folder=None):
    mesh = load_mesh(density, folder) if folder else load_mesh("10k")
    coords = apart(mesh.coords["inflated"], mesh.n)
    low = coords.min(0)
    coords = ((coords - low) * (100 / float((coords.max(0) - low).max()))).astype(np.float32)
    return coords if folder else np.clip(from_10k(coords, density), 0, 100)
