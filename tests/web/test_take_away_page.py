"""The foot of Explore: files to take away, one's own map over the brain, a run that somebody sent."""

import io
import time
import zipfile

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from web_pages import ROOT, words

from factortopy.runs.archive import pack_run
from factortopy.runs.run import find_run

SHIPPED = "demo-vit_demo-1"


@pytest.fixture
def explore():
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()


def uploader(at, label):
    return next(u for u in at.file_uploader if u.label.startswith(label))


def test_the_viewer_as_one_page(explore):
    next(b for b in explore.button if b.label == "Make the files").click().run()
    end = time.monotonic() + 120
    while not any(b.label == "Save them (zip)" for b in explore.get("download_button")):
        assert time.monotonic() < end and not explore.error and not explore.exception
        time.sleep(0.3)
        explore.run()
    from pages.parts.background import tasks

    made = tasks.find(f"export {SHIPPED} ['html']").result
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        (page,) = [name for name in archive.namelist() if name.endswith(".html")]
        assert "simulated" in page and archive.getinfo(page).file_size < 3_000_000


def test_making_files_tells_how_far_it_is_and_stops(explore):
    from pages.parts.background import tasks

    explore.multiselect(key="forms").set_value(["svg"]).run()
    explore.button(key="make files").click().run()
    task = tasks.find(f"export {SHIPPED} ['svg']")
    end, seen = time.monotonic() + 60, set()
    while task.done < 2:
        assert time.monotonic() < end and task.active
        seen.add(task.done)
        time.sleep(0.02)
    assert task.total == 6 and task.remaining > 0 and task.step.endswith(".svg")
    explore.run()
    explore.button(key="stop files").click().run()
    task.wait(30)
    explore.run()
    assert task.state == "stopped" and task.result is None
    assert "nothing was kept" in words(explore) and explore.button(key="make files")


def test_an_own_map_is_laid_over(explore):
    data = io.BytesIO()
    np.save(data, np.linspace(0, 1, 10242, dtype=np.float32))
    uploader(explore, "GIFTI").upload("lh.curvature.npy", data.getvalue(), "application/octet-stream").run()
    assert not explore.exception and not explore.error
    assert "On the brain above, as lh" in words(explore)
    maps, notices, error = explore.session_state["overlay maps"][1]
    assert [one.group for one in maps] == ["lh.curvature.npy"] and not notices and error is None
    assert explore.session_state["overlay shown"] == maps[0].stamp


@pytest.mark.parametrize("content", [b"no map", np.lib.format.magic(1, 0) + b"cut"])
def test_a_map_that_is_none_is_said(explore, content):
    uploader(explore, "GIFTI").upload("lh.mine.npy", content, "application/octet-stream").run()
    assert not explore.exception and len(explore.error) == 1 and "mine" in explore.error[0].value


def test_a_run_that_was_sent_opens(explore, tmp_path):
    packed = pack_run(find_run(SHIPPED), tmp_path / "sent.factortopy.zip")
    data = (tmp_path / "sent.factortopy.zip" if packed is None else packed).read_bytes()
    uploader(explore, "A .factortopy.zip").upload("sent.factortopy.zip", data, "application/zip").run()
    explore.run()
    assert not explore.exception and not explore.error
    assert explore.selectbox[0].value != SHIPPED and "simulated" in words(explore)


def test_a_file_that_is_no_run_is_said(explore):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../evil.txt", "x")
    uploader(explore, "A .factortopy.zip").upload("sent.zip", data.getvalue(), "application/zip").run()
    assert not explore.exception and len(explore.error) == 1


def test_a_region_in_the_address_is_shown_whole():
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    at.query_params["roi"] = "FFA"
    at.run()
    assert not at.exception and "The whole region" in words(at)
