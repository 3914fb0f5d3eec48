"""Meshes at 41k and 164k: FreeSurfer's vertex order, previews, real files in FreeSurfer's formats, damaged ones."""

import gzip
import hashlib
import importlib.metadata
import os
import shutil
import struct

import nibabel
import nibabel.freesurfer as freesurfer
import numpy as np
import pytest
from browser import brain, project, start_app
from surf_files import half, moved, write_patch, write_surf

from factortopy.errors import InputError
from factortopy.surfaces import icosphere, mesh_files, meshes
from factortopy.view import geometry
from factortopy.view.packing import unpack

FINE = ("41k", "164k")
N = meshes.N_VERTICES
# Of the (327680, 3) little-endian int32 triangles in neuropythy 0.13.0's {lh,rh}.benson14_retinotopy.v4_0.sphere.reg.
FSAVERAGE_TRIANGLES = "68366cc184ac5bca1d53506685891846"


# ---------------------------------------------------------------- topology and order


def test_the_order_of_fsaverage5_follows_from_fsaverage4():
    """The rule is not fitted to one step: undo the last one, do it again."""
    faces = meshes.triangles()[: half("10k")]
    corner, others = faces[:5120], faces[5120:].reshape(-1, 3, 3)
    coarse = np.stack([corner[:, 0], others[:, 2, 1], others[:, 0, 2]], 1)
    assert coarse.max() == 2561
    again, parents, inside = icosphere.subdivide(coarse, 2562)
    np.testing.assert_array_equal(again, faces)
    assert len(parents) == 10242 - 2562 and (np.bincount(inside) == 4).all()
    sphere = meshes.load_mesh().coords["sphere"][:10242].astype(float)
    middle = sphere[parents].mean(1)
    middle *= 100 / np.linalg.norm(middle, axis=1, keepdims=True)
    assert np.abs(middle - sphere[2562:]).max() < 0.02  # mm: each vertex lies on the edge that it is said to halve


def test_the_triangles_are_those_of_fsaverage():
    left = meshes.triangles("164k")[: half("164k")]
    assert hashlib.blake2b(left.astype("<i4").tobytes(), digest_size=16).hexdigest() == FSAVERAGE_TRIANGLES
    np.testing.assert_array_equal(meshes.triangles("164k")[half("164k") :], left + N["164k"])


def neuropythy_sphere(side):
    try:
        package = importlib.metadata.distribution("neuropythy")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("neuropythy is not here")
    return package.locate_file(f"neuropythy/lib/data/fsaverage/surf/{side}.benson14_retinotopy.v4_0.sphere.reg")


@pytest.mark.parametrize("side", ["lh", "rh"])
def test_order_and_places_are_those_of_neuropythys_fsaverage(side):
    coords, faces = freesurfer.read_geometry(neuropythy_sphere(side))
    np.testing.assert_array_equal(faces, meshes.triangles("164k")[: half("164k")])
    rows = slice(0, N["164k"]) if side == "lh" else slice(N["164k"], None)
    apart = np.linalg.norm(meshes.load_mesh("164k").coords["sphere"][rows] - coords, axis=1)
    assert (apart[N["41k"] :] < 0.05).mean() > 0.7  # the rest is where Benson's template was warped onto the areas


@pytest.mark.parametrize("density", FINE)
def test_each_hemisphere_is_a_closed_surface_that_faces_outward(density):
    mesh = meshes.load_mesh(density)
    n = mesh.n
    assert mesh.preview and "preview" in mesh.source and mesh.density == density and n == N[density]
    assert not meshes.load_mesh().preview and "nilearn" in meshes.load_mesh().source
    for side in (0, 1):
        faces = mesh.faces[side * half(density) : (side + 1) * half(density)]
        edges = mesh.edges()[(mesh.edges() // n == side).all(1)]
        assert (faces // n == side).all() and len(np.unique(faces)) == n
        assert n - len(edges) + len(faces) == 2  # Euler: a sphere
        neighbours = np.bincount(edges.ravel() - side * n)
        assert np.unique(neighbours, return_counts=True)[0].tolist() == [5, 6] and (neighbours == 5).sum() == 12
        for kind in ("sphere", "inflated", "white", "pial"):
            a, b, c = (mesh.coords[kind][faces[:, k]].astype(float) for k in range(3))
            volume = np.einsum("fi,fi->", a - a.mean(0), np.cross(b - a.mean(0), c - a.mean(0))) / 6
            coarse = meshes.load_mesh()
            known = coarse.coords[kind][coarse.faces[side * 20480 : (side + 1) * 20480]].astype(float)
            known -= known[:, 0].mean(0)
            assert volume == pytest.approx(
                np.einsum("fi,fi->", known[:, 0], np.cross(known[:, 1], known[:, 2])) / 6, rel=0.03
            )
            assert volume > 0 and (np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-3).all()  # none degenerate
        a, b, c = (mesh.coords["sphere"][faces[:, k]].astype(float) for k in range(3))
        assert (np.einsum("fi,fi->f", a, np.cross(b - a, c - a)) > 0).all()  # every one outward


@pytest.mark.parametrize("density", FINE)
def test_vertices_of_10k_come_first_and_stay_where_they_are(density):
    coarse, fine = meshes.load_mesh(), meshes.load_mesh(density)
    for side in (0, 1):
        first, old = side * fine.n + np.arange(10242), slice(side * 10242, (side + 1) * 10242)
        for kind in ("white", "pial", "inflated", "flat"):
            np.testing.assert_array_equal(fine.coords[kind][first], coarse.coords[kind][old])
        np.testing.assert_allclose(fine.coords["sphere"][first], coarse.coords["sphere"][old], atol=0.02)
        np.testing.assert_array_equal(fine.sulc[first], coarse.sulc[old])
    for kind in meshes.KINDS:
        assert fine.coords[kind].dtype == np.float32 and np.isfinite(fine.coords[kind]).all()
        assert fine.coords[kind].flags.c_contiguous
    assert np.linalg.norm(fine.coords["sphere"], axis=1) == pytest.approx(np.full(2 * fine.n, 100), abs=1e-3)
    assert fine.sulc.shape == (2 * fine.n,) and fine.sulc.dtype == np.float32


@pytest.mark.parametrize("density", FINE)
def test_edges_shrink_by_half_at_each_step(density):
    def lengths(mesh, kind):
        a, b = mesh.edges().T
        return np.linalg.norm(mesh.coords[kind][a] - mesh.coords[kind][b], axis=1)

    mesh, share = meshes.load_mesh(density), {"41k": 2, "164k": 4}[density]
    for kind in ("white", "pial", "inflated", "sphere"):
        long, short = lengths(meshes.load_mesh(), kind), lengths(mesh, kind)
        assert np.median(short) == pytest.approx(np.median(long) / share, rel=0.08)
        assert short.max() < long.max() / share * 1.6 and short.min() > 0.01
    sphere = lengths(mesh, "sphere")
    assert sphere.max() / sphere.min() < 1.3


@pytest.mark.parametrize("density", FINE)
def test_the_flat_patch_keeps_its_cuts_and_does_not_fold(density):
    coarse, mesh = meshes.load_mesh(), meshes.load_mesh(density)
    assert len(mesh.flat_faces) == len(coarse.flat_faces) * {"41k": 4, "164k": 16}[density]
    a, b, c = (mesh.coords["flat"][mesh.flat_faces[:, k], :2].astype(float) for k in range(3))
    twice = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (twice > 0).all()
    x, y, z = (coarse.coords["flat"][coarse.flat_faces[:, k], :2].astype(float) for k in range(3))
    known = (y - x)[:, 0] * (z - x)[:, 1] - (y - x)[:, 1] * (z - x)[:, 0]
    assert twice.sum() == pytest.approx(known.sum(), rel=1e-5)


def test_the_butterfly_meets_hidden_vertices_better_than_midpoints():
    """The numbers in the preview's comment: fsaverage5's own finer half, from its coarser one."""
    coarse = meshes.load_mesh()
    faces = coarse.faces[:20480]
    corner, others = faces[:5120], faces[5120:].reshape(-1, 3, 3)
    fs4 = np.stack([corner[:, 0], others[:, 2, 1], others[:, 0, 2]], 1)
    _, parents, _ = icosphere.subdivide(fs4, 2562)
    for kind, best in (("white", 0.48), ("pial", 0.6), ("inflated", 0.14)):
        true = coarse.coords[kind][:10242]
        smooth = icosphere.smooth(true[:2562], parents, fs4)
        straight = icosphere.straight(true[:2562], parents)
        error, other = (np.sqrt(((x - true)[2562:] ** 2).sum(1).mean()) for x in (smooth, straight))
        assert error < best < other
        np.testing.assert_array_equal(smooth[:2562], true[:2562])


def test_both_schemes_keep_straight_things_straight():
    faces = meshes.triangles()[: half("10k")]
    _, parents, _ = icosphere.subdivide(faces, 10242)
    ones = np.ones((10242, 2))
    assert icosphere.smooth(ones, parents, faces) == pytest.approx(1)
    assert icosphere.straight(ones, parents) == pytest.approx(1)
    gaps = np.where(np.arange(10242) == 5, np.nan, 1.0)
    assert np.isnan(icosphere.straight(gaps, parents)).sum() < 8  # a gap stays as small as can be


# ---------------------------------------------------------------- real files, as FreeSurfer writes them


@pytest.fixture(scope="module")
def subjects_dir(tmp_path_factory):
    """A SUBJECTS_DIR with made-up fsaverage and fsaverage6 of full vertex counts."""
    root = tmp_path_factory.mktemp("subjects")
    write_surf(root / "fsaverage" / "surf", "164k")
    write_surf(root / "fsaverage6" / "surf", "41k", patch=False)
    return root


@pytest.fixture
def surf(subjects_dir, tmp_path):
    """A copy of fsaverage6's folder to do damage in."""
    return shutil.copytree(subjects_dir / "fsaverage6" / "surf", tmp_path / "fsaverage6" / "surf")


@pytest.mark.parametrize("density", FINE)
def test_real_surfaces_are_read(density, subjects_dir, monkeypatch):
    monkeypatch.setenv("SUBJECTS_DIR", str(subjects_dir))
    mesh, (coords, preview) = meshes.load_mesh(density), moved(density)
    assert not mesh.preview and meshes.SUBJECT[density] in mesh.source and str(subjects_dir) in mesh.source
    assert meshes.load_mesh(density) is mesh
    for kind in ("white", "pial", "inflated", "sphere"):
        np.testing.assert_allclose(mesh.coords[kind], coords[kind], atol=1e-5)
        assert mesh.coords[kind].dtype == np.float32
    np.testing.assert_allclose(mesh.sulc, preview.sulc, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, preview.faces)
    used = np.unique(mesh.flat_faces)
    if density == "164k":  # has patches
        np.testing.assert_allclose(mesh.coords["flat"][used], 2 * coords["flat"][used], atol=1e-4)
        assert np.isin(meshes._keys(preview.flat_faces), meshes._keys(mesh.flat_faces)).all()
        assert "interpolated" not in mesh.source
    else:
        np.testing.assert_array_equal(mesh.flat_faces, preview.flat_faces)
        assert "flat map interpolated" in mesh.source


@pytest.mark.parametrize("below", ["", "surf", "nsddata/freesurfer/fsaverage/surf", "freesurfer/fsaverage"])
def test_a_data_sets_own_folder_is_found_from_above(below, subjects_dir, tmp_path, monkeypatch):
    place = {"": "", "surf": "surf"}.get(below, below if below.endswith("surf") else f"{below}/surf")
    target = tmp_path / "data" / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(subjects_dir / "fsaverage" / "surf")
    mesh = meshes.load_mesh("164k", tmp_path / "data")
    assert not mesh.preview and str(tmp_path / "data") in mesh.source
    monkeypatch.setenv("FACTORTOPY_FSAVERAGE", str(tmp_path / "data"))
    assert meshes.load_mesh("164k") is mesh


def test_fsaverage_serves_41k_by_its_first_vertices(subjects_dir):
    fine = meshes.load_mesh("164k", subjects_dir / "fsaverage")
    mesh = meshes.load_mesh("41k", subjects_dir / "fsaverage")
    assert mesh.n == 40962 and not mesh.preview and "first 40,962" in mesh.source
    np.testing.assert_array_equal(mesh.faces, meshes.triangles("41k"))
    for side in (0, 1):
        rows, first = slice(side * mesh.n, (side + 1) * mesh.n), side * fine.n + np.arange(mesh.n)
        for kind in meshes.KINDS:
            np.testing.assert_array_equal(mesh.coords[kind][rows], fine.coords[kind][first])
    # A triangle is on the flat patch where all sixteen, four here, inside it are.
    whole = np.isin(meshes._keys(fine.faces), meshes._keys(fine.flat_faces))
    expected = np.bincount(meshes._topology("164k")[1], weights=whole) == 4
    np.testing.assert_array_equal(np.isin(meshes._keys(mesh.faces), meshes._keys(mesh.flat_faces)), expected)


def test_what_nilearn_has_downloaded_is_read(tmp_path, monkeypatch):
    coords, mesh = moved("41k")
    folder = tmp_path / "elsewhere" / "fsaverage6"
    folder.mkdir(parents=True)
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "elsewhere"))
    names = {"white": "white", "pial": "pial", "inflated": "infl", "sphere": "sphere", "flat": "flat"}
    for k, side in enumerate(("left", "right")):
        rows = slice(k * mesh.n, (k + 1) * mesh.n)
        for kind, name in names.items():
            faces = mesh.flat_faces if kind == "flat" else mesh.faces
            write_gifti(
                folder / f"{name}_{side}.gii.gz", coords[kind][rows], faces[faces[:, 0] // mesh.n == k] - k * mesh.n
            )
        assert meshes.load_mesh("41k").preview  # not yet complete
        write_gifti(folder / f"sulc_{side}.gii.gz", mesh.sulc[rows])
    found = meshes.load_mesh("41k")
    assert not found.preview and str(folder) in found.source
    for kind in meshes.KINDS:
        np.testing.assert_allclose(found.coords[kind], coords[kind], atol=1e-5)
    np.testing.assert_array_equal(found.flat_faces, mesh.flat_faces)
    path = folder / "infl_left.gii.gz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="infl_left.gii.gz") as caught:
        meshes.load_mesh("41k")
    assert "\n" not in str(caught.value)


def write_gifti(path, values, faces=None):
    arrays = [nibabel.gifti.GiftiDataArray(np.asarray(values, np.float32))]
    if faces is not None:
        arrays.append(nibabel.gifti.GiftiDataArray(np.asarray(faces, np.int32)))
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(nibabel.gifti.GiftiImage(darrays=arrays).to_bytes())


def test_the_shipped_mesh_is_the_one_that_nilearn_loads():
    from nilearn import datasets

    mesh, theirs = meshes.load_mesh(), datasets.load_fsaverage("fsaverage5")
    for kind in meshes.KINDS:
        parts = theirs["white_matter" if kind == "white" else kind].parts
        both = np.concatenate([parts[side].coordinates for side in ("left", "right")])
        np.testing.assert_array_equal(mesh.coords[kind], both.astype(np.float32))
    depth = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data.parts
    np.testing.assert_array_equal(mesh.sulc, np.concatenate([np.ravel(depth[s]) for s in ("left", "right")]))
    np.testing.assert_array_equal(mesh.faces[: half("10k")], theirs["inflated"].parts["left"].faces)
    assert [str(p) for p in mesh_files.nilearn_folders()] == [str(p) for p in datasets.get_data_dirs()]


def test_where_nilearn_keeps_its_files_elsewhere_it_is_asked(monkeypatch, tmp_path):
    known = mesh_files.shipped_files()
    spec = type("Spec", (), {"origin": str(tmp_path / "nilearn" / "__init__.py")})
    monkeypatch.setattr(mesh_files.importlib.util, "find_spec", lambda name: spec)
    assert mesh_files.shipped_files() == known


# ---------------------------------------------------------------- damaged, missing, of another mesh


def spoilt(name, how):
    """Ways to spoil a file, and what the error says."""

    def cut(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def empty(path):
        path.write_bytes(b"")

    def pointer(path):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")

    def other_kind(path):
        path.write_bytes(b"\x93NUMPY" + bytes(5000))

    def huge(path):  # a header that claims two thousand million vertices: nothing of that size may be allocated
        path.write_bytes(b"\xff\xff\xfemade up\n\n" + struct.pack(">ii", 2**31 - 1, 2**31 - 1) + bytes(5000))

    def huge_depth(path):
        path.write_bytes(b"\xff\xff\xff" + struct.pack(">iii", 2**31 - 1, 1, 1) + bytes(5000))

    def native(path):
        faces = np.array([[0, 1, 2]])
        freesurfer.write_geometry(path, np.zeros((227021, 3), np.float32), faces)

    def missing_values(path):
        coords, faces = freesurfer.read_geometry(path)
        coords[7] = np.nan
        freesurfer.write_geometry(path, coords, faces)

    def sorted_anew(path):
        coords, faces = freesurfer.read_geometry(path)
        order = np.random.default_rng(0).permutation(len(coords))
        freesurfer.write_geometry(path, coords[order], np.argsort(order)[faces])

    def short_depth(path):
        freesurfer.write_morph_data(path, np.zeros(40961, np.float32))

    return locals()[how]


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("lh.white", "cut", "cut off"),
        ("rh.pial", "empty", "0 bytes"),
        ("rh.inflated", "pointer", "pointer"),
        ("lh.sphere", "other_kind", "another kind of file"),
        ("lh.pial", "huge", "2,147,483,647"),
        ("lh.inflated", "native", "227,021"),
        ("rh.white", "missing_values", "not numbers"),
        ("rh.sphere", "sorted_anew", "sorted anew"),
        ("lh.sulc", "cut", "lh.sulc"),
        ("rh.sulc", "short_depth", "40,961"),
        ("lh.sulc", "huge_depth", "2,147,483,647"),
        ("lh.sulc", "pointer", "pointer"),
    ],
)
def test_a_spoilt_file_is_named(surf, name, how, says):
    spoilt(name, how)(surf / name)
    with pytest.raises(InputError) as caught:
        meshes.load_mesh("41k", surf)
    words = str(caught.value)
    assert words.startswith(str(surf / name)) and says in words and "\n" not in words and "expected" in words


def test_a_surface_that_says_the_other_side(tmp_path):
    shipped = mesh_files.shipped_files()["pial"]
    copies = [tmp_path / path.name for path in shipped]
    for copy, path in zip(copies, shipped[::-1], strict=True):
        copy.write_bytes(path.read_bytes())
        with pytest.raises(InputError, match="in its own metadata"):
            mesh_files.read_surface(copy)


@pytest.mark.parametrize("twice", [True, False])
def test_exchanged_hemispheres_are_seen(surf, twice):
    left, right = (surf / f"{side}.pial" for side in ("lh", "rh"))
    contents = left.read_bytes(), right.read_bytes()
    left.write_bytes(contents[1])
    if not twice:
        right.write_bytes(contents[0])
    with pytest.raises(InputError, match="lh.pial: expected the left hemisphere.*exchanged"):
        meshes.load_mesh("41k", surf)


@pytest.mark.parametrize("name", ["lh.pial", "rh.sulc", "lh.white"])
def test_a_missing_file_is_named_where_the_folder_was_asked_for(surf, name, monkeypatch):
    (surf / name).unlink()
    with pytest.raises(InputError, match=name):
        meshes.load_mesh("41k", surf)
    monkeypatch.setenv("SUBJECTS_DIR", str(surf.parent.parent))
    assert meshes.load_mesh("41k").preview  # nobody asked for that one: a labelled preview


def test_a_folder_without_a_mesh_is_refused(tmp_path, monkeypatch, subjects_dir):
    with pytest.raises(InputError, match="lh.white") as caught:
        meshes.load_mesh("164k", tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv("FACTORTOPY_FSAVERAGE", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="FACTORTOPY_FSAVERAGE"):
        meshes.load_mesh("41k")
    assert meshes.load_mesh("10k").n == 10242  # ships, whatever is set
    with pytest.raises(InputError, match="expected 163,842 vertices .* found 40,962"):
        meshes.load_mesh("164k", subjects_dir / "fsaverage6")


def test_a_changed_file_is_read_again(surf):
    first = meshes.load_mesh("41k", surf)
    coords, faces = freesurfer.read_geometry(surf / "lh.white")
    freesurfer.write_geometry(surf / "lh.white", coords + 1, faces)
    os.utime(surf / "lh.white", ns=(1, 1))
    second = meshes.load_mesh("41k", surf)
    assert second is not first
    np.testing.assert_allclose(second.coords["white"][:40962], first.coords["white"][:40962] + 1, atol=1e-4)


@pytest.mark.parametrize("how", ["magic", "short", "outside", "twice", "nan"])
def test_a_spoilt_patch_is_named(surf, how):
    rows, coords = np.arange(9000), np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    if how == "outside":
        rows[-1] = 40962
    if how == "twice":
        rows[-1] = 0
    if how == "nan":
        coords[3] = np.nan
    for side in ("lh", "rh"):
        write_patch(surf / f"{side}.cortex.patch.flat", rows, coords)
    path = surf / "lh.cortex.patch.flat"
    data = path.read_bytes()
    path.write_bytes({"magic": b"\0" * 8 + data[8:], "short": data[:-5]}.get(how, data))
    with pytest.raises(InputError) as caught:
        meshes.load_mesh("41k", surf)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_nothing_is_downloaded_unless_asked(monkeypatch, tmp_path):
    import nilearn.datasets

    asked = []

    def fetch(name):
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr(nilearn.datasets, "fetch_surf_fsaverage", fetch)
    assert meshes.load_mesh("164k").preview and asked == []
    with pytest.raises(InputError, match="no network.*FACTORTOPY_FSAVERAGE"):
        meshes.download_mesh("164k")
    assert asked == ["fsaverage"]
    with pytest.raises(InputError, match="10k ships"):
        meshes.download_mesh("10k")


# ---------------------------------------------------------------- what the browser gets


@pytest.mark.parametrize("density", FINE)
def test_the_browsers_geometry_round_trips(density, subjects_dir):
    mesh = meshes.load_mesh(density)
    path = geometry.built(density)
    assert path.parent == geometry.folder()
    assert path.stat().st_size < {"41k": 4e6, "164k": 14e6}[density]
    header, arrays = unpack(gzip.decompress(path.read_bytes()))
    assert header["n"] == mesh.n and header["preview"] == mesh.source and header["density"] == density
    assert arrays["faces"].dtype == np.dtype("<u4") and arrays["faces"].max() == 2 * mesh.n - 1
    codes, places = arrays["positions"].reshape(4, 2 * mesh.n, 3), geometry.arranged(mesh)
    for k, kind in enumerate(geometry.KINDS):
        back = np.array(header["low"][k]) + codes[k] * np.array(header["step"][k])
        np.testing.assert_allclose(back, places[kind], atol=0.01)
    assert arrays["faces"].size == 3 * (len(mesh.faces) + len(mesh.flat_faces))
    assert header["faces"] == [half(density)] * 2 and sum(header["flatFaces"]) == len(mesh.flat_faces)
    np.testing.assert_array_equal(arrays["faces"][: 3 * len(mesh.faces)].reshape(-1, 3), mesh.faces)
    # Kept: the second time nothing is built; another mesh has a file of its own.
    written = path.stat().st_mtime_ns
    assert geometry.built(density) == path and path.stat().st_mtime_ns == written
    real = meshes.load_mesh(density, subjects_dir)
    assert geometry._stamp(real) not in path.name
    assert "preview" not in unpack(geometry.build(real))[0]


def test_a_denser_mesh_is_drawn_and_labelled_a_preview(browser, tmp_path):
    """Built on first use outside the package, served beside the view's own files, and picked at its new vertices."""
    with start_app("tests/apps/mesh_app.py", tmp_path / "home") as app:
        page = browser.new_context(viewport={"width": 1100, "height": 700}).new_page()
        page.goto(app.url)
        view = brain(page, "main")
        assert "preview surface" in view.locator(".title").inner_text()
        assert view.evaluate("root => root.ftv.view.drawing.geometry.n") == 40962
        used = meshes.load_mesh("41k").flat_faces
        rows = [row for row in range(40962 + 30000, 40962 + 30300) if row in used]
        seen = [(row, place) for row in rows if (place := project(view, row, "flat"))["seen"]]
        assert len(seen) > 0
        for row, place in seen[:5]:
            assert view.evaluate("(root, [x, y]) => root.ftv.pick(x, y)", [place["x"], place["y"]]) == row
        page.context.close()
    kept = list((tmp_path / "home" / "cache" / "view").glob("geometry-41k*"))
    assert [path.name.startswith("geometry-41k-") for path in kept] == [True]
