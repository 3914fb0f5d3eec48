"""Numbers with their error, and tests of them against a smallest effect: what verdicts are made of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb, factorial, inf, prod
from typing import NamedTuple

import numpy as np

from factortopy.analysis.finite import rank_correlation

RESAMPLES = 9999  # permutations at most; all of them where there are no more
LARGEST_R = 0.99  # of few points: a correlation of 1 has no error


class Test(NamedTuple):
    """Chances (p values, one-sided) of numbers such as these if the claim were false (``holds``), if it were true (``fails``)."""

    holds: float
    fails: float


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, and the degrees of freedom of Student's t that go with it."""

    value: float
    error: float
    free: float = inf

    def _beyond(self, limit):
        from scipy.special import stdtr

        if not (np.isfinite(self.value) and self.error > 0):
            return 0.5  # nothing is known of its error: neither side is excluded
        return float(stdtr(min(self.free, 1e6), -(self.value - limit) / self.error))

    def above(self, limit):
        """Chance of a value as large or larger, were the true one ``limit`` or less."""
        return self._beyond(limit)

    def below(self, limit):
        """Chance of a value as small or smaller, were the true one ``limit`` or more."""
        return 1 - self._beyond(limit)

    def quantile(self):
        """How many standard errors a 95 % interval reaches to each side."""
        from scipy.special import stdtrit

        return float(stdtrit(min(self.free, 1e6), 0.975))

    def interval(self):
        """(low, high), 95 %."""
        half = self.quantile() * self.error
        return self.value - half, self.value + half

    def __add__(self, other):
        """The sum of two independent estimates; degrees of freedom after Welch and Satterthwaite."""
        variance = self.error**2, other.error**2
        below = sum(v**2 / e.free for v, e in zip(variance, (self, other), strict=True))
        free = sum(variance) ** 2 / below if below > 0 else inf
        return Estimate(self.value + other.value, float(np.sqrt(sum(variance))), free)

    def __neg__(self):
        return Estimate(-self.value, self.error, self.free)

    def __sub__(self, other):
        return self + -other


def spread(values):
    """``Estimate`` of the mean of independent values: fits with other seeds, subjects."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return Estimate(float(values.mean()) if len(values) else np.nan, np.nan)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1)


def beside(value, values):
    """``Estimate`` of how far one more fit lies above the mean of some, if it varies from seed to seed as they do."""
    values = np.asarray(values, float)
    k = len(values)
    return Estimate(float(value - values.mean()), float(values.std(ddof=1) * np.sqrt(1 + 1 / k)), k - 1)


def of_pairs(pairs):
    """``Estimate`` of the mean over pairs of fits {(a, b): value}: pairs share fits, so each fit is left out once (jackknife)."""
    names = sorted({name for pair in pairs for name in pair})
    left = np.array([np.mean([v for pair, v in pairs.items() if name not in pair]) for name in names])
    k = len(names)
    return Estimate(
        float(np.mean(list(pairs.values()))), float(np.sqrt((k - 1) / k * np.square(left - left.mean()).sum())), k - 1
    )


# ---------------------------------------------------------------- against a limit


def larger(estimate, limit):
    """``Test`` of the claim that the true value is above the limit."""
    return Test(estimate.above(limit), estimate.below(limit))


def smaller(estimate, limit):
    """``Test`` of the claim that the true value is below the limit."""
    return Test(estimate.below(limit), estimate.above(limit))


def all_of(tests):
    """``Test`` of the claim that all of some claims are true (intersection-union; Bonferroni for one that is false)."""
    tests = list(tests)
    return Test(max(t.holds for t in tests), min(1.0, len(tests) * min(t.fails for t in tests)))


def any_of(tests):
    """``Test`` of the claim that one or more of some claims are true."""
    tests = list(tests)
    return Test(min(1.0, len(tests) * min(t.holds for t in tests)), max(t.fails for t in tests))


# ---------------------------------------------------------------- exchanging labels


def arrangements(values):
    """In how many orders these values can stand: fewer than 20 cannot give p < .05."""
    _, counts = np.unique(np.asarray(values), return_counts=True)
    return factorial(int(counts.sum())) // prod(factorial(int(c)) for c in counts)


def exchanged(n, statistic):
    """Chance of a statistic as large, were the labels of n things exchangeable; exact up to seven of them.

    statistic : (m, n) int, orders of the labels -> (m,); the first order is the true one
    """
    if factorial(n) <= RESAMPLES:
        orders = np.array(list(permutations(range(n))))
    else:
        rng = np.random.default_rng(0)
        orders = np.concatenate([np.arange(n)[None], rng.permuted(np.tile(np.arange(n), (RESAMPLES, 1)), axis=1)])
    values = statistic(orders)
    return float(np.mean(values >= values[0] - 1e-9))


def in_order(values, levels):
    """Chance that values rise with levels as they do, were the levels dealt at random."""
    from scipy.stats import rankdata

    x, y = rankdata(values), rankdata(levels) - (len(levels) + 1) / 2
    return exchanged(len(x), lambda orders: x[orders] @ y)


def inside_larger(values, inside):
    """Chance that the mean of the values ``inside`` (mask) is so far above the others', were any as many of them inside; exact.

    The smallest it can be is 1 over the number of choices (``choices``).
    """
    values, inside = np.asarray(values, float), np.asarray(inside, bool)
    k = int(inside.sum())
    sums = np.array([values[list(rows)].sum() for rows in combinations(range(len(values)), k)])
    return float(np.mean(sums >= values[inside].sum() - 1e-12))


def choices(inside):
    """In how many ways as many could be chosen."""
    return comb(len(inside), int(np.sum(inside)))


def association(x, y):
    """(rank correlation, ``Estimate`` of its Fisher z, chance of one as large were there none); x, y : (n,), five or more.

    The error is that of Fieller, Hartley and Pearson (1957); the chance comes from exchanging x.
    """
    r = rank_correlation(x, y)
    z = Estimate(float(np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))), float(np.sqrt(1.06 / (len(x) - 3))))
    return r, z, in_order(x, y)


def difference_of_correlations(first, second, between, n):
    """``Estimate`` of Fisher's z of one correlation less that of another, of the same n things that share one variable.

    The error is that of Dunn and Clark (1969): it knows that both come from the same things. Five or more, measured anew each.

    first, second : r of x with y and of x with z; between : r of y with z
    """
    a, b, c = (float(np.clip(r, -LARGEST_R, LARGEST_R)) for r in (first, second, between))
    both = c * (1 - a**2 - b**2) - a * b * (1 - a**2 - b**2 - c**2) / 2
    shared = min(both / ((1 - a**2) * (1 - b**2)), LARGEST_R)
    return Estimate(float(np.arctanh(a) - np.arctanh(b)), float(np.sqrt(2 * (1 - shared) / (n - 3))))
