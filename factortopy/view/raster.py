"""Whose cell is where on a flat map: the vertex of every point of a grid, which pictures made of pixels look up."""

import numpy as np

OUTSIDE = -1
AT_ONCE = 1 << 20  # points tried at a time
ON_EDGE = 1e-9  # a point on the edge of two faces lies in both, though sums are rounded


def vertex_at(faces, place, window, shape):
    """The vertex whose cell (as ``cells.cells`` cuts them) holds each point of a grid.

    Parameters
    ----------
    faces : (F, 3) int
    place : (V, 2) float
        Where vertices lie on the flat map.
    window : (left, right, low, high)
        The grid's outer edges, in the units of ``place``; points are the middles of its pixels.
    shape : (height, width)
        Points down and across; the first row is the highest.

    Returns
    -------
    (height, width) int32
        ``OUTSIDE`` where no face is.
    """
    (left, right, low, high), (height, width) = window, shape
    scale = np.array([width / (right - left), height / (low - high)])
    corner = ((np.asarray(place, dtype=float) - [left, high]) * scale - 0.5)[faces]  # (F, 3, 2) in points
    first = np.clip(np.ceil(corner.min(1)), 0, [width, height]).astype(int)
    last = np.clip(np.floor(corner.max(1)), -1, [width - 1, height - 1]).astype(int)
    size = np.maximum(last - first + 1, 0)
    count = size.prod(1)  # a face's candidates: the points in its bounding box
    seen = np.flatnonzero(count)
    out = np.full(height * width, OUTSIDE, dtype=np.int32)
    for face in np.split(seen, np.flatnonzero(np.diff(np.cumsum(count[seen]) // AT_ONCE)) + 1):
        n = count[face]
        of = np.repeat(np.arange(len(face)), n)
        y, x = np.divmod(np.arange(len(of)) - np.repeat(np.cumsum(n) - n, n), size[face, 0][of])
        shares = _shares(corner[face] - first[face, None])
        second, third = (start[of] + across[of] * x + down[of] * y for start, across, down in shares)
        rest = 1 - second - third
        inside = np.flatnonzero(np.minimum(np.minimum(second, third), rest) > -ON_EDGE)
        nearest = np.where(rest >= np.maximum(second, third), 0, np.where(second >= third, 1, 2))[inside]
        point = ((first[face] * (1, width)).sum(1)[of] + y * width + x)[inside]
        out[point] = faces[face[of[inside]], nearest]
    return out.reshape(shape)


def _shares(corner):
    """Barycentric weights of the second and the third corner (n, 3, 2): at the origin, and what a step across and down adds."""
    (x0, y0), (x1, y1), (x2, y2) = corner.transpose(1, 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # a face without area holds no point
        whole = 1 / ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))
        yield (x2 * y0 - x0 * y2) * whole, (y2 - y0) * whole, (x0 - x2) * whole
        yield (x0 * y1 - x1 * y0) * whole, (y0 - y1) * whole, (x1 - x0) * whole
