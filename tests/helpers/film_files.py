"""Films whose frames are known."""

import io
import struct
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


def encoded(
    pictures, kind="mp4", codec="libx264", pix="yuv420p", rate=10, times=None, sound=0.0, of_stream=None, **more
):
    """Bytes of a film of RGB or RGBA pictures, all settings free.

    times : seconds, instead of k / rate; sound : seconds of silence beside it; of_stream : called with the stream
    more : container_options, options (the codec's), conversion (PyAV's ``reformat``), tags (of frames and codec: colorspace …)
    """
    buffer, tags = io.BytesIO(), more.get("tags", {})
    with av.open(buffer, "w", format=kind, options=more.get("container_options", {})) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = pix, more.get("options", {"crf": "1"} if codec == "libx264" else {})
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if of_stream:
            of_stream(stream)
        silence = out.add_stream("aac", rate=16000, layout="mono") if sound else None
        for k in range(int(sound * 16000 / 1024)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 1024 * k, Fraction(1, 16000)
            out.mux(silence.encode(frame))
        for k, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24" if pixels.shape[2] == 3 else "rgba")
            if pix != frame.format.name:
                frame = frame.reformat(format=pix, **more.get("conversion", {}))
            for name, value in tags.items():
                setattr(frame, name, value)
            frame.pts = k if times is None else round(times[k] * 1000)
            frame.time_base = Fraction(1, rate if times is None else 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if silence:
            out.mux(silence.encode(None))
    return buffer.getvalue()


def with_matrix(mp4, a, b, c, d):
    """An MP4 or MOV with another display matrix, as ISO 14496-12 has it (x' = ax + cy, y' = bx + dy)."""
    at = mp4.index(b"tkhd") + 4 + 40
    assert mp4[at : at + 4] == struct.pack(">i", 1 << 16)  # the identity stood there
    one = [round(number * 65536) for number in (a, b, c, d)]
    return mp4[:at] + struct.pack(">9i", *one[:2], 0, *one[2:], 0, 0, 0, 1 << 30) + mp4[at + 36 :]
