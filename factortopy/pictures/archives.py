"""Reading a zip of pictures: everything about the archive is checked before the first byte is unpacked.

Nothing is ever written to disk, and a member's name is a label, never a path. An archive that holds one hostile
member is refused whole: what else it holds cannot be trusted either.
"""

import io
import os
import stat
import zipfile
import zlib
from pathlib import Path

from factortopy.errors import InputError
from factortopy.pictures.reading import MAX_BYTES
from factortopy.wording import safe_label

MAX_MEMBERS = 2000
MAX_TOTAL = 512 * 2**20  # bytes unpacked
MAX_RATIO = 100  # pictures hardly shrink in a zip; bombs shrink a thousandfold
FREE_RATIO_BELOW = 128 * 2**20  # flat drawings as BMP or TIFF shrink five hundredfold
_CLUTTER = ("__macosx/", ".ds_store", "thumbs.db", "desktop.ini")


def read_zip(path_or_bytes, name=None):
    """The files in a zip archive, for ``read_pictures``.

    Parameters
    ----------
    path_or_bytes : path or bytes
    name : str, optional
        What to call the archive in messages.

    Returns
    -------
    iterator of (name, bytes)
        One at a time; ``name`` is the member's name as stored, to be shown only through ``safe_label``.

    Raises
    ------
    InputError
        At once when the archive is none, holds a path that leads outside, a link or an encrypted member, or unpacks to
        too much; while iterating when a member is damaged or larger than it said.
    """
    is_path = isinstance(path_or_bytes, (str, os.PathLike))
    label = safe_label(name if name is not None else path_or_bytes if is_path else "archive")
    try:
        archive = zipfile.ZipFile(Path(path_or_bytes) if is_path else io.BytesIO(path_or_bytes))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"archive {label!r}: expected a whole zip file, found one that cannot be read ({error}); copy it again"
        ) from None
    members = [info for info in archive.infolist() if not _is_clutter(info)]
    problem = _problem(archive, members)
    if problem:
        archive.close()
        raise InputError(f"archive {label!r}: {problem}; nothing of it was read")
    return _members(archive, members, label)


def _is_clutter(info):
    low = info.filename.lower()
    if low.rsplit("/", 1)[-1].startswith("._"):  # what macOS lays beside each file on a foreign disk
        return True
    return info.is_dir() or low.startswith(_CLUTTER[0]) or low.endswith(_CLUTTER[1:])


def _leads_outside(name):
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":") or "\0" in name


def _problem(archive, members):
    """What is wrong with the archive's own table of contents, or ""."""
    for info in archive.infolist():
        shown = safe_label(info.filename)
        if _leads_outside(info.filename):
            return f"expected names inside the archive, found one that leads outside ({shown!r})"
        if stat.S_ISLNK(info.external_attr >> 16):
            return f"expected files, found a symbolic link ({shown!r})"
        if info.flag_bits & 1:
            return f"expected files without a password, found an encrypted one ({shown!r})"
    if not members:
        return "expected files, found an empty archive"
    if len(members) > MAX_MEMBERS:
        return f"expected at most {MAX_MEMBERS} files, found {len(members)}"
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL:
        return f"expected at most {MAX_TOTAL // 2**20} MB unpacked, found {total / 2**20:.0f} MB"
    packed = sum(info.compress_size for info in members)
    if total > FREE_RATIO_BELOW and total > MAX_RATIO * max(packed, 1):
        return f"expected pictures, found data that unpacks to {total / max(packed, 1):.0f} times its size"
    return ""


def _members(archive, members, label):
    total = 0
    with archive:
        for info in members:
            shown = safe_label(info.filename)
            try:
                with archive.open(info) as file:
                    # Capped: stated sizes lie. Past the stated size the checksum does not fit, and zipfile raises.
                    data = file.read(min(info.file_size, MAX_BYTES) + 1)
            except NotImplementedError as error:  # Deflate64 of Windows' Explorer, for one
                raise InputError(
                    f"archive {label!r}: expected plain zip compression, found another for {shown!r} ({error}); "
                    "unpack it and choose the pictures, or pack them again"
                ) from None
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
                raise InputError(
                    f"archive {label!r}: expected a whole file {shown!r}, found a damaged one ({error}); copy it again"
                ) from None
            total += len(data)
            if total > MAX_TOTAL:
                raise InputError(f"archive {label!r}: expected at most {MAX_TOTAL // 2**20} MB unpacked, found more")
            yield info.filename, data
