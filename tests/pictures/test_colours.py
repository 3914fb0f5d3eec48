"""What a picture's numbers mean: profiles by their curves, PNG's chunks, code points, EXIF, more than 8 bits, gain maps."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_bytes import COLORANTS, cmyk_profile, grey_profile, packed_profile, png, rgb_profile, tiff
from PIL import Image, ImageCms, features

from factortopy.errors import InputError
from factortopy.pictures.profiles import ADOBE_RGB, matrix_profile
from factortopy.pictures.reading import read_image, read_picture

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
SRGB = ImageCms.createProfile("sRGB")
SRGB_TABLE = np.where((x := np.linspace(0, 1, 1024)) <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
COLOURS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_littlecms(image, profile):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")).astype(int)


def off(source, expected):
    """Largest difference from the expected levels."""
    return np.abs(read_image(source).astype(int) - expected).max()


def srgb(light):
    """Levels of 0 … 255, unrounded, for light of 0 … 1."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


# ---------------------------------------------------------------- profiles


@given(
    st.sampled_from(list(COLORANTS)), st.floats(0.8, 3), st.sampled_from(["PNG", "TIFF", "WEBP", "JPEG"]), st.booleans()
)
@PROPERTY
def test_any_profile_is_applied_as_littlecms_does(gamut, gamma, kind, whole):
    profile = rgb_profile(gamut, 1 if whole else gamma)
    data = encoded(COLOURS, kind, icc_profile=profile, **({"lossless": True} if kind == "WEBP" else {}))
    plain = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    picture = read_picture(data)
    assert picture.notices == [] and np.abs(picture.pixels - by_littlecms(plain, profile)).max() <= 1


@pytest.mark.parametrize(
    "gamut, gamma, same", [("sRGB", SRGB_TABLE, True), ("sRGB", 2.2, False), ("Display P3", SRGB_TABLE, False)]
)
def test_a_profile_that_is_srgb_by_its_numbers_changes_nothing(gamut, gamma, same):
    assert (off(encoded(COLOURS, icc_profile=rgb_profile(gamut, gamma)), COLOURS) == 0) == same


def test_a_linear_profile_called_srgb():
    linear = np.full((16, 16, 3), 55, np.uint8)  # 0.2158 of the light
    assert (read_image(encoded(linear, icc_profile=rgb_profile("sRGB", 1))) == 128).all()


@pytest.mark.parametrize("gamma", [1, 1.8, SRGB_TABLE])
def test_grey_profiles_and_greys_with_a_profile_for_colours(gamma):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert off(encoded(ramp, icc_profile=grey_profile(gamma)), by_littlecms(ramp, grey_profile(gamma))) <= 1
    three = np.repeat(ramp[..., None], 3, 2)
    picture = read_picture(encoded(ramp, "JPEG", quality=100, icc_profile=rgb_profile("sRGB", gamma)))
    assert picture.notices == [] and np.abs(picture.pixels - by_littlecms(three, rgb_profile("sRGB", gamma))).max() <= 6


def test_cmyk_with_a_profile_and_inverted_as_adobe_writes_it():
    inks = np.kron(np.random.default_rng(1).integers(0, 256, (2, 2, 4), np.uint8), np.ones((16, 16, 1), np.uint8))
    image = Image.fromarray(inks, "CMYK")
    expected = by_littlecms(image, cmyk_profile())
    picture = read_picture(encoded(image, "JPEG", quality=100, subsampling=0, icc_profile=cmyk_profile()))
    assert picture.notices == [] and np.abs(picture.pixels - expected).mean() < 3
    assert off(encoded(image, "TIFF", icc_profile=cmyk_profile()), expected) <= 1


def test_lab_tiff():
    lab = np.broadcast_to(np.array([128, 40, 256 - 30], np.uint8), (16, 16, 3))
    got = read_image(tiff(lab, photometric=8))[0, 0].astype(int)
    assert np.abs(got - (166, 92, 172)).max() <= 2  # L* 50.2, a* 40, b* -30


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
@PROPERTY
def test_a_broken_profile_never_loses_the_picture(at, bytes_):
    profile = bytearray(rgb_profile("Display P3", 2.2))
    profile[at : at + len(bytes_)] = bytes_
    assert read_image(encoded(COLOURS, "TIFF", icc_profile=bytes(profile))).shape == (16, 16, 3)


def test_a_profile_that_cannot_be_unpacked_is_said():
    data = png(COLOURS, 2, (b"iCCP", b"x\0\0" + zlib.compress(rgb_profile())[:-40] + bytes(40)))
    picture = read_picture(data)
    assert (picture.pixels == COLOURS).all() and "colour profile" in picture.notices[0]


# ---------------------------------------------------------------- PNG's own words


def gama(gamma):
    return (b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(corners):
    red, green, blue, white = corners
    return (b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in (*white, *red, *green, *blue))))


PROFILE = (b"iCCP", b"x\0\0" + zlib.compress(rgb_profile("sRGB", 1.5)))
P3_CODE, LINEAR_CODE = (b"cICP", bytes([12, 13, 0, 1])), (b"cICP", bytes([1, 8, 0, 1]))


def test_chunks_of_a_png_in_the_order_of_the_standard():
    grey = np.full((16, 16, 3), 55, np.uint8)
    levels = {"linear": 128, "1.5": round(float(srgb((55 / 255) ** 1.5)))}
    for chunks, level in (
        ([gama(1.0)], levels["linear"]),
        ([gama(1.0), (b"sRGB", b"\0")], 55),
        ([gama(1.0), (b"sRGB", b"\0"), PROFILE], levels["1.5"]),
        ([LINEAR_CODE, gama(0.45455), (b"sRGB", b"\0"), PROFILE], levels["linear"]),
        ([P3_CODE, gama(1.0)], 55),
        ([gama(0.45455)], 55),  # beside sRGB's curve, as ImageMagick writes it
        ([gama(0.45455), chrm(((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.3127, 0.329)))], 55),
    ):
        assert off(png(grey, 2, *chunks), level) <= 1, chunks


@given(st.floats(0.2, 2), st.booleans())
@PROPERTY
def test_any_gamma(gamma, adobe):
    expected = (
        by_littlecms(COLOURS, matrix_profile(ADOBE_RGB, 1 / gamma)) if adobe else srgb((COLOURS / 255) ** (1 / gamma))
    )
    if not adobe and abs(round(gamma, 5) * 2.2 - 1) < 0.01:
        expected = COLOURS
    data = png(COLOURS, 2, gama(gamma), *([chrm(ADOBE_RGB)] if adobe else []))
    assert off(data, expected) <= 2 and np.array_equal(read_image(Image.open(io.BytesIO(data))), read_image(data))


@pytest.mark.parametrize(
    "chunks", [[gama(0)], [gama(0.00001)], [gama(0.5), (b"cHRM", bytes(32))], [gama(1), chrm([(0.3, 0.3)] * 4)]]
)
def test_a_gamma_that_cannot_be_right_is_said(chunks):
    picture = read_picture(png(COLOURS, 2, *chunks))
    assert (picture.pixels == COLOURS).all() and "cannot be right" in picture.notices[0]


@pytest.mark.parametrize(
    "code, gamut, gamma", [(12, "Display P3", SRGB_TABLE), (9, "Rec. 2020", SRGB_TABLE), (1, "sRGB", 1)]
)
def test_code_points(code, gamut, gamma):
    data = png(COLOURS, 2, (b"cICP", bytes([code, 13 if code > 1 else 8, 0, 1])))
    assert off(data, by_littlecms(COLOURS, rgb_profile(gamut, gamma))) <= 2


@pytest.mark.parametrize("curve, name", [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_in_one_line(curve, name):
    with pytest.raises(InputError, match=rf"found HDR \({name}\); export it as a standard") as error:
        read_image(png(COLOURS, 2, (b"cICP", bytes([9, curve, 0, 1]))))
    assert "\n" not in str(error.value)
    if features.check("avif"):
        data = encoded(COLOURS, "AVIF", quality=100, subsampling="4:4:4")
        with pytest.raises(InputError, match=name):
            read_image(data.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x09\0" + bytes([curve])))


def test_unknown_code_points_are_said():
    assert "unknown colour code" in read_picture(png(COLOURS, 2, (b"cICP", bytes([99, 13, 0, 1])))).notices[0]
    assert "limited range" in read_picture(png(COLOURS, 2, (b"cICP", bytes([1, 13, 0, 0])))).notices[0]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_by_the_code_points_of_its_first_picture():
    data = encoded(COLOURS, "AVIF", quality=100, subsampling="4:4:4")
    assert read_picture(data).notices == []
    plain = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    wide = data.replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x0c\0\x0d")
    assert wide != data and off(wide, by_littlecms(plain, rgb_profile("Display P3", SRGB_TABLE))) <= 2
    assert off(data.replace(b"ftypavif", b"ftypmif1"), plain) == 0  # a HEIF file by its first brand, of AVIF pictures


def adobe_exif(space, option):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = space
    exif.get_ifd(0x8769)[0xA005] = {1: option}
    return exif.tobytes()


@pytest.mark.parametrize(
    "space, option, adobe", [(0xFFFF, "R03", True), (2, "R98", True), (1, "R98", False), (0xFFFF, "R98", False)]
)
def test_adobe_rgb_by_the_cameras_word(space, option, adobe):
    data = encoded(np.repeat(COLOURS, 8, 0).repeat(8, 1), "JPEG", quality=100, exif=adobe_exif(space, option))
    plain = np.asarray(Image.open(io.BytesIO(data)))
    expected = by_littlecms(plain, rgb_profile("Adobe RGB", 563 / 256)) if adobe else plain
    assert off(data, expected) <= 2
    assert any("Adobe RGB" in notice for notice in read_picture(data).notices) == adobe


# ---------------------------------------------------------------- more than 8 bits, fewer than 8

DEEP = np.random.default_rng(2).integers(0, 65536, (16, 16, 4)).astype(np.uint16)
DEEP[0, :, :3] = np.arange(16)[:, None] * 40  # darkest levels, which the upper byte alone cannot tell apart


@pytest.mark.parametrize(
    "order, channels, photometric", [("<", 1, 1), (">", 1, 1), ("<", 1, 0), ("<", 3, 2), (">", 3, 2)]
)
def test_16_bit_tiff_of_both_byte_orders(order, channels, photometric):
    values = DEEP[..., 0] if channels == 1 else DEEP[..., :3]
    expected = np.rint(values / 257)
    expected = 255 - expected if photometric == 0 else expected
    assert off(tiff(values, photometric, order=order), expected[..., None] if channels == 1 else expected) == 0


@given(
    st.floats(0.6, 2.6),
    st.sampled_from(["gAMA", "ICC", "table", "grey"]),
    st.sampled_from(["raw", "tiff_adobe_deflate"]),
)
@PROPERTY
def test_16_bit_pictures_keep_their_dark_levels(gamma, how, compression):
    rgb = DEEP[..., :3]
    table = np.linspace(0, 1, 4096) ** gamma
    if how == "gAMA":
        data = png(rgb, 2, gama(1 / gamma), depth=16)
    elif how == "grey":
        rgb = rgb[..., :1]
        data = tiff(rgb[..., 0])
        data = encoded(Image.open(io.BytesIO(data)), "TIFF", icc_profile=grey_profile(table), compression=compression)
    else:
        profile = rgb_profile("sRGB", gamma if how == "ICC" else table)
        data = png(rgb, 2, (b"iCCP", b"x\0\0" + zlib.compress(profile)), depth=16)
    usual = how == "gAMA" and abs(2.2 * round(1 / gamma, 5) - 1) < 0.01
    assert off(data, rgb / 257 if usual else srgb((rgb / 65535) ** gamma)) <= (3 if 2.1 < gamma < 2.5 else 2)


def test_16_bit_alpha_and_the_transparent_colour():
    over = 128 + (DEEP[..., :3] / 257 - 128) * DEEP[..., 3:] / 65535
    assert off(png(DEEP, 6, depth=16), over) <= 2
    assert off(png(DEEP[..., [0, 3]], 4, depth=16), 128 + (DEEP[..., :1] / 257 - 128) * DEEP[..., 3:] / 65535) <= 2
    one = DEEP[3, 4, :3]
    data = png(DEEP[..., :3], 2, (b"tRNS", struct.pack(">3H", *map(int, one))), depth=16)
    expected = np.rint(DEEP[..., :3] / 257)
    expected[3, 4] = 128
    assert off(data, expected) == 0


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_any_depth(depth):
    values = np.arange(256).reshape(16, 16) % 2**depth
    got = read_image(png(values, 0, (b"tRNS", struct.pack(">H", 1)), depth=depth)).astype(int)
    assert (got[values == 1] == 128).all()
    assert np.abs(got[values != 1][:, 0] - np.rint(values[values != 1] * 255 / (2**depth - 1))).max() == 0


def test_12_bits():
    values = np.arange(256).reshape(16, 16) * 16 + 15
    assert off(tiff(values.astype(np.uint16), bits=12), np.rint(values / 4095 * 255)[..., None]) <= 1


RAMP = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize(
    "values, expected, notice",
    [
        (RAMP.astype("i4"), RAMP, "0 to 255"),
        ((RAMP * 257).astype("u4"), RAMP, "0 to 65535"),
        ((RAMP * 16843009).astype("u4"), RAMP, "0 to 4.29497e+09"),
        ((RAMP * 257 - 32768).astype("i2"), RAMP, "-32768 to 32767"),
        ((RAMP * 128).astype("i2"), RAMP * 128 / 32767 * 255, "0 to 32767"),
        ((RAMP - 128).astype("i1"), RAMP, "-128 to 127"),
        ((1 - RAMP / 255).astype("f4"), 255 - RAMP, None),
    ],
)
def test_numbers_without_a_white_of_their_own_are_scaled_with_a_word(values, expected, notice):
    picture = read_picture(tiff(values))
    assert np.abs(picture.pixels[..., 0] - expected).max() <= 1
    assert picture.notices == [] if notice is None else notice in picture.notices[0]


def test_white_is_zero_in_any_depth():
    for values in (RAMP.astype("u1"), (RAMP * 257).astype("u2"), (RAMP / 255).astype("f4")):
        assert off(tiff(values, photometric=0), (255 - RAMP)[..., None]) == 0


# ---------------------------------------------------------------- several pictures in one file


@pytest.mark.parametrize("mark", [b'hdrgm:Version="1.0"', b"urn:iso:std:iso:ts:21496:-1\0", b"<HDRGainMap:Version>"])
def test_a_gain_map_is_ignored_with_a_word(mark):
    data = encoded(COLOURS, "JPEG")
    own = b"http://ns.adobe.com/xap/1.0/\0<x " + mark + b"/>"
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(own) + 2) + own + data[2:]
    picture = read_picture(data)
    assert "gain map" in picture.notices[0] and (picture.pixels == read_image(encoded(COLOURS, "JPEG"))).all()


def test_further_views_are_said_and_previews_are_not():
    first, second = Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1].copy())
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert read_picture(data).notices == ["2 pictures in one file: first one used"]
    at = data.index(struct.pack("<L", 0x030000), data.index(b"MPF") + 20) + 16  # the second entry's kind
    preview = data[:at] + struct.pack("<L", 0x010001) + data[at + 4 :]
    assert read_picture(preview).notices == [] and (read_image(preview) == read_image(data)).all()


def test_a_raw_camera_file_is_no_picture_of_its_preview():
    with pytest.raises(InputError, match="preview of a larger one"):
        read_image(tiff(RAMP.astype("u1"), tags=[(254, 1), (330, 8)]))
    assert off(tiff(RAMP.astype("u1"), tags=[(254, 1)]), RAMP[..., None]) == 0  # nothing larger is in it


def test_a_printers_profile_for_colours_is_said():
    data = encoded(COLOURS, icc_profile=packed_profile({}, b"CMYK", b"Lab ", b"prtr"))
    assert "colour profile" in read_picture(data).notices[0]
