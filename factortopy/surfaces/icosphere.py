"""The nested icosahedral meshes of fsaverage: 10,242 vertices a hemisphere subdivided to 40,962 and 163,842.

FreeSurfer numbers the vertices of a finer mesh after those of the coarser one, a midpoint an edge in the order in which
the triangles first reach the edge. ``subdivide`` follows that order, so values measured on fsaverage6 and fsaverage land
on the right vertices. Evidence: two subdivisions of the triangles of fsaverage5 (nilearn's) give all 327,680 triangles of
fsaverage as neuropythy 0.13.0 ships them (``lh/rh.benson14_retinotopy.v4_0.sphere.reg``), each with the same three
numbers in the same order and in the same row.
"""

import numpy as np


def subdivide(faces, n):
    """Split each triangle into four at the midpoints of its edges, numbered as FreeSurfer does.

    Parameters
    ----------
    faces : (F, 3) int
        Triangles of a closed mesh of ``n`` vertices, in FreeSurfer's order.

    Returns
    -------
    faces : (4F, 3) int32
        In FreeSurfer's order.
    parents : (E, 2) int64
        The edge that vertex ``n + k`` halves, lower index first.
    parent_face : (4F,) int64
        The triangle that each new one lies in.
    """
    faces = np.asarray(faces, dtype=np.int64)
    a, b, c = faces.T
    ends = np.sort(np.stack([faces[:, [0, 2]], faces[:, [2, 1]], faces[:, [0, 1]]], 1).reshape(-1, 2), axis=1)
    edge, first, which = np.unique(ends[:, 0] * n + ends[:, 1], return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(edge), dtype=np.int64)
    number[order] = n + np.arange(len(edge))
    ca, bc, ab = number[which].reshape(-1, 3).T
    corner = np.stack([a, ab, ca], 1)
    others = np.stack([ca, bc, c, ab, bc, ca, ab, b, bc], 1).reshape(-1, 3)
    rows = np.arange(len(faces))
    return (
        np.concatenate([corner, others]).astype(np.int32),
        np.stack(np.divmod(edge[order], n), 1),
        np.concatenate([rows, np.repeat(rows, 3)]),
    )


def straight(values, parents):
    """Values (n, …) at the new vertices: the mean of the edge's ends; (n + E, …), the old ones first, unchanged."""
    return np.concatenate([values, (values[parents[:, 0]] + values[parents[:, 1]]) / 2])


def smooth(values, parents, faces):
    """Values at the new vertices by the butterfly scheme (Dyn, Levin & Gregory 1990); the old ones stay as they are.

    Half of each end of the edge, an eighth of the two corners opposite, less a sixteenth of the four beyond.
    """
    near, far = _stencil(faces, len(values), parents)
    ends = values[parents[:, 0]] + values[parents[:, 1]]
    corners = values[near[:, 0]] + values[near[:, 1]]
    beyond = sum(values[far[:, k]] for k in range(4))
    return np.concatenate([values, ends / 2 + corners / 8 - beyond / 16]).astype(values.dtype)


def _stencil(faces, n, parents):
    """(E, 2) corners opposite each edge, and (E, 4) those opposite the outer edges of its two triangles."""
    faces = np.asarray(faces, dtype=np.int64)
    # A closed, oriented mesh has each directed edge once, and with it the corner of its triangle that is not on it.
    start, end, corner = (np.concatenate([faces[:, (k + s) % 3] for k in range(3)]) for s in range(3))
    key = start * n + end
    order = np.argsort(key)
    key, corner = key[order], corner[order]

    def opposite(u, v):
        return corner[np.searchsorted(key, u * n + v)]

    a, b = parents.T
    c, d = opposite(a, b), opposite(b, a)
    # The triangle a, b, c holds b → c and c → a; the neighbours across hold them the other way round.
    far = [opposite(c, b), opposite(a, c), opposite(d, a), opposite(b, d)]
    return np.stack([c, d], 1), np.stack(far, 1)
