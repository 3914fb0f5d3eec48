"""A look at the files of a data set is never stricter than the reader behind it: what it refuses, the reader refuses."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plain_folder import make_folder

from factortopy.errors import InputError
from factortopy.pictures.reading import read_image
from factortopy.subjects import load_subject
from factortopy.subjects.check import check
from factortopy.subjects.examination import Examination
from factortopy.subjects.picture_files import SAMPLE, examine_files, looks_whole

NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
TAILS = (b"\0" * 4096, b"\0\0\0\x18ftypmp42" + bytes(range(1, 200)) * 20, b"IDATrest" * 100)


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, kind)
    return buffer.getvalue()


FILES = [encoded(kind) for kind in FORMATS]
CHANGES = st.tuples(
    st.sampled_from(["cut", "append", "insert", "flip"]), st.floats(0, 1), st.binary(min_size=1, max_size=100)
)


def changed(data, how, where, content):
    at = round(where * len(data))
    if how == "cut":
        return data[:at]
    if how == "append":
        return data + content
    return data[:at] + content + data[at + (len(content) if how == "flip" else 0) :]


@given(st.sampled_from(FILES), st.lists(CHANGES, max_size=2), st.sampled_from(["png", "jpg", "JPEG", "jfif"]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_a_look_refuses_the_reader_refuses_too(tmp_path_factory, data, changes, ending):
    for change in changes:
        data = changed(data, *change)
    folder = tmp_path_factory.getbasetemp()
    path = folder / f"picture.{ending}"
    path.write_bytes(data)
    try:
        read_image(path)
    except InputError:
        return
    examination = Examination()
    assert examine_files(examination, folder, [path]) and not examination.problems


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(
    "kind, ending", [("JPEG", "jpg"), ("PNG", "png"), ("JPEG", "jfif"), ("WEBP", "png"), ("TIFF", "TIF")]
)
def test_bytes_behind_a_pictures_end_and_other_endings(tmp_path, kind, ending, tail):
    folder = make_folder(tmp_path, extras=False)
    (folder / "trials.tsv").unlink()
    before = load_subject(folder).image(7)
    for k, path in enumerate(sorted((folder / "images").iterdir())):
        image = Image.open(path)
        image.load()
        path.unlink()
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        image.save(path.with_suffix(f".{ending}"), kind, **options)
        if k == 7:
            with open(path.with_suffix(f".{ending}"), "ab") as file:
                file.write(tail)
    assert not check(folder).stops
    assert np.abs(load_subject(folder).image(7).astype(int) - before).mean() < 4


def test_one_that_is_cut_is_refused_though_no_sample_holds_it(tmp_path):
    folder = make_folder(tmp_path, trials=3 * SAMPLE, extras=False)
    paths = sorted((folder / "images").iterdir())
    paths[1].write_bytes(paths[1].read_bytes()[:90])
    paths[4].write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic")
    assert not looks_whole(paths[1])
    lines = [problem.line() for problem in check(folder).problems if problem.severity == "stops"]
    assert len(lines) == 2 and paths[1].name in lines[0] and "incomplete" in lines[0]
    assert "HEIC photograph; export it as JPEG" in lines[1]


def test_a_folder_of_another_format_is_not_decoded_to_its_end(tmp_path):
    paths = [tmp_path / f"{k}.jpg" for k in range(300)]
    for path in paths:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    examination = Examination()
    assert not examine_files(examination, tmp_path, paths)
    assert len(examination.problems) == 6 and "95 or more besides these" in examination.problems[-1].line()
