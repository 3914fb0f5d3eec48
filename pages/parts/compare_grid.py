"""The linked brains of the page Compare: which map, on which shared scale, in a grid of any number."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from factortopy.analysis.measures import MEASURES
from factortopy.analysis.scores import painted
from pages.parts import address
from pages.parts.brain import choose_vertex, chosen_vertex, shown_of
from pages.parts.words import plain

MAPS = {
    "Layer": "Layer that predicts each place best. Hue: the layer. Brightness: confidence, on one scale for all.",
    "Confidence": "How far one layer alone is used at each place.",
    "Layer weight": "Weight of one layer at each place, which you choose on the left.",
    "Space": "Where in the picture each place looks; grey where it reads the whole picture.",
    "Polar angle": "Direction from the picture's centre in which each place looks.",
    "Eccentricity": "How far from the picture's centre each place looks.",
    "Scale": "Whether each place reads a detail (local) or the whole picture (global).",
    "Brain score": "How well each place is predicted.",
}
PER_PAGE = 12  # a browser keeps 16 graphics contexts; others on the page need some
HEIGHTS = {1: 520, 2: 390, 3: 330, 4: 270, 6: 220}  # pixels of a view by views in a row
AUTO = "auto"


def choose_map(encoders, aside):
    """(kind of map, 0-based layer of the map Layer weight). ``aside``: where the layer is chosen, so that no map jumps."""
    deepest = max((e.selectors().layer.shape[1] for e in encoders.values() if e.has_selectors), default=1)
    kind = st.segmented_control("Map", list(MAPS), key="compared map", label_visibility="collapsed", required=True)
    layer = 1
    if kind == "Layer weight" and deepest > 1:
        address.restore("layer", "compared layer", range(1, deepest + 1), 1)
        layer = aside.slider("Layer", 1, deepest, key="compared layer", help="1 is the first layer of each network.")
        address.keep("layer", "compared layer", layer)
    else:
        address.write(layer=None)
    st.caption(MAPS[kind])
    return kind, layer - 1


def choose_columns():
    """Views in a row, None where the page chooses."""
    chosen = st.segmented_control(
        "Maps in a row", [AUTO, 2, 4, 6], default=AUTO, key="compared columns", required=True,
        help="More in a row are smaller. On one page there are at most 12.",
    )  # fmt: skip
    return None if chosen == AUTO else chosen


@dataclass(frozen=True)
class Scale:
    """A kind of map and the end of its scale, the same for all networks.

    kind, layer, measure : as chosen
    top : what full brightness, or the palette's last colour, stands for
    """

    kind: str
    layer: int
    measure: str
    top: float

    @classmethod
    def of(cls, encoders, kind, layer, measure):
        """The scale that suits all encoders {name: Encoder}."""
        factors = [(e.selectors(), painted(e)) for e in encoders.values() if e.has_selectors]
        factors = [(factor, shown) for factor, shown in factors if shown.any()]
        top = 1.0
        if kind == "Layer":  # with the most confident one's the others would be black
            top = min((np.percentile(f.layer_confidence[shown], 90) for f, shown in factors), default=0.2)
        elif kind == "Confidence":
            top = max((np.percentile(f.layer_confidence[shown], 98) for f, shown in factors), default=0.2)
        elif kind == "Layer weight":
            top = max((f.layer[shown].max() for f, shown in factors), default=1.0)
        elif kind == "Brain score":
            seen = [values for e in encoders.values() if np.isfinite(values := MEASURES[measure].of(e)).any()]
            top = max((np.nanpercentile(values, 99) for values in seen), default=1.0)
        return cls(kind, layer, measure, float(np.clip(top, 0.05 if kind == "Brain score" else 0.2, 1)))

    def map_of(self, encoder):
        """The BrainMap of an encoder; None where it has none of this kind."""
        from factortopy.view import (
            confidence_map,
            eccentricity_map,
            layer_map,
            layer_weight_map,
            polar_angle_map,
            scale_map,
            score_map,
            space_map,
        )

        shown = shown_of(encoder)
        if self.kind == "Brain score":
            measure = MEASURES[self.measure]
            return score_map(
                measure.of(encoder), encoder.vertices, label=f"brain score, {measure.label}", high=self.top, **shown
            )
        if not encoder.has_selectors:
            return None
        factor, degrees = encoder.selectors(), encoder.info.get("image_degrees")
        if self.kind == "Layer weight":
            if self.layer >= factor.layer.shape[1]:
                return None
            return layer_weight_map(factor, self.layer, encoder.vertices, high=self.top, **shown)
        if self.kind == "Layer":
            return layer_map(factor, encoder.vertices, confidence_top=self.top, **shown)
        if self.kind == "Confidence":
            return confidence_map(factor, encoder.vertices, high=self.top, **shown)
        if self.kind == "Space":
            return space_map(factor, encoder.vertices, image_degrees=degrees, **shown)
        if self.kind == "Eccentricity":
            return eccentricity_map(factor, encoder.vertices, image_degrees=degrees, **shown)
        return (polar_angle_map if self.kind == "Polar angle" else scale_map)(factor, encoder.vertices, **shown)

    def drawn(self, name, encoder):
        """(BrainMap whose title begins with the network's name, encoder, numbers behind it), to take away."""
        brain_map = self.map_of(encoder)
        title = f"{name.replace(' · ', ', ')}: {brain_map.title}"  # dots separate the parts of a title
        return replace(brain_map, title=title), encoder, self.numbers(encoder)

    def numbers(self, encoder):
        """{column: (N,)} behind the map; None where the encoder has no such map."""
        from factortopy.export.compared import map_numbers

        score = MEASURES[self.measure].of(encoder) if self.kind == "Brain score" else None
        if score is None and not encoder.has_selectors:
            return None
        if score is not None:
            return {self.measure: score}
        return map_numbers(self.kind, encoder.selectors(), self.layer, encoder.info.get("image_degrees"))


def grid(encoders, scale, columns, hover):
    """One linked view a network, at most ``PER_PAGE`` at a time; ``hover`` {name: its full name}. Returns those shown."""
    maps = {name: scale.map_of(e) for name, e in encoders.items()}
    shown = [name for name, one in maps.items() if one is not None]
    for words in left_out(encoders, maps, scale):
        st.caption(words)
    if len(shown) > PER_PAGE:
        total = len(shown)
        starts = list(range(0, len(shown), PER_PAGE))
        if st.session_state.get("compared page") not in starts:
            st.session_state["compared page"] = 0
        start = st.segmented_control(
            "Page of maps", starts, key="compared page", required=True, label_visibility="collapsed",
            format_func=lambda k: f"{k + 1} to {min(k + PER_PAGE, total)} of {total}" if k + 1 < total else f"{total} of {total}",
        )  # fmt: skip
        shown = shown[start : start + PER_PAGE]
    wide = columns or (len(shown) if len(shown) < 4 else 2 if len(shown) == 4 else 3 if len(shown) < 10 else 4)
    for begin in range(0, len(shown), wide):  # row after row, so that no row starts before the one above ends
        for slot, (column, name) in enumerate(
            zip(st.columns(wide, gap="small"), shown[begin : begin + wide], strict=False)
        ):
            one = replace(maps[name], title=f"{hover.get(name, name)} · {maps[name].title}")
            with column:
                brain([one], encoders[name], key=f"compare-{begin + slot}", height=HEIGHTS[wide], heading=name,
                      layout="flat", controls="compact")  # fmt: skip
    return {name: encoders[name] for name in shown}


def left_out(encoders, maps, scale):
    """Sentences about networks without this map, and about what cannot be compared."""
    for name, encoder in encoders.items():
        if maps[name] is None and not encoder.has_selectors:
            yield f"{plain(name)} is a baseline: it has a brain score and no other map."
        elif maps[name] is None:
            yield f"{plain(name)} has {encoder.selectors().layer.shape[1]} layers, so no layer {scale.layer + 1}."
    if scale.kind == "Brain score":
        unknown = [n for n, e in encoders.items() if not np.isfinite(MEASURES[scale.measure].of(e)).any()]
        if unknown:
            yield f"{scale.measure} is not known for {plain(', '.join(unknown))}."
    recipes = {str(e.info.get("recipe")) for e in encoders.values() if e.has_selectors}
    if len(recipes) > 1 and scale.kind in ("Layer", "Confidence", "Layer weight"):
        yield f"Fitted with different recipes ({', '.join(sorted(recipes))}): their confidences cannot be compared."


def brain(maps, encoder, *, key, height, **options):
    """A brain of the group that turns together; a click selects the vertex on every page."""
    from factortopy.view import brain_view

    def clicked():
        choose_vertex(getattr(st.session_state.get(key), "vertex", None))

    return brain_view(
        maps, rois=encoder.vertices.roi_rows(encoder.rois), key=key, height=height,
        group="compare", selected=chosen_vertex(), simulated=encoder.simulated, density=encoder.density,
        report=("vertex",), on_change=clicked, **options,
    )  # fmt: skip
