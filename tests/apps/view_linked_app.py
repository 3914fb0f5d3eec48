"""Three linked brain views that report everything, for tests/view/test_view_linked_browser.py."""

import numpy as np
import streamlit as st
from synthetic import planted_layers

from factortopy import view

st.set_page_config(layout="wide")
brain = planted_layers()
rois = brain.vertices.roi_rows(brain.rois)


def planted(name, values, unit="a.u."):
    return view.value_map(
        values,
        brain.vertices,
        name=name,
        what=f"Planted {name}",
        label=name,
        unit=unit,
        low=0.0,
        high=10.0,
        context="planted",
    )


n = len(brain.vertices)
made = [
    planted("eight", np.full(n, 8.0)),
    planted("three", np.where(brain.rois["V1"], 3.0, 8.0)),
    planted("degrees", np.full(n, 5.0), unit="°"),
    view.layer_map(brain.selectors, brain.vertices, context="planted"),
]
if st.button("Restore"):
    st.session_state.wish = "f_20_-10_0_1.5_0_0_1_1.7_5_-3"
if st.button("Choose PPA"):
    st.session_state.roi = "PPA"
seen = view.brain_view(
    made, rois=rois, key="main", group="three", height=480, report=("vertex", "map", "roi", "camera"),
    camera=st.session_state.get("wish"), roi=st.session_state.get("roi"),
)  # fmt: skip
st.text(f"roi {seen.roi} camera {seen.camera} vertex {seen.vertex} map {seen.map}")
left, middle, right = st.columns(3)
with left:
    view.brain_view(made[3], rois=rois, key="left", group="three", height=300, layout="flat", report=())
with middle:
    view.brain_view(made[0], rois=rois, key="middle", group="three", height=300, controls="compact", report=())
with right:
    view.brain_view(made[:2], rois=rois, key="right", height=300, swipe="three", layout="surface", report=())
st.container(height=2400, border=False)
view.brain_view(
    made[0],
    rois=rois,
    key="below",
    group="three",
    height=220,
    controls="compact",
    layout="flat",
    report=(),
    heading="A name",
)
