"""Colour: every mode that a picture file may have, to 8-bit sRGB over mid grey."""

import io

from PIL import Image, ImageCms

from factortopy.pictures.depth import eight_bits
from factortopy.pictures.profiles import is_srgb, stated_profile

GREY = 128  # what lies behind transparent pixels and beside thin pictures
_PROFILED = ("RGB", "L", "CMYK", "LAB")  # modes that profiles are for


def to_srgb(image, notices, data=b"", label="picture"):
    """An RGB image of any loaded PIL image.

    What the file says of its colours (ICC profile, PNG's chunks, code points, EXIF) is applied by littleCMS, intent perceptual;
    more than 8 bits are scaled, not clipped; transparency is laid over mid grey, so that colours hidden under it never show.

    Parameters
    ----------
    image : PIL image
    notices : list of str; what was done beyond the usual is appended
    data : bytes of the file that it was loaded from; without, what Pillow does not pass on is not looked at
    label : what the user calls it

    Raises
    ------
    InputError
        HDR (PQ, HLG).
    """
    profile = stated_profile(image, data, label, notices)
    image, profile = eight_bits(image, profile, data, notices)
    image, alpha = _without_alpha(image)
    rgb = _apply_profile(image, profile, notices) or _plain_rgb(image, notices)
    if alpha is None:
        return rgb
    over = Image.new("RGB", rgb.size, (GREY,) * 3)
    over.paste(rgb, mask=alpha)
    return over


def _without_alpha(image):
    """(image without transparency, its alpha as "L" or None)."""
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB"), None
    if image.mode == "La" or (image.mode in ("1", "L") and "transparency" in image.info):
        image = image.convert("LA")
    elif image.mode == "RGBa" or image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.mode == "RGBA":
        return image.convert("RGB"), image.getchannel("A")
    return image, None


def _plain_rgb(image, notices):
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if image.mode == "CMYK":
        notices.append("CMYK without a usable colour profile: colours are approximate")
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply_profile(image, profile, notices):
    """The image in sRGB by its profile, or None where there is none or it does not fit the picture."""
    if not profile or image.mode not in _PROFILED:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")  # grey has three equal channels there
        if image.mode == "RGB" and is_srgb(profile):
            return image
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImportError, OSError, ValueError, TypeError, ImageCms.PyCMSError):
        notices.append("its colour profile cannot be applied: colours may differ a little")
        return None
