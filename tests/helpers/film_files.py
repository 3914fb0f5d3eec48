"""Films whose frames are known."""

import io
from fractions import Fraction

import av
import numpy as np

KINDS = {"mp4": "libx264", "avi": "mpeg4", "webm": "libvpx", "mkv": "mpeg4", "gif": "gif", "mov": "mpeg4"}
KINDS = {kind: codec for kind, codec in KINDS.items() if codec in av.codecs_available}


def level(k):
    """Grey of frame k in ``film``."""
    return 40 + 8 * (k % 22)


def film(kind="mp4", frames=20, rate=10, size=(64, 48), times=None, pixel=None, options=None):
    """Bytes of a film whose frame k is grey ``level(k)``, its upper left quarter white.

    times : presentation times in seconds, instead of k / rate; pixel : width of a pixel in its heights
    """
    buffer, (width, height) = io.BytesIO(), size
    with av.open(buffer, "w", format={"mkv": "matroska"}.get(kind, kind), options=options or {}) as out:
        stream = out.add_stream(KINDS[kind], rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb8" if kind == "gif" else "yuv420p"
        if KINDS[kind] == "mpeg4":
            stream.codec_context.bit_rate = 2_000_000
        if pixel:
            stream.codec_context.sample_aspect_ratio = pixel
        for k in range(frames):
            pixels = np.full((height, width, 3), level(k), np.uint8)
            pixels[: height // 2, : width // 2] = 255
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[k] * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()
