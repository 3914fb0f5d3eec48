"""Every page, run as Streamlit runs it, without a browser (the component itself is tested in a real one)."""

import json
import shutil

import numpy as np
import pytest
from web_pages import PAGES, ROOT, SHIPPED, open_page, png, words

from factortopy.storage.home import assets_dir, runs_dir


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Pages must not leave a process behind after the tests; the worker has tests of its own (test_jobs.py)."""
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)
    monkeypatch.setattr("factortopy.jobs.queue.wake", lambda: None)


def test_no_page_is_left_from_the_server():
    """A page with a timer that is left by ``st.switch_page`` may leave a blank one (``pages.parts.address.link`` says why)."""
    leave = {path.name for path in (ROOT / "pages").rglob("*.py") if "st.switch_page(" in path.read_text()}
    assert leave == {"take_away.py"}  # a run that is dropped on Explore opens there


@pytest.mark.parametrize("name", PAGES)
def test_opens_without_a_fault(name):
    at = open_page(name)
    assert not at.exception and not at.error
    if name not in ("train", "data"):
        assert "simulated" in words(at)


def test_every_control_has_help():
    for name in PAGES:
        at = open_page(name)
        for kind in (at.selectbox, at.number_input, at.toggle, at.text_input):
            for widget in kind:
                assert widget.help or widget.label in ("Run", "Folder", "watched"), f"{name}: {widget.label}"


def test_a_vertex_in_the_address_is_explained():
    from factortopy.encoder import Encoder

    encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
    index = int(np.flatnonzero(encoder.rois["FFA"])[0])
    at = open_page("explore", vertex=str(int(encoder.vertices.rows[index])))
    shown = {m.label: m.value for m in at.metric}
    assert shown["R²"] == f"{encoder.scores['score'][index]:.2f}"
    assert shown["Scale"] == f"{encoder.selectors().scale[index]:.2f}"
    assert "FFA" in words(at)


@pytest.mark.parametrize("asked", ["../../etc", "<img src=x onerror=alert(1)>", "nothing-here", "a" * 500])
def test_a_strange_run_in_the_address_is_refused_in_words(asked):
    at = open_page("explore", run=asked)
    assert not at.exception and len(at.warning) == 1
    assert at.selectbox[0].value == SHIPPED


@pytest.mark.parametrize("harm", ["torn", "newer", "encoder missing", "gone"])
def test_a_damaged_run_is_said_and_the_page_stays(harm):
    mine = runs_dir() / "mine"
    shutil.copytree(assets_dir() / "runs" / SHIPPED, mine)
    info = mine / "run.json"
    if harm == "torn":
        info.write_bytes(info.read_bytes()[:50])
    elif harm == "newer":
        info.write_text(json.dumps(json.loads(info.read_text()) | {"schema": 99}))
    elif harm == "encoder missing":
        (mine / "encoder.safetensors").unlink()
    else:
        shutil.rmtree(mine)
    at = open_page("explore", run="mine")
    assert not at.exception
    assert at.warning or "encoder.safetensors" in words(at)
    at = open_page("train")
    assert not at.exception


def test_text_from_outside_is_shown_as_typed():
    mine = runs_dir() / "mine"
    shutil.copytree(assets_dir() / "runs" / SHIPPED, mine)
    info = json.loads((mine / "run.json").read_text())
    hostile = "<img src=x onerror=alert(1)> :red[x] ![](http://example.invalid/x.png)"
    (mine / "run.json").write_text(json.dumps(info | {"subject": hostile}))
    at = open_page("explore", run="mine")
    assert not at.exception
    said = words(at)
    assert r"\<img" in said and "![](" not in said and ":red[" not in said
    assert not any(m.allow_html for m in at.markdown)


def test_nothing_above_chance_is_said():
    from factortopy.encoder import Encoder

    encoder = Encoder.load(assets_dir() / "runs" / SHIPPED)
    encoder.scores["predicted"][:] = 0
    encoder.save(runs_dir() / "mine")
    at = open_page("explore", run="mine")
    assert not at.exception and "No vertex is predicted above chance" in words(at)


def test_no_run_at_all_offers_a_training(monkeypatch, tmp_path):
    monkeypatch.setattr("factortopy.runs.run.assets_dir", lambda: tmp_path)
    for name in ("explore", "pictures"):
        at = open_page(name)
        assert not at.exception and "Train one" in words(at)


# ---------------------------------------------------------------- your pictures


def test_good_uploads_are_answered_and_bad_ones_said():
    at = open_page("pictures")
    at.file_uploader[0].upload("mine.png", png(), "image/png")
    at.file_uploader[0].upload("broken.png", b"no picture", "image/png").run()
    assert not at.exception
    assert len(at.error) == 1 and "broken" in at.error[0].value
    assert at.selectbox(key="shown").value == "mine.png"
    assert "drawings" in words(at)


def test_two_pictures_are_compared():
    at = open_page("pictures")
    at.button(key="pick-drawn: face").click().run()
    assert at.selectbox(key="shown").value == "drawn: face"
    at.selectbox(key="second-drawn: face").set_value("photo: flower").run()
    assert not at.exception and not at.error


def test_sessions_do_not_see_each_others_pictures():
    first, second = open_page("pictures"), open_page("pictures")
    first.file_uploader[0].upload("secret.png", png(), "image/png").run()
    second.run()
    assert "secret.png" in first.selectbox(key="shown").options
    assert "secret.png" not in second.selectbox(key="shown").options


# ---------------------------------------------------------------- train


def test_a_click_on_train_queues_one_run():
    at = open_page("train")
    train = next(b for b in at.button if b.label == "Train")
    train.click().run()
    assert not at.exception
    next(b for b in at.button if b.label == "Train").click().run()  # a double click
    assert len(list(runs_dir().iterdir())) == 1
    assert "Waiting" in "".join(str(e.proto) for e in at.main.children.values()) or not at.error


def test_a_folder_that_is_no_data_set_is_said(tmp_path):
    at = open_page("train")
    at.selectbox[0].set_value("").run()
    at.text_input[0].set_value(str(tmp_path / "nothing")).run()
    assert not at.exception and len(at.error) == 1 and "nothing" in at.error[0].value
    assert next(b for b in at.button if b.label == "Train").disabled


def test_an_algonauts_folder_is_described(tmp_path):
    from algonauts_folder import make_algonauts

    folder = make_algonauts(tmp_path, "subj01")
    at = open_page("train")
    at.selectbox[0].set_value("").run()
    at.text_input[0].set_value(str(folder)).run()
    assert not at.exception and not at.error
    assert "Algonauts" in words(at)
    assert not next(b for b in at.button if b.label == "Train").disabled


def test_a_picture_is_decoded_once_a_visit(monkeypatch):
    """Each click draws the page anew; what is still there is at hand, what was taken away is forgotten."""
    from factortopy.pictures import reading

    decoded = []

    def read_picture(source, name=None, longest=None):
        decoded.append(name)
        return read(source, name=name, longest=longest)

    read = reading.read_picture
    monkeypatch.setattr(reading, "read_picture", read_picture)
    at = open_page("pictures")
    at.file_uploader[0].upload("first.png", png((200, 40, 40)), "image/png").run()
    at.file_uploader[0].upload("second.png", png((40, 200, 40)), "image/png").run()
    at.run()
    assert not at.exception and [name for name in decoded if name in ("first.png", "second.png")] == [
        "first.png",
        "second.png",
    ]
    at.file_uploader[0].set_value(None).run()
    assert at.session_state["pictures read"] == {}
