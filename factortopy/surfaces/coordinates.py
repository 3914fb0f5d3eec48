"""Where vertices lie: coordinates for the encoder, and indices over both hemispheres."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from factortopy.surfaces.meshes import N_VERTICES, from_10k, load_mesh

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def full_index(hemi: ArrayLike, vertex: ArrayLike, density: str = "10k") -> np.ndarray:
    """(N,) int64 rows of the whole mesh (left first) for ``hemi`` 0/1 and ``vertex`` 0-based in its hemisphere."""
    return np.asarray(hemi, dtype=np.int64) * N_VERTICES[density] + np.asarray(vertex, dtype=np.int64)


def apart(coords: np.ndarray, n: int, gap: float = 2.0) -> np.ndarray:
    """Shift the hemispheres of (2n, 3) coordinates apart along x, so that they do not overlap."""
    out = np.array(coords, dtype=np.float32)
    out[:n, 0] -= out[:n, 0].max() + gap
    out[n:, 0] -= out[n:, 0].min() - gap
    return out


@cache
def _whole_encoder_coords(density, folder=None):
    mesh = load_mesh(density, folder) if folder else load_mesh("10k")
    coords = apart(mesh.coords["inflated"], mesh.n)
    low = coords.min(0)
    coords = ((coords - low) * (100 / float((coords.max(0) - low).max()))).astype(np.float32)
    return coords if folder else np.clip(from_10k(coords, density), 0, 100)


def encoder_coords(hemi: ArrayLike, vertex: ArrayLike, density: str = "10k", folder: str | None = None) -> np.ndarray:
    """(N, 3) float32 positions that the encoder's selectors see: inflated surface, hemispheres apart, in [0, 100].

    Each axis minus its minimum over the whole mesh, all axes times one factor so that the longest spans 100: minimum
    and factor belong to the mesh, not to the vertices at hand (docs/maths.md). At 41k and 164k they are those of
    fsaverage's surfaces in ``folder``, which lie beside a data set and go with it (``Subject.surface``), else of fsaverage5
    subdivided, whether or not fsaverage itself is on this machine: a fit has the same ones on every machine.
    """
    return _whole_encoder_coords(density, None if density == "10k" else folder)[full_index(hemi, vertex, density)]
