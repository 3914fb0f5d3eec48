"""Phase-encoded retinotopy: the lag of each vertex's response behind a periodic stimulus says where it looks.

F = rfft of the series, f0 = number of cycles: lag φ = −arg F(f0), coherence |F(f0)| / √Σ|F|² over all frequencies but 0.
Two sweeps in opposite senses are combined by a circular mean, so that a delay common to both cancels.
"""

import numpy as np


def lag(responses, cycles):
    """Lag and coherence at the frequency of the stimulus.

    Parameters
    ----------
    responses : (T, N), whole cycles one after the other
    cycles : int

    Returns
    -------
    lag : (N,) radians in [0, 2π); NaN where nothing varies
    coherence : (N,) in 0 … 1
    """
    spectrum = np.fft.rfft(np.asarray(responses, np.float64), axis=0)[1:]
    power = np.abs(spectrum) ** 2
    if len(responses) % 2 == 0:
        power[-1] /= 2  # all frequencies but the highest stand for two
    total = power.sum(0)
    varies = total > 1e-18 * len(responses) ** 2
    phase = np.where(varies, -np.angle(spectrum[cycles - 1]) % (2 * np.pi), np.nan)
    return phase, np.where(varies, np.sqrt(power[cycles - 1] / np.where(varies, total, 1)), 0.0)


def circular_mean(first, second):
    """Mean direction of two angles in radians, in [0, 2π)."""
    return np.angle(np.exp(1j * first) + np.exp(1j * second)) % (2 * np.pi)


def polar_angle(ccw, cw, cycles):
    """Polar angle from wedges that start at the right horizontal and turn either way.

    ccw, cw : (T, N) responses, ``cycles`` whole cycles each

    Returns
    -------
    angle : (N,) degrees counter-clockwise from the right horizontal, 0 … 360
    r2 : (N,) share of the variance at the stimulus' frequency (coherence squared), mean of both senses
    """
    (a, coherence_a), (b, coherence_b) = lag(ccw, cycles), lag(cw, cycles)
    return np.rad2deg(circular_mean(a, -b)), (coherence_a**2 + coherence_b**2) / 2


def eccentricity(expanding, contracting, cycles, geometry):
    """Eccentricity from rings as ``apertures.ring_radii`` lays them out.

    expanding, contracting : (T, N) responses, ``cycles`` whole cycles each

    Returns
    -------
    eccentricity : (N,) degrees, 0 … radius (a phase of the blank between two rings counts as the nearer end)
    r2 : (N,) as ``polar_angle`` gives it
    """
    (a, coherence_a), (b, coherence_b) = lag(expanding, cycles), lag(contracting, cycles)
    # Rings are half a step into their way at the first frame: as a delay does, that cancels.
    along = circular_mean(a, -b) / (2 * np.pi)
    radius = (geometry.radius + geometry.ring_width) * along - geometry.ring_width / 2
    return np.clip(radius, 0, geometry.radius), (coherence_a**2 + coherence_b**2) / 2
