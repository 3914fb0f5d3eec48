"""A first look at a data set: what was found, and its first pictures beside their mean responses."""

from dataclasses import dataclass

import numpy as np

from factortopy.subjects import DENSITY, demo_number, load_subject
from factortopy.subjects.check import Findings, check
from factortopy.subjects.layouts import find

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
    order : analysis.order.Order or None
    part : str, what the responses are when they are not all, such as "in session 1"
    delays : str, of a film how much later its responses were taken, such as "2 to 5 TRs (2 to 5 s)"
    The rest as in Subject. All but ``findings`` are None when nothing could be loaded.
    """

    findings: Findings
    pictures: np.ndarray | None = None
    names: list | None = None
    repeats: np.ndarray | None = None
    responses: np.ndarray | None = None
    hemi: np.ndarray | None = None
    vertex: np.ndarray | None = None
    density: str = "10k"
    rois: dict | None = None
    ceiling: np.ndarray | None = None
    maps: dict | None = None
    simulated: bool = False
    order: object = None
    part: str = ""
    delays: str = ""


def preview(path, subject=None, side=224):
    """Look through a data set, as ``check`` does, and take its first pictures.

    Parameters
    ----------
    path, subject : as in ``load_subject``
    side : int, of the pictures in pixels

    Returns
    -------
    Preview
    """
    findings = check(path, subject)
    if findings.stops:
        return Preview(findings)
    from factortopy.analysis.order import picture_order, shown_pictures

    loaded, part = _some(path, subject)
    shown = shown_pictures(loaded)[:FIRST].tolist()
    means = np.stack([np.asarray(loaded.responses[loaded.answers(i)], np.float32).mean(0) for i in shown])
    some = np.asarray(loaded.responses[:: max(1, loaded.n_trials // 500)], np.float32)
    spread = np.maximum(some.std(0), 1e-6)
    pictures = None
    repeats = np.bincount(loaded.image_index)[shown]
    if loaded.images is not None:
        from PIL import Image

        pictures = np.stack([np.asarray(Image.fromarray(loaded.image(i)).resize((side, side))) for i in shown])
    return Preview(
        findings, pictures, _names(loaded, shown), repeats,
        (means - some.mean(0)) / spread, loaded.hemi, loaded.vertex, loaded.density, loaded.rois, loaded.noise_ceiling,
        loaded.maps, loaded.simulated, picture_order(loaded), part,
        "" if loaded.film is None else loaded.film.told_delays(),
    )  # fmt: skip


def _names(subject, shown):
    """A name for each picture, none twice: the slider tells them by it."""
    names = [subject.picture_name(i) for i in shown]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]


def _some(path, subject):
    """(Subject, words): the whole of it, or the part that is read in seconds."""
    if demo_number(path) is not None:
        return load_subject(path), ""
    layout, folder = find(path, subject)
    examination = layout.examine(folder)
    return layout.sample(examination) if layout.sample else (layout.to_subject(examination, DENSITY), "")
