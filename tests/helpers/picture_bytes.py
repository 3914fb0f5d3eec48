"""Picture files written number by number: PNG with any chunks, plain TIFF with any tags, ICC profiles with any curves."""

import struct
import zlib

import numpy as np


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, kind, *chunks, depth=8):
    """PNG of (H, W) or (H, W, C) whole numbers; ``kind`` is its colour type (0 grey, 2 RGB, 4 grey and alpha, 6 RGBA)."""
    values = np.asarray(values)
    height, width = values.shape[:2]
    flat = values.reshape(height, -1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    elif depth == 8:
        rows = [row.astype("u1").tobytes() for row in flat]
    else:
        bits = (flat[..., None] >> np.arange(depth)[::-1] & 1).reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in bits]
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(values, photometric=1, bits=None, order="<", tags=(), planes=False):
    """Uncompressed TIFF of an array of any type; ``tags`` are more of (tag, whole number); ``planes``: one channel after the other."""
    values = np.asarray(values)
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    stored = np.moveaxis(values, 2, 0) if planes else values
    data = stored.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = bits or values.dtype.itemsize * 8
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(np.uint32)
        packed = pairs[:, 0] << 12 | pairs[:, 1]
        data = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], 1).astype(np.uint8).tobytes()
    strips = channels if planes else 1
    rows = dict(tags) | {
        256: width, 257: height, 258: [bits] * channels, 259: 1, 262: photometric, 277: channels, 278: height,
        279: [len(data) // strips] * strips, 284: 1 + planes, 339: [form] * channels,
    }  # fmt: skip
    head = _directory(rows | {273: [0] * strips}, order)  # to learn its length, in which the pixels' places stand
    places = [len(head) + k * len(data) // strips for k in range(strips)]
    return _directory(rows | {273: places}, order) + data


def _directory(rows, order):
    blob, entries = b"", []
    for tag, value in sorted(rows.items()):
        numbers = value if isinstance(value, list) else [value]
        content = struct.pack(f"{order}{len(numbers)}{'H' if isinstance(value, list) else 'I'}", *numbers)
        if len(content) > 4:
            content, blob = struct.pack(f"{order}I", 8 + 2 + 12 * len(rows) + 4 + len(blob)), blob + content
        kind = 3 if isinstance(value, list) else 4
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(numbers)) + content.ljust(4, b"\0"))
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IH", 8, len(entries)) + b"".join(entries) + bytes(4) + blob


def packed_profile(tags, space=b"RGB ", pcs=b"XYZ ", kind=b"mntr"):
    """ICC v2 profile of {tag: content}."""
    text = b"sRGB, by its name alone\0"
    words = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {b"desc": words, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(0.9642, 1, 0.8249)} | tags
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, data in tags.items():
        table += key + struct.pack(">II", at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(body), b"lcms", 0x02400000, kind, space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + xyz(0.9642, 1, 0.8249)[8:] + bytes(48)
    return head + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def curve(gamma):
    """ICC curve: an exponent, or a table of values of 0 … 1."""
    if np.ndim(gamma):
        return b"curv\0\0\0\0" + struct.pack(
            f">I{len(gamma)}H", len(gamma), *np.rint(np.multiply(gamma, 65535)).astype(int)
        )
    return b"curv\0\0\0\0" + (struct.pack(">I", 0) if gamma == 1 else struct.pack(">IH", 1, round(gamma * 256)))


COLORANTS = {
    "sRGB": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
    "Display P3": ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)),
    "Adobe RGB": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    "ProPhoto": ((0.7977, 0.2880, 0.0000), (0.1352, 0.7119, 0.0000), (0.0313, 0.0001, 0.8249)),
    "Rec. 2020": ((0.6735, 0.2790, -0.0019), (0.1657, 0.6753, 0.0300), (0.1251, 0.0456, 0.7969)),
}


def rgb_profile(gamut="sRGB", gamma=1):
    colorants = {key + b"XYZ": xyz(*row) for key, row in zip((b"r", b"g", b"b"), COLORANTS[gamut], strict=True)}
    return packed_profile(colorants | {key + b"TRC": curve(gamma) for key in (b"r", b"g", b"b")})


def grey_profile(gamma):
    return packed_profile({b"kTRC": curve(gamma)}, b"GRAY")


def cmyk_profile():
    """A printer whose inks are purer than real ones: a table of 2 levels an ink, in Lab."""
    from itertools import product

    table = b""
    for c, m, y, k in product((0, 1), repeat=4):
        light = (1 - 0.9 * k) * (1 - 0.3 * c - 0.35 * m - 0.05 * y)
        a, b = (1 - k) * (60 * m - 30 * c), (1 - k) * (70 * y - 40 * c)
        table += bytes([round(255 * light), round(128 + a), round(128 + b)])
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut += identity * 4 + table + identity * 3
    return packed_profile({b"A2B0": lut}, b"CMYK", b"Lab ", b"prtr")
