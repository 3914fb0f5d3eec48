"""Dense CIFTI-2 files: generated ones are read with all that they say, in both byte orders; cut and lying ones are refused."""

import struct

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel import cifti2

from factortopy.errors import InputError
from factortopy.formats.cifti import open_dense, write_dscalar

PROPERTY = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CODES = {"f4": 16, "f8": 64, "i2": 4, "u1": 2}


def header_xml(models, rows, series):
    axis = cifti2.SeriesAxis(0, 1, rows) if series else cifti2.ScalarAxis([f"map {k}" for k in range(rows)])
    return cifti2.Cifti2Header.from_axes((axis, sum(models[1:], models[0]))).to_xml()


def dense(data, xml, order="<", code="f4"):
    """Bytes of a CIFTI-2 file, made by hand."""
    size = -(-(len(xml) + 8) // 16) * 16
    head = bytearray(544)
    struct.pack_into(order + "i", head, 0, 540)
    head[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into(order + "hh", head, 12, CODES[code], 8 * np.dtype(code).itemsize)
    struct.pack_into(order + "8q", head, 16, 6, 1, 1, 1, 1, *data.shape, 1)
    struct.pack_into(order + "q", head, 168, 544 + size)
    struct.pack_into(order + "2d", head, 176, 1, 0)
    head[540] = 1
    extension = struct.pack(order + "2i", size, 32) + xml.ljust(size - 8, b"\0")
    return bytes(head) + extension + data.astype(order + code).tobytes("F")


def left(vertices=(0, 2, 5), n=10):
    return cifti2.BrainModelAxis.from_surface(np.array(vertices), n, "CortexLeft")


def example():
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    return data, header_xml([left()], 2, True)


def refused(path, data, match="expected"):
    path.write_bytes(data)
    with pytest.raises(InputError, match=match) as caught:
        open_dense(path)
    words = str(caught.value)
    assert "\n" not in words and path.name in words and "expected" in words and "found" in words


@given(
    sides=st.lists(st.sampled_from(["CortexLeft", "CortexRight", "Cerebellum"]), min_size=1, unique=True), rows=st.integers(1, 5),
    order=st.sampled_from("<>"), code=st.sampled_from(list(CODES)), series=st.booleans(), voxels=st.integers(0, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
@PROPERTY
def test_a_generated_file_is_read_as_written(tmp_path, sides, rows, order, code, series, voxels, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 50))
    vertices = [np.sort(rng.choice(n, int(rng.integers(1, n)), replace=False)) for _ in sides]
    models = [cifti2.BrainModelAxis.from_surface(v, n, side) for v, side in zip(vertices, sides, strict=True)]
    if voxels:
        mask = np.zeros((2, 2, 2), bool)
        mask.flat[:voxels] = True
        models.append(cifti2.BrainModelAxis.from_mask(mask, "thalamus_left"))
    data = rng.integers(0, 200, (rows, sum(map(len, models)))).astype(code)
    path = tmp_path / "a.dtseries.nii"
    path.write_bytes(dense(data, header_xml(models, rows, series), order, code))
    cifti = open_dense(path)
    assert np.array_equal(cifti.data, data) and cifti.data.dtype.newbyteorder("=") == np.dtype(code)
    assert len(cifti.models) == len(models)
    start = 0
    for k, model in enumerate(cifti.models):
        assert model.columns == slice(start, start + len(models[k]))
        start = model.columns.stop
        if k < len(sides):
            assert np.array_equal(model.vertices, vertices[k]) and model.surface == n
            assert model.hemi == {"CortexLeft": 0, "CortexRight": 1}.get(sides[k])
        else:
            assert model.vertices is None and model.surface is None and model.structure == "THALAMUS_LEFT"


def test_as_nibabel_writes_and_as_we_write(tmp_path):
    data, _ = example()
    image = cifti2.Cifti2Image(data, (cifti2.ScalarAxis(["a", "b"]), left()))
    nibabel.save(image, tmp_path / "a.dscalar.nii")
    assert np.array_equal(open_dense(tmp_path / "a.dscalar.nii").data, data)
    models = [("CortexLeft", np.array([1, 3]), 10), ("CortexRight", np.array([4]), 10)]
    path = write_dscalar(tmp_path / "b.dscalar.nii", {"a": data[0], "b": data[1]}, models, {"Data": "simulated"})
    cifti, scalars = open_dense(path), nibabel.load(path).header.get_axis(0)
    assert np.array_equal(cifti.data, data) and [model.hemi for model in cifti.models] == [0, 1]
    assert [model.vertices.tolist() for model in cifti.models] == [[1, 3], [4]]
    assert list(scalars.name) == ["a", "b"] and scalars.meta[1]["Data"] == "simulated"


def test_cut_at_any_byte(tmp_path):
    whole = dense(*example())
    for end in (*range(0, 560, 4), *range(560, len(whole), 37), len(whole) - 1):
        refused(tmp_path / "a.dtseries.nii", whole[:end])
    refused(tmp_path / "a.dtseries.nii", whole + b"\0", "its header lies")


INDICES = b"<VertexIndices>0 2 5</VertexIndices>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'IndexOffset="0"', b'IndexOffset="1"'),
        (b'IndexOffset="0"', b'IndexOffset="-1"'),
        (b'IndexCount="3"', b'IndexCount="2"'),
        (b'IndexCount="3"', b'IndexCount="999999999999"'),
        (b"0 2 5", b"0 2"),
        (b"0 2 5", b"0 2 5 6"),
        (b"0 2 5", b"0 2 x"),
        (b"0 2 5", b"0 2 5.5"),
        (b"0 2 5", b"0 2 99999999999999999999"),
        (INDICES, b""),
        (INDICES, 2 * INDICES),
        (b"CIFTI_MODEL_TYPE_SURFACE", b"CIFTI_MODEL_TYPE_VOXELS"),
        (b"CIFTI_STRUCTURE_CORTEX_LEFT", b"CIFTI_STRUCTURE_NOSE"),
        (b"CIFTI_STRUCTURE_CORTEX_LEFT", b"CORTEX_LEFT"),
        (b'SurfaceNumberOfVertices="10"', b""),
        (b"CIFTI_INDEX_TYPE_BRAIN_MODELS", b"CIFTI_INDEX_TYPE_PARCELS"),
        (b'AppliesToMatrixDimension="1"', b'AppliesToMatrixDimension="0"'),
        (b'AppliesToMatrixDimension="0"', b'AppliesToMatrixDimension="1"'),
        (b'Version="2', b'Version="1'),
        (b"<BrainModel", b"<Volume><BrainModel"),
        (b"</CIFTI>", b""),
    ],
)
def test_headers_that_lie(tmp_path, old, new):
    data, xml = example()
    assert old in xml
    changed = xml.replace(old, new, 1)
    changed = changed.replace(b"</BrainModel>", b"</BrainModel></Volume>") if b"<Volume>" in changed else changed
    refused(tmp_path / "a.dtseries.nii", dense(data, changed), "brain models|damaged XML")


def test_two_models_of_one_hemisphere_and_overlaps(tmp_path):
    data = np.zeros((1, 6), np.float32)
    xml = header_xml([left(), cifti2.BrainModelAxis.from_surface(np.arange(3), 10, "CortexRight")], 1, True)
    path = tmp_path / "a.dtseries.nii"
    path.write_bytes(dense(data, xml))
    assert len(open_dense(path).models) == 2
    refused(path, dense(data, xml.replace(b"CORTEX_RIGHT", b"CORTEX_LEFT")), "brain models")
    refused(path, dense(data, xml.replace(b'IndexOffset="3"', b'IndexOffset="2"')), "brain models")


def test_entities_and_scaled_numbers(tmp_path):
    data, xml = example()
    path = tmp_path / "a.dtseries.nii"
    bomb = b'<!DOCTYPE CIFTI [<!ENTITY a "0 2 5">]>' + xml.replace(b"0 2 5", b"&a;")
    refused(path, dense(data, bomb), "refused for safety")
    refused(path, dense(data, xml.decode().encode("utf-16")), "damaged|brain models|refused")
    for slope, intercept, expected in ((2, 0.5, 2 * data + 0.5), (0, 3, data), (np.nan, 0, data)):
        scaled = bytearray(dense(data, xml))
        struct.pack_into("<2d", scaled, 176, slope, intercept)
        path.write_bytes(bytes(scaled))
        cifti = open_dense(path)
        assert np.array_equal(cifti.data * cifti.slope + cifti.intercept, expected)
    scaled = bytearray(dense(data, xml))
    struct.pack_into("<2d", scaled, 176, 2, np.inf)
    refused(path, bytes(scaled), "scales by")
