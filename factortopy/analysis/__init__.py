"""Reading an encoder: scores, vertices above chance, hierarchy slope, channels, networks side by side, held-out pictures."""

from factortopy.analysis.channels import (
    channel_diversity,
    channel_image,
    cluster_areas,
    cluster_overlap,
    hemispheres_alike,
)
from factortopy.analysis.clusters import ClusterTree, channel_clusters, cluster_tree
from factortopy.analysis.comparison import (
    agreement,
    best_network,
    distance_to_best,
    layer_shares,
    layer_shift,
    lead,
    moved_in_words,
    scores_by_roi,
)
from factortopy.analysis.gallery import Gallery, make_gallery, read_gallery
from factortopy.analysis.scores import brain_score, by_roi, challenge, held_out, predicted, score_run
from factortopy.analysis.seeds import seed_agreement
from factortopy.analysis.slope import hierarchy
from factortopy.analysis.tuning import before_after, lost, score_against
from factortopy.subjects.picture_order import picture_order

__all__ = [
    "ClusterTree",
    "Gallery",
    "agreement",
    "before_after",
    "best_network",
    "brain_score",
    "by_roi",
    "challenge",
    "channel_clusters",
    "channel_diversity",
    "channel_image",
    "cluster_areas",
    "cluster_overlap",
    "cluster_tree",
    "distance_to_best",
    "held_out",
    "hemispheres_alike",
    "hierarchy",
    "layer_shares",
    "layer_shift",
    "lead",
    "lost",
    "make_gallery",
    "moved_in_words",
    "picture_order",
    "predicted",
    "read_gallery",
    "score_against",
    "score_run",
    "scores_by_roi",
    "seed_agreement",
]
