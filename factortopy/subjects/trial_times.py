"""When trials were shown: stretches without a gap, repeats, and the cosines of responses in time that a test can use."""

from dataclasses import dataclass

import numpy as np

from factortopy.subjects.drifts import slowest, without_drifts

LEAST_PICTURES = 5
LEAST_COSINES = 24  # a correlation of .5 in a tenth of the vertices is significant from about here on


@dataclass(frozen=True, eq=False)
class Order:
    """When test trials were shown.

    stretch : (T,) label of the run without a gap, or of the session, that a trial lies in
    place : (T,) rises with time
    same : (T,) trials with one label showed the same, and are averaged
    tr : seconds from one place to the next; None for pictures, whose places may have gaps
    """

    stretch: np.ndarray
    place: np.ndarray
    same: np.ndarray
    tr: float | None = None

    @classmethod
    def of(cls, subject, trials):
        """That of a film's TRs, or of pictures whose sessions are known; None where nothing is known of time."""
        trials, film = np.asarray(trials), getattr(subject, "film", None)
        if film is not None:
            new = np.r_[True, (np.diff(trials) != 1) | (np.diff(film.run[trials]) != 0)]
            same = np.unique(np.stack([film.clip[trials], film.position[trials]]), axis=1, return_inverse=True)[1]
            return cls(np.cumsum(new), trials, same.ravel(), film.tr)
        session = getattr(subject, "session", None)
        if session is None:
            return None
        session = np.unique(np.asarray(session)[trials], return_inverse=True)[1]
        shown = trials if subject.image_index is None else np.asarray(subject.image_index)[trials]
        return cls(session, trials, np.unique(shown, return_inverse=True)[1])

    def averaged(self):
        """(T,) number of the average that a trial goes into, ascending in time, and the list of stretches of averages (slices)."""
        _, first, back = np.unique(self.same, return_index=True, return_inverse=True)
        rank = np.argsort(np.lexsort((self.place[first], self.stretch[first])))
        first = first[np.argsort(rank)]
        new = np.diff(self.stretch[first]) != 0
        if self.tr is not None:
            new |= np.diff(self.place[first]) != 1
        edges = np.r_[0, np.flatnonzero(new) + 1, len(first)]
        return rank[back.ravel()], [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def cosines(self):
        """How many cosines there are to test with: one a row, less those of drifts."""
        return sum(max(0, part.stop - part.start - self._left_out(part)) for part in self.averaged()[1])

    def _left_out(self, part):
        return 1 + max(1, slowest(part.stop - part.start, self.tr))

    def frequencies(self):
        """(m,) cycles a row of each of the ``spectrum``'s cosines."""
        sizes = [(part.stop - part.start, self._left_out(part)) for part in self.averaged()[1]]
        return np.concatenate([np.arange(left_out, n) / (2 * n) for n, left_out in sizes])

    def spectrum(self, x):
        """(m, N) cosines of ``x`` (T, N): without drifts by stretch, repeats averaged, then transformed by stretch."""
        from scipy.fft import dct

        x, clean = np.asarray(x), np.empty(np.shape(x))
        for label in np.unique(self.stretch):
            rows = np.flatnonzero(self.stretch == label)
            clean[rows] = without_drifts(x[rows], self.tr)
        number, parts = self.averaged()
        mean = by_picture(clean, number)
        out = [dct(without_drifts(mean[part], self.tr), axis=0, norm="ortho")[self._left_out(part) :] for part in parts]
        return np.concatenate(out)


def too_short(subject):
    """Why a subject's test trials cannot be tested against chance; "" where they can."""
    order = Order.of(subject, subject.split.test)
    film = getattr(subject, "film", None)
    if film is None:
        n = len(np.unique(np.asarray(subject.image_index)[subject.split.test]))
        short = n < LEAST_PICTURES
        return (
            f"{n} test pictures are too few to tell a prediction from chance (at least {LEAST_PICTURES})"
            if short
            else ""
        )
    if order.cosines() >= LEAST_COSINES:
        return ""
    seconds = len(np.unique(order.same)) * film.tr
    return (
        f"{seconds:.0f} s of test film are too short to tell a prediction from chance: without drifts "
        f"{order.cosines()} of at least {LEAST_COSINES} independent values are left"
    )


def by_picture(x, image):
    """Rows of the same picture averaged, ascending."""
    order = np.argsort(image, kind="stable")
    _, start, count = np.unique(np.asarray(image)[order], return_index=True, return_counts=True)
    if len(count) == len(order):
        return x[order]
    x = np.asarray(x)
    x = x.astype(np.result_type(x, np.float32), copy=False)
    return np.add.reduceat(x[order], start) / count[:, None].astype(x.dtype)
