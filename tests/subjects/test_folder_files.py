"""Response files of the folder layout: every format reads the same, and hostile ones end in one sentence, not in a crash."""

import gzip
import io
import struct
import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.cifti2 import cifti2_axes
from plain_folder import N10, about, clone, make_folder, write
from test_algonauts import stops

from factortopy.errors import InputError
from factortopy.subjects.check import check
from factortopy.subjects.folder.responses import open_cifti, open_map, open_rows
from factortopy.subjects.loading import load_subject

PROPERTY = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MOST = 200 * 2**20  # bytes of memory that a hostile file of a few kilobytes may cost


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("folder"), extras=False)


@pytest.fixture
def folder(original, tmp_path):
    return clone(original, tmp_path)


def gifti(array, one_array=False):
    """Bytes of a .func.gii with the rows of ``array``."""
    image = nibabel.gifti.GiftiImage()
    for row in [np.ascontiguousarray(array.T)] if one_array else array:
        image.add_gifti_data_array(nibabel.gifti.GiftiDataArray(row.astype(np.float32), datatype="NIFTI_TYPE_FLOAT32"))
    return image.to_bytes()


def mgh(array, packed=False):
    """Bytes of an MGH file, (frames, vertices) float32."""
    head = struct.pack(">7i", 1, array.shape[1], 1, 1, array.shape[0], 3, 0)
    data = head + bytes(284 - len(head)) + array.astype(">f4").tobytes()
    return gzip.compress(data) if packed else data


def cifti(left, right, vertices, mesh=N10):
    """Bytes of a .dtseries.nii with both hemispheres."""
    axis = cifti2_axes.BrainModelAxis
    models = axis.from_surface(vertices[0], mesh, "CortexLeft") + axis.from_surface(vertices[1], mesh, "CortexRight")
    image = nibabel.Cifti2Image(np.hstack([left, right]), (cifti2_axes.SeriesAxis(0, 2, len(left)), models))
    image.update_headers()
    image.nifti_header.set_data_dtype(np.float32)
    return image.to_bytes()


FORMATS = {
    ".npy": None,
    ".func.gii": gifti,
    ".shape.gii": lambda array: gifti(array, True),
    ".mgh": mgh,
    ".mgz": lambda array: mgh(array, True),
}


def put(folder, ending, content):
    """Responses of the left hemisphere as a file of another format."""
    for file in (folder / "responses").glob("hemi-L*"):
        file.unlink()
    write(folder / f"responses/hemi-L{ending}", content)


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_holds_the_same(folder, ending):
    array = np.load(folder / "responses/hemi-L.npy")
    expected = load_subject(folder)
    put(folder, ending, FORMATS[ending](array) if FORMATS[ending] else array.astype(">f8"))
    assert np.array_equal(load_subject(folder).responses, expected.responses)
    path = folder / f"m{ending}"
    write(path, FORMATS[ending](array[:1]) if FORMATS[ending] else array[0])
    assert np.array_equal(open_map(path).values()[0], array[0])


def test_cifti_brings_its_own_vertices(folder):
    expected = load_subject(folder)
    parts = [np.load(folder / f"responses/hemi-{h}.npy") for h in "LR"]
    vertices = [np.load(folder / f"vertices/hemi-{h}.npy") for h in "LR"]
    for h in "LR":
        (folder / f"responses/hemi-{h}.npy").unlink()
        (folder / f"vertices/hemi-{h}.npy").unlink()
    write(folder / "responses/both.dtseries.nii", cifti(*parts, vertices))
    subject = load_subject(folder)
    assert np.array_equal(subject.responses, expected.responses) and np.array_equal(subject.vertex, expected.vertex)
    about(folder, density="41k")
    assert all("mesh of 10,242" in p.line() for p in check(folder).problems if p.severity == "stops")
    about(folder, density="10k")
    write(folder / "responses/both.dtseries.nii", cifti(*parts, vertices, 32492))
    stops(folder, "fsLR (32k)", "-metric-resample")


# ---------------------------------------------------------------- files that lie


@pytest.mark.parametrize("ending", FORMATS)
def test_cut_at_any_place(folder, ending):
    array = np.load(folder / "responses/hemi-L.npy")
    buffer = io.BytesIO()
    np.save(buffer, array)
    whole = FORMATS[ending](array) if FORMATS[ending] else buffer.getvalue()
    path = folder / f"cut{ending}"
    for end in np.linspace(0, len(whole) - 10, 12).astype(int):
        write(path, whole[:end])
        with pytest.raises(InputError) as error:
            open_rows(path)
        assert "\n" not in str(error.value) and path.name in str(error.value)


@PROPERTY
@given(ending=st.sampled_from([*FORMATS, ".dtseries.nii"]), data=st.data())
def test_flipped_bytes_end_in_a_sentence_or_numbers(folder, ending, data):
    array = np.load(folder / "responses/hemi-L.npy")
    if ending == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, array)
        whole = bytearray(buffer.getvalue())
    elif ending in FORMATS:
        whole = bytearray(FORMATS[ending](array))
    else:
        whole = bytearray(cifti(array, array, [np.arange(40), np.arange(40)]))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole), 2000) - 1))] = data.draw(st.integers(0, 255))
    path = folder / f"flipped{ending}"
    write(path, bytes(whole))
    believed(path)


@PROPERTY
@given(ending=st.sampled_from([*FORMATS, ".dtseries.nii"]), content=st.binary(max_size=2000))
def test_any_bytes(folder, ending, content):
    write(folder / f"any{ending}", content)
    believed(folder / f"any{ending}")


def believed(path):
    """The file is read or refused in one sentence, at a bounded cost."""
    tracemalloc.start()
    try:
        responses = open_cifti(path).values() if path.name.endswith(".nii") else [open_rows(path)]
        for rows in responses:
            for _, block in rows.blocks():
                assert block.dtype == np.float32
            rows.sample()
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST


@PROPERTY
@given(
    dtype=st.sampled_from(["<f4", ">f4", "<f8", ">i2", "<u1", "|b1", "<c8", "<U3", "<M8[s]", "|O", "<f2"]),
    shape=st.lists(st.sampled_from([0, 1, 7, 24, 40, 2**31, 2**62]), max_size=4).map(tuple),
    fill=st.sampled_from([0, 1, 960]),
)
def test_lying_headers(folder, dtype, shape, fill):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    write(folder / "lying.npy", head.getvalue() + bytes(4 * fill))
    believed(folder / "lying.npy")


def test_mgh_that_promises_much(folder):
    head = struct.pack(">7i", 1, 163842, 1, 1, 10**6, 3, 0) + bytes(256)
    for ending, content in ((".mgh", head), (".mgz", gzip.compress(head))):
        put(folder, ending, content)
        stops(folder, f"hemi-L{ending}", "its header lies")


def test_a_gzip_bomb_in_place_of_an_mgz(folder):
    bomb = gzip.compress(mgh(np.zeros((1, 40), np.float32)) + bytes(200 * 2**20))
    assert len(bomb) < 2**20
    put(folder, ".mgz", bomb)
    tracemalloc.start()
    stops(folder, "hemi-L.mgz", "its header lies")
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_a_volume_as_mgh(folder):
    head = struct.pack(">7i", 1, 8, 8, 8, 24, 3, 0)
    put(folder, ".mgh", head + bytes(284 - len(head)) + bytes(4 * 512 * 24))
    stops(folder, "8 × 8 × 8", "a volume", "mri_vol2surf")


LAUGHS = """<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<GIFTI><MetaData><MD><Name>&d;</Name><Value>x</Value></MD></MetaData></GIFTI>"""
OUTSIDE = '<!DOCTYPE GIFTI [<!ENTITY x SYSTEM "file:///etc/passwd">]><GIFTI><DataArray>&x;</DataArray></GIFTI>'


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE])
def test_gifti_with_entities(folder, text):
    put(folder, ".func.gii", text)
    stops(folder, "hemi-L.func.gii", "entities", "refused for safety")


def test_gifti_that_inflates(folder):
    array = np.zeros((1, 30_000_000), np.float32)
    bomb = gifti(array)
    del array
    small = bomb.replace(b'Dim0="30000000"', b'Dim0="40"')
    assert small != bomb and len(small) < 2**20
    put(folder, ".func.gii", small)
    tracemalloc.start()
    stops(folder, "hemi-L.func.gii", "found more")
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_cifti_that_lies(folder):
    array = np.load(folder / "responses/hemi-L.npy")
    whole = cifti(array, array, [np.arange(40), np.arange(40)])
    path = folder / "responses/both.dtseries.nii"
    for h in "LR":
        (folder / f"responses/hemi-{h}.npy").unlink()
    for old, new, words in (
        (b'IndexCount="40"', b'IndexCount="99"', "brain models"),
        (b'IndexOffset="40"', b'IndexOffset="41"', "brain models"),
        (b"<CIFTI Version", b"<!ENTITY  abcd", "refused for safety"),
        (b"CORTEX_LEFT", b"CORTEX_LEFX", "damaged" ),
    ):  # fmt: skip
        assert old in whole
        write(path, whole.replace(old, new))
        assert any(words in p.line() for p in check(folder).problems if p.severity == "stops"), (old, words)
    write(path, whole[:-4])
    stops(folder, "truncated, or its header lies")
    write(path, whole[:16] + struct.pack("<8q", 6, 1, 1, 1, 1, 2**40, 2**20, 1) + whole[80:])
    stops(folder, "its header lies")


def test_pointers_and_pages_in_place_of_files(folder):
    for ending in (".func.gii", ".mgh", ".mgz"):
        for content, words in (
            ("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "Git-LFS"),
            ("<!doctype html><html></html>", "web page"),
            ("", "empty"),
        ):
            put(folder, ending, content)
            stops(folder, f"hemi-L{ending}", words)
