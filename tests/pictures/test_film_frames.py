"""Frames as players show them: eight orientations, pixel aspects, colours by matrix, range, curve and primaries, transparency."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from film_files import encoded, film, with_matrix
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factortopy.errors import InputError
from factortopy.pictures.film_frames import orient, orientation_of
from factortopy.pictures.video import read_video

RGB = (200, 40, 90)
EIGHT = [
    (1, 0, 0, 1),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (-1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, -1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, -1, 0),
]
FLAT = film(frames=5)


def flat(rgb=RGB, size=(48, 64), frames=2):
    return [np.full((*size, 3), rgb, np.uint8)] * frames


def shown(data):
    """The first frame's colour in its middle."""
    frame = read_video(data).frames[0]
    return frame[frame.shape[0] // 2, frame.shape[1] // 2].astype(int)


def placed(stored, a, b, c, d):
    """Pixel by pixel what ISO 14496-12 says: the stored pixel at (x, y) is shown at (ax + cy, bx + dy), moved into view."""
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    right, down = a * x + c * y, b * x + d * y
    right, down = right - right.min(), down - down.min()
    out = np.zeros((down.max() + 1, right.max() + 1, *stored.shape[2:]), stored.dtype)
    out[down, right] = stored
    return out


# ---------------------------------------------------------------- which way up


@pytest.mark.parametrize("matrix", EIGHT)
def test_all_eight_orientations(matrix):
    stored, video = read_video(FLAT), read_video(with_matrix(FLAT, *matrix))
    expected = np.stack([placed(frame, *matrix) for frame in stored.frames])
    np.testing.assert_array_equal(video.frames, expected)
    assert video.info["size"] == ([64, 48] if matrix[0] else [48, 64]) and not video.notices


@given(
    st.sampled_from(EIGHT),
    st.floats(-40, 40),
    st.floats(0.1, 8),
    st.floats(0.1, 8),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_the_nearest_orientation_of_any_matrix(matrix, degrees, wide, high, rows, columns):
    a, b, c, d = matrix
    turn = np.array(
        [
            [np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))],
            [np.sin(np.radians(degrees)), np.cos(np.radians(degrees))],
        ]
    )
    linear = turn @ np.array([[a, c], [b, d]]) * (wide, high)
    (e, g), (f, h) = linear * 65536
    found, exact = orientation_of((e, f, 0, g, h, 0, 0, 0, 1 << 30))
    np.testing.assert_array_equal(found, [[a, c], [b, d]])
    assert exact == (abs(degrees) < 1.14) or 1.1 < abs(degrees) < 1.2
    stored = np.arange(rows * columns).reshape(rows, columns)
    np.testing.assert_array_equal(orient(stored, found), placed(stored, *matrix))


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 1, 0), (1, 1, 1, 1)])
def test_what_is_no_orientation_is_said(matrix):
    video = read_video(with_matrix(FLAT, *matrix))
    np.testing.assert_array_equal(video.frames, read_video(FLAT).frames)
    assert "no rotation or mirroring" in video.notices[0]


def test_a_slant_is_said():
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    video = read_video(with_matrix(FLAT, s, -c, c, s))
    np.testing.assert_array_equal(video.frames, read_video(with_matrix(FLAT, 0, -1, 1, 0)).frames)
    assert video.notices == ["it is to be shown slanted: taken as the nearest quarter turn"]


@pytest.mark.parametrize("kind, codec", [("matroska", "libx264"), ("webm", "libvpx"), ("mov", "mpeg4")])
def test_orientations_in_other_containers(kind, codec):
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:24, :32] = 255
    for turn, quadrant in (((90, False), (1, 0)), ((180, False), (1, 1)), ((0, True), (0, 1))):
        data = encoded(
            [corner] * 3, kind, codec, of_stream=lambda s, turn=turn: s.set_display_rotation(turn[0], hflip=turn[1])
        )
        frame = read_video(data).frames[0].mean(2)
        height, width = (64, 48) if turn[0] == 90 else (48, 64)
        means = frame.reshape(2, height // 2, 2, width // 2).mean((1, 3))
        assert frame.shape == (height, width) and np.unravel_index(means.argmax(), (2, 2)) == quadrant


def test_what_the_first_frame_states_holds():
    """H.264's own message of orientation comes with key frames alone."""
    buffer, source = io.BytesIO(), av.open(io.BytesIO(film(frames=10)))
    with source, av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        message = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", source.streams.video[0])
        for packet in source.demux(video=0):
            for changed in message.filter(packet if packet.dts is not None else None):
                changed.stream = stream
                out.mux(changed)
    video = read_video(buffer.getvalue())
    assert video.frames.shape == (4, 64, 48, 3)
    assert all(frame[40:, :16].min() > 230 for frame in video.frames)  # white is down and left in every one


@pytest.mark.parametrize(
    "kind, codec", [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4"), ("mpegts", "libx264")]
)
def test_pixel_aspect_before_the_turn(kind, codec):
    def wide(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        if kind in ("mp4", "matroska"):
            stream.set_display_rotation(90)

    video = read_video(encoded(flat(), kind, codec, of_stream=wide))
    assert video.info["size"] == ([48, 96] if kind in ("mp4", "matroska") else [96, 48])
    assert list(video.frames.shape[2:0:-1]) == video.info["size"]


@pytest.mark.parametrize("matrix, size", [((2, 0, 0, 1), [128, 48]), ((0, 2, -1, 0), [48, 128])])
def test_a_matrix_that_stretches(matrix, size):
    assert read_video(with_matrix(FLAT, *matrix)).info["size"] == size


def test_odd_sizes():
    pixels = np.random.default_rng(0).integers(0, 256, (47, 63, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_video(encoded([pixels], "mov", "png", "rgb24")).frames[0], pixels)


# ---------------------------------------------------------------- colours


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 5, 6, 7, 9]), st.sampled_from([1, 2]), st.tuples(*[st.integers(5, 250)] * 3))
@example(1, 1, RGB)
def test_every_stated_matrix_and_range(matrix, span, rgb):
    conversion = {"dst_colorspace": {6: 5}.get(matrix, matrix), "dst_color_range": span}
    tags = {"colorspace": matrix, "color_range": span}
    data = encoded(flat(rgb, (16, 16), 1), pix="yuv444p", conversion=conversion, tags=tags, options={"qp": "0"})
    assert np.abs(shown(data) - rgb).max() <= 5  # YCbCr of 8 bits


@pytest.mark.parametrize("size, matrix", [((48, 64), 5), ((576, 720), 5), ((720, 1280), 1), ((1280, 720), 1)])
def test_an_unstated_matrix_goes_by_the_size_as_players_have_it(size, matrix):
    data = encoded(flat(size=size, frames=1), pix="yuv444p", conversion={"dst_colorspace": matrix})
    assert np.abs(shown(data) - RGB).max() <= 4


@pytest.mark.parametrize(
    "kind, codec, pix",
    [
        ("mov", "png", "rgb24"), ("mov", "qtrle", "rgb24"), ("mp4", "libx264rgb", "bgr24"), ("avi", "rawvideo", "bgr24"),
        ("avi", "mjpeg", "yuvj420p"), ("matroska", "ffv1", "gbrp10le"),
    ],
)  # fmt: skip
def test_rgb_and_jpeg_films_are_full_range(kind, codec, pix):
    assert np.abs(shown(encoded(flat(), kind, codec, pix)) - RGB).max() <= (
        3 if codec in ("mjpeg", "libx264rgb") else 0
    )


@pytest.mark.parametrize("span, grey", [(1, round((128 - 16) * 255 / 219)), (2, 128)])
def test_greys_by_their_range(span, grey):
    quiet = {"x265-params": "log-level=none:bframes=0"}
    data = encoded(flat((128,) * 3), "matroska", "libx265", "gray", options=quiet, tags={"color_range": span})
    assert np.abs(shown(data) - grey).max() <= 1
    assert (shown(encoded(flat((128,) * 3), "matroska", "ffv1", "gray")) == 128).all()


@pytest.mark.parametrize("matrix, name", [(8, "YCgCo"), (10, "BT.2020 constant luminance"), (14, "ICtCp")])
def test_matrices_that_cannot_be_converted_are_refused(matrix, name):
    with pytest.raises(InputError, match=f"found {name}; save it"):
        read_video(encoded(flat(), pix="yuv444p", tags={"colorspace": matrix}))


@pytest.mark.parametrize("pix, matrix", [("yuv444p", 1), pytest.param("yuv420p", 5, marks=pytest.mark.slow)])
def test_wide_gamut(pix, matrix):
    """Display P3's (150, 100, 120) is sRGB's (159, 97, 121), by the primaries of both."""
    tags = {"colorspace": matrix, "color_trc": 1, "color_primaries": 12}
    data = encoded(flat((150, 100, 120)), pix=pix, conversion={"dst_colorspace": matrix}, tags=tags)
    assert np.abs(shown(data) - (158.7, 97, 120.6)).max() <= 3
    assert read_video(data, fps=1).notices == ["wide gamut (Display P3): converted to sRGB"]


@pytest.mark.slow  # FFmpeg takes seconds for its table of colours
@pytest.mark.parametrize("curve, name", [(16, "PQ"), (18, "HLG")])
def test_hdr_is_tone_mapped_and_said(curve, name):
    ramp = np.repeat(np.linspace(0, 255, 8).round().astype(np.uint8), 8)
    picture = np.repeat(np.broadcast_to(ramp, (48, 64))[..., None], 3, 2)
    tags = {"colorspace": 9, "color_trc": curve, "color_primaries": 9}
    options = {"x265-params": "log-level=none:bframes=0", "crf": "1"}
    data = encoded(
        [picture], codec="libx265", pix="yuv420p10le", options=options, conversion={"dst_colorspace": 9}, tags=tags
    )
    video = read_video(data)
    row = video.frames[0, 20, 4::8].astype(int)
    assert video.notices == [f"HDR ({name}): tone-mapped to sRGB"]
    assert (np.diff(row[:, 0]) > 4).all() and np.ptp(row, 1).max() <= 3  # rises, and stays grey
    assert row[0, 0] <= 2 and row[-1, 0] >= 250


@pytest.mark.parametrize(
    "kind, codec, pix",
    [
        ("mov", "prores_ks", "yuva444p10le"), ("mov", "qtrle", "argb"), ("mov", "png", "rgba"), ("webm", "libvpx-vp9", "yuva420p"),
        ("matroska", "ffv1", "yuva420p"),
    ],
)  # fmt: skip
def test_transparency_of_every_kind_lies_over_mid_grey(kind, codec, pix):
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this FFmpeg")
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 0], pixels[:, :32, 3] = 255, 255
    pixels[:24, :, 3] //= 2
    frame = read_video(encoded([pixels] * 3, kind, codec, pix)).frames[0].astype(int)
    for at, expected in (((36, 16), (255, 0, 0)), ((12, 16), (191, 64, 64)), ((36, 48), (128, 128, 128))):
        assert np.abs(frame[at] - expected).max() <= 3


def test_half_pictures_are_joined():
    """A bar that moves by 4 pixels from one half picture to the next; as stored, every second line stands apart."""
    pictures = []
    for k in range(8):
        pixels = np.full((96, 128, 3), 16, np.uint8)
        for field in (0, 1):
            left = 8 + 4 * (2 * k + field)
            pixels[field::2, left : left + 10] = 235
        pictures.append(pixels)
    data = encoded(pictures, rate=25, options={"x264-params": "tff=1", "crf": "1"})
    video = read_video(data, fps=25)
    bars = video.frames[..., 0].astype(float)
    comb = np.abs(bars[:, 2:-2:2] - (bars[:, 1:-3:2] + bars[:, 3:-1:2]) / 2).mean()
    assert (
        comb < 0.5 and video.notices == ["interlaced: its half pictures are joined (bwdif)"] and len(video.frames) == 8
    )
    for k, frame in enumerate(bars):  # and each is in its time
        assert abs(np.average(np.arange(128), weights=frame[40] - frame.min() + 1e-9) - (8 + 8 * k + 4.5)) < 4.1
