"""A film's file before FFmpeg sees it: an open handle, or one line that says what it is instead."""

import io
import os
from pathlib import Path

from factortopy.errors import InputError
from factortopy.formats.problems import foreign

SOUND, STILL = "sound alone; choose a film", "a still picture; choose a film (pictures are read by read_image)"
NO_FILMS = ((b"ID3", SOUND), (b"fLaC", SOUND), (b"\xff\xd8\xff", STILL), (b"II*\0", STILL), (b"MM\0*", STILL))
READABLE = "MP4, MOV, WebM, MKV, AVI, MPEG or GIF"
MAX_BYTES = 2 * 2**30


def check_kind(file, label):
    """InputError for what its first bytes show to be no film."""
    head = file.read(1024)
    file.seek(0)
    words = next((words for start, words in NO_FILMS if head.startswith(start)), "")
    if head[:4] == b"RIFF":
        words = {b"WAVE": SOUND, b"WEBP": "a WebP picture; save an animation as MP4 or GIF"}.get(head[8:12], "")
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"heic", b"heix", b"mif1"):
        words = STILL
    if not head or "pointer" in foreign(head) or "web page" in foreign(head):
        words = foreign(head)
    if words:
        raise InputError(f"video {label!r}: expected {READABLE}, found {words}")


def opened(source, label):
    """An open binary file: never a path, which the library might take for an address or a playlist."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if hasattr(source, "read"):
        if hasattr(source, "seek"):
            source.seek(0)
        return _Lent(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"video: expected a path, bytes or an open file, found {type(source).__name__}")
    path = Path(source)
    try:
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"video {label!r}: expected a file, found a link to a file that is not here; "
                "fetch it (git annex get, git lfs pull) or copy the file itself"
            )
        if not path.is_file():
            raise InputError(f"video {label!r}: expected a file, found none there; check its spelling")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"video {label!r}: expected at most {MAX_BYTES // 2**30} GB, found more; save it shorter")
        return open(path, "rb")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"video {label!r}: expected a readable file, found: {error}; check its permissions") from None


class _Lent:
    """Somebody else's open file: left open."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self.file

    def __exit__(self, *_):
        return None
