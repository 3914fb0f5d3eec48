"""Work behind a page as the page shows it: how far it is, and Stop; drawn anew until it has ended, then the whole page."""

import streamlit as st

from factortopy.wording import duration
from pages.parts.background import tasks


@st.fragment(run_every=0.7)
def watch(key, describe, stop=None, **button):
    """Progress of the task of a key, ``describe(task)`` saying how far it is; ``stop`` is the button's key."""
    task = tasks.find(key)
    if task is None or not task.active:
        st.rerun()
    st.progress(task.share, text=describe(task))
    if st.button("Stop", key=stop or f"stop {key}", icon=":material/stop:", disabled=task.stopping, **button):
        task.stop()


def time_left(task, words="about"):
    """ ", about a minute left"; nothing before that is known."""
    return f", {words} {duration(task.remaining)} left" if task.remaining else ""
