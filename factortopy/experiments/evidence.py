"""Does a response depend on where in the picture something is shown? A p for every vertex, whatever else drives it.

Bars. Two bars at the same distance from the middle, on either side of it, show equally much in the same orientation: a response
that is blind to place, but follows contrast, area or orientation in any way, is the same to both on average. What differs
between them (the odd part of a sweep) is noise then, as likely as its negative. Every presentation of a sweep is reversed in
time or not, at random: that keeps the autocorrelation of noise within sweeps and all that is even, and the test is exact for
noise that is symmetric and independent between sweeps. Slower drifts are taken out first. The statistic is the largest
projection of the odd part on that of a grid of fields, the same for data and null, vertex by vertex; all vertices turn
together, so that their smoothness over the surface stays.

Wedges, rings. The second sense shows everything in the reverse order: a response to what is shown, place or not, is the same in
reverse (even about the moment at which the senses meet); what is odd is noise with the same spectrum. So the mean of even cosines is
held against noise of its own frequency: odd sines, and what differs between repetitions (2R − 1 degrees of freedom with R
repetitions). Noise of any spectrum is met that way; averaged over neighbouring frequencies it would be known better, but where the
spectrum is steep 11 of 30 data sets of 500 vertices without a place had one. Of wedges: cosine and sine of the angle, which no
orientation has; wedges show equally much at all times. Of rings: the first six cosines, less what follows the area, its root or its
square. p comes from the same numbers of white noise. Noise that repeats at the pace of the sweeps is none to this test
(``benchmarks/nulls_retinotopy.py``).
"""

import itertools
from functools import lru_cache

import numpy as np
from scipy import stats

from factortopy.experiments import prf

LEVEL = 0.05  # of the false discovery rate over vertices
FLIPS = 1024  # the data among them
LEAST_R2, LEAST_SIDE, LEAST_RING = 0.05, 0.01, 0.05  # shares of the variance below which a place is not worth its name
CLEAR = 0.9  # a field of the other sign may explain so much of what the best one does
ROUNDING = 1e-6  # of a statistic: a reversal that changes nothing counts as equal
COSINES = 6  # of rings
DRAWS = 200_000  # of white noise, for wedges and rings
LEAST_NOISE = 1e-10  # of the variance: what rounding leaves is no noise
CHUNK = 4000  # vertices at a time


def bars(responses, masks, image_degrees, seed=0):
    """Whether responses to bars depend on the side of the middle that a bar is on.

    Parameters
    ----------
    responses : (R, T, N), sweeps in the order of ``apertures.SWEEPS["bars"]``: the second half runs against the first
    masks : (T, S, S)
    image_degrees : float, width of the masks
    seed : int, of the reversals

    Returns
    -------
    p : (N,) 1 where a response never varies
    share : (N,) of the variance of the mean over repetitions that lies in the difference of the sides
    """
    repetitions, frames, n = responses.shape
    steps, half = frames // 8, frames // 16
    flips = _reversals(8 * repetitions, seed)
    odd = _odd_fields(masks, image_degrees, steps)
    p, share = np.ones(n), np.zeros(n)
    for i in range(0, n, CHUNK):
        raw = np.asarray(responses[..., i : i + CHUNK], np.float32)
        scaled, varies = prf.standard(raw.reshape(repetitions * frames, -1))
        sweeps = _odd(_without_drift(scaled, 4 * repetitions).reshape(repetitions, 8, steps, -1))
        sweeps[:, 4:] *= -1  # reversed: now each half runs the same way
        sweeps = sweeps.reshape(2 * repetitions, 4 * half, -1)
        first, reached = None, np.zeros(raw.shape[2])
        for flip in flips:
            signs = np.repeat(flip.reshape(2 * repetitions, 4), half, 1)
            value = np.abs(odd @ np.einsum("pk,pkn->kn", signs, sweeps)).max(0)
            first = value if first is None else first
            reached += value >= (1 - ROUNDING) * first
        mean = raw.mean(0)
        side = _odd(mean.reshape(8, steps, -1))
        side = (side[:4] - side[4:]) / 2
        total = np.maximum(((mean - mean.mean(0)) ** 2).sum(0), 1e-30)
        p[i : i + CHUNK] = np.where(varies, reached / len(flips), 1)
        share[i : i + CHUNK] = np.where(varies, 4 * (side**2).sum((0, 1)) / total, 0)
    return p, share


def _odd(sweeps):
    """(…, steps, N) -> (…, steps // 2, N): half of what differs between a step and the one across the middle."""
    return (sweeps - sweeps[..., ::-1, :])[..., : sweeps.shape[-2] // 2, :] / 2


def _reversals(count, seed):
    """(m, count) of ±1, the first all 1: all there are, or ``FLIPS`` at random. All signs turned at once change nothing."""
    if 2 ** (count - 1) <= FLIPS:
        return np.array([(1, *rest) for rest in itertools.product((1, -1), repeat=count - 1)], np.float32)
    flips = np.random.default_rng([seed, 4]).choice(np.float32([1, -1]), (FLIPS, count))
    flips[0] = 1
    return flips


def _odd_fields(masks, image_degrees, steps):
    """(G, 4 · (steps // 2)) odd parts of a grid of fields, of norm 1."""
    model = prf.Model(masks[: 4 * steps], image_degrees)
    line = np.linspace(-1.1, 1.1, 9) * model.half
    sizes = np.array([0.1, 0.25, 0.5]) * model.half
    x, y, size = (a.ravel().astype(np.float32) for a in np.meshgrid(line, line, sizes, indexing="ij"))
    within = np.hypot(x, y) <= 1.1 * model.half
    odd = _odd(model.courses(x[within], y[within], size[within]).reshape(4, steps, -1))
    odd = odd.reshape(-1, odd.shape[-1])
    norm = np.linalg.norm(odd, axis=0)
    use = norm > 1e-3 * norm.max()
    return np.ascontiguousarray((odd[:, use] / norm[use]).T, np.float32)


def _without_drift(series, slowest):
    """(T, N) less its mean and its first ``slowest`` cosines over the run (half cycles)."""
    t = (np.arange(len(series)) + 0.5) / len(series)
    basis = np.linalg.qr(np.cos(np.pi * t[:, None] * np.arange(slowest + 1)))[0].astype(np.float32)
    return series - basis @ (basis.T @ series)


def cycles(responses, sweeps, kind, areas):
    """Whether responses to wedges or rings come back at the same places in both senses and in every repetition.

    Parameters
    ----------
    responses : (R, T, N), T frames of all sweeps that were shown, in their order
    sweeps : names of the sweeps, as many frames each
    kind : "wedge" or "ring"
    areas : (T,) of what is shown in each frame, in any unit

    Returns
    -------
    p : (N,) at least 1 / (``DRAWS`` + 1); 1 everywhere with a single repetition
    share : (N,) of the variance of the mean over repetitions that comes back, beyond the area's
    """
    repetitions, frames, n = responses.shape
    first, steps = next(k for k, name in enumerate(sweeps) if name.startswith(kind)), frames // len(sweeps)
    pair = slice(first * steps, (first + 2) * steps)
    directions, driven = _wedge(steps) if kind == "wedge" else _ring(steps, np.asarray(areas, float)[pair])
    p, share = np.ones(n), np.zeros(n)
    null = _null(repetitions, driven.tobytes(), len(directions)) if repetitions > 1 else None
    for i in range(0, n, CHUNK):
        at, own = slice(i, i + CHUNK), np.asarray(responses[:, pair, i : i + CHUNK], np.float64)
        mean = own.mean(0)
        total = ((mean - mean.mean(0)) ** 2).sum(0)
        varies = total > 1e-10 * len(mean) * np.maximum(np.abs(own).max((0, 1)), 1e-12) ** 2
        total = np.where(varies, total, 1)
        even, odd = _even_and_odd(own, kind, directions.shape[1])
        each = np.einsum("jk,rkn->rjn", directions, even)
        share[at] = np.where(varies, (_left(each.mean(0), driven) ** 2).sum(0) / total, 0)
        if null is None:
            continue
        spread, across = ((each - each.mean(0)) ** 2).sum(0), directions**2 @ (odd**2).sum(0)
        ratio = _ratio(repetitions, each.mean(0), spread, across, driven, LEAST_NOISE * total)
        p[at] = np.where(varies, (1 + DRAWS - np.searchsorted(null, ratio)) / (DRAWS + 1), 1)
    return p, share


def _even_and_odd(series, kind, count):
    """(R, count, N) cosines and sines of (R, 2 · steps, N) about the moment at which the senses meet, orthonormal."""
    steps = series.shape[1] // 2
    # A ring comes back from where it is; a wedge has left its first place by a step when it is there again.
    meet = steps - 0.5 if kind == "ring" else steps
    k = np.arange(1, count + 1)[:, None]
    turned = np.fft.rfft(series, axis=1)[:, 1 : count + 1] * np.exp(1j * np.pi * k * meet / steps) / np.sqrt(steps)
    return turned.real, -turned.imag


def _wedge(steps):
    """(2, K) cosine and sine of a wedge's angle as even cosines, of norm 1; and (2, 0): nothing else drives them."""
    angle = 2 * np.pi * np.arange(steps) / steps
    shown = [np.concatenate([turned(angle), turned(-angle)]) for turned in (np.cos, np.sin)]
    directions = _even_and_odd(np.stack(shown, 1)[None], "wedge", steps - 1)[0][0].T
    return directions / np.linalg.norm(directions, axis=1, keepdims=True), np.zeros((2, 0))


def _ring(steps, area):
    """(K, K) even cosines of rings by themselves, and (K, 3) what follows the area."""
    count = min(COSINES, steps - 1)
    driven = (area / area.max())[:, None] ** np.array([0.5, 1, 2])
    return np.eye(count), _even_and_odd(driven[None], "ring", count)[0][0]


def _ratio(repetitions, mean, spread, odd, driven, least=0.0):
    """(N,) what comes back against its noise: the log likelihood of either, frequency by frequency, each with a noise of its own.

    mean : (J, N) of the repetitions; spread : (J, N) sum of squares about it; odd : (J, N) that of the sines of the same frequencies
    driven : (J, d) what else may drive them; least : of the noise
    """
    freedom = 2 * repetitions - 1
    noise = np.maximum((spread + odd) / freedom, least)
    weight = np.sqrt(repetitions / noise)
    left = _left(mean * weight, driven, weight)
    return np.log1p(left**2 / freedom).sum(0)


def _left(values, driven, weight=1.0):
    """(J, N) less what (J, d) directions, weighted as the values are, explain."""
    basis = []
    for column in driven.T:
        column = column[:, None] * np.broadcast_to(weight, values.shape)
        for other in basis:
            column = column - other * (other * column).sum(0)
        basis.append(column / np.linalg.norm(column, axis=0))
        values = values - basis[-1] * (basis[-1] * values).sum(0)
    return values


@lru_cache(maxsize=8)
def _null(repetitions, driven, count):
    """(DRAWS,) sorted ``_ratio`` of white noise; its sines as if of one frequency each, as those of steep spectra are."""
    driven = np.frombuffer(driven).reshape(count, -1)
    rng, out, size = np.random.default_rng(5), [], (count, 10_000)
    for _ in range(DRAWS // 10_000):
        mean = rng.standard_normal(size) / np.sqrt(repetitions)
        spread, odd = rng.chisquare(repetitions - 1, size), rng.chisquare(repetitions, size)
        out.append(_ratio(repetitions, mean, spread, odd, driven))
    return np.sort(np.concatenate(out))


def q_values(p, use=None):
    """(N,) Benjamini & Hochberg; NaN for vertices that are not in ``use``: they were not asked."""
    q = np.full(len(p), np.nan)
    use = np.ones(len(p), bool) if use is None else use
    if use.any():
        q[use] = stats.false_discovery_control(p[use], method="bh")
    return q
