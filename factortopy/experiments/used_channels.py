"""The channels that a set of vertices reads most, and equally many random ones to compare with."""

import numpy as np

from factortopy.errors import unexpected
from factortopy.experiments import damage
from factortopy.experiments.checks import number


def most_used(encoder, vertices, k, layers=None, reference=None):
    """The channels that a set of vertices reads most.

    Channel c of layer l counts Σ_i ω_il · [(1 − g_i) · |A_l w_i|_c · sd_c + g_i · |B_l w_i|_c · sd'_c], sd over reference
    pictures of its local and its global tokens.

    Parameters
    ----------
    encoder : Encoder
    vertices : (N,) bool or (n,) int
    k : int or float
        Channels altogether; below 1 this share of each layer's channels.
    layers : as for ``lesion``: where to look
    reference : as for ``lesion``

    Returns
    -------
    {layer: (k_l,) int array}, layers without any left out
    """
    factor, layers = encoder.selectors(), damage.layer_numbers(layers, encoder.layer_names)
    vertices = np.asarray(vertices)
    rows = np.flatnonzero(vertices) if vertices.dtype == bool else vertices
    total, k = sum(encoder.channels[l] for l in layers), number("channels", k, 0)
    if not len(rows) or not 0 < k <= total or (k > 1 and k % 1):
        expected = f"vertices and a share or at most {total} channels"
        raise unexpected("channels", expected, f"{len(rows)} and {k:g}", "change the number")
    spread = damage.moments(encoder.backbone(), encoder.grid, reference, encoder.antialias)
    near, far, weight = 1 - factor.scale[rows], factor.scale[rows], factor.channel[rows]
    use = {}
    for l in layers:
        sd_global, sd_local = spread[l][1].numpy()
        local, global_ = (np.abs(np.asarray(encoder._alignment[kind][l]) @ weight.T) for kind in ("local", "global"))
        of_layer = factor.layer[rows, l]
        use[l] = (local @ (of_layer * near)) * sd_local + (global_ @ (of_layer * far)) * sd_global
    if k < 1:
        return {l: np.sort(np.argsort(-u, kind="stable")[: max(1, round(k * len(u)))]) for l, u in use.items()}
    at = [(l, c) for l in layers for c in range(len(use[l]))]
    best = np.argsort(-np.concatenate([use[l] for l in layers]), kind="stable")[: int(k)]
    out = {}
    for l, c in sorted(at[i] for i in best):
        out.setdefault(l, []).append(c)
    return {l: np.array(c) for l, c in out.items()}


def random_like(channels, encoder, seed=0):
    """Equally many random channels in the same layers: {layer: (k_l,) int array}; some may be the same ones."""
    rng = np.random.default_rng(seed)
    return {l: np.sort(rng.choice(encoder.channels[l], len(c), replace=False)) for l, c in sorted(channels.items())}
