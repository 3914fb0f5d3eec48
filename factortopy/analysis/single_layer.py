"""Do learnt layer weights find the layer that a grid search over single layers finds? (paper, Fig. 9)"""

import numpy as np

from factortopy.analysis import spatial_nulls
from factortopy.analysis.comparison import areas_and_all, same_vertices
from factortopy.analysis.finite import correlation, rank_correlation
from factortopy.analysis.scores import painted
from factortopy.errors import unexpected


def best_single_layer(singles):
    """(N,) int, the layer (0-based) whose own encoder predicts each vertex best; −1 where none is known.

    singles : {layer: Encoder}, each scored and fitted to that layer alone
    """
    layers = sorted(singles)
    score = np.stack([np.asarray(singles[k].scores["score"], float) for k in layers])
    best = np.asarray(layers)[np.nan_to_num(score, nan=-np.inf).argmax(0)]
    return np.where(np.isfinite(score).any(0), best, -1)


def against_learnt(full, singles):
    """Learnt layer weights beside a grid search over single layers.

    Parameters
    ----------
    full : Encoder
        With layer weights over all L layers.
    singles : {layer: Encoder}
        Two or more of the L layers (0-based), each fitted alone, of the same vertices.

    Returns
    -------
    list of dict
        One row a ROI and one for all predicted vertices: roi, vertices, searched (mean depth of the best single layer, 0
        first … 1 last), learnt (mean depth by the weights), r (rank correlation over layers of the single layers' R² with
        the mean weights), full (mean R²), best_single (mean R² of the best single layer for the whole ROI), and a column
        ``R² k`` and ``weight k`` (k from 1) for each searched layer.
    dict
        Over predicted vertices: vertices, equal and near (share whose largest weight is on the best single layer, on it or
        one beside it on the grid), chance (what equal would be on average for weights drawn at random from the same vertices),
        floor and p (what 5 % of maps turned on the sphere exceed, the share of turns that are as equal: ``spatial_nulls``;
        None where nothing can be turned), r (of depth).

    Raises
    ------
    InputError
        For fewer than two layers, or layers that the full encoder has not.
    """
    factor, depth = full.selectors(), full.selectors().layer.shape[1]
    layers = sorted(singles)
    if len(layers) < 2 or min(layers) < 0 or max(layers) >= depth:
        expected = f"two or more of the {depth} layers of the network"
        raise unexpected("single layers", expected, [k + 1 for k in layers], "fit more of them")
    same_vertices({"the full encoder": full} | {f"layer {k + 1}": e for k, e in singles.items()})
    score = np.stack([np.asarray(singles[k].scores["score"], float) for k in layers])
    best, weight = best_single_layer(singles), factor.layer[:, layers]
    use = painted(full) & (best >= 0)
    rows = []
    for name, mask in areas_and_all(full).items():
        mask = mask & use
        if not mask.any():
            continue
        mean_score, mean_weight = np.nanmean(score[:, mask], 1), weight[mask].mean(0)
        row = {
            "roi": name, "vertices": int(mask.sum()), "searched": float(best[mask].mean() / (depth - 1)),
            "learnt": float(factor.layer_mean[mask].mean()), "r": rank_correlation(mean_score, mean_weight),
            "full": float(np.nanmean(np.asarray(full.scores["score"], float)[mask])), "best_single": float(mean_score.max()),
        }  # fmt: skip
        row |= {f"R² {k + 1}": float(s) for k, s in zip(layers, mean_score, strict=True)}
        rows.append(row | {f"weight {k + 1}": float(w) for k, w in zip(layers, mean_weight, strict=True)})
    at, on = np.searchsorted(layers, best[use]), weight[use].argmax(1)
    share = [np.bincount(x, minlength=len(layers)) / max(1, len(x)) for x in (at, on)]
    agreement = {"vertices": int(use.sum()), "equal": _share(at == on), "near": _share(np.abs(at - on) <= 1)}
    r = correlation(best[use] / (depth - 1), factor.layer_mean[use])
    grid = [np.searchsorted(layers, best), weight.argmax(1)]
    turned = spatial_nulls.beside_chance({"equal": (lambda a, b: _share(a == b), [grid])}, full.vertices, use)
    by_chance = {key: turned["equal"][key] if turned else None for key in ("floor", "p")}
    return rows, agreement | {"chance": float(share[0] @ share[1]), "r": r} | by_chance


def _share(values):
    return float(values.mean()) if len(values) else float("nan")
