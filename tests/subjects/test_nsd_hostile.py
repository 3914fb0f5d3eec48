"""MGH, MGZ, colour tables, expdesign and HDF5: truncated, oversized, swapped, NaN and hostile files.

Always an InputError of one line or a sound result; never more memory than the file's own size warrants.
"""

import gzip
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nsd_folder import ctab, mgh_bytes
from scipy.io import savemat

from factortopy.errors import InputError
from factortopy.formats.mgh import open_mgh, read_mgh, whole_labels
from factortopy.jobs.queue import child_environment
from factortopy.subjects.nsd.design import read_expdesign
from factortopy.subjects.nsd.images import NsdImages
from factortopy.subjects.nsd.rois import carry_over, read_ctab

MEGABYTE = 2**20
PROPERTY = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused_or(read, path, most=16 * MEGABYTE):
    """What ``read`` returns, or None for an InputError of one line naming the file; little memory either way."""
    tracemalloc.start()
    try:
        return read(path)
    except InputError as error:
        assert "\n" not in str(error) and path.name in str(error)
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most, f"{peak / MEGABYTE:.0f} MB"


def damaged(data, seed, head=400):
    """Bytes changed, cut off or added; mostly near the beginning."""
    rng = np.random.default_rng(seed)
    out, kind = bytearray(data), seed % 4
    if kind == 0:
        return bytes(out[: rng.integers(0, len(out))])
    if kind == 1:
        return bytes(out) + rng.bytes(rng.integers(1, 4000))
    for at in rng.integers(0, min(len(out), head if kind == 2 else len(out)), rng.integers(1, 8)):
        out[at] = rng.integers(0, 256)
    return bytes(out)


# ---------------------------------------------------------------- MGH and MGZ


@given(st.integers(1, 40), st.integers(1, 6), st.sampled_from(["u1", "i2", "i4", "f4"]), st.booleans(), st.booleans())
@PROPERTY
def test_mgh_is_read_as_written(tmp_path, vertices, frames, kind, packed, tags):
    values = np.random.default_rng(vertices).integers(0, 200, (frames, vertices))
    data = mgh_bytes(values, ">" + kind, tags=tags)
    path = tmp_path / ("x.mgz" if packed else "x.mgh")
    path.write_bytes(gzip.compress(data) if packed else data)
    mgh = open_mgh(path, vertices, frames)
    assert (mgh.vertices, mgh.frames, mgh.packed) == (vertices, frames, packed)
    assert np.array_equal(mgh.values(), values) and mgh.values().dtype == np.float32
    if not packed:
        leading = max(1, vertices // 2)
        assert np.array_equal(mgh.frame_block(1, frames, leading), values[1:, :leading])


def test_mgh_as_nibabel_writes_it(tmp_path):
    import nibabel

    values = np.random.default_rng(0).normal(size=(30, 1, 1, 4)).astype(np.float32)
    for name in ("x.mgh", "x.mgz"):
        nibabel.save(nibabel.MGHImage(values, np.eye(4)), tmp_path / name)
        assert np.array_equal(open_mgh(tmp_path / name).values(), values[:, 0, 0].T)


@given(st.integers(0, 2**31), st.booleans())
@PROPERTY
def test_damaged_mgh(tmp_path, seed, packed):
    data = mgh_bytes(np.arange(3000).reshape(3, 1000))
    path = tmp_path / "x.mgh"
    if packed and seed % 2:
        path.write_bytes(damaged(gzip.compress(data), seed // 2))
    else:
        data = damaged(data, seed // 2, head=30)
        path.write_bytes(gzip.compress(data) if packed else data)
    values = refused_or(lambda path: open_mgh(path).values(), path)
    assert values is None or values.dtype == np.float32


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6), st.booleans())
@PROPERTY
def test_lying_headers(tmp_path, numbers, packed):
    data = struct.pack(">6i", 1, *numbers[:4], 3).ljust(284, b"\0") + bytes(400)
    path = tmp_path / "x.mgh"
    path.write_bytes(gzip.compress(data) if packed else data)
    refused_or(lambda path: open_mgh(path).values(), path, 3 * MEGABYTE)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_asks_for_terabytes(tmp_path, packed):
    data = struct.pack(">6i", 1, 2**31 - 1, 2**31 - 1, 2**31 - 1, 750, 3).ljust(284, b"\0")
    path = tmp_path / "x.mgh"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert refused_or(read_mgh, path, MEGABYTE) is None


def test_a_bomb_behind_the_values(tmp_path):
    path = tmp_path / "x.mgz"
    path.write_bytes(gzip.compress(mgh_bytes(np.arange(10.0)) + bytes(30 * MEGABYTE), 9))
    assert path.stat().st_size < MEGABYTE
    assert refused_or(read_mgh, path, 8 * MEGABYTE) is None


def test_missing_and_odd_values_are_no_labels(tmp_path):
    path = tmp_path / "x.mgh"
    path.write_bytes(mgh_bytes(np.array([1, np.nan, np.inf, -np.inf, 1e30, -3, 2])))
    assert whole_labels(path).tolist() == [1, 0, 0, 0, 0, -3, 2]


@given(st.lists(st.floats(width=32) | st.integers(-5, 15), min_size=1, max_size=20))
@PROPERTY
def test_transforms(tmp_path, numbers):
    labels = np.arange(100, 110)
    with np.errstate(invalid="ignore", over="ignore"):
        transform = np.array(numbers, np.float32)
    try:
        carried = carry_over(labels, transform, tmp_path / "t.mgz")
    except InputError as error:
        assert "native vertices from 1 to 10" in str(error)
        assert not ((transform >= 1) & (transform < 11)).all()
    else:
        assert np.array_equal(carried, [labels[int(k) - 1] for k in transform])


# ---------------------------------------------------------------- colour tables


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@PROPERTY
def test_any_bytes_as_a_colour_table(tmp_path, data):
    path = tmp_path / "x.mgz.ctab"
    path.write_bytes(data)
    table = refused_or(read_ctab, path)
    assert table is None or all(type(k) is int and "\n" not in v and len(v) <= 60 for k, v in table.items())


def test_colour_tables(tmp_path):
    path = tmp_path / "x.mgz.ctab"
    path.write_bytes(ctab(("V1v", "V1d")))
    assert read_ctab(path) == {0: "Unknown", 1: "V1v", 2: "V1d"}
    path.write_bytes(b"  0\tUnknown\t\n\n# a remark\n12   ../../etc 1 2 3 0\r\n3 <img/onerror=x>\n")
    assert read_ctab(path) == {0: "Unknown", 12: "..∕..∕etc", 3: "<img∕onerror=x>"}
    path.write_bytes(b"1 a\n" * 100_000)
    assert refused_or(read_ctab, path, MEGABYTE) is None


# ---------------------------------------------------------------- expdesign


@pytest.fixture(scope="module")
def design():
    """The bytes of a sound file."""
    buffer, rng = io.BytesIO(), np.random.default_rng(0)
    values = {"masterordering": rng.integers(1, 10001, (1, 30000)), "subjectim": rng.integers(1, 73001, (8, 10000))}
    savemat(buffer, values | {"stimpattern": np.zeros((40, 12, 75)), "info": {"a": 1}}, do_compression=True)
    return buffer.getvalue()


@given(st.integers(0, 2**31))
@settings(PROPERTY, max_examples=30)
def test_damaged_designs(tmp_path, design, seed):
    path = tmp_path / "nsd_expdesign.mat"
    path.write_bytes(damaged(design, seed))
    content = refused_or(read_expdesign, path)
    assert content is None or (
        content[0].shape == (30000,) and content[1].shape == (8, 10000) and content[0].dtype == np.int64
    )


@given(st.integers(0, 2**31))
@settings(PROPERTY, max_examples=30)
def test_damage_inside_the_compressed_matrices(tmp_path, design, seed):
    size = struct.unpack_from("<I", design, 132)[0]
    inside = damaged(zlib.decompress(design[136 : 136 + size]), seed, head=80)
    packed = zlib.compress(inside)
    path = tmp_path / "nsd_expdesign.mat"
    path.write_bytes(design[:128] + struct.pack("<2I", 15, len(packed)) + packed + design[136 + size :])
    content = refused_or(read_expdesign, path)
    assert content is None or (content[0].shape == (30000,) and content[1].shape == (8, 10000))


def test_a_bomb_in_a_design(tmp_path, design):
    packed = zlib.compress(bytes(140 * MEGABYTE), 9)
    path = tmp_path / "nsd_expdesign.mat"
    path.write_bytes(design + struct.pack("<2I", 15, len(packed)) + packed)
    assert refused_or(read_expdesign, path, 300 * MEGABYTE) is None


def test_other_kinds_of_designs(tmp_path, design):
    path = tmp_path / "nsd_expdesign.mat"
    with h5py.File(path, "w") as file:
        file["masterordering"] = np.ones((30000, 1))
    with pytest.raises(InputError, match="version 7.3"):
        read_expdesign(path)
    values = {"masterordering": np.ones((1, 30000)), "subjectim": np.ones((8, 10000))}
    savemat(path, values | {"masterordering": np.array([[1, "a"]], object)})  # cells
    with pytest.raises(InputError, match="found none"):
        read_expdesign(path)
    savemat(path, values, do_compression=False)
    assert (read_expdesign(path)[0] == 1).all()


# ---------------------------------------------------------------- HDF5


def stimuli(path, numbers=(2, 5)):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("imgBrick", (73000, 425, 425, 3), "u1", chunks=(1, 425, 425, 3), compression="gzip")
        for number in numbers:
            data[number] = number
    return path


def pictures(path):
    images = NsdImages(path, [2, 5])
    return [images[0], images[1]]


@given(st.integers(0, 2**31))
@settings(PROPERTY, max_examples=100)
def test_damaged_stimuli(tmp_path, seed):
    base = tmp_path / "base.h5"
    data = base.read_bytes() if base.exists() else stimuli(base).read_bytes()
    path = tmp_path / "nsd_stimuli.hdf5"
    path.write_bytes(damaged(data, seed, head=3000))
    content = refused_or(pictures, path)
    assert content is None or all(image.shape == (425, 425, 3) and image.dtype == np.uint8 for image in content)


def test_external_links_storage_and_virtual_sets_are_refused(tmp_path):
    """Each of them would read another file of this machine."""
    path, secret = tmp_path / "nsd_stimuli.hdf5", tmp_path / "secret"
    secret.write_bytes(b"secret" * 200_000)
    other = stimuli(tmp_path / "other.h5")
    shape = (6, 425, 425, 3)

    def external_link(file):
        file["imgBrick"] = h5py.ExternalLink(str(other), "/imgBrick")

    def soft_link(file):
        file["there"] = h5py.ExternalLink(str(other), "/")
        file["imgBrick"] = h5py.SoftLink("/there/imgBrick")

    def storage(file):
        file.create_dataset("imgBrick", shape, "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    def virtual(file):
        layout = h5py.VirtualLayout(shape, "u1")
        layout[:] = h5py.VirtualSource(str(other), "imgBrick", (73000, 425, 425, 3))[:6]
        file.create_virtual_dataset("imgBrick", layout)

    for make in (external_link, soft_link, storage, virtual):
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(InputError, match="refused for safety"):
            pictures(path)


@pytest.mark.parametrize(
    "content",
    [
        {"shape": (6, 425, 425), "dtype": "u1"},
        {"shape": (6, 3, 425, 425), "dtype": "u1"},
        {"shape": (6, 425, 425, 3), "dtype": "f4", "chunks": (1, 425, 425, 3)},
        {"shape": (2**40, 425, 425, 3), "dtype": "u1", "chunks": (2000, 425, 425, 3), "compression": "gzip"},
        {"shape": (6, 425, 425, 3), "dtype": "u1"},  # never written
        {"shape": (2, 425, 425, 3), "dtype": "u1", "data": np.ones((2, 425, 425, 3), "u1")},  # too few
    ],
)
def test_other_shapes(tmp_path, content):
    path = tmp_path / "nsd_stimuli.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("imgBrick", **content)
    assert refused_or(pictures, path, MEGABYTE) is None


def test_groups_nothing_and_other_files(tmp_path):
    path = tmp_path / "nsd_stimuli.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("imgBrick")
    assert refused_or(pictures, path) is None
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    assert refused_or(pictures, path) is None
    for data in (b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(5000), os.urandom(5000)):
        path.write_bytes(data)
        assert refused_or(pictures, path) is None
    with h5py.File(path, "w") as file:  # contiguous, and cut
        file["imgBrick"] = np.ones((6, 425, 425, 3), np.uint8)
    assert pictures(path)[1].all()
    path.write_bytes(path.read_bytes()[:-500_000])
    assert refused_or(pictures, path) is None


def test_a_filter_that_would_load_code_is_refused(tmp_path):
    path = tmp_path / "nsd_stimuli.hdf5"
    settings_ = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings_.set_chunk((1, 425, 425, 3))
    settings_.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((6, 425, 425, 3))
        h5py.h5d.create(file.id, b"imgBrick", h5py.h5t.NATIVE_UINT8, space, settings_)
    with pytest.raises(InputError, match="filter 32015"):
        pictures(path)


# ---------------------------------------------------------------- memory of the process itself


def test_all_readers_under_a_limit_of_the_system(tmp_path):
    """What tracemalloc cannot see (HDF5, zlib) is limited by the system: 1 GB above what the libraries take."""
    code = """
import resource, sys
import h5py, numpy, scipy.io, pandas
from pathlib import Path
from factortopy.errors import InputError
from factortopy.formats.mgh import read_mgh
from factortopy.subjects.nsd.design import read_expdesign
from factortopy.subjects.nsd.images import NsdImages
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
for name, read in (("a.mgz", read_mgh), ("b.mat", read_expdesign), ("c.h5", lambda p: NsdImages(p, [2])[0])):
    try:
        read(Path(sys.argv[1]) / name)
    except InputError as error:
        print(name, error)
"""
    huge = struct.pack(">6i", 1, 2**29, 1, 1, 1, 3).ljust(284, b"\0")
    (tmp_path / "a.mgz").write_bytes(gzip.compress(huge + bytes(20 * MEGABYTE), 9))
    packed = zlib.compress(struct.pack("<2I", 14, 2**31) + bytes(140 * MEGABYTE), 9)
    head = b"MATLAB 5.0 MAT-file".ljust(124, b" ") + struct.pack("<H", 0x0100) + b"IM"
    (tmp_path / "b.mat").write_bytes(head + struct.pack("<2I", 15, len(packed)) + packed)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("imgBrick", (9000, 425, 425, 3), "u1", chunks=(3000, 425, 425, 3), compression="gzip")
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, env=child_environment()
    )
    assert done.stderr == "" and [line.split()[0] for line in done.stdout.splitlines()] == ["a.mgz", "b.mat", "c.h5"]
