"""Pictures that move: drifting gratings and optic flow as frames, made for a density of dots that stays even.

Coordinates are degrees of visual angle from the picture's centre, x right, y up; directions are degrees counter-clockwise
from the right. Flow fields (Pitzalis 2010, Sulpizio 2020): expansion v = s · (x, y), contraction the same played
backwards, rotation ω · (−y, x), translation constant; "random" keeps the speeds and shuffles the directions.
"""

import numpy as np

from factortopy.errors import InputError, unexpected

FLOWS = ("translation", "expansion", "contraction", "rotation", "random", "static")
GREY = 127.5


def grating(
    direction, spatial_frequency=1.0, temporal_frequency=4.0, *, frames=16, fps=12.0, size=112, degrees=8.4, contrast=1.0,
    phase=0.0,
):  # fmt: skip
    """A sinusoidal grating that drifts at right angles to its bars.

    Parameters
    ----------
    direction : float, degrees
    spatial_frequency : float, cycles a degree; temporal_frequency : float, Hz
    frames : int; fps : float, frames a second; size : int, pixels a side; degrees : float, width of the picture
    contrast : float, 0 … 1; phase : float, radians

    Returns
    -------
    (frames, size, size, 3) uint8

    Raises
    ------
    InputError
        Frequencies that pixels or frames cannot show.
    """
    _check(frames, fps, size, degrees)
    if not 0 < spatial_frequency <= size / degrees / 2:
        expected = f"more than 0 and at most {size / degrees / 2:.2g} cycles a degree (half of the pixels a degree)"
        actual = f"{spatial_frequency:g}"
        raise unexpected("spatial_frequency", expected, actual, "choose a lower one or larger pictures")
    if not 0 <= temporal_frequency <= fps / 2:
        expected = f"0 … {fps / 2:g} Hz (half of the frames a second)"
        actual = f"{temporal_frequency:g}"
        raise unexpected("temporal_frequency", expected, actual, "choose a lower one or more frames a second")
    if not 0 <= contrast <= 1:
        raise InputError(f"contrast: expected 0 … 1, found {contrast:g}; use 1")
    x, y = _places(size, degrees)
    turn = np.deg2rad(direction)
    along = x * np.cos(turn) + y * np.sin(turn)
    time = np.arange(frames)[:, None, None] / fps
    wave = np.sin(2 * np.pi * (spatial_frequency * along - temporal_frequency * time) + phase)
    return _rgb(contrast * wave)


def dots(
    flow, *, like="translation", direction=0.0, speed=4.0, count=150, dot=0.3, frames=16, fps=12.0, size=112, degrees=8.4,
    seed=0,
):  # fmt: skip
    """A field of light and dark dots that flows.

    Parameters
    ----------
    flow : one of ``FLOWS``; "random" moves each dot straight on, its speed one of those of the flow ``like``, at any place
    direction : float, degrees, of a translation; a rotation turns counter-clockwise below 180, else clockwise
    speed : float, degrees a second; of expansion, contraction and rotation at the middle of the picture's edge
    count : int, dots inside the picture on average; dot : float, their width in degrees
    frames, fps, size, degrees : as for ``grating``

    Returns
    -------
    (frames, size, size, 3) uint8
    """
    _check(frames, fps, size, degrees)
    whole = isinstance(count, int | np.integer) and count > 0
    if not whole or not dot > 0 or not speed >= 0:
        expected = "a count and a width above 0 and a speed of 0 or more"
        raise unexpected("dots", expected, f"{count!r}, {dot!r}, {speed!r}", "change them")
    path, shade = trajectories(
        flow, like, direction=direction, speed=speed, count=count, frames=frames, fps=fps, degrees=degrees, seed=seed
    )
    return _drawn(path, shade, dot, size, degrees)


def trajectories(flow, like, *, direction, speed, count, frames, fps, degrees, seed):
    """Places (frames, n, 2) in degrees and shades (n,) ±1 of dots in a field that is wider than the picture.

    n is larger than ``count``: only dots inside the picture count. A dot that leaves the field comes back: at the other
    side where all go straight on, at a random place where they spread.
    """
    for name in (flow, like):
        if name not in FLOWS:
            raise InputError(f"flow {name!r}: expected one of {', '.join(FLOWS)}; choose one of these")
    rng, half = np.random.default_rng(seed), degrees / 2
    radius = half * 2**0.5  # the picture's corners
    straight = flow in ("translation", "random", "static")
    area = (2 * radius) ** 2 if straight else np.pi * radius**2
    n = round(count * area / degrees**2)
    shade = np.where(np.arange(n) % 2, 1.0, -1.0)
    if straight:
        at = rng.uniform(-radius, radius, (n, 2))
        velocity = _velocity(flow, like, at, direction, speed, half, rng)
        steps = np.arange(frames)[:, None, None] / fps
        return (at + steps * velocity + radius) % (2 * radius) - radius, shade
    at = _in_disc(rng, n, radius)
    if flow == "rotation":
        angle = np.arange(frames) * (speed / half / fps) * (1 if direction % 360 < 180 else -1)
        c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.stack([c * at[:, 0] - s * at[:, 1], s * at[:, 0] + c * at[:, 1]], 2), shade
    path = np.empty((frames, n, 2))
    grow = np.exp(speed / half / fps)  # the exact solution of v = s · (x, y)
    for frame in range(frames):
        path[frame] = at
        at = at * grow
        # Uniform stays uniform: what spreads thins out evenly, and as many come back, evenly.
        gone = np.hypot(*at.T) > radius
        at[gone] = _in_disc(rng, int(gone.sum()), radius)
    return path[::-1] if flow == "contraction" else path, shade


def _velocity(flow, like, at, direction, speed, half, rng):
    """(n, 2) or (2,) velocities of dots that go straight on, degrees a second."""
    if flow == "static":
        return np.zeros(2)
    if flow == "translation":
        return speed * np.array([np.cos(np.deg2rad(direction)), np.sin(np.deg2rad(direction))])
    turn = rng.uniform(0, 2 * np.pi, len(at))
    size = np.full(len(at), float(speed))
    if like in ("expansion", "contraction", "rotation"):
        size = speed / half * np.hypot(*_in_disc(rng, len(at), half * 2**0.5).T)
    return size[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)


def _in_disc(rng, n, radius):
    r, turn = radius * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    return np.stack([r * np.cos(turn), r * np.sin(turn)], 1)


def _places(size, degrees):
    """Degrees x (right), y (up) of the pixels' centres, each (size, size)."""
    at = ((np.arange(size) + 0.5) / size - 0.5) * degrees
    return np.meshgrid(at, -at)


def _drawn(path, shade, dot, size, degrees):
    """Frames of soft-edged discs on grey; only the pixels around each dot are touched."""
    scale = size / degrees
    radius = max(dot * scale / 2, 0.5)
    reach = int(np.ceil(radius + 1))
    offset = np.arange(-reach, reach + 1)
    out = np.zeros((len(path), size, size))
    for frame, places in zip(out, path, strict=True):
        x, y = (places * [1, -1] * scale + size / 2 - 0.5).T  # pixels, y down
        near = (np.abs(x - size / 2) < size / 2 + reach) & (np.abs(y - size / 2) < size / 2 + reach)
        x, y, tone = x[near, None, None], y[near, None, None], shade[near, None, None]
        column, row = np.round(x).astype(int) + offset, np.round(y).astype(int) + offset[:, None]
        cover = np.clip(radius + 0.5 - np.hypot(column - x, row - y), 0, 1) * tone
        row, column = np.broadcast_arrays(row, column)
        inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
        np.add.at(frame, (row[inside], column[inside]), cover[inside])
    return _rgb(np.clip(out, -1, 1))


def _rgb(tone):
    """(T, H, W) in −1 … 1 to (T, H, W, 3) uint8 around mid grey."""
    grey = np.round(GREY + GREY * tone).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def _check(frames, fps, size, degrees):
    if not isinstance(frames, int | np.integer) or frames < 1 or not fps > 0 or not size >= 8 or not degrees > 0:
        expected = "at least 1 frame, frames a second and degrees above 0 and at least 8 pixels"
        raise unexpected("movement", expected, f"{frames!r}, {fps!r}, {degrees!r} and {size!r}", "change them")
