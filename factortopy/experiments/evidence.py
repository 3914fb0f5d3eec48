"""Does a response depend on where in the picture something is shown? A p for every vertex, whatever else drives it.

Bars. Two bars at the same distance from the middle, on either side of it, show equally much in the same orientation: a response
that is blind to place, but follows contrast, area or orientation in any way, is the same to both on average. What differs
between them (the odd part of a sweep) is noise then, as likely as its negative. Every presentation of a sweep is reversed in
time or not, at random: that keeps the autocorrelation of noise within sweeps and all that is even, and the test is exact for
noise that is symmetric and independent between sweeps. Slower drifts are taken out first. The statistic is the largest
projection of the odd part on that of a grid of fields, the same for data and null, vertex by vertex; all vertices turn
together, so that their smoothness over the surface stays.

Wedges, rings. Sweeps of both senses are added up in the order of places, one sum a repetition, and the response at the
stimulus' frequency (of rings also two and three times it) has to be the same in all repetitions: T²circ (Victor & Mast 1991),
F(2, 2(R − 1)). Its noise comes from the repetitions themselves. A filter first makes the noise white (autoregression of order 2,
from what differs between repetitions; without a shift in time). Wedges show equally much at all times; of rings what follows
their area or its square is taken out first.
"""

import itertools

import numpy as np
from scipy import stats

from factortopy.experiments import prf

LEVEL = 0.05  # of the false discovery rate over vertices
FLIPS = 1024  # the data among them
LEAST_R2, LEAST_SIDE, LEAST_RING = 0.05, 0.01, 0.05  # shares of the variance below which a place is not worth its name
CLEAR = 0.9  # a field of the other sign may explain so much of what the best one does
ROUNDING = 1e-6  # of a statistic: a reversal that changes nothing counts as equal
HARMONICS = 3  # of rings
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
    """Whether responses to wedges or rings come back at the same places in every repetition.

    Parameters
    ----------
    responses : (R, T, N), T frames of all sweeps that were shown, in their order
    sweeps : names of the sweeps, as many frames each
    kind : "wedge" or "ring"
    areas : (T,) of what is shown in each frame, in any unit

    Returns
    -------
    p : (N,) 1 everywhere with a single repetition: there is nothing to tell noise by
    share : (N,) of the variance of the mean over repetitions that comes back, beyond the area's
    """
    n = responses.shape[2]
    own = [k for k, name in enumerate(sweeps) if name.startswith(kind)]
    p, share = np.ones(n), np.zeros(n)
    for i in range(0, n, CHUNK):
        at = slice(i, i + CHUNK)
        p[at], share[at] = _repeated(np.asarray(responses[..., at], np.float64), len(sweeps), own, kind, areas)
    return p, share


def _repeated(series, sweeps, own, kind, areas):
    """``cycles`` of some vertices; ``own``: which of so many sweeps are of the kind."""
    repetitions, frames, n = series.shape
    shape = repetitions, sweeps, frames // sweeps, n
    area = np.asarray(areas, float) / np.max(areas)
    # What follows the area in a run: of rings alone, wedges always show equally much.
    driven = np.tile(np.stack([area, area**2], 1), (repetitions, 1)) if kind == "ring" else None
    harmonics = HARMONICS if kind == "ring" else 1
    total = series.mean(0).reshape(shape[1:])[own].var(1).mean(0)
    varies = total > 1e-10 * np.maximum(np.abs(series).max((0, 1)), 1e-12) ** 2

    def coefficients(gain=None):
        run = series.reshape(-1, n)
        run = run if gain is None else _filtered(run, gain)
        run = run.reshape(shape)[:, own]
        if driven is not None:
            with_area = np.stack([_filtered(d[:, None], 1 if gain is None else gain) for d in driven.T])
            run = _without_area(run, with_area.reshape(2, *shape[:3], -1)[:, :, own])
        return _spectrum(run, kind, harmonics)

    mean = coefficients().mean(0)
    share = np.where(varies, 2 * (np.abs(mean) ** 2).sum(0) / np.where(varies, total, 1), 0)
    if repetitions < 2:
        return np.ones(n), share
    each = coefficients(_whitening(series))
    mean = each.mean(0)
    noise = (np.abs(each - mean) ** 2).sum((0, 1)) / (repetitions - 1)
    signal = repetitions * (np.abs(mean) ** 2).sum(0)
    ratio = signal / np.where(noise > 0, noise, 1)
    p = np.where(noise > 0, stats.f.sf(ratio, 2, 2 * (repetitions - 1)), np.where(signal > 0, 0, 1))
    return np.where(varies, p, 1), share


def _without_area(run, driven):
    """(R, sweeps, steps, N) less what a mean and (2, R, sweeps, steps, N or 1) courses explain, each sweep by itself."""
    basis = np.concatenate([np.ones_like(driven[:1]), driven])
    basis = np.moveaxis(basis, (0, 3), (-1, -2))  # (R, sweeps, N, steps, 3)
    basis = np.linalg.qr(basis)[0]
    values = np.moveaxis(run, 2, -1)[..., None]
    left = values - basis @ (np.swapaxes(basis, -1, -2) @ values)
    return np.moveaxis(left[..., 0], -1, 2)


def _spectrum(series, kind, harmonics):
    """(R, harmonics, N) of the mean of both senses (R, 2, steps, N), the second brought into the first's order."""
    ahead, back = (np.fft.rfft(series[:, k], axis=1)[:, 1 : harmonics + 1] for k in (0, 1))
    # A wedge that turns back starts at the same place; a ring that comes back starts at the other end.
    back, steps = back.conj(), series.shape[2]
    if kind == "ring":
        back = back * np.exp(2j * np.pi * np.arange(1, harmonics + 1) / steps)[:, None]
    return (ahead + back) / (2 * steps)


def _filtered(run, gain):
    """(T, N) with its frequencies weighted by a gain (T // 2 + 1, N) or a number: no frame is shifted."""
    return np.fft.irfft(np.fft.rfft(run, axis=0) * gain, n=len(run), axis=0)


def _whitening(series):
    """(frequencies of the run, N) gain that makes the noise of (R, T, N) white: noise is what differs between repetitions."""
    repetitions, frames, _ = series.shape
    left = series - series.mean(0)
    left -= left.mean(1, keepdims=True)
    power = (left**2).mean((0, 1))
    varies = power > 0
    first, second = (
        np.where(varies, (left[:, k:] * left[:, :-k]).mean((0, 1)) / np.where(varies, power, 1), 0) for k in (1, 2)
    )
    first = first.clip(-0.98, 0.98)
    b = ((second - first**2) / (1 - first**2)).clip(-0.95, 0.95)
    a = first * (1 - b)
    length = repetitions * frames
    w = 2 * np.pi * np.arange(length // 2 + 1)[:, None] / length
    return np.abs(1 - a * np.exp(1j * w) - b * np.exp(2j * w))


def q_values(p, use=None):
    """(N,) Benjamini & Hochberg; NaN for vertices that are not in ``use``: they were not asked."""
    q = np.full(len(p), np.nan)
    use = np.ones(len(p), bool) if use is None else use
    if use.any():
        q[use] = stats.false_discovery_control(p[use], method="bh")
    return q
