"""Text from outside, whatever program saved it: read by what its bytes show, never by what this machine prefers."""

import codecs
from pathlib import Path

from factortopy.formats.files import size_of
from factortopy.formats.problems import foreign, foreign_content, stop

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SAVE = "save it as text: in Excel, File, Save as, CSV UTF-8; in LibreOffice, Text CSV"
_WORKBOOKS = (
    (b"PK\x03\x04", b"xl/", "an Excel workbook (.xlsx)"),
    (b"PK\x03\x04", b"opendocument.spreadsheet", "a LibreOffice workbook (.ods)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", "an old Excel workbook (.xls)"),
)


def read_text(path, what, most):
    """A text file's letters.

    UTF-8 and, by their byte-order marks or zero bytes, UTF-16 and UTF-32. Bytes that are none of these are a guess: Mac Roman
    where lines end in a carriage return alone, as Excel for the Mac wrote them, else Windows-1252.

    Parameters
    ----------
    what : words for what must be there, "a JSON file"; most : bytes

    Returns
    -------
    str
    str
        The encoding that was guessed, in words; "" where it is certain.

    Raises
    ------
    InputError
        For a missing or too large file, a pointer or page in its place, a workbook, a binary file.
    """
    path = Path(path)
    size = size_of(path, what)
    if size > most:
        actual = f"{size / 2**20:,.0f} MB"
        raise stop(path, f"{what} of at most {most // 2**20} MB", actual, "is it the right file?")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise stop(path, what, error.strerror or str(error), "check its permissions") from None
    for start, inside, words in _WORKBOOKS:
        if data.startswith(start) and inside in data:
            raise stop(path, what, words, _SAVE)
    words = foreign_content(data[:1024])
    if words and not words.startswith("plain text"):
        raise stop(path, what, foreign(data[:1024]), "copy or download it again")
    text, guess = decoded(data)
    if text is None:
        raise stop(path, f"{what} in UTF-8", guess, "copy or download it again, or save it as UTF-8 text")
    return text, guess


def decoded(data):
    """(text, the guessed encoding in words or "") of bytes; (None, what they are) where they are no text."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(encoding or _of_zeros(data) or "utf-8")
        return (None, "a binary file") if "\0" in text else (text, "")
    except UnicodeDecodeError as error:
        if encoding:
            return None, f"damaged {encoding.upper().removesuffix('-SIG')} ({error.reason} at byte {error.start:,})"
    if any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in set(data)):
        return None, "a binary file"
    encoding, words = ("mac_roman", "Mac Roman") if b"\r" in data and b"\n" not in data else ("cp1252", "Windows-1252")
    try:
        return data.decode(encoding), words
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, f"other bytes (the first in line {line:,})"


def _of_zeros(data):
    """UTF-16 without a mark: every other byte of Latin letters, tabs and line ends is zero."""
    head = data[:4096]
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) < len(head) / 8 or min(odd, even) or len(data) % 2:
        return None
    return "utf-16-le" if odd else "utf-16-be"
