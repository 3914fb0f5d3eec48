"""Flat maps as pixels: each point shows the vertex whose cell it lies in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial import Delaunay
from synthetic import planted_layers

from factortopy import surfaces, view
from factortopy.view import flat_picture, raster
from factortopy.view.cells import cells, node_values
from factortopy.view.raster import OUTSIDE, vertex_at

WINDOW = (0.0, 4.0, 0.0, 3.0)


def test_a_triangle_by_hand():
    place = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0], [9.0, 9.0]])
    expected = [[2, OUTSIDE, OUTSIDE, OUTSIDE], [2, 2, OUTSIDE, OUTSIDE], [0, 0, 1, OUTSIDE]]
    for faces in ([[0, 1, 2]], [[1, 2, 0]], [[0, 2, 1]], [[0, 3, 3], [0, 1, 2], [1, 1, 1]]):  # two without an area
        np.testing.assert_array_equal(vertex_at(np.array(faces), place, WINDOW, (3, 4)), expected)
    assert (vertex_at(np.array([[0, 1, 2]]), place + 100, WINDOW, (3, 4)) == OUTSIDE).all()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(4, 60), st.integers(1, 40), st.integers(1, 40), st.sampled_from([7, 1 << 20])
)
def test_as_scipy_finds_it(seed, n, height, width, at_once):
    """Whatever the mesh, the grid and how much is tried at a time; a mesh reaches beyond the window."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1, 5, (n, 2))
    mesh = Delaunay(place)
    keep, before = rng.random(len(mesh.simplices)) < 0.8, raster.AT_ONCE  # holes
    raster.AT_ONCE = at_once
    try:
        got = vertex_at(mesh.simplices[keep], place, WINDOW, (height, width))
    finally:
        raster.AT_ONCE = before
    x, y = (np.arange(width) + 0.5) * 4 / width, 3 - (np.arange(height) + 0.5) * 3 / height
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    face = mesh.find_simplex(points)
    two = np.einsum("nij,nj->ni", mesh.transform[face, :2], points - mesh.transform[face, 2])
    shares = np.concatenate([two, 1 - two.sum(1, keepdims=True)], 1)
    expected = mesh.simplices[face, shares.argmax(1)]
    expected = np.where((face >= 0) & keep[face], expected, OUTSIDE)
    second, first = np.sort(shares, 1)[:, 1:].T
    clear = (np.abs(shares).min(1) > 1e-6) & (first - second > 1e-6) | (face < 0)  # not on a border
    np.testing.assert_array_equal(got.ravel()[clear], expected[clear])


def test_the_cells_of_a_drawing():
    """Middles of the quadrilaterals that drawings are made of lie in the cell of their vertex, at the real mesh."""
    mesh = surfaces.load_mesh()
    place = flat_picture._flat(mesh)
    quads, edges = cells(mesh.flat_faces)
    middle = node_values(place, mesh.flat_faces, edges)[quads].mean(1)
    window = flat_picture._window(place, mesh, None)
    got = vertex_at(mesh.flat_faces, place, window, (3000, 4000))
    x = ((middle[:, 0] - window[0]) / (window[1] - window[0]) * 4000).astype(int)
    y = ((window[3] - middle[:, 1]) / (window[3] - window[2]) * 3000).astype(int)
    assert (got[y, x] == quads[:, 0]).mean() > 0.995  # the others lie within a pixel of a neighbour


def test_a_picture_shows_each_vertex_in_its_colour_at_its_place(tmp_path):
    brain = planted_layers()
    brain_map = view.layer_map(brain.selectors, brain.vertices, painted=brain.painted)
    with Image.open(flat_picture.flat_png(brain_map, tmp_path / "x.png", dpi=150)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    mesh = surfaces.load_mesh()
    place = flat_picture._flat(mesh)
    left, right, low, high = flat_picture._window(place, mesh, brain_map.painted)
    scale = pixels.shape[1] / (right - left)
    used = np.unique(mesh.flat_faces)
    used = used[(place[used] > [left + 1, low + 1]).all(1) & (place[used] < [right - 1, high - 1]).all(1)]
    x = ((place[used, 0] - left) * scale).astype(int)
    y = pixels.shape[0] - 1.35 * 150 - (place[used, 1] - low) * scale  # the legend is below
    colours = brain_map.colours(flat_picture.ground(mesh)).astype(int)[used]
    near = np.abs(pixels[y.astype(int), x] - colours).max(1) <= 3
    assert len(used) > 5000 and near.mean() > 0.98  # vertices at the edge of the patch, at corners that fold
    assert near[brain_map.painted[used]].mean() > 0.98
