"""FreeSurfer's surfaces, curvature files, patches and annotations: written by nibabel, read here, and the other way round."""

import struct

import nibabel.freesurfer as freesurfer
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from surf_files import write_patch

from factortopy.errors import InputError
from factortopy.formats.freesurfer import (
    curvature_count,
    geometry_counts,
    read_curvature,
    read_geometry,
    read_patch,
    write_annot,
)

PROPERTY = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def cut_anywhere(path, read, step=1):
    """Whatever is left of a file when its end is missing is refused in one line."""
    whole = path.read_bytes()
    for end in range(0, len(whole), step):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value) and "expected" in str(caught.value)


@given(n=st.integers(1, 30), m=st.integers(1, 20), footer=st.booleans())
@PROPERTY
def test_surfaces(tmp_path, n, m, footer):
    rng = np.random.default_rng(n)
    coords, faces = rng.normal(0, 50, (n, 3)).astype(np.float32), rng.integers(0, n, (m, 3)).astype(np.int32)
    freesurfer.write_geometry(tmp_path / "lh.white", coords, faces)
    if footer:
        with open(tmp_path / "lh.white", "ab") as file:
            file.write(b"\0\0\0\x14tags")
    assert geometry_counts(tmp_path / "lh.white") == (n, m)
    for got, expected in zip(read_geometry(tmp_path / "lh.white"), (coords, faces), strict=True):
        assert np.array_equal(got, expected) and got.dtype == expected.dtype


def test_cut_files(tmp_path):
    rng = np.random.default_rng(0)
    freesurfer.write_geometry(tmp_path / "lh.white", rng.normal(size=(5, 3)), np.array([[0, 1, 2]]))
    cut_anywhere(tmp_path / "lh.white", read_geometry)
    freesurfer.write_morph_data(tmp_path / "lh.sulc", np.arange(6.0))
    cut_anywhere(tmp_path / "lh.sulc", read_curvature)
    write_patch(tmp_path / "lh.flat", np.arange(8), rng.normal(size=(8, 3)))
    cut_anywhere(tmp_path / "lh.flat", lambda path: read_patch(path, 8))


@given(values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40))
@PROPERTY
def test_curvature_new_and_old(tmp_path, values):
    path = tmp_path / "lh.sulc"
    freesurfer.write_morph_data(path, np.array(values, np.float32))
    assert curvature_count(path) == len(values)
    assert np.array_equal(read_curvature(path), np.array(values, np.float32))
    old = np.array(values).astype(np.int16)
    path.write_bytes(len(old).to_bytes(3, "big") + bytes(3) + old.astype(">i2").tobytes())
    assert np.allclose(read_curvature(path), freesurfer.read_morph_data(path)) and curvature_count(path) == len(old)


@pytest.mark.parametrize(
    "head", [b"\xff\xff\xff" + struct.pack(">3i", 2, 1, 3), b"\xff\xff\xff" + struct.pack(">3i", -2, 1, 1)]
)
def test_curvature_that_is_none(tmp_path, head):
    (tmp_path / "lh.sulc").write_bytes(head + bytes(24))
    with pytest.raises(InputError, match="values each"):
        read_curvature(tmp_path / "lh.sulc")


def test_patches(tmp_path):
    vertices, coords = np.array([0, 3, 7, 9]), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    write_patch(tmp_path / "lh.flat", vertices, coords)
    got = read_patch(tmp_path / "lh.flat", 10)
    assert np.array_equal(got[0], vertices) and np.array_equal(got[1], coords)
    with pytest.raises(InputError, match="vertices 1 to 9"):
        read_patch(tmp_path / "lh.flat", 9)


def test_annotations_open_elsewhere(tmp_path):
    labels, colours = np.array([-1, 0, 1, 1]), np.array([(255, 0, 0), (0, 0, 255)], np.uint8)
    path = write_annot(tmp_path / "lh.a.annot", labels, colours, ["V1", "V2"])
    got, table, names = freesurfer.read_annot(path)
    assert got.tolist() == labels.tolist() and names == [b"V1", b"V2"] and np.array_equal(table[:, :3], colours)


def test_missing_files_and_pointers(tmp_path):
    for read in (read_geometry, geometry_counts, read_curvature, curvature_count, lambda path: read_patch(path, 9)):
        with pytest.raises(InputError, match="found none"):
            read(tmp_path / "lh.none")
        (tmp_path / "lh.pointer").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        with pytest.raises(InputError, match="Git-LFS pointer"):
            read(tmp_path / "lh.pointer")
