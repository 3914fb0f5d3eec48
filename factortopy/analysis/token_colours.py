"""One picture's tokens as colours: what a network's layers tell apart."""

import numpy as np


def token_colours(local):
    """Local tokens of one picture in colours, layer by layer.

    Red, green and blue are each layer's first three principal components over the places of the picture, from their 2nd to
    their 98th percentile. Their signs, which are free, follow the layer before where both have the same grid.

    Parameters
    ----------
    local : list over layers of (h, w, C) arrays

    Returns
    -------
    colours : list over layers of (h, w, 3) uint8 arrays
    share : (L,) float array
        Share of the layer's variance over places that the three components hold (0 where nothing varies).
    """
    colours, shares, before = [], [], None
    for tokens in local:
        h, w, c = np.shape(tokens)
        flat = np.asarray(tokens, np.float64).reshape(h * w, c)
        flat = flat - flat.mean(0)
        left, spread, _ = np.linalg.svd(flat, full_matrices=False)
        scores = np.zeros((h * w, 3))
        k = min(3, len(spread))
        scores[:, :k] = left[:, :k] * spread[:k]
        if before is not None and before.shape == scores.shape:
            flip = (before * scores).sum(0) < 0
        else:  # the first layer: the larger side is bright
            flip = np.abs(scores.min(0)) > scores.max(0)
        scores = np.where(flip, -scores, scores)
        low, high = np.percentile(scores, (2, 98), axis=0)
        width = np.where(high > low, high - low, 1)
        shade = np.where(high > low, (scores - low) / width, 0.5)
        colours.append((np.clip(shade, 0, 1) * 255).round().astype(np.uint8).reshape(h, w, 3))
        total = (spread**2).sum()
        shares.append((spread[:3] ** 2).sum() / total if total > 0 else 0.0)
        before = scores
    return colours, np.array(shares)
