"""What the page's address says, so that it can be sent: read as it changes, written as what is shown changes; links to pages.

``text``, ``number`` and ``choice`` read a word of the address, None where it says nothing that could be meant. ``asked`` reads it
once for each time that it changes, ``initial`` for the first time of a session; ``restore`` and ``keep`` stand around a widget.
"""

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


def text(word):
    """What the address says under a word."""
    return st.query_params.get(word)


def number(word):
    """The whole number, 0 or more, that the address gives."""
    value = text(word) or ""
    return int(value) if value.isdecimal() and len(value) < 10 else None


def choice(word, options):
    """The one of some options that the address names."""
    return {str(option): option for option in options}.get(text(word))


def changed(*words):
    """Whether the address says something else than this page has taken from it or written: a link, a reload, the way back."""
    seen = st.session_state.setdefault("asked", {})
    return any(text(word) != seen.get(word) for word in words)


def asked(word, read=text):
    """What the address newly says, once; None where that is nothing."""
    if not changed(word):
        return None
    st.session_state["asked"][word] = text(word)
    return read(word)


def initial(word, read=text):
    """What the session holds under a word, the same on every page; at first what the address says."""
    if word not in st.session_state:
        st.session_state[word] = read(word)
    return st.session_state[word]


def restore(word, key, options, usual):
    """Before a widget of that key: give it what the address newly says, else what was chosen last, else the ``usual`` option."""
    options, state = list(options), st.session_state
    new = asked(word, lambda word: choice(word, options))
    if new is not None:
        state[f"{key} link"] = state[key] = new
    state.setdefault(key, state.get(f"{key} link", usual))
    if state[key] not in options:  # they depend on what else is chosen
        state[key] = usual


def keep(word, key, value, usual=None):
    """After a widget: the address says what was chosen, nothing where it is the ``usual`` option; another page forgets nothing."""
    st.session_state[f"{key} link"] = value
    write(**{word: None if value == usual else value})


def write(**values):
    """Say it in the page's address, None takes a word out: one step of the browser's history, none where nothing changes."""
    before = st.query_params.to_dict()
    after = before | {word: None if value is None else str(value) for word, value in values.items()}
    after = {word: value for word, value in after.items() if value is not None}
    if after != before:
        st.query_params.from_dict(after)
    st.session_state.setdefault("asked", {}).update({word: after.get(word) for word in values})  # nobody asks for it


def arrive(page):
    """Called at each run with the page's file: what its address asks for counts anew when it is come to from another one."""
    before = st.session_state.get("page")
    if before == page:
        return
    st.session_state.update({"page": page, "asked": {}})
    if before == "learn" and text("lesson") is not None:
        # What was chosen before would be shown beside what the lesson speaks of.
        for key in [key for key in st.session_state if str(key).startswith("compared ") or key in ("vertex", "roi")]:
            del st.session_state[key]
