"""Chance for the order of areas' numbers: the map turned on the sphere under the areas (``analysis.spatial_nulls``).

Areas' labels dealt at random forget that V1, V2 and V3 lie side by side, so that any smooth map is alike in them: smooth noise passes
in 17 % of the cases (docs/statistics.md). A turned map is as smooth.
"""

import numpy as np

from factortopy.analysis import spatial_nulls
from factortopy.analysis.finite import correlation, rank_correlation
from factortopy.analysis.scores import painted
from factortopy.analysis.slope import LEVELS
from factortopy.errors import InputError
from factortopy.report.fits import AREAS, DORSAL, EARLY, LEAST, MIDDLE, VENTRAL, first_share

INSIDE = {
    "first": ("first", EARLY, [a for a in AREAS if a not in EARLY]),
    "last in the middle": ("last", MIDDLE, [a for a in AREAS if a not in MIDDLE]),
    "last ventral": ("last", VENTRAL, DORSAL),
}


def of_seeds(encoders, levels=None):
    """Chances of the maps of a network's fits, the mean over seeds.

    Parameters
    ----------
    encoders : list of Encoder with selectors, of the same vertices

    Returns
    -------
    {"scale", "diversity", "symmetry", and those of ``INSIDE``: p}; without those that cannot be turned (no mesh, too few areas)
    """
    from factortopy.surfaces.meshes import load_mesh

    first, levels = encoders[0], levels or LEVELS
    try:
        sphere = load_mesh(first.density).coords["sphere"]
    except InputError:
        return {}
    use = np.all([painted(e) for e in encoders], 0)
    factors = [e.selectors() for e in encoders]
    maps = {
        "scale": np.mean([f.scale for f in factors], 0),
        "first": np.mean([first_share(f.layer) for f in factors], 0),
        "last": np.mean([f.layer[:, -1] for f in factors], 0),
    }
    turn = Turner(first.vertices, first.rois, use, sphere, levels)
    out = {"scale": turn.rising(maps["scale"])}
    if all(f.channel.shape[1] for f in factors):
        out["diversity"] = turn.more_diverse(factors[0].channel)
        out["symmetry"] = turn.more_symmetrical(factors[0].channel)
    out |= {key: turn.inside(maps[of], inside, outside) for key, (of, inside, outside) in INSIDE.items()}
    return {key: p for key, p in out.items() if np.isfinite(p)}


class Turner:
    """Turns of a subject's areas, drawn once for all maps.

    vertices : Vertices; rois : {name: (N,) bool}; use : (N,) bool; sphere : (2n, 3); levels : {area: level}
    """

    def __init__(self, vertices, rois, use, sphere, levels=LEVELS):
        self.vertices, self.use, self.sphere, self.levels, self._drawn = vertices, use, sphere, levels, {}
        self.rois = {name: np.asarray(mask, bool) for name, mask in rois.items()}

    def rising(self, values):
        """p of the correlation of (N,) values with their areas' level."""
        return self._chance(correlation, values, self._labels(self.levels))

    def inside(self, values, inside, outside):
        """p of how much larger (N,) values are inside some areas than in others."""
        labels = self._labels(dict.fromkeys(outside, 0.0) | dict.fromkeys(inside, 1.0))
        return self._chance(_difference, values, labels)

    def more_diverse(self, weight):
        """p of the rank correlation of areas' diversity of (N, D) channel weights with their level."""
        areas = list(self.levels)
        unit = weight / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-12)

        def score(own, area):
            pairs = [
                (self.levels[areas[k]], _diversity(own[area == k]))
                for k in range(len(areas))
                if (area == k).sum() >= LEAST
            ]
            return rank_correlation(*zip(*pairs, strict=True)) if len({level for level, _ in pairs}) > 2 else np.nan

        return self._chance(score, unit, self._labels({name: float(k) for k, name in enumerate(areas)}))

    def more_symmetrical(self, weight):
        """p of how much more alike the halves of early areas are than left halves of these and right ones of others, by their mean
        channel weights (N, D): the right hemisphere's map is turned alone, against the left one's."""
        labels, right = self._labels({name: float(k) for k, name in enumerate(AREAS)}), self.vertices.hemi == 1
        left = _means(weight[~right], labels[~right])

        def score(own, area):
            other = _means(own, area)
            names = [k for k in left if k in other]
            early = [i for i, k in enumerate(names) if AREAS[k] in EARLY]
            if not early or len(names) < 4:
                return np.nan
            table = np.array([left[names[i]] for i in early]) @ np.array([other[k] for k in names]).T
            same = table[np.arange(len(early)), early]
            return same.mean() - (table.sum() - same.sum()) / (len(early) * (len(names) - 1))

        return self._chance(score, weight, np.where(right, labels, np.nan))

    def _labels(self, numbers):
        labels = np.full(len(self.use), np.nan)
        for name, number in numbers.items():
            if name in self.rois:
                labels[self.rois[name] & self.use] = number
        return labels

    def _chance(self, score, values, labels):
        """The map is turned under the labels: values come from all of the vertices in use, labels stay."""
        labelled = np.isfinite(labels)
        if not labelled.any():
            return float("nan")
        if not self._drawn:
            self._drawn["turns"] = spatial_nulls.turns(self.vertices, self.use, self.sphere)
        chance = [score(values[source[labelled[to]]], labels[to[labelled[to]]]) for to, source in self._drawn["turns"]]
        return spatial_nulls.floor_and_p(score(values[labelled], labels[labelled]), np.array(chance, float))[1]


def _difference(values, labels):
    inside = labels > 0.5
    return values[inside].mean() - values[~inside].mean() if inside.any() and not inside.all() else np.nan


def _means(weight, labels):
    """{label: mean channel weights, of norm 1} of the labels with vertices enough."""
    means = {
        int(k): weight[labels == k].mean(0)
        for k in np.unique(labels[np.isfinite(labels)])
        if (labels == k).sum() >= LEAST
    }
    return {k: mean / max(float(np.linalg.norm(mean)), 1e-12) for k, mean in means.items()}


def _diversity(unit):
    n = len(unit)
    return 1 - (np.square(unit.sum(0)).sum() - n) / (n * (n - 1))
