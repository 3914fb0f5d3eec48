"""One picture's tokens as colours: what a network's layers tell apart."""

import numpy as np


def token_colours(local, others=()):
    """Local tokens of one picture in colours, layer by layer.

    Red, green and blue are each layer's first three principal components over the places of the picture, all three on one
    scale, so that a weaker component has less colour. Full colour is what 98 % of the first component's places stay within, in this
    picture or in any of the others: a picture in which a layer tells nothing apart stays grey. The signs of components, which
    are free, follow the layer before where both have the same grid.

    Parameters
    ----------
    local : list over layers of (h, w, C) arrays
    others : sequence of such lists
        Tokens of other pictures, for the scale alone.

    Returns
    -------
    colours : list over layers of (h, w, 3) uint8 arrays
    share : (L,) float array
        Share of the layer's variance over places that the three components hold (0 where nothing varies).
    """
    colours, shares, before = [], [], None
    for layer, tokens in enumerate(local):
        h, w = np.shape(tokens)[:2]
        scores, spread, rounding = _components(tokens)
        if before is not None and before.shape == scores.shape:
            flip = (before * scores).sum(0) < 0
        else:  # the first layer: the larger side is bright
            flip = np.abs(scores.min(0)) > scores.max(0)
        scores = np.where(flip, -scores, scores)
        reach = max(np.percentile(np.abs(x[:, 0]), 98) for x in (scores, *(_components(o[layer])[0] for o in others)))
        shade = 0.5 + scores / (2 * reach) if reach > rounding else np.full_like(scores, 0.5)
        colours.append((np.clip(shade, 0, 1) * 255).round().astype(np.uint8).reshape(h, w, 3))
        total = (spread**2).sum()
        shares.append((spread[:3] ** 2).sum() / total if total > 0 else 0.0)
        before = scores
    return colours, np.array(shares)


def _components(tokens):
    """(h·w, 3) first three principal components over places, all spreads, and the size of mere rounding."""
    flat = np.asarray(tokens, np.float64).reshape(-1, np.shape(tokens)[-1])
    rounding = 1e-5 * np.abs(flat).max(initial=0)
    flat = flat - flat.mean(0)
    left, spread, _ = np.linalg.svd(flat, full_matrices=False)
    scores, k = np.zeros((len(flat), 3)), min(3, len(spread))
    scores[:, :k] = left[:, :k] * spread[:k]
    return scores, spread, rounding
