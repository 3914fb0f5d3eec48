"""The page Compare as Streamlit runs it: every map and score, many networks, seeds, mean over subjects, its address."""

import io
import json
import shutil
import time
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest
from test_jobs_page import no_worker, press  # noqa: F401  (a fixture)
from web_pages import SHIPPED, open_page, words

from factortopy.analysis import slope
from factortopy.encoder import Encoder
from factortopy.jobs import job as work
from factortopy.storage.files import write_tensors
from factortopy.storage.home import assets_dir, runs_dir
from pages.parts.background import tasks
from pages.parts.compare_grid import MAPS, PER_PAGE

TWO = f"{SHIPPED},demo-mae_demo-1"


def copy_run(name, of=SHIPPED, **info):
    """A copy of a shipped run under another name, of which run.json says ``info``."""
    path = shutil.copytree(assets_dir() / "runs" / of, runs_dir() / name)
    said = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(said | info))
    return path


def show(at, key, value):
    at.button_group(key=key).set_value(value).run()
    assert not at.exception and not at.error
    return at


def test_every_map_opens_and_is_in_the_address():
    at = open_page("compare", runs=TWO, map="Space")
    assert at.button_group(key="compared map").value == "Space"
    for kind in MAPS:
        show(at, "compared map", kind)
        assert at.query_params["map"] in (kind, [kind]) and MAPS[kind] in words(at)
    assert at.query_params["runs"] in (TWO, [TWO])
    show(at, "compared map", "Layer weight")
    at.slider(key="compared layer").set_value(12).run()
    show(at, "compared two", "Swipe")
    assert at.query_params["layer"] in ("12", ["12"]) and at.query_params["show"] in ("Swipe", ["Swipe"])
    assert "Compared with demo\\-vit, the mean layer of demo\\-mae" in words(at)


def test_scores_that_no_run_knows_are_not_offered_and_those_known_are_labelled():
    encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
    encoder.scores.pop("pearson", None)
    encoder.save(runs_dir() / "old")
    at = open_page("compare", runs="old", score="Pearson r")
    assert at.selectbox(key="compared score").options == ["R²", "R² / noise ceiling"]
    assert at.selectbox(
        key="compared score"
    ).value == "R²" and "Pearson r, Pearson r² / noise ceiling, Algonauts 2023" in words(at)
    encoder.scores["pearson"] = np.sqrt(np.clip(encoder.scores["score"], 0, 1))
    encoder.save(runs_dir() / "new")
    at = open_page("compare", runs="old,new", map="Brain score", score="Pearson r")
    assert at.selectbox(key="compared score").value == "Pearson r" and "Mean Pearson r" in words(at)
    assert "Pearson r is not known for" in words(at) and at.query_params["score"] in ("Pearson r", ["Pearson r"])


def test_seeds_are_found_and_their_agreement_told():
    copy_run("again", seed=1)
    at = open_page("compare", runs=f"{SHIPPED},again")
    assert {m.label: m.value for m in at.metric}["Same best layer"] == "100%"
    assert "chance up to" in words(at) and "Choose runs that differ in their seed" not in words(at)
    at = open_page("compare", runs=TWO)
    assert "Choose runs that differ in their seed alone" in words(at)


def test_a_slope_of_one_fit_has_no_interval_and_a_click_asks_for_one():
    at = open_page("compare", runs=TWO)
    table = next(d.value for d in at.dataframe if "slope" in d.value.columns)
    assert not {"slope from", "slope to", "interval over"} & set(table), "empty columns"
    assert (table["fits"] == 1).all() and "One fit has no interval" in words(at)
    assert "40 new fits of demo" in words(at) and work.list_jobs() == []
    press(at, "refit slopes")
    (made,) = work.list_jobs()
    assert made.info["kind"] == "slope" and made.settings == {"runs": TWO.split(","), "refits": 20}


def test_intervals_that_are_kept_are_shown():
    copy_run("own")
    encoder, rng = Encoder.load(runs_dir() / "own"), np.random.default_rng(0)
    level = sum(
        level * np.asarray(encoder.rois[area], float) for area, level in slope.LEVELS.items() if area in encoder.rois
    )
    means = {"halves": 0.7 + rng.normal(0, 0.1, 12), "seeds": 0.7 + rng.normal(0, 0.05, 8)}
    write_tensors(
        runs_dir() / "own" / "slope_refits.safetensors",
        {name: np.outer(slopes, level).astype(np.float32) for name, slopes in means.items()},
    )
    at = open_page("compare", runs="own")
    (row,) = next(d.value for d in at.dataframe if "slope from" in d.value.columns).to_dict("records")
    expected = slope.estimate(row["slope"], means["halves"], means["seeds"]).interval()
    assert (row["slope from"], row["slope to"]) == pytest.approx(expected, abs=1e-3) and row["fits"] == 21
    assert "random halves of the pictures" in words(at) and not [b for b in at.button if b.key == "refit slopes"]


def test_several_subjects_become_their_mean():
    copy_run("second", subject="demo-2")
    at = open_page("compare", runs=f"{SHIPPED},second,demo-mae_demo-1")
    before = len(at.dataframe[0].value.columns)
    at.toggle(key="compared average").set_value(True).run()
    assert not at.exception and not at.error and before == len(at.dataframe[0].value.columns) + 1
    assert any("mean of 2 subjects" in str(column) for column in at.dataframe[0].value.columns)
    assert not [one for one in open_page("compare", runs=TWO).toggle if one.key == "compared average"]


def test_any_number_of_networks_page_by_page():
    names = [f"run-{k}" for k in range(PER_PAGE + 2)]
    for name in names:
        copy_run(name)
    at = open_page("compare", runs=",".join(names))
    assert len(at.multiselect(key="compared").value) == PER_PAGE + 2
    pages = at.button_group(key="compared page")
    assert pages.options == [f"1 to {PER_PAGE} of 14", "13 to 14 of 14"]
    show(at, "compared page", PER_PAGE)
    at.multiselect(key="compared").set_value(names[:2]).run()
    assert not at.exception and not any(b.key == "compared page" for b in at.button_group)


def test_a_choice_outlives_another_page_and_a_new_link_replaces_it():
    at = open_page("compare", runs=TWO)
    at.multiselect(key="compared").set_value(["demo-mae_demo-1"]).run()
    at.switch_page("pages/learn.py").run().switch_page("pages/compare.py").run()
    assert at.multiselect(key="compared").value == ["demo-mae_demo-1"]
    at.query_params["runs"] = TWO
    at.run()
    assert at.multiselect(key="compared").value == TWO.split(",")


def test_a_selected_place_is_told_for_each_network():
    encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
    index = int(np.flatnonzero(encoder.rois["FFA"])[0])
    at = open_page("compare", runs=TWO, vertex=str(int(encoder.vertices.rows[index])))
    rows = at.dataframe[0].value
    assert "FFA" in words(at) and list(rows["network (simulated)"]) == ["demo-vit", "demo-mae"]
    assert rows["best layer"][0] == f"{encoder.selectors().layer_argmax[index] + 1} of 12"


def test_areas_are_called_areas_and_their_column_keeps_its_name_in_files():
    at = open_page("compare", runs=TWO)
    tables = [one for one in at.dataframe if "roi (simulated)" in one.value.columns]
    assert len(tables) > 1
    for one in tables:
        assert json.loads(one.proto.columns)["roi (simulated)"]["label"] == "area"


def test_a_place_without_data_is_said():
    from factortopy.surfaces.meshes import N_VERTICES

    encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
    known = set(encoder.vertices.rows.tolist())
    outside = next(row for row in range(N_VERTICES[encoder.density]) if row not in known)
    said = "This place is not among the subject's vertices"
    assert said in words(open_page("compare", runs=TWO, vertex=str(outside)))
    assert said not in words(open_page("compare", runs=TWO))


def test_runs_of_other_densities_are_said():
    copy_run("dense", density="41k")
    at = open_page("compare", runs=f"{SHIPPED},dense")
    assert not at.exception and len(at.error) == 1 and "one density" in at.error[0].value


def test_the_address_says_which_layer_and_which_two():
    asked = {"map": "Layer weight", "layer": "7", "from": "demo-mae_demo-1", "to": SHIPPED, "show": "Swipe"}
    at = open_page("compare", runs=TWO, **asked)
    assert at.slider(key="compared layer").value == 7 and at.button_group(key="compared two").value == "Swipe"
    assert "Compared with demo\\-mae, the mean layer of demo\\-vit" in words(at)
    at.selectbox(key="compared from").set_value(SHIPPED).run()
    assert not at.exception and at.selectbox(key="compared to").value == "demo-mae_demo-1"
    assert "from" not in at.query_params and "to" not in at.query_params  # as at first
    at = open_page("compare", runs=TWO, map="Layer weight", layer="99", to="gone", show="nothing")
    assert not at.exception and at.slider(key="compared layer").value == 1 and "show" not in at.query_params


def test_a_visitor_first_sees_one_architecture_with_three_objectives():
    names = open_page("compare").multiselect(key="compared").value
    assert names == [SHIPPED, "demo-mae_demo-1", "demo-vit-untrained_demo-1"]


def test_one_name_a_network_everywhere():
    at = open_page("compare", runs=f"{SHIPPED},demo-vit-300-pictures_demo-1")
    said = "demo-vit · 300 pictures"
    assert said in at.multiselect(key="compared").options and said in at.selectbox(key="compared to").options
    reported = [m for m in at.multiselect if m.label == "Networks in the report"]
    assert len(reported) == 1 and said in reported[0].options
    tables = [set(map(str, [*t.value.columns, *t.value.iloc[:, 0]])) for t in at.dataframe]
    assert sum(said in one for one in tables) >= 3 and not any("300 pictures" in one for one in tables)


def test_the_maps_that_are_shown_are_taken_away():
    at = open_page("compare", runs=TWO, map="Layer")
    at.button(key="make maps").click().run()
    end = time.monotonic() + 60
    while not (saved := [b for b in at.get("download_button") if "Save them (zip)" in b.proto.label]):
        assert time.monotonic() < end and not at.exception and not at.error
        time.sleep(0.3)
        at.run()
    (task,) = [t for key, t in tasks.all().items() if key.startswith("compared ") and t.state == "finished"]
    with zipfile.ZipFile(io.BytesIO(task.result)) as archive:
        names = archive.namelist()
        assert len(saved) == 1 and len(names) == 10 and all("simulated" in name for name in names)
        table = pd.read_csv(archive.open("demo-mae_Layer_simulated.csv"))
        side = nibabel.GiftiImage.from_bytes(archive.read("demo-mae_Layer_simulated_hemi-L.func.gii"))
    encoder = Encoder.load(assets_dir() / "runs" / "demo-mae_demo-1")
    assert table["simulated"].all() and np.array_equal(table["layer"], encoder.selectors().layer_argmax + 1)
    shown = np.isfinite(side.agg_data()[0]).sum()
    assert shown == (table["painted"] & (table["hemisphere"] == "L")).sum() > 100
    assert side.darrays[1].meta["Name"] == "confidence"


@pytest.mark.parametrize("runs", ["nothing,here", "../../etc", ""])
def test_a_strange_address_shows_what_there_is(runs):
    at = open_page("compare", runs=runs)
    assert not at.exception and not at.error and at.multiselect(key="compared").value
