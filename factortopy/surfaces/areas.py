"""Visual areas of the simulated cortex: their centres, early areas, distances along the surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from factortopy.surfaces.coordinates import Vertices
from factortopy.surfaces.meshes import Mesh, load_mesh
from factortopy.surfaces.retinotopy import Retinotopy, fitted_retinotopy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


# fsaverage5 vertices nearest to published area centres (visfAtlas, Rosenke 2021; OPA, RSC, LO: see docs/subjects.md).
AREA_CENTRES = {
    "OFA": ((2488,), (8569,)),
    "FFA": ((831, 10057), (8004, 3337)),
    "FBA": ((7104,), (7153,)),
    "EBA": ((9444, 616, 2306, 1214), (8555, 1406, 9611, 9652)),
    "LO": ((983,), (8576,)),
    "VWFA": ((5578, 10051), ()),
    "PPA": ((361,), (821,)),
    "OPA": ((1253,), (3798,)),
    "RSC": ((5353,), (7747,)),
}
EARLY = ("V1", "V2", "V3", "hV4")


def surface_distance(seeds: ArrayLike, mesh: Mesh | None = None, limit: float = 60.0) -> np.ndarray:
    """(2n,) mm along mesh edges (mid-thickness) from the nearest of ``seeds`` (whole-mesh rows); inf beyond limit."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import dijkstra

    mesh = mesh or load_mesh()
    middle = (mesh.coords["white"] + mesh.coords["pial"]) / 2
    edges = mesh.edges()
    length = np.linalg.norm(middle[edges[:, 0]] - middle[edges[:, 1]], axis=1)
    graph = sp.coo_matrix((length, edges.T), shape=(2 * mesh.n,) * 2).tocsr()
    return dijkstra(graph, directed=False, indices=np.atleast_1d(seeds), min_only=True, limit=limit)


@dataclass(frozen=True)
class VisualCortex:
    """The vertices that the demo subjects have, and what is known about each.

    vertices : Vertices, ascending
    roi : (N,) str, "" between areas; nearest : (N,) str, the nearest high-level area; distance : (N,) mm to its centre
    retinotopy : Retinotopy of the whole mesh
    """

    vertices: Vertices
    roi: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    retinotopy: Retinotopy

    def rois(self) -> dict[str, np.ndarray]:
        """{name: (N,) bool} in the order of the visual hierarchy."""
        return {name: self.roi == name for name in (*EARLY, *AREA_CENTRES) if (self.roi == name).any()}


@cache
def visual_cortex(max_eccentricity: float = 7.2, radius: float = 9.0, shift: int | None = None) -> VisualCortex:
    """Visual cortex of fsaverage5: V1 to hV4 up to ``max_eccentricity`` degrees, patches of ``radius`` mm around the
    centres of high-level areas, and what lies between them.

    ``shift`` seeds another brain: each high-level centre moves to one of the vertices within 5 mm.
    """
    mesh = load_mesh()
    retino = fitted_retinotopy(mesh)
    names = list(AREA_CENTRES)
    rng = np.random.default_rng(shift)

    def moved(row):
        if shift is None:
            return row
        return rng.choice(np.flatnonzero(surface_distance(row, mesh, limit=5.0) <= 5.0))

    distance = np.stack(
        [
            surface_distance([moved(v + h * mesh.n) for h in (0, 1) for v in AREA_CENTRES[name][h]], mesh)
            for name in names
        ]
    )
    nearest, closest = distance.argmin(0), distance.min(0)
    roi = np.full(2 * mesh.n, "", dtype="<U8")
    inside = retino.eccentricity < max_eccentricity
    for k, name in enumerate(EARLY, start=1):
        roi[(retino.area == k) & inside] = name
    early = np.isin(roi, EARLY[:3])
    # EBA, FFA and VWFA have several centres, so smaller patches around each.
    reach = np.array([radius - 1 if name in ("EBA", "FFA", "VWFA") else radius for name in names])
    patch = (closest < reach[nearest]) & ~early
    roi[patch] = np.array(names)[nearest[patch]]
    around_early = surface_distance(np.where(np.isin(roi, EARLY))[0], mesh)
    rows = np.where((roi != "") | (closest < 15) | (around_early < 5))[0]
    return VisualCortex(
        Vertices(rows // mesh.n, rows % mesh.n), roi[rows], np.array(names)[nearest[rows]], closest[rows], retino
    )
