"""The reader of tables: whatever a program writes is read as it was meant, or refused in one line that names the place."""

import csv
import string
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factortopy.errors import InputError
from factortopy.formats.tables import codes, read_table

COLUMNS = ("image", "session", "onset", "split")
PROPERTY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(folder, data, required=("image",), allowed=COLUMNS):
    path = folder / "t.tsv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(path, required, allowed)


def refused(folder, data, *words, **options):
    with pytest.raises(InputError) as error:
        read(folder, data, **options)
    for word in (*words, "t.tsv"):
        assert word in str(error.value), str(error.value)


TABLE = {"image": ["é a.png", "b.png", "c.png"], "session": ["1", "1", "2"]}


def text(separator="\t", end="\n", quote=""):
    rows = [list(TABLE), *zip(*TABLE.values(), strict=True)]
    return "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + end for row in rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", ["\t", ";", ","])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac_roman"]
)
def test_encodings_separators_and_line_ends(tmp_path, encoding, separator, end):
    encoding = {"cp1252": "mac_roman", "mac_roman": "cp1252"}.get(encoding, encoding) if end == "\r" else encoding
    if encoding == "mac_roman" and end != "\r":
        return  # what no program writes, and nothing tells
    if encoding == "cp1252" and end == "\r":
        return
    for quote in ("", '"'):
        table = read(tmp_path, text(separator, end, quote).encode(encoding))
        assert dict(table) == TABLE and table.lines == [2, 3, 4] and table.separator == separator
        assert bool(table.notes) == (encoding in ("cp1252", "mac_roman"))


@pytest.mark.parametrize(
    "data, lines",
    [
        ("# written by hand\n# twice\n" + text(), [4, 5, 6]),
        ("# " + text(), [2, 3, 4]),
        ("sep=;\n" + text(";"), [3, 4, 5]),
        ("\n\n" + text() + "\n\n\n", [4, 5, 6]),
        (text(end="\t\t\n"), [2, 3, 4]),
        (text().replace("image", " Image\u00a0").replace("session", "\ufeffSESSION"), [2, 3, 4]),
        (text().replace("b.png", " b.png\u00a0"), [2, 3, 4]),
        (text() + "\t\n\t\n", [2, 3, 4]),
        (text().replace("c.png", "\nc.png"), [2, 3, 5]),
    ],
)
def test_what_stands_around_the_cells(tmp_path, data, lines):
    table = read(tmp_path, data)
    assert dict(table) == TABLE and table.lines == lines


def test_index_columns_are_left_out_and_noted(tmp_path):
    frame = pd.DataFrame(TABLE)
    for data in (
        frame.to_csv(sep="\t"), frame.to_csv(), frame.iloc[[0, 1, 2]].set_axis([7, 3, 5]).to_csv(sep=";"),
        frame.reset_index(names="Unnamed: 0").to_csv(sep="\t", index=False),
        '"image"\t"session"\n"1"\t"é a.png"\t1\n"2"\t"b.png"\t1\n"3"\t"c.png"\t2\n',  # R's write.table
    ):  # fmt: skip
        table = read(tmp_path, data)
        assert dict(table) == TABLE, data
        (note,) = table.notes
        assert "a heading over every column" in note.line() and "left out" in note.line()
    refused(tmp_path, "\timage\na\tb.png\nc\td.png\n", "an empty one over column 1 (a, c)")
    refused(tmp_path, "image,onset\n1,5,a.png\n2,5,b.png\n", "3 in line 2", "decimal commas?")
    refused(tmp_path, "image\tsession\na.png\t1\tx\nb.png\t1\ty\n", "3 in line 2")


@pytest.mark.parametrize(
    "data, words",
    [
        ("image\timage\nx\ty\n", "image twice (columns 1 and 2)"),
        ("image\tImage \nx\ty\n", "image twice (columns 1 and 2)"),
        ("image\tsesion\nx\ty\n", "sesion (is it session?)"),
        ("p0.png\t1\np1.png\t1\n", "is the heading missing?"),
        ("image session\np0.png 1\n", "separate them by tabs"),
        ("| image | session |\n|---|---|\n| p0.png | 1 |\n", "separate them by tabs"),
        ("image\tsession\np0.png\t1\np1.png\n", "1 in line 3"),
        ("image;session,split\na;b,c\n", "semicolons and commas in the heading"),
        ("image\np0.png\n\np1.png\n", "an empty line 3"),
        ("image\n" + "x" * 200_000 + "\n", "field larger than field limit"),
        ("image\np\0.png\n", "a binary file"),
        ("", "0 bytes"),
        ("\n\n", "nothing"),
        ("image\n", "none"),
        (b"image\ncaf\x81.png\n", "other bytes (the first in line 2)"),
        (b"\xff\xfei\0m\0a", "damaged UTF-16"),
        (b"PK\x03\x04..xl/workbook.xml", "an Excel workbook (.xlsx)"),
        (b"PK\x03\x04..mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "a LibreOffice workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "an old Excel workbook (.xls)"),
        ("<html><table>", "a web page"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, data, words):
    refused(tmp_path, data, words)


@pytest.mark.parametrize(
    "separator, cells, values",
    [
        ("\t", ["1.0", "1e3", "001", "−2", "+.5"], [1, 1000, 1, -2, 0.5]),
        ("\t", ["0,5", "1,5", "2"], [0.5, 1.5, 2]),
        (";", ["0,500", "1,500"], [0.5, 1.5]),
        (";", ["1,500", "2,500"], [1.5, 2.5]),
        ("\t", ["1,500", "2,250"], None),
        ("\t", ["1.500,5", "2"], None),
        ("\t", ["1,000.5", "2"], None),
        ("\t", ["1_000"], None),
        ("\t", ["１２"], None),
        ("\t", ["inf"], None),
        ("\t", ["1e999"], None),
        ("\t", ["n/a", "3"], [7, 3]),
        ("\t", ["NaN", "NA", "<NA>", "1"], [7, 7, 7, 1]),
        ("\t", ["12 s"], None),
        ("\t", ["50%"], None),
    ],
)
def test_numbers(tmp_path, separator, cells, values):
    table = read(tmp_path, separator.join(("image", "onset")) + "\n" + "".join(f"a{separator}{c}\n" for c in cells))
    if values is None:
        with pytest.raises(InputError, match=r"numbers in column 'onset', found .* in line \d"):
            table.numbers("onset", missing=7)
    else:
        assert table.numbers("onset", missing=7).tolist() == values
        if 7 in values:
            with pytest.raises(InputError, match="in line 2"):
                table.numbers("onset")


def test_an_empty_cell_is_called_so(tmp_path):
    table = read(tmp_path, "image\tonset\na\t\n")
    with pytest.raises(InputError, match="an empty cell in line 2"):
        table.numbers("onset")


def test_codes_count_the_same_number_once():
    assert codes(["1", "1.0", "01", "2", "1e0"]).tolist() == [1, 1, 1, 2, 1]
    assert codes(["1.5", "1.50", "2"]).tolist() == [0, 0, 1]
    assert codes(["é", unicodedata.normalize("NFD", "é"), "e"]).tolist() == [0, 0, 1]
    assert codes(["9" * 20, "9" * 19 + "8", "9" * 20]).tolist() == [0, 1, 0]
    assert codes(["1_0", "10"]).tolist() == [0, 1] and codes(["1e9999", "1"]).tolist() == [0, 1]


# ---------------------------------------------------------------- whatever is written

LETTERS = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"])
CELLS = st.one_of(
    st.text(LETTERS, max_size=8),
    st.text(string.printable, max_size=8),
    st.sampled_from(["a.png", "", "#1", '"', "1,5", "é"]),
)


def same(cell):
    return cell.strip().strip("\ufeff\u200b\u2060").strip()


@PROPERTY
@given(
    data=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6), width=st.integers(1, 3), index=st.booleans(),
    separator=st.sampled_from("\t;,"), end=st.sampled_from(["\n", "\r\n", "\r"]), header=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"]),
)  # fmt: skip
def test_whatever_pandas_writes(tmp_path, data, width, index, separator, end, header, quoting, encoding):
    frame = pd.DataFrame([row[:width] for row in data], columns=COLUMNS[:width])
    written = frame.to_csv(sep=separator, index=index, lineterminator=end, quoting=quoting, header=header)
    try:
        raw = written.encode(encoding)
    except UnicodeEncodeError:
        return
    try:
        table = read(tmp_path, raw)
    except InputError as error:
        assert "\n" not in str(error)
        return
    if encoding == "cp1252" and table.notes and not written.isascii():
        return  # a guess, which is said
    rows = [tuple(map(same, row)) for row in frame.itertuples(index=False)]
    got = list(zip(*table.values(), strict=True))
    if not header:  # a row that reads like a heading
        assert set(map(str.casefold, rows[0])) & set(COLUMNS)
    elif len(got) < len(rows):  # empty rows at the end, comments: noted
        assert table.notes and [row for row in rows if any(row)][: len(got)] == got[: len(rows)] or not any(rows[-1])
    else:
        assert got == rows and list(table) == list(COLUMNS[:width])


@PROPERTY
@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=5), decimal=st.sampled_from(".,"),
    separator=st.sampled_from("\t;,"), form=st.sampled_from([None, "%.3f", "%.1f", "%g", "%e", "%d"]), index=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
)  # fmt: skip
def test_a_column_of_numbers_is_never_misread(tmp_path, values, decimal, separator, form, index, quoting):
    frame = pd.DataFrame({"image": [f"p{k}.png" for k in range(len(values))], "onset": values})
    options = {"sep": separator, "index": index, "decimal": decimal, "float_format": form, "quoting": quoting}
    data = frame.to_csv(**options)
    expected = [float((form or "%r") % value) for value in values]
    try:
        got = read(tmp_path, data).numbers("onset")
    except InputError:
        # Only what has two readings may be refused: commas between cells or before three digits.
        assert decimal == "," and (separator == "," or form == "%.3f"), data
        return
    assert np.allclose(got, expected, rtol=1e-12, atol=0), data


@PROPERTY
@given(
    raw=st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda t: ("image\n" + t).encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_a_table_or_one_line(tmp_path, raw):
    try:
        table = read(tmp_path, raw)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len({len(cells) for cells in table.values()} | {len(table.lines)}) == 1
