"""Scores of several encoders on the same test pictures, and how they vary with the pictures: a paired bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factortopy.analysis.estimates import Estimate

DRAWS = 1000
BLOCK = 4096  # vertices at a time: a draw of all of a large subject's would fill the memory


@dataclass(frozen=True)
class Answers:
    """Mean R² by encoder and area on unique test pictures, as it is and as the pictures are drawn anew.

    names, areas : of encoders and areas; value : (K, A); draws : (B, K, A), the same pictures for all in each draw; pictures : how many
    film : the rows are volumes of a film, alike in time: drawn one by one their spread is too small, and decides nothing
    """

    names: tuple[str, ...]
    areas: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray
    pictures: int
    film: bool = False

    def estimate(self, weights):
        """``Estimate`` of a weighted sum of scores, {(name, area): weight}."""
        at = [(self.names.index(name), self.areas.index(area)) for name, area in weights]
        w = np.array(list(weights.values()))
        value = sum(x * self.value[i] for x, i in zip(w, at, strict=True))
        drawn = sum(x * self.draws[(slice(None), *i)] for x, i in zip(w, at, strict=True))
        return Estimate(float(value), float(np.std(drawn, ddof=1)), self.pictures - 1)


def _r2(measured, predicted, weight):
    """((B, K, n) R² of encoders on weighted pictures, (n,) which vertices count, rows of the block), a block of vertices at a time."""
    seen = weight.sum(1, keepdims=True)
    for start in range(0, measured.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        y = np.asarray(measured[:, block], np.float32)
        centred = y - y.mean(0)
        total = np.maximum(weight @ centred**2 - (weight @ centred) ** 2 / seen, 1e-6)
        residual = ((y - np.asarray(p[:, block], np.float32)) ** 2 for p in predicted.values())
        yield np.stack([1 - (weight @ r) / total for r in residual], 1), np.square(centred).sum(0) > 1e-6, block


def resampled(measured, predicted, areas, draws=DRAWS, seed=0):
    """``Answers`` of encoders.

    Parameters
    ----------
    measured : (n, N), one row a picture (repeats averaged)
    predicted : {name: (n, N)}
    areas : {name: (N,) bool}
    draws : int
        So many times n pictures are drawn with replacement.
    """
    n = len(measured)
    weight = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws)
    weight = np.concatenate([np.ones((1, n)), weight]).astype(np.float32)  # the first row: as it is
    sums, counts = np.zeros((len(weight), len(predicted), len(areas))), np.zeros(len(areas))
    for r2, use, block in _r2(measured, predicted, weight):
        inside = np.stack([np.asarray(mask, bool)[block] & use for mask in areas.values()], 1).astype(np.float32)
        counts += inside.sum(0)
        sums += r2 @ inside
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return Answers(tuple(predicted), tuple(areas), means[0], means[1:], n)


def behind_the_best(measured, predicted, areas, divisions=20, seed=0):
    """How far encoders are behind the best one of each vertex, where other pictures than those that measure it choose the best.

    The largest of several scores is large by luck too, so that on the same pictures every encoder is behind "the best", and a lucky one
    the least. Here half of the pictures choose, the other half measures; both ways, over several random divisions. Of encoders that are
    equally good the expectation is 0.

    Parameters
    ----------
    measured, predicted, areas : as for ``resampled``; the rows of pictures in random order, not of a film

    Returns
    -------
    {area: {name: mean R² behind the best}}
    """
    n, rng = len(measured), np.random.default_rng(seed)
    first = np.array([rng.permutation(n) < n // 2 for _ in range(divisions)])
    halves = np.concatenate([first, ~first]).astype(np.float32)
    sums, counts = np.zeros((len(predicted), len(areas))), np.zeros(len(areas))
    for r2, use, block in _r2(measured, predicted, halves):
        best = np.roll(r2, divisions, axis=0).argmax(1)  # of each half, what the other one chooses
        behind = (np.take_along_axis(r2, best[:, None], 1) - r2).mean(0)
        inside = np.stack([np.asarray(mask, bool)[block] & use for mask in areas.values()], 1)
        counts += inside.sum(0)
        sums += behind @ inside
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return {area: dict(zip(predicted, map(float, means[:, k]), strict=True)) for k, area in enumerate(areas)}


def mean_of(answers):
    """``Answers`` of several subjects: their mean, their pictures drawn apart."""
    first = answers[0]
    value, draws = (np.mean([getattr(a, key) for a in answers], 0) for key in ("value", "draws"))
    return Answers(first.names, first.areas, value, draws, min(a.pictures for a in answers))
