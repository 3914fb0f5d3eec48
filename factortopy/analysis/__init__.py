"""Reading an encoder: brain score, vertices above chance, hierarchy slope, channel clusters, held-out pictures."""

from factortopy.analysis.clusters import channel_clusters
from factortopy.analysis.gallery import Gallery, make_gallery, read_gallery
from factortopy.analysis.hierarchy import hierarchy
from factortopy.analysis.order import picture_order
from factortopy.analysis.scores import brain_score, by_roi, held_out, predicted, score_run

__all__ = [
    "Gallery",
    "brain_score",
    "by_roi",
    "channel_clusters",
    "held_out",
    "hierarchy",
    "make_gallery",
    "picture_order",
    "predicted",
    "read_gallery",
    "score_run",
]
