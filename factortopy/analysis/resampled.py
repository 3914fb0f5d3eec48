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
    for start in range(0, measured.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        y = np.asarray(measured[:, block], np.float32)
        y = y - y.mean(0)
        total = weight @ y**2 - (weight @ y) ** 2 / n
        use = np.square(y).sum(0) > 1e-6
        inside = np.stack([np.asarray(mask, bool)[block] & use for mask in areas.values()], 1).astype(np.float32)
        counts += inside.sum(0)
        for k, p in enumerate(predicted.values()):
            residual = np.asarray(measured[:, block], np.float32) - np.asarray(p[:, block], np.float32)
            sums[:, k] += (1 - (weight @ residual**2) / np.maximum(total, 1e-6)) @ inside
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return Answers(tuple(predicted), tuple(areas), means[0], means[1:], n)


def mean_of(answers):
    """``Answers`` of several subjects: their mean, their pictures drawn apart."""
    first = answers[0]
    value, draws = (np.mean([getattr(a, key) for a in answers], 0) for key in ("value", "draws"))
    return Answers(first.names, first.areas, value, draws, min(a.pictures for a in answers))
