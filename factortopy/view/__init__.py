"""Colours, maps, the browser's brain view and export. Streamlit is imported only when ``brain_view`` draws."""

from factortopy.view.brainmap import BrainMap, whole
from factortopy.view.component import Seen, brain_view, whole_rois
from factortopy.view.factor_maps import (
    confidence_map,
    eccentricity_map,
    layer_map,
    layer_weight_map,
    polar_angle_map,
    scale_map,
    selector_maps,
    space_map,
)
from factortopy.view.maps import (
    angle_map,
    cluster_map,
    difference_map,
    response_map,
    roi_map,
    score_map,
    sentence,
    value_map,
)

__all__ = [
    "BrainMap",
    "Seen",
    "angle_map",
    "brain_view",
    "cluster_map",
    "confidence_map",
    "difference_map",
    "eccentricity_map",
    "layer_map",
    "layer_weight_map",
    "polar_angle_map",
    "response_map",
    "roi_map",
    "scale_map",
    "score_map",
    "selector_maps",
    "sentence",
    "space_map",
    "value_map",
    "whole",
    "whole_rois",
]
