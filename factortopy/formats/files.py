"""Files from outside before anything in them is believed: there, no larger than can be, unpacked no further than needed."""

import gzip
import os
import zlib
from pathlib import Path

from factortopy.formats.problems import close_to, stop

COPY = "copy or download it again"
MOST_INFLATION = 1032  # deflate's own limit: a file cannot hold more than this many times its size
_PIECE = 2**20


def size_of(path, what):
    """Bytes of a file.

    Parameters
    ----------
    path : path
    what : str
        What must be there, for the error: "a .npy file".

    Raises
    ------
    InputError
        When there is none, or it cannot be looked at; a name beside it that is nearly the same is proposed.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path.stat().st_size
    except OSError as error:
        raise stop(path, f"{what} that can be read", error.strerror or str(error), "check its permissions") from None
    if path.is_symlink():
        raise stop(path, what, "a link to a file that is not here", "fetch it (git annex get, git lfs pull)")
    actual = "a folder" if path.is_dir() else f"none{close_to(path.name, _names_beside(path))}"
    raise stop(path, what, actual, "copy it there")


def _names_beside(path):
    """Names in a file's folder, some thousands at most."""
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry, _ in zip(entries, range(5000))]
    except OSError:
        return []


def first_bytes(path, what, n):
    """(bytes of the file, the first ``n`` of them); InputError as ``size_of``."""
    size = size_of(path, what)
    try:
        with open(path, "rb") as file:
            return size, file.read(n)
    except OSError as error:
        raise stop(path, f"{what} that can be read", error.strerror or str(error), "check its permissions") from None


def content(path, what, most, remedy=COPY):
    """All bytes of a file; InputError as ``size_of``, and with ``remedy`` where there are more than ``most``."""
    size = size_of(path, what)
    if size > most:
        raise stop(path, f"{what} of at most {most // 2**20} MB", f"{size / 2**20:,.0f} MB", remedy)
    return first_bytes(path, what, size)[1]  # not ``most``, for which Python would take memory first


def inflated(path, what, most):
    """The first ``most`` bytes inside a gzipped file; when its end is met before, its checksum is tested.

    Raises
    ------
    InputError
        For a cut or damaged file.
    """
    out = bytearray()
    try:
        with gzip.open(path, "rb") as file:
            while len(out) < most:
                piece = file.read(min(_PIECE, most - len(out)))
                if not piece:
                    break
                out += piece
    except (OSError, EOFError, zlib.error, ValueError) as error:
        actual = "a truncated one" if isinstance(error, EOFError) else "a damaged one"
        raise stop(path, what, actual, COPY) from None
    return out


def check_memory(path, needed, remedy):
    """Raise where ``needed`` bytes are more than a program could still get."""
    from factortopy.storage.machine import free_memory

    free = free_memory()
    if free is not None and needed > 0.9 * free:
        raise stop(path, f"{needed / 1e9:.1f} GB of memory to read it", f"{free / 1e9:.1f} GB free", remedy)
