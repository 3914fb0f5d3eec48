"""Noise ceilings from repeats on simulated trials: is the estimate unbiased, and does its interval cover the planted one?

Pictures are shown in random order, each once to three times; a trial's noise is white or, as in fMRI, alike from trial to trial. Of
every planted ceiling (of single trials, of means of three) 2,000 data sets are made. Part of benchmarks/statistics.py.
"""

import numpy as np

from factortopy.subjects.ceilings import of_repeats

REPEATS = {
    "3 repeats": np.full(300, 3),
    "1 to 3 repeats": np.repeat([1, 2, 3], 100),
    "100 pictures, 3 repeats": np.full(100, 3),
}
PLANTED = (0.0, 0.05, 0.2, 0.5, 0.8)
LIKE_THE_LAST = 0.3  # correlation of the noise of neighbouring trials


def rows(full=True):
    """A row a planted ceiling and design: coverage of the 95 % interval with its Clopper-Pearson interval, and bias."""
    from scipy.stats import binomtest

    n, out = 2000 if full else 300, []
    for seed, (design, repeats) in enumerate(REPEATS.items()):
        for noise, like in (("white", 0.0), ("autocorrelated", LIKE_THE_LAST)):
            for of, average in (("single trials", 1), ("means of 3", 3)):
                for ceiling in PLANTED:
                    found = of_repeats(*_trials(ceiling, average, repeats, like, n, seed), average=average)
                    covers = int(((found.low <= ceiling) & (ceiling <= found.high)).sum())
                    ends = binomtest(covers, n).proportion_ci(method="exact")
                    out.append({
                        "interval": f"noise ceiling of {of}: {design}, {noise} noise", "planted": ceiling, "data sets": n,
                        "coverage": covers / n, "of it 95 %": (float(ends.low), float(ends.high)),
                        "bias": float(found.ceiling.mean() - ceiling), "allowed": "93 to 97 %",
                    })  # fmt: skip
    return out


def _trials(ceiling, average, repeats, like, n, seed):
    """(T, n) trials, a data set a column, and the picture of each; ``ceiling`` is that of means of ``average`` trials."""
    rng = np.random.default_rng([seed, average, int(1000 * ceiling), int(10 * like)])
    image = rng.permutation(np.repeat(np.arange(len(repeats)), repeats))
    noise = rng.normal(size=(len(image), n))
    for t in range(1, len(noise)):
        noise[t] = like * noise[t - 1] + (1 - like**2) ** 0.5 * noise[t]
    signal = np.sqrt(ceiling / (average * (1 - ceiling)))
    return noise + signal * rng.normal(size=(len(repeats), n))[image], image
