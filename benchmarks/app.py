"""How long a visitor waits: page opening to painted brain, recolouring, bytes a map, memory.

    python -m benchmarks.app

Starts the app with the shipped runs and an empty home, opens it in a headless browser, prints a table and writes
benchmarks/results/app.json. Beside it, in the same run, a plain reference: the same map through plotly's Mesh3d in
``st.plotly_chart``.
"""

import json
import platform
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from browser import FLAGS, brain, find_chromium, start_app  # noqa: E402

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


def ours(driver, home):
    out = {}
    with start_app("app.py", home) as app:
        out["memory before the first page, MB"] = memory(app.process)
        for visit in ("first", "second"):
            page = driver.new_page(viewport={"width": 1280, "height": 800})
            total = received(page)
            start = time.perf_counter()
            page.goto(app.url)
            view = brain(page)
            out[f"page opened to painted brain, {visit} visit, s"] = time.perf_counter() - start
            page.get_by_text("Click a place on the brain").wait_for()
            out[f"received over the web socket, {visit} visit, MB"] = total["bytes"] / 1e6
            if visit == "second":
                out["maps sent"] = view.evaluate("root => root.ftv.view.message.maps.length")
                times = []
                for name in ("Scale", "Space", "Brain score", "Clusters", "Layer"):
                    painted = int(view.get_attribute("data-painted"))
                    begin = time.perf_counter()
                    view.get_by_role("button", name=name, exact=True).first.click()
                    page.wait_for_function(
                        "([view, n]) => Number(view.dataset.painted) > n", arg=[view.element_handle(), painted]
                    )
                    times.append(time.perf_counter() - begin)
                out["map switched by a click, median, ms (with the test's own click)"] = 1000 * sorted(times)[2]
            page.close()
        out["memory after two visits, MB"] = memory(app.process)
    return out


def plain(driver, home):
    script = Path(home) / "plain.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(PLAIN)
    out = {}
    with start_app(script, home) as app:
        page = driver.new_page(viewport={"width": 1280, "height": 800})
        total = received(page)
        start = time.perf_counter()
        page.goto(app.url)
        page.locator(".js-plotly-plot canvas").first.wait_for(timeout=120_000)
        out["page opened to a Mesh3d canvas, s"] = time.perf_counter() - start
        page.get_by_text("drawn 0").wait_for()
        time.sleep(1)
        before = total["bytes"]
        page.get_by_role("slider").first.press("ArrowRight")
        page.get_by_text("drawn 1").wait_for(timeout=60_000)
        time.sleep(1)
        out["received for one more map, MB"] = (total["bytes"] - before) / 1e6
    return out


def main():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        driver = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, headless=True)
        result = {"FactorTopy": ours(driver, f"{folder}/ours"), "plotly Mesh3d": plain(driver, f"{folder}/plain")}
        driver.close()
    ours_, plain_ = result["FactorTopy"], result["plotly Mesh3d"]
    first = "page opened to painted brain, first visit, s"
    per_map = ours_["received over the web socket, second visit, MB"] / ours_["maps sent"]
    result["ratios"] = {
        "a map, MB (all that was received / maps)": per_map,
        "Mesh3d's map is larger, times": plain_["received for one more map, MB"] / per_map,
        "Mesh3d is later, times": plain_["page opened to a Mesh3d canvas, s"] / ours_[first],
    }
    result["machine"] = {"platform": platform.platform(), "python": platform.python_version()}
    for section, values in result.items():
        print(section)
        for name, value in values.items():
            print(f"  {name:<68} {value:.3f}" if isinstance(value, float) else f"  {name:<68} {value}")
    target = ROOT / "benchmarks" / "results" / "app.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
