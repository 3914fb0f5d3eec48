"""Noise ceilings: the share of the variance of a subject's rows that is signal, from a data set's ncsnr or from repeats.

A ceiling belongs to rows of one kind: a single trial has more noise than the mean of three. Scores of single trials are compared
with the ceiling of single trials, scores of means with that of means of as many.
"""

from dataclasses import dataclass

import numpy as np

from factortopy.formats.npy import row_blocks
from factortopy.subjects.progress import each

LEAST_PICTURES = 30  # shown twice or more, below which the ceiling of a vertex cannot be estimated to any use


def of_ncsnr(ratio, repeats=1):
    """(N,) ncsnr² / (ncsnr² + mean of 1/n) for rows that are means of n trials each (Allen et al. 2022); NaN stays NaN.

    ratio : (N,) noise ceiling's signal-to-noise ratio; repeats : n of every row that is scored, 1 for single trials
    """
    ratio = np.asarray(ratio, np.float64)
    noise = np.mean(1 / np.asarray(repeats, np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(ratio > 0, ratio**2 / (ratio**2 + noise), 0 * ratio)


@dataclass(frozen=True)
class RepeatsCeiling:
    """What repeats say: ceiling, low, high (N,), of which the last two hold 95 % intervals; pictures : int, shown twice or more."""

    ceiling: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pictures: int


def of_repeats(responses, image_index, average=1, level=0.95):
    """The noise ceiling that the repeats of pictures show: a one-way analysis of variance, pictures as random effects.

    Parameters
    ----------
    responses : (T, N), also memory-mapped; image_index : (T,) picture of each row
    average : rows that each scored row is the mean of: 1, or as many as pictures were shown
    level : of the interval over pictures (exact where all are shown equally often and responses are normal)

    Returns
    -------
    RepeatsCeiling, or None without repeats
        NaN for vertices that never vary. Below 0 by chance where there is next to no signal: unbiased over vertices, not clipped.
    """
    from scipy.stats import f as fisher

    order = np.argsort(image_index, kind="stable")
    _, start, count = np.unique(np.asarray(image_index)[order], return_index=True, return_counts=True)
    n, k = len(order), len(count)
    if k < 4 or n - k < 2:
        return None
    total, squares, of_pictures = (np.zeros(responses.shape[1]) for _ in range(3))
    for pictures in each(row_blocks(k, int(count.max()) * responses.shape[1]), "reading the repeats"):
        first = start[pictures]
        rows = order[first[0] : start[pictures.stop] if pictures.stop < k else n]
        block = np.asarray(responses[rows], np.float64)
        sums = np.add.reduceat(block, first - first[0])
        total += sums.sum(0)
        squares += np.einsum("tn,tn->n", block, block)
        of_pictures += (sums**2 / count[pictures, None]).sum(0)
    within = (squares - of_pictures) / (n - k)
    between = (of_pictures - total**2 / n) / (k - 1)
    shown = (n - (count**2).sum() / n) / (k - 1)  # repeats of a picture, on average
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(between > 1e-12 * np.abs(squares / n), within / between, np.nan)

    def ceiling(noise):
        """Of means of ``average`` rows, where ``noise`` is the share of noise in the variance of means of ``shown`` rows."""
        signal = (1 - noise) / (noise * shown)  # of single rows, in units of their noise
        return signal / (signal + 1 / average)

    freedom = k - 1, n - k
    with np.errstate(divide="ignore", invalid="ignore"):
        # E(within / between) is (k − 1) / (k − 3) of the noise's share: without that factor ceilings would come out too low.
        middle = ceiling(ratio * (k - 3) / (k - 1))
        low, high = (ceiling(ratio * fisher.ppf(q, *freedom)) for q in ((1 + level) / 2, (1 - level) / 2))
    return RepeatsCeiling(middle, low, high, int((count > 1).sum()))


def estimate_ceiling(subject):
    """Give a subject that has no noise ceiling the one that its repeats show; nothing where too few pictures were repeated."""
    times = np.unique(subject.image_index, return_counts=True)[1]
    if subject.noise_ceiling is not None or subject.film is not None or (times > 1).sum() < LEAST_PICTURES:
        return
    estimate = of_repeats(subject.responses, subject.image_index)
    if estimate is None or not (estimate.ceiling > 0).any():
        return
    subject.noise_ceiling = np.where(np.isnan(estimate.ceiling), np.nan, np.maximum(estimate.ceiling, 0)).astype(
        np.float32
    )
    subject.remarks = [text for text in subject.remarks if text != subject.NO_CEILING]
    half = np.nanmedian(estimate.high - estimate.low) / 2
    subject.remark(
        f"noise ceiling of single rows, estimated from {estimate.pictures:,} pictures that were shown more than once (95 % interval of a "
        f"vertex: typically ± {half:.2f})"
    )
