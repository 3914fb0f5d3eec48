"""GIFTI: any shape, type, encoding and byte order is read back, with what the file says of itself; the rest is refused."""

import base64
import zlib
from xml.sax.saxutils import escape

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.errors import InputError
from factortopy.formats.gifti import read_gifti, write_func_gii, write_label_gii

PROPERTY = settings(max_examples=40, deadline=None, derandomize=True)
TYPES = {
    "NIFTI_TYPE_UINT8": "u1", "NIFTI_TYPE_INT8": "i1", "NIFTI_TYPE_INT16": "i2", "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_INT32": "i4", "NIFTI_TYPE_UINT32": "u4", "NIFTI_TYPE_FLOAT32": "f4", "NIFTI_TYPE_FLOAT64": "f8",
}  # fmt: skip
NAMES = {code: name for name, code in TYPES.items()}
ENCODINGS = ("ASCII", "Base64Binary", "GZipBase64Binary")


def metadata(meta):
    pairs = "".join(f"<MD><Name>{escape(n)}</Name><Value>{escape(v)}</Value></MD>" for n, v in meta.items())
    return f"<MetaData>{pairs}</MetaData>"


def data_array(values, intent="NONE", encoding="GZipBase64Binary", endian="LittleEndian", order="C", meta=()):
    """A DataArray element with ``values``."""
    values = np.asarray(values)
    if encoding == "ASCII":
        text = " ".join(repr(v) for v in values.ravel(order).tolist())
    else:
        raw = values.astype(values.dtype.newbyteorder(">" if endian == "BigEndian" else "<")).tobytes(order)
        text = base64.b64encode(zlib.compress(raw) if encoding.startswith("GZip") else raw).decode()
    dims = " ".join(f'Dim{k}="{n}"' for k, n in enumerate(values.shape))
    indexing = "ColumnMajorOrder" if order == "F" else "RowMajorOrder"
    return (
        f'<DataArray Intent="NIFTI_INTENT_{intent}" DataType="{NAMES[values.dtype.str[1:]]}" Encoding="{encoding}" '
        f'Endian="{endian}" ArrayIndexingOrder="{indexing}" Dimensionality="{values.ndim}" {dims} ExternalFileName="" '
        f'ExternalFileOffset="">{metadata(dict(meta))}<Data>{text}</Data></DataArray>'
    )


def document(*parts, meta=()):
    doctype = '<!DOCTYPE GIFTI SYSTEM "http://www.nitrc.org/frs/download.php/115/gifti.dtd">'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{doctype}<GIFTI Version="1.0" NumberOfDataArrays="{len(parts)}">'
        f"{metadata(dict(meta))}{''.join(parts)}</GIFTI>"
    ).encode()


def refused(data, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        read_gifti(data, "x.gii", **options)
    words = str(caught.value)
    assert "\n" not in words and words.startswith("x.gii: expected ") and " found " in words and ";" in words


NUMBERS = np.arange(6, dtype=np.float32)

# ---------------------------------------------------------------- what is read


@given(
    code=st.sampled_from(list(NAMES)), encoding=st.sampled_from(ENCODINGS), order=st.sampled_from("CF"),
    endian=st.sampled_from(["BigEndian", "LittleEndian"]), n=st.integers(1, 30), k=st.integers(0, 3),
    several=st.integers(1, 3), side=st.sampled_from(["Left", "Right"]), seed=st.integers(0, 99),
    words=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12),
)  # fmt: skip
@PROPERTY
def test_arrays_are_read_as_written(code, encoding, order, endian, n, k, several, side, seed, words):
    rng = np.random.default_rng(seed)
    shape = (n, k) if k else (n,)
    arrays = []
    for _ in range(several):
        values = rng.normal(0, 50, shape) if code[0] == "f" else rng.integers(0, 120, shape)
        arrays.append(values.astype(code))
    parts = [data_array(v, "SHAPE", encoding, endian, order, {"Name": words}) for v in arrays]
    gifti = read_gifti(document(*parts, meta={"AnatomicalStructurePrimary": f"Cortex{side}", "Note": "a < b"}))
    assert len(gifti.arrays) == several
    for array, values in zip(gifti.arrays, arrays, strict=True):
        assert array.values.dtype == np.dtype(code) and np.array_equal(array.values, values)
        assert (array.intent, array.name) == ("SHAPE", words.strip())
    columns = [column for values in arrays for column in values.reshape(n, -1).T]
    assert np.array_equal(gifti.columns, columns) and gifti.names == [words.strip()] * len(columns)
    assert gifti.structures == [f"Cortex{side}"] and gifti.hemi == (side == "Right") and gifti.meta["Note"] == "a < b"
    assert not gifti.is_label and gifti.nodes is None


@pytest.mark.parametrize("encoding", ["ASCII", "B64BIN", "B64GZ"])
@pytest.mark.parametrize("endian", ["big", "little"])
def test_surfaces_as_nibabel_writes_them(encoding, endian):
    coords = np.random.default_rng(0).normal(0, 50, (7, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6]], np.int32)
    make, options = nibabel.gifti.GiftiDataArray, {"encoding": f"GIFTI_ENCODING_{encoding}", "endian": endian}
    arrays = [
        make(coords, "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT32", **options,
             meta=nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexRight"})),
        make(faces, "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32", **options),
    ]  # fmt: skip
    for listed in (arrays, arrays[::-1]):  # the intent decides, not the place
        gifti = read_gifti(nibabel.gifti.GiftiImage(darrays=listed).to_bytes(), geometry=True)
        points, triangles = gifti.surface()
        np.testing.assert_allclose(points, coords, rtol=1e-5)
        assert np.array_equal(triangles, faces) and triangles.dtype == np.int32 and gifti.hemi == 1
    for plain in arrays:
        plain.intent = 0
    points, triangles = read_gifti(nibabel.gifti.GiftiImage(darrays=arrays).to_bytes(), geometry=True).surface()
    assert points.shape == (7, 3) and np.array_equal(triangles, faces)


def test_what_we_write_is_read_with_all_that_it_says(tmp_path):
    values = np.stack([NUMBERS, np.where(NUMBERS > 3, np.nan, NUMBERS)], 1)
    gifti = read_gifti(write_func_gii(tmp_path / "a.func.gii", values, ("x", "y"), True, "CortexRight").read_bytes())
    np.testing.assert_array_equal(np.stack(gifti.columns, 1), values)
    assert gifti.names == ["x", "y"] and gifti.hemi == 1 and gifti.meta["Data"] == "simulated" and not gifti.labels
    table = [(1, "V1 <left>", (255, 0, 0)), (5, "hV4", (0, 0, 255))]
    gifti = read_gifti(write_label_gii(tmp_path / "a.label.gii", [0, 1, 5], table, False).read_bytes())
    assert gifti.is_label and gifti.hemi == 0 and gifti.columns[0].tolist() == [0, 1, 5]
    assert gifti.labels[1] == ("V1 <left>", (1, 0, 0, 1)) and gifti.labels[0][1][3] == 0


@given(
    n=st.integers(2, 30), share=st.sampled_from([0.5, 1.0]), place=st.integers(0, 3), twice=st.booleans(),
    two=st.booleans(), turned=st.booleans(), seed=st.integers(0, 999),
)  # fmt: skip
@PROPERTY
def test_values_lie_at_their_nodes_whatever_their_order(n, share, place, twice, two, turned, seed):
    rng = np.random.default_rng(seed)
    nodes = rng.permutation(n)[: max(1, int(share * n))].astype(np.int32)
    truth = rng.standard_normal((3, n)).astype(np.float32)
    index = data_array(nodes, "NODE_INDEX")
    if two and len(nodes) != 3:  # one array of all maps, its rows the nodes or, as NumPy users write it, the maps
        parts = [data_array(truth[:, nodes] if turned else truth[:, nodes].T, "ZSCORE")]
    else:
        parts = [data_array(row[nodes], "ZSCORE") for row in truth]
    parts.insert(min(place, len(parts)), index)
    gifti = read_gifti(document(*parts, *([index] if twice else [])))
    rising = np.sort(nodes)
    assert np.array_equal(np.stack(gifti.columns), truth[:, rising]) and len(gifti.names) == 3
    assert np.array_equal(gifti.nodes, rising)


def test_all_vertices_of_fsaverage_need_no_nodes():
    order, truth = np.random.default_rng(0).permutation(642).astype(np.int32), np.arange(642, dtype=np.float32)
    gifti = read_gifti(document(data_array(truth[order]), data_array(order, "NODE_INDEX")))
    assert gifti.nodes is None and np.array_equal(gifti.columns[0], truth)


def nodes(*values, kind=np.int32):
    return data_array(np.array(values, kind), "NODE_INDEX")


@pytest.mark.parametrize(
    ("index", "match"),
    [
        ([nodes(0, 1, 2, 3, 4, 4)], "4 twice"),
        ([nodes(0, 1, 2, 3, 4, -5)], "found -5"),
        ([nodes(0, 1, 2)], "3 values, one a node index, found 6"),
        ([nodes(0, 1, 2, 3, 4, 5.5, kind=np.float32)], "whole numbers as node indices"),
        ([nodes(0, 1, 2, 3, 4, 5), nodes(5, 4, 3, 2, 1, 0)], "2 different ones"),
    ],
)
def test_node_indices_that_do_not_say_where_a_value_lies(index, match):
    refused(document(*index, data_array(NUMBERS)), match)


SPELLINGS = ("CortexLeft", "CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_LEFT", "Cortex Left", "cortex_left")


@pytest.mark.parametrize("words", SPELLINGS)
@pytest.mark.parametrize("key", ["AnatomicalStructurePrimary", "anatomicalstructureprimary"])
def test_the_hemisphere_in_any_spelling_and_place(words, key):
    right = words.replace("Left", "Right").replace("LEFT", "RIGHT").replace("left", "right")
    left_array, right_array = (data_array(NUMBERS, meta={key: side}) for side in (words, right))
    for side, array in ((words, left_array), (right, right_array)):
        assert read_gifti(document(data_array(NUMBERS), meta={key: side})).hemi == (side == right)
        assert read_gifti(document(data_array(NUMBERS), array)).hemi == (side == right)
    refused(document(left_array, meta={key: right}), "both in its own metadata")
    refused(document(left_array, right_array), "both in its own metadata")
    for silent in ("Cortex", "Invalid", "CortexLeftAndRight", "x"):
        assert read_gifti(document(data_array(NUMBERS), meta={key: silent})).hemi is None
    for other in ("HippocampusLeft", "CEREBELLUM", "CIFTI_STRUCTURE_THALAMUS_RIGHT"):
        refused(document(data_array(NUMBERS), meta={key: other}), "values of the cortex")


def test_an_array_whose_rows_are_maps_is_turned():
    truth = np.arange(4 * 642, dtype=np.float32).reshape(4, 642)  # fsaverage3
    for array in (truth, truth.T):
        for order in "CF":
            assert np.array_equal(read_gifti(document(data_array(array, order=order))).columns, truth)
    row = read_gifti(document(data_array(np.arange(7, dtype=np.float32)[None])))
    assert [len(column) for column in row.columns] == [7]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cut_at_any_byte(encoding):
    whole = document(data_array(NUMBERS, encoding=encoding), meta={"Name": "a"})
    read_gifti(whole)
    for end in range(len(whole)):
        refused(whole[:end], "whole GIFTI file")


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), encoding=st.sampled_from(ENCODINGS))
@PROPERTY
def test_a_flipped_byte_is_refused_or_read(place, value, encoding):
    data = bytearray(document(data_array(NUMBERS, encoding=encoding)))
    data[place % len(data)] = value
    try:
        assert all(column.dtype.kind in "iuf" for column in read_gifti(bytes(data), "x.gii").columns)
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith("x.gii: expected ")


def changed(old, new, *parts):
    data = document(*(parts or [data_array(NUMBERS)]))
    assert old in data
    return data.replace(old, new, 1)


INT8 = data_array(np.array([1, 2], np.int8), encoding="ASCII")
TWO_ROWS = data_array(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (changed(b"LittleEndian", b"MiddleEndian"), "BigEndian or LittleEndian"),
        (changed(b"RowMajorOrder", b"Sideways", TWO_ROWS), "RowMajorOrder"),
        (changed(b"<Data>", b"<Data></Data><Data>"), "damaged"),
        (changed(b"</Data>", b"</Data><Data>AA==</Data>"), "several"),
        (changed(b"<Data>", b"<Later>").replace(b"</Data>", b"</Later>"), "without"),
        (changed(b"<Data>", b"<DataArray></DataArray><Data>"), "inside another"),
        (changed(b"1 2", b"1 2.5", INT8), "type int8"),
        (changed(b"1 2", b"1 200", INT8), "type int8"),
        (changed(b"1 2", b"1 nan", INT8), "type int8"),
        (changed(b"1 2", b"1 1_0", INT8), "other words"),
        (changed(b"1 2", "1 ٣".encode(), INT8), "other words"),
        (changed(b"1 2", b"1 2 3", INT8), "found more"),
        (changed(b"1 2", b"1 &elsewhere;", INT8), "XML entities"),
        (changed(b"<GIFTI Version", b"<GIFTI>" + b"<a>" * 16 + b"<b Version"), "16 deep"),
        (changed(b'encoding="UTF-8"', b'encoding="no-such"'), "damaged XML"),
        (b"<CIFTI></CIFTI>", "another kind"),
        (document(), "none"),
        (document(data_array(np.arange(6, dtype=np.int32), "NODE_INDEX")), "at least one map"),
    ],
)
def test_what_would_be_misread_is_refused(data, match):
    refused(data, match)


def test_a_damaged_checksum_is_seen():
    raw = zlib.compress(NUMBERS.tobytes())
    whole = document(data_array(NUMBERS))
    for other in (raw[:-1] + bytes([raw[-1] ^ 1]), raw[:-4]):
        data = whole.replace(base64.b64encode(raw), base64.b64encode(other))
        assert data != whole
        refused(data, "damaged")


def test_geometry_and_values_are_not_taken_for_each_other():
    points = data_array(np.zeros((3, 3), np.float32), "POINTSET")
    refused(document(points), "its shape")
    refused(document(points, points), "several of POINTSET", geometry=True)
    refused(document(), "one surface", geometry=True)
    assert read_gifti(document(points), geometry=True).surface()[1] is None
