"""Are the pictures in the right order? Early visual cortex answers to contrast: shifted pictures would not tell its responses."""

from dataclasses import dataclass

import numpy as np

from factortopy.subjects.progress import each

MOST, LEAST = 600, 40  # pictures that are looked at
SIDE = 8  # contrast is taken over the cells of such a grid
SHIFTS = (1, -1, 2, 3)
FOLDS = 5


@dataclass(frozen=True)
class Order:
    """How well pictures tell the responses of early areas.

    as_given : mean held-out correlation over vertices; shifted : the best of those with shifted pictures
    pictures, vertices : how many were looked at; areas : their names
    delays : of a film, how much later its responses were taken, in words; else ""
    """

    as_given: float
    shifted: float
    pictures: int
    vertices: int
    areas: str
    delays: str = ""

    @property
    def suspicious(self):
        """True when shifted pictures tell the responses better than the given order does."""
        return self.shifted > max(self.as_given + 0.02, 0.05)  # below that neither order tells anything

    def sentence(self):
        """For people."""
        text = f"local contrast of the pictures foretells {self.areas} with r = {self.as_given:.2f}"
        if self.delays:
            text = f"{text}, {self.delays} later"
        if self.suspicious and self.delays:
            return f"{text}, shifted by a few TRs with {self.shifted:.2f}: onsets or delays may be wrong"
        if self.suspicious:
            return f"{text}, shifted pictures with {self.shifted:.2f}: the order of the pictures may be wrong"
        if self.as_given < 0.05:
            return f"{text}: too little to tell whether the pictures are in the right order"
        return f"{text} (shifted by a few: {self.shifted:.2f}), so the pictures stand beside their own responses"


def picture_order(subject, most=MOST):
    """Compare the order of the pictures with the responses of V1, V2 and V3 (all vertices where there are none).

    Local contrast (standard deviation of luminance in 8 × 8 cells) predicts the mean response to each picture by ridge
    regression, held out in five parts; then the same with pictures shifted by one, two and three. Of a film the response
    to a frame is the mean of the TRs that its delays name.

    Returns
    -------
    Order, or None for fewer than 40 pictures or none at all
    """
    if subject.images is None:
        return None
    shown = shown_pictures(subject)
    # Neighbours of the data set stay neighbours, or a shift by one would mean another thing.
    start = max(0, (len(shown) - most) // 2)
    shown = shown[start : start + most]
    if len(shown) < LEAST:
        return None
    names = [name for name in ("V1", "V2", "V3") if name in subject.rois and subject.rois[name].any()]
    mask = np.any([subject.rois[n] for n in names], 0) if names else np.ones(subject.n_vertices, bool)
    columns = np.flatnonzero(mask)[:: max(1, int(mask.sum()) // 400)]
    contrast = np.stack([_contrast(subject.image(int(i))) for i in each(shown, "reading pictures to test their order")])
    trials = (subject.responses[subject.answers(i)][:, columns] for i in shown)
    answers = np.stack([np.asarray(rows, np.float32).mean(0) for rows in trials])
    # Neighbours within a film's delays share their responses: only shifts beyond them can tell.
    step = 1 if subject.film is None else subject.film.delays[-1] - subject.film.delays[0] + 1
    shifts = each((0, *SHIFTS), "testing the order of the pictures")
    scores = [_held_out(np.roll(contrast, shift * step, 0), answers) for shift in shifts]
    delays = "" if subject.film is None else subject.film.describe_delays()
    return Order(scores[0], max(scores[1:]), len(shown), len(columns), ", ".join(names) or "all places", delays)


def shown_pictures(subject):
    """(n,) pictures with responses, ascending; of a film, frames that were on the screen and have TRs after them."""
    if subject.film is None:
        return np.unique(subject.image_index)
    shown = np.unique(subject.image_index[subject.film.clip >= 0])
    return np.array([i for i in shown if len(subject.answers(i))], dtype=np.int64)


def _contrast(pixels):
    """(64,) log standard deviation of luminance in the cells of a grid."""
    grey = np.asarray(pixels, np.float32).mean(2)
    h, w = (n // SIDE * SIDE for n in grey.shape)
    if not h or not w:
        return np.zeros(SIDE * SIDE, np.float32)
    cells = grey[:h, :w].reshape(SIDE, h // SIDE, SIDE, w // SIDE)
    return np.log1p(cells.std((1, 3))).ravel()


def _held_out(design, answers):
    """Mean over vertices of the correlation of held-out predictions with answers."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    design = (design - design.mean(0)) / np.maximum(design.std(0), 1e-6)
    model = RidgeCV(alphas=np.logspace(0, 5, 6))
    predicted = cross_val_predict(model, design, answers, cv=KFold(FOLDS))
    a, b = predicted - predicted.mean(0), answers - answers.mean(0)
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return float(np.mean(np.where(size > 1e-9, (a * b).sum(0) / np.maximum(size, 1e-9), 0.0)))
