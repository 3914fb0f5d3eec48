"""The Data page: a demo subject, an Algonauts folder with what is wrong in it, a path that leads nowhere."""

import time
from functools import partial

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, words

from factortopy.subjects import demo


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(demo, "load_demo", partial(demo.load_demo, n_pictures=60))
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page("pages/data.py").run()


def until_there(at, seconds=120):
    end = time.monotonic() + seconds
    while not (at.error or at.subheader):
        assert time.monotonic() < end
        time.sleep(0.3)
        at.run()
    return at


def test_first_sight_says_what_to_do(data):
    assert not data.exception and "What is in my folder?" in words(data)


def test_a_demo_subject_is_shown(data):
    at = until_there(data.selectbox[0].set_value("demo-1").run())
    assert not at.exception and not at.error
    said = words(at)
    assert "What was found" in said and "local contrast" in said and "picture 1" in said
    assert "vertices" in at.table[0].value[""].tolist() and "ROIs" not in at.table[0].value[""].tolist()
    areas = at.dataframe[0].value
    assert {"V1", "FFA"} <= set(areas["area"]) and (areas["vertices"] > 0).all()
    assert at.query_params["subject"] in ("demo-1", ["demo-1"])
    at.button[-1].click().run()
    assert (
        not at.exception
        and at.sidebar.selectbox[0].value == "demo-1"
        and at.query_params["subject"] in ("demo-1", ["demo-1"])
    )


def test_a_folder_is_handed_to_train(tmp_path, monkeypatch):
    from folder_fixture import make_folder

    folder = make_folder(tmp_path, trials=60)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.query_params["subject"] = str(folder)  # as the address says it
    at = until_there(at.switch_page("pages/data.py").run())
    assert not at.exception and at.text_input[0].value == str(folder)
    said = words(at)
    assert "picture\\-000\\.png" in said and "What was found" in said
    next(button for button in at.button if "Train" in button.label).click().run()
    assert not at.exception and not at.error
    assert at.sidebar.text_input[0].value == str(folder) and not at.sidebar.button[0].disabled
    assert "60 trials" in words(at).replace("\\", "")


def test_a_path_that_leads_nowhere_is_said(data, tmp_path):
    at = data.text_input[0].set_value(str(tmp_path / "no")).run()
    at.run()
    assert not at.exception and len(at.error) >= 1


def test_every_problem_of_a_folder_is_listed(data, tmp_path):
    from fixtures_algonauts import make_algonauts

    folder = make_algonauts(tmp_path)
    np.save(folder / "training_split" / "training_fmri" / "lh_training_fmri.npy", np.zeros((5, 3), np.float32))
    (folder / "training_split" / "training_fmri" / "rh_training_fmri.npy").write_bytes(b"cut")
    at = until_there(data.text_input[0].set_value(str(folder)).run())
    assert not at.exception and "has to be mended" in words(at)
    assert "19,004 left" in " ".join(at.table[0].value["found"]).replace("\\", "")
    assert {"V1", "FFA"} <= set(at.dataframe[0].value["area"])
    assert sum("fmri.npy" in e.value.replace("\\", "") for e in at.error) >= 2
