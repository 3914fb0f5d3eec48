"""What a picture's numbers mean: the colour profile that its file holds, or one made of the numbers that it states.

Profiles are trusted by their curves, never by their names. Sources: ICC.1:2022; PNG, third edition (cICP before iCCP before sRGB
before gAMA and cHRM); ITU-T H.273 (code points); DCF 2.0 (Adobe RGB in EXIF); ISO/IEC 23008-12 (colr of AVIF).
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import ExifTags, Image, ImageCms

from factortopy.errors import InputError

_D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

# Red, green, blue and white by their chromaticities (x, y).
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
ADOBE_RGB = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65)
_PRIMARIES = {
    1: SRGB,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_HDR = {16: "PQ", 18: "HLG"}
# Broadcast curves (BT.709 and its kin) are shown on the screens that sRGB describes: every browser takes them for sRGB's.
_AS_SRGB, _GAMMAS = (1, 2, 6, 7, 11, 12, 13, 14, 15), {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # g, a, b, c, d of ICC's function type 3
_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
_NEAR = 0.01  # a gAMA this near to 1/2.2 is what programs write beside sRGB's own curve


def stated_profile(image, data, label, notices):
    """The ICC profile (bytes) that says what a loaded PIL image means, or None where that is sRGB or nothing is said.

    Parameters
    ----------
    image : PIL image, loaded from ``data``
    data : bytes of the file; b"" where only the image is there
    label : what the user calls it
    notices : list of str, added to

    Raises
    ------
    InputError
        The picture is HDR (PQ or HLG): nothing of ours shows it as it was meant.
    """
    embedded = image.info.get("icc_profile")
    broken = "icc_profile" in image.info and not embedded
    if broken:
        notices.append("its colour profile cannot be read: colours may differ a little")
    if image.format == "PNG":
        chunks = _png_chunks(data)
        if len(chunks.get(b"cICP", b"")) == 4:
            primaries, curve, _, full = chunks[b"cICP"]
            if not full:
                notices.append("limited range stated in its cICP: shown as full range")
            return _coded(primaries, curve, label, notices)
        if not embedded and "srgb" not in image.info:
            return _of_gamma(image.info.get("gamma"), image.info.get("chromaticity"), notices)
    elif image.format == "AVIF" and data and not embedded:
        primaries, curve = _avif_code_points(data) or (1, 13)
        return _coded(primaries, curve, label, notices)
    elif image.format in ("JPEG", "MPO") and not embedded and not broken and _says_adobe_rgb(image):
        notices.append("Adobe RGB by its camera's word (EXIF): converted")
        return matrix_profile(ADOBE_RGB, 563 / 256)
    return embedded or None


def _png_chunks(data):
    """{type: content} of the chunks before a PNG's pixels."""
    chunks, at = {}, 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"IEND"):
            break
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 12 + length
    return chunks


def _coded(primaries, curve, label, notices):
    """Profile of code points (H.273), None for sRGB; what they do not say is sRGB's."""
    if curve in _HDR:
        raise InputError(
            f"picture {label!r}: expected a picture of standard range, found HDR ({_HDR[curve]}); "
            "export it as a standard (SDR, sRGB) PNG or JPEG"
        )
    in_table = (primaries in _PRIMARIES or primaries == 2) and (curve in _AS_SRGB or curve in _GAMMAS)
    if not in_table:
        notices.append(f"unknown colour code ({primaries}, {curve}): taken for sRGB")
        return None
    corners = _PRIMARIES.get(primaries, SRGB)
    return None if corners is SRGB and curve in _AS_SRGB else matrix_profile(corners, _GAMMAS.get(curve))


def _of_gamma(gamma, corners, notices):
    """Profile of PNG's gAMA and cHRM, None for sRGB; ``corners`` are white, red, green, blue (x, y)."""
    if gamma is None:
        return None  # cHRM alone says nothing of the curve: the standard takes it for sRGB
    if corners is not None:
        white, *rest = zip(corners[::2], corners[1::2], strict=True)
        corners = (*rest, white)
    corners = corners or SRGB
    area = abs(np.linalg.det(np.array([(x, y, 1) for x, y in corners[:3]])))
    if not 0.1 <= gamma <= 10 or min(y for _, y in corners) <= 0 or max(x + y for x, y in corners) > 1.3 or area < 1e-3:
        notices.append(f"its gamma ({gamma:g}) or colours (gAMA, cHRM) cannot be right: taken for sRGB")
        return None
    usual = abs(gamma * 2.2 - 1) < _NEAR and np.abs(np.subtract(corners, SRGB)).max() < 0.005
    return None if usual else matrix_profile(corners, 1 / gamma)


def _says_adobe_rgb(image):
    """True where a camera wrote that its picture is in Adobe RGB: DCF's option "R03", or colour space 2."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        return space == 2 or (space == 0xFFFF and str(exif.get_ifd(ExifTags.IFD.Interop).get(1)).startswith("R03"))
    except Exception:  # a damaged EXIF block says nothing; Pillow raises almost anything on it
        return False


# ---------------------------------------------------------------- AVIF


def _boxes(data, start, end):
    """(type, begin of content, end) of the boxes between two places."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else start + size
        if size and size < head or stop > end:
            return
        yield kind, start + head, stop
        start = stop


def _inside(data, places, kind):
    return next(((a, b) for key, a, b in _boxes(data, *places) if key == kind), None) if places else None


def _avif_code_points(data):
    """(primaries, curve) of the picture shown first in an AVIF file, or None; gain maps and thumbnails have their own."""
    meta = _inside(data, (0, len(data)), b"meta")
    meta = meta and (meta[0] + 4, meta[1])
    properties = _inside(data, meta, b"iprp")
    shelf, links, primary = (
        _inside(data, properties, b"ipco"),
        _inside(data, properties, b"ipma"),
        _inside(data, meta, b"pitm"),
    )
    if not (shelf and links and primary):
        return None
    all_of_them = list(_boxes(data, *shelf))
    try:
        version = data[primary[0]]
        item = int.from_bytes(data[primary[0] + 4 : primary[0] + (6 if version == 0 else 8)], "big")
        for k in _linked(data[links[0] : links[1]], item):
            kind, begin, _ = all_of_them[k - 1]
            if kind == b"colr" and data[begin : begin + 4] == b"nclx":
                return struct.unpack_from(">HH", data, begin + 4)
    except (struct.error, IndexError):
        pass
    return None


def _linked(ipma, item):
    """Numbers of the properties that belong to an item (1 is the first)."""
    wide_item, wide_number = ipma[0] > 0, ipma[3] & 1
    at, (count,) = 8, struct.unpack_from(">I", ipma, 4)
    for _ in range(min(count, len(ipma))):
        (own,) = struct.unpack_from(">I" if wide_item else ">H", ipma, at)
        at += 4 if wide_item else 2
        n, step = ipma[at], 2 if wide_number else 1
        numbers = [int.from_bytes(ipma[at + 1 + step * k : at + 1 + step * (k + 1)], "big") for k in range(n)]
        if own == item:
            return [number & (0x7FFF if wide_number else 0x7F) for number in numbers]
        at += 1 + step * n
    return []


# ---------------------------------------------------------------- ICC profiles


def matrix_profile(corners, gamma=None):
    """An ICC profile (bytes) of three primaries and a white.

    Parameters
    ----------
    corners : red, green, blue, white as (x, y)
    gamma : exponent from the picture's numbers to light; None for sRGB's curve
    """
    xyz = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in corners])
    to_d50 = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ xyz[3])) @ _BRADFORD
    colorants = to_d50 @ xyz[:3].T @ np.diag(np.linalg.solve(xyz[:3].T, xyz[3]))
    return _packed(colorants.T, (gamma,) if gamma else _SRGB_CURVE)


def _packed(colorants, curve):
    """An ICC v4 profile of (3, 3) colorants (XYZ under D50, one a row) and one curve's parameters for all three."""

    def fixed(values):
        return b"".join(struct.pack(">i", round(float(np.clip(v, -32767, 32767)) * 65536)) for v in values)

    para = b"para\0\0\0\0" + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + fixed(curve)
    text = "made of numbers".encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": words, b"cprt": words, b"wtpt": b"XYZ \0\0\0\0" + fixed(_D50)}
    tags |= {key + b"XYZ": b"XYZ \0\0\0\0" + fixed(row) for key, row in zip((b"r", b"g", b"b"), colorants, strict=True)}
    tags |= {key + b"TRC": para for key in (b"r", b"g", b"b")}
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, content in tags.items():
        table += key + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", 128 + len(table) + len(body), 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(_D50)
    return head.ljust(128, b"\0") + table + body


@lru_cache(64)
def is_srgb(profile):
    """True where littleCMS, given the profile, changes no colour by more than one of 255 levels, which is its own rounding.

    Raises
    ------
    ImageCms.PyCMSError, OSError : the profile cannot be used for RGB pictures
    """
    steps = np.arange(0, 256, 15)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    ramp = np.arange(256)[:, None]
    colours = np.concatenate([lattice, ramp * (1, 1, 1), ramp * (1, 0, 0), ramp * (0, 1, 0), ramp * (0, 0, 1)]).astype(
        np.uint8
    )
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    same = ImageCms.profileToProfile(
        Image.fromarray(colours[None]), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    return int(np.abs(np.asarray(same)[0].astype(int) - colours).max()) <= 1


@lru_cache(8)
def curves_apart(profile):
    """A profile's curves apart from its colours, for pictures of 16 bits, which littleCMS is given in 8.

    Returns
    -------
    list of (65536,) uint8
        sRGB's level for each 16-bit level, one table a channel (one alone for greys).
    bytes or None
        The profile that is left to be applied; None for greys.

    None where the profile is no matrix with curves.
    """
    try:
        tags = {}
        for k in range(min(struct.unpack_from(">I", profile, 128)[0], 100)):
            key, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * k)
            tags[key] = profile[start : start + length]
        space, pcs = profile[16:20], profile[20:24]
        if pcs != b"XYZ " or b"A2B0" in tags:
            return None
        levels = np.arange(65536) / 65535
        if space == b"GRAY":
            return [_to_levels(_curve(tags[b"kTRC"], levels))], None
        rows = [np.array(struct.unpack_from(">3i", tags[key], 8)) / 65536 for key in (b"rXYZ", b"gXYZ", b"bXYZ")]
        tables = [_to_levels(_curve(tags[key], levels)) for key in (b"rTRC", b"gTRC", b"bTRC")]
    except (KeyError, struct.error, ValueError):
        return None
    return tables, _packed(rows, _SRGB_CURVE)


def _curve(tag, x):
    """Light (0 … 1) of an ICC curve at ``x`` (0 … 1)."""
    if tag[:4] == b"curv":
        (n,) = struct.unpack_from(">I", tag, 8)
        values = np.array(struct.unpack_from(f">{n}H", tag, 12)) if n <= 65536 else ()
        if n == 0:
            return x
        if n == 1:
            return x ** (values[0] / 256)
        return np.interp(x, np.linspace(0, 1, n), values / 65535)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    names = _PARAMETERS[struct.unpack_from(">H", tag, 8)[0]]
    p = dict.fromkeys("gabcdef", 0.0) | dict(
        zip(names, (v / 65536 for v in struct.unpack_from(f">{len(names)}i", tag, 12)))
    )
    if names == "g":
        return x ** p["g"]
    if len(names) < 5:  # types 1 and 2: flat (c) below −b/a
        return np.maximum(p["a"] * x + p["b"], 0) ** p["g"] + p["c"]
    return np.where(x >= p["d"], np.maximum(p["a"] * x + p["b"], 0) ** p["g"] + p["e"], p["c"] * x + p["f"])


def _to_levels(light):
    """8-bit levels of sRGB for light of 0 … 1."""
    light = np.clip(np.nan_to_num(light), 0, 1)
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )
