"""A page with two linked brain views, for tests/view/test_view_browser.py."""

import streamlit as st
from synthetic import planted_layers

from factortopy import view

st.set_page_config(layout="wide")
st.session_state.runs = st.session_state.get("runs", 0) + 1
# Names that would do harm where text is taken for HTML.
NASTY = "<img src=x onerror=alert(1)>"


@st.cache_data
def maps(shift):
    brain = planted_layers(shift)
    made = view.selector_maps(
        brain.selectors,
        brain.vertices,
        painted=brain.painted,
        score=brain.score,
        context=f"planted {NASTY}",
        image_degrees=8.4,
    )
    rois = {NASTY if name == "V1" else name: mask for name, mask in brain.rois.items()}
    return made, brain.vertices.roi_rows(rois), brain.vertices.whole(brain.score)


shift = st.number_input("shift", 0, 5, 0)
made, rois, score = maps(shift)
if st.button("Go to 831"):
    st.session_state.wish = 831
seen = view.brain_view(
    made, rois=rois, score=score, score_label="brain score R²", simulated=True, key="main", group="linked", height=500,
    selected=st.session_state.get("wish"),
)  # fmt: skip
st.text(f"vertex {seen.vertex} threshold {seen.threshold} runs {st.session_state.runs}")
st.button("Again")
st.text(f"roi {seen.roi} map {seen.map}")
view.brain_view(made[-1], key="second", group="linked", height=220, controls="compact", layout="flat", report=())
