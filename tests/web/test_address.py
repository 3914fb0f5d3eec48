"""The page's address: what is read of it, when, and what is written into it; no page reads it in another way."""

from types import SimpleNamespace

import pytest
from web_pages import ROOT

from pages.parts import address


class Query(dict):
    """As ``st.query_params``; ``steps`` counts the entries of the browser's history."""

    steps = 0

    def to_dict(self):
        return dict(self)

    def from_dict(self, values):
        self.clear()
        self.update(values)
        self.steps += 1


@pytest.fixture
def page(monkeypatch):
    """A page that was just come to, its address still empty."""
    page = SimpleNamespace(query_params=Query(), session_state={})
    monkeypatch.setattr(address, "st", page)
    address.arrive("compare")
    return page


def widget(page, options=("Layer", "Space", "Scale"), chosen=None):
    """One run of a page with a widget, moved to ``chosen`` by the visitor; what it holds."""
    if chosen is not None:
        page.session_state["box"] = chosen
    address.restore("map", "box", options, options[0])
    address.keep("map", "box", page.session_state["box"], options[0])
    return page.session_state["box"]


@pytest.mark.parametrize(
    ("says", "meant"), [("0", 0), ("831", 831), ("", None), ("-1", None), ("1.5", None), ("x", None), ("²", None), ("9" * 10, None)]
)  # fmt: skip
def test_numbers_are_whole_and_not_absurd(page, says, meant):
    page.query_params["vertex"] = says
    assert address.number("vertex") == meant and address.number("nothing") is None


def test_a_choice_is_one_of_the_options_and_of_their_kind(page):
    page.query_params["layer"] = "7"
    assert address.choice("layer", range(1, 13)) == 7 and address.choice("layer", range(1, 7)) is None
    assert address.choice("nothing", ("a", "b")) is None


def test_what_the_address_says_is_asked_once_until_it_changes_or_the_page_is_come_to_again(page):
    page.query_params["job"] = "a"
    assert address.asked("job") == "a" and address.asked("job") is None and not address.changed("job")
    page.query_params["job"] = "b"
    assert address.changed("job", "run") and address.asked("job") == "b"
    address.write(job="c")  # the page's own word is nobody's question
    assert address.asked("job") is None
    del page.query_params["job"]  # as the browser's Back does
    assert address.changed("job") and address.asked("job") is None
    page.query_params["job"] = "c"
    address.arrive("compare")
    assert address.asked("job") == "c" and address.asked("job") is None
    address.arrive("jobs")
    assert address.asked("job") == "c"


def test_a_value_of_the_session_is_read_at_first_alone(page):
    page.query_params["vertex"] = "5"
    assert address.initial("vertex", address.number) == 5
    page.query_params["vertex"] = "6"
    assert address.initial("vertex", address.number) == 5 and address.initial("roi") is None


def test_writing_is_one_step_of_the_history_and_none_where_nothing_changes(page):
    address.write(map="Layer", vertex=3, roi=None)
    assert page.query_params == {"map": "Layer", "vertex": "3"} and page.query_params.steps == 1
    address.write(map="Layer", vertex=3)
    assert page.query_params.steps == 1
    address.write(vertex=None)
    assert page.query_params == {"map": "Layer"} and page.query_params.steps == 2


def test_a_widget_takes_the_address_then_the_visitors_choice_and_keeps_it_on_another_page(page):
    page.query_params["map"] = "Space"
    assert widget(page) == "Space" and page.query_params["map"] == "Space"
    assert widget(page, chosen="Scale") == "Scale" and page.query_params["map"] == "Scale"
    page.query_params["map"] = "Space"  # a new link, or Back
    assert widget(page) == "Space"
    assert widget(page, chosen="Layer") == "Layer" and "map" not in page.query_params  # the usual one
    widget(page, chosen="Scale")
    address.arrive("learn")
    page.query_params.clear()
    del page.session_state["box"]  # as Streamlit does with a widget that is not drawn
    address.arrive("compare")
    assert widget(page) == "Scale" and page.query_params["map"] == "Scale"


def test_a_widget_refuses_what_is_no_option(page):
    page.query_params["map"] = "<img src=x>"
    assert widget(page) == "Layer" and "map" not in page.query_params
    widget(page, chosen="Scale")
    assert widget(page, options=("Layer", "Space")) == "Layer"  # other options than before


def test_a_lesson_begins_with_nothing_selected(page):
    page.session_state |= {"vertex": 5, "roi": "FFA", "compared map link": "Scale", "run": "mine", "page": "learn"}
    page.query_params["lesson"] = "2"
    address.arrive("explore")
    assert (
        not {"vertex", "roi", "compared map link"} & page.session_state.keys() and page.session_state["run"] == "mine"
    )


def test_no_page_reads_its_address_in_another_way():
    readers = [path.name for path in (ROOT / "pages").rglob("*.py") if "st.query_params" in path.read_text()]
    assert readers == ["address.py"]
