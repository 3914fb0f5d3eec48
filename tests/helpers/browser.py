"""A real browser and a running app for tests: ``from browser import browser, start_app  # noqa: F401``.

Tests that use the ``browser`` fixture are skipped, with the reason, where no Chromium or Chrome is found.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from factortopy.storage.machine import child_environment

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Software rendering, so that WebGL works on machines without a graphics card, but for the canvas alone: pages themselves are
# put together without it, at a quarter of the time. No background traffic.
FLAGS = (
    "--no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist "
    "--disable-gpu-compositing --disable-background-networking --disable-component-update --disable-sync --no-first-run"
).split()


def find_chromium():
    """Path of a Chromium or Chrome: $CHROME, else the first on the PATH; None where there is none."""
    for name in (os.environ.get("CHROME"), *NAMES):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


@pytest.fixture(scope="session")
def browser():
    """A headless browser (playwright's ``Browser``)."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium or Chrome found: install one, or name it in the environment variable CHROME")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=FLAGS, headless=True)
        yield opened
        opened.close()


def what_is_seen(fixtures):
    """Text of a failed test: address and words of every open page, and the end of the app's log."""
    lines = []
    for context in getattr(fixtures.get("browser"), "contexts", ()):
        for page in context.pages:
            try:
                text, views = page.inner_text("body", timeout=5000), page.get_by_test_id("brain-view").count()
            except Exception as error:  # whatever is wrong with the page is what we want to know
                text, views = f"{type(error).__name__}: {error}", "?"
            lines += [f"--- {page.url} ({views} brain views)", text[:3000]]
    for app in fixtures.values():
        if isinstance(app, App):
            lines += [f"--- log of {app.url}", app.log()[-3000:]]
    return "\n".join(lines)


class App:
    """A running Streamlit app: ``url``, ``process``, ``log()``."""

    def __init__(self, url, process, log_file):
        self.url, self.process, self.log_file = url, process, log_file

    def log(self):
        """What the server has printed."""
        return self.log_file.read_text(errors="replace")


@contextlib.contextmanager
def start_app(script, home, *options, seconds=60):
    """Start a Streamlit script on a free port and stop it afterwards.

    Parameters
    ----------
    script : path, from the repository's root
    home : path
        FACTORTOPY_HOME of the app; the server's output is kept there in ``server.log``.
    options : str
        More options of ``streamlit run``.
    """
    home = Path(home)
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "streamlit", "run", str(ROOT / script), "--server.port", str(port), "--server.headless",
        "true", "--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false", *options,
    ]  # fmt: skip
    environment = {
        **child_environment(), "FACTORTOPY_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    log_file = home / "server.log"
    with open(log_file, "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        app = App(f"http://localhost:{port}", process, log_file)
        try:
            _wait_until_up(app, seconds)
            yield app
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_up(app, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if app.process.poll() is not None:
            raise RuntimeError(f"the app ended: {app.log()}")
        try:
            with urllib.request.urlopen(f"{app.url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"the app did not answer within {seconds} s: {app.log()}")


def brain(page, name=None, timeout=60_000):
    """The painted brain view of a page (playwright ``Locator``): the first, or the one inside ``.st-key-NAME``."""
    where = page.locator(f".st-key-{name}") if name else page
    view = where.get_by_test_id("brain-view").first
    view.wait_for(state="attached", timeout=timeout)
    page.wait_for_function("view => Number(view.dataset.painted) > 0", arg=view.element_handle(), timeout=timeout)
    return view


def pixel(view, x, y):
    """(r, g, b) that a brain view has drawn at a place of its canvas (CSS pixels), read from its frame buffer."""
    return view.evaluate(
        """(root, [x, y]) => {
            const { canvas, gl } = root.ftv.view.drawing.scene, ratio = canvas.width / canvas.clientWidth;
            const out = new Uint8Array(4), place = [Math.floor(x * ratio), canvas.height - 1 - Math.floor(y * ratio)];
            root.ftv.view.drawing.draw();
            gl.readPixels(...place, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, out);
            return [...out.subarray(0, 3)];
        }""",
        [x, y],
    )


def project(view, vertex, kind):
    """{x, y, seen} of a whole-mesh vertex on the "surface" or the "flat" map of a brain view, in CSS pixels."""
    return next(place for place in view.evaluate("(root, v) => root.ftv.project(v)", vertex) if place["kind"] == kind)


def click_at(page, view, x, y):
    """Click at a place of a brain view's canvas."""
    box = view.locator("canvas.paint").bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.click(box["x"] + x, box["y"] + y)
