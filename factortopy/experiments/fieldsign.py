"""Visual field sign: does the cortex hold a mirror image of the visual field, and where does that reverse?

Sign of the cross product of a triangle's two edges in visual field coordinates (x right, y up), mean over a vertex's
triangles. Neighbouring areas have opposite signs, so that reversals are their borders (Sereno et al. 1995). Triangles of
nilearn's fsaverage face outward; on Benson's template V1 is −1 in both hemispheres, and so on as in ``EXPECTED``.
"""

import numpy as np

from factortopy.analysis import spatial_nulls
from factortopy.surfaces.areas import surface_distance

EXPECTED = {
    "V1": -1, "V2": 1, "V3": -1, "hV4": 1, "VO1": -1, "VO2": 1, "LO1": 1, "LO2": -1, "V3b": -1, "V3a": 1,
}  # fmt: skip
BORDERS = (("V1", "V2"), ("V2", "V3"))


def smooth(values, rows, mesh, steps=1):
    """Average (N,) values over each vertex and its neighbours along edges, ``steps`` times; NaN stays NaN."""
    import scipy.sparse as sp

    edges = mesh.edges()
    graph = sp.coo_matrix((np.ones(len(edges), np.float32), edges.T), shape=(2 * mesh.n,) * 2).tocsr()[rows][:, rows]
    graph = graph + graph.T + sp.eye(len(rows), dtype=np.float32, format="csr")
    values = np.array(values, np.float64)
    finite = np.isfinite(values)
    count = graph @ finite.astype(np.float64)
    for _ in range(steps):
        values[finite] = (graph @ np.where(finite, values, 0.0))[finite] / count[finite]
    return values


def field_sign(x, y, rows, mesh, smoothing=2):
    """Visual field sign of every vertex.

    Parameters
    ----------
    x, y : (N,) degrees, x right, y up; NaN where unknown
    rows : (N,) rows of the whole mesh (``surfaces.full_index``)
    mesh : surfaces.Mesh
    smoothing : int
        So often signs are averaged over neighbours. Positions are not: that folds areas a few vertices wide together.

    Returns
    -------
    (N,) float in −1 … 1; NaN for a vertex without a triangle whose corners are all known
    """
    at = np.full((2, 2 * mesh.n), np.nan)
    finite = np.isfinite(x) & np.isfinite(y)
    for k, axis in enumerate((x, y)):
        at[k, rows] = np.where(finite, axis, np.nan)
    corner = at[:, mesh.faces]
    a, b = corner[..., 1] - corner[..., 0], corner[..., 2] - corner[..., 0]
    sign = np.sign(a[0] * b[1] - a[1] * b[0])
    whole = np.isfinite(sign)
    faces, size = mesh.faces[whole].ravel(), 2 * mesh.n
    count = np.bincount(faces, minlength=size)[rows]
    total = np.bincount(faces, np.repeat(sign[whole], 3), minlength=size)[rows]
    return smooth(np.where(count > 0, total / np.maximum(count, 1), np.nan), rows, mesh, smoothing)


def reversals(sign, rows, mesh):
    """Where the sign reverses between neighbours.

    Returns
    -------
    (N,) float: 1 for the end of such an edge whose sign is the weaker, 0 for other vertices, NaN where there is no sign
    """
    full = np.full(2 * mesh.n, np.nan)
    full[rows] = sign
    edges = mesh.edges()
    across = edges[full[edges[:, 0]] * full[edges[:, 1]] < 0]
    border = np.zeros(2 * mesh.n)
    border[across[np.arange(len(across)), np.abs(full[across]).argmin(1)]] = 1
    return np.where(np.isfinite(sign), border[rows], np.nan)


def right_shares(sign, areas, template=None, turned=()):
    """How many vertices of each area have the sign that it has on the template.

    areas : {name: (N,) bool}; names without an expectation are left out
    template : (N,) sign of the atlas itself on this mesh, optional
    turned : turns of the vertices that have a sign (``spatial_nulls.turns``): the map turned on the sphere is as smooth as it is

    Returns
    -------
    {name: {"expected": −1 or 1, "vertices": with a sign, "share": of them right, "template": share of the template's, "floor":
        share that 5 % of turns exceed, "p": share of turns that are as good, at least 1 / (turns + 1)}}
        None where there are none. A coarse mesh has no room for all of a narrow area: the template's share is its limit.
    """

    def share(values, expected):
        return float((values * expected > 0).mean()) if len(values) else None

    out = {}
    for name in EXPECTED.keys() & areas.keys():
        mask, expected = areas[name], EXPECTED[name]
        signs = sign[mask & np.isfinite(sign)]
        out[name] = {"expected": expected, "vertices": len(signs), "share": share(signs, expected), "template": None}
        chance = [share(sign[source[mask[to]]], expected) for to, source in turned]
        chance = np.array([value for value in chance if value is not None])
        reached = np.nan if out[name]["share"] is None else out[name]["share"]
        floor, p = spatial_nulls.floor_and_p(reached, chance)
        out[name] |= {"floor": float(floor) if np.isfinite(floor) else None, "p": float(p) if np.isfinite(p) else None}
        if template is not None:
            out[name]["template"] = share(template[mask & np.isfinite(template)], expected)
    return {name: out[name] for name in EXPECTED if name in out}


def area_border(areas, first, second, mesh):
    """Whole-mesh rows of the vertices on either side of the border between two areas ({name: (2n,) bool})."""
    edges = mesh.edges()
    a, b = (areas[name][edges] for name in (first, second))
    return np.unique(edges[(a[:, 0] & b[:, 1]) | (a[:, 1] & b[:, 0])])


def border_distances(border, rows, areas, mesh):
    """How far the found reversals are from the atlas' borders of V1, V2 and V3, in mm along the cortex.

    Parameters
    ----------
    border : (N,) as ``reversals`` gives it
    rows : (N,) rows of the whole mesh
    areas : {name: (2n,) bool} of the whole mesh

    Returns
    -------
    {"V1/V2": {"vertices", "atlas_to_found", "found_to_atlas", "chance"}, "V2/V3": …}
        Means. A found vertex counts for the border that is nearest to it, and only inside V1, V2 and V3. ``chance`` is
        found_to_atlas if every mapped vertex there were a reversal. None where there is nothing to measure. No test: signs
        reverse less often at the rim of what is mapped, far from V2/V3, so that of unrelated smooth maps turned on the sphere
        17 % (10 of 60) would pass there.
    """
    inside = areas["V1"] | areas["V2"] | areas["V3"]
    lines = {f"{a}/{b}": area_border(areas, a, b, mesh) for a, b in BORDERS}
    nowhere = np.full(2 * mesh.n, np.inf)
    nearness = {name: surface_distance(line, mesh) if len(line) else nowhere for name, line in lines.items()}
    nearest = np.min(list(nearness.values()), 0)
    mapped = rows[np.isfinite(border)]
    mapped, reversed_rows = mapped[inside[mapped]], rows[(border == 1) & inside[rows]]
    to_reversals = surface_distance(reversed_rows, mesh) if len(reversed_rows) else None
    out = {}
    for name, line in lines.items():
        line, far = np.intersect1d(line, mapped), nearness[name]
        own = reversed_rows[far[reversed_rows] <= nearest[reversed_rows]]
        by_chance = mapped[far[mapped] <= nearest[mapped]]
        out[name] = {
            "vertices": len(own),
            "atlas_to_found": None if to_reversals is None or not len(line) else float(np.mean(to_reversals[line])),
            "found_to_atlas": float(np.mean(far[own])) if len(own) else None,
            "chance": float(np.mean(far[by_chance])) if len(mapped) and len(line) else None,
        }
    return out
