"""The maps of a fitted encoder as files: GIFTI and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.export import exchange
from factortopy.view.factor_maps import layer_map, scale_map, space_map
from factortopy.view.flat_picture import flat_png
from factortopy.view.maps import score_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from factortopy.encoder.selectors import Selectors
    from factortopy.surfaces.coordinates import Vertices


def export_maps(
    out_dir: str | Path,
    selectors: Selectors,
    score: np.ndarray,
    painted: np.ndarray,
    vertices: Vertices,
    simulated: bool,
    title: str,
    rois: Mapping[str, np.ndarray] | None = None,
) -> list[Path]:
    """Write a fitted encoder's maps into a folder.

    Parameters
    ----------
    selectors : Selectors
    score : (N,) float
        Brain score on test trials.
    painted : (N,) bool
        Vertices predicted above chance; the selectors' maps hold these alone, the score holds all.
    vertices : Vertices
        The encoder's.
    title : str
        Which network on whom, for the pictures' sentences.
    rois : dict of name to (N,) bool, optional

    Returns
    -------
    list of Path
        ``hemi-{L,R}_layer.label.gii``, ``hemi-{L,R}_{confidence,scale,score,space}.func.gii`` and a PNG a map, whose
        name holds "simulated" when the data are.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    painted = np.asarray(painted, dtype=bool)
    paths = list(exchange.write_gifti(out, exchange.RunMaps(selectors, score, painted, vertices, simulated)))
    word = "_simulated" if simulated else ""
    outlines = vertices.roi_rows(rois)
    pictures = {
        "layer": layer_map(selectors, vertices, painted=painted, context=title),
        "space": space_map(selectors, vertices, painted=painted, context=title),
        "scale": scale_map(selectors, vertices, painted=painted, context=title),
        "score": score_map(score, vertices, painted=painted, context=title),
    }
    for name, brain_map in pictures.items():
        paths.append(flat_png(brain_map, out / f"flat_{name}{word}.png", rois=outlines, simulated=simulated))
    return paths
