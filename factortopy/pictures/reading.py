"""Reading pictures safely: any file or bytes in, upright sRGB pixels or one clear sentence out.

The content decides what a file is, never its name. Nothing here calls another program, follows a link inside a file
or trusts a size that a file states about itself before it is checked.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from factortopy.errors import InputError
from factortopy.formats.problems import foreign_content
from factortopy.pictures.colour import GREY, to_srgb
from factortopy.pictures.depth import mend_planes
from factortopy.wording import safe_label

# Pillow's remarks on odd files are not for users: size limits are ours, and damage that matters raises.
warnings.filterwarnings("ignore", module=r"PIL\.")

# EPS and the rest are left out on purpose: EPS starts Ghostscript, the others are rare and little tested decoders.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif")  # any case
READABLE = "PNG, JPEG, WebP, GIF, TIFF, BMP or AVIF"
MAX_PIXELS = 50_000_000  # the largest phone cameras make 48 to 50 million
MAX_BYTES = 256 * 2**20
MIN_SIDE = 8  # pixels
MAX_ASPECT = 4  # thinner pictures are padded: networks squash every picture to a square
MAX_PADDED = 16_000_000
_HEAD = 4096  # bytes of an AVIF in which it lists its parts
_SUBFILE, _SUB_PAGES = 254, 330  # TIFF's kind of page (bit 1: a smaller version of another one), and where others are
_ROTATION = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow keeps it
_GAIN_MAPS = (b"hdrgm:Version", b"urn:iso:std:iso:ts:21496:-1", b"HDRGainMap")


@dataclass(frozen=True)
class Picture:
    """One picture as it was read.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        Upright, sRGB, transparency over mid grey (128).
    notices : list of str
        What was done that a user may want to know ("animated: first frame used").
    id : str
        Hash of the content: the same for the same bytes under any name.
    name : str
        A label for people: one line, shortened, never to be used as a path.
    """

    pixels: np.ndarray
    notices: list = field(default_factory=list)
    id: str = ""
    name: str = "picture"


def read_image(path_or_bytes: Any) -> np.ndarray:
    """Pixels of a picture.

    Parameters
    ----------
    path_or_bytes : path, bytes, open binary file, PIL image or (H, W, 3) uint8 array

    Returns
    -------
    (H, W, 3) uint8
        Upright (EXIF rotation applied), sRGB, transparency over mid grey (128), first frame of an animation.

    Raises
    ------
    InputError
        What is wrong with the picture and what to do, in one line.
    """
    return read_picture(path_or_bytes).pixels


def read_picture(path_or_bytes, name=None, longest=None):
    """A picture with its label, its identity and what was done to it.

    Parameters
    ----------
    path_or_bytes : path, bytes, open binary file, PIL image or (H, W, 3) uint8 array
    name : str, optional
        What the user calls it; taken from the path when missing. Only shown, shortened to one line.
    longest : int, optional
        Shrink so that no side is longer than this many pixels; None keeps the size.

    Returns
    -------
    Picture

    Raises
    ------
    InputError
    """
    label = safe_label(name if name is not None else _name_of(path_or_bytes))
    if isinstance(path_or_bytes, np.ndarray):
        return _from_array(path_or_bytes, label)
    if isinstance(path_or_bytes, Image.Image):
        notices = []
        image = _from_pil(path_or_bytes, label, notices, longest)
        identity = hashlib.sha256(repr(path_or_bytes.size).encode() + path_or_bytes.tobytes()).hexdigest()[:32]
        return Picture(_pixels(image), notices, identity, label)
    data = _bytes_of(path_or_bytes, label)
    notices = []
    image = _decode(data, label, notices, longest)
    return Picture(_pixels(image), notices, hashlib.sha256(data).hexdigest()[:32], label)


# ---------------------------------------------------------------- many at once


@dataclass(frozen=True)
class Pictures:
    """Many pictures as they were read: ``good`` (list of Picture) and ``bad`` (list of (label, sentence))."""

    good: list
    bad: list


def read_pictures(items, longest=512, most=2000, most_bytes=512 * 2**20, read=read_picture):
    """Read many pictures; the bad ones are listed with their sentence and do not stop the others.

    Parameters
    ----------
    items : iterable of path, bytes, open binary file or (name, bytes)
        Read one after the other, so that a generator never has more than one of them in memory.
    longest : int
        No side of a result is longer than this many pixels: 500 photographs at full size would need 18 GB.
    most, most_bytes : int
        No more pictures than this, nor more bytes of pixels together; the rest is listed as bad, saying so.
    read : callable
        Reads one as ``read_picture`` does, for who keeps what was read before.

    Returns
    -------
    Pictures
        The same content twice is kept once; the second is listed.
    """
    good, bad, seen, total = [], [], {}, 0
    for item in items:
        name, source = item if isinstance(item, tuple) else (None, item)
        label = safe_label(name if name is not None else _name_of(source))
        if len(good) >= most or total > most_bytes:
            full = f"{most} pictures" if len(good) >= most else f"{most_bytes // 2**20} MB of pixels"
            bad.append((label, f"picture {label!r}: expected at most {full} at once, found more; send the rest later"))
            continue
        try:
            picture = read(source, name=name, longest=longest)
        except InputError as error:
            bad.append((label, str(error)))
            continue
        if picture.id in seen:
            bad.append((label, f"picture {label!r}: the same picture as {seen[picture.id]!r}; kept once"))
            continue
        seen[picture.id] = picture.name
        total += picture.pixels.nbytes
        good.append(picture)
    return Pictures(good, bad)


# ---------------------------------------------------------------- from a file to bytes


def _name_of(source):
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return getattr(source, "name", None) or "picture"


def _bytes_of(source, label):
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        data = _read_file(source, label)
    elif hasattr(source, "read"):
        if hasattr(source, "seek"):
            source.seek(0)
        data = source.read(MAX_BYTES + 1)
    else:
        raise InputError(
            f"picture: expected a path, bytes, an open file, a PIL image or an array, found {type(source).__name__}"
        )
    if len(data) > MAX_BYTES:
        raise InputError(
            f"picture {label!r}: expected at most {MAX_BYTES // 2**20} MB, found more; save it smaller and try again"
        )
    return data


def _read_file(path, label):
    text = os.fspath(path)
    if isinstance(text, str) and text.lower().startswith(("http://", "https://", "ftp://", "data:")):
        raise InputError(f"picture {label!r}: expected a file, found a web address; download the picture first")
    try:
        path = Path(text)
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(
                f"picture {label!r}: expected a file, found a link to a file that is not here; "
                "fetch it (git annex get, git lfs pull) or copy the file itself"
            ) from None
        raise InputError(f"picture {label!r}: expected a file, found nothing there; check its spelling") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"picture {label!r}: expected a file, found a path that cannot be used ({error})") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"picture {label!r}: expected a picture file, found a folder; choose the pictures in it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"picture {label!r}: expected a picture file, found a device or pipe; choose a file")
    if status.st_size > MAX_BYTES:
        raise InputError(
            f"picture {label!r}: expected at most {MAX_BYTES // 2**20} MB, found {status.st_size / 2**20:.0f} MB; "
            "save it smaller and try again"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"picture {label!r}: expected a readable file, found: {error.strerror or error}; check its permissions"
        ) from None


# ---------------------------------------------------------------- from bytes to a decoded image


def _decode(data, label, notices, longest):
    """Bytes to an upright RGB PIL image; everything that is wrong becomes an InputError."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow looks at the header before we can; its own limit is far above ours.
        raise InputError(_too_large(label, f"more than {Image.MAX_IMAGE_PIXELS // 10**6} million")) from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged headers
        raise InputError(_unknown(data, label, error)) from error
    _check_size(image.size, label)
    _check_preview(image, label)
    if longest and image.format == "JPEG":
        image.draft(image.mode, (longest, longest))  # decodes at a fraction of the size, several times sooner
    mend_planes(image)
    try:
        image.load()
        if image.format != "MPO" and getattr(image, "is_animated", False):
            what = "several pages: first page used" if image.format == "TIFF" else "animated: first frame used"
            notices.append(what)
            image.seek(0)
            image.load()
        _check_size(image.size, label)
        _note_others(image, data, notices)
        return _finish(image, label, notices, longest, data)
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(_too_large(label, "more")) from None
    except Exception as error:  # decoders raise almost anything on damaged data
        raise InputError(_damaged(label, error)) from error


def _unknown(data, label, error):
    """The sentence for a file that no decoder takes: what it is where that can be seen."""
    foreign = foreign_content(data)
    if foreign:
        return f"picture {label!r}: expected {READABLE}, found {foreign}"
    if not isinstance(error, Image.UnidentifiedImageError):
        return _damaged(label, error)
    return (
        f"picture {label!r}: expected {READABLE}, found a file of another kind or a damaged one; "
        "open it in a picture program and save it as PNG or JPEG"
    )


def _check_preview(image, label):
    """A raw camera file is a TIFF whose first page is a small preview: not what its owner means by the picture."""
    if image.format != "TIFF" or not image.tag_v2.get(_SUBFILE, 0) & 1:
        return
    if _SUB_PAGES in image.tag_v2 or getattr(image, "n_frames", 1) > 1:  # else there is nothing larger in it
        raise InputError(
            f"picture {label!r}: expected a picture on the first page, found a preview of a larger one (a raw camera "
            "file?); export it as JPEG or PNG"
        )


def _note_others(image, data, notices):
    """What else lies in the file of a photograph: a gain map for HDR screens, further views."""
    photograph = image.format in ("JPEG", "MPO") and any(mark in data for mark in _GAIN_MAPS)
    if photograph or (image.format == "AVIF" and b"tmap" in data[:_HEAD]):
        notices.append("HDR gain map ignored: the standard picture is used")
    elif image.format == "MPO":
        kinds = [entry["Attribute"]["MPType"] for entry in image.mpinfo[0xB002][1:]]
        if not all(kind.startswith("Large Thumbnail") for kind in kinds):
            notices.append(f"{len(kinds) + 1} pictures in one file: first one used")


def _from_pil(image, label, notices, longest):
    """The same for somebody's PIL image, which may be of a file that was opened and not yet decoded."""
    _check_size(image.size, label)
    mend_planes(image)
    try:
        image.load()
        return _finish(image, label, notices, longest)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        raise InputError(_damaged(label, error)) from error


def _check_size(size, label):
    width, height = size
    if width * height > MAX_PIXELS:
        raise InputError(_too_large(label, f"{width} × {height}"))
    if min(size) < MIN_SIDE:
        raise InputError(
            f"picture {label!r}: expected at least {MIN_SIDE} pixels on each side, found {width} × {height}; "
            "choose a larger picture"
        )


def _too_large(label, size):
    return (
        f"picture {label!r}: expected at most {MAX_PIXELS // 10**6} million pixels, found {size}; "
        "shrink it in a picture program (1,000 pixels a side are plenty)"
    )


def _damaged(label, error):
    return (
        f"picture {label!r}: expected a whole picture, found a damaged or incomplete one ({error}); "
        "copy or download it again"
    )


def _finish(image, label, notices, longest, data=b""):
    """Convert to sRGB, rotate, shrink, pad: what every picture goes through after decoding."""
    rgb = to_srgb(image, notices, data, label)
    rgb = rgb.copy() if rgb is image else rgb  # it is changed in place, and may be somebody's
    # Pillow turns a TIFF while it loads; AVIF turns by its own property, which Pillow gives as EXIF.
    keys = () if image.format == "TIFF" else _ROTATION[:2] if image.format == "AVIF" else _ROTATION
    rgb.info = {key: image.info[key] for key in keys if key in image.info}
    try:
        ImageOps.exif_transpose(rgb, in_place=True)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        notices.append("its rotation tag cannot be read: shown as stored")
    if longest and max(rgb.size) > longest:
        rgb.thumbnail((longest, longest), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _pad_thin(rgb, notices)


def _pad_thin(image, notices):
    """Mid grey beside a very thin picture, so that squashing it to a square leaves something to see."""
    width, height = image.size
    long, short = max(width, height), min(width, height)
    if long <= MAX_ASPECT * short:
        return image
    side = max(short, min(long // MAX_ASPECT, MAX_PADDED // long))
    notices.append(f"very thin ({width} × {height}): grey added beside it")
    size = (width, side) if width >= height else (side, height)
    out = Image.new("RGB", size, (GREY,) * 3)
    out.paste(image, ((size[0] - width) // 2, (size[1] - height) // 2))
    return out


def _pixels(image):
    return np.array(image, dtype=np.uint8)


def _from_array(pixels, label):
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(
            f"picture {label!r}: expected (height, width, 3) uint8, found shape {pixels.shape} of {pixels.dtype}"
        )
    _check_size((pixels.shape[1], pixels.shape[0]), label)
    pixels = np.ascontiguousarray(pixels)
    identity = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]
    return Picture(pixels, [], identity, label)


# ---------------------------------------------------------------- what else it may be
