"""Explore and Your pictures: clusters beside the brain, and what stands beside a place."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, SHIPPED, open_page, words

from factortopy.encoder import Encoder
from factortopy.home import assets_dir
from factortopy.surfaces import full_index


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load(assets_dir() / "runs" / SHIPPED)


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.ensure_worker", lambda: None)
    monkeypatch.setattr("factortopy.jobs.wake", lambda: None)


def settled(at, seconds=60):
    """The page once its background work has ended."""
    from factortopy import background

    for task in background.active("clusters").values():
        task.wait(seconds)
    return at.run()


def test_a_cluster_is_chosen_by_place_or_from_the_list(encoder):
    clusters, rows = encoder.scores["clusters"], full_index(encoder.hemi, encoder.vertex)
    at = open_page("explore", map="Clusters")
    assert not at.exception and "Click a place to see its cluster" in words(at)
    at.selectbox(key="cluster box").set_value(3).run()
    assert (
        not at.exception
        and f"**Cluster 4** · {((clusters == 3) & (encoder.hemi == 0)).sum():,} places left" in words(at)
    )
    chosen = at.session_state["vertex"]
    inside = rows[clusters == 3]
    assert chosen in inside and encoder.scores["score"][rows == chosen] == encoder.scores["score"][clusters == 3].max()
    at.selectbox(key="cluster box").set_value("all of them").run()
    assert at.session_state["vertex"] is None and "Click a place to see its cluster" in words(at)


def test_another_number_of_clusters_is_made_and_the_address_says_it(encoder):
    index = int(np.flatnonzero(encoder.scores["clusters"] == 0)[0])
    at = open_page("explore", map="Clusters", vertex=str(int(full_index(encoder.hemi, encoder.vertex)[index])))
    at.number_input(key="clusters box").set_value(2).run()
    at = settled(at)
    assert not at.exception and not at.error
    assert at.query_params["clusters"] == "2" and len(at.selectbox(key="cluster box").options) == 3
    assert "Cluster 1" in words(at)  # the place that was chosen stays; its cluster has grown
    at.switch_page("pages/your_pictures.py").run()
    assert not at.exception and not at.error
    of = next(m for m in at.multiselect if m.label == "Of")
    assert of.value[:2] == ["the clicked place", "its cluster"] and "cluster 2 of 2" in of.options


def test_a_place_can_be_read_while_clusters_are_shown(encoder):
    row = int(full_index(encoder.hemi, encoder.vertex)[np.flatnonzero(encoder.rois["FFA"])[0]])
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["map"], at.query_params["vertex"] = "Clusters", str(row)
    at.run()
    assert "What drives it most" in words(at) and not at.metric
    at.session_state["beside"] = "Place"
    at.run()
    assert not at.exception and [m.label for m in at.metric] == ["R²", "Ceiling", "Scale"]
    assert "Where it looks" in words(at) and "What drives it" in words(at)


def test_an_own_map_on_a_simulated_run_says_what_the_badge_is_about():
    from factortopy.view.overlay import Overlay
    from pages import take_away

    values = np.linspace(0, 1, 10242)[:, None]
    (one,) = Overlay("mine", values, ["map"], np.zeros(10242, int), np.arange(10242), "10k").maps()
    assert "the badge is about the run" in take_away.titled([one], True)[0].title
    assert take_away.titled([one], False) == [one]
