"""Regions, two maps at once, the camera as a text, linked views and the keyboard, in a real browser."""

import re

import numpy as np
import pytest
from browser import brain, click_at, pixel, project, start_app
from synthetic import planted_layers

from factortopy.surfaces.meshes import load_mesh
from factortopy.view import colour


@pytest.fixture(scope="module")
def planted():
    return planted_layers()


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    with start_app("tests/apps/view_linked_app.py", tmp_path_factory.mktemp("home")) as app:
        opened = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        opened.errors, opened.app = [], app
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.goto(app.url)
        for name in ("main", "left", "middle", "right"):
            brain(opened, name)
        yield opened
        opened.close()


@pytest.fixture
def view(page):
    """The main view with its first map, one map at a time, first camera, both panels, nothing selected."""
    root = brain(page, "main")
    root.evaluate(
        """root => {
            const v = root.ftv.view;
            v.painting.compare.set({ mode: "", at: 0.5 });
            v.painting.choose("eight"); v.choices.names = true; v.setLayout("both");
            v.steering.reset(); v.select(-1); v.selectRegion(null); v.drawing.draw();
        }"""
    )
    return root


def shown(view, planted, area, kind):
    """Row and place of a vertex inside an area and off the flat map's cuts, which the view shows and no name covers."""
    mesh = load_mesh()
    inside = np.zeros(2 * mesh.n, dtype=bool)
    inside[planted.vertices.rows[planted.rois[area]]] = True
    border = np.unique(mesh.faces[inside[mesh.faces].any(1) & ~inside[mesh.faces].all(1)])
    inside[border] = False
    whole = np.bincount(mesh.faces.ravel(), minlength=2 * mesh.n)
    inside &= np.bincount(mesh.flat_faces.ravel(), minlength=2 * mesh.n) == whole
    for row in np.flatnonzero(inside):
        place = project(view, int(row), kind)
        named = view.evaluate("(root, [x, y]) => root.ftv.view.labels.at(x, y)", [place["x"], place["y"]])
        if place["seen"] and named is None:
            return int(row), place
    raise AssertionError(f"no vertex of {area} can be seen on the {kind}")


def expect_text(page, pattern):
    page.get_by_text(re.compile(pattern)).first.wait_for(timeout=60_000)


def value_colour(palette, share):
    return palette[round(round(share * 254) / 254 * (len(palette) - 1))]


def yellow_share(view):
    """Share of the canvas in the colour of a highlighted outline."""
    return view.evaluate(
        """root => {
            const { canvas, gl } = root.ftv.view.drawing.scene, { width: w, height: h } = canvas;
            root.ftv.view.drawing.draw();
            const all = new Uint8Array(4 * w * h);
            gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
            let n = 0;
            for (let k = 0; k < all.length; k += 4) if (all[k] > 235 && all[k + 1] > 190 && all[k + 2] < 90) n++;
            return n / (w * h);
        }"""
    )


def test_a_click_on_a_name_selects_the_region_everywhere(page, view, planted):
    assert yellow_share(view) == 0
    name = view.evaluate("root => root.ftv.view.labels.spans.find(s => s.at && s.anchor.name === 'EBA').at")
    click_at(page, view, name["x"] + name["w"] / 2, name["y"] + name["h"] / 2)
    expect_text(page, "roi EBA ")
    assert view.get_attribute("data-roi") == "EBA"
    assert brain(page, "left").get_attribute("data-roi") == "EBA"  # linked
    assert yellow_share(view) > 0.001 and yellow_share(brain(page, "left")) > 0.001
    assert view.locator("select.regions").input_value() == "EBA"
    assert "Region: EBA" in view.locator(".spoken").text_content()
    _, place = shown(view, planted, "V1", "flat")
    click_at(page, view, place["x"], place["y"])  # a place elsewhere: the region is left
    expect_text(page, "roi None ")
    assert yellow_share(view) == 0


def test_alt_click_the_list_and_python_select_a_region(page, view, planted):
    row, place = shown(view, planted, "FFA", "surface")
    page.keyboard.down("Alt")
    click_at(page, view, place["x"], place["y"])
    page.keyboard.up("Alt")
    expect_text(page, rf"roi FFA .*vertex {row}")
    view.get_by_label("Select a region").select_option("V1")
    expect_text(page, "roi V1 ")
    page.get_by_role("button", name="Choose PPA").click()
    expect_text(page, "roi PPA ")
    page.wait_for_function("view => view.dataset.roi === 'PPA'", arg=view.element_handle())
    view.get_by_label("Select a region").select_option("")
    expect_text(page, "roi None ")


def test_swipe_shows_one_map_left_and_another_right_of_the_divider(page, view, planted):
    view.get_by_role("button", name="Swipe").click()
    assert view.get_by_role("button", name="Swipe").get_attribute("aria-pressed") == "true"
    view.get_by_label("Map right of the divider").select_option("Layer")
    view.evaluate("root => { root.ftv.view.choices.names = false; root.ftv.view.drawing.draw() }")
    palettes = {"left": value_colour(colour.sequential("viridis"), 0.8), "right": colour.layers(12)[0]}
    _, place = shown(view, planted, "V1", "flat")
    panel = view.evaluate("root => root.ftv.view.stage.panels()[1]")
    share = (place["x"] - panel["x"]) / panel["w"]
    for at, side in ((share + 0.05, "left"), (share - 0.05, "right")):
        view.evaluate("(root, at) => { root.ftv.view.painting.compare.set({ at }) }", at)
        np.testing.assert_allclose(pixel(view, place["x"], place["y"]), palettes[side], atol=4, err_msg=side)
    assert view.locator("canvas.second").is_visible()  # its own legend
    assert view.locator(".title").text_content().startswith("Left: Planted eight · right: Layer that")
    handle = view.locator(".divider-flat")
    before = float(handle.get_attribute("aria-valuenow"))
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(before + 2, abs=1)
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert handle.bounding_box()["x"] == pytest.approx(box["x"] + 40, abs=2)
    assert view.get_attribute("data-vertex") == "-1"  # dragging the divider selects nothing
    assert (
        brain(page, "right").evaluate("root => root.ftv.view.painting.compare.state.other") == "three"
    )  # swipe="three"


def test_the_difference_is_of_maps_of_one_unit_and_has_its_own_colours(page, view, planted):
    view.get_by_role("button", name="Difference").click()
    assert view.get_by_label("Map that is subtracted").locator("option").all_text_contents() == ["three"]
    view.evaluate("root => { root.ftv.view.choices.names = false; root.ftv.view.drawing.draw() }")
    row, inside = shown(view, planted, "V1", "flat")
    _, outside = shown(view, planted, "PPA", "flat")
    palette = colour.diverging("blue-red")
    high = view.evaluate("root => root.ftv.view.painting.shown.current.words.high")
    assert high == 5
    np.testing.assert_allclose(pixel(view, inside["x"], inside["y"]), palette[-1], atol=4)  # 8 − 3 = high
    np.testing.assert_allclose(pixel(view, outside["x"], outside["y"]), palette[127], atol=4)  # 8 − 8
    words = view.evaluate("(root, v) => root.ftv.view.wordsFor(v)", row)
    assert words.startswith("difference (eight minus three) 5.0 a.u. · V1 · ")
    assert view.locator(".title").text_content().startswith("Planted eight minus Planted three · planted")
    assert "more: three, more: eight" in view.locator("canvas.legend").get_attribute("aria-label")
    view.get_by_role("button", name="Layer", exact=True).click()  # not to be subtracted
    assert not view.get_by_role("button", name="Difference").is_visible()
    assert view.locator(".title").text_content().startswith("Layer that")


def test_the_camera_is_told_at_rest_and_restored(page, view):
    told = []
    for yaw in (40, -170):
        view.evaluate(
            "(root, yaw) => { const v = root.ftv.view; Object.assign(v.stage.camera, "
            "{ yaw, pitch: -12, zoom: 11.25, x: -300.5, y: 99.25, shape: 1.25, flatZoom: 2.5, flatX: 31 }); v.moved(); }",
            yaw,
        )
        expect_text(page, rf"camera b_{yaw}_-12_8_11\.25_.*_1\.25_2\.5_")
        told.append(view.evaluate("root => root.ftv.view.reports.last.camera"))
        assert len(told[-1]) < 60 and re.fullmatch(r"[a-z0-9_.-]+", told[-1])
    drawn = view.evaluate(
        """(root, text) => {
            const v = root.ftv.view, before = { ...v.stage.camera };
            v.steering.reset(); v.steering.restore(text);
            return [before, { ...v.stage.camera }];
        }""",
        told[-1],
    )
    for name, value in drawn[0].items():
        assert drawn[1][name] == pytest.approx(value, abs=2.5 if name in ("x", "y", "flatX", "flatY") else 0.01), name
    assert (
        view.evaluate("root => { const v = root.ftv.view; v.steering.restore('b_x'); return v.stage.camera.zoom }")
        == 11.25
    )
    page.get_by_role("button", name="Restore").click()
    expect_text(page, re.escape("camera f_20_-10_0_1.5_0_0_1_1.7_5_-3"))
    page.wait_for_function("view => view.dataset.layout === 'flat'", arg=view.element_handle())
    assert view.evaluate("root => root.ftv.view.stage.camera.yaw") == 20


def test_three_views_of_a_group_share_the_camera_and_the_vertex(page, view, planted):
    view.locator("canvas.paint").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    cameras = [
        brain(page, name).evaluate("root => ({ ...root.ftv.view.stage.camera })") for name in ("main", "left", "middle")
    ]
    assert cameras[0] == cameras[1] == cameras[2] and cameras[0]["yaw"] == 12 and cameras[0]["zoom"] < 1
    assert brain(page, "right").evaluate("root => root.ftv.view.stage.camera.yaw") == 0  # of no group
    row, place = shown(brain(page, "left"), planted, "PPA", "flat")
    click_at(page, brain(page, "left"), place["x"], place["y"])
    for name in ("main", "left", "middle"):
        assert brain(page, name).get_attribute("data-vertex") == str(row)


def test_the_keyboard_reaches_and_says_everything(page, view):
    assert view.locator("canvas.paint").get_attribute("role") == "application"
    unnamed = view.evaluate(
        """root => [...root.querySelectorAll("button, input, select, [tabindex]")].filter(one => {
            const words = one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.[0]?.textContent.trim();
            return !words && one.checkVisibility();
        }).map(one => one.outerHTML)"""
    )
    assert unnamed == []
    view.evaluate(
        "root => { root.ftv.view.setLayout('flat'); Object.assign(root.ftv.view.stage.camera, { flatX: 60 }); }"
    )
    view.locator("canvas.paint").focus()
    page.keyboard.press("+")
    page.mouse.move(2, 2)
    page.keyboard.press("Enter")
    middle = view.evaluate(
        "root => { const p = root.ftv.view.stage.panels()[0]; return root.ftv.pick(p.x + p.w / 2, p.y + p.h / 2) }"
    )
    assert middle >= 0 and view.get_attribute("data-vertex") == str(middle)
    spoken = view.locator(".spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    assert re.match(r"Map: Planted eight\. Selected: .* vertex \d+\.", spoken.text_content())
    page.keyboard.press("Escape")
    assert view.get_attribute("data-vertex") == "-1"
    # Without motion a preset is there at once.
    view.evaluate("root => root.ftv.view.setLayout('both')")
    view.get_by_role("button", name="Below").click()
    assert view.evaluate("root => root.ftv.view.stage.camera.pitch") == 90


def test_the_legend_leaves_the_painted_cortex_of_a_narrow_view_alone(page, view, planted):
    view.evaluate("root => root.ftv.view.steering.reset()")
    for name in ("left", "middle"):
        narrow = brain(page, name)
        covered = narrow.evaluate(
            """root => {
                const v = root.ftv.view, stage = v.stage.canvas.getBoundingClientRect();
                const box = v.part("legend").getBoundingClientRect(), kind = v.stage.panels().at(-1).kind;
                return [...v.painting.shown.support].filter(vertex => {
                    const place = v.drawing.project(vertex).find(one => one.kind === kind);
                    const x = place.x + stage.left, y = place.y + stage.top;
                    return place.seen && x > box.left && x < box.right && y > box.top && y < box.bottom;
                }).length;
            }"""
        )
        assert covered == 0, name
        title = narrow.locator(".title").evaluate("one => one.scrollHeight - one.clientHeight")
        assert title <= 1, name  # not cut


def test_a_map_is_switched_by_painting_alone(page, view):
    """The geometry of the picture is not drawn again."""
    page.wait_for_timeout(400)
    drawn = view.evaluate(
        """root => {
            const v = root.ftv.view, old = v.drawing.scene.drawMesh;
            let meshes = 0;
            v.drawing.draw();
            v.drawing.scene.drawMesh = function (...rest) { meshes++; return old.apply(this, rest); };
            v.painting.choose("Layer"); v.painting.choose("three"); v.painting.compare.set({ mode: "difference" });
            v.drawing.scene.drawMesh = old;
            return meshes;
        }"""
    )
    assert drawn == 0
    assert page.errors == [] and "Traceback" not in page.app.log()


# ---------------------------------------------------------------- small views among many


def test_a_small_view_waits_until_it_is_seen_and_says_so_readably(page):
    below = page.locator(".st-key-below").get_by_test_id("brain-view")
    below.wait_for(state="attached")
    told = below.evaluate(
        """root => {
            const hidden = name => getComputedStyle(root.querySelector(name)).visibility === "hidden"
                || getComputedStyle(root.querySelector(name)).display === "none";
            const notice = root.querySelector(".notice"), box = notice.getBoundingClientRect(), stage = root.getBoundingClientRect();
            return {
                painted: root.dataset.painted, waiting: root.classList.contains("waiting"), notice: notice.textContent,
                covered: [".legends", ".unfold", ".views", ".flatviews", ".tools"].filter(name => !hidden(name)),
                inside: box.left >= stage.left && box.right <= stage.right, heading: root.querySelector(".title").textContent,
            };
        }"""
    )
    assert told == {
        "painted": "0", "waiting": True, "notice": "Loading the brain surface", "covered": [], "inside": True, "heading": "A name",
    }  # fmt: skip
    below.scroll_into_view_if_needed()
    view = brain(page, "below")
    assert not view.evaluate("root => root.classList.contains('waiting')")
    title = view.locator(".title")
    assert title.inner_text() == "A name" and title.get_attribute("title").startswith("Planted eight · planted")
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")


def test_names_of_a_small_view_stand_apart_and_on_their_regions(page):
    view = brain(page, "middle")
    names = view.evaluate(
        """root => [...root.querySelectorAll(".labels span")].filter(one => getComputedStyle(one).visibility === "visible")
            .map(one => { const { x, y, width, height } = one.getBoundingClientRect(); return [x, y, width, height]; })"""
    )
    assert len(names) > 3
    for k, (x, y, w, h) in enumerate(names):
        for u, v, a, b in names[:k]:
            assert x >= u + a or u >= x + w or y >= v + b - 1 or v >= y + h - 1
    moved = view.evaluate(
        """root => {
            const v = root.ftv.view, all = v.labels.spans.filter(one => one.at), poses = v.stage.poses();
            return all.map(({ anchor, kind, at }) => {
                const p = poses.find(one => one.panel.kind === kind);
                const places = [anchor.flat, anchor.surface].filter(row => row >= 0)
                    .map(row => root.ftv.project(row).find(place => place.kind === kind));
                return p.panel.w < 340 ? Math.min(...places.map(place => Math.abs(place.y - at.y - at.h / 2))) : 0;
            });
        }"""
    )
    assert max(moved) < 1
