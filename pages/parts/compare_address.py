"""What the address of the page Compare holds, so that it can be sent: each choice is read once, then written as it changes."""

import streamlit as st

from pages.parts import address


def asked(word, key, known, first):
    """Give the widget ``key`` what the address newly says under ``word``, else what was chosen last, else ``first``.

    known : {text in the address: the widget's value}
    """
    shown = known.get(st.query_params.get(word))
    if shown is not None and st.session_state.get(f"{key} link") != shown:
        st.session_state[f"{key} link"] = st.session_state[key] = shown
    kept = st.session_state.get(f"{key} link", first)
    st.session_state.setdefault(key, kept)
    if st.session_state[key] not in known.values():  # other networks were chosen since
        st.session_state[key] = first


def told(word, key, value, usual=None):
    """The address says under ``word`` what was chosen; nothing where it is the ``usual`` one."""
    st.session_state[f"{key} link"] = value
    address.write(**{word: None if value == usual else value})
