"""How a page is run: from any first link, with what the user can mend as a sentence, and a way back to the lesson."""

import runpy
from pathlib import Path

import streamlit as st

from factortopy.errors import InputError
from factortopy.storage import allowed_folders
from pages.parts import address
from pages.parts.lessons import LESSONS
from pages.parts.words import plain

navigated = False  # set by app.py


def guard(page):
    """Run a page."""
    if not navigated:
        # The first link that a fresh server is asked for: Streamlit takes the page's file for the whole app.
        runpy.run_path(str(Path(__file__).resolve().parents[2] / "app.py"), run_name="__main__")
        return
    address.arrive(Path(page.__code__.co_filename).stem)
    way_back()  # drawn by the page, not by app.py: of what that drew Streamlit leaves an empty strip on the next page
    guard_part(page)


def guard_part(draw):
    """Draw a part of a page; what the user can mend is a sentence, anything else is logged and said without a traceback."""
    try:
        draw()
    except InputError as error:
        st.error(str(error).replace("$", r"\$"), icon=":material/error:")


def checked(read, *arguments):
    """What a call returns; None where the user has something to mend, which is said here."""
    try:
        return read(*arguments)
    except InputError as error:
        st.error(plain(error))
        return None


def way_back():
    """The link to the lesson that sent one here, also by way of other pages; the address keeps it for a reload."""
    if st.session_state["page"] == "learn":
        st.session_state.pop("lesson open", None)
        return
    lesson = address.number("lesson") or st.session_state.get("lesson open")
    if lesson not in range(1, len(LESSONS) + 1):
        return
    st.session_state["lesson open"] = lesson
    address.write(lesson=lesson)
    with st.sidebar:
        address.link("learn", f"Back to lesson {lesson}", ":material/school:", lesson=str(lesson))


def say_who_can_reach_it():
    """A red banner while other machines reach the app; from then on typed paths open the listed folders alone."""
    listens_on = st.get_option("server.address")
    if allowed_folders.beyond_this_machine(listens_on):
        allowed_folders.confine()
        st.error(
            f"Other machines can reach this app (it listens on {plain(listens_on or 'every address')}) and it asks for no password: "
            "whoever does can train, delete runs, and open the folders that it was given. End it and start it with "
            "`python3 run.py` alone; to share it, put a proxy with a password in front: docs/security.md.",
            icon=":material/lock_open:",
        )
    elif "X-Forwarded-For" in st.context.headers:  # through a proxy, which is to ask for the password
        allowed_folders.confine()
