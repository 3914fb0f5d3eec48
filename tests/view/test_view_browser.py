"""The brain view in a real browser."""

import re

import numpy as np
import pytest
from browser import brain, click_at, pixel, project, start_app
from synthetic import planted_layers

from factortopy.surfaces.meshes import load_mesh
from factortopy.view import colour, layer_map
from factortopy.view.geometry import arranged
from factortopy.view.surface_render import opened


@pytest.fixture(scope="module")
def planted():
    return planted_layers()


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """The page of view_app.py, opened once; ``page.dialogs`` and ``page.requests`` are what it has tried."""
    with start_app("tests/apps/view_app.py", tmp_path_factory.mktemp("home")) as app:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        opened = context.new_page()
        opened.dialogs, opened.wanted, opened.errors, opened.app = [], [], [], app
        opened.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss()))
        opened.on("request", lambda request: opened.wanted.append(request.url))
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.goto(app.url)
        brain(opened, "main")
        yield opened
        context.close()


@pytest.fixture
def view(page):
    """The main view with its first map, the first camera, no threshold, nothing selected."""
    root = brain(page, "main")
    root.get_by_role("button", name="Layer", exact=True).click()
    root.evaluate(
        "root => { const v = root.ftv.view; v.steering.reset(); v.select(-1); v.painting.setThreshold(null, { final: false }); }"
    )
    return root


def members(planted, name):
    """Whole-mesh rows of an area that lie on the flat map."""
    rows = planted.vertices.rows[planted.rois[name]]
    return [int(row) for row in rows[np.isin(rows, load_mesh().flat_faces)]]


def seen_member(view, planted, name, kind):
    """A member of an area that the view shows, and where."""
    for row in members(planted, name):
        place = project(view, row, kind)
        if place["seen"]:
            return row, place
    raise AssertionError(f"no vertex of {name} can be seen on the {kind}")


def expect_text(page, pattern):
    page.get_by_text(re.compile(pattern)).first.wait_for(timeout=60_000)


def test_it_paints_says_what_and_that_it_is_simulated(page, view):
    assert int(view.get_attribute("data-painted")) >= 1
    assert view.locator(".title").text_content().startswith("Layer that predicts each place best · planted <img")
    assert view.locator(".badge").is_visible()
    assert view.locator(".badge").text_content() == "simulated"
    assert "layer" in view.locator("canvas.legend").get_attribute("aria-label")
    assert view.bounding_box()["height"] == pytest.approx(500, abs=2)
    assert not view.locator(".notice").is_visible()


def test_known_vertices_have_the_colours_of_their_layers(view, planted):
    view.evaluate("root => { root.ftv.view.choices.names = false }")
    palette = colour.layers(12)
    for number, name in enumerate(planted.rois):
        if name == "V3":
            continue
        row, place = seen_member(view, planted, name, "flat")
        drawn = pixel(view, place["x"], place["y"])
        np.testing.assert_allclose(drawn, palette[number % 12], atol=3, err_msg=f"{name} {row}")
    # V3 is not predicted: grey, however the palette may look.
    _, place = seen_member(view, planted, "V3", "flat")
    shade = np.array(pixel(view, place["x"], place["y"]), dtype=int)
    assert np.ptp(shade) < 12 and 70 < shade.mean() < 130
    view.evaluate("root => { root.ftv.view.choices.names = true }")


@pytest.mark.parametrize(("kind", "area"), [("surface", "V1"), ("flat", "PPA")])
def test_a_click_selects_the_vertex_drawn_there_and_python_gets_it(page, view, planted, kind, area):
    row, place = seen_member(view, planted, area, kind)
    click_at(page, view, place["x"], place["y"])
    expect_text(page, rf"vertex {row} ")
    assert view.get_attribute("data-vertex") == str(row)
    assert brain(page, "second").get_attribute("data-vertex") == str(row)  # linked
    # Both views mark it: white in the middle.
    for where in view.evaluate("(root, v) => root.ftv.project(v)", row):
        if where["seen"]:
            assert min(pixel(view, where["x"], where["y"])) > 180


def test_a_click_beside_the_brain_clears(page, view, planted):
    row, place = seen_member(view, planted, "V1", "flat")
    click_at(page, view, place["x"], place["y"])
    expect_text(page, rf"vertex {row} ")
    click_at(page, view, 6, 200)
    expect_text(page, "vertex None ")
    assert view.get_attribute("data-vertex") == "-1"


def test_python_can_select_and_the_visitor_can_go_on(page, view, planted):
    page.get_by_role("button", name="Go to 831").click()
    expect_text(page, "vertex 831 ")
    page.wait_for_function("view => view.dataset.vertex === '831'", arg=view.element_handle())
    row, place = seen_member(view, planted, "V1", "flat")
    click_at(page, view, place["x"], place["y"])
    expect_text(page, rf"vertex {row} ")
    page.wait_for_timeout(500)
    assert view.get_attribute("data-vertex") == str(row)


def test_hovering_says_the_value_in_words(page, view, planted):
    row, place = seen_member(view, planted, "hV4", "flat")
    box = view.locator("canvas.paint").bounding_box()
    page.mouse.move(box["x"] + place["x"] - 1, box["y"] + place["y"])
    page.mouse.move(box["x"] + place["x"], box["y"] + place["y"])
    view.locator(".tip").wait_for(state="visible", timeout=60_000)
    words = view.locator(".tip").text_content()
    side = "left" if row < load_mesh().n else "right"
    assert words.startswith("layer 4 of 12 · confidence 1.00 · hV4 · brain score R² ")
    assert words.endswith(f"{side} vertex {row % load_mesh().n}")


def test_maps_are_switched_without_asking_python(page, view):
    runs = page.get_by_text(re.compile(r"runs \d+")).text_content()
    painted = int(view.get_attribute("data-painted"))
    view.get_by_role("button", name="Scale", exact=True).click()
    assert view.locator(".title").text_content().startswith("Whether each place reads a detail")
    view.get_by_role("button", name="Layer weight", exact=True).click()
    slider = view.locator(".series input")
    slider.fill("7")
    assert view.locator(".title").text_content().startswith("Weight of layer 8 of 12")
    assert int(view.get_attribute("data-painted")) == painted + 3
    assert view.evaluate("root => root.ftv.stats.switchMs") < 2_000
    assert page.get_by_text(re.compile(r"runs \d+")).text_content() == runs


def test_unfolding_lays_the_surface_flat(page, view, planted):
    row, folded = seen_member(view, planted, "V1", "surface")
    view.locator(".unfold input").fill("3")
    flat = project(view, row, "surface")
    assert abs(flat["x"] - folded["x"]) + abs(flat["y"] - folded["y"]) > 10
    assert view.locator(".shape").text_content() == "flat"
    # The whole flat map is small: look at it closely before asking which vertex is there.
    view.evaluate("root => { Object.assign(root.ftv.view.stage.camera, { zoom: 5, y: 60 }); root.ftv.view.moved(); }")
    row, flat = seen_member(view, planted, "V1", "surface")
    np.testing.assert_allclose(pixel(view, flat["x"], flat["y"]), colour.layers(12)[0], atol=3)


def test_the_threshold_hides_vertices_and_counts_as_python_does(page, view, planted):
    made = layer_map(planted.selectors, planted.vertices, painted=planted.painted)
    slider = view.locator(".threshold input")
    slider.fill("127")
    slider.dispatch_event("change")
    expect_text(page, r"threshold 0\.5")
    score = planted.vertices.whole(planted.score)
    shown = made.shown(score, 0.5).sum()
    assert 0.4 < shown / made.painted.sum() < 0.6
    assert view.locator(".count").text_content() == f"{shown:,} of {made.painted.sum():,} vertices shown"
    slider.fill("254")
    top = made.shown(score, score[np.isfinite(score)].max()).sum()
    assert view.locator(".count").text_content().startswith(f"{top} of")
    slider.fill("0")
    slider.dispatch_event("change")
    expect_text(page, "threshold None")


def test_names_are_text_not_markup(page, view):
    names = view.locator(".labels span").all_text_contents()
    assert "<img src=x onerror=alert(1)>" in names
    assert view.locator(".labels img, .title img, .tip img").count() == 0
    assert page.dialogs == []
    assert not [url for url in page.wanted if url.rstrip("/").endswith("/x")]


def test_camera_and_map_outlive_a_rerun_and_new_data_are_painted(page, view):
    view.evaluate("root => { root.ftv.view.stage.camera.yaw = 33; root.ftv.view.moved(); }")
    view.get_by_role("button", name="Scale", exact=True).click()
    painted = int(view.get_attribute("data-painted"))
    page.get_by_role("button", name="Again").click()
    page.wait_for_timeout(700)
    assert view.evaluate("root => root.ftv.view.stage.camera.yaw") == 33
    assert int(view.get_attribute("data-painted")) == painted
    view.get_by_role("button", name="Layer", exact=True).click()
    painted = int(view.get_attribute("data-painted"))
    page.get_by_label("shift").fill("1")
    page.get_by_label("shift").press("Enter")
    page.wait_for_function(
        "([view, n]) => Number(view.dataset.painted) > n", arg=[view.element_handle(), painted], timeout=60_000
    )
    assert view.evaluate("root => root.ftv.view.stage.camera.yaw") == 33
    page.get_by_label("shift").fill("0")
    page.get_by_label("shift").press("Enter")
    page.wait_for_function(
        "([view, n]) => Number(view.dataset.painted) > n", arg=[view.element_handle(), painted + 1], timeout=60_000
    )


def test_keyboard_and_linked_camera(page, view):
    view.locator("canvas.paint").focus()
    before = view.evaluate("root => ({ ...root.ftv.view.stage.camera })")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    after = view.evaluate("root => ({ ...root.ftv.view.stage.camera })")
    assert after["yaw"] != before["yaw"] and after["zoom"] > before["zoom"]
    assert brain(page, "second").evaluate("root => root.ftv.view.stage.camera.yaw") == after["yaw"]
    page.keyboard.press("0")
    assert view.evaluate("root => root.ftv.view.stage.camera.yaw") == before["yaw"]


def test_drag_turns_wheel_zooms_and_double_click_resets(page, view):
    box = view.locator("canvas.paint").bounding_box()
    start = view.evaluate("root => ({ ...root.ftv.view.stage.camera })")
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 150, steps=3)
    page.mouse.up()
    page.mouse.wheel(0, -200)
    page.wait_for_function("root => root.ftv.view.stage.camera.zoom > 1.2", arg=view.element_handle())
    turned = view.evaluate("root => ({ ...root.ftv.view.stage.camera })")
    assert turned["yaw"] < start["yaw"] - 10
    assert view.get_attribute("data-vertex") == "-1"  # dragging selects nothing
    page.mouse.dblclick(box["x"] + 200, box["y"] + 200)
    assert view.evaluate("root => root.ftv.view.stage.camera.yaw") == start["yaw"]
    assert view.get_attribute("data-vertex") == "-1"


def test_a_turned_brain_is_never_cut_off(view):
    poses = view.evaluate(
        """root => {
            const v = root.ftv.view, before = { ...v.stage.camera }, seen = [];
            for (let yaw = -180; yaw < 180; yaw += 30) for (const pitch of [-90, -60, -12, 24, 90]) for (const [open, shape] of
                    [[0, 2], [8, 2], [62, 2], [8, 2.3], [8, 2.55], [62, 2.9]]) {
                Object.assign(v.stage.camera, { yaw, pitch, open, shape });
                const { panel, right, up, scale, x, y } = v.stage.poses()[0];
                seen.push([open * (3 - shape), shape - 2, scale, panel.w, panel.h, x, y, ...right, ...up]);
            }
            Object.assign(v.stage.camera, before);
            return seen;
        }"""
    )
    mesh = load_mesh("10k")
    inflated, flat = (arranged(mesh)[kind] for kind in ("inflated", "flat"))
    is_right = np.arange(len(inflated)) >= mesh.n
    used = []
    on_flat = np.zeros(len(flat), bool)
    on_flat[np.unique(mesh.flat_faces)] = True
    for opening, flatness, scale, width, height, x, y, *axes in poses:
        points, _ = opened(inflated, inflated, is_right, np.radians(opening))
        if flatness:
            points = (points + (flat - points) * flatness)[on_flat]
        across, upwards = (points @ np.array(axis) * scale for axis in (axes[:3], axes[3:]))
        share = max(np.abs(across + x).max() / (width / 2), np.abs(upwards + y).max() / (height / 2))
        assert share <= 1, (opening, axes)
        used.append(share)
    assert min(used) > 0.65 and np.median(used) > 0.8  # and not made needlessly small


def test_the_picture_can_be_saved(page, view):
    with page.expect_download(timeout=60_000) as download:
        view.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "simulated-brain-layer.png"
    assert open(download.value.path(), "rb").read(4) == b"\x89PNG"


@pytest.mark.parametrize("width", [780, 640, 480, 400])
def test_no_control_is_cut_where_the_view_is_narrow(page, view, width):
    parts = """root => { const box = name => root.querySelector(name).getBoundingClientRect(), { right, bottom } = box(".tools"),
        last = box(".enlarge"), views = box(".views"), flat = box(".flatviews"); return [
        last.right <= right && last.bottom <= bottom, views.right < flat.left, root.querySelector(".paint").clientHeight]; }"""
    try:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("([root, width]) => root.clientWidth < width", arg=[view.element_handle(), width])
        fits, apart, height = view.evaluate(parts)
        assert fits and apart
        view.evaluate("root => root.ftv.view.painting.setThreshold(0.12, { final: false })")
        assert view.evaluate(parts) == [True, True, height]  # nothing jumps
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.wait_for_function("root => root.clientWidth > 800", arg=view.element_handle())


def test_a_lost_graphics_context_comes_back(page, view, planted):
    view.evaluate(
        """root => new Promise(done => {
            const { canvas, gl } = root.ftv.view.drawing.scene, lose = gl.getExtension("WEBGL_lose_context");
            canvas.addEventListener("webglcontextrestored", () => setTimeout(done, 50), { once: true });
            lose.loseContext();
            setTimeout(() => lose.restoreContext(), 100);
        })"""
    )
    view.evaluate("root => { root.ftv.view.choices.names = false }")
    _, place = seen_member(view, planted, "V1", "flat")
    np.testing.assert_allclose(pixel(view, place["x"], place["y"]), colour.layers(12)[0], atol=3)
    view.evaluate("root => { root.ftv.view.choices.names = true }")


def test_without_webgl_there_is_a_sentence(page, browser):
    context = browser.new_context()
    plain = context.new_page()
    plain.add_init_script(
        "const old = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind === 'webgl2' ? null : old.call(this, kind, ...rest); }"
    )
    plain.goto(page.app.url)
    plain.get_by_text("it has no WebGL 2").first.wait_for(timeout=60_000)
    context.close()


def test_nothing_went_wrong_on_the_way(page):
    assert page.errors == []
    assert "Traceback" not in page.app.log()
    assert {url.split("/")[2] for url in page.wanted if url.startswith("http")} == {page.app.url.split("/")[2]}
