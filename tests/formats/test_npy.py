"""Reading .npy and mapping files safely (faults, rows 14 to 16; z-scores, row 59)."""

import io
import os
import pickle
import struct
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_tables_pickled import TABLE, mapping_file, object_head

from factortopy.errors import InputError
from factortopy.formats.npy import safe_npy
from factortopy.subjects.algonauts.label_tables import safe_mapping
from factortopy.subjects.response_arrays import copy_columns, z_score

PROPERTY = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(text, version=(1, 0)):
    """A .npy file's head that states what it likes."""
    text = text.encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


def sentence(read, path, data=None):
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read(path)
    text = str(error.value)
    assert "\n" not in text and str(path.name) in text and "expected" in text and "found" in text
    assert "allow_pickle" not in text and "UnpicklingError" not in text
    return text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lh_training_fmri.npy"


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4", ">i8", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_read_as_they_are(path, dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4) % 2, dtype=dtype, order=order)
    path.write_bytes(npy(array))
    mapped = safe_npy(path)
    assert isinstance(mapped, np.memmap) and np.array_equal(mapped, array) and mapped.dtype == array.dtype
    read = safe_npy(path, mmap=False)
    assert not isinstance(read, np.memmap) and np.array_equal(read, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_and_empty_arrays(path, version):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.zeros((0, 5), np.float32), version=version)
    assert safe_npy(path).shape == (0, 5)


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_pickled_arrays_are_refused_and_not_run(path, tmp_path):
    marker = tmp_path / "was-run"
    data = npy(np.array([Payload(marker)], dtype=object), allow_pickle=True)
    for read in (safe_npy, safe_mapping):
        assert "pickled" in sentence(read, path, data) or read is safe_mapping
    assert "refused for safety" in sentence(safe_mapping, path, npy(Payload(marker), allow_pickle=True))
    assert "of another kind" in sentence(safe_npy, path, pickle.dumps(Payload(marker)))
    assert not marker.exists()


@pytest.mark.parametrize("cut", [0, 5, 9, 40, 127, 128, 200, 1000])
def test_truncated_files(path, cut):
    data = npy(np.zeros((16, 16), np.float32))
    text = sentence(safe_npy, path, data[:cut])
    assert "again" in text
    if cut >= 128:
        assert "truncated" in text and "16 × 16" in text


def test_trailing_bytes_are_not_ignored(path):
    assert "found 189 bytes" in sentence(safe_npy, path, npy(np.zeros(15, np.float32)) + b"x")


@pytest.mark.parametrize(
    "shape", ["(1000000, 1000000)", "(-4, 4)", "(4611686018427387904, 4)", "(2, 0, -1)", "(True, 64)", "(1.5, 2)", "7"]
)
def test_lying_shapes_cost_no_memory(path, shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    before = time.monotonic()
    sentence(safe_npy, path, header(text.ljust(118)) + b"\0" * 64)
    assert time.monotonic() - before < 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 5000,
        "-" * 9000 + "1",
        "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 3, 'shape': (1,)}",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (8,)}",
        "{'descr': '<U4', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (8,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (16,)}",
        "{'descr': ('<f4', (16,)), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (8,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)" + " " * 60000 + "}",
        "\xff\xfe",
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_hostile_headers(path, text, version):
    sentence(safe_npy, path, header(text, version) + b"\0" * 64)


def test_header_longer_than_the_file(path):
    sentence(safe_npy, path, b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 50)
    assert "version 9.0" in sentence(safe_npy, path, b"\x93NUMPY\x09\x00" + b"\0" * 60)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s1--d4.npy\n", "git annex get"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"PK\x03\x04" + b"\0" * 100, "archive"),
    ],
)
@pytest.mark.parametrize("read", [safe_npy, safe_mapping])
def test_pointers_and_web_pages(path, data, words, read):
    assert words in sentence(read, path, data)


def test_missing_files(path, tmp_path):
    assert "found none" in sentence(safe_npy, path)
    path.symlink_to(tmp_path / "gone")
    assert "git annex get" in sentence(safe_npy, path)
    (tmp_path / "folder.npy").mkdir()
    assert "a folder" in sentence(safe_npy, tmp_path / "folder.npy")


def test_kind_and_shape_can_be_required(path):
    path.write_bytes(npy(np.zeros((3, 4), np.int32)))
    assert safe_npy(path, kinds="iu", shape=(None, 4)).shape == (3, 4)
    assert "floating-point" in sentence(lambda p: safe_npy(p, kinds="f"), path)
    assert "an array of any × 5, found 3 × 4" in sentence(lambda p: safe_npy(p, shape=(None, 5)), path)


@given(st.integers(0, 2**31), st.integers(1, 6))
@PROPERTY
def test_flipped_bits_in_npy(path, seed, flips):
    rng = np.random.default_rng(seed)
    data = bytearray(npy(np.arange(64, dtype=np.float32)))
    for at in rng.integers(0, 140, flips):
        data[at] ^= 1 << rng.integers(0, 8)
    path.write_bytes(bytes(data))
    try:
        array = safe_npy(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert array.nbytes <= len(data)


@pytest.mark.parametrize("order", ["C", "F"])
def test_copying_columns_block_by_block(path, order, monkeypatch):
    array = np.random.default_rng(0).normal(size=(50, 7)).astype(">f4", order=order)
    path.write_bytes(npy(array))
    monkeypatch.setattr("factortopy.formats.npy.row_blocks", lambda *shape: [slice(k, k + 9) for k in range(0, 50, 9)])
    out = np.zeros((50, 3), np.float32)
    copy_columns(safe_npy(path), 3, out)
    assert np.array_equal(out, array[:, :3])


# ---------------------------------------------------------------- mapping files


@pytest.mark.parametrize("protocol", range(6))
def test_mapping_of_every_protocol(path, protocol):
    path.write_bytes(mapping_file(TABLE, protocol))
    assert safe_mapping(path) == TABLE
    path.write_bytes(
        mapping_file(TABLE, protocol).replace(b"numpy._core", b"numpy.core") if protocol < 4 else npy(TABLE)
    )
    assert safe_mapping(path) == TABLE


@pytest.mark.parametrize(
    "content",
    [[1, 2], "V1", {1: 2}, {"V1": 1}, {1: ["V1"]}, {(1, 2): "V1"}, {True: "V1"}, {1.5: "V1"}, None, {1: b"V1"}],
)
def test_mapping_with_anything_else(path, content):
    assert "refused for safety" in sentence(safe_mapping, path, mapping_file(content))


def test_mapping_of_the_wrong_form(path):
    sentence(safe_mapping, path, npy(np.array([TABLE, TABLE], dtype=object), allow_pickle=True))
    sentence(safe_mapping, path, npy(np.arange(4)))
    assert "64 kB" in sentence(safe_mapping, path, mapping_file({1: "x" * 70_000}))


def nested(depth):
    """Opcodes of a tuple that holds itself twice, ``depth`` levels down: hashing it takes 2**depth steps."""
    return (
        b")"
        + b"q\x00"
        + b"".join(b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86q" + bytes([k + 1]) for k in range(depth))
    )


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cos\nsystem\n(X\x04\x00\x00\x00truetR.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"}" + nested(60) + b"X\x01\x00\x00\x00as.",  # as a key
        nested(60) + b"\x8c\x01a\x93.",  # as the name of a module
        b"}r\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a string that states its length
        b"\x8a\xff" + b"\xff" * 255 + b".",
        b"i__main__\nx\n.",
        b"P1\n.",
        b"\x82\x01.",
        b"0.",
        b".",
        b"u.",
        b"",
        b"2" * 1000 + b".",
        b"(" * 30000 + b".",
    ],
)
def test_hostile_pickles_end_soon_in_a_sentence(path, opcodes, monkeypatch):
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("code was run"))
    before = time.monotonic()
    sentence(safe_mapping, path, object_head() + b"\x80\x04" + opcodes)
    assert time.monotonic() - before < 2


def test_names_from_a_file_become_one_line(path):
    path.write_bytes(mapping_file({1: "../../etc\nx", 2: "<img onerror=alert(1)>" * 20, 3: "V1\x1b[31m"}))
    names = safe_mapping(path)
    assert all(
        len(name) <= 60 and "\n" not in name and "\x1b" not in name and "/" not in name for name in names.values()
    )
    assert names[2].startswith("<img onerror")  # as typed; whoever shows it escapes


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 5))
@PROPERTY
def test_flipped_bits_in_a_mapping(path, seed, flips, protocol):
    rng = np.random.default_rng(seed)
    data = bytearray(mapping_file(TABLE, protocol))
    for at in rng.integers(0, len(data), flips):
        data[at] ^= 1 << rng.integers(0, 8)
    path.write_bytes(bytes(data))
    try:
        table = safe_mapping(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert all(type(k) is int and type(v) is str for k, v in table.items())


# ---------------------------------------------------------------- z-scores


def test_z_score_by_session_guards_constant_vertices():
    rng = np.random.default_rng(0)
    responses = rng.normal(3, 2, (40, 5)).astype(np.float32)
    session = np.repeat([1, 2], 20)
    responses[:20, 2] = 0.1  # constant in one session
    out = z_score(responses, session)
    assert out.dtype == np.float32 and np.isfinite(out).all() and (out[:20, 2] == 0).all()
    for rows in (session == 1, session == 2):
        assert np.allclose(out[rows].mean(0), 0, atol=1e-6)
    assert np.allclose(np.delete(out[:20], 2, 1).std(0), 1, atol=1e-5) and np.allclose(out[20:].std(0), 1, atol=1e-5)
    assert np.allclose(z_score(responses[:, :1]).std(0), 1)
