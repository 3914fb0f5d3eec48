"""Which vertices are predicted above chance: pictures are shuffled; what is alike in time is told by its cosines.

Pictures in random order can be exchanged, whatever the responses do in time. Volumes of a film cannot, nor pictures that were
shown in blocks: neighbours are alike in both series, and two slow series correlate by accident. Their stretches are written
in cosines (DCT-II), in which a stationary series is nearly uncorrelated, however slow it is; those of drifts are left out.
Under the null hypothesis a cosine's product of measured and predicted is as likely positive as negative, so that random
signs give its distribution; each keeps its size, and with it the spectra of both series.
"""

import numpy as np

from factortopy.subjects.trial_times import LEAST_COSINES, LEAST_PICTURES, Order, by_picture

ORDERED = 0.1  # probability below which predictions are not in random order
AT_ONCE = 8192  # vertices


def discovery_rates(chance):
    """(N,) smallest false discovery rate at which each of (N,) p values is a discovery (Benjamini and Hochberg 1995)."""
    order = np.argsort(chance)[::-1]
    out = np.empty(len(chance))
    out[order] = np.minimum.accumulate(chance[order] * (len(chance) / np.arange(len(chance), 0, -1)))
    return np.minimum(out, 1)


def above_chance(measured, prediction, q=0.05, permutations=1000, seed=0, image=None, order=None):
    """(N,) bool: vertices predicted above chance, at a false discovery rate of ``q``.

    Parameters
    ----------
    measured, prediction : (T, N) responses
    q : float
    permutations, seed : int
    image : (T,), optional
        Which trials showed the same picture: they are averaged.
    order : Order, optional
        When the trials were shown. A film is always tested by its cosines; pictures are where predictions of neighbours are
        more alike than in a random order (at p < 0.1), and shuffled otherwise.
    """
    by_time = order is not None and (order.tr is not None or _structured(prediction, order, seed))
    chance = np.full(measured.shape[1], np.nan)
    for first in range(0, len(chance), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        if by_time:
            y, p = _whitened(*(order.spectrum(x[:, part]) for x in (measured, prediction)), order.frequencies())
        else:
            y, p = (
                standard(x[:, part] if image is None else by_picture(x[:, part], image)) for x in (measured, prediction)
            )
        if len(y) < (LEAST_COSINES if by_time else LEAST_PICTURES):
            break  # too few to tell anything from chance
        valid = np.flatnonzero((np.abs(y).sum(0) > 0) & (np.abs(p).sum(0) > 0))
        rng = np.random.default_rng(seed)  # the same orders for all vertices
        y, p = y[:, valid], p[:, valid]
        chance[first + valid] = sign_tail(y * p) if by_time else _shuffled(y, p, permutations, rng)
    out, tested = np.zeros(len(chance), dtype=bool), np.isfinite(chance)
    if tested.any():
        out[tested] = discovery_rates(chance[tested]) <= q
    return out


def better_than_chance(measured, prediction, subject, q=0.05, permutations=1000, seed=0):
    """``above_chance`` on the test trials of a subject: (T, N) measured and predicted, as ``scores.held_out`` gives them."""
    trials = np.asarray(subject.split.test)
    image = trials if subject.image_index is None else np.asarray(subject.image_index)[trials]
    return above_chance(measured, prediction, q, permutations, seed, image, Order.of(subject, trials))


def _shuffled(y, p, permutations, rng):
    """(N,) chance of so large a correlation when rows are in random order.

    Below what the permutations resolve, Student's t gives it: a few strong vertices among many weak ones would otherwise
    never pass a correction.
    """
    from scipy.special import stdtr  # scipy.stats takes a second of every training to import

    observed = np.einsum("tn,tn->n", y, p)
    as_large = np.zeros(len(observed), dtype=np.int64)
    for _ in range(permutations):
        as_large += np.einsum("tn,tn->n", y[rng.permutation(len(y))], p) >= observed
    r = np.clip(observed.astype(float), -1 + 1e-9, 1 - 1e-9)
    free = len(y) - 2
    return np.where(as_large, (as_large + 1) / (permutations + 1), stdtr(free, -r * np.sqrt(free / (1 - r**2))))


def sign_tail(x):
    """(N,) probability that the columns of ``x`` (m, N), with random signs, sum to what they do with their own, or more.

    By the saddlepoint of the sum's own distribution (Barndorff-Nielsen 1986), which resolves what permutations cannot; no
    less than 2^-m, which all signs alike have. Sums below their standard deviation get the normal distribution's.
    """
    from scipy.special import ndtr

    x = np.asarray(x, dtype=np.float64)
    x = x / np.sqrt((x**2).sum(0))
    total = x.sum(0)
    out, large = ndtr(-total), np.flatnonzero(total > 1)
    x, total = x[:, large], total[large]
    reached = np.minimum(total, np.abs(x).sum(0) * (1 - 1e-6))
    low, high = np.zeros(len(total)), np.full(len(total), 60.0)
    for _ in range(30):  # the tilt at which the sum is expected, by halving
        tilt = (low + high) / 2
        under = (x * np.tanh(tilt * x)).sum(0) < reached
        low, high = np.where(under, tilt, low), np.where(under, high, tilt)
    u = np.abs(tilt * x)
    cumulant = (u + np.log1p(np.exp(-2 * u)) - np.log(2)).sum(0)
    root = np.sqrt(2 * (tilt * total - cumulant))
    spread = tilt * np.sqrt((x**2 / np.cosh(np.minimum(u, 300)) ** 2).sum(0))
    tail = ndtr(-(root + np.log(np.maximum(spread, 1e-12) / root) / root))
    out[large] = np.clip(tail, 2.0 ** -len(x), ndtr(-1))
    return out


def _whitened(y, p, frequency):
    """Cosines of both series over the size that those of measured responses have at their frequency, over all vertices.

    What a slow series has most of tells least, so that both are weighted as in generalised least squares. The weights know
    sizes alone, no signs, so that the null hypothesis stays what it is.
    """
    y, p = standard(y, centre=False), standard(p, centre=False)
    power = (np.nan_to_num(y) ** 2).mean(1)
    used = power > 0
    if used.sum() < LEAST_COSINES:
        return y, p
    terms = np.column_stack([np.ones(len(power)), np.log(frequency), frequency, frequency**2])
    smooth = terms @ np.linalg.lstsq(terms[used], np.log(power[used]), rcond=None)[0]
    weight = np.exp(-(smooth - smooth.mean()) / 2)[:, None]
    return standard(y * weight, centre=False), standard(p * weight, centre=False)


def _structured(prediction, order, seed, shuffles=199):
    """Whether predictions of neighbours in time are more alike than in a random order of the pictures.

    The choice of the test rests on predictions and their order, not on what was measured, which under the null hypothesis is independent
    of both: no p value is taken from the better of two tests. The false positives in docs/statistics.md are with this choice.
    """
    number, parts = order.averaged()
    x = standard(by_picture(prediction[:, :: max(1, prediction.shape[1] // 2000)], number))
    last = np.concatenate([np.arange(part.start, part.stop - 1) for part in parts])
    if not len(last):
        return False
    alike = x @ x.T
    observed, rng = alike[last, last + 1].mean(), np.random.default_rng(seed)
    orders = (rng.permutation(len(x)) for _ in range(shuffles))
    as_alike = sum(alike[rows[last], rows[last + 1]].mean() >= observed for rows in orders)
    return (as_alike + 1) / (shuffles + 1) < ORDERED


def standard(x, centre=True):
    """Columns to norm 1, and mean 0 where ``centre``; constant ones to 0. float32."""
    x = np.asarray(x, dtype=np.float32)
    x = x - x.mean(0) if centre else x
    norm = np.sqrt((x**2).sum(0))
    return np.where(norm > 1e-6, x / np.maximum(norm, 1e-6), 0).astype(np.float32)
