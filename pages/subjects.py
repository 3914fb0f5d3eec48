"""Choosing a subject: the demo ones, or a folder that is looked through on the spot."""

import streamlit as st

from factortopy.errors import InputError
from pages import shared

DEMO = {"demo-1": "Demo subject 1", "demo-2": "Demo subject 2", "demo-3": "Demo subject 3", "": "A folder of mine"}


def choose(check=True):
    """Subject as ``load_subject`` takes it, and which one of a folder; (None, None) while there is none.

    ``check``: show what is wrong with a folder here, and give it only when it can be trained on.
    """
    choice = st.selectbox(
        "Subject", list(DEMO), index=0 if check else len(DEMO) - 1, format_func=lambda k: DEMO[k] + (" (simulated)" if k else ""),
        help="Whose brain. The demo subjects are simulated; a folder may hold Algonauts 2023, NSD or FactorTopy's folder layout.",
    )  # fmt: skip
    if choice:
        st.caption("Simulated: 3,000 rendered pictures, rendered at the first use (about a minute).")
        return choice, None
    path = st.text_input(
        "Folder", placeholder="path of a data set, such as data/subj01", help="A folder on this machine."
    ).strip()
    if not path:
        st.caption("Paste the path of the folder on this machine; what is in it is shown here.")
        return None, None
    from factortopy.subjects.layouts import subjects_in

    try:
        several = subjects_in(path)
    except InputError as error:
        st.error(shared.plain(error))
        return None, None
    subject_id = None
    if len(several) > 1:
        subject_id = st.selectbox("Which subject", several, help="The folder holds several.")
    return findings(path, subject_id) if check else (path, subject_id)


def findings(path, subject_id):
    """What is in the folder; (path, subject id) when it can be trained on."""
    found = checked(path, subject_id)
    for name, value in found.facts.items():
        st.markdown(f"**{shared.plain(name)}** {shared.plain(value)}")
    for problem in found.problems:
        (st.error if problem.severity == "stops" else st.warning)(shared.plain(problem.line()))
    return (None, None) if found.stops else (path, subject_id)


@st.cache_data(ttl=60, show_spinner="Looking through the folder …")
def checked(path, subject_id):
    from factortopy.subjects.check import check

    return check(path, subject_id)
