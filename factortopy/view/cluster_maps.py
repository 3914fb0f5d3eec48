"""The map of channel clusters as one looks at them: colours that stay, one cluster bright and the others dimmed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.view import colour
from factortopy.view.brainmap import BrainMap
from factortopy.view.maps import cluster_map

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DIMMED = 12  # alpha of the clusters that are not looked at


def cluster_colours(colours: ArrayLike) -> np.ndarray:
    """(k, 3) uint8 of clusters' numbers of colour (``analysis.ClusterTree.coloured``)."""
    colours = np.asarray(colours, dtype=int)
    return colour.categories(int(colours.max()) + 1 if len(colours) else 1)[colours]


def chosen_cluster_map(
    labels: ArrayLike,
    colours: ArrayLike,
    hemi: ArrayLike,
    vertex: ArrayLike,
    *,
    only: int | None = None,
    **options: Any,
) -> BrainMap:
    """``maps.cluster_map`` in given colours.

    Parameters
    ----------
    labels : (N,) int, −1 outside
    colours : (k,) int, number of each cluster's colour
    only : int, optional
        The cluster that is bright; the others are dimmed.
    options : painted, context, density as for ``cluster_map``
    """
    made = cluster_map(labels, hemi, vertex, **options)
    made = replace(made, palette=cluster_colours(colours))
    if only is None:
        return made
    alpha = np.where(made.value == only, 255, DIMMED).astype(np.uint8)
    legend = made.legend | {"label": f"cluster {only + 1} of {len(made.palette)}, the others dimmed"}
    title = made.title.replace(
        "Places that read the same channels", f"Places that read the channels of cluster {only + 1}"
    )
    return replace(made, alpha=alpha, legend=legend, title=title)
