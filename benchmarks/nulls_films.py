"""Vertices above chance in films and in single trials: how often anything is painted where predictions know nothing.

Simulated: noise that is smooth over a sphere and slow in time (AR(1) of 1 to 6 s and 1/f, straight and sinusoidal drifts), and
predictions of their own as slow as blood. The test is the library's own, from the split to the painted vertices.
"""

from types import SimpleNamespace

import numpy as np

from factortopy.analysis.chance import better_than_chance
from factortopy.subjects.folder.films import Film
from factortopy.subjects.split import Split

TRS = (0.5, 0.7, 1.0, 1.5, 2.0, 2.5)  # seconds
SOURCES = 300  # of the noise, spread over the sphere


def sphere(n):
    """(n, 3) points, evenly spread."""
    k = np.arange(n) + 0.5
    z, turn = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], 1)


def smooth(n, width=0.03):
    """(SOURCES, n) weights that make n values, smooth over a sphere and of variance 1, of independent sources."""
    weights = np.exp((sphere(n) @ sphere(SOURCES).T - 1) / width)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).T


def decaying(rng, n, columns, keep):
    """(n, columns) of variance 1: AR(1), ``keep`` of a value is left in the next."""
    from scipy.signal import lfilter

    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.standard_normal((n + 300, columns)), axis=0)[300:]


def pink(rng, n, columns):
    """(n, columns) of variance 1 with a spectrum of 1/f, cut out of one four times as long."""
    f = np.fft.rfftfreq(4 * n)
    wave = rng.standard_normal((2, len(f), columns)) / np.sqrt(np.maximum(f, f[1]))[:, None]
    x = np.fft.irfft(wave[0] + 1j * wave[1], 4 * n, axis=0)[:n]
    return x / x.std()


def drift(rng, n, tr, columns):
    """(n, columns) a straight line and a wave of 60 to 600 s, small where it is faster than 128 s."""
    second, period = np.arange(n)[:, None] * tr, rng.uniform(60, 600)
    line = rng.uniform(0, 3) * np.linspace(-1, 1, n)[:, None] * rng.standard_normal(columns)
    size = rng.uniform(0, 2 if period > 128 else 0.5) * rng.standard_normal(columns)
    return line + size * np.sin(2 * np.pi * (second / period + rng.random(columns)))


def noise(rng, n, tr, weights, drifting=True):
    """(n, N) responses that know nothing of any film."""
    x = decaying(rng, n, SOURCES, np.exp(-tr / rng.uniform(1, 6))) + rng.uniform(0, 1.5) * pink(rng, n, SOURCES)
    return (x + (drift(rng, n, tr, SOURCES) if drifting else 0)) @ weights


def predictions(rng, n, tr, weights):
    """(n, N) of eight features of a film, each with a pace and a trend of its own, through SPM's response."""
    from nilearn.glm.first_level import spm_hrf
    from scipy.signal import lfilter

    response = spm_hrf(tr, oversampling=1)
    x = lfilter(response, 1, decaying(rng, n + len(response), 8, np.exp(-tr / rng.uniform(0.5, 20))), axis=0)[-n:]
    x = x / x.std(0) + rng.uniform(0, 1) * np.linspace(-1, 1, n)[:, None] * rng.standard_normal(8)
    return x @ rng.standard_normal((8, SOURCES)) @ weights


def film_subject(tr, run, clip, position, test):
    """What the test asks of a subject that watched films."""
    frames = np.stack([position, position], 1)
    film = Film(frames, run, clip, position, position * tr, tr, (round(5 / tr),), None)
    return SimpleNamespace(film=film, image_index=position, session=run, split=Split([], [], test))


def film_null(rng, weights, repeated=False, longest=300):
    """Measured, predicted and subject: 1 to 4 stretches of test film of 60 to 300 s in all, or one film shown in two runs."""
    tr = rng.choice(TRS)
    rows = max(int(rng.uniform(60, longest) / tr), 28)
    if repeated:
        run, position = np.repeat([0, 1], rows), np.tile(np.arange(rows), 2)
        y = np.concatenate([noise(rng, rows, tr, weights) for _ in range(2)])
        p = np.tile(predictions(rng, rows, tr, weights), (2, 1))
        return y, p, film_subject(tr, run, 0 * run, position, np.arange(2 * rows))
    stretches, gap = int(rng.integers(1, 5)), int(90 / tr)
    own = max(rows // stretches, 10)
    n = stretches * own + (stretches - 1) * gap
    test = np.flatnonzero(np.arange(n) % (own + gap) < own)
    y, p, place = noise(rng, n, tr, weights), predictions(rng, n, tr, weights), np.arange(n)
    return y[test], p[test], film_subject(tr, 0 * place, 0 * place, place, test)


def picture_null(rng, weights, blocks=False):
    """Measured, predicted and subject: 3 sessions of 60 trials, 4 s apart, of 60 to 180 pictures, at random or in blocks of one
    category; the pictures of a session may return in the next ones."""
    sessions, trials, times = 3, 60, int(rng.integers(1, 4))
    session = np.repeat(np.arange(sessions), trials)
    new = sessions * trials // times
    category = np.arange(new) // 10 % 6
    pictures = 0.5 * rng.standard_normal((new, 8)) + 2 * rng.standard_normal((6, 8))[category]
    order = np.arange(new) if blocks else rng.permutation(new)
    shown = np.tile(order, times)[: len(session)]
    drifting = [noise(rng, trials, 4.0, weights) for _ in range(sessions)]
    y = np.concatenate([x - x.mean(0) for x in drifting])[: len(shown)]
    p = (pictures @ rng.standard_normal((8, SOURCES)) @ weights)[shown]
    split = Split([], [], np.arange(len(shown)))
    return y, p, SimpleNamespace(film=None, image_index=shown, session=session[: len(shown)], split=split)


def any_painted(make, n, vertices, **options):
    """How many of n data sets have a painted vertex."""
    weights = smooth(vertices)
    return sum(better_than_chance(*make(np.random.default_rng(seed), weights, **options)).any() for seed in range(n))


def power(seconds, r, n, vertices=642, tr=1.0):
    """Shares, over n data sets of one stretch: of the tenth of the vertices with a planted correlation that is painted, and of the
    painted ones that are planted nowhere."""
    weights, right, wrong = smooth(vertices), [], []
    planted = np.arange(vertices) < vertices // 10
    for seed in range(n):
        rng, rows = np.random.default_rng(seed), round(seconds / tr)
        y, p = noise(rng, rows, tr, weights, drifting=False), predictions(rng, rows, tr, weights)
        y, p = ((x - x.mean(0)) / x.std(0) for x in (y, p))
        y[:, planted] = np.sqrt(1 - r**2) * y[:, planted] + r * p[:, planted]
        y, place = y + drift(rng, rows, tr, 1), np.arange(rows)
        found = better_than_chance(y, p, film_subject(tr, 0 * place, 0 * place, place, place))
        right.append(found[planted].mean())
        wrong.append(found[~planted].sum() / max(found.sum(), 1))
    return float(np.mean(right)), float(np.mean(wrong))


def rows(full):
    """Rows for ``benchmarks.statistics``."""
    from benchmarks.statistics import rejected

    n, few = (2000, 20) if full else (20, 2)
    q = "any vertex above chance (FDR 5 %)"
    shifts = "TR .5 to 2.5 s, AR(1) + 1/f, smooth, drifts"
    out = [
        rejected(q, f"film, 1 to 4 stretches; {shifts}", any_painted(film_null, n, 642), n),
        rejected(q, f"film shown in two runs; {shifts}", any_painted(film_null, n, 642, repeated=True), n),
        rejected(q, "single trials, random order, drifting sessions, repeats", any_painted(picture_null, n, 642), n),
        rejected(q, "single trials in blocks of a category, drifting sessions, repeats",
                 any_painted(picture_null, n, 642, blocks=True), n),
    ]  # fmt: skip
    for seconds, r in ((120, 0.5), (300, 0.3), (300, 0.5), (600, 0.3), (1200, 0.2)):
        right, wrong = power(seconds, r, few)
        out.append(
            {"planted in a tenth of the vertices": f"r {r:g}", "test film": f"{seconds} s", "painted of these": right,
             "false among the painted": wrong}
        )  # fmt: skip
    return out
