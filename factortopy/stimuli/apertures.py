"""Retinotopy stimuli: bars, wedges and rings that sweep over the visual field, as masks and as frames for a network.

Positions are in degrees of visual angle in the picture's frame: x right, y up, 0 the centre; a picture is
``image_degrees`` wide and high. Angles run counter-clockwise from the right horizontal. Kinds of sweeps as in the HCP 7T
retinotopy set (bars in eight directions, wedges and rings in either sense); widths and steps are ours.
"""

from dataclasses import dataclass

import numpy as np

from factortopy.stimuli.scenes import LOCALIZER_SEEDS, render_scenes

GREY = 128
MASK_SIZE = 48  # pixels along a side of a mask; a quarter of a degree for pictures of 12
SWEEPS = {
    "bars": tuple(f"bar {angle}" for angle in range(0, 360, 45)),  # the direction that a bar moves in
    "wedges": ("wedge ccw", "wedge cw"),
    "rings": ("ring expanding", "ring contracting"),
}
SWEEPS["wedges and rings"] = SWEEPS["wedges"] + SWEEPS["rings"]


@dataclass(frozen=True)
class Geometry:
    """Sizes of the apertures, in degrees, and how many steps a sweep has.

    ``radius``: of the disc that all apertures move in. ``bar_width`` and ``ring_width`` in degrees of visual angle,
    ``wedge_angle`` in degrees of rotation.
    """

    image_degrees: float
    radius: float
    bar_width: float
    wedge_angle: float
    ring_width: float
    steps: int


@dataclass(frozen=True)
class Stimulus:
    """What is shown.

    masks : (T, S, S) float32 in 0 … 1, one sweep after the other; row 0 is the top
    frames : (R · T, H, W, 3) uint8: all sweeps with the first carriers, then all with the second, …
    sweeps : names of the sweeps, T / len(sweeps) steps each
    repetitions : R
    geometry : Geometry
    """

    masks: np.ndarray
    frames: np.ndarray
    sweeps: tuple
    repetitions: int
    geometry: Geometry

    def averaged(self, responses):
        """(R · T, N) responses averaged over repetitions -> (T, N), one row a mask."""
        return responses.reshape(self.repetitions, len(self.masks), -1).mean(0)

    def cycles(self, responses, sweep):
        """(R · T, N) responses -> (R · steps, N) of one sweep, its repetitions one after the other."""
        shape = (self.repetitions, len(self.sweeps), self.geometry.steps, -1)
        return responses.reshape(shape)[:, self.sweeps.index(sweep)].reshape(shape[0] * shape[2], -1)


def field(size, image_degrees):
    """Degrees at the centres of ``size`` pixels along a side, from left to right; from top to bottom it is −y."""
    return ((np.arange(size) + 0.5) / size - 0.5) * image_degrees


def masks(sweep, size, geometry):
    """Apertures of one sweep, their edges one pixel soft.

    Parameters
    ----------
    sweep : str
        One of the names in ``SWEEPS``. A bar starts at the rim opposite to its direction and ends at the other one. A
        wedge's middle starts at the right horizontal. An expanding ring starts as it enters at the centre and ends when
        it has left over the rim, so that no cycle shows centre and rim at once; a contracting one runs backwards.
    size : int, pixels along a side
    geometry : Geometry

    Returns
    -------
    (steps, size, size) float32
    """
    x, down = np.meshgrid(*[field(size, geometry.image_degrees)] * 2)
    y, pixel, g = -down, geometry.image_degrees / size, geometry
    r, along = np.hypot(x, y), (np.arange(g.steps)[:, None, None] + 0.5) / g.steps
    kind, how = sweep.split(" ")
    if kind == "bar":
        direction = np.deg2rad(float(how))
        across = x * np.cos(direction) + y * np.sin(direction)
        outside = np.abs(across - g.radius * (2 * along - 1)) - g.bar_width / 2
    elif kind == "wedge":
        turn = wedge_angles(g.steps, how)[:, None, None]
        off = np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - turn)))) - np.deg2rad(g.wedge_angle) / 2
        outside = r * np.sin(np.minimum(off, np.pi / 2))  # nearest edge; behind the tip, the tip
    else:
        radius = ring_radii(g, how)[:, None, None]
        outside = np.abs(r - radius) - g.ring_width / 2
    edge = np.minimum(0.5 - outside / pixel, 0.5 - (r - g.radius) / pixel)
    return np.clip(edge, 0, 1).astype(np.float32)


def wedge_angles(steps, sense):
    """(steps,) angle of the wedge's middle in radians, "ccw" or "cw"."""
    turn = 2 * np.pi * np.arange(steps) / steps
    return turn if sense == "ccw" else -turn


def ring_radii(geometry, sense):
    """(steps,) radius of the ring's middle in degrees, "expanding" or "contracting"."""
    along = (np.arange(geometry.steps) + 0.5) / geometry.steps
    radii = (geometry.radius + geometry.ring_width) * along - geometry.ring_width / 2
    return radii if sense == "expanding" else radii[::-1]


def checkerboard(size, image_degrees, check_degrees, rng):
    """(size, size, 3) uint8 black and white squares of ``check_degrees``, their position drawn from ``rng``."""
    at = field(size, image_degrees) + rng.uniform(0, 2 * check_degrees, 2)[:, None]
    ramp = 2 * size * check_degrees / (np.pi * image_degrees)  # edges one pixel soft
    along, down = np.clip(np.sin(np.pi * at / check_degrees) * ramp, -1, 1)
    board = np.round(127.5 * (1 + down[:, None] * along))
    return np.repeat(board[..., None], 3, -1).astype(np.uint8)


def scene_carriers(n, size, seed=0):
    """(n, size, size, 3) uint8 rendered scenes that no network and no subject has seen."""
    return render_scenes([LOCALIZER_SEEDS + seed * 100_000 + 60_000 + i for i in range(n)], size)[0]


def stimulus(protocol, size, geometry, repetitions=2, check_degrees=1.0, pictures=None, seed=0):
    """Frames of a protocol: a carrier inside the aperture, mid grey around it.

    Parameters
    ----------
    protocol : str
        One of ``SWEEPS``.
    size : int
        Side of the frames in pixels (the network's input size).
    geometry : Geometry
    repetitions : int
        Every sweep is shown so often.
    check_degrees : float
        Side of a square of the checkerboard.
    pictures : sequence of (H, W, 3) uint8, optional
        The carriers, instead of checkerboards; resized to the frame.
    seed : int
        Every frame draws its own checkerboard position, or its own picture.

    Returns
    -------
    Stimulus
    """
    sweeps, rng = SWEEPS[protocol], np.random.default_rng(seed)
    small = np.concatenate([masks(sweep, MASK_SIZE, geometry) for sweep in sweeps])
    frames = np.empty((repetitions * len(small), size, size, 3), np.uint8)
    if pictures is not None:
        pictures = [_resized(picture, size) for picture in pictures]
    k = 0
    for _ in range(repetitions):
        for sweep in sweeps:
            for aperture in masks(sweep, size, geometry)[..., None]:
                if pictures is None:
                    carrier = checkerboard(size, geometry.image_degrees, check_degrees, rng)
                else:
                    carrier = pictures[rng.integers(len(pictures))]
                frames[k] = np.round(GREY + aperture * (carrier.astype(np.float32) - GREY))
                k += 1
    return Stimulus(small, frames, sweeps, repetitions, geometry)


def _resized(picture, size):
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))
