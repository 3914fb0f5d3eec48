"""Names that come from files, pages and other machines, before they become a path: bounded, plain, and inside their folder."""

import os
import re
from pathlib import PurePosixPath

LONGEST = 100  # bytes of a file's name that we choose; file systems take 255, and endings and numbers come behind
_RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)  # devices of Windows, whatever the ending


def file_stem(words, longest=LONGEST, otherwise="x", also="_"):
    """A file's name, without its ending, of any words: ASCII letters, digits, "-" and the signs in ``also``.

    Never empty (``otherwise``), longer than ``longest``, with a dot or dash in front, or the name of a device of Windows.
    """
    plain = re.sub(rf"[^A-Za-z0-9{re.escape(also)}-]+", "-", str(words))
    plain = plain.strip("-")[:longest].strip("-").lstrip(".") or otherwise
    return f"{plain[: longest - 1]}-" if _RESERVED.fullmatch(plain) else plain


def is_inside(name):
    """True for a plain relative path that every file system takes, without ``..``."""
    parts = PurePosixPath(name).parts
    short = len(parts) <= 40 and all(len(os.fsencode(_encodable(part))) <= 255 for part in parts)
    return bool(parts) and short and parts[0] != "/" and ".." not in parts and not any(sign in name for sign in "\\\0:")


def is_there(folder, name):
    """True when a relative path that a file gives leads to something below the folder; never raises."""
    return is_inside(name) and os.path.exists(os.path.join(folder, _encodable(name)))


def _encodable(text):
    """Text without halves of letters (lone surrogates), which JSON can hold and no path."""
    return text.encode("utf-8", "replace").decode("utf-8")
