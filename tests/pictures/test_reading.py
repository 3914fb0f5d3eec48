"""Reading pictures: every format and every way in which a file can be bad (faults, rows 1 to 13)."""

import io
import os
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_bytes import png
from PIL import Image, ImageCms, features

from factortopy.errors import InputError
from factortopy.pictures.archives import read_zip
from factortopy.pictures.reading import read_image, read_picture, read_pictures
from factortopy.wording import MAX_LABEL, safe_label

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
PROPERTY = settings(max_examples=25, deadline=None, derandomize=True)


def photo(width=48, height=32, seed=0):
    """A smooth picture with a bright top left corner."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 200, (4, 6, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    pixels[: height // 4, : width // 4] = 255
    return pixels


def encoded(image, kind="PNG", **options):
    """Bytes of an array or PIL image in a format."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sentence(source, **options):
    """The message of the InputError that reading raises: one line, and never advice to load unsafely."""
    with pytest.raises(InputError) as error:
        read_picture(source, **options)
    text = str(error.value)
    assert "\n" not in text and "expected" in text and "found" in text
    return text


@pytest.mark.parametrize("kind", [*FORMATS, "AVIF"])
def test_formats_are_read(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    pixels = photo()
    got = read_image(encoded(pixels, kind))
    assert got.shape == (32, 48, 3) and got.dtype == np.uint8
    assert np.abs(got.astype(int) - pixels).mean() < 12


def test_all_kinds_of_source_give_the_same(tmp_path):
    data = encoded(photo())
    path = tmp_path / "a.png"
    path.write_bytes(data)
    sources = [path, str(path), data, bytearray(data), io.BytesIO(data), Image.open(path), photo()]
    for source in sources:
        assert np.array_equal(read_image(source), photo())
    own = Image.fromarray(photo())
    own.info["mine"] = 1
    read_picture(own, longest=10)
    assert own.size == (48, 32) and own.info == {"mine": 1} and np.array_equal(own, photo())


# ---------------------------------------------------------------- row 1: CMYK, and colour profiles


@pytest.mark.parametrize(
    "ink, colour",
    [
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0,) * 4, (255,) * 3),
    ],
)
def test_cmyk_swatch(ink, colour):
    picture = read_picture(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert np.abs(picture.pixels.reshape(-1, 3).mean(0) - colour).max() < 12
    assert any("CMYK" in notice for notice in picture.notices)


def swapped_profile():
    """An sRGB profile with red and blue exchanged, not called sRGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = {}
    for k in range(struct.unpack(">I", data[128:132])[0]):
        at = 132 + 12 * k
        table[bytes(data[at : at + 4])] = slice(at + 4, at + 12)
    red, blue = bytes(data[table[b"rXYZ"]]), bytes(data[table[b"bXYZ"]])
    data[table[b"rXYZ"]], data[table[b"bXYZ"]] = blue, red
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_embedded_profile_is_applied(mode):
    red = Image.new(mode, (16, 16), "red")
    got = read_image(encoded(red, "PNG", icc_profile=swapped_profile()))
    assert got[8, 8, 2] > 240 and got[8, 8, 0] < 15  # the profile says that this red is blue


@pytest.mark.parametrize("profile", [b"no profile at all", swapped_profile()[:200]])
def test_unusable_profile_is_said_and_the_picture_read(profile):
    picture = read_picture(encoded(photo(), "PNG", icc_profile=profile))
    assert np.array_equal(picture.pixels, photo())
    assert any("colour profile" in notice for notice in picture.notices)


def test_profile_of_another_mode_falls_back():
    cmyk = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    picture = read_picture(encoded(cmyk, "JPEG", icc_profile=swapped_profile()))
    assert np.abs(picture.pixels[8, 8] - np.array([0.0, 255, 255])).max() < 12 and len(picture.notices) == 2


# ---------------------------------------------------------------- row 2: more than 8 bits


def test_16_bit_ramp_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        got = read_image(encoded(ramp, kind))
        assert np.abs(got[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_tiff_is_scaled_by_its_unit(top):
    ramp = (np.arange(256, dtype=np.float32) / 255 * top).reshape(16, 16)
    assert np.abs(read_image(encoded(ramp, "TIFF"))[..., 1].ravel().astype(int) - np.arange(256)).max() <= 1


def test_float_tiff_with_negative_and_missing_values():
    ramp = np.linspace(-3, 5, 256, dtype=np.float32).reshape(16, 16)
    ramp[0, 0] = np.nan
    picture = read_picture(encoded(ramp, "TIFF"))
    assert picture.pixels[0, 0, 0] == 0 and picture.pixels[-1, -1, 0] == 255 and "black to white" in picture.notices[0]


# ---------------------------------------------------------------- row 3: animations


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (16, 16), (50 * k, 255 - 50 * k, 0)) for k in range(5)]
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options))
    assert tuple(picture.pixels[8, 8]) == (0, 255, 0) and picture.notices == ["animated: first frame used"]


def test_first_page_of_a_tiff():
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    picture = read_picture(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert tuple(picture.pixels[0, 0]) == (255, 0, 0) and "first page" in picture.notices[0]


# ---------------------------------------------------------------- row 4: transparency


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_mid_grey_whatever_colour_they_hide(mode):
    hidden = Image.new("RGBA", (16, 16), (255, 255, 255, 0)).convert(mode)
    assert (read_image(encoded(hidden)) == 128).all()


def test_half_transparent_is_half_way():
    half = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
    assert np.abs(read_image(encoded(half))[0, 0].astype(int) - (192, 64, 64)).max() <= 1


@pytest.mark.parametrize("mode, key", [("L", 7), ("RGB", (7, 7, 7)), ("P", 7)])
def test_transparent_colour_key(mode, key):
    image = Image.new("RGB" if mode == "RGB" else mode, (16, 16), key)
    image.paste(200 if mode != "RGB" else (200, 200, 200), (0, 0, 8, 16))
    if mode == "P":
        image.putpalette([k for k in range(256) for _ in range(3)])
    got = read_image(encoded(image, "PNG", transparency=key))
    assert (got[:, 8:] == 128).all() and (got[:, :8] == 200).all()


def test_transparent_16_bit_grey():
    values = np.full((16, 16), 65535, dtype=np.uint16)
    values[:, 8:] = 1000
    got = read_image(encoded(values, "PNG", transparency=1000))
    assert (got[:, :8] == 255).all() and (got[:, 8:] == 128).all()


@pytest.mark.parametrize("mode", ["1", "P", "YCbCr", "LAB", "HSV", "RGBX"])
def test_rare_modes(mode):
    grey = Image.new("L", (16, 16), 255)
    image = Image.new("LAB", (16, 16), (255, 128, 128)) if mode == "LAB" else grey.convert("RGB").convert(mode)
    picture = read_picture(image)
    assert picture.pixels.shape == (16, 16, 3) and picture.pixels.min() > 250


# ---------------------------------------------------------------- row 5: rotation


UPRIGHT = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("longest", [None, 12])
def test_exif_rotation_is_applied(kind, orientation, longest):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    exif = Image.Exif()
    exif[274] = orientation
    options = {"save_all": True, "append_images": [Image.fromarray(photo(seed=1))]} if kind == "MPO" else {}
    data = encoded(photo(), kind, exif=exif.tobytes(), **options)
    upright = np.asarray(Image.fromarray(UPRIGHT[orientation](photo())))
    got = read_picture(data, longest=longest).pixels
    if longest:
        upright = np.asarray(Image.fromarray(upright).resize(got.shape[1::-1], Image.Resampling.BOX))
        assert max(got.shape) == longest
    assert got.shape == upright.shape and np.abs(got.astype(int) - upright).mean() < 12
    assert np.array_equal(read_image(Image.open(io.BytesIO(data))), read_image(data))  # turned once, whoever opened it


@given(
    st.integers(1, 8),
    st.integers(8, 30),
    st.integers(8, 30),
    st.sampled_from(["eXIf", "text", "TIFF", "TIFF, packed", "XMP"]),
)
@PROPERTY
def test_any_orientation_of_any_shape_pixel_by_pixel(orientation, width, height, how):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    if how == "text":  # as ImageMagick writes EXIF into a PNG
        text = f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n"
        data = png(pixels, 2, (b"tEXt", b"Raw profile type exif\0" + text.encode()))
    elif how == "XMP":
        data = encoded(pixels, "WEBP", lossless=True, xmp=b'<x tiff:Orientation="%d"/>' % orientation)
    elif how == "eXIf":
        data = encoded(pixels, "PNG", exif=exif.tobytes())
    else:
        options = {"compression": "tiff_lzw"} if "packed" in how else {}
        data = encoded(pixels, "TIFF", tiffinfo={274: orientation}, **options)
    assert np.array_equal(read_image(data), UPRIGHT[orientation](pixels))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert np.array_equal(read_image(encoded(photo(), "PNG", exif=exif.tobytes())), photo())


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_an_avif_is_turned_by_its_own_property_alone():
    """MIAF: EXIF and XMP repeat how a picture was turned before; programs that turn by them turn twice."""
    data = encoded(photo(), "AVIF", xmp=b'<x tiff:Orientation="6"/>')
    assert read_image(data).shape == photo().shape


def test_damaged_exif_does_not_lose_the_picture():
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(photo(), "JPEG", exif=exif.tobytes())
    at = data.index(b"Exif\0\0") + 6
    broken = data[:at] + b"\xff" * 8 + data[at + 8 :]
    assert read_image(broken).shape in ((32, 48, 3), (48, 32, 3))


# ---------------------------------------------------------------- row 6: bombs


def png_of(width, height, colour_type=2, depth=8):
    """A PNG whose header states a size; its data are a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8000, 10000, 20000, 2**31 - 1])
def test_huge_pictures_are_refused_by_their_header(side):
    text = sentence(png_of(side, side), name="bomb.png")
    assert "million pixels" in text and "bomb.png" in text and "shrink" in text


def test_a_small_bomb_of_a_hundred_million_pixels(tmp_path):
    path = tmp_path / "white.png"
    Image.new("1", (10000, 10000), 1).save(path)
    assert path.stat().st_size < 50_000
    assert "found 10000 × 10000" in sentence(path)


def test_limit_of_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("factortopy.pictures.reading.MAX_BYTES", 1000)
    data = encoded(photo()) + b"\0" * 2000
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert "MB" in sentence(path) and "MB" in sentence(data) and "MB" in sentence(io.BytesIO(data))


# ---------------------------------------------------------------- row 7: truncated, flipped


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(noise, kind)
    assert "again" in sentence(data[: int(share * len(data))])


@given(st.sampled_from(FORMATS), st.integers(0, 2**31), st.integers(1, 8))
@PROPERTY
def test_flipped_bits_never_give_anything_but_pixels_or_a_sentence(kind, seed, flips):
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(photo(), kind))
    for at in rng.integers(0, len(data), flips):
        data[at] ^= 1 << rng.integers(0, 8)
    try:
        pixels = read_image(bytes(data))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"II*\0", b"BM"])
)
@PROPERTY
def test_random_bytes(data, start):
    try:
        assert read_image(start + data).dtype == np.uint8
    except InputError as error:
        assert "\n" not in str(error)


def test_a_cut_file_that_somebody_opened():
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert "incomplete" in sentence(Image.open(io.BytesIO(data[:3000])))


TAILS = [b"\0" * 4096, b"\0\0\0\x18ftypmp42" + bytes(range(1, 200)) * 20, b"IDATrest" * 100, b"\xff\xd8\xff\xe0", b"x"]


@pytest.mark.parametrize("kind", [*FORMATS, "AVIF"])
@pytest.mark.parametrize("tail", TAILS)
def test_bytes_behind_the_end_are_none_of_the_picture(kind, tail):
    data = encoded(photo(), kind)
    assert np.array_equal(read_image(data + tail), read_image(data))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": "4:1:1"}, {"subsampling": "4:4:4"}])
def test_kinds_of_jpeg(options):
    picture = read_picture(encoded(photo(), "JPEG", quality=95, **options))
    assert picture.notices == [] and np.abs(picture.pixels.astype(int) - photo()).mean() < 12


# ---------------------------------------------------------------- rows 8, 9, 16: other content


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty file"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<svg/>", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        ("Einkaufsliste: Äpfel, Brot".encode(), "plain text"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "export it as JPEG"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s12345--d41d8cd98f00b204e9800998ecf8427e.png\n", "git annex get"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"PK\x03\x04" + b"\0" * 40, "archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + b"\0" * 40, "EPS"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (bytes(range(128, 256)) * 4, "another kind"),
    ],
)
def test_files_that_are_no_pictures_say_what_they_are(data, words, tmp_path):
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    text = sentence(path)
    assert words in text and "holiday.png" in text


def test_ghostscript_is_never_looked_for(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: pytest.fail("Ghostscript was started"))
    eps = encoded(Image.fromarray(photo()), "EPS")
    assert "EPS" in sentence(eps, name="drawing.png")


def test_content_decides_not_the_name(tmp_path):
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(encoded(photo(), "JPEG"))
    assert read_image(path).shape == (32, 48, 3)


def test_paths_that_are_no_files(tmp_path):
    assert "folder" in sentence(tmp_path)
    assert "nothing there" in sentence(tmp_path / "missing.png")
    (tmp_path / "annexed.png").symlink_to(tmp_path / ".git/annex/objects/xx")
    assert "git annex get" in sentence(tmp_path / "annexed.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe" in sentence(tmp_path / "pipe.png")
    assert "web address" in sentence("https://example.org/cat.png")
    assert "path" in sentence("a\0b.png")
    assert "path" in sentence(3.5)
    assert "uint8" in sentence(np.zeros((16, 16, 3)))


# ---------------------------------------------------------------- row 10: sizes


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (20000, 3)])
def test_too_small(size):
    assert f"at least 8 pixels on each side, found {size[0]} × {size[1]}" in sentence(encoded(Image.new("RGB", size)))


@pytest.mark.parametrize("size, padded", [((400, 10), (400, 100)), ((10, 400), (100, 400)), ((20000, 8), (20000, 800))])
def test_thin_pictures_are_padded(size, padded):
    picture = read_picture(encoded(Image.new("RGB", size, "white")))
    height, width = picture.pixels.shape[:2]
    assert (width, height) == padded and "thin" in picture.notices[0]
    assert (picture.pixels[0, 0] == 128).all() and (picture.pixels[height // 2, width // 2] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_longest_side(kind):
    data = encoded(Image.fromarray(photo(300, 200)), kind)
    assert read_picture(data, longest=60).pixels.shape == (40, 60, 3)
    assert read_picture(data, longest=600).pixels.shape == (200, 300, 3)


# ---------------------------------------------------------------- row 11: many


def test_good_ones_of_many_are_read_and_bad_ones_listed():
    good = [(f"good {k}.png", encoded(photo(16, 16, seed=k))) for k in range(490)]
    bad = [(f"bad {k}.png", b"\x89PNG\r\n\x1a\n" + bytes([k])) for k in range(10)]
    items = [item for pair in zip(good[:10], bad, strict=True) for item in pair] + good[10:]
    pictures = read_pictures(iter(items))
    assert [p.name for p in pictures.good] == [name for name, _ in good]
    assert [name for name, _ in pictures.bad] == [name for name, _ in bad]
    assert all("expected" in text for _, text in pictures.bad)


def test_the_sum_of_many_is_capped():
    items = [(f"{k}.png", encoded(photo(64, 64, seed=k))) for k in range(8)]
    pictures = read_pictures(items, most_bytes=5 * 64 * 64 * 3 - 1)
    assert len(pictures.good) == 5 and len(pictures.bad) == 3 and "send the rest later" in pictures.bad[0][1]
    assert len(read_pictures(items, most=2).good) == 2
    assert read_pictures(items, longest=16).good[0].pixels.shape == (16, 16, 3)


# ---------------------------------------------------------------- row 12: names


def test_same_content_has_one_identity_under_any_name():
    first, second = encoded(photo(seed=1)), encoded(photo(seed=2))
    assert read_picture(first, name="a.png").id == read_picture(first, name="b.png").id != read_picture(second).id
    pictures = read_pictures([("a.png", first), ("a.png", second), ("b.png", first)])
    assert len(pictures.good) == 2 and "same picture" in pictures.bad[0][1]


@given(
    st.text(max_size=400) | st.sampled_from(["../../etc/passwd", "..", "a\nb", "x" * 300 + ".jpeg", "\u202egnp.exe"])
)
@PROPERTY
def test_names_become_one_short_line_without_folders(name):
    label = safe_label(name)
    assert label and len(label) <= MAX_LABEL and label.strip(".")
    assert not set(label) & set("/\\\0\n\r\u202e\x1b")
    assert read_picture(photo(), name=name).name == label


def test_long_names_keep_their_ending():
    assert safe_label("x" * 300 + ".jpeg").endswith(".jpeg") and safe_label("C:\\pictures\\cat.png") == "cat.png"


# ---------------------------------------------------------------- row 13: archives


def zipped(members, **options):
    """Bytes of a zip of {name or ZipInfo: bytes}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def refused(data):
    with pytest.raises(InputError) as error:
        list(read_zip(data, name="pictures.zip"))
    assert "\n" not in str(error.value) and "pictures.zip" in str(error.value)
    return str(error.value)


def test_zip_of_pictures(tmp_path):
    data = zipped(
        {"a.png": encoded(photo()), "more/b.png": encoded(photo(seed=1)), "notes.txt": b"hello", "__MACOSX/x": b""}
    )
    path = tmp_path / "p.zip"
    path.write_bytes(data)
    for source in (data, path):
        pictures = read_pictures(read_zip(source))
        assert [p.name for p in pictures.good] == ["a.png", "b.png"] and [n for n, _ in pictures.bad] == ["notes.txt"]


def test_an_empty_archive_is_said():
    assert "empty archive" in refused(zipped({})) and "empty archive" in refused(zipped({"__MACOSX/x": b""}))


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "a\\..\\..\\x.png"])
def test_zip_slip_refuses_the_whole_archive(name):
    assert "leads outside" in refused(zipped({"good.png": encoded(photo()), name: b"x"}))


def test_zip_with_link():
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "symbolic link" in refused(zipped({"good.png": encoded(photo()), link: b"/etc/passwd"}))


def test_zip_bombs():
    assert "times its size" in refused(zipped({"big.png": b"\0" * (150 * 2**20)}, compresslevel=9))
    assert "at most 2000 files" in refused(zipped({f"{k}.png": b"" for k in range(2001)}))


def test_flat_drawings_may_shrink_a_lot():
    drawings = {f"{k}.bmp": encoded(Image.new("RGB", (512, 512), (k, 0, 0)), "BMP") for k in range(12)}
    data = zipped(drawings | {"._0.bmp": b"Mac"})
    assert sum(map(len, drawings.values())) > 100 * len(data)
    assert len(read_pictures(read_zip(data)).good) == 12


def test_another_compression_is_not_called_damage():
    data = zipped({"a.png": encoded(photo())})
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        k = data.index(signature) + at
        data = data[:k] + b"\x09\0" + data[k + 2 :]
    assert "plain zip compression" in refused(data)


def test_zip_that_lies_about_its_sizes(monkeypatch):
    data = bytearray(zipped({"a.png": b"\0" * 100_000}))
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 100)  # uncompressed size in the table of contents
    assert "damaged" in refused(bytes(data))
    monkeypatch.setattr("factortopy.pictures.archives.MAX_TOTAL", 2**20)
    assert "unpacked" in refused(zipped({f"{k}.png": os.urandom(2**19) for k in range(3)}))


def test_damaged_archives():
    data = zipped({"a.png": encoded(photo()), "b.png": os.urandom(5000)})
    for broken in (b"", b"no zip", data[: len(data) // 2], data[:60] + b"\xff" * 40 + data[100:]):
        assert "copy it again" in refused(broken)
