"""Reading videos safely: any film in, a few small upright frames out, or one clear sentence.

Files are read through a handle of ours and by the demuxers of ``FORMATS`` alone: no playlist, no second file, no address
is ever followed. Frames are resized while the film is decoded; one decoded frame is held at a time.
"""

import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from factortopy.errors import InputError
from factortopy.pictures.reading import MAX_PIXELS, MIN_SIDE
from factortopy.wording import safe_label

FORMATS = ("mov", "mp4", "matroska", "webm", "gif", "avi", "mpeg", "mpegts", "ogg", "asf", "flv")
READABLE = "MP4, MOV, WebM, MKV, AVI, MPEG or GIF"
MOST = 480  # frames: two minutes at 4 a second
SIZE = 224  # pixels
MAX_BYTES = 2 * 2**30
FASTEST = 240  # frames a second that a film may have
GREY = 128


class Video(NamedTuple):
    """A film as it was sampled.

    frames : (T, H, W, 3) uint8, upright; times : (T,) seconds from the first frame, even
    info : duration (seconds that could be read), stated_duration (or None), fps of the film, size (width, height) of the
    upright film, notices (list of str: what was done that a user may want to know)
    """

    frames: np.ndarray
    times: np.ndarray
    info: dict

    @property
    def notices(self):
        """``info["notices"]``."""
        return self.info["notices"]


def read_video(path_or_bytes, fps=4, most=MOST, size=SIZE, name=None):
    """Frames of a film, evenly spaced in time.

    Parameters
    ----------
    path_or_bytes : path, bytes or open binary file
    fps : float
        Frames a second to take; a slower film gives the same frame again.
    most : int
        No more frames than this; a longer film is refused.
    size : int
        No side of a frame is longer than this many pixels; frames are not enlarged.
    name : str, optional
        What the user calls it; only shown.

    Returns
    -------
    Video
        ``frames, times, info``. A film that breaks off keeps what could be read, and its notices say so.

    Raises
    ------
    InputError
        For what is no film, has no pictures, nothing that can be decoded, or lasts too long.
    """
    import av

    is_path = isinstance(path_or_bytes, str | os.PathLike)
    label = safe_label(
        name or (os.fspath(path_or_bytes) if is_path else getattr(path_or_bytes, "name", None) or "video")
    )
    _check_settings(fps, most, size)
    with _opened(path_or_bytes, label) as file:
        try:
            film = av.open(file, options={"format_whitelist": ",".join(FORMATS)})
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise InputError(
                f"video {label!r}: expected {READABLE}, found a file of another kind or an incomplete one "
                f"({_words(error)}); copy it again, or save it as MP4"
            ) from None
        with film:
            return _sampled(film, label, float(fps), int(most), int(size))


def _sampled(film, label, fps, most, size):
    import av

    if not film.streams.video:
        raise InputError(f"video {label!r}: expected a film with pictures, found sound alone; choose another file")
    stream = film.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise InputError(
            f"video {label!r}: expected pictures that can be decoded, found an unknown codec; save it as MP4"
        )
    if context.width * context.height > MAX_PIXELS:
        raise InputError(
            f"video {label!r}: expected frames of at most {MAX_PIXELS // 10**6} million pixels, "
            f"found {context.width} × {context.height}; save it smaller"
        )
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    stated = _stated_duration(film, stream, rate)
    if stated is not None and stated * fps > most + 1:
        raise _too_long(label, fps, most, f"{stated:.0f} s")
    frames, notices, reason = [], [], ""
    last, last_time, start, shape, turns, count, damaged = None, 0.0, None, None, 0, 0, 0

    def show(frame, until):
        """Take a frame for every sampled time before ``until``."""
        pixels = None
        while len(frames) / fps < until - 1e-6:
            if len(frames) == most:
                raise _too_long(label, fps, most, f"at least {until:.0f} s")
            pixels = np.rot90(_pixels(frame, shape), turns) if pixels is None else pixels
            frames.append(pixels)

    stream.thread_type = "AUTO"
    try:
        for frame in film.decode(stream):
            count += 1
            damaged += bool(frame.is_corrupt)
            if count > FASTEST * (most / fps + 1):
                raise _too_long(label, fps, most, f"more than {count - 1} frames")
            time = count / rate if frame.time is None else float(frame.time)
            if last is None:
                start, shape, turns = time, _shape(frame, _aspect(stream), size, label), round(frame.rotation / 90) % 4
            else:
                show(last, time - start)
            last, last_time = frame, max(last_time, time - start)
    except av.error.FFmpegError as error:
        reason = f" ({_words(error)})"
    if last is None:
        raise InputError(
            f"video {label!r}: expected pictures that can be decoded, found none{reason}; copy it again, or save it as MP4"
        )
    shown = float(last.duration * last.time_base) if last.duration and last.time_base else 1 / rate
    end = last_time + (shown if 0 < shown < 10 else 1 / rate)
    show(last, end)
    if reason or (stated is not None and end < stated - max(1.0, 2 / rate)):
        whole = "" if stated is None else f" of {stated:.1f}"
        notices.append(f"incomplete: {end:.1f}{whole} s could be read{reason}")
    if damaged:
        notices.append(f"{damaged} damaged frame{'' if damaged == 1 else 's'}, filled in by the decoder")
    width, height = round(context.width * _aspect(stream)), context.height
    info = {
        "duration": round(end, 3), "stated_duration": stated, "fps": round(rate, 3),
        "size": [height, width] if turns % 2 else [width, height], "notices": notices,
    }  # fmt: skip
    return Video(np.stack(frames), np.arange(len(frames)) / fps, info)


# ---------------------------------------------------------------- one frame


def _shape(frame, aspect, size, label):
    """(width, height) that frames are resized to before they are turned; pixels become square."""
    width, height = frame.width * aspect, frame.height
    by = min(1, size / max(width, height))
    shape = max(1, round(width * by)), max(1, round(height * by))
    if min(shape) < MIN_SIDE:
        raise InputError(
            f"video {label!r}: expected at least {MIN_SIDE} pixels on each side, "
            f"found {shape[0]} × {shape[1]} (of {frame.width} × {frame.height}); choose another film"
        )
    return shape


def _aspect(stream):
    """Width of a pixel in its heights."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio and 0.1 < ratio < 10 else 1.0


def _pixels(frame, shape):
    """A decoded frame as (H, W, 3) uint8: resized, transparency over mid grey, not yet turned."""
    width, height = shape
    see_through = any(component.is_alpha for component in frame.format.components)
    resized = frame.reformat(width, height, "rgba" if see_through else "rgb24", interpolation="AREA")
    pixels = resized.to_ndarray()
    if see_through:
        alpha = pixels[..., 3:].astype(np.float32) / 255
        pixels = (pixels[..., :3] * alpha + GREY * (1 - alpha)).round().astype(np.uint8)
    return pixels


# ---------------------------------------------------------------- the file


def _opened(source, label):
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


def _stated_duration(film, stream, rate):
    """Seconds that the file says the film lasts, or None. Of a cut file the number of frames may be all that tells."""
    seconds = film.duration / 1e6 if film.duration and film.duration > 0 else 0
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    return max(seconds, stream.frames / rate) or None


def _check_settings(fps, most, size):
    for name, value, low, high in (("fps", fps, 0.1, 60), ("most", most, 1, 5000), ("size", size, MIN_SIDE, 512)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"video, {name}: expected a number from {low} to {high}, found {value!r}; change it")


def _too_long(label, fps, most, length):
    return InputError(
        f"video {label!r}: expected at most {most / fps:.0f} s ({most} frames at {fps:g} a second), found {length}; "
        "cut it shorter, or take fewer frames a second"
    )


def _words(error):
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:100] or type(error).__name__
