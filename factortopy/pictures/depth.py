"""Pictures of more than 8 bits a channel, scaled to 8 by what their file says of its numbers; never clipped."""

from __future__ import annotations

import io
import sys

import numpy as np
from PIL import Image

from factortopy.pictures.profiles import curves_apart

_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, 1, 2
_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_ROWS = 256  # that are widened to 16 bits at a time
_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT = 262, 258, 339


def mend_planes(image):
    """Before a TIFF is loaded: Pillow unpacks separate planes of 16 bits as if they had 8; the tiles say what they have."""
    if image.format != "TIFF" or set(image.tag_v2.get(_BITS, ())) != {16}:
        return
    order = ";16B" if image.tag_v2.prefix[:2] == b"MM" else ";16L"
    for k, tile in enumerate(image.tile):
        if tile.codec_name != "libtiff" and isinstance(tile.args, tuple) and tile.args[0] in ("R", "G", "B", "A"):
            image.tile[k] = tile._replace(args=(tile.args[0] + order, *tile.args[1:]))


def eight_bits(image, profile, data, notices):
    """A loaded PIL image and its profile with at most 8 bits a channel.

    Parameters
    ----------
    image : PIL image, loaded from ``data``
    profile : bytes of an ICC profile, or None
    data : bytes of the file; b"" where only the image is there
    notices : list of str, added to

    Returns
    -------
    (PIL image, bytes or None)
        What is left of the profile: its curves are applied here where there are 16 bits, whose dark levels 8 cannot hold.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _grey(image, profile, notices)
    if image.mode == "L" and getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT) == (_SIGNED,):
        return Image.fromarray(_by_unit(np.asarray(image).view(np.int8), (127,), notices)), profile
    if image.format == "PNG" and data[24:25] in (b"\2", b"\4") and image.mode == "L":
        image = _key_scaled(image, data[24])
    low = _low_bytes(image, data)
    return (image, profile) if low is None else _colours(image, low, profile, data)


def _key_scaled(image, bits):
    """Pillow scales greys of 2 and 4 bits to 8, but not the one that is transparent."""
    if isinstance(image.info.get("transparency"), int):
        image = image.copy()
        image.info["transparency"] *= 255 // (2**bits - 1)
    return image


# ---------------------------------------------------------------- greys


def _grey(image, profile, notices):
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    bits, kind = tags.get(_BITS, (0,))[0], tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    apart = None
    if image.mode == "F":
        grey = _by_unit(values, (1.0, 255.0, 65535.0), notices)
    elif image.mode != "I":
        top = 4095 if bits == 12 else 65535
        apart = curves_apart(profile) if profile and top == 65535 else None
        grey = _table(apart and apart[0][0], values, top)
    elif bits == 16 and values.min() >= 0:
        grey = _table(None, values, 32767)
        notices.append("signed 16-bit values: 0 to 32767 shown from black to white")
    else:
        wide = bits == 32 and kind == _UNSIGNED
        grey = _by_unit(values.astype(np.int32).view(np.uint32) if wide else values, (255, 65535), notices)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    out = Image.fromarray(grey)
    if isinstance(image.info.get("transparency"), int):
        out.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    # A grey picture with a profile for RGB has three equal channels, whose curves are alike in all profiles for pictures.
    return out, apart[1] if apart else profile


def _table(table, values, top):
    """8-bit levels of whole numbers of 0 … top."""
    if table is not None:
        return table[values.astype(np.uint16)]
    return ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)


def _by_unit(values, tops, notices):
    """Values of 0 … top for the first top that holds all; others from lowest to highest. NaN is as the lowest, ∞ as the highest."""
    whole, finite = values.dtype.kind != "f", np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value in it")
    low, high = float(values[finite].min()), float(values[finite].max())
    values = values if whole else np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    for top in tops:
        if low >= 0 and high <= top:
            if whole:
                notices.append(f"whole numbers of unknown range: 0 to {top} shown from black to white")
            return np.rint(values * (255.0 / top)).astype(np.uint8)
    notices.append(f"values from {low:g} to {high:g}: shown from black to white")
    scaled = (values.astype(np.float64) - low) * (255.0 / max(high - low, np.finfo(float).tiny))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


# ---------------------------------------------------------------- colours of 16 bits


def _low_bytes(image, data):
    """The lower bytes of a colour picture of 16 bits, as an image of its mode; None where there are none.

    Pillow reads the upper bytes alone. Told that the file has the other byte order, it reads the lower ones.
    """
    if image.format not in ("PNG", "TIFF") or image.mode not in ("RGB", "RGBA") or not data:
        return None
    if image.format == "PNG" and data[24] != 16:
        return None
    again = Image.open(io.BytesIO(data), formats=(image.format,))
    mend_planes(again)
    two_numbers = False
    for k, tile in enumerate(again.tile):
        raw, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args
        if raw[-4:] not in _SWAPPED or raw.startswith("RGBa"):  # colours multiplied by alpha: their upper bytes do
            return None
        two_numbers = raw.startswith("LA")
        swapped = "RGBA" if two_numbers else raw[:-4] + _SWAPPED[raw[-4:]]  # LA's two numbers are four bytes
        again.tile[k] = tile._replace(args=(swapped, *rest) if rest else swapped)
    again.load()
    if two_numbers:
        low, alpha = again.getchannel("G"), again.getchannel("A")
        return Image.merge("RGBA", (low, low, low, alpha))
    return again if again.size == image.size and again.mode == image.mode else None


def _colours(image, low, profile, data):
    """The picture in 8 bits, channel by channel, and what is left of its profile; both images are given up."""
    apart = curves_apart(profile) if profile else None
    tables = apart[0] if apart and len(apart[0]) == 3 else [None] * 3
    key, bands = image.info.get("transparency"), image.getbands()
    shown, channels, pairs = None, [], []
    for whole in (image, low):
        pairs.append(list(whole.split()))
        whole.close()  # 50 million pixels are 200 MB in each
    for c, table in zip(bands, [*tables, None], strict=False):
        upper, lower = (np.asarray(halves.pop(0)) for halves in pairs)
        levels = np.empty_like(upper)
        for start in range(0, len(upper), _ROWS):
            rows = slice(start, start + _ROWS)
            levels[rows] = _table(table, upper[rows].astype(np.uint16) << 8 | lower[rows], 65535)
        if isinstance(key, tuple) and c != "A":
            same = (upper == key[len(channels)] >> 8) & (lower == key[len(channels)] & 255)
            shown = same if shown is None else shown & same
        channels.append(Image.fromarray(levels))
    if shown is not None:
        channels.append(Image.fromarray(np.where(shown, 0, 255).astype(np.uint8)))
    out = Image.merge("RGBA" if len(channels) == 4 else "RGB", channels)
    return out, apart[1] if tables[0] is not None else profile
