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
    facts = at.dataframe[0].value
    assert "vertices" in facts[""].tolist()


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
    assert sum("fmri.npy" in e.value.replace("\\", "") for e in at.error) >= 2
