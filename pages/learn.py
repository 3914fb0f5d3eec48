"""Learn: nine short lessons on the simulated subject, each a question, something to do, and what comes out."""

import streamlit as st

from pages import shared
from pages.lessons import LESSONS

OPENS = {
    "pages/your_pictures.py": "Your pictures",
    "pages/explore.py": "Explore",
    "pages/compare.py": "Compare",
    "pages/lab.py": "the Lab",
}


def page():
    st.title("Nine short lessons")
    st.markdown("Each asks a question, lets you try it, and then tells what came out. A lesson takes five to ten minutes; "
                "**Learn** in the menu leads back to it. Everything is on a "
                "**simulated** subject and works without internet; nothing here is a finding about brains.")  # fmt: skip
    done = st.session_state.setdefault("lessons done", set())
    titles = [f"{k}. {lesson.title}" for k, lesson in enumerate(LESSONS, 1)]
    left, right = st.columns([1, 2], gap="large")
    with left:
        # Without a number in the address one comes back to the lesson that one left.
        asked = shared.number_in_address("lesson") or st.session_state.get("lesson left", 1)
        start = asked - 1 if 1 <= asked <= len(LESSONS) else 0
        chosen = st.radio(
            "Lesson", range(len(LESSONS)), index=start, format_func=lambda k: titles[k] + (" ✓" if k in done else ""),
            label_visibility="collapsed", help="Nine lessons; start with the first.",
        )  # fmt: skip
        st.query_params["lesson"] = str(chosen + 1)
        st.session_state["lesson left"] = chosen + 1
    with right:
        one(chosen, LESSONS[chosen], done)


def one(number, lesson, done):
    """A lesson: question, what to do, reveal, next."""
    st.subheader(f"{number + 1}. {lesson.title}")
    st.markdown(lesson.question)
    guesses = st.session_state.setdefault("lesson guesses", {})  # a widget's own value is gone after another page
    guesses[number] = st.text_area(
        "What do you expect?", guesses.get(number, ""), key=f"guess {number}", height=80,
        placeholder="Write a sentence before you look.", help="For yourself: kept until this browser tab is closed.",
    )  # fmt: skip
    st.markdown(f"**Try it.** {lesson.do}")
    if st.button(f"Open {OPENS[lesson.page]}", type="primary", icon=":material/arrow_forward:", key=f"open {number}"):
        for name, value in lesson.state.items():
            st.session_state[name] = value
        if "run" in lesson.query:
            st.session_state["run"] = lesson.query["run"]
        st.switch_page(lesson.page, query_params=lesson.query)
    with st.expander("What came out", expanded=number in done):
        if guesses[number].strip():
            st.markdown(f"*You expected:* {shared.plain(guesses[number])}")
        st.markdown(lesson.reveal)
        st.caption("Figures: simulated subject demo-1; docs/demo.md, docs/ablations.md, docs/lab.md.")
    finished, onwards = st.columns(2)
    if finished.button("Done", icon=":material/check:", key=f"done {number}", width="stretch"):
        done.add(number)
        st.rerun()
    if number + 1 < len(LESSONS) and onwards.button(
        "Next lesson", icon=":material/navigate_next:", key=f"next {number}", width="stretch"
    ):
        st.query_params["lesson"] = str(number + 2)
        st.rerun()


shared.guard(page)
