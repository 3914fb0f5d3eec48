"""Each vertex's cell: the corners of its triangles, cut at the middles of edges and faces. What pictures are made of."""

import numpy as np

GYRUS, SULCUS = (205, 206, 209), (172, 174, 178)  # the ground of a printed picture


def cells(faces):
    """Triangles cut into quadrilaterals, one a corner.

    Parameters
    ----------
    faces : (F, 3) int

    Returns
    -------
    quads : (3F, 4) int
        Nodes of each quadrilateral, turning as its triangle does; the first is the vertex whose cell it belongs to.
    edges : (E, 2) int
        Node V + e is the middle of ``edges[e]``, V + E + f the centre of face f, with V = ``faces.max() + 1``.
    """
    faces = np.asarray(faces, dtype=np.int64)
    n_vertices = int(faces.max()) + 1
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2)  # edge k runs from corner k to k + 1
    code, which = np.unique(pairs[..., 0] * n_vertices + pairs[..., 1], return_inverse=True)
    edges = np.stack(np.divmod(code, n_vertices), axis=1)
    middle = n_vertices + which.reshape(-1, 3)
    centre = n_vertices + len(edges) + np.arange(len(faces))
    quads = [np.stack([faces[:, k], middle[:, k], centre, middle[:, k - 1]], axis=1) for k in range(3)]
    return np.concatenate(quads), edges


def node_values(values, faces, edges):
    """(V + E + F, …) of ``values`` (V or more, …) at vertices, middles of edges and centres of faces."""
    values = np.asarray(values)[: int(np.max(faces)) + 1]
    return np.concatenate([values, values[edges].mean(1), values[faces].mean(1)])


def outlines(quads, group):
    """Borders of unions of quadrilaterals: {group: list of closed paths of nodes}.

    Parameters
    ----------
    quads : (Q, 4) int
        All turning the same way.
    group : (Q,) int
        An edge that two quadrilaterals of one group share is no border.
    """
    start, end = quads, np.roll(quads, -1, axis=1)
    of = np.repeat(np.asarray(group, dtype=np.int64), 4)
    start, end = start.ravel(), end.ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    span = int(high.max(initial=0)) + 1
    _, which, count = np.unique((of * span + low) * span + high, return_inverse=True, return_counts=True)
    single = count[which] == 1
    order = np.argsort(of[single], kind="stable")
    of, start, end = of[single][order], start[single][order].tolist(), end[single][order].tolist()
    begins = np.flatnonzero(np.r_[True, of[1:] != of[:-1]]) if len(of) else np.empty(0, int)
    ends = np.r_[begins[1:], len(of)]
    return {int(of[a]): _loops(start[a:b], end[a:b]) for a, b in zip(begins, ends, strict=True)}


def _loops(start, end):
    """Closed paths of directed edges."""
    after = {}
    for a, b in zip(start, end, strict=True):
        after.setdefault(a, []).append(b)
    paths = []
    while after:
        first = node = next(iter(after))
        path = []
        while node in after:
            path.append(node)
            nodes = after[node]
            following = nodes.pop()
            if not nodes:
                del after[node]
            node = following
            if node == first:
                break
        paths.append(path)
    return paths


def ground(mesh):
    """(2n, 3) uint8 grey of sulci and gyri for pictures on white."""
    depth = np.clip(np.asarray(mesh.sulc) / 0.6 + 0.5, 0, 1)[:, None]
    return np.round(np.array(GYRUS) * (1 - depth) + np.array(SULCUS) * depth).astype(np.uint8)


def region_masks(rois, n_vertices):
    """{name: (V,) bool} of regions given as masks or as whole-mesh rows."""
    out = {}
    for name, where in (rois or {}).items():
        where = np.asarray(where)
        inside = np.zeros(n_vertices, dtype=bool)
        inside[where if where.dtype == bool else where.astype(int)] = True
        out[str(name)] = inside
    return out
