"""Networks side by side: scores by ROI, distance to the best, layers' shares, agreement of two encoders, moved layers."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from factortopy.analysis import spatial_nulls
from factortopy.analysis.finite import correlation, mean
from factortopy.analysis.measures import MEASURES, R2
from factortopy.analysis.scores import painted
from factortopy.errors import InputError, unexpected

STAYS = 0.03  # of the depth: a smaller shift of an area's mean layer is not told as one
OTHER_WAY = 0.01  # of the depth: a smaller shift of an area's best layers is not told as one
LEADS = 0.05  # R², or what else is measured: a lead from which on a network's colour is full


def same_vertices(encoders):
    """Check that encoders {name: Encoder} are of the same vertices; returns the first one.

    Raises
    ------
    InputError
        Naming the first that differs.
    """
    if not encoders:
        raise InputError("comparison: expected at least one fitted encoder, found none; train one first")
    names = list(encoders)
    first = encoders[names[0]]
    for name in names[1:]:
        other = encoders[name]
        if other.vertices != first.vertices:
            expected = f"{name} to have the {first.n_vertices} vertices of {names[0]}"
            remedy = "compare encoders of one subject, or of subjects with the same vertices"
            raise unexpected("comparison", expected, "other ones", remedy)
    return first


def scores_of(encoders, measure=R2):
    """{name: (N,)} of a measure; InputError for other vertices, or an encoder without scores."""
    same_vertices(encoders)
    missing = [name for name, encoder in encoders.items() if "score" not in encoder.scores]
    if missing:
        raise InputError(f"comparison: expected a scored encoder, found {missing[0]} without scores; score it first")
    return {name: MEASURES[measure].of(encoder) for name, encoder in encoders.items()}


def scores_by_roi(encoders, measure=R2):
    """Mean brain score of each encoder by ROI (paper, Table 13); the median where the measure is one.

    Parameters
    ----------
    encoders : {name: Encoder}, scored, of the same vertices
    measure : str, of ``measures.MEASURES``

    Returns
    -------
    list of dict
        One row a ROI and one for all vertices: roi, vertices, ceiling (the most that noise allows of this measure), then a
        column an encoder. NaN where nothing is known.
    """
    scores, best = scores_of(encoders, measure), MEASURES[measure].best
    first = next(iter(encoders.values()))
    ceiling = best(np.asarray(first.noise_ceiling, float)) if best and first.noise_ceiling is not None else None
    rows = []
    for roi, mask in areas_and_all(first).items():
        row = {"roi": roi, "vertices": int(mask.sum()), "ceiling": mean(ceiling, mask)}
        rows.append(row | {name: MEASURES[measure].over(score, mask) for name, score in scores.items()})
    return rows


def distance_to_best(encoders, measure=R2):
    """Root mean square over a ROI's vertices of (best R² of all encoders − R²), or of another measure; paper, Table 1.

    The paper says root sum; its numbers are root means. Vertices without a score in any encoder do not count. The best is chosen on the
    pictures that measure it: by luck alone all are behind it (``resampled.behind_the_best`` chooses on others).

    Returns
    -------
    list of dict
        One row a ROI and one for all vertices: roi, vertices, best (mean over vertices of the best R²), a column an
        encoder.
    """
    scores = scores_of(encoders, measure)
    best = np.max(np.stack(list(scores.values())), 0)
    rows = []
    for roi, mask in areas_and_all(next(iter(encoders.values()))).items():
        use = mask & np.isfinite(best)
        row = {"roi": roi, "vertices": int(use.sum()), "best": mean(best, use)}
        for name, score in scores.items():
            row[name] = float(np.sqrt(np.mean((best[use] - score[use]) ** 2))) if use.any() else float("nan")
        rows.append(row)
    return rows


def best_network(encoders, measure=R2):
    """(N,) int, which encoder predicts each vertex best; −1 where none predicts it above chance."""
    scores = np.stack([np.nan_to_num(s, nan=-np.inf) for s in scores_of(encoders, measure).values()])
    shown = np.any([painted(e) for e in encoders.values()], 0)
    return np.where(shown & np.isfinite(scores.max(0)), scores.argmax(0), -1)


def lead(encoders, measure=R2):
    """(N,) how far the best encoder of each vertex is ahead of the second best; NaN where fewer than two have a score."""
    scores = np.sort(np.stack([np.nan_to_num(s, nan=-np.inf) for s in scores_of(encoders, measure).values()]), 0)
    if len(scores) < 2:
        return np.full(scores.shape[1], np.nan)
    return np.where(np.isfinite(scores[-2]), scores[-1] - np.where(np.isfinite(scores[-2]), scores[-2], 0), np.nan)


def layer_shares(encoder):
    """(L,) share of the predicted vertices whose largest layer weight is on each layer."""
    factor, shown = encoder.selectors(), painted(encoder)
    count = np.bincount(factor.layer_argmax[shown], minlength=factor.layer.shape[1])
    return count / max(1, int(shown.sum()))


@dataclass(frozen=True)
class Agreement:
    """How alike two encoders' selectors are, over the vertices that both predict above chance.

    vertices : how many
    layer_equal, layer_near : share with the same best layer, with the same or the next one (None: different networks)
    layer_r : correlation of the mean layer, from 0 the first to 1 the last
    space : median distance of where they look, in shares of the picture's width, where both are local (scale < 0.6)
    scale_r, score_r : correlations of scale and brain score
    """

    vertices: int
    layer_equal: float | None
    layer_near: float | None
    layer_r: float
    space: float
    scale_r: float
    score_r: float


def agreement(a, b):
    """``Agreement`` of two factorized encoders of the same vertices (seeds, recipes, networks, fine-tuning)."""
    same_vertices({"a": a, "b": b})
    use = painted(a) & painted(b)
    x, y = a.selectors(), b.selectors()
    near = use & (x.scale < 0.6) & (y.scale < 0.6)
    alike = x.layer.shape[1] == y.layer.shape[1]
    steps = np.abs(x.layer_argmax - y.layer_argmax)[use] if alike else None
    first, second = (e.scores.get("score", np.full(a.n_vertices, np.nan)) for e in (a, b))
    return Agreement(
        int(use.sum()),
        float((steps == 0).mean()) if alike and use.any() else None,
        float((steps <= 1).mean()) if alike and use.any() else None,
        correlation(x.layer_mean[use], y.layer_mean[use]),
        float(np.median(np.linalg.norm(x.space - y.space, axis=1)[near]) / 2) if near.any() else float("nan"),
        correlation(x.scale[use], y.scale[use]),
        correlation(first[use], second[use]),
    )


def agreement_floors(encoders, draws=spatial_nulls.DRAWS, seed=0):
    """What the figures of ``agreement`` reach by chance between maps as smooth as these: one of two turned on the sphere.

    Parameters
    ----------
    encoders : sequence of two or more factorized encoders of the same vertices
        Of more, the figures are means over pairs, and the first of every pair is turned.

    Returns
    -------
    {"layer_equal", "layer_near", "layer_r", "scale_r", "score_r": {"value", "floor", "p"}}
        ``value``: each hemisphere by itself, then the mean (``agreement`` has all vertices in one pool, where a difference
        between hemispheres counts as likeness); ``floor`` is exceeded in 5 % of the turns; ``p`` is the share of turns
        that are as alike (``spatial_nulls``). Without the layers' two for networks of different depth; without any where
        nothing can be turned: no mesh of that density here, no place that all predict, a few scattered areas.
    """
    encoders = list(encoders)
    first = same_vertices(dict(enumerate(encoders)))
    use = np.all([painted(encoder) for encoder in encoders], axis=0)
    compared = {name: (score, list(combinations(maps, 2))) for name, (score, maps) in _compared_maps(encoders).items()}
    return spatial_nulls.beside_chance(compared, first.vertices, use, draws, seed)


def _compared_maps(encoders):
    """{figure of ``agreement``: (its score of two maps, the map of each encoder)}"""
    factors = [encoder.selectors() for encoder in encoders]
    nothing = np.full(encoders[0].n_vertices, np.nan)
    out = {
        "layer_r": (correlation, [factor.layer_mean for factor in factors]),
        "scale_r": (correlation, [factor.scale for factor in factors]),
        "score_r": (correlation, [encoder.scores.get("score", nothing) for encoder in encoders]),
    }
    if len({factor.layer.shape[1] for factor in factors}) == 1:
        best = [factor.layer_argmax.astype(int) for factor in factors]
        out["layer_equal"] = (lambda a, b: float((a == b).mean()), best)
        out["layer_near"] = (lambda a, b: float((np.abs(a - b) <= 1).mean()), best)
    return out


def layer_shift(a, b):
    """(N,) how far the mean layer of ``b`` lies above that of ``a``, in shares of the depth; NaN where one does not predict."""
    same_vertices({"a": a, "b": b})
    shift = np.asarray(b.selectors().layer_mean - a.selectors().layer_mean, dtype=float)
    return np.where(painted(a) & painted(b), shift, np.nan)


def moved_in_words(a, b, names=("the first", "the second")):
    """In words: where the mean layer, weighted by use, of ``b`` is later than that of ``a``, where earlier, where the same.

    Where an area's best layers (the largest weights) go the other way, that is said too.

    Parameters
    ----------
    a, b : Encoder with selectors, of the same vertices
    names : (str, str), what the two are called
    """
    shift = layer_shift(a, b)
    both = np.isfinite(shift)
    if not both.any():
        return f"No place is predicted by both {names[0]} and {names[1]}."
    moved = {roi: mean(shift, mask) for roi, mask in areas_and_all(a).items() if roi != "all" and (mask & both).any()}
    best = _best_shift(a, b, both)
    order = sorted(moved, key=lambda roi: -abs(moved[roi]))
    later = [f"{roi} (+{moved[roi]:.0%})" for roi in order if moved[roi] >= STAYS]
    earlier = [f"{roi} (−{-moved[roi]:.0%})" for roi in order if moved[roi] <= -STAYS]
    same = [roi for roi in order if abs(moved[roi]) < STAYS]
    parts = [f"{word} in {_listed(areas)}" for word, areas in (("later", later), ("earlier", earlier)) if areas]
    parts += [f"about the same in {_listed(same)}"] if same and parts else []
    sentence = "; ".join(parts) or "about the same" + (" in every area" if same else "")
    sentence = f"Compared with {names[0]}, the mean layer of {names[1]}, weighted by use, is {sentence}"
    turned = {roi: mean(best, mask) for roi, mask in areas_and_all(a).items() if abs(moved.get(roi, 0)) >= STAYS}
    turned = {roi: x for roi, x in turned.items() if abs(x) >= OTHER_WAY and (x > 0) != (moved[roi] > 0)}
    turned = [f"{roi} ({'+' if x > 0 else '−'}{abs(x):.0%})" for roi, x in turned.items()]
    sentence += f". The best layer goes the other way in {_listed(turned)}" if turned else ""
    total = f"{float(np.mean(np.abs(shift[both]))):.0%} of the network's depth"
    return f"{sentence}. Over the {int(both.sum()):,} places that both predict the mean layer moves by {total}."


def _best_shift(a, b, use):
    """(N,) how far the best layer of ``b`` lies above that of ``a``, in shares of the depth; NaN outside ``use``."""
    depths = [f.layer_argmax / max(f.layer.shape[1] - 1, 1) for f in (a.selectors(), b.selectors())]
    return np.where(use, depths[1] - depths[0], np.nan)


def _listed(words, most=5):
    """ "A, B and C"; of many the first ones and a count."""
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} other areas"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def areas_and_all(encoder):
    """{ROI: (N,) bool}, "all" vertices as the last."""
    areas = {name: np.asarray(mask, bool) for name, mask in encoder.rois.items()}
    return areas | {"all": np.ones(encoder.n_vertices, bool)}
