"""What channels say: the picture as a vertex or an area sees it, clusters by area, both hemispheres, diversity."""

from dataclasses import dataclass

import numpy as np

from factortopy.errors import InputError


@dataclass(frozen=True)
class Stretch:
    """One stretch for all channel images that stand together, so that what is weaker looks weaker and a blank picture blank.

    middle : (h, w) or (h, w, 3), drawn as .5: the ``channel_values`` of a uniform grey picture, as fMRI counts from a grey screen
    reach : float, what lies so far from it is drawn as 0 or 1, in every direction alike
    """

    middle: np.ndarray
    reach: float

    @classmethod
    def over(cls, values, blank):
        """That of several pictures' ``channel_values``: 95 % of their places and directions stay within its reach."""
        apart = np.stack(values) - blank
        rounding = 1e-5 * max(np.abs(blank).max(), np.abs(apart).max())  # of single precision: no difference at all
        reach = float(np.percentile(np.abs(apart), 95))
        return cls(blank, reach if reach > rounding else float("inf"))

    def __call__(self, values):
        """Like ``values``, float32, 0 … 1."""
        return np.clip(0.5 + (values - self.middle) / (2 * self.reach), 0, 1).astype(np.float32)


def blank_features(encoder):
    """Features of a uniform grey picture."""
    from factortopy.features.extraction import compute

    return compute(encoder.backbone(), np.full((224, 224, 3), 128, np.uint8), grid=None)


def channel_values(encoder, features, vertices):
    """What some vertices' channels answer at each place of a picture.

    The local tokens of all layers, aligned and summed with the vertices' mean layer weights, at the network's own
    resolution; projected on the channel weights of a single vertex, or on the three main directions of several, each
    weighted by its singular value: the root mean square over the vertices of what they answer along it.

    Parameters
    ----------
    encoder : Encoder
    features : Features
        ``factortopy.features.extraction.compute(encoder.backbone(), image, grid=None)``
    vertices : int, (k,) int or (N,) bool
        Rows of the encoder's vertices.

    Returns
    -------
    (h, w) float64 for one vertex, (h, w, 3) for several
        The signs of directions are chosen so that the vertices' mean weight is positive on them.
    """
    import torch

    rows = _rows(encoder, vertices)
    factor = encoder.selectors()
    with torch.inference_mode():
        layers = encoder.aligned([torch.from_numpy(np.asarray(t, np.float32)) for t in features.local])
        side = max(layer.shape[1] for layer in layers), max(layer.shape[2] for layer in layers)
        share = factor.layer[rows].mean(0)
        seen = sum(float(s) * _resized(layer, side) for s, layer in zip(share, layers, strict=True))[0].numpy()
    weight = np.asarray(factor.channel[rows], dtype=np.float64)
    return seen @ (weight[0] if len(rows) == 1 else main_directions(weight).T)


def channel_image(encoder, image, vertices, features=None, stretch=None):
    """A picture as the channels of some vertices see it (paper, Figs. 7, 8, 25, 28–33).

    Parameters
    ----------
    encoder : Encoder
    image : array, PIL image or path
    vertices : int, (k,) int or (N,) bool
        Rows of the encoder's vertices.
    features : Features, optional
        ``factortopy.features.extraction.compute(encoder.backbone(), image, grid=None)``, for who asks for many areas of a picture.
    stretch : Stretch, optional
        That of the pictures it stands among: ``Stretch.over`` their ``channel_values``. None: over this one and five rendered ones.

    Returns
    -------
    (h, w) float32 for one vertex, (h, w, 3) for several
        0 … 1; .5 is what a uniform grey picture gives there. As in the released code, one stretch holds for all pictures and
        directions.
    """
    from factortopy.features.extraction import compute
    from factortopy.stimuli.localizer import localizer

    def values(picture):
        return channel_values(encoder, compute(backbone, picture, grid=None), rows)

    rows, backbone = _rows(encoder, vertices), encoder.backbone()
    own = values(image) if features is None else channel_values(encoder, features, rows)
    if stretch is None:
        others = [values(pictures[0]) for pictures in localizer(1).values()]
        stretch = Stretch.over([own, *others], channel_values(encoder, blank_features(encoder), rows))
    return stretch(own)


def main_directions(weight, n=3):
    """(n, D) main directions of channel weights (k, D), the mean not taken off: it is what the vertices share.

    Each has the length of its singular value over √k, the root mean square over the vertices of their weights along it.
    """
    _, size, directions = np.linalg.svd(weight, full_matrices=False)
    directions = (size / len(weight) ** 0.5)[:n, None] * directions[:n]
    directions *= np.where(directions @ weight.mean(0) < 0, -1, 1)[:, None]
    missing = n - len(directions)
    return np.concatenate([directions, np.zeros((missing, weight.shape[1]))]) if missing > 0 else directions


def _rows(encoder, vertices):
    given = np.atleast_1d(np.asarray(vertices))
    rows = np.flatnonzero(given) if given.dtype == bool and len(given) == encoder.n_vertices else given
    if not len(rows) or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= encoder.n_vertices:
        expected = f"rows between 0 and {encoder.n_vertices - 1}, or a mask of them"
        raise InputError(f"vertices: expected {expected}, found {vertices!r:.60}")
    return rows


def _resized(layer, side):
    import torch.nn.functional as F

    if tuple(layer.shape[1:3]) == side:
        return layer
    return F.interpolate(layer.permute(0, 3, 1, 2), side, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


# ---------------------------------------------------------------- clusters, hemispheres, diversity


def cluster_areas(labels, rois):
    """Which areas each cluster lies in.

    Parameters
    ----------
    labels : (N,) int, −1 outside; rois : {name: (N,) bool}

    Returns
    -------
    list of dict
        One row a cluster: cluster (from 1), vertices, and for each area the share of the cluster that lies in it.
    """
    rows = []
    for k in range(int(labels.max()) + 1 if len(labels) else 0):
        mask = labels == k
        row = {"cluster": k + 1, "vertices": int(mask.sum())}
        rows.append(row | {name: float((mask & area).sum() / max(1, mask.sum())) for name, area in rois.items()})
    return rows


def cluster_overlap(labels, cluster, rois):
    """What one cluster and each area have in common.

    Parameters
    ----------
    labels : (N,) int, −1 outside; cluster : int, from 0; rois : {name: (N,) bool}

    Returns
    -------
    list of dict
        roi, vertices (of the cluster in it), of_cluster (their share of the cluster), of_area (their share of the area's
        clustered vertices); areas without any left out, the largest share of the cluster first. Areas that overlap both
        count.
    """
    labels = np.asarray(labels)
    mask, clustered, rows = labels == cluster, labels >= 0, []
    for name, area in rois.items():
        both = int((mask & area).sum())
        if both:
            shares = {"of_cluster": both / int(mask.sum()), "of_area": both / int((area & clustered).sum())}
            rows.append({"roi": name, "vertices": both} | shares)
    return sorted(rows, key=lambda row: -row["of_cluster"])


def hemisphere_cosines(encoder):
    """(areas, (A, A) cosine between the mean channel weights of each area's left half and each area's right half).

    Areas with three vertices or more in both hemispheres.
    """
    weight, halves = np.asarray(encoder.selectors().channel, dtype=float), {}
    for name, mask in encoder.rois.items():
        both = [weight[mask & (encoder.hemi == side)] for side in (0, 1)]
        if all(len(half) >= 3 for half in both):
            halves[name] = [_unit(half.mean(0)) for half in both]
    left, right = (np.reshape([pair[k] for pair in halves.values()], (len(halves), weight.shape[1])) for k in (0, 1))
    return list(halves), left @ right.T


def hemispheres_alike(encoder):
    """Do both hemispheres read like channels (paper, 4.5)?

    Returns
    -------
    list of dict
        roi; same (cosine between the mean channel weights of its left and its right half) and other (mean cosine
        between its left half and the right halves of the other areas).
    """
    names, cosines = hemisphere_cosines(encoder)
    rows = []
    for k, name in enumerate(names):
        others = np.delete(cosines[k], k)
        other = float(others.mean()) if len(others) else float("nan")
        rows.append({"roi": name, "same": float(cosines[k, k]), "other": other})
    return rows


def channel_diversity(encoder):
    """How differently the vertices of an area read (paper, 4.5): 1 − mean cosine between their channel weights.

    Returns
    -------
    list of dict, roi, vertices, diversity (0 all alike … 1 unrelated)
    """
    weight, rows = np.asarray(encoder.selectors().channel, dtype=float), []
    for name, mask in encoder.rois.items():
        if mask.sum() < 3:
            continue
        unit = weight[mask] / np.maximum(np.linalg.norm(weight[mask], axis=1, keepdims=True), 1e-12)
        n = len(unit)
        # The mean over pairs of different vertices, without holding them all.
        cosine = (np.square(unit.sum(0)).sum() - n) / (n * (n - 1))
        rows.append({"roi": name, "vertices": n, "diversity": float(1 - cosine)})
    return rows


def _unit(vector):
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
