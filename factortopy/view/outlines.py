"""Regions on the mesh: their outlines as line segments and places for their names (as ``assets/outlines.js``)."""

import numpy as np


def segments(faces, inside):
    """(S, 4) vertices: a segment runs from the middle of the first two to the middle of the last two.

    Parameters
    ----------
    faces : (F, 3) int
    inside : (V,) bool
    """
    corners = inside[faces]
    count = sum(corners.T.astype(np.int8))  # column by column: four times as fast as .sum(1)
    border = (count == 1) | (count == 2)
    faces, corners, count = faces[border], corners[border], count[border]
    # The corner that differs from the other two comes first.
    odd = np.argmax(corners == (count == 1)[:, None], axis=1)
    turned = np.take_along_axis(faces, (odd[:, None] + np.arange(3)) % 3, axis=1)
    return turned[:, [0, 1, 0, 2]]


def name_places(positions, rows, n):
    """Of each hemisphere with at least three members, the member nearest to their centre (rows of the whole mesh)."""
    places = []
    for side in (rows < n, rows >= n):
        members = rows[side]
        if len(members) >= 3:
            offset = positions[members] - positions[members].mean(0)
            places.append(int(members[np.argmin((offset**2).sum(1))]))
    return places
