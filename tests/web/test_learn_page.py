"""The nine lessons: each can be walked through, and opens a page that exists in a state that exists."""

import pytest
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, follow, link, words

from factortopy.storage.home import assets_dir
from pages.parts.lessons import LESSONS

RUNS = {path.name for path in (assets_dir() / "runs").iterdir()}


@pytest.fixture
def page():
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/learn.py").run()


def test_nine_lessons_one_after_the_other(page):
    assert len(LESSONS) == 9
    for number, lesson in enumerate(LESSONS):
        assert not page.exception and lesson.question in words(page) and lesson.reveal not in words(page)
        page.button(key=f"reveal {number}").click().run()  # nothing was answered
        assert lesson.reveal not in words(page) and "First write above" in words(page)
        page.text_area(key=f"guess {number}").set_value("The last layer.").run()
        assert lesson.reveal not in words(page)
        page.button(key=f"reveal {number}").click().run()
        assert lesson.reveal in words(page) and r"You expected:* The last layer\." in words(page)
        if number < 8:
            page.button(key=f"next {number}").click().run()
    assert page.query_params["lesson"] in ("9", ["9"])


OPENED = [
    (number, place, query) for number, lesson in enumerate(LESSONS)
    for place, query in [(lesson.page, lesson.query)] + ([(lesson.then.page, lesson.then.query)] if lesson.then else [])
]  # fmt: skip


@pytest.mark.parametrize(("number", "place", "query"), OPENED)
def test_what_a_lesson_opens_is_there(number, place, query):
    asked = query.get("runs", query.get("run", "")).split(",")
    assert set(asked) <= RUNS and (ROOT / f"pages/{place}.py").is_file()
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    for key, value in query.items():
        at.query_params[key] = value
    at.switch_page(f"pages/{place}.py").run()
    assert not at.exception and not at.error and not at.warning


OPEN = "**Open {}**"


def test_a_page_that_a_lesson_opened_leads_back_also_when_it_is_loaded_again(page):
    page.button(key="next 0").click().run()
    follow(page, OPEN.format("Explore"))
    assert page.query_params["map"] in ("Space", ["Space"]) and page.query_params["lesson"] in ("2", ["2"])
    again = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)  # the browser loads it again: a new session
    for name, value in page.query_params.items():
        again.query_params[name] = value
    back = link(again.run(), "Back to lesson 2")
    assert back.page == "learn" and back.query_string == "lesson=2"
    # By way of other pages, too, until one is back; parts that a timer draws anew say nothing of it.
    again.query_params.clear()
    again.switch_page("pages/jobs.py").run()
    assert (
        not again.exception
        and link(again, "Back to lesson 2").page == "learn"
        and again.session_state["page"] == "jobs"
    )
    again.query_params.clear()
    again.switch_page("pages/data.py").run()
    assert again.query_params["lesson"] in ("2", ["2"])
    follow(again, "Back to lesson 2")
    again.query_params.clear()
    again.switch_page("pages/data.py").run()
    assert "lesson" not in again.query_params and not again.sidebar.get("page_link")


def test_a_lesson_on_compare_begins_with_its_own_score_and_with_nothing_selected(page):
    page.switch_page("pages/compare.py").run()
    page.selectbox(key="compared score").set_value("R² / noise ceiling").run()
    page.button_group(key="compared two").set_value("Swipe").run()
    page.session_state["vertex"] = 831
    page.query_params.clear()
    page.query_params["lesson"] = "7"
    page.switch_page("pages/learn.py").run()
    follow(page, OPEN.format("Compare"))
    assert not page.exception and page.selectbox(key="compared score").value == "R²"
    assert page.button_group(key="compared two").value == "What changes" and page.session_state["vertex"] is None


def test_an_address_opens_its_lesson():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.query_params["lesson"] = "7"
    at.switch_page("pages/learn.py").run()
    assert LESSONS[6].question in words(at)


def test_one_comes_back_to_the_lesson_and_to_what_one_expected(page):
    page.button(key="next 0").click().run()
    page.text_area(key="guess 1").set_value("The *left* side.").run()
    page.button(key="reveal 1").click().run()
    page.switch_page("pages/explore.py").run()
    page.switch_page("pages/learn.py").run()
    assert LESSONS[1].question in words(page) and page.text_area(key="guess 1").value == "The *left* side."
    assert r"You expected:* The \*left\* side" in words(page)
