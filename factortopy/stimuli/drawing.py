"""Drawing in fractions of the picture's width: colours, 1/f noise, a canvas that knows distances, patches, shading."""

import colorsys
import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NOISE_SIDE = 320  # pixels of a noise field
NOISE_WINDOW = 224  # pixels of it that a whole picture shows
NOISE_FIELDS = 64
PATCH = 208  # pixels of the square that one object is drawn into
DISTANCE_SIDE = 56  # pixels of the map of distances
SKY = 255  # its value where nothing is in the way
NEAR, FAR = 1.0, 300.0  # metres: its values 0 and 254


# ---------------------------------------------------------------- colours
def hsv(hue, saturation, value):
    """(3,) red, green, blue in 0…1; hue wraps, the others are clipped."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def any_colour(rng, saturation=(0.2, 0.9), value=(0.25, 0.95)):
    """A colour of any hue."""
    return hsv(rng.random(), rng.uniform(*saturation), rng.uniform(*value))


def rgb8(colour):
    """Tuple of integers 0…255 for Pillow."""
    return tuple(int(min(max(float(channel), 0.0), 1.0) * 255) for channel in colour)


# ---------------------------------------------------------------- noise
@functools.cache
def noise_bank():
    """(NOISE_FIELDS, NOISE_SIDE, NOISE_SIDE) float32 fields with spectrum 1/f^a, a 0.8 … 1.5, mean 0, variance 1."""
    rng = np.random.default_rng(123)
    frequency = np.hypot(np.fft.fftfreq(NOISE_SIDE)[:, None], np.fft.rfftfreq(NOISE_SIDE)[None])
    frequency[0, 0] = 1
    bank = np.empty((NOISE_FIELDS, NOISE_SIDE, NOISE_SIDE), np.float32)
    for field in bank:
        white = np.fft.rfft2(rng.standard_normal(field.shape))
        pink = np.fft.irfft2(white / frequency ** rng.uniform(0.8, 1.5), s=field.shape)
        field[:] = (pink - pink.mean()) / pink.std()
    return bank


def noise(rng, side, zoom=1):
    """(side, side) float32 window of a 1/f field, the same picture at any ``side``; ``zoom`` magnifies (softer)."""
    bank = noise_bank()
    field = bank[rng.integers(len(bank))]
    extent = NOISE_WINDOW // zoom
    top, left = rng.integers(0, NOISE_SIDE - extent + 1, 2)
    window = field[top : top + extent, left : left + extent]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    if side != extent:
        whole = Image.fromarray(np.ascontiguousarray(window))
        window = np.asarray(whole.resize((side, side), Image.Resampling.BILINEAR))
    return window


# ---------------------------------------------------------------- canvas of a scene
def distance_code(metres):
    """0 … 254 for a distance of NEAR … FAR metres, logarithmic."""
    share = np.log(np.maximum(metres, NEAR) / NEAR) / np.log(FAR / NEAR)
    return np.clip(share * 254, 0, 254).astype(np.uint8)


class Canvas:
    """A square picture and beside it a coarse map of how far away what is seen lies.

    Coordinates are fractions of the width, x right, y down. Distances are metres; ``None`` is the sky.
    """

    def __init__(self, pixels, distances):
        self.side = pixels.shape[0]
        self.image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
        self.draw = ImageDraw.Draw(self.image)
        self.far = Image.fromarray(distances)
        self.far_draw = ImageDraw.Draw(self.far)

    def polygon(self, points, colour, distance, outline=None):
        """Filled polygon; ``points`` pairs of x, y."""
        edge = rgb8(outline) if outline is not None else None
        self.draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=rgb8(colour), outline=edge)
        code = SKY if distance is None else int(distance_code(distance))
        self.far_draw.polygon([(x * DISTANCE_SIDE, y * DISTANCE_SIDE) for x, y in points], fill=code)

    def ellipse(self, x, y, half_width, half_height, colour, distance):
        """Filled ellipse around x, y."""
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self.draw.ellipse([self.side * edge for edge in box], fill=rgb8(colour))
        code = SKY if distance is None else int(distance_code(distance))
        self.far_draw.ellipse([DISTANCE_SIDE * edge for edge in box], fill=code)

    def line(self, points, colour, width=0.005):
        """Line of a width that is a share of the picture; leaves distances alone."""
        pixels = max(1, round(width * self.side))
        self.draw.line([(x * self.side, y * self.side) for x, y in points], fill=rgb8(colour), width=pixels)

    def pixels(self):
        """(side, side, 3) float32 in 0…1."""
        return np.asarray(self.image, np.float32) / 255

    def distances(self):
        """(DISTANCE_SIDE, DISTANCE_SIDE) uint8 codes."""
        return np.asarray(self.far)


# ---------------------------------------------------------------- patch of an object
class Patch:
    """A transparent square that one object is drawn into; coordinates 0…1."""

    def __init__(self):
        self.image = Image.new("RGBA", (PATCH, PATCH), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def ellipse(self, x, y, half_width, half_height, colour):
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self.draw.ellipse([PATCH * edge for edge in box], fill=rgb8(colour))

    def ring(self, x, y, half_width, half_height, colour, width):
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self.draw.ellipse([PATCH * edge for edge in box], outline=rgb8(colour), width=max(1, round(width * PATCH)))

    def polygon(self, points, colour):
        self.draw.polygon([(PATCH * x, PATCH * y) for x, y in points], fill=rgb8(colour))

    def line(self, points, colour, width):
        pixels = max(1, round(width * PATCH))
        self.draw.line([(PATCH * x, PATCH * y) for x, y in points], fill=rgb8(colour), width=pixels, joint="curve")

    def box(self, left, top, right, bottom, colour, radius=0.0):
        corners = [PATCH * edge for edge in (left, top, right, bottom)]
        self.draw.rounded_rectangle(corners, PATCH * radius, fill=rgb8(colour))

    def chord(self, left, top, right, bottom, start, end, colour):
        self.draw.chord([PATCH * edge for edge in (left, top, right, bottom)], start, end, fill=rgb8(colour))

    def limb(self, start, end, width, colour, end_width=None):
        """A tapering stroke with round ends."""
        end_width = width if end_width is None else end_width
        (ax, ay), (bx, by) = start, end
        length = np.hypot(bx - ax, by - ay) + 1e-6
        nx, ny = -(by - ay) / length / 2, (bx - ax) / length / 2
        corners = ((ax, ay, width), (bx, by, end_width), (bx, by, -end_width), (ax, ay, -width))
        self.polygon([(x + nx * side, y + ny * side) for x, y, side in corners], colour)
        self.ellipse(ax, ay, width / 2, width / 2, colour)
        self.ellipse(bx, by, end_width / 2, end_width / 2, colour)


def shade(image, rng):
    """Light from one side: the blurred outline is taken for the height of the object. RGBA in, RGBA out."""
    small = image.resize((image.width // 2, image.height // 2)).getchannel("A").filter(ImageFilter.GaussianBlur(7))
    gradient_y, gradient_x = np.gradient(np.asarray(small, np.float32) / 255)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 4.5 * (gradient_x * np.cos(angle) + gradient_y * np.sin(angle))
    light = Image.fromarray(np.clip(light * 100, 0, 255).astype(np.uint8)).resize(image.size)
    pixels = np.asarray(image, np.float32).copy()
    pixels[..., :3] *= np.asarray(light, np.float32)[..., None] / 100 * rng.uniform(0.85, 1.12)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def texture(image, rng, strength):
    """Multiply a 1/f field onto an RGBA object, so that its surface is not flat."""
    window = noise(rng, NOISE_WINDOW)[: image.height, : image.width]
    pixels = np.asarray(image, np.float32).copy()
    pixels[..., :3] *= 1 + strength * window[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
