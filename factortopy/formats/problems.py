"""What is wrong with a file or a data set: one form for the error that stops and for the warning that is collected."""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass

from factortopy.errors import InputError
from factortopy.wording import safe_label, shown_path

STOPS = "stops"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    severity : "stops" (no training before it is mended) or "warning" (what was done instead is in ``remedy``)
    thing : the path or argument; expected, actual, remedy : short phrases without a full stop. With ``expected`` empty,
    ``actual`` is the whole sentence.
    choices : tuple of str, all that would do as ``expected``; a page makes a list of them
    """

    severity: str
    thing: str
    expected: str
    actual: str
    remedy: str
    choices: tuple = ()

    def line(self):
        """The sentence, one line."""
        if not self.expected:
            return " ".join(self.actual.split())
        choices = f" ({'; '.join(self.choices)})" if self.choices else ""
        return " ".join(f"{self.thing}: expected {self.expected}{choices}, found {self.actual}; {self.remedy}".split())


class DataError(InputError):
    """An InputError that still knows its Problem."""

    def __init__(self, problem):
        self.problem = problem
        super().__init__(problem.line())


def stop(thing, expected, actual, remedy, choices=()):
    """A DataError to raise."""
    return DataError(Problem(STOPS, shown_path(thing), expected, actual, remedy, tuple(choices)))


def warn(thing, expected, actual, remedy):
    """A warning to collect."""
    return Problem(WARNING, shown_path(thing), expected, actual, remedy)


def foreign(data, otherwise="a file of another kind"):
    """What the first bytes of a file that is no picture are, with the way to fetch it where it is a pointer."""
    words = foreign_content(data).replace("the picture", "the file")
    kind, _, remedy = words.partition("; ")
    return (words if "pointer" in kind else kind) or otherwise


def close_to(name, names):
    """ " (is it NAME?)" for the name among ``names`` that is probably meant; "" where none is.

    Another hemisphere, session or row is no slip of the pen: names that differ in a number or a side are not proposed.
    """

    def plain(text):
        return plain_spaces(unicodedata.normalize("NFC", text)).lower()

    def numbers_and_sides(text):
        return re.findall(r"\d+", text), re.findall(r"(?<![a-z])(?:lh|rh|l|r)(?![a-z])", text.lower())

    own = numbers_and_sides(name)
    same = {plain(o): o for o in names if numbers_and_sides(o) == own or plain(o) == plain(name)}
    best = difflib.get_close_matches(plain(name), same, 1, 0.75)
    return f" (is it {safe_label(same[best[0]])}?{look_alike(name, same[best[0]])})" if best else ""


def plain_spaces(text):
    """Text without invisible letters (zero width, direction marks), all white space single spaces, none at the ends."""
    return " ".join("".join(letter for letter in text if unicodedata.category(letter) != "Cf").split())


def look_alike(a, b):
    """What tells two different names apart that look alike on the screen: "; …", or "" where they do not."""
    if a == b:
        return ""
    if unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b):
        return "; it differs in Unicode form alone (é as one sign or as e and an accent: NFC, NFD)"
    if plain_spaces(a) == plain_spaces(b):
        odd = [
            unicodedata.name(c, f"U+{ord(c):04X}").lower()
            for c in a + b
            if unicodedata.category(c) in _UNSEEN and c != " "
        ]
        return f"; it differs in {odd[0] if odd else 'spaces'} alone"
    a, b = (unicodedata.normalize("NFC", text) for text in (a, b))
    differ = [(one, other) for one, other in zip(a, b, strict=False) if one != other]
    if len(a) == len(b) and all(not (one + other).isascii() for one, other in differ):
        one, other = (unicodedata.name(c, f"U+{ord(c):04X}").lower() for c in differ[0])
        return f"; it has {other} where this has {one}"
    return ""


_UNSEEN = ("Cf", "Cc", "Zs", "Zl", "Zp")


def foreign_content(data):
    """Words for content that is certainly no picture we read, with the way out; "" when it may be one."""
    head = data[:1024]
    low = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        return "an empty file (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "a Git-LFS pointer instead of the picture; run: git lfs pull"
    if b"/annex/objects/" in head[:400]:
        return "a git-annex pointer instead of the picture; run: git annex get"
    if low.startswith((b"<!doctype html", b"<html")):
        return "a web page, probably an error or sign-in page saved in its place; download it again"
    if b"<svg" in low and low.startswith((b"<?xml", b"<svg", b"<!--", b"<!doctype")):
        return "an SVG drawing; export it as PNG"
    if low.startswith(b"%pdf"):
        return "a PDF; export the page as PNG or JPEG"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "an EPS or PostScript drawing; export it as PNG"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "an archive or office document; unpack it and choose the pictures in it"
    if head.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        return "a JPEG XL picture; export it as JPEG or PNG"
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis"):
        brand = head[8:12]
        if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"):
            return "a HEIC photograph; export it as JPEG"
        return "a video; save one frame as PNG or JPEG"
    if head.startswith(b"\x93NUMPY"):
        return "a NumPy array; save it as PNG"
    return "plain text; choose a picture file" if _is_text(head) else ""


def _is_text(head):
    """True for printable UTF-8 (a letter cut at the end of ``head`` aside)."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
