"""Surfaces against anatomy and published conventions: meshes, encoder coordinates, retinotopy, ROIs, atlases."""

import importlib.metadata
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from factortopy import surfaces
from factortopy.errors import InputError

N = 10242
LEFT, RIGHT = slice(0, N), slice(N, 2 * N)
SIDES = ((LEFT, 1), (RIGHT, -1))  # and the half of the visual field that each sees


@pytest.fixture(scope="module")
def mesh():
    return surfaces.load_mesh()


@pytest.fixture(scope="module")
def retinotopy():
    return surfaces.fitted_retinotopy()


# ---------------------------------------------------------------- the mesh


def test_every_kind_has_both_hemispheres(mesh):
    assert mesh.n == N and set(mesh.coords) == set(surfaces.KINDS)
    for coords in (*mesh.coords.values(), mesh.sulc[:, None]):
        assert len(coords) == 2 * N and coords.dtype == np.float32 and np.isfinite(coords).all()
    for kind in ("white", "pial"):  # left is where x is negative
        assert mesh.coords[kind][LEFT, 0].mean() < -20 and mesh.coords[kind][RIGHT, 0].mean() > 20
    assert np.linalg.norm(mesh.coords["sphere"], axis=1) == pytest.approx(np.full(2 * N, 100), abs=0.1)


def test_each_hemisphere_is_a_closed_surface_that_faces_outward(mesh):
    for side, (rows, _) in enumerate(SIDES):
        faces = mesh.faces[(mesh.faces // N == side).all(1)]
        edges = mesh.edges()[(mesh.edges() // N == side).all(1)]
        assert len(faces) * 2 == len(mesh.faces) and len(edges) * 2 == len(mesh.edges())  # no face spans both
        assert N - len(edges) + len(faces) == 2  # Euler: a sphere
        around = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        assert len(np.unique(around, axis=0)) == len(around)  # each edge once in either direction: one orientation
        a, b, c = (mesh.coords["white"][faces[:, k]].astype(float) for k in range(3))
        volume = np.einsum("fi,fi->", a, np.cross(b, c)) / 6
        assert 250_000 < volume < 500_000  # mm³, positive where faces point outward
        assert np.unique(mesh.faces[mesh.faces // N == side]).size == N and rows.stop - rows.start == N


def test_edges_are_each_pair_of_neighbours_once(mesh):
    edges = mesh.edges()
    assert (edges[:, 0] < edges[:, 1]).all() and len(np.unique(edges, axis=0)) == len(edges)
    known = {tuple(edge) for edge in edges.tolist()}
    for face in mesh.faces[::997].tolist():
        assert all(tuple(sorted(pair)) in known for pair in combinations(face, 2))


def test_the_flat_patch_is_a_part_of_the_surface(mesh):
    whole = {tuple(sorted(face)) for face in mesh.faces.tolist()}
    flat = {tuple(sorted(face)) for face in mesh.flat_faces.tolist()}
    assert flat < whole and len(flat) > 0.85 * len(whole)


def test_sulci_are_deep_and_gyri_are_not(mesh):
    def depth(*place):
        near = np.argsort(((mesh.coords["white"][LEFT] - place) ** 2).sum(1))[:5]
        return mesh.sulc[near].mean()

    assert depth(-38, 2, 5) > 0.3 and depth(-38, -26, 52) > 0.3  # insula, central sulcus (MNI305 mm)
    assert depth(-36, -20, 68) < -0.3  # crown of the precentral gyrus


def test_an_unknown_density_is_refused_with_a_remedy():
    with pytest.raises(InputError, match="10k, 41k, 164k") as caught:
        surfaces.load_mesh("32k")
    assert "32k" in str(caught.value) and "\n" not in str(caught.value)


# ---------------------------------------------------------------- rows and coordinates

VERTICES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, N - 1)), min_size=1, max_size=8)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(VERTICES)
def test_full_index_is_left_first_and_can_be_undone(pairs):
    hemi, vertex = np.array(pairs).T
    rows = surfaces.full_index(hemi.astype(np.uint8), vertex.astype(np.int32))
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows // N, hemi)
    np.testing.assert_array_equal(rows % N, vertex)
    big = surfaces.full_index([1], [163841], "164k")
    assert big[0] == 2 * 163842 - 1


@settings(max_examples=30, derandomize=True, deadline=None)
@given(VERTICES)
def test_vertices_put_values_on_the_mesh(pairs):
    hemi, vertex = np.array(sorted(set(pairs))).T
    vertices = surfaces.Vertices(hemi, vertex)
    assert len(vertices) == len(hemi) and vertices.hemi.dtype == np.uint8
    mesh = vertices.whole(np.stack([hemi, vertex], 1))
    assert mesh.shape == (2 * N, 2) and np.isfinite(mesh[:, 0]).sum() == len(hemi)
    np.testing.assert_array_equal(mesh[vertices.rows], np.stack([hemi, vertex], 1))
    right = vertices.subset(hemi == 1)
    assert right == vertices.subset(np.flatnonzero(hemi)) and (right == vertices) == bool(hemi.all())
    np.testing.assert_array_equal(vertices.roi_rows({"right": hemi == 1})["right"], right.rows)
    assert vertices.whole(hemi == 1, fill=False).sum() == len(right)


@pytest.mark.parametrize(
    "hemi, vertex, density, words",
    [
        ([0, 0], [3], "10k", "found 2 and 1"),
        ([0, 2], [3, 4], "10k", "0 for left and 1 for right, found 2"),
        ([1, 0], [3, 4], "10k", "left vertices first"),
        ([0, 0], [3, 163841], "10k", "0 to 10,241 (10k), found 163841; check the density"),
        ([1, 1], [1, 10242], "10k", "counted from 1"),
        ([0, 0], [-1, 4], "41k", "0 to 40,961 (41k), found -1"),
        ([1, 1], [7, 7], "10k", "1 twice: right 7"),
        ([0], [0.5], "10k", "whole numbers"),
        ([0], [0], "11k", "'10k', '41k' or '164k'"),
    ],
)
def test_what_is_no_vertex_is_refused(hemi, vertex, density, words):
    with pytest.raises(InputError) as caught:
        surfaces.Vertices(hemi, vertex, density)
    assert words in str(caught.value)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(VERTICES)
def test_a_part_of_the_vertices_has_the_coordinates_of_the_whole(pairs):
    hemi, vertex = np.array(sorted(set(pairs))).T
    everything = surfaces.Vertices.of_mesh().coords()
    some = surfaces.Vertices(hemi, vertex).coords()
    assert some.dtype == np.float32 and some.shape == (len(hemi), 3)
    np.testing.assert_array_equal(some, everything[surfaces.full_index(hemi, vertex)])


def test_encoder_coordinates_span_100_and_keep_the_shape(mesh):
    coords = surfaces.Vertices.of_mesh().coords()
    assert coords.min(0) == pytest.approx(np.zeros(3), abs=1e-4)
    assert coords.max() == pytest.approx(100) and (coords.max(0) <= 100 + 1e-4).all()
    # One factor for all axes, within a hemisphere: distances are those of the inflated surface.
    a, b = mesh.edges()[::101].T
    true = np.linalg.norm(mesh.coords["inflated"][a] - mesh.coords["inflated"][b], axis=1)
    ratio = np.linalg.norm(coords[a] - coords[b], axis=1) / true
    assert np.ptp(ratio) < 1e-3 * ratio.mean()


def test_hemispheres_are_apart(mesh):
    inflated = mesh.coords["inflated"]
    assert inflated[LEFT, 0].max() > inflated[RIGHT, 0].min()  # they do overlap as they come
    moved = surfaces.apart(inflated, N, gap=2.0)
    assert moved[RIGHT, 0].min() - moved[LEFT, 0].max() == pytest.approx(4.0, abs=1e-4)
    np.testing.assert_array_equal(moved[:, 1:], inflated[:, 1:])
    assert inflated[LEFT, 0].max() > inflated[RIGHT, 0].min()  # a copy was moved
    coords = surfaces.Vertices.of_mesh().coords()
    assert coords[LEFT, 0].max() < coords[RIGHT, 0].min()


@pytest.mark.parametrize("density", ["41k", "164k"])
def test_a_vertex_keeps_its_coordinates_at_every_density(density):
    n = surfaces.N_VERTICES[density]
    few = surfaces.Vertices.of_mesh().coords()
    many = surfaces.Vertices.of_mesh(density).coords()
    assert many.dtype == np.float32 and many.min() >= 0 and many.max() <= 100
    for side in (0, 1):
        np.testing.assert_array_equal(many[side * n : side * n + N], few[side * N : (side + 1) * N])

    # New vertices lie between their neighbours, not elsewhere.
    def longest(coords, edges):
        return np.linalg.norm(np.diff(coords[edges], axis=1), axis=2).max()

    share = np.sqrt(N / n)
    reach = longest(few, surfaces.load_mesh().edges())
    assert longest(many, surfaces.load_mesh(density).edges()) == pytest.approx(share * reach, rel=0.15)


# ---------------------------------------------------------------- retinotopy


def test_each_hemisphere_sees_the_opposite_half_of_the_field(retinotopy):
    for rows, side in SIDES:
        seen = retinotopy.area[rows] > 0
        assert (np.sign(retinotopy.x[rows][seen]) == side).mean() > 0.99


def test_positions_and_areas_belong_together(retinotopy):
    r = retinotopy
    inside = r.area > 0
    for values in (r.x, r.y, r.eccentricity):
        np.testing.assert_array_equal(np.isfinite(values), inside)
    np.testing.assert_allclose(np.hypot(r.x, r.y)[inside], r.eccentricity[inside], rtol=1e-5)
    assert set(np.unique(r.area)) == {0, 1, 2, 3, 4} and r.eccentricity[inside].min() >= 0


def test_v1_is_as_large_as_in_bensons_template(retinotopy):
    """Benson's has 99 and 111 vertices within 8°; ours adds the foveal ones of V2 to hV4, below half a degree."""
    for rows, _ in SIDES:
        v1, ecc = retinotopy.area[rows] == 1, retinotopy.eccentricity[rows]
        assert 85 <= (v1 & (ecc > 0.5) & (ecc < 8)).sum() <= 130
        assert 180 <= v1.sum() <= 290


def test_eccentricity_grows_from_the_foveal_confluence(mesh, retinotopy):
    for rows, _ in SIDES:
        area, ecc = retinotopy.area[rows], retinotopy.eccentricity[rows]
        fovea = rows.start + np.flatnonzero(area == 1)[ecc[area == 1].argmin()]
        distance = surfaces.surface_distance(fovea, mesh, limit=np.inf)[rows]
        for k, least in ((1, 0.94), (2, 0.75), (3, 0.75)):
            use = (area == k) & (ecc > 0.5) & (ecc < 20)
            assert spearmanr(distance[use], ecc[use])[0] > least
        assert mesh.coords["white"][fovea, 1] < -80  # mm: at the occipital pole


def test_upper_field_lies_below_the_calcarine(mesh, retinotopy):
    for rows, _ in SIDES:
        height, v1 = mesh.coords["white"][rows][:, 2], retinotopy.area[rows] == 1
        upper = retinotopy.y[rows] > 0
        assert height[v1 & upper].mean() < height[v1 & ~upper].mean() - 3


def test_areas_meet_at_the_right_meridians(mesh, retinotopy):
    """V1 and V2 at the vertical one (0 or 180° from the upper vertical), V2 and V3 at the horizontal one (90°)."""
    theta = np.rad2deg(np.arctan2(np.abs(retinotopy.x), retinotopy.y))
    area, ecc = retinotopy.area, retinotopy.eccentricity
    edges = mesh.edges()
    edges = edges[((ecc[edges] > 0.7) & (ecc[edges] < 12)).all(1)]
    for pair, meridian in (({1, 2}, "vertical"), ({2, 3}, "horizontal")):
        border = edges[[set(area[edge].tolist()) == pair for edge in edges]]
        assert len(border) > 80
        off = np.abs(theta[border] - 90)
        assert np.median(off if meridian == "horizontal" else 90 - off) < 15
        assert np.median(np.abs(np.diff(theta[border], axis=1))) < 20  # no jump where areas meet


def test_visual_field_sign_alternates(mesh, retinotopy):
    """V1 −, V2 +, V3 −, hV4 + (Sereno 1995): mirror images side by side."""
    r = retinotopy
    for k, positive in ((1, False), (2, True), (3, False), (4, True)):
        for side in (0, 1):
            faces = mesh.faces[(mesh.faces // N == side).all(1)]
            ecc = r.eccentricity[faces]
            faces = faces[(r.area[faces] == k).all(1) & ((ecc > 0.5) & (ecc < 12)).all(1)]
            a, b, c = (np.stack([r.x[faces[:, j]], r.y[faces[:, j]]], 1) for j in range(3))
            cross = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
            assert ((cross > 0) == positive).mean() > 0.75


@pytest.mark.parametrize("density", ["41k", "164k"])
def test_retinotopy_at_other_densities_is_the_same_map(density, retinotopy):
    mesh = surfaces.load_mesh(density)
    fine = surfaces.fitted_retinotopy(mesh)
    for rows, _ in SIDES:
        first = (rows.start // N) * mesh.n + np.arange(N)
        assert (fine.area[first] == retinotopy.area[rows]).mean() > 0.999  # the sphere is made round again: 0.02 mm
        grown = (fine.area[first[0] : first[0] + mesh.n] == 1).sum() / (retinotopy.area[rows] == 1).sum()
        assert grown == pytest.approx(mesh.n / N, rel=0.02)
    seen = fine.area > 0
    np.testing.assert_allclose(np.hypot(fine.x, fine.y)[seen], fine.eccentricity[seen], rtol=1e-5)


# ---------------------------------------------------------------- regions of interest


@pytest.mark.parametrize("density", ["41k", "164k"])
def test_distances_hardly_change_with_the_density(density, mesh):
    fine, seed = surfaces.load_mesh(density), 831
    coarse = surfaces.surface_distance(seed, mesh, limit=30)
    there = surfaces.surface_distance(seed, fine, limit=40)[:N]
    near = np.isfinite(coarse[:N]) & (coarse[:N] > 0)
    ratio = there[near] / coarse[:N][near]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1) and ratio.max() < 1.25  # paths follow finer folds


def test_distance_runs_along_the_surface(mesh):
    middle = (mesh.coords["white"] + mesh.coords["pial"]) / 2
    seed = 831
    distance = surfaces.surface_distance(seed, mesh, limit=40)
    assert distance[seed] == 0 and np.isinf(distance[RIGHT]).all()
    reached = np.isfinite(distance)
    assert distance[reached].max() <= 40 and reached.sum() > 200
    straight = np.linalg.norm(middle - middle[seed], axis=1)
    assert (distance[reached] >= straight[reached] - 1e-3).all()
    neighbours = mesh.edges()[(mesh.edges() == seed).any(1)].sum(1) - seed
    assert distance[neighbours] == pytest.approx(straight[neighbours], rel=1e-5)
    both = surfaces.surface_distance([seed, 10057], mesh, limit=40)
    other = surfaces.surface_distance(10057, mesh, limit=40)
    np.testing.assert_array_equal(both, np.minimum(distance, other))


def test_published_centres_lie_in_their_region(mesh):
    cortex = surfaces.visual_cortex()
    for name, centres in surfaces.AREA_CENTRES.items():
        for side, vertices in enumerate(centres):
            for vertex in vertices:
                at = np.flatnonzero(cortex.vertices.rows == vertex + side * N)
                assert len(at) == 1, (name, vertex)
                assert cortex.nearest[at[0]] == name and cortex.distance[at[0]] == 0
                assert cortex.roi[at[0]] in (name, *surfaces.EARLY[:3])  # early areas are cut out of the patches
        assert cortex.rois()[name].sum() >= 10


def test_visual_cortex_is_what_it_says(retinotopy):
    cortex = surfaces.visual_cortex(max_eccentricity=7.2)
    assert (np.diff(cortex.vertices.rows) > 0).all()
    np.testing.assert_array_equal(
        surfaces.full_index(cortex.vertices.hemi, cortex.vertices.vertex), cortex.vertices.rows
    )
    rois = cortex.rois()
    assert list(rois)[:4] == list(surfaces.EARLY)
    assert np.sum(list(rois.values()), axis=0).max() == 1  # no vertex in two
    np.testing.assert_array_equal(np.sum(list(rois.values()), axis=0) == 0, cortex.roi == "")
    for k, name in enumerate(surfaces.EARLY[:3], start=1):
        rows = cortex.vertices.rows[rois[name]]
        assert (retinotopy.area[rows] == k).all() and retinotopy.eccentricity[rows].max() < 7.2
        expected = (retinotopy.area == k) & (retinotopy.eccentricity < 7.2)
        assert rois[name].sum() == expected.sum()
    assert not rois["VWFA"][cortex.vertices.hemi == 1].any() and rois["VWFA"].any()  # left only
    wide = surfaces.visual_cortex(max_eccentricity=4.2).rois()
    assert wide["V1"].sum() < rois["V1"].sum()


def test_another_brain_has_its_centres_moved_by_at_most_5_mm(mesh):
    first, second = surfaces.visual_cortex(), surfaces.visual_cortex(shift=2)
    assert not np.array_equal(first.roi, second.roi[: len(first.roi)])
    again = surfaces.visual_cortex.__wrapped__(shift=2)
    np.testing.assert_array_equal(again.roi, second.roi)
    for name, centres in surfaces.AREA_CENTRES.items():
        seeds = [v + side * N for side in (0, 1) for v in centres[side]]
        moved = second.vertices.rows[(second.nearest == name) & (second.distance == 0)]
        assert surfaces.surface_distance(seeds, mesh)[moved].max() <= 5.0
        rows = first.vertices.rows[first.nearest == name]
        assert len(np.intersect1d(rows, second.vertices.rows[second.nearest == name])) > 0.3 * len(rows)


# ---------------------------------------------------------------- published atlases

STEMS = {
    "benson14_angle.v4_0": np.float32, "benson14_eccen.v4_0": np.float32, "benson14_varea.v4_0": np.int32,
    "wang15_mplbl.v1_0": np.int32, "glasser16_atlas.v1_0": np.float32,
}  # fmt: skip


def made_up(stem, side):
    """(163842,) values of a made-up atlas; what lies behind the first 10,242 never occurs among them."""
    k = np.arange(163842)
    shift = 0 if side == "lh" else 3
    if "angle" in stem:
        values = ((k + shift) % 5) * 45.0
    elif "eccen" in stem:
        values = 1 + (k % 90) / 2
    elif "glasser" in stem:
        values = np.where((k + shift) % 7 == 0, np.nan, (k + shift) % 60)
    else:
        values = (k + shift) % 10  # codes 0 to 9
    values = np.where(k < N, values, 12)
    return values.astype(STEMS[stem])


@pytest.fixture(scope="session")
def neuropythy_files(tmp_path_factory):
    """A folder as neuropythy is installed: big-endian .mgz files of shape (1, 1, 163842)."""
    root = tmp_path_factory.mktemp("site-packages")
    folder = root / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    folder.mkdir(parents=True)
    for stem, kind in STEMS.items():
        for side in ("lh", "rh"):
            image = nibabel.MGHImage(made_up(stem, side).reshape(1, 1, -1), np.eye(4))
            nibabel.save(image, folder / f"{side}.{stem}.mgz")
            stored = nibabel.load(folder / f"{side}.{stem}.mgz")
            assert stored.shape == (1, 1, 163842) and stored.get_data_dtype() == np.dtype(kind).newbyteorder(">")
    return root


def install(monkeypatch, root):
    """Make importlib.metadata tell that neuropythy lies in ``root``, or nowhere."""

    def distribution(name):
        assert name == "neuropythy"
        if root is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return SimpleNamespace(locate_file=lambda path: Path(root) / path)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)


def test_without_the_files_the_remedy_is_named(monkeypatch):
    install(monkeypatch, None)
    assert surfaces.available_atlases() == {}
    for ask in (lambda: surfaces.load_atlas("benson14"), surfaces.benson_retinotopy):
        with pytest.raises(InputError, match="pip install --no-deps neuropythy") as caught:
            ask()
        assert "\n" not in str(caught.value) and "lh.benson14" in str(caught.value)
    with pytest.raises(InputError, match="expected one of benson14, wang15, hcp-mmp1"):
        surfaces.load_atlas("brodmann")


def test_atlases_are_read_from_neuropythys_files(monkeypatch, neuropythy_files):
    install(monkeypatch, neuropythy_files)
    assert list(surfaces.available_atlases()) == ["benson14", "wang15", "hcp-mmp1"]
    k = np.arange(N)
    for name, codes in (
        ("benson14", {"V1": 1, "V2": 2, "V3": 3, "hV4": 4, "VO1": 5, "VO2": 6, "LO1": 7, "LO2": 8, "TO1": 9}),
        ("wang15", {"V1v": 1, "V1d": 2, "V2v": 3, "V2d": 4, "V3v": 5, "V3d": 6, "hV4": 7, "VO1": 8, "VO2": 9}),
    ):
        found = surfaces.load_atlas(name)
        assert list(found) == list(codes)  # nothing from behind the first 10,242 vertices, no empty area
        for area, code in codes.items():
            np.testing.assert_array_equal(found[area][LEFT], k % 10 == code)
            np.testing.assert_array_equal(found[area][RIGHT], (k + 3) % 10 == code)
    found = surfaces.load_atlas("hcp-mmp1")
    assert set(found) == set("V1 MST V6 V2 V3 V4 V8 V3A FFC V3B LO1 LO2 PIT MT POS1".split())  # codes below 60
    np.testing.assert_array_equal(found["FFC"][LEFT], (k % 60 == 18) & (k % 7 != 0))


def test_bensons_angles_are_turned_into_the_visual_field(monkeypatch, neuropythy_files):
    """0° upper vertical meridian, 90° horizontal, 180° lower, in both hemispheres; left sees right."""
    install(monkeypatch, neuropythy_files)
    found = surfaces.benson_retinotopy()
    k = np.arange(N)
    for (rows, side), shift in zip(SIDES, (0, 3), strict=True):
        area, code = found.area[rows], (k + shift) % 10
        np.testing.assert_array_equal(area, np.where(code <= 4, code, 0))
        inside, ecc, fifth = area > 0, 1 + (k % 90) / 2, (k + shift) % 5
        for values in (found.x[rows], found.y[rows], found.eccentricity[rows]):
            np.testing.assert_array_equal(np.isfinite(values), inside)
        expected = {0: (0, 1), 1: (0.5**0.5, 0.5**0.5), 2: (1, 0), 3: (0.5**0.5, -(0.5**0.5)), 4: (0, -1)}
        for turn, (x, y) in expected.items():
            use = inside & (fifth == turn)
            np.testing.assert_allclose(found.x[rows][use], side * x * ecc[use], atol=1e-4)
            np.testing.assert_allclose(found.y[rows][use], y * ecc[use], atol=1e-4)
    assert "Benson" in found.source


def test_an_atlas_of_one_hemisphere_is_not_offered(monkeypatch, neuropythy_files, tmp_path):
    folder = tmp_path / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    folder.mkdir(parents=True)
    name = "wang15_mplbl.v1_0.mgz"
    source = neuropythy_files / "neuropythy" / "lib" / "data" / "fsaverage" / "surf"
    (folder / f"lh.{name}").symlink_to(source / f"lh.{name}")
    install(monkeypatch, tmp_path)
    assert surfaces.available_atlases() == {}
    with pytest.raises(InputError, match=f"rh.{name}"):
        surfaces.load_atlas("wang15")
    (folder / f"rh.{name}").write_bytes((source / f"rh.{name}").read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged") as caught:
        surfaces.load_atlas("wang15")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif("benson14" not in surfaces.available_atlases(), reason="neuropythy's atlas files are not here")
@pytest.mark.parametrize("density", ["10k", "41k", "164k"])
def test_the_fit_agrees_with_bensons_template(density):
    """At 41k and 164k also a check of the vertex order: vertices numbered otherwise would not agree at all."""
    fit, benson = surfaces.fitted_retinotopy(surfaces.load_mesh(density)), surfaces.benson_retinotopy(density)
    n = surfaces.N_VERTICES[density]
    for rows in (slice(0, n), slice(n, 2 * n)):
        ours, theirs = fit.area[rows], benson.area[rows]
        e, f = fit.eccentricity[rows], benson.eccentricity[rows]
        for k, least in ((1, 0.8), (2, 0.6), (3, 0.4)):
            a = (ours == k) & (e > 0.5) & (e < 12)
            b = (theirs == k) & (f > 0.5) & (f < 12)
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > least
        both = (ours == 1) & (theirs == 1) & (f > 0.5) & (f < 12)
        assert np.corrcoef(np.log(e[both]), np.log(f[both]))[0, 1] > 0.95
