"""Explore and Your pictures: clusters beside the brain, and what stands beside a place."""

import io
import time
import zipfile

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, SHIPPED, open_page, words

from factortopy.encoder import Encoder
from factortopy.storage.home import assets_dir


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load(assets_dir() / "runs" / SHIPPED)


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)
    monkeypatch.setattr("factortopy.jobs.queue.wake", lambda: None)


def settled(at, seconds=60):
    """The page once its background work has ended."""
    from pages.parts.background import tasks

    for task in tasks.active("clusters").values():
        task.wait(seconds)
    return at.run()


def test_a_cluster_is_chosen_by_place_or_from_the_list(encoder):
    clusters, rows = encoder.scores["clusters"], encoder.vertices.rows
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


def test_a_chosen_cluster_leaves_the_area_that_was_selected():
    at = open_page("explore", map="Clusters", roi="FFA")
    assert at.session_state["roi"] == "FFA" and at.query_params["roi"] == "FFA"
    at.selectbox(key="cluster box").set_value(4).run()
    assert not at.exception and at.session_state["roi"] is None and "roi" not in at.query_params
    at.session_state["beside"] = "Place"
    at.run()
    assert [m.label for m in at.metric] == ["R²", "Ceiling", "Scale"] and "The whole region" not in words(at)


def test_explore_offers_scores_and_places_as_maps_of_few_groups(encoder):
    from factortopy.analysis.measures import MEASURES
    from factortopy.view.factor_maps import detail_maps

    scores = {name: MEASURES[name].of(encoder) for name in ("Pearson r", "R² / noise ceiling")}
    made = detail_maps(encoder.selectors(), encoder.vertices, scores=scores, image_degrees=8.4)
    assert [(m.group, m.name) for m in made] == [
        ("Layer", "Confidence"), ("Space", "Polar angle"), ("Space", "Eccentricity"), ("Brain score", "Pearson r"),
        ("Brain score", "R² / noise ceiling"),
    ]  # fmt: skip
    at = open_page("explore", map="Eccentricity", vertex=str(int(encoder.vertices.rows[0])))
    assert not at.exception and at.query_params["map"] == "Eccentricity"
    x, y = encoder.selectors().space[0].astype(float)
    far = np.hypot(x, y) * encoder.info["image_degrees"] / 2
    line = next(c.value for c in at.caption if "ecc." in c.value)
    assert line.startswith(f"r {scores['Pearson r'][0]:.2f} · R²/ceiling") and f"ecc. {far:.1f}°" in line


def test_a_row_of_pictures_is_saved_as_picture_and_numbers(tmp_path):
    import csv

    from PIL import Image

    from factortopy.report.picture_row import places, write_row

    image = np.arange(12, dtype=float).reshape(2, 2, 3) / 12
    rows = [{"of": "V1", **at, "red": value[0]} for at, value in places(image)] + [{"of": "place", "grey": 0.5}]
    write_row(tmp_path, "row", [image, image[..., 0]], ["a $x$", "b"], rows, True)
    with Image.open(tmp_path / "row.png") as drawn:
        assert drawn.text["Comment"] == "simulated" and drawn.width > 200
    told = list(csv.DictReader((tmp_path / "row.csv").open()))
    assert len(told) == 5 and {row["simulated"] for row in told} == {"True"}
    assert (told[2]["row"], told[2]["column"], float(told[2]["red"])) == ("2", "1", 0.5) and told[4]["grey"] == "0.5"


def test_your_pictures_keeps_the_chosen_area():
    at = open_page("pictures", roi="FFA")
    assert not at.exception and next(s for s in at.selectbox if s.label == "Of").value == "FFA"
    assert next(m for m in at.multiselect if m.label == "Of").value[0] == "FFA"
    heads = [head.value for head in at.subheader]
    assert "What drives FFA most" in heads and "This picture through the channels of" in heads


def said(element):
    return element.value.replace("\\", "")


def test_what_cannot_be_read_is_said_where_it_was_given(tmp_path):
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    at = open_page("pictures")
    at.file_uploader[0].set_value(
        [("empty.zip", empty.getvalue(), "application/zip"), ("text.png", b"hello", "image/png")]
    ).run()
    (fold,) = [e for e in at.expander if "could not be read" in e.label]
    assert "2 of 2" in fold.label and fold.proto.expanded
    assert "empty.zip" in said(fold.error[0]) and "empty archive" in said(fold.error[0])
    assert "text.png" in said(fold.error[1]) and "plain text" in said(fold.error[1])
    at.file_uploader[0].set_value(None).run()
    for path, told in ((tmp_path / "none", "found nothing there"), (tmp_path, "end in .png")):
        at.text_input(key="folder").set_value(str(path)).run()
        assert not at.exception and len(at.error) == 1 and told in said(at.error[0])
    (tmp_path / "a.png").write_bytes(b"hello")
    at.text_input(key="folder").set_value(str(tmp_path)).run()
    assert "a.png" in said(at.error[0]) and "1 file found." in words(at)


def test_a_video_that_cannot_be_read_leaves_the_brain(encoder):
    at = open_page("pictures")
    at.segmented_control(key="kind").set_value("A video").run()
    assert not at.exception and len(at.get("bidi_component")) == 1 and "Drop a video above" in at.info[0].value
    ends = time.monotonic() + 60
    at.file_uploader[0].set_value(("film.mp4", b"0123456789", "video/mp4")).run()
    while not at.error and time.monotonic() < ends:
        at.run()
    assert not at.exception and "film.mp4" in said(at.error[0]) and len(at.get("bidi_component")) == 1
    sample = next(b for b in at.button if "Take a sample" in b.label)
    sample.click().run()  # in place of the film, not beside it
    assert not at.exception and not at.error


def test_another_number_of_clusters_is_made_and_the_address_says_it(encoder):
    index = int(np.flatnonzero(encoder.scores["clusters"] == 0)[0])
    at = open_page("explore", map="Clusters", vertex=str(int(encoder.vertices.rows[index])))
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
    row = int(encoder.vertices.rows[np.flatnonzero(encoder.rois["FFA"])[0]])
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["map"], at.query_params["vertex"] = "Clusters", str(row)
    at.run()
    assert "What drives it most" in words(at) and not at.metric
    at.session_state["beside"] = "Place"
    at.run()
    assert not at.exception and [m.label for m in at.metric] == ["R²", "Ceiling", "Scale"]
    assert "Where it looks" in words(at) and "What drives it" in words(at)


def test_an_own_map_on_a_simulated_run_says_what_the_badge_is_about():
    from factortopy.surfaces.coordinates import Vertices
    from factortopy.view.overlay import Overlay
    from pages.parts import take_away

    values = np.linspace(0, 1, 10242)[:, None]
    (one,) = Overlay("mine", values, ["map"], Vertices.of_mesh(sides=[0])).maps()
    assert "the badge is about the run" in take_away.titled([one], True)[0].title
    assert take_away.titled([one], False) == [one]


def test_the_table_of_areas_is_drawn_once_it_is_opened():
    """Closed it costs the first page nothing: its part of Streamlit is the largest but one."""
    at = open_page("explore")
    assert not at.dataframe and any(e.label.startswith("Areas in numbers") for e in at.expander)
    at.session_state["areas in numbers"] = True
    at.run()
    assert not at.exception and "V1" in set(at.dataframe[0].value.iloc[:, 0])
