"""Films: read upright, in time, safely; watched by an encoder with and without the slowness of blood flow."""

import io
import math
import struct
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from colour_encoder import colour_encoder
from film_files import KINDS, film, level
from PIL import Image

from benchmarks.measuring import in_child
from factortopy.errors import InputError
from factortopy.experiments import Stopped
from factortopy.experiments.video import haemodynamic, hrf_kernel, watch
from factortopy.pictures.video import read_video


def turned(mp4, quarters):
    """The film with a display matrix that turns it clockwise, written as ISO 14496-12 says (x' = ax + cy, y' = bx + dy)."""
    a, b, c, d = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[quarters]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    at = mp4.index(b"tkhd") + 4 + 40
    assert mp4[at : at + 4] == struct.pack(">i", 1 << 16)  # the identity stood there
    return mp4[:at] + matrix + mp4[at + 36 :]


def levels(video):
    return np.median(video.frames[:, video.frames.shape[1] * 3 // 4], axis=(1, 2))


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_shown_at_each_time(kind):
    video = read_video(film(kind), fps=4)
    frames, times, info = video
    assert frames.shape == (8, 48, 64, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(times, np.arange(8) / 4)
    np.testing.assert_allclose(
        levels(video), [level(math.floor(2.5 * k)) for k in range(8)], atol=16 if kind == "gif" else 5
    )
    assert frames[:, 5:18, 5:25].min() > 235  # the white quarter is up and left
    assert info["duration"] == pytest.approx(2, abs=0.11) and info["fps"] == pytest.approx(10, abs=0.1)
    assert info["size"] == [64, 48] and info["notices"] == [] == video.notices


def test_a_slow_film_is_held(tmp_path):
    video = read_video(film(frames=3, rate=1), fps=4)
    np.testing.assert_allclose(levels(video), np.repeat([level(0), level(1), level(2)], 4), atol=5)


def test_uneven_frames_are_put_in_time():
    video = read_video(film("mkv", frames=4, times=[0, 0.1, 2.0, 2.4]), fps=2)
    np.testing.assert_allclose(levels(video)[:5], [level(0), level(1), level(1), level(1), level(2)], atol=5)


def test_path_bytes_and_open_file_agree(tmp_path):
    data = film()
    path = tmp_path / "a film; with 'marks'.mp4"
    path.write_bytes(data)
    expected = read_video(data).frames
    with open(path, "rb") as file:
        file.read(100)
        np.testing.assert_array_equal(read_video(file).frames, expected)
        assert not file.closed
    for source in (path, str(path), memoryview(data)):
        np.testing.assert_array_equal(read_video(source).frames, expected)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_films_are_upright(quarters):
    flat = read_video(film()).frames
    video = read_video(turned(film(), quarters))
    np.testing.assert_array_equal(video.frames, np.rot90(flat, -quarters, axes=(1, 2)))
    assert video.info["size"] == ([48, 64] if quarters % 2 else [64, 48])


def test_size():
    assert read_video(film(size=(320, 160)), size=100).frames.shape[1:3] == (50, 100)
    assert read_video(turned(film(size=(320, 160)), 1), size=100).frames.shape[1:3] == (100, 50)
    assert read_video(film(size=(64, 48)), size=100).frames.shape[1:3] == (48, 64)  # not enlarged
    video = read_video(film(size=(64, 48), pixel=Fraction(2)), size=100)  # pixels twice as wide as high
    assert video.frames.shape[1:3] == (38, 100) and video.info["size"] == [128, 48]


def test_transparency_lies_over_mid_grey():
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30] = 255
    frames = [Image.fromarray(pixels), Image.fromarray(np.roll(pixels, 1, 0))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=500, disposal=2)
    video = read_video(buffer.getvalue(), fps=4)
    assert len(video.frames) == 4
    assert (video.frames[:, :8, :8] == 128).all() and (video.frames[:, 14:26, 14:26] == 255).all()


# ---------------------------------------------------------------- faults


def sound():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000)
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, 1024 * k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def riff():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000), out.writeframes(bytes(4000))
    return buffer.getvalue()


def png():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "an empty file"),
        (b"this is no film" * 100, "of another kind"),
        (bytes(5000), "of another kind"),
        (png(), "a still picture"),
        (riff(), "sound alone"),
        (sound(), "sound alone"),
        (film("mp4")[: len(film("mp4")) // 2], "incomplete"),  # its index comes last
    ],
    ids=["empty", "text", "zeros", "picture", "wave", "sound", "cut mp4"],
)
def test_what_is_no_film(data, words):
    with pytest.raises(InputError, match=words):
        read_video(data, name="my film")


def test_no_playlist_is_followed(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(film())
    where = tmp_path / "secret.mp4"
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{where}\n#EXT-X-ENDLIST\n",
        "b.txt": f"ffconcat version 1.0\nfile {where}\n",
        "c.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="expected MP4"):
            read_video(tmp_path / name)
        with pytest.raises(InputError, match="expected MP4"):
            read_video(text.encode())
    for address in ("http://127.0.0.1/film.mp4", f"file:{where}", f"concat:{where}"):
        with pytest.raises(InputError, match="found none there"):
            read_video(address)


@pytest.mark.parametrize("kind", [kind for kind in ("webm", "mkv", "avi") if kind in KINDS])
def test_a_film_that_breaks_off_keeps_what_was_read(kind):
    data = film(kind, frames=100, size=(160, 120))
    video = read_video(data[: len(data) * 6 // 10])
    assert 10 < len(video.frames) < 36
    np.testing.assert_allclose(levels(video)[:10], [level(math.floor(2.5 * k)) for k in range(10)], atol=5)
    (notice,) = video.notices
    assert notice.startswith("incomplete: ") and " of 10.0 s could be read" in notice


def test_too_long():
    with pytest.raises(InputError, match=r"at most 5 s \(20 frames at 4 a second\), found 10 s"):
        read_video(film(frames=100), most=20)
    assert len(read_video(film(frames=100), most=40).frames) == 40
    with pytest.raises(InputError, match="at most 120 s"):  # a thousand seconds between two frames
        read_video(film("mkv", frames=2, times=[0, 1e3]))


def test_a_film_that_does_not_say_how_long_it_is():
    live = film("mkv", frames=100, options={"live": "1"})
    video = read_video(live)
    assert video.info["stated_duration"] is None and len(video.frames) == 40 and not video.notices
    with pytest.raises(InputError, match="at most 5 s"):
        read_video(live, most=20)


@pytest.mark.parametrize(
    "setting", [{"fps": 0}, {"fps": "4"}, {"fps": float("nan")}, {"most": 0}, {"size": 2}, {"size": True}]
)
def test_faults_in_settings(setting):
    with pytest.raises(InputError, match=f"video, {next(iter(setting))}"):
        read_video(film(), **setting)


def test_files_that_cannot_be_read(tmp_path):
    for source in (tmp_path, tmp_path / "none.mp4", "a\0b"):
        with pytest.raises(InputError, match="expected a"):
            read_video(source)
    with pytest.raises(InputError, match="found int"):
        read_video(3)


@pytest.mark.parametrize("kind", [kind for kind in ("mp4", "webm", "gif") if kind in KINDS])
def test_damage_never_surprises(kind):
    data, rng, read = film(kind), np.random.default_rng(0), 0
    for trial in range(40):
        hurt = bytearray(data[: rng.integers(1, len(data))] if trial % 4 == 0 else data)
        for at in rng.integers(0, len(hurt), 1 + trial // 2):
            hurt[at] = rng.integers(0, 256)
        try:
            video = read_video(bytes(hurt), size=64)
        except InputError as error:
            assert str(error).startswith("video ")
        else:
            read += 1
            assert len(video.frames) == len(video.times) <= 480 and max(video.frames.shape[1:3]) <= 64
    assert read  # some damage can be lived with


def megabytes(frames):
    """Peak of a film of 1,280 × 720, for ``test_memory``."""
    from benchmarks.measuring import peak_above

    data = film("mp4", frames=frames, size=(1280, 720), options={})
    return peak_above(lambda: read_video(data))


def test_memory_does_not_grow_with_the_film():
    peak = in_child("test_video", "megabytes", {"frames": 100}, PYTHONPATH="tests/pictures:tests/helpers:.")
    assert peak < 120  # raw, they are 276 MB


# ---------------------------------------------------------------- watching


def flat(values, size=32):
    """Frames of one grey each."""
    return np.stack([np.full((size, size, 3), value, np.uint8) for value in values])


def test_each_frame_has_its_own_response():
    encoder, frames, seen = colour_encoder(), flat([0, 128, 255, 30]), []
    found = watch(encoder, frames, np.arange(4) / 4, on_progress=lambda *at: seen.append(at))
    np.testing.assert_allclose(found, encoder.predict(list(frames)), atol=1e-6)
    assert found.shape == (4, 12) and seen[-1] == (4, 4)
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(watch(encoder, frames[order], np.arange(4) / 4), found[order], atol=1e-6)
    with pytest.raises(Stopped):
        watch(encoder, flat([1, 2, 3]), np.arange(3) / 4, on_progress=lambda *at: False)


@pytest.mark.parametrize("model", ["spm", "glover"])
@pytest.mark.parametrize("rate", [1, 4, 10])
def test_a_step_is_answered_late_and_in_full(rate, model):
    onset, n = 10 * rate, 60 * rate
    step = (np.arange(n) >= onset)[:, None] * np.array([[1.0, -3.0]])
    out = haemodynamic(step, 1 / rate, model)
    assert out.shape == step.shape and np.abs(out[: onset + 1]).max() < 1e-6  # nothing before its cause
    np.testing.assert_allclose(out[-1], [1, -3], atol=1e-4)  # the height of the step
    np.testing.assert_allclose(out[:, 1], -3 * out[:, 0], atol=1e-5)
    half = np.argmax(out[:, 0] >= 0.5) / rate - 10
    assert 3.5 <= half <= 6.5  # seconds


@pytest.mark.parametrize("rate", [0.5, 1, 4, 25])
def test_the_kernel_peaks_when_blood_flow_does_at_every_rate(rate):
    kernel = hrf_kernel(1 / rate)
    assert kernel.sum() == pytest.approx(1) and kernel[0] == 0
    centre = (np.argmax(kernel) - 0.5) / rate
    assert abs(centre - 5) <= 0.5 / rate + 0.1
    fine, coarse = hrf_kernel(0.1), kernel
    mean = [((np.arange(len(k)) - 0.5) * step * k).sum() for k, step in ((fine, 0.1), (coarse, 1 / rate))]
    assert abs(mean[0] - mean[1]) < 0.15  # seconds


def test_before_the_film_there_was_grey():
    encoder, times = colour_encoder(), np.arange(160) / 4
    grey = encoder.predict([np.full((32, 32, 3), 128, np.uint8)])
    still = watch(encoder, flat([128] * 160), times, hrf=True)
    np.testing.assert_allclose(still, np.repeat(grey, 160, 0), atol=1e-5)
    white = watch(encoder, flat([255] * 160), times, hrf=True)
    np.testing.assert_allclose(white[0], grey[0], atol=1e-5)
    np.testing.assert_allclose(white[-1], encoder.predict([np.full((32, 32, 3), 255, np.uint8)])[0], atol=1e-3)
    assert not np.allclose(white, watch(encoder, flat([255] * 160), times, hrf="glover"), atol=1e-3)


@pytest.mark.parametrize("times", [[0, 0.25], [0, 1, 0.5], [0, 0, 0], [0, 1, 3]])
def test_faults_in_what_is_watched(times):
    with pytest.raises(InputError, match="video: expected"):
        watch(colour_encoder(), flat([0, 1, 2]), times, hrf=True)
    with pytest.raises(InputError, match="expected one of spm, glover"):
        watch(colour_encoder(), flat([0, 1, 2]), [0, 1, 2], hrf="slow")
    with pytest.raises(InputError, match="at least two frames"):
        watch(colour_encoder(), flat([0]), [0], hrf=True)


def test_a_film_from_file_to_brain():
    """A grey that rises frame by frame: what is read drives what is predicted."""
    video = read_video(film(frames=20))
    found = watch(colour_encoder(), video.frames, video.times)
    assert found.shape == (8, 12)
    right = found[:, 6]  # its place holds the grey, not the white quarter
    np.testing.assert_allclose(right * 255, [level(math.floor(2.5 * k)) for k in range(8)], atol=6)
