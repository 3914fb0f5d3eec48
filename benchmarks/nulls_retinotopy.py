"""Retinotopy's "has a place": how often responses that are blind to place are taken for one, and which planted places are seen.

A data set is 20 vertices, each a mixture of 6 sources with random weights (alike over vertices, as neighbours are); a false
positive is a data set in which any vertex has q < .05 and the least effect that a fit needs. Two repetitions and 24 steps a sweep,
the lab's defaults, noise by noise; wedges and rings at 12 settings, of each the noise that passed most often.
"""

import sys
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from benchmarks.statistics import rejected, table
from factortopy.experiments import evidence, prf
from factortopy.stimuli.apertures import SWEEPS, Geometry, masks

DEGREES, STEPS, REPETITIONS = 12.0, 24, 2
VERTICES, SHARED = 20, 0.3  # of a data set; sources a vertex
KINDS = ("white", "AR .5", "AR .9", "AR .98", "smooth 2", "smooth 5", "smooth 12", "1/f")
NULLS = tuple((kind, 0.0) for kind in KINDS)
CONTRAST = (("white", 3.0), ("AR .9", 3.0))
SETTINGS = tuple((steps, repetitions) for steps in (8, 12, 16, 24) for repetitions in (2, 4, 8))
MANY = ("white", "smooth 2", "smooth 5", "1/f")
BATCH = 2000  # vertices
WAVE = 0.97  # what is left of a wave in the next frame
LEAST = {"bars": evidence.LEAST_SIDE, "wedges": 0, "rings": evidence.LEAST_RING}


@cache
def apertures(protocol, steps=STEPS):
    """(T, 24, 24) masks; the analysis sees the same."""
    geometry = Geometry(DEGREES, DEGREES / 2, 1.5, 45.0, 1.5, steps)
    return np.concatenate([masks(sweep, 24, geometry) for sweep in SWEEPS[protocol]])


def noise(kind, frames, n, rng):
    """(frames, n) noise of unit variance; "smooth" with a Gaussian of so many frames, "wave" around a period of so many frames."""
    name, number = (kind.split() + ["0"])[:2]
    number, spare = float(number), 400 if name != "smooth" else 16 + 8 * int(float(number))
    if name == "1/f":
        f = np.fft.rfftfreq(4 * frames)
        wave = rng.standard_normal((2, len(f), n)) / np.sqrt(np.maximum(f, f[1]))[:, None]
        out = np.fft.irfft(wave[0] + 1j * wave[1], 4 * frames, axis=0)[:frames]
        return out / out.std()
    out = rng.standard_normal((frames + spare, n), dtype=np.float32)
    if name == "AR":
        out = lfilter([1], [1, -number], out, axis=0)
    elif name == "wave":
        out = lfilter([1], [1, -2 * WAVE * np.cos(2 * np.pi / number), WAVE**2], out, axis=0)
    elif name == "smooth":
        out = gaussian_filter1d(out, number, axis=0)
    out = out[spare // 2 :][:frames]
    return out / out.std()


def null(protocol, kind, contrast, data_sets, rng, steps=STEPS, repetitions=REPETITIONS, vertices=VERTICES):
    """(R, T, data sets · vertices) position-blind responses."""
    shown, own = apertures(protocol, steps).sum((1, 2)), round(SHARED * vertices)
    frames = repetitions * len(shown)
    sources = noise(kind, frames, data_sets * own, rng).reshape(frames, data_sets, own).transpose(1, 0, 2)
    weights = rng.standard_normal((data_sets, own, vertices)) / np.sqrt(own)
    out = (sources @ weights).transpose(1, 0, 2).reshape(repetitions, len(shown), -1)
    if not contrast:
        return out
    driven = (shown / shown.max())[:, None] ** rng.uniform(0.3, 3, out.shape[2])
    return out + contrast * rng.choice([-1, 1], out.shape[2]) * driven


def p_and_share(protocol, responses, steps=STEPS):
    """p and share of ``evidence``."""
    if protocol == "bars":
        return evidence.bars(responses, apertures("bars", steps), DEGREES)
    return evidence.cycles(responses, SWEEPS[protocol], protocol[:-1], apertures(protocol, steps).sum((1, 2)))


def discoveries(protocol, kind, contrast, data_sets, rng, steps=STEPS, repetitions=REPETITIONS, vertices=VERTICES):
    """Data sets with any place."""
    count, batch = 0, BATCH // vertices
    for first in range(0, data_sets, batch):
        size = min(batch, data_sets - first)
        responses = null(protocol, kind, contrast, size, rng, steps, repetitions, vertices)
        p, share = p_and_share(protocol, responses, steps)
        for own, part in zip(p.reshape(size, -1), share.reshape(size, -1), strict=True):
            count += bool(((evidence.q_values(own) < evidence.LEVEL) & (part >= LEAST[protocol])).any())
    return count


def planted(protocol, gain, noise_sd, n, rng, steps=STEPS, repetitions=REPETITIONS):
    """A row: power and, for bars, the error of places planted within 4.5 degrees."""
    angle, ecc = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 4.5, n)
    x, y, size = ecc * np.cos(angle), ecc * np.sin(angle), rng.uniform(0.5, 1.5, n)
    course = prf.Model(apertures(protocol, steps), DEGREES).courses(*(a.astype(np.float32) for a in (x, y, size)))
    series = noise("AR .5", repetitions * len(course), n, rng).reshape(repetitions, len(course), n) * noise_sd
    series = series + gain * course / course.std(0)
    p, share = p_and_share(protocol, series, steps)
    seen = (evidence.q_values(p) < evidence.LEVEL) & (share >= LEAST[protocol])
    row = {"planted": f"{protocol}, {'answers more' if gain > 0 else 'answers less'}, noise {noise_sd:g} SD a frame (AR .5)",
           "vertices": n, "seen": float(seen.mean()), "sign right": "–", "median error, degrees": "–"}  # fmt: skip
    if protocol == "bars":
        fit = prf.fit(series.mean(0), apertures("bars"), DEGREES)
        seen &= (fit.r2 >= evidence.LEAST_R2) & (fit.other <= evidence.CLEAR * fit.r2)
        row |= {"seen": float(seen.mean()), "sign right": float((np.sign(fit.gain) == gain)[seen].mean()),
                "median error, degrees": float(np.median(np.hypot(fit.x - x, fit.y - y)[seen]))}  # fmt: skip
    return row


def rows(full, protocols=("bars", "wedges", "rings")):
    """Rows of the tables."""
    data_sets, n = (2000, 500) if full else (20, 20)
    for protocol in protocols:
        rng = np.random.default_rng(("bars", "wedges", "rings").index(protocol))
        for kind, contrast in NULLS if protocol == "wedges" else NULLS + CONTRAST:
            hits = discoveries(protocol, kind, contrast, data_sets, rng)
            yield rejected(f"has a place, {protocol}", _words(kind, contrast), hits, data_sets)
        if protocol != "bars":
            for kind in MANY:
                hits = discoveries(protocol, kind, 0.0, data_sets, rng, vertices=500)
                yield rejected(f"has a place, {protocol}", f"{kind}, 500 vertices of 150 sources", hits, data_sets)
            hits = discoveries(protocol, f"wave {STEPS}", 0.0, data_sets, rng)
            words = "noise that repeats at the pace of the sweeps: cannot be told from a place"
            yield rejected(f"has a place, {protocol}", words, hits, data_sets, "–")
            for steps, repetitions in SETTINGS:
                yield _setting(protocol, steps, repetitions, data_sets, n, rng)
        yield from (planted(protocol, gain, sd, n, rng) for gain in (1, -1) for sd in (0.5, 1.0, 2.0))


def _setting(protocol, steps, repetitions, data_sets, n, rng):
    """A row: the noise that passed most often, and what is seen of planted places."""
    nulls = NULLS if protocol == "wedges" else NULLS + CONTRAST
    hits = {null: discoveries(protocol, *null, data_sets, rng, steps, repetitions) for null in nulls}
    worst = max(hits, key=hits.get)
    row = rejected(
        f"{protocol}, {steps} steps, {repetitions} repetitions",
        f"worst of {len(nulls)}: {_words(*worst)}",
        hits[worst],
        data_sets,
    )
    seen = {
        f"seen, noise {sd:g} SD": planted(protocol, 1, sd, n, rng, steps, repetitions)["seen"] for sd in (0.5, 1.0, 2.0)
    }
    return row | seen


def _words(kind, contrast):
    return f"{kind}{', follows contrast (area to the power of .3 to 3)' if contrast else ''}"


if __name__ == "__main__":  # python -m benchmarks.nulls_retinotopy [bars | wedges | rings]: each row when it is known
    for line in rows(True, sys.argv[1:] or ("bars", "wedges", "rings")):
        print(table([line]).split("\n", 2)[2], flush=True)
