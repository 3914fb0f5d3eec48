"""Population receptive fields: ŷ(t) = gain · Σ S(t) · exp(−((x − x0)² + (y − y0)²) / 2σ²) + offset, gain of either sign.

As Dumoulin & Wandell 2008, without a haemodynamic response: one response a frame. A coarse grid by correlation, then
damped Gauss-Newton steps for all vertices at once; gain and offset are solved at every step (variable projection), and a
Gaussian is separable, so that a step costs three matrix products. Where answering less to a field (gain < 0) might explain
the response as well as answering more, both are refined and the better one stays: a vertex that contrast inhibits would
otherwise be placed across the middle from where it looks.
"""

from dataclasses import dataclass, fields

import numpy as np

from factortopy.experiments.responses import tell
from factortopy.stimuli.apertures import field

STEPS = 25  # of refinement at most
BYTES = 48e6  # of the largest array of a chunk of vertices
GRID, SIZES = 21, 7  # positions along a side, sizes
REACH = 1.3  # centres may lie this many half widths from the middle
CLOSE = 0.5  # of the best R² of the coarse grid: fields of the other sign that reach it are refined, too


@dataclass(frozen=True)
class Fit:
    """Fields of N vertices; NaN (r2 0) where a response never varies or no field fits.

    x, y : degrees, x right, y up; size : σ in degrees; gain, offset : in units of the response, gain < 0 where it answers less
    to what is shown in its field; r2 : share of variance; other : the share of the best field of the other sign
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    r2: np.ndarray
    other: np.ndarray


class Model:
    """Time courses that fields predict for (T, S, S) masks of pictures ``image_degrees`` wide."""

    def __init__(self, masks, image_degrees):
        self.frames, self.size, _ = masks.shape
        self.rows = np.ascontiguousarray(masks, np.float32).reshape(-1, self.size)
        self.at = field(self.size, image_degrees).astype(np.float32)
        self.half, self.pixel = image_degrees / 2, image_degrees / self.size

    @property
    def chunk(self):
        """Vertices that are worked on at once."""
        return max(1, int(BYTES / (4 * self.rows.shape[0] * 3)))

    def courses(self, x, y, size, slopes=False):
        """(T, n) courses of n fields; with ``slopes`` also (3, T, n) derivatives by x, y and log size."""
        dx, dy = self.at[:, None] - x, -self.at[:, None] - y
        gx, gy = np.exp(-((dx / size) ** 2) / 2), np.exp(-((dy / size) ** 2) / 2)
        if not slopes:
            return self._down(self.rows @ gx, gy)
        sx, sxx = gx * dx / size**2, gx * (dx / size) ** 2
        plain, first, second = np.split(self.rows @ np.concatenate([gx, sx, sxx], 1), 3, 1)
        by_size = self._down(second, gy) + self._down(plain, gy * (dy / size) ** 2)
        return self._down(plain, gy), np.stack([self._down(first, gy), self._down(plain, gy * dy / size**2), by_size])

    def _down(self, across, gy):
        return np.einsum("tyn,yn->tn", across.reshape(self.frames, self.size, -1), gy)

    def candidates(self):
        """(3, G) x, y, size of the coarse grid and their (G, T) standardised courses."""
        line = np.linspace(-REACH, REACH, GRID) * self.half
        sizes = np.geomspace(max(0.05, self.pixel / self.half), 1, SIZES) * self.half
        x, y, size = (a.ravel().astype(np.float32) for a in np.meshgrid(line, line, sizes, indexing="ij"))
        inside = np.hypot(x, y) <= REACH * self.half
        x, y, size = x[inside], y[inside], size[inside]
        step = self.chunk
        parts = [self.courses(*(a[i : i + step] for a in (x, y, size))) for i in range(0, len(x), step)]
        courses, varies = standard(np.concatenate(parts, 1))
        return np.stack([x, y, size])[:, varies], np.ascontiguousarray(courses[:, varies].T)


def standard(values):
    """Columns of (T, N) with mean 0 and norm 1 (float32), and (N,) bool: which vary at all."""
    values = np.asarray(values, np.float32)
    centred = values - values.mean(0)
    norm = np.sqrt((centred**2).sum(0))
    varies = np.isfinite(norm) & (norm > 1e-5 * np.sqrt(len(values)) * np.maximum(np.abs(values).max(0), 1e-12))
    return np.where(varies, centred / np.where(varies, norm, 1), 0), varies


def fit(responses, masks, image_degrees, on_progress=None):
    """Fit a field to every vertex.

    Parameters
    ----------
    responses : (T, N)
    masks : (T, S, S), row 0 the top
    image_degrees : float, width of the masks
    on_progress : callable, optional
        Gets (done, total) vertices; returning False raises ``Stopped``.

    Returns
    -------
    Fit
    """
    model, total = Model(masks, image_degrees), responses.shape[1]
    start, courses = model.candidates()
    out = {f.name: np.full(total, np.nan, np.float32) for f in fields(Fit)}
    out["r2"][:] = out["other"][:] = 0
    for i in range(0, total, model.chunk):
        tell(on_progress, i, total)
        raw = np.asarray(responses[:, i : i + model.chunk], np.float32)
        y, varies = standard(raw)
        likeness = courses @ y
        coarse = {sign: np.maximum((sign * likeness).max(0), 0) ** 2 for sign in (1, -1)}
        best = np.maximum(coarse[1], coarse[-1])
        for sign in (1, -1):
            use = np.flatnonzero(varies & (coarse[sign] > CLOSE * best))
            if not len(use):
                continue
            k = (sign * likeness[:, use]).argmax(0)
            refined = _refined(model, sign * y[:, use], start[:, k], sign * raw[:, use])
            _keep_better(out, i + use, sign, refined)
        out["other"][i : i + model.chunk] = np.maximum(
            out["other"][i : i + model.chunk], np.where(varies, np.minimum(coarse[1], coarse[-1]), 0)
        )
    tell(on_progress, total, total)
    return Fit(**out)


def signs(responses, masks, image_degrees):
    """(N,) 1 where a field that answers more explains best, −1 one that answers less, 0 where nothing varies; and (N,) the R²
    of the other sign's best field as a share of the best: both of the coarse grid."""
    _, courses = Model(masks, image_degrees).candidates()
    y, varies = standard(responses)
    sign, other = np.zeros(y.shape[1]), np.ones(y.shape[1])
    for i in range(0, y.shape[1], 1000):
        likeness = courses @ y[:, i : i + 1000]
        more, less = (np.maximum((s * likeness).max(0), 0) ** 2 for s in (1, -1))
        sign[i : i + 1000] = np.where(more >= less, 1, -1)
        other[i : i + 1000] = np.minimum(more, less) / np.maximum(np.maximum(more, less), 1e-12)
    return np.where(varies, sign, 0), other


def _keep_better(out, rows, sign, refined):
    """Write refined fields of one sign where they explain more than those of the other, and remember the other's R²."""
    x, up, size, gain, offset, r2 = refined
    before = out["r2"][rows].copy()
    better = r2 > before
    out["other"][rows] = np.where(better, before, r2)
    new = {"x": x, "y": up, "size": size, "gain": sign * gain, "offset": sign * offset, "r2": r2}
    for name, value in new.items():
        out[name][rows[better]] = value[better]


def _refined(model, y, start, raw):
    """Levenberg-Marquardt from ``start`` (3, n) for standardised responses y (T, n)."""
    low = np.array([-2 * model.half, -2 * model.half, np.log(model.pixel / 2)])[:, None]
    high = np.array([2 * model.half, 2 * model.half, np.log(2 * model.half)])[:, None]
    at = np.concatenate([start[:2], np.log(start[2:])]).astype(np.float64)
    state = _projected(model, y, at)
    damping, idle = np.full(y.shape[1], 1e-2), np.zeros(y.shape[1], int)
    for _ in range(STEPS):
        go = np.flatnonzero(idle < 3)
        if not len(go):
            break
        now = [a[..., go] for a in state]
        trial = np.clip(at[:, go] + _step(now, damping[go], model.half), low, high)
        new = _projected(model, y[:, go], trial)
        gained = now[0] - new[0]
        better = gained > 0
        kept = go[better]
        at[:, kept] = trial[:, better]
        for whole, part in zip(state, new, strict=True):
            whole[..., kept] = part[..., better]
        damping[go] = np.where(better, damping[go] / 5, damping[go] * 5).clip(1e-7, 1e7)
        idle[go] = np.where(gained > 1e-7, 0, idle[go] + 1)
    x, up, size = at[0], at[1], np.exp(at[2])
    courses = model.courses(*(a.astype(np.float32) for a in (x, up, size))).astype(np.float64)
    mean, spread = courses.mean(0), courses.std(0)
    gain = ((raw - raw.mean(0)) * (courses - mean)).mean(0) / np.maximum(spread**2, 1e-30)
    return x, up, size, gain, raw.mean(0) - gain * mean, 1 - state[0]


def _projected(model, y, at):
    """Left-over variance (n,), normal matrix (3, 3, n) and gradient (3, n) with gain and offset solved."""
    x, up, size = at[0], at[1], np.exp(at[2])
    course, slopes = model.courses(*(a.astype(np.float32) for a in (x, up, size)), slopes=True)
    course, slopes = course - course.mean(0), slopes - slopes.mean(1, keepdims=True)
    norm = np.maximum((course**2).sum(0), 1e-20)
    gain = np.einsum("tn,tn->n", course, y) / norm
    left = y - gain * course
    share = np.einsum("ktn,tn->kn", slopes, course) / norm
    jacobian = gain * (slopes - share[:, None] * course)
    normal = np.einsum("itn,jtn->ijn", jacobian, jacobian).astype(np.float64)
    # The other sign is fitted by itself: here a field that explains the response upside down leaves more than there was.
    error = np.where(gain > 0, (left**2).sum(0, dtype=np.float64), 2.0)
    return [error, normal, np.einsum("ktn,tn->kn", jacobian, left).astype(np.float64)]


def _step(state, damping, half):
    _, normal, gradient = state
    diagonal = np.einsum("iin->in", normal)
    ridge = damping * (diagonal + 1e-9 + 1e-3 * diagonal.max(0))
    matrix = np.moveaxis(normal, -1, 0) + np.einsum("in,ij->nij", ridge, np.eye(3))
    step = np.linalg.solve(matrix, np.moveaxis(gradient, -1, 0)[..., None])[..., 0].T
    return np.clip(step, *(s * np.array([half / 4, half / 4, 0.7])[:, None] for s in (-1, 1)))


def course(fields_of, masks, image_degrees):
    """(T, n) fitted responses of the fields of a ``Fit``, or of anything with its attributes."""
    f = fields_of
    x, y, size = (np.atleast_1d(np.asarray(a, np.float32)) for a in (f.x, f.y, f.size))
    return Model(masks, image_degrees).courses(x, y, size) * f.gain + f.offset
