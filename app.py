"""FactorTopy in the browser: navigation over the pages."""

from pathlib import Path

import streamlit as st

from pages.parts import guard

guard.navigated = True


@st.cache_resource(show_spinner=False)
def page_style():
    """Less empty space around a page: the brain gets it.

    A component, and the first thing drawn: the browser then has Streamlit's part for components ready when the brain comes, which
    React would otherwise hold back for the 0.3 s that it leaves between two parts of a page that were waited for.
    """
    css = "[data-testid=stMainBlockContainer] {padding: 4.2rem 1.8rem 3rem}\n.st-key-page-style {display: none}"  # one line would be a path
    return st.components.v2.component("factortopy_page", css=css, isolate_styles=False)


st.set_page_config(
    page_title="FactorTopy",
    page_icon=str(Path(__file__).parent / "assets" / "icon.png"),
    layout="wide",
    initial_sidebar_state=270,
)
guard.say_who_can_reach_it()
page_style()(key="page-style")
chosen = st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/explore:", default=True),
        st.Page("pages/your_pictures.py", title="Your pictures", icon=":material/image:"),
        st.Page("pages/lab.py", title="Lab", icon=":material/science:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/jobs.py", title="Jobs", icon=":material/list_alt:"),
        st.Page("pages/data.py", title="Data", icon=":material/folder_open:"),
        st.Page("pages/networks.py", title="Networks", icon=":material/hub:"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:"),
        # Reached from Train: the bar is full.
        st.Page("pages/sweep.py", title="Sweep", icon=":material/grid_view:", visibility="hidden"),
        st.Page("pages/fine_tune.py", title="Fine-tune", icon=":material/tune:", visibility="hidden"),
    ],
    position="top",
)
chosen.run()
if st.session_state.setdefault("asleep", True):  # what an ended app left waiting goes on, whichever page is opened
    from factortopy.jobs import queue

    queue.wake()
    st.session_state["asleep"] = False
