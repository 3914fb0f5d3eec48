"""Reading videos safely: any film in, a few small upright frames out, or one clear sentence.

Files are read through a handle of ours and by the demuxers of ``FORMATS`` alone: no playlist, no second file, no address
is ever followed. Frames are resized while the film is decoded; one decoded frame is held at a time.
"""

import os
from typing import NamedTuple

import numpy as np

from factortopy.errors import InputError
from factortopy.pictures.film_files import READABLE, STILL, check_kind, opened
from factortopy.pictures.film_frames import Painter
from factortopy.pictures.reading import MAX_PIXELS, MIN_SIDE
from factortopy.wording import safe_label

FORMATS = ("mov", "mp4", "matroska", "webm", "gif", "avi", "mpeg", "mpegts", "ogg", "asf", "flv", "apng")
MOST = 480  # frames: two minutes at 4 a second
SIZE = 224  # pixels
FASTEST = 240  # frames a second that a film may have
LATE = 0.1  # seconds: sound often begins a little before the pictures, and players do not care
BACK = 0.3  # seconds that times of frames may jitter; what goes back further is another count
ENCRYPTED = ("encv", "drmi")


class Video(NamedTuple):
    """A film as it was sampled.

    frames : (T, H, W, 3) uint8, upright, sRGB; times : (T,) seconds from the film's beginning, even
    info : duration (seconds that could be read), stated_duration (or None), fps of the film (frames over time where it
    varies), size (width, height) of the upright film with square pixels, faults (list of str: what is missing or damaged),
    notices (list of str: the faults, and what was done that a user may want to know)
    """

    frames: np.ndarray
    times: np.ndarray
    info: dict

    @property
    def notices(self):
        """``info["notices"]``."""
        return self.info["notices"]


def read_video(path_or_bytes, fps=4, most=MOST, size=SIZE, name=None, phase=0.0):
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
    phase : float
        Where in each of its 1 / fps seconds a frame is taken: 0 at the beginning, 0.5 in the middle, below 1.

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
    _check_settings(fps, most, size, phase)
    with opened(path_or_bytes, label) as file:
        try:
            check_kind(file, label)
            film = av.open(file, metadata_errors="replace", options={"format_whitelist": ",".join(FORMATS)})
        except (av.error.FFmpegError, ValueError, OSError) as error:
            if isinstance(error, InputError):
                raise
            file.seek(0)
            words = f"a file of another kind or an incomplete one ({_words(error)}); copy it again, or save it as MP4"
            words = STILL if file.read(4) == b"\x89PNG" else words  # whether it is an APNG, its demuxer alone can tell
            raise InputError(f"video {label!r}: expected {READABLE}, found {words}") from None
        with film:
            return _sampled(film, label, float(fps), int(most), int(size), float(phase))


def _sampled(film, label, fps, most, size, phase):
    import av

    stream, notices = _pictures_of(film, label)
    rate = next(
        (float(r) for r in (stream.average_rate, stream.guessed_rate, stream.base_rate) if r and r <= FASTEST), 25.0
    )
    stated, own = _stated_duration(film, stream, rate)
    if stated is not None and stated * fps > most + 1:
        raise _too_long(label, fps, most, f"{stated:.0f} s")
    frames, reason, painter = [], "", None
    last, count, damaged = None, 0, 0
    clock = _Clock(1 / rate)

    def show(frame, orientation, until):
        """Take a frame for every sampled time before ``until``."""
        pixels = None
        while (len(frames) + phase) / fps < until - 1e-6:
            if len(frames) == most:
                raise _too_long(label, fps, most, f"at least {until:.0f} s")
            pixels = painter(frame, orientation) if pixels is None else pixels
            frames.append(pixels)

    stream.thread_type = "AUTO"
    reading = _Reading(film, stream, label, notices)
    try:
        for frame in _deinterlaced(reading.frames(), notices):
            count += 1
            damaged += bool(frame.is_corrupt)
            if count > FASTEST * (most / fps + 1):
                raise _too_long(label, fps, most, f"more than {count - 1} frames")
            if last is None:
                painter = Painter(frame, _aspect(stream), size, label)
                clock.start(frame.time, _start(film))
            else:
                show(*last, clock.next(frame.time))
            last = frame, painter.orientation(frame)
    except av.error.FFmpegError as error:
        reason = f" ({_words(error)})"
    if last is None:
        raise InputError(
            f"video {label!r}: expected pictures that can be decoded, found none{reason}; copy it again, or save it as MP4"
        )
    final = last[0]
    shown = float(final.duration * final.time_base) if final.duration and final.time_base else 0
    if not (1e-3 < shown < 10 or (stated and 1e-3 < shown <= stated - clock.now + 0.1)):
        shown = 1 / rate
    end = clock.now + shown
    show(*last, end)
    if not frames:  # it ends before the first sampled time
        show(*last, (phase + 0.5) / fps)
    all_there = (
        own and reading.packets >= stream.frames > 0 and film.format.name != "avi"
    )  # of an AVI it may be counted
    slack, faults = max(0.5 if own else 1.0, 2 / rate), []
    missing = stated is not None and not all_there and max(end, 0.0 if own else reading.reached) < stated - slack
    if reason or missing:
        faults.append(f"incomplete: {end:.1f}{'' if stated is None else f' of {stated:.1f}'} s could be read{reason}")
    elif end < max(reading.reached, stated or 0.0) - slack:
        notices.append(f"its pictures end at {end:.1f} of {max(reading.reached, stated or 0.0):.1f} s")
    if damaged:
        faults.append(f"{damaged} damaged frame{'' if damaged == 1 else 's'}, filled in by the decoder")
    measured = (count - 1) / clock.span if clock.span > 0 else 1 / shown
    info = {
        "duration": round(end, 3), "stated_duration": stated, "size": painter.whole,
        "fps": round(rate if abs(measured - rate) < 0.02 * rate else measured, 3),
        "faults": faults, "notices": faults + notices + clock.notices + painter.notices,
    }  # fmt: skip
    return Video(np.stack(frames), (np.arange(len(frames)) + phase) / fps, info)


# ---------------------------------------------------------------- the stream of pictures


def _pictures_of(film, label):
    """The stream that players show, and a list of notices; covers and thumbnails are none."""
    from av.stream import Disposition

    aside = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in film.streams.video if not stream.disposition & aside]
    if not streams:
        alone = "sound alone" if film.streams.audio else "no pictures"
        if film.streams.video:
            alone = "sound with a cover picture" if film.streams.audio else "still pictures alone"
        raise InputError(f"video {label!r}: expected a film with pictures, found {alone}; choose another file")
    moving = [stream for stream in streams if stream.frames != 1] or streams
    default = [stream for stream in moving if stream.disposition & Disposition.default]
    best, notices = film.streams.best("video"), []
    stream = best if best in (default or moving) else (default or moving)[0]
    if len(moving) > 1:
        notices.append(f"{len(moving)} films in one file: the {'default' if default else 'likeliest'} one is used")
    context = stream.codec_context
    if context is None:
        raise InputError(
            f"video {label!r}: expected pictures that can be decoded, found an unknown codec; save it as MP4"
        )
    if context.codec_tag in ENCRYPTED:
        raise _encrypted(label)
    if context.width * context.height > MAX_PIXELS:
        raise InputError(
            f"video {label!r}: expected frames of at most {MAX_PIXELS // 10**6} million pixels, "
            f"found {context.width} × {context.height}; save it smaller"
        )
    return stream, notices


class _Reading:
    """Frames of a stream. ``packets`` counts its own; ``reached`` is the second at which the file's last one of any stream ends."""

    def __init__(self, film, stream, label, notices):
        self.film, self.stream, self.label, self.notices = film, stream, label, notices
        self.reached, self.packets = 0.0, 0

    def frames(self):
        """Yield frames in the order in which they are shown."""
        decoder, start = self._see_through(), _start(self.film) or 0.0
        for packet in self.film.demux():
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start
                self.reached = max(self.reached, end)
            if packet.stream is not self.stream:
                continue
            self.packets += packet.size > 0
            if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
                raise _encrypted(self.label)
            yield from decoder.decode(packet) if decoder else packet.decode()

    def _see_through(self):
        """Another decoder for WebM with transparency, which FFmpeg's own leaves out; None for all else."""
        import av

        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self.stream.codec_context.name)
        if name is None or self.stream.metadata.get("alpha_mode") != "1":
            return None
        try:
            return av.CodecContext.create(name, "r")
        except ValueError:  # not in every build
            self.notices.append("its transparency cannot be read: shown without")
            return None


def _deinterlaced(frames, notices):
    """The same frames; those made of two half pictures as whole ones (FFmpeg's filter "bwdif")."""
    from av.filter import Graph

    graph, kind = None, None

    def ready():
        while True:
            try:
                yield graph.pull()
            except (BlockingIOError, EOFError):
                return

    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None or kind != (frame.width, frame.height, frame.format.name):
            if graph is None:
                notices.append("interlaced: its half pictures are joined (bwdif)")
            else:
                graph.push(None)
                yield from ready()
            graph, kind = Graph(), (frame.width, frame.height, frame.format.name)
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            joined = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            graph.link_nodes(source, joined, graph.add("buffersink")).configure()
        graph.push(frame)
        yield from ready()
    if graph is not None:
        graph.push(None)
        yield from ready()


class _Clock:
    """Seconds of the film at which frames are shown: ``now``, of the last one; ``span``, from the first one to it."""

    def __init__(self, step):
        self.step, self.now, self.zero, self.first, self.notices = step, 0.0, 0.0, 0.0, []

    def start(self, time, start):
        """The first frame. What begins well after the file does is held until then, so that it stays in step with its sound."""
        self.zero = time or 0.0
        if time is not None and start is not None and time - start > LATE:
            self.zero, self.now = start, time - start
            self.first = self.now
            self.notices.append(f"its pictures begin at {self.now:.2f} s: the first one is shown until then")

    def next(self, time):
        """When the next frame is shown. Decoders give frames in order: a time that jumps back starts a new count."""
        if time is None:
            self.now += self.step
            return self.now
        at = time - self.zero
        if at < self.now - BACK:
            self.zero -= self.now + self.step - at
            self.notices.append(f"its clock jumps back at {self.now + self.step:.1f} s: taken to go on")
            at = time - self.zero
        self.now = max(self.now, at)
        return self.now

    @property
    def span(self):
        return self.now - self.first


def _start(film):
    """Second of the file's clock at which it begins, or None."""
    return None if film.start_time is None else film.start_time / 1e6


def _aspect(stream):
    """Width of a pixel in its heights."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio and 0.1 < ratio < 10 else 1.0


def _encrypted(label):
    return InputError(
        f"video {label!r}: expected a film that anybody may open, found an encrypted one (DRM); get it without protection"
    )


def _stated_duration(film, stream, rate):
    """Seconds that the file says the pictures last, from its beginning, or None; and whether that is of the pictures alone."""
    start = _start(film) or 0.0
    if stream.duration and stream.time_base:
        late = float(stream.start_time * stream.time_base) - start if stream.start_time else 0.0
        seconds = float(stream.duration * stream.time_base) + max(late, 0.0)
        # Of a cut AVI the number of frames is all that tells; elsewhere it counts those that an edit list leaves out.
        return (max(seconds, stream.frames / rate) if film.format.name == "avi" else seconds), True
    seconds = film.duration / 1e6 if film.duration and film.duration > 0 else stream.frames / rate
    if "matroska" in film.format.name:  # counts from the clock's zero
        seconds -= max(start, 0.0)
    return (seconds if seconds > 0 else None), False


def _check_settings(fps, most, size, phase):
    for name, value, low, high in (("fps", fps, 0.1, 60), ("most", most, 1, 5000), ("size", size, MIN_SIDE, 512)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"video, {name}: expected a number from {low} to {high}, found {value!r}; change it")
    if isinstance(phase, bool) or not isinstance(phase, int | float) or not 0 <= phase < 1:
        raise InputError(f"video, phase: expected a number from 0 to below 1, found {phase!r}; change it")


def _too_long(label, fps, most, length):
    return InputError(
        f"video {label!r}: expected at most {most / fps:.0f} s ({most} frames at {fps:g} a second), found {length}; "
        "cut it shorter, or take fewer frames a second"
    )


def _words(error):
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:100] or type(error).__name__
