"""A first look at a data set: its findings, and its first pictures beside their mean responses."""

from dataclasses import dataclass, replace

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.problems import STOPS, Problem
from factortopy.subjects.check import Findings, look_through
from factortopy.subjects.picture_order import picture_order, shown_pictures
from factortopy.subjects.progress import each
from factortopy.surfaces.coordinates import Vertices
from factortopy.wording import shown_path

FIRST = 24  # pictures


@dataclass(frozen=True)
class Preview:
    """Small enough to be kept by a page.

    findings : Findings
    pictures : (n, side, side, 3) uint8, the first ones of the data set, squeezed to a square
    names : list of str; repeats : (n,) trials of each
    responses : (n, N) float32, mean over repeats (of a film, over the TRs of its delays after it), in standard deviations over
        the trials that were looked at
    ceiling : (N,) or None
    order : picture_order.Order or None
    part : str, what the responses are when they are not all, such as "in session 1"
    delays : str, of a film how much later its responses were taken, such as "2 to 5 TRs (2 to 5 s)"
    The rest as in Subject. All but ``findings`` are None when nothing could be loaded.
    """

    findings: Findings
    pictures: np.ndarray | None = None
    names: list | None = None
    repeats: np.ndarray | None = None
    responses: np.ndarray | None = None
    vertices: Vertices | None = None
    rois: dict | None = None
    ceiling: np.ndarray | None = None
    maps: dict | None = None
    simulated: bool = False
    order: object = None
    part: str = ""
    delays: str = ""


def preview(path, subject=None, side=224, thorough=False, show=None):
    """Look through a data set, as ``check`` does, and take its first pictures.

    Parameters
    ----------
    path, subject : as in ``load_subject``
    side : int, of the pictures in pixels
    thorough : as in ``check``
    show : callable, optional
        Given the Preview before the order of its pictures has been tested, which may take as long as all before it.

    Returns
    -------
    Preview
        Progress: ``progress.listening``.
    """
    look = look_through(path, subject, thorough=thorough)
    if look.findings.stops:
        return Preview(look.findings)
    try:
        first, loaded = _first(look, side)
        if show is not None:
            show(first)
        return replace(first, order=picture_order(loaded))
    except InputError as error:  # a damaged picture beyond those that the look had decoded
        look.findings.problems.append(Problem(STOPS, shown_path(path), "", str(error), ""))
        return Preview(look.findings)


def _first(look, side):
    """(Preview without the test of the order, the Subject that it is of)."""
    loaded, part = look.subject, ""
    if look.layout is not None and look.layout.sample:  # the whole was not read
        loaded, part = look.layout.sample(look.examination)
    shown = shown_pictures(loaded)[:FIRST].tolist()
    means = np.stack([np.asarray(loaded.responses[loaded.answers(i)], np.float32).mean(0) for i in shown])
    sample = np.asarray(loaded.responses[:: max(1, loaded.n_trials // 500)], np.float32)
    spread = np.maximum(sample.std(0), 1e-6)
    pictures = None
    if loaded.images is not None:
        from PIL import Image

        frames = (Image.fromarray(loaded.image(i)) for i in each(shown, "reading the first pictures"))
        pictures = np.stack([np.asarray(frame.resize((side, side))) for frame in frames])
    first = Preview(
        look.findings, pictures, _names(loaded, shown), np.bincount(loaded.image_index)[shown],
        (means - sample.mean(0)) / spread, loaded.vertices, loaded.rois, loaded.noise_ceiling,
        loaded.maps, loaded.simulated, None, part, "" if loaded.film is None else loaded.film.describe_delays(),
    )  # fmt: skip
    return first, loaded


def _names(subject, shown):
    """A name for each picture, none twice: the slider tells them by it."""
    names = [subject.picture_name(i) for i in shown]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]
