"""How long a visitor waits for the app: pages to painted brains, a picture, a film, an experiment; bytes a map, memory.

    python -m benchmarks.app [first] [compare] [picture] [film] [retinotopy] [maps]

Each section starts the app with the shipped runs and an empty home, opens it in a headless browser, each page in a context
of its own with nothing cached, prints a table and keeps it in benchmarks/results/app.json. Times are the browser's own, from
asking for the page, or from the click, to the end of the first frame with the brain (``benchmarks.painted``). Beside ``first``,
in turns in the same run, the floor: a Streamlit page of one line of text. Beside ``maps`` the same map through plotly's Mesh3d
in ``st.plotly_chart``.
"""

import io
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.measuring import ROOT, keep, machine, show
from benchmarks.painted import another, drawn, repainted, until, watched

sys.path[:0] = [str(ROOT / "tests" / "helpers")]

from browser import FLAGS, brain, find_chromium, start_app  # noqa: E402

APP = "serve.py"
VISITS = 5
BARE = "import streamlit as st\nst.text('One line of text')\n"
WATCH_TEXT = """new MutationObserver(() => {
    if (window.textAt || !document.querySelector("[data-testid=stText]")) return;
    requestAnimationFrame(() => { window.textAt = performance.now(); });
}).observe(document, { childList: true, subtree: true });"""
PLAIN = """
import numpy as np, plotly.graph_objects as go, streamlit as st
from factortopy.encoder import Encoder
from factortopy.storage.home import assets_dir
from factortopy.surfaces import apart, load_mesh
encoder = Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
mesh = load_mesh()
value = np.full(2 * mesh.n, np.nan)
value[encoder.vertices.rows] = encoder.selectors().layer_argmax
x, y, z = apart(mesh.coords["inflated"], mesh.n).T
i, j, k = mesh.faces.T
which = st.slider("layer", 0, 11, 0)
st.plotly_chart(go.Figure(go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, intensity=value + which)))
st.write(f"drawn {which}")
"""


def received(page):
    """Counts bytes that the page gets over its web socket."""
    total = {"bytes": 0}

    def frame(data):
        total["bytes"] += len(data)

    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frame(data)))
    return total


def memory(process):
    """Resident megabytes of a process (Linux)."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float("nan")
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@contextmanager
def visited(driver, url="about:blank"):
    """A page in a context of its own, closed afterwards."""
    page = watched(driver)
    try:
        yield page
    finally:
        page.context.close()


def script(folder, name, text):
    path = Path(folder) / f"{name}.py"
    path.write_text(text)
    return path


# ---------------------------------------------------------------- sections: driver, folder -> {row: value} or {column: {row: value}}


def first(driver, folder):
    """The first page, beside the floor."""
    times = {"FactorTopy": [], "bare Streamlit": []}
    with start_app(APP, f"{folder}/home") as app, start_app(script(folder, "bare", BARE), f"{folder}/bare") as bare:
        for _ in range(1 + VISITS):
            with visited(driver) as page:
                page.add_init_script(WATCH_TEXT)
                page.goto(bare.url, wait_until="commit")
                times["bare Streamlit"].append(until(page, "window.textAt", "no text was shown") / 1000)
            with visited(driver) as page:
                times["FactorTopy"].append(drawn(page, app.url))
        with visited(driver) as page:
            drawn(page, app.url)
            again = [drawn(page, app.url) for _ in range(3)]
    names = "opened, first visit of a fresh server, s", "opened, nothing cached, median, s", "the same, slowest, s"
    out = {k: dict(zip(names, (v[0], float(np.median(v[1:])), max(v[1:])), strict=True)) for k, v in times.items()}
    out["FactorTopy"]["opened again by the same browser, median, s"] = float(np.median(again))
    out["FactorTopy"]["times the floor"] = out["FactorTopy"][names[1]] / out["bare Streamlit"][names[1]]
    return out


def compare(driver, folder):
    """Three brains of the page Compare."""
    with start_app(APP, f"{folder}/home") as app:
        times = []
        for _ in range(1 + VISITS):
            with visited(driver) as page:
                times.append(drawn(page, f"{app.url}/compare", views=3))
    return {"first visit of a fresh server, s": times[0], "nothing cached, median, s": float(np.median(times[1:]))}


def picture(driver, folder):
    """A picture dropped on the page Your pictures."""
    from PIL import Image

    rng, times = np.random.default_rng(0), []
    with start_app(APP, f"{folder}/home") as app, visited(driver) as page:
        opened = drawn(page, f"{app.url}/your_pictures")
        view = brain(page)
        page.wait_for_timeout(2000)
        for k in range(1 + VISITS):
            buffer = io.BytesIO()
            small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
            small.resize((640, 480), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            file = {"name": f"picture {k}.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
            box = page.locator("[data-testid=stFileUploaderDropzoneInput]").first
            times.append(repainted(page, view, lambda box=box, file=file: box.set_input_files(file)))
            page.wait_for_timeout(2500)  # until the page is at rest
    return {
        "page opened, s": opened, "first picture, s": times[0], "further ones, median, s": float(np.median(times[1:])),
        "the slowest of them, s": max(times[1:]),
    }  # fmt: skip


def film(driver, folder):
    """A film of 300 frames on the page Your pictures."""
    from film_files import encoded

    from factortopy.stimuli.movement import dots

    frames = dots("expansion", frames=300, fps=8.0, degrees=8.4)
    file = {"name": "film.mp4", "mimeType": "video/mp4", "buffer": encoded(list(frames), rate=8)}
    with start_app(APP, f"{folder}/home") as app, visited(driver) as page:
        drawn(page, f"{app.url}/your_pictures")
        page.get_by_text("A video", exact=True).click()
        page.get_by_text("Drop a video here").wait_for()
        page.get_by_role("slider", name="Pictures a second").press("End")
        page.wait_for_timeout(2000)
        box = page.locator("[data-testid=stFileUploaderDropzoneInput]").first
        seconds = another(page, lambda: box.set_input_files(file))
    return {"frames": len(frames), "chosen to painted brain, s": seconds}


def retinotopy(driver, folder):
    """Retinotopy of the page Lab, with its usual settings."""
    with start_app(APP, f"{folder}/home") as app, visited(driver) as page:
        drawn(page, f"{app.url}/lab")
        page.wait_for_timeout(2000)
        seconds = another(page, page.get_by_test_id("stBaseButton-primary").click)
        page.get_by_text("Run again").wait_for()
    return {"clicked to painted brain, s": seconds}


def maps(driver, folder):
    """Bytes, switching and memory, beside plotly's Mesh3d."""
    out = {}
    with start_app(APP, f"{folder}/home") as app, visited(driver) as page:
        total, before = received(page), memory(app.process)
        drawn(page, app.url)
        view = brain(page)
        page.get_by_text("Click a place on the brain").wait_for()
        first, times = total["bytes"], []
        for name in ("Scale", "Space", "Brain score", "Clusters", "Layer"):
            button = view.get_by_role("button", name=name, exact=True).first
            times.append(repainted(page, view, button.click))
        sent = view.evaluate("root => root.ftv.view.message.maps.length")
        out["FactorTopy"] = {
            "maps": sent, "received for all, MB": first / 1e6, "for a map, MB": first / 1e6 / sent,
            "map switched by a click, median, ms": 1000 * float(np.median(times)),
            "memory before the page, MB": before, "memory after it, MB": memory(app.process),
        }  # fmt: skip
    with start_app(script(folder, "plain", PLAIN), f"{folder}/plain") as app, visited(driver) as page:
        total, start = received(page), time.perf_counter()
        page.goto(app.url)
        page.locator(".js-plotly-plot canvas").first.wait_for(timeout=120_000)
        opened = time.perf_counter() - start
        page.get_by_text("drawn 0").wait_for()
        time.sleep(1)
        before = total["bytes"]
        page.get_by_role("slider").first.press("ArrowRight")
        page.get_by_text("drawn 1").wait_for(timeout=60_000)
        time.sleep(1)
        out["plotly Mesh3d"] = {"opened to a canvas, s": opened, "for a map, MB": (total["bytes"] - before) / 1e6}
    return out


SECTIONS = {each.__name__: each for each in (first, compare, picture, film, retinotopy, maps)}


def main():
    from playwright.sync_api import sync_playwright

    for name in sys.argv[1:] or SECTIONS:
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            driver = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, headless=True)
            result = SECTIONS[name](driver, folder)
            driver.close()
        show(SECTIONS[name].__doc__, result)
        keep(ROOT / "benchmarks" / "results" / "app.json", name, result | {"machine": machine("cpu")})


if __name__ == "__main__":
    main()
