"""Channel clusters: vertices that read the same channels."""

import numpy as np

from factortopy.errors import InputError


def channel_clusters(encoder, k=20, seed=0):
    """Group vertices by their channel weights (paper, section 4.5 and E.2).

    The paper clusters rows of the kernel w wᵀ (N × N). Rows of w (wᵀ w)^½ (N × D) have the same inner products, so
    k-means with min(1000, N/4) centroids and then Ward to ``k`` give the same in far less memory.

    Parameters
    ----------
    encoder : Encoder
        Scored: vertices that are not predicted above chance are left out. An unscored encoder is clustered whole.
    k : int

    Returns
    -------
    (N,) int, 0 … k − 1 by falling size, −1 where unpredicted
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from sklearn.cluster import KMeans

    weight = np.asarray(encoder.selectors().channel, dtype=np.float64)
    painted = np.abs(weight).sum(1) > 0
    if encoder.scores:
        painted &= encoder.scores["predicted"].astype(bool)
    n = int(painted.sum())
    if not 2 <= k <= n:
        raise InputError(f"channel clusters: expected between 2 and {n} clusters for {n} predicted vertices, found {k}")
    w = weight[painted]
    value, vector = np.linalg.eigh(w.T @ w)
    rows = w @ (vector * np.sqrt(np.maximum(value, 0))) @ vector.T
    rows /= rows.std() or 1
    means = KMeans(max(k, min(1000, n // 4)), n_init=1, random_state=seed).fit(rows)
    group = fcluster(linkage(means.cluster_centers_, "ward"), k, "maxclust")[means.labels_]
    # Numbered by size, so that the same seed gives the same colours and the largest comes first.
    _, group, size = np.unique(group, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=int)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    out = np.full(len(painted), -1)
    out[painted] = rank[group]
    return out
