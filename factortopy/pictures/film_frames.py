"""One decoded frame of a film as players show it: its colours in sRGB, its pixels square, upright or mirrored as the file says.

The conversions are FFmpeg's own (swscale); here it is decided which of them a frame asks for.
"""

import math
import struct

import numpy as np

from factortopy.errors import InputError
from factortopy.pictures.colour import GREY
from factortopy.pictures.reading import MAX_PIXELS, MIN_SIDE

# Numbers of ISO/IEC 23091-2 (CICP), as every container states them.
MATRICES = {1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}
OTHER_MATRICES = {8: "YCgCo", 10: "BT.2020 constant luminance", 14: "ICtCp", 15: "IPT-C2"}
WIDE = {
    9: "BT.2020",
    11: "DCI-P3",
    12: "Display P3",
}  # primaries; the others are close to sRGB's, and players leave them
PRIMARIES = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
CURVES = {8: ("linear", "linear light"), 16: ("smpte2084", "HDR (PQ)"), 18: ("arib-std-b67", "HDR (HLG)")}
HDR = (16, 18)
LIMITED, FULL = 1, 2
SLANT = 0.9998  # cosine of about one degree


class Painter:
    """Turns frames of one film into pixels. What was done beyond the usual is listed in ``notices``.

    Parameters
    ----------
    frame : av.VideoFrame
        The first one: it decides the size.
    aspect : float
        Width of a pixel in its heights.
    size : int
        No side of a result is longer than this many pixels; frames are not enlarged.

    Attributes
    ----------
    shape : (width, height) of the results
    whole : (width, height) of the film, upright, with square pixels
    notices : list of str

    Raises
    ------
    InputError
        When a side would have fewer than ``MIN_SIDE`` pixels, or the colours are of a kind that FFmpeg cannot convert.
    """

    def __init__(self, frame, aspect, size, label):
        from av.video.reformatter import VideoReformatter

        self.label, self.notices = label, []
        self.reformatter, self.graph = VideoReformatter(), (None, None)
        self.first, self.upright, self.stretch = (frame.width, frame.height), np.eye(2, dtype=int), 1.0
        turned = self.orientation(frame)[0, 0] == 0
        if (
            abs(self.stretch - 1) > 0.01 and 0.1 < self.stretch < 10
        ):  # FFmpeg makes it the pixels' aspect, but as if nothing were turned
            aspect = self.stretch
        width, height = frame.width * aspect, frame.height
        by = min(1, size / max(width, height))
        stored = max(1, round(width * by)), max(1, round(height * by))
        if min(stored) < MIN_SIDE:
            raise InputError(
                f"video {label!r}: expected at least {MIN_SIDE} pixels on each side, "
                f"found {stored[0]} × {stored[1]} (of {frame.width} × {frame.height}); choose another film"
            )
        self.shape = stored[::-1] if turned else stored
        self.whole = [height, round(width)] if turned else [round(width), height]

    def __call__(self, frame, orientation):
        """(H, W, 3) uint8 of a frame and what ``orientation`` gave for it."""
        from av.error import FFmpegError

        if frame.width * frame.height > MAX_PIXELS:
            raise InputError(
                f"video {self.label!r}: expected frames of at most {MAX_PIXELS // 10**6} million pixels, "
                f"found {frame.width} × {frame.height}; save it smaller"
            )
        if (frame.width, frame.height) != self.first:
            self._notice("its frames change size: all are brought to the first one's")
        stored = self.shape[::-1] if orientation[0, 0] == 0 else self.shape
        try:
            return np.ascontiguousarray(orient(self._colours(frame, *stored), orientation))
        except FFmpegError as error:
            raise InputError(
                f"video {self.label!r}: expected colours that can be converted, found {frame.format.name} "
                f"({' '.join(str(error).split())[:60]}); save it as an ordinary MP4 (H.264, BT.709)"
            ) from None

    def _notice(self, words):
        if words not in self.notices:
            self.notices.append(words)

    # ------------------------------------------------------------ which way up

    def orientation(self, frame):
        """One of eight (``orientation_of``). To be asked of every frame in turn: what one states holds until another does."""
        from av.sidedata.sidedata import SideDataContainer, Type

        # Not frame.side_data: it and its frame hold each other, and raw frames would wait for the garbage collector.
        data = SideDataContainer(frame).get(Type.DISPLAYMATRIX)
        if data is not None:
            matrix = struct.unpack("=9i", bytes(data)[:36])
            nearest, exact = orientation_of(matrix)
            if nearest is not None:
                self.stretch = math.hypot(*matrix[:2]) / math.hypot(*matrix[3:5])
            if nearest is None:
                self._notice("its display matrix is no rotation or mirroring: shown as stored")
            elif not exact:
                self._notice("it is to be shown slanted: taken as the nearest quarter turn")
            self.upright = np.eye(2, dtype=int) if nearest is None else nearest
        return self.upright

    # ------------------------------------------------------------ colours

    def _colours(self, frame, width, height):
        """(height, width, 3) uint8 in sRGB, over mid grey where it is transparent."""
        if not any(component.is_alpha for component in frame.format.components):
            return self._converted(frame, width, height, "rgb24").to_ndarray()
        from av import VideoFrame

        # Laid over grey before it is made smaller: colours hidden under transparent pixels must not bleed.
        pixels = self._converted(frame, frame.width, frame.height, "rgba").to_ndarray()
        alpha = pixels[..., 3:].astype(np.float32) / 255
        over = (pixels[..., :3] * alpha + GREY * (1 - alpha)).round().astype(np.uint8)
        flat = VideoFrame.from_ndarray(over, "rgb24")
        return self.reformatter.reformat(flat, width, height, interpolation="AREA", threads=1).to_ndarray()

    def _converted(self, frame, width, height, to):
        """The frame in another size and as full-range sRGB, "rgb24" or "rgba"."""
        curve, primaries, full, matrix = (
            frame.color_trc,
            frame.color_primaries,
            self._full_range(frame),
            self._matrix(frame),
        )
        plain = curve not in CURVES and primaries not in WIDE
        deep = to if plain else {"rgb24": "rgb48le", "rgba": "rgba64le"}[to]
        out = self.reformatter.reformat(
            frame, width, height, deep, interpolation="AREA", threads=1,
            src_colorspace={6: 5}.get(matrix, matrix), src_color_range=FULL if full else LIMITED, dst_color_range=FULL,
        )  # fmt: skip
        if _is_grey(frame) and not full:
            out = _stretched(out, deep)
        return out if plain else self._in_srgb(out, to, curve, primaries)

    def _in_srgb(self, frame, to, curve, primaries):
        """RGB of another curve or other primaries through FFmpeg's filter "scale"; HDR is tone-mapped (intent "perceptual").

        The filter takes RGB alone: given BT.709 and primaries to convert, it reads the matrix as BT.601 (FFmpeg 8.1).
        """
        from av.error import FFmpegError
        from av.filter import Graph

        hdr = curve in HDR
        if hdr and primaries not in WIDE and primaries != 1:
            primaries = 9
        start, kind = CURVES.get(curve, ("iec61966-2-1", f"wide gamut ({WIDE.get(primaries)})"))
        settings = (
            f"in_transfer={start}:out_transfer=iec61966-2-1:in_primaries={PRIMARIES.get(primaries, 'bt709')}:out_primaries=bt709"
            f":intent={'perceptual' if hdr else 'relative_colorimetric'}"
        )
        key = (frame.width, frame.height, frame.format.name, to, settings)
        try:
            if self.graph[0] != key:
                graph = Graph()
                source = graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
                )
                nodes = source, graph.add("scale", settings), graph.add("format", to), graph.add("buffersink")
                graph.link_nodes(*nodes).configure()
                self.graph = key, graph
            self.graph[1].push(frame)
            out = self.graph[1].pull()
        except (FFmpegError, ValueError) as error:
            raise InputError(
                f"video {self.label!r}: expected an ordinary film (SDR, BT.709), found {kind} that cannot be converted "
                f"({' '.join(str(error).split())[:60]}); export it as SDR"
            ) from None
        self._notice(f"{kind}: {'tone-mapped' if hdr else 'converted'} to sRGB")
        return out

    def _matrix(self, frame):
        """Number of the frame's colour matrix; None for RGB and greys. Where none is stated, players go by the size."""
        if frame.format.is_rgb or frame.format.has_palette or _is_grey(frame) or frame.format.name.startswith("xyz"):
            return None
        stated = frame.colorspace
        if stated in MATRICES:
            return stated
        if stated not in (0, 2, 3):  # RGB (of a frame that is none), unspecified, reserved
            name = OTHER_MATRICES.get(stated, f"the matrix of number {stated}")
            raise InputError(
                f"video {self.label!r}: expected colours as RGB, BT.601, BT.709 or BT.2020, found {name}; "
                "save it as an ordinary MP4 (H.264, BT.709)"
            )
        if frame.color_primaries == 9 or frame.color_trc in HDR:
            return 9
        return 1 if frame.width >= 1280 or frame.height > 576 else 5

    def _full_range(self, frame):
        """Whether black is 0; what states nothing is limited (black is 16) unless RGB or grey."""
        if frame.format.is_rgb or frame.format.has_palette or frame.format.name.startswith("yuvj"):
            return True
        return frame.color_range == FULL or (frame.color_range != LIMITED and _is_grey(frame))


def _stretched(frame, to):
    """Limited-range greys, as RGB, at full range: swscale takes every grey as full."""
    from av import VideoFrame

    pixels = frame.to_ndarray()
    white = np.iinfo(pixels.dtype).max
    grey = (pixels[..., :3].astype(np.float64) / white - 16 / 255) * (255 / 219)
    grey = (grey.clip(0, 1) * white).round().astype(pixels.dtype)
    out = VideoFrame.from_ndarray(np.concatenate([grey, pixels[..., 3:]], -1), to)
    out.pts, out.time_base = frame.pts, frame.time_base
    return out


def _is_grey(frame):
    kind = frame.format
    return not (kind.is_rgb or kind.has_palette) and sum(not component.is_alpha for component in kind.components) == 1


def orientation_of(matrix):
    """The one of eight orientations nearest to a display matrix, and whether it is just that.

    Parameters
    ----------
    matrix : nine int
        As ISO 14496-12 has it: x' = ax + cy, y' = bx + dy with (a, b, u, c, d, v, x, y, w), x to the right, y downwards.

    Returns
    -------
    (2, 2) int : rows x', y' by columns x, y, each with one entry of ±1; None where the matrix is none of these
    exact : bool, within a degree; sizes do not count (pixel aspects are read elsewhere)
    """
    a, b, _, c, d = (float(number) for number in matrix[:5])
    linear = np.array([[a, c], [b, d]])
    length = np.hypot(*linear)
    if not (length > 0).all() or abs(np.linalg.det(linear / length)) < 0.5:
        return None, False
    linear = linear / length
    signs = [np.diag(pair) for pair in ((1, 1), (-1, 1), (1, -1), (-1, -1))]
    eight = [sign @ base for base in (np.eye(2, dtype=int), np.eye(2, dtype=int)[::-1]) for sign in signs]
    nearest = max(eight, key=lambda orientation: (orientation * linear).sum())
    return nearest, bool((nearest * linear).sum(0).min() > SLANT)


def orient(pixels, orientation):
    """Stored pixels (H, W, …) as an orientation of ``orientation_of`` shows them; a view."""
    if orientation[0, 0] == 0:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: orientation[1].sum(), :: orientation[0].sum()]
