"""Palettes, made in OKLab (Ottosson 2020), a space in which equal steps look about equal.

Every palette is a uint8 array of sRGB colours: (K, 3), or (P, P, 3) for the two-dimensional one (row y, column x).
"""

from functools import cache

import numpy as np

_LAB_TO_CONE = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_CONE_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
# Anchors of published maps: matplotlib's viridis and inferno (CC0), ColorBrewer's PuOr and RdBu (Apache 2.0).
_ANCHORS = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "brown-purple": "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b",
    "blue-red": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
# Fifty colours, each as far as possible in OKLab from those before it and from the grey ground; fixed, so that a
# cluster keeps its colour from one session to the next (tests/view/test_view_colour.py computes them again).
_CATEGORIES = (
    "317de9 f6e12b 5bf8fd f592fe b11f47 6f2da2 40970f fa6773 54dd7d b950b2 fba962 bb6828 18c2e2 18671e 08569a a1a3fe "
    "afa12f fdb6d2 2eb88f 7760b5 bfd998 d07ebd 9774f0 9ffa7f 833269 8e3509 bf5b74 77601b 858441 359282 5f95c3 e19798 "
    "72b426 40d9c1 d98941 b0cd26 037465 4276a3 584a82 4c51c7 c43b10 99ba7e 8dc4f5 9b6d9f 8f4c55 d1ade8 fada99 d7bd51 "
    "86f9c4 0d8750"
).split()


# ---------------------------------------------------------------- colour space


def srgb_from_oklab(lab):
    """(…, 3) sRGB in 0…1 (outside it where the colour cannot be shown) of (…, 3) OKLab."""
    cone = np.asarray(lab, dtype=float) @ _LAB_TO_CONE.T
    linear = (cone**3) @ _CONE_TO_RGB.T
    magnitude = np.abs(linear)
    curve = np.where(magnitude <= 0.0031308, 12.92 * magnitude, 1.055 * magnitude ** (1 / 2.4) - 0.055)
    return np.sign(linear) * curve


def oklab_from_srgb(rgb):
    """(…, 3) OKLab of (…, 3) sRGB, as 0…1 floats or as uint8."""
    rgb = np.asarray(rgb)
    rgb = rgb / 255 if rgb.dtype == np.uint8 else rgb.astype(float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cone = np.cbrt(linear @ np.linalg.inv(_CONE_TO_RGB).T)
    return cone @ np.linalg.inv(_LAB_TO_CONE).T


def _to_bytes(rgb):
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _shown(lab):
    """Where an OKLab colour lies inside sRGB."""
    rgb = srgb_from_oklab(lab)
    return ((rgb >= -1e-4) & (rgb <= 1 + 1e-4)).all(-1)


def _polar(lightness, chroma, hue_degrees):
    hue = np.deg2rad(hue_degrees)
    return np.stack(np.broadcast_arrays(lightness, chroma * np.cos(hue), chroma * np.sin(hue)), axis=-1)


def _vivid(lightness, hue_degrees, limit):
    """OKLab of the strongest shown colour, at most ``limit`` in chroma, of each lightness and hue."""
    chroma = np.linspace(0, limit, 60)
    ok = np.stack([_shown(_polar(lightness, c, hue_degrees)) for c in chroma])
    last = len(chroma) - 1 - np.argmax(ok[::-1], axis=0)
    return _polar(lightness, chroma[last], hue_degrees)


def _even_steps(lab, n):
    """``n`` colours at equal distances along a path of OKLab colours (the middle of it for n = 1)."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    at = np.linspace(0, along[-1], n) if n > 1 else along[-1:] / 2
    return np.stack([np.interp(at, along, lab[:, k]) for k in range(3)], axis=1)


# ---------------------------------------------------------------- palettes


def layers(n, safe=False):
    """(n, 3) ordered colours for the layers of a network, first to last.

    The standard one runs through the hues from blue to red at nearly one lightness, so that brightness stays free for
    confidence. ``safe=True`` runs from dark blue over magenta to light yellow: its order is one of lightness as well,
    which people with any colour deficiency see.
    """
    return _to_bytes(srgb_from_oklab(_even_steps(_path_of_layers(bool(safe)), n)))


@cache
def _path_of_layers(safe):
    """(400, 3) OKLab; kept, since it takes longer than all else of a map."""
    t = np.linspace(0, 1, 400)
    if safe:
        hue = np.interp(t, [0, 0.5, 1], [275, 360, 460])
        return _vivid(np.interp(t, [0, 1], [0.47, 0.92]), hue, 0.20)
    hue = np.interp(t, [0, 1], [268, 22])
    return _vivid(np.interp(t, [0, 0.55, 1], [0.64, 0.80, 0.65]), hue, 0.19)


def _from_anchors(name, n):
    anchors = oklab_from_srgb(
        np.array([[int(code[k : k + 2], 16) for k in (0, 2, 4)] for code in _ANCHORS[name].split()], dtype=np.uint8)
    )
    at = np.linspace(0, len(anchors) - 1, n)
    lab = np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)], axis=1)
    return _to_bytes(srgb_from_oklab(lab))


def sequential(name="viridis", n=255):
    """(n, 3) from low to high: ``viridis`` or ``inferno``."""
    return _from_anchors(name, n)


def diverging(name="blue-red", n=255):
    """(n, 3) around a light middle: ``blue-red`` for responses and differences, ``brown-purple`` for scale."""
    return _from_anchors(name, n)


def cyclic(n=254):
    """(n, 3) once round the hues at one lightness, for angles; the last is followed by the first."""
    hue = np.arange(n) * 360 / n
    return _to_bytes(srgb_from_oklab(_vivid(np.full(n, 0.72), hue + 30, 0.125)))


def square(n=32):
    """(n, n, 3) for positions in a picture, row = y (down), column = x (right).

    Left to right runs from blue to yellow, which everyone tells apart; top to bottom from red to green with falling
    lightness; the centre, where we look, is pale.
    """
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    radius = np.minimum(1, np.hypot(x, y))
    strength = 0.15 * np.maximum(radius, 1e-6) ** -0.4  # colour comes quickly: most vertices look near the centre
    lab = np.stack([0.74 - 0.07 * y + 0.14 * (1 - radius) ** 1.5, -strength * y, strength * x], axis=-1)
    rgb = srgb_from_oklab(lab)
    for _ in range(40):  # less chroma where the colour cannot be shown
        outside = ~_shown(lab)
        if not outside.any():
            break
        lab[outside, 1:] *= 0.95
        rgb = srgb_from_oklab(lab)
    return _to_bytes(rgb)


def categories(n=50):
    """(n, 3) distinct colours; the k-th is always the same one. More than 50 start again."""
    base = np.array([[int(code[k : k + 2], 16) for k in (0, 2, 4)] for code in _CATEGORIES], dtype=np.uint8)
    return base[np.arange(n) % len(base)]
