"""The map of channel clusters as one looks at them: colours that stay, one cluster alone in its colour, the others grey."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.view import colour
from factortopy.view.brainmap import UNPAINTED, BrainMap
from factortopy.view.maps import cluster_map

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from factortopy.surfaces.coordinates import Vertices

GREY = (140, 143, 148)  # of the clusters that are not looked at


def cluster_colours(colours: ArrayLike) -> np.ndarray:
    """(k, 3) uint8 of clusters' numbers of colour (``analysis.ClusterTree.coloured``)."""
    colours = np.asarray(colours, dtype=int)
    return colour.categories(int(colours.max()) + 1 if len(colours) else 1)[colours]


def chosen_cluster_map(
    labels: ArrayLike,
    colours: ArrayLike,
    vertices: Vertices,
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
        The cluster that keeps its colour; the others are grey. It is the first category of the map then.
    options : painted, context as for ``cluster_map``
    """
    every = replace(cluster_map(labels, vertices, **options), palette=cluster_colours(colours))
    if only is None:
        return every
    # The chosen one comes first, so that the legend's two swatches are its colour and the others' grey.
    order = np.r_[only, np.delete(np.arange(len(every.palette)), only)]
    code = np.full(UNPAINTED + 1, UNPAINTED, dtype=np.uint8)
    code[order] = np.arange(len(order))
    palette = np.full_like(every.palette, GREY)
    palette[0] = every.palette[only]
    names = [str(only + 1), "others"][: len(order)]
    legend = every.legend | {"label": f"cluster {only + 1} of {len(order)}", "names": names}
    words = every.words | {"names": [every.words["names"][k] for k in order]}
    title = every.title.replace(
        "Places that read the same channels", f"Places that read the channels of cluster {only + 1}"
    )
    return replace(every, value=code[every.value], palette=palette, legend=legend, words=words, title=title)
