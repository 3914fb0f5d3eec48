"""Names that come from files, pages and other machines, before they become a path: bounded, plain, and inside their folder."""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from factortopy.errors import InputError

LONGEST = 100  # bytes of a file's name that we choose; file systems take 255, and endings and numbers come behind
_RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)  # devices of Windows, whatever the ending


def file_stem(words, longest=LONGEST, otherwise="x", also="_"):
    """A file's name, without its ending, of any words: ASCII letters, digits, "-" and the signs in ``also``.

    Never empty (``otherwise``), never the name of a device of Windows; of more than ``longest`` letters the first, and a hash
    that tells it from others that begin so.
    """
    plain = re.sub(rf"[^A-Za-z0-9{re.escape(also)}-]+", "-", str(words)).strip("-").lstrip(".") or otherwise
    if len(plain) > longest:
        end = hashlib.blake2b(plain.encode(), digest_size=3).hexdigest()
        plain = f"{plain[: longest - 7]}-{end}"
    return f"{plain}-" if _RESERVED.fullmatch(plain) else plain


def any_script(words, longest=60):
    """A file's name in whatever script: without what separates folders or is reserved, at most ``longest`` letters."""
    plain = (
        re.sub(r"[\\/:*?\"<>|\x00-\x1f\x7f\ud800-\udfff]", "-", str(words)).lstrip(".")[:longest].rstrip(". ") or "x"
    )
    while len(plain.encode()) > 200:
        plain = plain[:-1]
    return f"{plain}-" if _RESERVED.fullmatch(plain) else plain


def as_path(text, what="path"):
    """``Path`` of what a person or a file gives, ``~`` read as in a shell; there may be nothing.

    Raises
    ------
    InputError
        Where it can be no path of this machine: too long, a zero byte, an unknown user, a folder that may not be entered.
    """
    try:
        place = Path(text).expanduser()
        os.stat(place)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"{what} {str(text)[:200]!r}: expected a path, found none that can be used ({why}); check it"
        ) from None
    return place


def is_inside(name):
    """True for a plain relative path that every file system takes, without ``..``."""
    parts = PurePosixPath(name).parts
    short = len(parts) <= 40 and all(len(part.encode("utf-8", "replace")) <= 255 for part in parts)
    return bool(parts) and short and parts[0] != "/" and ".." not in parts and not any(sign in name for sign in "\\\0:")


def is_there(folder, name):
    """True when a relative path that a file gives leads to something below the folder; never raises."""
    return is_inside(name) and os.path.exists(os.path.join(folder, name))
