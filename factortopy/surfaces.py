"""The cortical surface: encoder coordinates, retinotopy, ROIs and atlases, on the fsaverage meshes of ``meshes``.

Vertices of both hemispheres are kept left first; ``full_index`` is the row of a vertex in that order.
"""

from __future__ import annotations

import importlib.metadata
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from factortopy.errors import InputError
from factortopy.meshes import KINDS, N_VERTICES, Mesh, download_mesh, from_10k, load_mesh, rows_at  # noqa: F401

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Our own fit to Benson's template on the sphere of fsaverage5 (facts: log-eccentricity r .98, median angle error 10-11
# degrees, Dice V1 .85, V2 .68, V3 .50): centre of the map, polynomial for log eccentricity (U) and for the angle (T).
_CENTRE = ((0.39, -0.73, -0.56), (-0.64, -0.57, -0.51))
_ECCENTRICITY = (
    (2.24, 1.26, 1.54, -1.24, 2.57, 0.12, -0.01, 0.89, 0.14, 0.10),
    (2.21, 1.5, 1.43, -0.86, 2.16, -0.31, 0.41, 0.58, 0.05, -0.11),
)
_ANGLE = (
    (0.07, -3.98, -0.06, 0.36, -0.07, 2.26, -3.18, 0.91, 1.24, 2.44),
    (0.08, -3.61, -0.07, -0.37, 1.07, 1.31, -3.76, -0.08, 0.95, 1.15),
)
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
    and factor belong to the mesh, not to the vertices at hand (DESIGN section 3). At 41k and 164k they are those of
    fsaverage's surfaces in ``folder``, which lie beside a data set and go with it (``Subject.surface``), else of fsaverage5
    subdivided, whether or not fsaverage itself is on this machine: a fit has the same ones on every machine.
    """
    return _whole_encoder_coords(density, None if density == "10k" else folder)[full_index(hemi, vertex, density)]


# ---------------------------------------------------------------- retinotopy


@dataclass(frozen=True)
class Retinotopy:
    """Visual areas and field positions of every vertex of a mesh.

    area : (2n,) int, 0 none, 1 V1, 2 V2, 3 V3, 4 hV4
    x, y : (2n,) float, degrees of visual angle, x right, y **up**; NaN outside
    eccentricity : (2n,) float, degrees; NaN outside
    source : str, what it was taken from
    """

    area: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eccentricity: np.ndarray
    source: str


def fitted_retinotopy(mesh: Mesh | None = None) -> Retinotopy:
    """Licence-free retinotopy of V1 to hV4 from polynomials on the sphere, fitted to Benson's template.

    hV4 is our own choice: a patch beyond V3's ventral border (angle coordinate 1.1 to 1.5 pi).

    Returns
    -------
    Retinotopy
    """
    mesh = mesh or load_mesh()
    area, x, y, ecc = (np.full(2 * mesh.n, v, dtype=np.float32) for v in (0, np.nan, np.nan, np.nan))
    for h in (0, 1):
        rows = slice(h * mesh.n, (h + 1) * mesh.n)
        a, xx, yy, e = _fit_one_hemisphere(mesh.coords["sphere"][rows].astype(float), h)
        area[rows], x[rows], y[rows], ecc[rows] = a, xx, yy, e
    return Retinotopy(area.astype(int), x, y, ecc, "FactorTopy's own fit (V1, V2, V3; hV4 a patch)")


def _fit_one_hemisphere(sphere, h):
    unit = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    c = np.array(_CENTRE[h]) / np.linalg.norm(_CENTRE[h])
    up = np.array([0.0, 0.0, 1.0])
    e2 = up - (up @ c) * c
    e2 /= np.linalg.norm(e2)
    e1 = np.cross(e2, c)
    alpha = np.arccos(np.clip(unit @ c, -1, 1))
    t = unit - (unit @ c)[:, None] * c
    t /= np.linalg.norm(t, axis=1, keepdims=True) + 1e-12
    side = 1 if h == 0 else -1  # left hemisphere sees the right visual field
    X, Y = 2 * alpha * (t @ e1) * side, 2 * alpha * (t @ e2)
    basis = np.stack([X**i * Y**j for i in range(4) for j in range(4 - i)], 1)
    ecc = np.exp(basis @ np.array(_ECCENTRICITY[h])) - 1
    w = basis @ np.array(_ANGLE[h])
    m, sign, pi = np.abs(w), np.sign(w), np.pi
    area = np.select([m <= pi / 2, m <= 0.8 * pi, m <= 1.1 * pi, (m <= 1.5 * pi) & (w > 0)], [1, 2, 3, 4], 0)
    # Each area runs through the angles again, mirrored at the border that it shares with the one before.
    phi = np.select(
        [area == 1, area == 2, area == 3, area == 4],
        [w, sign * (pi / 2 - (m - pi / 2) / 0.6), sign * (m - 0.8 * pi) / 0.6, pi / 2 - (m - 1.1 * pi) / 0.4],
    )
    # Below half a degree the polynomials run on beyond the occipital pole, into V2 to hV4, OFA and LO of the atlases.
    area[(ecc < 0.5) | (ecc > 40) | (alpha > 0.8)] = 0
    theta = pi / 2 - phi  # from the upper vertical meridian
    out = area == 0
    x, y, ecc = (np.where(out, np.nan, v) for v in (side * ecc * np.sin(theta), ecc * np.cos(theta), ecc))
    return area, x, y, ecc


# ---------------------------------------------------------------- regions of interest


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

    rows : (N,) whole-mesh rows, ascending; hemi, vertex : (N,)
    roi : (N,) str, "" between areas; nearest : (N,) str, the nearest high-level area; distance : (N,) mm to its centre
    retinotopy : Retinotopy of the whole mesh
    """

    rows: np.ndarray
    hemi: np.ndarray
    vertex: np.ndarray
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
        rows, rows // mesh.n, rows % mesh.n, roi[rows], np.array(names)[nearest[rows]], closest[rows], retino
    )


# ---------------------------------------------------------------- published atlases, where they are installed

_BENSON_AREAS = dict(
    enumerate(("V1", "V2", "V3", "hV4", "VO1", "VO2", "LO1", "LO2", "TO1", "TO2", "V3b", "V3a"), start=1)
)
_WANG_AREAS = dict(
    enumerate(
        "V1v V1d V2v V2d V3v V3d hV4 VO1 VO2 PHC1 PHC2 MST hMT LO2 LO1 V3b V3a IPS0 IPS1 IPS2 IPS3 IPS4 IPS5 SPL1 FEF".split(),
        start=1,
    )
)
_HCP_AREAS = {
    1: "V1", 2: "MST", 3: "V6", 4: "V2", 5: "V3", 6: "V4", 7: "V8", 13: "V3A", 18: "FFC", 19: "V3B", 20: "LO1",
    21: "LO2", 22: "PIT", 23: "MT", 31: "POS1", 126: "PHA1", 127: "PHA3", 138: "PH", 146: "IP0", 153: "VMV1",
    154: "VMV3", 155: "PHA2", 156: "V4t", 157: "FST", 158: "V3CD", 159: "LO3", 160: "VMV2", 163: "VVC",
}  # fmt: skip
ATLASES = {
    "benson14": ("benson14_varea.v4_0", _BENSON_AREAS, "Benson et al. 2014/2018 retinotopy template"),
    "wang15": ("wang15_mplbl.v1_0", _WANG_AREAS, "Wang et al. 2015 probabilistic visual areas"),
    "hcp-mmp1": ("glasser16_atlas.v1_0", _HCP_AREAS, "HCP-MMP1, Glasser et al. 2016, visual areas"),
}


def _atlas_file(stem, side):
    """Path of one of neuropythy's fsaverage files, without importing neuropythy; None where it is not installed."""
    try:
        package = importlib.metadata.distribution("neuropythy")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = package.locate_file(f"neuropythy/lib/data/fsaverage/surf/{side}.{stem}.mgz")
    return path if path.is_file() else None


def available_atlases() -> dict[str, str]:
    """{name: citation} of the atlases whose files are on this machine (``pip install --no-deps neuropythy``)."""
    return {
        name: text for name, (stem, _, text) in ATLASES.items() if all(_atlas_file(stem, side) for side in ("lh", "rh"))
    }


def load_atlas(name: str, density: str = "10k") -> dict[str, np.ndarray]:
    """ROIs of a published atlas on the whole mesh.

    Returns
    -------
    {area: (2n,) bool}

    Raises
    ------
    InputError
        When the atlas is unknown or neuropythy's files are not installed.
    """
    if name not in ATLASES:
        raise InputError(f"atlas {name!r}: expected one of {', '.join(ATLASES)}")
    stem, areas, _ = ATLASES[name]
    labels = np.concatenate([_read_atlas(stem, side, density) for side in ("lh", "rh")])
    return {area: labels == code for code, area in areas.items() if (labels == code).any()}


def benson_retinotopy(density: str = "10k") -> Retinotopy:
    """Benson's template as a ``Retinotopy`` (V1, V2, V3, hV4), read from neuropythy's files."""
    angle, ecc, area = (
        np.concatenate([_read_atlas(f"benson14_{what}.v4_0", side, density) for side in ("lh", "rh")])
        for what in ("angle", "eccen", "varea")
    )
    n = N_VERTICES[density]
    side = np.where(np.arange(2 * n) < n, 1, -1)  # both hemispheres hold 0 to 180 degrees
    area = np.where(area <= 4, area, 0).astype(int)
    theta = np.deg2rad(angle)
    x, y, ecc = (np.where(area == 0, np.nan, v) for v in (side * ecc * np.sin(theta), ecc * np.cos(theta), ecc))
    return Retinotopy(area, x, y, ecc, ATLASES["benson14"][2])


def atlas_retinotopy(density: str = "10k") -> Retinotopy:
    """The ``Retinotopy`` to compare with: Benson's template where it is installed, else our own fit to it."""
    return benson_retinotopy(density) if "benson14" in available_atlases() else fitted_retinotopy(load_mesh(density))


def _read_atlas(stem, side, density):
    path = _atlas_file(stem, side)
    if path is None:
        raise InputError(
            f"atlas file {side}.{stem}.mgz: expected neuropythy's files on this machine, found none; "
            "install them with: pip install --no-deps neuropythy"
        )
    import nibabel

    try:
        values = np.asarray(nibabel.load(path).dataobj, dtype=np.float64).ravel()
        if len(values) < N_VERTICES[density]:
            raise ValueError(f"{len(values)} values")
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(
            f"{path}: expected an atlas file of {N_VERTICES['164k']} vertices, found a damaged one "
            f"({' '.join(str(error).split())[:120]}); install neuropythy again"
        ) from None
    return values[: N_VERTICES[density]]
