"""Colour: every mode that a picture file may have, to 8-bit sRGB over mid grey."""

import io

import numpy as np
from PIL import Image, ImageCms

GREY = 128  # what lies behind transparent pixels and beside thin pictures


def to_srgb(image, notices):
    """An RGB image of any loaded PIL image.

    An embedded colour profile is applied where littleCMS can; 16-bit and floating-point greys are scaled, not clipped;
    transparency is laid over mid grey, so that colours hidden under it never show. What was done beyond the usual is
    appended to ``notices``.
    """
    profile = image.info.get("icc_profile")
    image, alpha = _without_alpha(_eight_bits(image, notices))
    rgb = _apply_profile(image, profile, notices) or _plain_rgb(image, notices)
    if alpha is None:
        return rgb
    over = Image.new("RGB", rgb.size, (GREY,) * 3)
    over.paste(rgb, mask=alpha)
    return over


def _eight_bits(image, notices):
    """Greys of more than 8 bits scaled to "L"; other modes as they are."""
    if image.mode != "F" and image.mode != "I" and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image)
    grey = _scale_float(values, notices) if image.mode == "F" else _scale_integer(values, notices)
    transparent = image.info.get("transparency")
    out = Image.fromarray(grey)
    if isinstance(transparent, int):
        out.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return out


def _scale_integer(values, notices):
    """16-bit greys by 257 (65535 is white); wider ones from their lowest to their highest value."""
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= 65535:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return _stretch(values, low, high, notices)


def _scale_float(values, notices):
    """Floating-point greys: 0…1, 0…255 and 0…65535 by their unit, others from lowest to highest; NaN is black."""
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value in it")
    low, high = float(values[finite].min()), float(values[finite].max())
    values = np.where(finite, values, low)
    for top in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= top:
            return np.rint(values * (255.0 / top)).astype(np.uint8)
    return _stretch(values, low, high, notices)


def _stretch(values, low, high, notices):
    notices.append(f"values from {low:g} to {high:g}: shown from black to white")
    scaled = (values.astype(np.float64) - low) * (255.0 / max(high - low, np.finfo(float).tiny))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


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
    """The image in sRGB by its embedded profile, or None where there is none or it does not fit the picture."""
    if not profile or image.mode not in ("RGB", "L", "CMYK", "LAB"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImportError, OSError, ValueError, TypeError, ImageCms.PyCMSError):
        notices.append("its colour profile cannot be applied: colours may differ a little")
        return None
