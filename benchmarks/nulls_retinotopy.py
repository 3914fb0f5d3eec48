"""Retinotopy's "has a place": how often responses that are blind to place are taken for one, and which planted places are seen.

A data set is 20 vertices, each a mixture of 6 sources with random weights (alike over vertices, as neighbours are); a false
positive is a data set in which any vertex has q < .05 and the least effect that a fit needs. Two repetitions, 24 steps a sweep.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from benchmarks.statistics import rejected
from factortopy.experiments import evidence, prf
from factortopy.stimuli.apertures import SWEEPS, Geometry, masks

GEOMETRY = Geometry(12.0, 6.0, 1.5, 45.0, 1.5, 24)
VERTICES, SOURCES, REPETITIONS = 20, 6, 2
KINDS = ("white", "AR .5", "AR .9", "AR .98", "smooth 2", "smooth 5")
BATCH = 100
LEAST = {"bars": evidence.LEAST_SIDE, "wedges": 0, "rings": evidence.LEAST_RING}


def apertures(protocol):
    """(T, 24, 24) masks; the analysis sees the same."""
    return np.concatenate([masks(sweep, 24, GEOMETRY) for sweep in SWEEPS[protocol]])


def noise(kind, frames, n, rng):
    """(frames, n) noise of unit variance."""
    white = rng.standard_normal((frames + 400, n), dtype=np.float32)
    if kind.startswith("AR"):
        white = lfilter([1], [1, -float(kind[3:])], white, axis=0)
    elif kind.startswith("smooth"):
        white = gaussian_filter1d(white, float(kind.split()[1]), axis=0)
    white = white[200:-200]
    return white / white.std()


def null(protocol, kind, contrast, data_sets, rng):
    """(R, T, data sets · VERTICES) position-blind responses."""
    shown = apertures(protocol).sum((1, 2))
    frames = REPETITIONS * len(shown)
    sources = noise(kind, frames, data_sets * SOURCES, rng).reshape(frames, data_sets, SOURCES)
    weights = rng.standard_normal((data_sets, SOURCES, VERTICES)) / np.sqrt(SOURCES)
    out = np.einsum("tds,dsv->tdv", sources, weights).reshape(REPETITIONS, len(shown), -1)
    driven = (shown / shown.max())[:, None] ** rng.uniform(0.3, 3, out.shape[2])
    return out + contrast * rng.choice([-1, 1], out.shape[2]) * driven


def p_and_share(protocol, responses):
    """p and share of ``evidence``."""
    if protocol == "bars":
        return evidence.bars(responses, apertures("bars"), GEOMETRY.image_degrees)
    return evidence.cycles(responses, SWEEPS[protocol], protocol[:-1], apertures(protocol).sum((1, 2)))


def discoveries(protocol, kind, contrast, data_sets, rng):
    """Data sets with any place."""
    count = 0
    for first in range(0, data_sets, BATCH):
        size = min(BATCH, data_sets - first)
        p, share = p_and_share(protocol, null(protocol, kind, contrast, size, rng))
        for own, part in zip(p.reshape(size, -1), share.reshape(size, -1), strict=True):
            count += bool(((evidence.q_values(own) < evidence.LEVEL) & (part >= LEAST[protocol])).any())
    return count


def planted(protocol, gain, noise_sd, n, rng):
    """A row: power and, for bars, the error of places planted within 4.5 degrees."""
    angle, ecc = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 4.5, n)
    x, y, size = ecc * np.cos(angle), ecc * np.sin(angle), rng.uniform(0.5, 1.5, n)
    course = prf.Model(apertures(protocol), 12.0).courses(*(a.astype(np.float32) for a in (x, y, size)))
    series = noise("AR .5", REPETITIONS * len(course), n, rng).reshape(REPETITIONS, len(course), n) * noise_sd
    series = series + gain * course / course.std(0)
    p, share = p_and_share(protocol, series)
    seen = (evidence.q_values(p) < evidence.LEVEL) & (share >= LEAST[protocol])
    row = {"planted": f"{protocol}, {'answers more' if gain > 0 else 'answers less'}, noise {noise_sd:g} SD a frame (AR .5)",
           "vertices": n, "seen": float(seen.mean()), "sign right": "–", "median error, degrees": "–"}  # fmt: skip
    if protocol == "bars":
        fit = prf.fit(series.mean(0), apertures("bars"), 12.0)
        seen &= (fit.r2 >= evidence.LEAST_R2) & (fit.other <= evidence.CLEAR * fit.r2)
        row |= {"seen": float(seen.mean()), "sign right": float((np.sign(fit.gain) == gain)[seen].mean()),
                "median error, degrees": float(np.median(np.hypot(fit.x - x, fit.y - y)[seen]))}  # fmt: skip
    return row


def rows(full):
    """Rows of the tables."""
    rng, out, data_sets = np.random.default_rng(0), [], 2000 if full else 20
    for protocol in ("bars", "wedges", "rings"):
        nulls = [(kind, 0.0) for kind in KINDS] + [(kind, 3.0) for kind in ("white", "AR .9")]
        for kind, contrast in nulls if protocol != "wedges" else nulls[: len(KINDS)]:
            words = f"{kind}{', follows contrast (area to the power of .3 to 3)' if contrast else ''}"
            hits = discoveries(protocol, kind, contrast, data_sets, rng)
            out.append(rejected(f"has a place, {protocol}", words, hits, data_sets))
    for protocol in ("bars", "wedges", "rings"):
        out += [planted(protocol, gain, sd, 500 if full else 20, rng) for gain in (1, -1) for sd in (0.5, 1.0, 2.0)]
    return out
