"""What the page's address says: read when the page is come to, written as what is shown changes; links to other pages."""

import streamlit as st


def link(page, label, icon=None, disabled=False, help=None, **query):
    """Opens another page, told what to open by its address (``query``).

    A link that the browser follows, and not ``st.switch_page``: a page that is drawn anew on a timer may ask for that once
    more while the server already sends the other page, which Streamlit then blanks (``run_every``, up to 1.67).
    """
    st.page_link(
        f"pages/{page}.py", label=label, icon=icon, disabled=disabled, help=help,
        query_params={name: value for name, value in query.items() if value is not None},
    )  # fmt: skip


def asked(name):
    """What the address says when this page is come to (as by another page's ``link``), once; None where it says nothing."""
    seen, value = st.session_state.setdefault("asked", {}), st.query_params.get(name)
    if value == seen.get(name):
        return None
    seen[name] = value
    return value


def write(**told):
    """Say it in the page's address, None takes a word out: one step of the browser's history, none where nothing changes."""
    known = st.query_params.to_dict()
    wanted = known | {name: None if value is None else str(value) for name, value in told.items()}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if wanted != known:
        st.query_params.from_dict(wanted)
    st.session_state.setdefault("asked", {}).update(
        {name: wanted.get(name) for name in told}
    )  # not asked for by anyone


def arrive(page):
    """Called at each run with the page's file: what its address asks for counts anew when it is come to from another one."""
    before = st.session_state.get("page")
    if before == page:
        return
    st.session_state.update({"page": page, "asked": {}})
    if before == "learn" and "lesson" in st.query_params:
        # What was chosen before would be shown beside what the lesson speaks of.
        for name in [
            name for name in st.session_state if str(name).startswith("compared ") or name in ("vertex", "roi")
        ]:
            del st.session_state[name]


def number(name):
    """The whole number that the address gives under a name; None when it gives none that could be meant."""
    asked = st.query_params.get(name, "")
    return int(asked) if asked.isdecimal() and len(asked) < 10 else None
