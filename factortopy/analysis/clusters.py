"""Channel clusters: vertices that read the same channels, for any number of clusters from one computation."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np

from factortopy.errors import InputError, Stopped
from factortopy.storage.files import read_tensors, write_tensors
from factortopy.storage.home import cache_dir

CENTROIDS = 1000  # of k-means, at most
ITERATIONS = 300  # of k-means, at most
EACH = 5  # iterations between two reports
START = 10  # iterations that finding the first centroids takes as long as
SMALL = 2e8  # multiplications of one iteration; below it threads cost more than they bring


@dataclass(frozen=True)
class ClusterTree:
    """Ward's tree over the centroids of k-means: cut anywhere, it gives that many clusters.

    leaf : (N,) int, centroid of each vertex, −1 where unpredicted; merges : (m − 1, 4) float, scipy's linkage of m centroids
    """

    leaf: np.ndarray
    merges: np.ndarray

    @property
    def most(self):
        """Largest number of clusters."""
        return len(self.merges) + 1

    @cached_property
    def _cuts(self):
        """(m, m) cluster of each centroid, column j for m − j clusters."""
        from scipy.cluster.hierarchy import cut_tree

        return cut_tree(self.merges).astype(np.int16)

    def labels(self, k):
        """(N,) int, 0 … k − 1 by falling size, −1 where unpredicted. A larger ``k`` only divides clusters."""
        if not 2 <= k <= self.most:
            raise InputError(f"channel clusters: expected between 2 and {self.most} clusters, found {k}")
        painted = self.leaf >= 0
        group = self._cuts[:, self.most - k][self.leaf[painted]]
        # Numbered by size, so that the same seed gives the same numbers and the largest comes first.
        _, group, size = np.unique(group, return_inverse=True, return_counts=True)
        rank = np.empty(len(size), dtype=int)
        rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
        out = np.full(len(self.leaf), -1)
        out[painted] = rank[group]
        return out

    def coloured(self, k, reference=None):
        """Clusters with colours that stay when ``k`` changes.

        Parameters
        ----------
        k : int
        reference : (N,) int, optional
            Clusters that have their colours already, the first the first one, and so on: those that a run was scored with.
            For as many clusters they are what is given. Without it the 20 of this tree.

        Returns
        -------
        labels : (N,) int
            As ``labels``.
        colours : (k,) int
            Number of each cluster's colour. Of a cluster that is divided the larger part keeps the colour, of two that are
            joined the larger one gives it.
        """
        labels = self.labels(min(20, self.most)) if reference is None else np.asarray(reference)
        at = int(labels.max()) + 1
        colours = np.arange(at)
        if k != at and reference is not None and at <= self.most:
            labels, before = self.labels(at), labels  # in case they were made elsewhere, or with another seed
            colours = carried(before, colours, labels)
        while at != k:
            at += 1 if k > at else -1
            labels, before = self.labels(at), labels
            colours = carried(before, colours, labels)
        return labels, colours


def carried(before, colours, after):
    """Colours for clusters ``after`` such that as many vertices as possible keep theirs.

    Parameters
    ----------
    before, after : (N,) int, −1 outside
    colours : (k,) int, of the clusters ``before``

    Returns
    -------
    (K,) int; clusters that take nobody's place get the first colours that are free
    """
    from scipy.optimize import linear_sum_assignment

    both = (before >= 0) & (after >= 0)
    overlap = np.zeros((int(after.max()) + 1, len(colours)))
    np.add.at(overlap, (after[both], before[both]), 1)
    new, old = linear_sum_assignment(-overlap)
    out = np.full(len(overlap), -1)
    out[new] = np.asarray(colours)[old]
    free = (colour for colour in count() if colour not in out)
    for cluster in np.flatnonzero(out < 0):
        out[cluster] = next(free)
    return out


def cluster_tree(encoder, seed=0, least=2, on_progress=None):
    """Cluster vertices by their channel weights (paper, section 4.5 and E.2).

    The paper clusters rows of the kernel w wᵀ (N × N). Rows of w (wᵀ w)^½ (N × D) have the same inner products, so
    k-means with min(1000, N/4) centroids (at least ``least``), then Ward, give the same in far less memory.

    Parameters
    ----------
    encoder : Encoder
        Scored: vertices that are not predicted above chance are left out. An unscored encoder is clustered whole.
    on_progress : callable, optional
        Called with (iterations done, most iterations) of k-means, which mostly ends long before the most; returning False
        raises ``Stopped``.

    Returns
    -------
    ClusterTree
    """
    from scipy.cluster.hierarchy import linkage
    from threadpoolctl import threadpool_limits

    weight, painted = _clustered(encoder)
    n = int(painted.sum())
    if not 2 <= least <= n:
        expected = f"between 2 and {n} clusters for {n} predicted vertices"
        raise InputError(f"channel clusters: expected {expected}, found {least}")
    w = weight[painted]
    m = max(least, min(CENTROIDS, n // 4))
    with threadpool_limits(1 if w.size * m < SMALL else None):
        value, vector = np.linalg.eigh(w.T @ w)
        rows = w @ (vector * np.sqrt(np.maximum(value, 0))) @ vector.T
        rows /= rows.std() or 1
        centres, nearest = _kmeans(rows, m, seed, on_progress)
    leaf = np.full(len(painted), -1)
    leaf[painted] = nearest
    return ClusterTree(leaf, linkage(centres, "ward"))


def _clustered(encoder):
    """Channel weights (N, D) and the vertices (N,) bool that are clustered."""
    weight = np.asarray(encoder.selectors().channel, dtype=np.float64)
    painted = np.abs(weight).sum(1) > 0
    if encoder.scores:
        painted &= encoder.scores["predicted"].astype(bool)
    return weight, painted


def _kmeans(rows, m, seed, on_progress):
    """Centroids (m, D) and the nearest of them (n,), a few iterations at a time so that it can be watched and stopped."""
    from sklearn.cluster import KMeans

    centres, done = "k-means++", 0
    while True:
        if on_progress and on_progress(START * (done > 0) + done, START + ITERATIONS) is False:
            raise Stopped("clusters: stopped")
        step = EACH if done else 1
        fitted = KMeans(m, init=centres, n_init=1, max_iter=step, random_state=seed).fit(rows)
        centres, done = fitted.cluster_centers_, done + fitted.n_iter_
        if fitted.n_iter_ < step or done >= ITERATIONS:
            return centres, fitted.labels_


def kept_tree(encoder, seed=0, on_progress=None):
    """``cluster_tree`` of an encoder, made once and kept in the cache."""
    path = _kept(encoder, seed)
    if path.is_file():
        try:
            tensors = read_tensors(path, "cache")
            return ClusterTree(tensors["leaf"].astype(int), tensors["merges"])
        except (InputError, KeyError):
            pass  # torn: made again
    tree = cluster_tree(encoder, seed, on_progress=on_progress)
    write_tensors(path, {"leaf": tree.leaf.astype(np.int32), "merges": tree.merges})
    return tree


def _kept(encoder, seed):
    weight, painted = _clustered(encoder)
    digest = hashlib.blake2b(weight.tobytes() + painted.tobytes() + str(seed).encode(), digest_size=12).hexdigest()
    return cache_dir("clusters") / f"{digest}.safetensors"


def channel_clusters(encoder, k=20, seed=0):
    """Group vertices by their channel weights: ``cluster_tree`` cut into ``k``.

    Returns
    -------
    (N,) int, 0 … k − 1 by falling size, −1 where unpredicted
    """
    return cluster_tree(encoder, seed, least=k).labels(k)
