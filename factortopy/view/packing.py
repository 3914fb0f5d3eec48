"""One binary message: a JSON header and named arrays, read in the browser by ``assets/packing.js``.

Layout: ``FTV1``, header length (uint32, little-endian), header (UTF-8 JSON), padding to 8 bytes, arrays, each aligned
to 8 bytes. The header's ``arrays`` is {name: [dtype, offset from the first array, number of elements]}.
"""

import json
import struct

import numpy as np

MAGIC = b"FTV1"
DTYPES = ("u1", "u2", "u4", "i1", "f4")


def pack(header, arrays):
    """Bytes of ``header`` (a JSON-able dict) and ``arrays`` ({name: array of a dtype in ``DTYPES``})."""
    table, blocks, offset = {}, [], 0
    for name, values in arrays.items():
        values = np.ascontiguousarray(values)
        code = values.dtype.str[1:]
        if code not in DTYPES:
            raise TypeError(f"array {name}: dtype {values.dtype} is not one of {DTYPES}")
        raw = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        table[name] = [code, offset, values.size]
        blocks.append(raw + bytes(-len(raw) % 8))
        offset += len(blocks[-1])
    text = json.dumps({**header, "arrays": table}, separators=(",", ":"), allow_nan=False).encode()
    head = MAGIC + struct.pack("<I", len(text)) + text
    return head + bytes(-len(head) % 8) + b"".join(blocks)


def unpack(data):
    """(header, {name: array}) of ``pack``'s bytes."""
    if data[:4] != MAGIC:
        raise ValueError("not a FactorTopy view message")
    (length,) = struct.unpack("<I", data[4:8])
    header = json.loads(data[8 : 8 + length])
    start = 8 + length
    start += -start % 8
    arrays = {
        name: np.frombuffer(data, dtype=f"<{code}", count=size, offset=start + offset)
        for name, (code, offset, size) in header["arrays"].items()
    }
    return header, arrays
