"""Learn: nine short lessons on the simulated subject, each a question, something to do, and what came out."""

import streamlit as st

from pages.parts import address
from pages.parts.guard import guard
from pages.parts.lessons import LESSONS
from pages.parts.words import plain

OPENS = {"your_pictures": "Your pictures", "explore": "Explore", "compare": "Compare", "lab": "the Lab"}


def page():
    st.header("Nine short lessons")
    st.markdown("Each asks a question, lets you try it, and then tells what came out. A lesson takes five to ten minutes. "
                "Everything is on a **simulated** subject and works without internet; nothing here is a finding about brains.")  # fmt: skip
    done = st.session_state.setdefault("lessons done", set())
    titles = [f"{k}. {lesson.title}" for k, lesson in enumerate(LESSONS, 1)]
    with st.sidebar:
        # Without a number in the address one comes back to the lesson that one left.
        asked = address.number("lesson") or st.session_state.get("lesson left", 1)
        start = asked - 1 if 1 <= asked <= len(LESSONS) else 0
        chosen = st.radio(
            "Lesson", range(len(LESSONS)), index=start, format_func=lambda k: titles[k] + (" ✓" if k in done else ""),
            help="Nine lessons; start with the first.",
        )  # fmt: skip
        address.write(lesson=chosen + 1)
        st.session_state["lesson left"] = chosen + 1
    one(chosen, LESSONS[chosen], done)


def one(number, lesson, done):
    """A lesson: question, what to do, reveal, next."""
    st.subheader(f"{number + 1}. {lesson.title}")
    st.markdown(lesson.question)
    guesses = st.session_state.setdefault("lesson guesses", {})  # a widget's own value is gone after another page
    guesses[number] = st.text_area(
        "What do you expect?", guesses.get(number, ""), key=f"guess {number}", height=80,
        placeholder="Write a sentence before you look; a guess will do.", help="For yourself: kept until this browser tab is closed.",
    )  # fmt: skip
    st.markdown(f"**Try it.** {lesson.do}")
    opens(number, lesson)
    if lesson.then:
        st.markdown(lesson.then.do)
        opens(number, lesson.then)
    reveal(number, lesson, guesses[number].strip(), done)
    if number + 1 < len(LESSONS) and st.button(
        "Next lesson", icon=":material/navigate_next:", key=f"next {number}", width="stretch"
    ):
        address.write(lesson=number + 2)
        st.rerun()


def opens(number, what):
    """A link to a page in the lesson's state; that page then leads back (``guard.way_back``)."""
    with st.container(border=True):
        words = f"**Open {OPENS[what.page]}**"
        address.link(what.page, words, ":material/arrow_forward:", lesson=str(number + 1), **what.query)


def reveal(number, lesson, guess, done):
    """What came out, for those who have said what they expect."""
    if number not in done:
        pressed = st.button(
            "Show what came out", icon=":material/visibility:", key=f"reveal {number}", width="stretch",
            help="When you have written what you expect and have tried it.",
        )  # fmt: skip
        if pressed and guess:
            done.add(number)
            st.rerun()
        if pressed:
            st.info("First write above what you expect. One word is enough; nobody marks it.")
        return
    with st.container(border=True):
        st.markdown("**What came out**")
        if guess:
            st.markdown(f"*You expected:* {plain(guess)}")
        st.markdown(lesson.reveal)
        st.caption("Figures: simulated subject demo-1; docs/demo.md, docs/ablations.md, docs/lab.md.")


guard(page)
