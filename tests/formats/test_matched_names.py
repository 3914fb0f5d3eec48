"""Names in tables and names of files: matched where there is exactly one reading, else named with what differs."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.formats.names import FileNames, in_order_of_numbers
from factortopy.formats.problems import close_to

NFC, NFD = (lambda s: unicodedata.normalize("NFC", s)), (lambda s: unicodedata.normalize("NFD", s))


def match(names, files, folder="images"):
    return FileNames(files, folder).match(names)


@pytest.mark.parametrize(
    "name, file, differs",
    [
        (NFC("café.png"), NFD("café.png"), ""),
        (NFD("café.png"), NFC("café.png"), ""),
        ("가.png", NFD("가.png"), ""),
        ("images/p1.png", "p1.png", ""),
        ("./p1.png", "p1.png", ""),
        (r"sub\p1.png", "sub/p1.png", ""),
        ('"p1.png"', "p1.png", ""),
        ("P1.PNG", "p1.png", "case"),
        ("a\u00a0b.png", "a b.png", "spaces"),
        ("a  b.png", "a b.png", "spaces"),
        ("a.png", "a.png ", "spaces"),
        ("a\u200bb.png", "ab.png", "spaces"),
        ("a\u2011b.png", "a-b.png", "look-alike"),
        ("ﬁsh.png", "fish.png", "look-alike"),
        ("p1", "p1.png", "no ending"),
        ("/home/anna/data/images/p1.png", "p1.png", "path"),
        (r"C:\data\images\p1.png", "p1.png", "path"),
        ("../p1.png", "p1.png", "path"),
        ("https://osf.io/x/caf%C3%A9%201.png", "café 1.png", "escaped"),
        ("IMG%20" + "1.png", "IMG 1.png", "escaped"),
    ],
)
def test_one_reading_is_taken(name, file, differs):
    got = match([name], [file, "other.png", "q2.jpg"])
    assert got.files == {name: file} and not got.missing
    assert differs in got.differing.get(name, "") and bool(got.differing) == bool(differs)


@pytest.mark.parametrize(
    "names, files, words",
    [
        (["p1.PNG"], ["P1.png", "p1.png"], "is it 'P1.png' or 'p1.png'?"),
        (["p1"], ["p1.png", "p1.jpg"], "is it 'p1.png' or 'p1.jpg'?"),
        (["A.png", "a.png"], ["a.png"], "only 'a.png' is like it"),
        (["/one/1.png", "/two/1.png"], ["1.png"], "only '1.png' is like it"),
        (["a b.png"], ["a\u00a0b.png", "a\u2009b.png"], "no-break space"),
        (["p2.png"], ["p1.png"], ""),
        (["x\u0430.png"], ["xa.png"], ""),
        (["é1.png"], ["è1.png"], "latin small letter e with grave"),
        ([""], ["a.png"], "an empty cell"),
        (["12"], ["p12.png"], ""),
        (["n" * 5000], ["a.png"], ""),
    ],
)
def test_what_has_none_or_several_is_named(names, files, words):
    got = match(names, files)
    assert names[0] in got.missing and words in got.missing[names[0]] and names[0] not in got.files


def test_look_alikes_are_told_apart():
    assert "NFC, NFD" in close_to(NFC("café"), [NFD("café")])
    assert "no-break space" in close_to("a b", ["a\u00a0b"])
    assert close_to("hemi-L.npy", ["hemi_L.npy"]) == " (is it hemi_L.npy?)"


def test_numbers_count_in_order():
    assert in_order_of_numbers(["p10", "p2", "p1", "²", "x"]) == ["p1", "p2", "p10", "x", "²"]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0%\"'", exclude_categories=["C", "Z"]), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(stems=st.lists(TEXT, min_size=1, max_size=6, unique_by=NFC), data=st.data())
def test_every_form_of_existing_names_is_matched_or_refused(stems, data):
    """Whatever is done to names that exist: each means its own file or none, never another."""
    forms = [
        str,
        NFC,
        NFD,
        str.upper,
        lambda s: f" {s} ",
        lambda s: f"images/{s}",
        lambda s: f"/x/{s}",
        lambda s: s[:-4],
    ]
    files = [data.draw(st.sampled_from([NFC, NFD]))(f"{stem}.png") for stem in stems]
    names = [data.draw(st.sampled_from(forms))(file) for file in files]
    got = match(list(dict.fromkeys(names)), files)
    for name, file in zip(names, files, strict=True):
        if names.count(name) == 1 and name in got.files and got.files[name] != file:
            # Another file has exactly this name.
            assert NFC(got.files[name]) == NFC(name), (names, files, got)
    assert len(got.files) + len(got.missing) == len(set(names))
    exact = match(files, files)
    assert exact.files == {file: file for file in files} and not exact.differing
