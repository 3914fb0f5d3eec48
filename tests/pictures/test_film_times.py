"""Frames at their times, and the one stream of a file that is the film."""

import io
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from film_files import encoded, film, level
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factortopy.errors import InputError
from factortopy.pictures.video import read_video

SIZE = (16, 32)


def greys(n):
    return [np.full((*SIZE, 3), level(k), np.uint8) for k in range(n)]


def numbers(video):
    """The number in ``greys`` of each frame read (below 22)."""
    return [round((float(np.median(frame)) - 40) / 8) for frame in video.frames]


# ---------------------------------------------------------------- times


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["mp4", "matroska", "mov"]),
    st.lists(st.integers(20, 1500), min_size=3, max_size=12),
    st.integers(0, 3),
)
def test_any_variable_rate(kind, gaps, reordered):
    """At every sampled time the frame that a player shows: the last one whose time has come."""
    times = np.concatenate([[0], np.cumsum(gaps)]) / 1000
    data = encoded(greys(len(times)), kind, rate=1000, times=times, options={"crf": "1", "bf": str(reordered)})
    video = read_video(data, fps=10)
    inside = video.times < times[-1]
    near = np.abs(video.times[:, None] - times).min(1) < 0.002  # containers round
    expected = np.searchsorted(times, video.times + 1e-6, side="right") - 1
    assert (np.array(numbers(video)) == expected)[inside & ~near].all() and inside.sum() == np.ceil(
        times[-1] * 10 - 1e-6
    )
    assert video.info["fps"] == pytest.approx((len(times) - 1) / times[-1], rel=0.03)


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska", "mpegts"])
def test_where_a_clock_starts_does_not_matter(kind):
    for start in (0.0, 5.0):
        video = read_video(encoded(greys(20), kind, times=start + np.arange(20) / 10))
        assert numbers(video) == [0, 2, 5, 7, 10, 12, 15, 17] and not video.notices
        assert video.info["duration"] == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska", "mpegts"])
def test_pictures_that_begin_after_the_sound_stay_in_step_with_it(kind):
    video = read_video(encoded(greys(20), kind, times=1 + np.arange(20) / 10, sound=3))
    assert numbers(video)[:5] == [0] * 5 and numbers(video)[6] in (4, 5)  # the sound of MPEG-TS begins 21 ms earlier
    assert re.fullmatch(r"its pictures begin at 1\.0\d s: .*", video.notices[0]) and len(video.notices) == 1


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_sound_that_goes_on_is_no_damage(kind):
    video = read_video(encoded(greys(20), kind, sound=5))
    assert numbers(video) == [0, 2, 5, 7, 10, 12, 15, 17] and not video.info["faults"]
    assert re.fullmatch(r"its pictures end at 2\.0 of (4\.9|5\.[01]) s", video.notices[0])


def test_what_an_edit_list_cuts_off_is_neither_shown_nor_missed():
    data = encoded(greys(60), times=-3 + np.arange(60) / 10, options={"crf": "1", "bf": "0"})
    assert b"elst" in data
    video = read_video(data)
    assert numbers(video)[:3] == [(30 + k) % 22 for k in (0, 2, 5)] and len(video.frames) == 12
    assert video.info["duration"] == video.info["stated_duration"] == 3 and not video.notices


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(5, 14), min_size=2, max_size=4))
def test_films_put_end_to_end_play_on(lengths):
    """MPEG-TS parts, each with its own clock, as cameras and recorders join them."""
    video = read_video(b"".join(encoded(greys(n), "mpegts") for n in lengths), fps=10)
    assert numbers(video) == [k for n in lengths for k in range(n)]
    assert len(video.notices) == len(lengths) - 1 and "jumps back" in video.notices[0]


@pytest.mark.parametrize("kept", [0.9, 0.6, 0.2])
def test_a_film_cut_behind_its_index_is_incomplete(tmp_path, kept):
    noise = np.random.default_rng(0).integers(0, 256, (60, *SIZE, 3), dtype=np.uint8)
    path = tmp_path / "film.mp4"
    with av.open(path, "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=10)
        stream.height, stream.width = SIZE
        for pixels in noise:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))
    data = path.read_bytes()
    assert not read_video(data).notices
    video = read_video(data[: int(len(data) * kept)])
    assert video.info["duration"] < 5.9 and video.info["faults"][0].startswith("incomplete: ")


def test_a_last_frame_that_is_held_is_no_damage():
    for reordered in "03":
        data = encoded(greys(6), rate=1000, times=[0, 0.1, 0.2, 1.5, 1.6, 4.6], options={"crf": "1", "bf": reordered})
        assert not read_video(data).info["faults"]


def test_the_rate_of_a_film_of_one_frame():
    assert read_video(encoded(greys(1), rate=25)).info["fps"] == pytest.approx(25)
    assert len(read_video(encoded(greys(1), "mov", rate=2_000_000)).frames) == 1  # shown for half a microsecond
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16)).save(buffer, "GIF")
    assert read_video(buffer.getvalue()).info["fps"] == 10  # as long as browsers show a frame that states nothing


@pytest.mark.parametrize("kind", ["GIF", "PNG", "AVIF"])
def test_animations_last_as_they_say(kind):
    if kind == "AVIF" and "libdav1d" not in av.codecs_available:
        pytest.skip("no AV1 here")
    frames, buffer = [Image.fromarray(pixels) for pixels in greys(3)], io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=[500, 1000, 250])
    video = read_video(buffer.getvalue())
    assert numbers(video) == [0, 0, 1, 1, 1, 1, 2] and video.info["duration"] == 1.75 and not video.notices


def test_titles_in_any_bytes():
    def titled(stream):
        stream.container.metadata["title"] = "Fruehstueck!"

    data = encoded(greys(5), "avi", "mpeg4", of_stream=titled).replace(
        b"Fruehstueck!", "Frühstücks!!".encode("latin-1")
    )
    assert len(read_video(data).frames) == 2


# ---------------------------------------------------------------- which stream


def several(kind, default=None, cover=False, sound=None, pictures=2):
    """A file of some films (grey 60, 160, …), perhaps a cover picture first and a sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as out:
        streams, late = [], []
        if cover:
            picture = out.add_stream("mjpeg", rate=1)
            picture.width = picture.height = 64
            picture.pix_fmt, picture.disposition = "yuvj420p", av.stream.Disposition.attached_pic.value
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = 0, Fraction(1)
            late = lambda: picture.encode(frame) + picture.encode(None)  # noqa: E731
        for k in range(pictures):
            stream = out.add_stream("libx264", rate=10)
            stream.height, stream.width = SIZE
            stream.disposition = av.stream.Disposition.default.value if k == default else 0
            streams.append(stream)
        voice = out.add_stream(sound, rate=44100, layout="stereo") if sound else None
        for k in range(40 if voice else 0):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.sample_rate, silence.pts = 44100, 1024 * k
            out.mux(voice.encode(silence))
        for k in range(10):
            for number, stream in enumerate(streams):
                frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 60 + 100 * number, np.uint8), "rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 10)
                out.mux(stream.encode(frame))
        for stream in [*streams, *([voice] if voice else [])]:
            out.mux(stream.encode(None))
        if cover:
            out.mux(late())
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_default_one_of_several(kind, default):
    video = read_video(several(kind, default))
    assert abs(int(video.frames[0, 5, 5, 0]) - (60 + 100 * default)) < 4
    assert video.notices == ["2 films in one file: the default one is used"]


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_a_cover_is_not_the_film(kind):
    video = read_video(several(kind, 0, cover=True, sound="aac", pictures=1))
    assert video.frames.shape[1:3] == SIZE and abs(int(video.frames[0, 5, 5, 0]) - 60) < 4 and not video.notices


@pytest.mark.parametrize(
    "kind, codec, words",
    [
        ("mp4", "aac", "sound with a cover picture"),
        ("mp3", "libmp3lame", "sound alone"),
        ("flac", "flac", "sound alone"),
    ],
)
def test_sound_with_a_cover_is_no_film(kind, codec, words):
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this FFmpeg")
    if codec == "flac":
        data = b"fLaC" + bytes(4000)
    else:
        data = several(kind, cover=True, sound=codec, pictures=0)
    with pytest.raises(InputError, match=f"found {words}; choose"):
        read_video(data, name="song")


def test_subtitles_alone_are_no_film():
    buffer = io.BytesIO()
    text = b"1\n00:00:00,000 --> 00:00:01,000\nHello\n\n"
    with av.open(io.BytesIO(text), format="srt") as source, av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream_from_template(source.streams[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(InputError, match="found no pictures"):
        read_video(buffer.getvalue())


def test_encrypted_films_are_refused():
    key = "00112233445566778899aabbccddeeff"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    with pytest.raises(InputError, match="found an encrypted one"):
        read_video(encoded(greys(5), container_options=options))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "AVIF", "WEBP"])
def test_still_pictures_are_no_films(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16)).save(buffer, kind)
    with pytest.raises(InputError, match="found a (still|WebP) picture"):
        read_video(buffer.getvalue())


def test_pointers_in_place_of_films(tmp_path):
    (tmp_path / "film.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(InputError, match="git lfs pull"):
        read_video(tmp_path / "film.mp4")
    (tmp_path / "other.mp4").symlink_to("../.git/annex/objects/xx/film.mp4")
    with pytest.raises(InputError, match="git annex get"):
        read_video(tmp_path / "other.mp4")


SOUND = [
    film("mp4", 6, size=(32, 16)), film("webm", 6, size=(32, 16)), encoded(greys(6), "mpegts"), encoded(greys(6), "mov", "png", "rgb24"),
    encoded(greys(6), options={"x264-params": "tff=1"}), several("matroska", 0, sound="aac"),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=20),
    st.floats(0.05, 1),
)
def test_damage_is_a_film_or_one_line(data, changes, kept):
    hurt = bytearray(data[: max(1, int(len(data) * kept))])
    for at, value in changes:
        hurt[int(at * len(hurt))] = value
    try:
        video = read_video(bytes(hurt), size=32)
    except InputError as error:
        assert str(error).startswith("video ") and "\n" not in str(error)
    else:
        assert len(video.frames) == len(video.times) and np.isfinite(video.info["fps"])
