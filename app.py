"""FactorTopy in the browser: navigation over the pages."""

from pathlib import Path

import streamlit as st

from pages import shared

shared.navigated = True
st.set_page_config(
    page_title="FactorTopy",
    page_icon=str(Path(__file__).parent / "assets" / "icon.png"),
    layout="wide",
    initial_sidebar_state=270,
)
st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/explore:", default=True),
        st.Page("pages/your_pictures.py", title="Your pictures", icon=":material/image:"),
        st.Page("pages/lab.py", title="Lab", icon=":material/science:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/data.py", title="Data", icon=":material/folder_open:"),
        st.Page("pages/networks.py", title="Networks", icon=":material/hub:"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:"),
    ],
    position="top",
).run()
