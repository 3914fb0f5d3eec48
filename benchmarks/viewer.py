"""The brain view beside nilearn's ``view_surf`` and a plain plotly Mesh3d: bytes, first paint, switch, pick, frame.

    python -m benchmarks.viewer [10k] [164k]

Everything is taken in one run, in one headless browser (software graphics where the machine has none better): the
same map of made-up values at the same vertices. First paint is from asking for the page to the end of the first frame
in which the surface's triangles were drawn, noticed in the same way for all. Like stands beside like: our view and Mesh3d
(``st.plotly_chart``) in a Streamlit page, our exported page and ``view_surf``'s opened from disk. Server and browser
are warm: each page is asked for once before, then five times, of which the median counts. Writes benchmarks/results/viewer.json.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.app import received
from benchmarks.measuring import ROOT, keep, machine, show
from benchmarks.painted import drawn, watched

sys.path[:0] = [str(ROOT / "tests" / "helpers")]

from browser import FLAGS, brain, find_chromium, start_app  # noqa: E402

from factortopy.export.page import view_html  # noqa: E402
from factortopy.surfaces.coordinates import Vertices  # noqa: E402
from factortopy.surfaces.meshes import load_mesh  # noqa: E402

MAPS = 6
COMMON = """
import numpy as np, streamlit as st
from factortopy import surfaces, view
from factortopy.surfaces.coordinates import apart
from factortopy.surfaces.meshes import load_mesh
DENSITY = {density!r}
mesh = load_mesh(DENSITY)
vertices = surfaces.Vertices.of_mesh(DENSITY)
wave = mesh.coords["sphere" if "sphere" in mesh.coords else "inflated"] / 20
"""
OURS = """
@st.cache_data
def maps(shift):
    return [
        view.value_map(np.sin(wave @ np.roll([1, k, 2], k) + shift), vertices, name=f"map {{k}}")
        for k in range(6)
    ]
shift = st.number_input("shift", 0, 9, 0)
view.brain_view(maps(shift), key="brain", density=DENSITY, report=("vertex",))
"""
PLAIN = """
import plotly.graph_objects as go
x, y, z = apart(mesh.coords["inflated"], mesh.n).T
i, j, k = mesh.faces.T
shift = st.number_input("shift", 0, 9, 0)
st.plotly_chart(go.Figure(go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, intensity=np.sin(wave @ [1, 0, 2] + shift))))
st.text(f"drawn {{shift}}")
"""
# Milliseconds of the browser's own clock for what a hand does, medians of nine.
TIMES = """root => {
    const view = root.ftv.view, { camera } = view.stage, all = {};
    const median = (name, act) => {
        const times = [];
        for (let k = 0; k < 9; k++) { const t = performance.now(); act(k); times.push(performance.now() - t); }
        all[name] = times.sort((a, b) => a - b)[4];
    };
    view.drawing.motionUntil = 0; view.drawing.draw();
    const { maps } = view.painting.shown;
    median("map switched in the browser, ms", k => view.painting.show(maps[(k + 1) % maps.length].name));
    median("vertex under the pointer, ms", k => view.drawing.pick(200 + 5 * k, 150));
    median("a frame at rest, ms", k => { camera.yaw += 3; view.drawing.motionUntil = 0; view.drawing.draw(); });
    median("a frame while it turns, ms", k => { camera.yaw += 3; view.drawing.motionUntil = 1e12; view.drawing.draw(); });
    view.steering.reset();
    return all;
}"""


def visit(driver, url):
    """A page opened once and then five times more; (page, median seconds until drawn, its web socket's bytes)."""
    page = watched(driver)
    drawn(page, url)
    seconds = [drawn(page, url) for _ in range(4)]
    total = received(page)
    return page, float(np.median([*seconds, drawn(page, url)])), total


def script(folder, name, density, text):
    path = Path(folder) / f"{name}.py"
    path.write_text((COMMON + text).format(density=density))
    return path


def ours(driver, folder, density):
    with start_app(script(folder, "ours", density, OURS), f"{folder}/home") as app:
        page, seconds, total = visit(driver, app.url)
        view = brain(page)
        sent = view.evaluate("root => root.ftv.stats.payloadBytes")
        vertices = view.evaluate("root => root.ftv.view.painting.shown.support.length")
        page.wait_for_timeout(3000)
        out = {
            "first paint, s": seconds,
            "sent for a map, MB": sent / MAPS / 1e6,
            "sent a vertex and map, bytes": sent / MAPS / vertices,
        } | view.evaluate(TIMES)
        box = page.get_by_label("shift")
        times = []
        for shift in (1, 2, 1, 2, 1):  # what Python has made before; the first two are made anew
            painted = int(view.get_attribute("data-painted"))
            box.fill(str(shift))
            start = time.perf_counter()
            box.press("Enter")
            page.wait_for_function(
                "([view, n]) => Number(view.dataset.painted) > n", arg=[view.element_handle(), painted], timeout=60_000
            )
            times.append(time.perf_counter() - start)
        out["all maps anew through Python, s"] = float(np.median(times[2:]))
        page.close()
    return out


def plain(driver, folder, density):
    with start_app(script(folder, "plain", density, PLAIN), f"{folder}/home") as app:
        page, seconds, total = visit(driver, app.url)
        page.wait_for_timeout(2000)
        before = total["bytes"]
        box = page.get_by_label("shift")
        box.fill("1")
        box.press("Enter")
        page.get_by_text("drawn 1").wait_for(timeout=120_000)
        page.wait_for_timeout(2000)
        sent = (total["bytes"] - before) / 1e6
        page.close()
    return {"first paint, s": seconds, "sent for a map, MB": sent}


def view_surf(driver, folder, density):
    """nilearn's page of both hemispheres' inflated surface."""
    from nilearn import plotting

    from factortopy.surfaces.coordinates import apart

    mesh, values = one_map(density)
    shown = plotting.view_surf((apart(mesh.coords["inflated"], mesh.n), mesh.faces), values)
    path = Path(folder) / f"surf-{density}.html"
    path.write_text(shown.html, encoding="utf-8")  # the page itself; save_as_html wraps it into a frame
    return from_disk(driver, path)


def our_page(driver, folder, density):
    """Our viewer as a page without Python, with all four shapes of the surface."""
    from factortopy import view

    mesh, values = one_map(density)
    made = view.value_map(values, Vertices.of_mesh(density), name="map")
    return from_disk(driver, view_html(made, Path(folder) / f"ours-{density}.html", density=density))


def one_map(density):
    mesh = load_mesh(density)
    return mesh, np.sin(mesh.coords["inflated"] @ [0.05, 0, 0.1])


def from_disk(driver, path):
    page, seconds, _ = visit(driver, path.as_uri())
    page.close()
    return {"first paint, s": seconds, "sent for a map, MB": path.stat().st_size / 1e6}


def main():
    from playwright.sync_api import sync_playwright

    target = ROOT / "benchmarks" / "results" / "viewer.json"
    takes = {"FactorTopy": ours, "plotly Mesh3d": plain, "FactorTopy's page": our_page, "nilearn view_surf": view_surf}
    for density in sys.argv[1:] or ["10k"]:
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            driver = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, headless=True)
            result = {name: take(driver, folder, density) for name, take in takes.items()}
            driver.close()
        ratios = {}
        for rival, mine in (
            ("plotly Mesh3d", "FactorTopy"), ("nilearn view_surf", "FactorTopy's page"), ("nilearn view_surf", "FactorTopy"),
        ):  # fmt: skip
            ratios[f"first paint, {rival} / {mine}"] = result[rival]["first paint, s"] / result[mine]["first paint, s"]
        for rival in ("plotly Mesh3d", "nilearn view_surf"):
            sent = result[rival]["sent for a map, MB"] / result["FactorTopy"]["sent for a map, MB"]
            ratios[f"sent for a map, {rival} / FactorTopy"] = sent
        show(f"brain view, {density}", result | ratios)
        keep(target, density, result | {"ratios": ratios, "machine": machine("cpu")})


if __name__ == "__main__":
    main()
