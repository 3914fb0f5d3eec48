"""A newcomer's path in a real browser: painted brain, a vertex, a photograph, a training that outlives its page."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from browser import brain, click_at, project, start_app
from PIL import Image

from factortopy.storage.home import assets_dir

SHOTS = Path(__file__).resolve().parents[2] / "screenshots"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("FACTORTOPY_DEMO_PICTURES")
    os.environ["FACTORTOPY_DEMO_PICTURES"] = "300"  # a short first use; everything else is as it is
    try:
        with start_app("serve.py", home) as running:
            running.home = home
            yield running
    finally:
        os.environ.pop("FACTORTOPY_DEMO_PICTURES")
        if before is not None:
            os.environ["FACTORTOPY_DEMO_PICTURES"] = before
        _end_worker(home)


def _end_worker(home):
    """The worker outlives the app on purpose; here it must not outlive the test."""
    from factortopy.storage.machine import file_is_locked

    for stat in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"FACTORTOPY_HOME={home}".encode() in stat.read_bytes() and int(stat.parent.name) != os.getpid():
                os.kill(int(stat.parent.name), signal.SIGTERM)
        except OSError:
            continue
    end = time.monotonic() + 20
    while file_is_locked(home / "worker.lock") and time.monotonic() < end:
        time.sleep(0.2)


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.dialogs = []
    opened.on("dialog", lambda d: (opened.dialogs.append(d.message), d.dismiss()))
    yield opened
    assert not opened.dialogs
    opened.close()


def shot(page, name):
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def no_traceback(page):
    assert page.get_by_text("Traceback").count() == 0
    assert page.locator('[data-testid="stException"]').count() == 0


def click_vertex(page, view, row):
    """Click the place where a vertex of the whole mesh is drawn on the flat map."""
    place = project(view, row, "flat")
    click_at(page, view, place["x"], place["y"])


def test_an_experiment_goes_on_when_the_page_is_left(app, page):
    """The first thing a fresh server is asked for may be a link to a page."""
    page.goto(f"{app.url}/lab")
    expect_link = page.get_by_role("link", name="Explore")
    expect_link.wait_for(timeout=60_000)
    view = brain(page)
    page.get_by_role("radio", name="Localizer").click()
    page.get_by_text("Which places prefer faces").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("link", name="Explore").click()
    page.get_by_text("Click a place on the brain").wait_for(timeout=60_000)
    page.get_by_role("link", name="Lab").click()
    page.get_by_role("radio", name="Localizer").click()
    page.get_by_text("Are the areas found?").wait_for(timeout=120_000)
    view = brain(page)
    assert int(view.get_attribute("data-painted")) > 0 and page.get_by_text("simulated", exact=True).count()
    no_traceback(page)
    shot(page, "lab_localizer")
    page.reload()
    page.get_by_text("Are the areas found?").wait_for(timeout=60_000)


def test_a_lesson_is_left_and_come_back_to(app, page):
    page.goto(f"{app.url}/learn?lesson=4")
    page.get_by_role("link", name="Open Explore").click()
    page.get_by_role("link", name="Back to lesson 4").click()
    page.get_by_text("What do you expect?").wait_for()
    page.get_by_role("link", name="Back to lesson 4").wait_for(state="detached")
    assert page.get_by_role("radio", checked=True).count() == 1 and "lesson=4" in page.url


def test_explore_a_vertex(app, page):
    from factortopy.encoder import Encoder

    page.goto(app.url)
    view = brain(page)
    page.get_by_text("Click a place on the brain").wait_for()
    shot(page, "explore")
    encoder = Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    rows = encoder.vertices.rows[encoder.rois["FFA"]]
    click_vertex(page, view, int(rows[len(rows) // 2]))
    page.get_by_text("What drives it").wait_for()
    picked = int(view.get_attribute("data-vertex"))
    assert picked in set(rows.tolist())
    assert f"vertex={picked}" in page.url  # the link restores the view
    shot(page, "vertex")
    no_traceback(page)
    page.goto(page.url)
    brain(page)
    page.get_by_text("What drives it").wait_for()
    page.get_by_role("button", name="Scale").first.click()
    shot(page, "scale")


def test_every_click_reaches_the_page_and_the_next_page(app, page):
    from factortopy.encoder import Encoder

    encoder = Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    rows = encoder.vertices.rows
    page.goto(app.url)
    view = brain(page)
    page.get_by_text("Click a place on the brain").wait_for()
    for area in ("V1", "FFA", "EBA", "V1", "PPA"):
        # Not every vertex is on top where it lies: some are on a cut of the flat map.
        seen = next(int(row) for row in rows[encoder.rois[area]][20:] if project(view, int(row), "flat")["seen"])
        click_vertex(page, view, seen)
        page.get_by_role("heading", name=area, exact=True).wait_for(timeout=60_000)
        page.wait_for_url(f"**vertex={view.get_attribute('data-vertex')}**")
    for name in ("Scale", "Space", "Clusters", "Layer"):
        view.get_by_role("button", name=name, exact=True).first.click()
        page.wait_for_url(f"**map={name}**", timeout=60_000)
    confidence = view.get_by_role("button", name="Confidence", exact=True)  # a map of the same group
    confidence.click()
    page.wait_for_url("**map=Confidence**", timeout=60_000)
    assert confidence.get_attribute("aria-pressed") == "true"
    view.get_by_role("button", name="Scale", exact=True).first.click()
    confidence.wait_for(state="hidden")
    chosen = view.get_attribute("data-vertex")
    page.get_by_role("link", name="Your pictures").click()
    page.get_by_text("Drop your pictures here").wait_for()
    assert brain(page).get_attribute("data-vertex") == chosen


def test_start_button_selects(app, page):
    page.goto(app.url)
    brain(page)
    page.get_by_role("button", name="PPA").click()
    page.get_by_text("Where it looks").wait_for()
    assert "vertex=" in page.url


def test_upload_a_photograph(app, page, tmp_path):
    from sklearn.datasets import load_sample_image

    photo = tmp_path / "holiday <b>.jpg"
    Image.fromarray(load_sample_image("china.jpg")).save(photo)
    page.goto(f"{app.url}/your_pictures")
    brain(page)
    page.locator('input[type="file"]').set_input_files([str(photo)])
    page.get_by_text(re.compile("Predicted response to holiday")).first.wait_for(timeout=60_000)
    no_traceback(page)
    shot(page, "your_pictures")


def test_a_page_with_a_timer_is_left_for_a_whole_one(app, page):
    """However late the server answers: a question that the old page's timer asks meanwhile must not blank the new one."""
    shutil.copytree(assets_dir() / "runs" / "demo-vit_demo-1", app.home / "runs" / "copied")
    late, held = [], []

    def route(socket):
        server = socket.connect_to_server()
        server.on_message(lambda message: held.append((socket, message)) if late else socket.send(message))

    page.route_web_socket("**/_stcore/stream", route)
    page.goto(f"{app.url}/jobs")
    opens = page.locator("a[href$='run=copied']")
    opens.wait_for(timeout=60_000)
    late.append(True)
    opens.click()
    page.wait_for_timeout(3000)  # the list of jobs is drawn anew every two seconds
    late.clear()
    for socket, message in held:
        socket.send(message)
    brain(page)
    page.wait_for_timeout(3000)
    assert brain(page).is_visible() and "run=copied" in page.url
    no_traceback(page)
    shutil.rmtree(app.home / "runs" / "copied")


def test_a_training_goes_on_when_the_page_is_left(app, page, browser):
    page.goto(f"{app.url}/train")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text(re.compile("Fitting the encoder|Showing the pictures")).first.wait_for(timeout=120_000)
    name = next((app.home / "runs").iterdir()).name
    page.close()  # the visitor leaves
    time.sleep(5)
    back = browser.new_page(viewport={"width": 1280, "height": 800})
    back.goto(f"{app.url}/train")
    back.get_by_text(re.compile("Fitting the encoder")).first.wait_for(timeout=120_000)
    brain(back, timeout=120_000)  # the map forms while it trains
    shot(back, "train")
    back.get_by_role("button", name="Stop").click()
    back.get_by_role("button", name="Resume").wait_for(timeout=60_000)
    no_traceback(back)
    back.get_by_role("button", name="Resume").click()
    back.get_by_role("link", name="Open in Explore").click(timeout=180_000)
    back.wait_for_url(f"**run={name}**")
    back.get_by_text("Click a place on the brain").wait_for()
    brain(back)
    no_traceback(back)
    shot(back, "trained")
    back.close()
