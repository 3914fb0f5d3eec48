"""A first look at a data set: what was found, and its first pictures beside their mean responses."""

from dataclasses import dataclass

import numpy as np

from factortopy.subjects import load_subject
from factortopy.subjects.check import Findings, check

FIRST = 24  # pictures


@dataclass(frozen=True)
class Preview:
    """Small enough to be kept by a page.

    findings : Findings
    pictures : (n, side, side, 3) uint8, the first ones of the data set, squeezed to a square
    names : list of str; repeats : (n,) trials of each
    responses : (n, N) float32, mean over repeats, in standard deviations over the trials that were looked at
    ceiling : (N,) or None
    order : analysis.order.Order or None
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
    from factortopy.analysis.order import picture_order

    loaded = load_subject(path, subject)
    trials = np.arange(loaded.n_trials)
    image = trials if loaded.image_index is None else np.asarray(loaded.image_index)
    shown = np.unique(image)[:FIRST]
    means = np.stack([np.asarray(loaded.responses[trials[image == i]], np.float32).mean(0) for i in shown])
    some = np.asarray(loaded.responses[:: max(1, loaded.n_trials // 500)], np.float32)
    spread = np.maximum(some.std(0), 1e-6)
    pictures = None
    if loaded.images is not None:
        from PIL import Image

        pictures = np.stack([np.asarray(Image.fromarray(loaded.image(int(i))).resize((side, side))) for i in shown])
    return Preview(
        findings, pictures, [f"picture {int(i) + 1}" for i in shown], np.array([(image == i).sum() for i in shown]),
        (means - some.mean(0)) / spread, loaded.hemi, loaded.vertex, loaded.density, loaded.rois, loaded.noise_ceiling,
        loaded.maps, loaded.simulated, picture_order(loaded),
    )  # fmt: skip
