"""Exported maps, read again with nibabel and Pillow."""

from xml.etree import ElementTree

import nibabel
import numpy as np
import pytest
from browser import click_at, project
from PIL import Image
from synthetic import planted_layers, synthetic_brain

from factortopy import export, surfaces, view
from factortopy.cli.main import main
from factortopy.errors import InputError
from factortopy.export import charts
from factortopy.view import cells, colour, surface_picture
from factortopy.view.outlines import name_places, segments

N = 10242


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    brain = planted_layers()
    out = tmp_path_factory.mktemp("maps")
    paths = export.export_maps(
        out, brain.selectors, brain.score, brain.painted, brain.vertices, True, "planted", brain.rois
    )
    return brain, out, paths


def test_the_files_of_the_contract_are_there(exported):
    _, out, paths = exported
    names = {path.name for path in paths}
    kinds = [f"{kind}.func.gii" for kind in ("confidence", "scale", "score", "space")] + ["layer.label.gii"]
    assert {f"hemi-{side}_{kind}" for side in "LR" for kind in kinds} <= names
    pictures = [name for name in names if name.endswith(".png")]
    assert len(pictures) == 4 and all("simulated" in name for name in pictures)
    assert names == {path.name for path in out.iterdir()}  # no temporary files are left


@pytest.mark.parametrize(("side", "letter"), [(0, "L"), (1, "R")])
def test_labels_are_layers_plus_one(exported, side, letter):
    brain, out, _ = exported
    image = nibabel.load(out / f"hemi-{letter}_layer.label.gii")
    labels = image.darrays[0].data
    assert labels.shape == (N,) and labels.dtype == np.int32
    here = brain.vertices.hemi == side
    expected = np.zeros(N, dtype=int)
    expected[brain.vertices.vertex[here]] = np.where(brain.painted, brain.layer + 1, 0)[here]
    np.testing.assert_array_equal(labels, expected)
    names = image.labeltable.get_labels_as_dict()
    assert names[0] == "unpainted" and names[3] == "layer 3 of 12" and len(names) == 13
    third = next(label for label in image.labeltable.labels if label.key == 3)
    np.testing.assert_allclose(np.array(third.rgba[:3]) * 255, colour.layers(12)[2], atol=0.5)
    assert image.meta["Data"] == "simulated"
    assert image.meta["AnatomicalStructurePrimary"] == ("CortexLeft", "CortexRight")[side]


@pytest.mark.parametrize(("side", "letter"), [(0, "L"), (1, "R")])
def test_functions_hold_the_values_of_painted_vertices(exported, side, letter):
    brain, out, _ = exported
    here = brain.vertices.hemi == side
    for kind, values in (("scale", brain.selectors.scale), ("confidence", np.ones(len(brain.layer)))):
        data = nibabel.load(out / f"hemi-{letter}_{kind}.func.gii").darrays[0].data
        assert data.shape == (N,)
        expected = np.full(N, np.nan)
        expected[brain.vertices.vertex[here]] = np.where(brain.painted, values, np.nan)[here]
        np.testing.assert_allclose(data, expected, atol=1e-6)
    score = nibabel.load(out / f"hemi-{letter}_score.func.gii").darrays[0].data
    np.testing.assert_allclose(score[brain.vertices.vertex[here]], brain.score[here], atol=1e-6)  # unpainted ones too
    x, y = nibabel.load(out / f"hemi-{letter}_space.func.gii").darrays
    first = np.flatnonzero(here & brain.painted)[0]
    assert x.data[brain.vertices.vertex[first]] == pytest.approx(brain.selectors.space[first, 0])
    assert y.data[brain.vertices.vertex[first]] == pytest.approx(brain.selectors.space[first, 1])
    assert x.meta["Name"].startswith("x")


def test_the_picture_has_the_maps_colours_and_says_what_it_is(tmp_path):
    brain = planted_layers()
    made = view.layer_map(brain.selectors, brain.vertices, painted=brain.painted)
    path = export.flat_png(made, tmp_path / "map_simulated.png", simulated=True)
    with Image.open(path) as image:
        assert image.text["Comment"] == "simulated" and image.text["Title"] == made.title
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert pixels.shape[0] > 700 * 700
    # The areas' colours cover some ten-thousandths of the picture each; the badge is there.
    for k in (0, 4, 8):
        close = np.abs(pixels.astype(int) - colour.layers(12)[k]).max(1) <= 2
        assert close.mean() > 3e-4
    assert (np.abs(pixels.astype(int) - (240, 180, 41)).max(1) <= 2).sum() > 1000
    plain = export.flat_png(made, tmp_path / "map.png", simulated=False)
    with Image.open(plain) as image:
        assert image.text["Comment"] == "measured"
        assert (np.abs(np.asarray(image.convert("RGB")).astype(int) - (240, 180, 41)).max(-1) <= 2).sum() < 50


def test_every_legend_can_be_drawn_and_names_are_text(tmp_path):
    brain = synthetic_brain()
    vertices = brain.vertices
    nasty = {r"$\frac{1}{$ <img>": brain.rois["V1"]}
    for k, made in enumerate([
        view.roi_map({**brain.rois, **nasty}, vertices), view.angle_map(360 * brain.score, vertices),
        view.response_map(brain.response, vertices), view.space_map(brain.selectors, vertices),
    ]):  # fmt: skip
        export.flat_png(made, tmp_path / f"{k}.png", rois=vertices.roi_rows(nasty), dpi=60, part="whole")
        assert (tmp_path / f"{k}.png").stat().st_size > 10_000


def test_nothing_painted_is_still_a_picture(tmp_path):
    made = view.value_map([np.nan], surfaces.Vertices([0], [831]), name="x")
    assert export.flat_png(made, tmp_path / "x.png", dpi=60).stat().st_size > 5_000


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    made = view.value_map([1.0], surfaces.Vertices([0], [831]), name="x", low=0, high=1)
    with pytest.raises(InputError, match="could not be written"):
        export.flat_png(made, tmp_path / "missing" / "x.png", dpi=60)


def test_outlines_run_between_members_and_others():
    mesh = surfaces.load_mesh()
    brain = planted_layers()
    inside = np.zeros(2 * N, dtype=bool)
    inside[brain.vertices.rows[brain.rois["V1"]]] = True
    ends = segments(mesh.faces, inside)
    assert len(ends) > 50
    # Each end lies on an edge with one corner inside; both edges leave the same corner.
    assert (inside[ends[:, 0]] != inside[ends[:, 1]]).all() and (inside[ends[:, 2]] != inside[ends[:, 3]]).all()
    np.testing.assert_array_equal(ends[:, 0], ends[:, 2])
    assert len(segments(mesh.faces, np.zeros(2 * N, bool))) == 0
    places = name_places(mesh.coords["inflated"], np.flatnonzero(inside), N)
    assert len(places) == 2 and inside[places].all() and places[0] < N <= places[1]


# ---------------------------------------------------------------- drawings, surfaces, films, the page


def layers(**options):
    brain = planted_layers()
    return brain, view.layer_map(brain.selectors, brain.vertices, painted=brain.painted, **options)


def test_the_drawing_has_every_colour_and_names_as_text(tmp_path):
    brain, made = layers(context="<img src=x onerror=alert(1)> & $x$")
    names = {"<b>V1</b>": brain.rois["V1"], "$a_b$": brain.rois["EBA"]}
    rois = brain.vertices.roi_rows(names)
    path = export.flat_svg(made, tmp_path / "map.svg", rois=rois, simulated=True)
    assert path.stat().st_size < 3e6
    root = ElementTree.parse(path).getroot()
    words = "".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for said in ("simulated", made.title, "<b>V1</b>", "$a_b$", "confidence"):
        assert said in words
    assert not [node for node in root.iter() if node.tag.endswith(("}img", "}script", "}b"))]
    drawn = path.read_text()
    for k in (0, 4, 8):
        assert "#{:02x}{:02x}{:02x}".format(*colour.layers(12)[k]) in drawn
    assert drawn == export.flat_svg(made, tmp_path / "again.svg", rois=rois, simulated=True).read_text()


def test_shapes_merged_by_colour_cover_what_their_cells_cover():
    mesh = surfaces.load_mesh()
    faces = mesh.flat_faces[mesh.flat_faces[:, 0] < N]
    quads, edges = cells.cells(faces)
    place = cells.node_values(mesh.coords["flat"][:, :2].astype(float), faces, edges)

    def area(loop):
        x, y = np.moveaxis(place[loop], -1, 0)
        return float((x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1)).sum() / 2)

    group = quads[:, 0] % 5
    merged = cells.outlines(quads, group)
    for k in range(5):
        assert sum(map(area, merged[k])) == pytest.approx(area(quads[group == k]), rel=1e-6)
    assert sum(map(len, (loop for loops in merged.values() for loop in loops))) < 0.8 * quads.size
    (border,) = cells.outlines(quads, np.zeros(len(quads), int)).values()
    assert sum(map(len, border)) < 0.1 * quads.size


def test_the_surface_has_the_maps_colours_where_they_are(tmp_path):
    brain, made = layers()
    rois = brain.vertices.roi_rows(brain.rois)
    path = export.surface_png(
        made, tmp_path / "s.png", rois=rois, simulated=True, views=("posterior",), width=4.0, dpi=100
    )
    with Image.open(path) as image:
        assert image.text["Comment"] == "simulated" and image.width == 400
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # V1 (layer 1) meets the middle of the back of the brain; light changes brightness, hardly the hue.
    hue = pixels / np.maximum(pixels.max(-1, keepdims=True), 1)
    first = colour.layers(12)[0] / colour.layers(12)[0].max()
    brain_part = slice(55, pixels.shape[0] - 135)
    where = np.argwhere(np.abs(hue[brain_part] - first).max(-1) < 0.06)
    assert len(where) > 200 and abs(where[:, 1].mean() - 200) < 40
    grey = np.ptp(pixels[brain_part], axis=-1) < 12
    assert 0.2 < (grey & (pixels[brain_part].max(-1) < 235)).mean() < 0.9  # the rest of the cortex, on white


def test_wrong_wishes_and_a_machine_without_graphics_are_said(tmp_path, monkeypatch):
    _, made = layers()
    with pytest.raises(InputError, match="lateral left"):
        export.surface_png(made, tmp_path / "s.png", views=("behind",))
    with pytest.raises(InputError, match="megapixels"):
        export.surface_png(made, tmp_path / "s.png", width=40, dpi=1200)
    with pytest.raises(InputError, match="inflated, white or pial"):
        export.surface_png(made, tmp_path / "s.png", shape="sphere")
    with pytest.raises(InputError, match=r"\.gif or \.mp4"):
        export.turntable(made, tmp_path / "s.avi")
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkNoSuchWindow")
    monkeypatch.setenv("LIBGL_DRIVERS_PATH", str(tmp_path))
    monkeypatch.setattr(surface_picture.sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="VTK cannot draw .*install Mesa") as caught:
        export.surface_png(made, tmp_path / "s.png", views=("posterior",))
    assert "\n" not in str(caught.value) and not (tmp_path / "s.png").exists()


def test_films_turn(tmp_path):
    _, made = layers()
    path = export.turntable(made, tmp_path / "t.gif", simulated=True, width=240, frames=4, seconds=1)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.size[0] == 240 and film.info["loop"] == 0
        shots = []
        for k in range(4):
            film.seek(k)
            shots.append(np.asarray(film.convert("RGB")).astype(int))
    assert all((np.abs(shots[0] - other).max(-1) > 30).mean() > 0.02 for other in shots[1:])
    again = export.turntable(made, tmp_path / "t.mp4", width=240, frames=4, seconds=1)
    av = pytest.importorskip("av")
    with av.open(str(again)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 4


def test_charts_hold_their_numbers_as_text(tmp_path):
    brain = planted_layers()
    rows = [{"roi": "$V_1$ <b>", "score": 0.5, "ceiling": 0.7}, {"roi": "all", "score": 0.2, "ceiling": None}]
    path = charts.score_chart(tmp_path / "a.svg", rows, "Scores", True)
    words = "".join(ElementTree.parse(path).getroot().itertext())
    assert "$V_1$ <b>" in words and "simulated" in words
    path = charts.layer_chart(tmp_path / "b.svg", brain.selectors, brain.rois, brain.painted, "Layers", False)
    words = "".join(ElementTree.parse(path).getroot().itertext())
    assert "V1 (" in words and "simulated" not in words
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        charts.score_chart(tmp_path / "a.pdf", rows, "Scores", True)


def test_the_page_paints_picks_and_switches_without_network(tmp_path, browser):
    brain = planted_layers()
    nasty = "<img src=x onerror=alert(1)></script>"
    vertices = brain.vertices
    made = view.selector_maps(brain.selectors, vertices, painted=brain.painted, score=brain.score, context=nasty)
    rois = vertices.roi_rows({nasty if k == "V1" else k: v for k, v in brain.rois.items()})
    score = vertices.whole(brain.score)
    path = export.view_html(made, tmp_path / "v.html", rois=rois, score=score, simulated=True, note=nasty)
    assert path.stat().st_size < 3e6
    context = browser.new_context(offline=True, viewport={"width": 1100, "height": 700})
    page, told = context.new_page(), []
    page.on("dialog", lambda dialog: told.append(dialog.message))
    page.on("pageerror", lambda error: told.append(str(error)[:300]))
    page.on(
        "request", lambda request: told.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(path.as_uri())
    page.wait_for_selector('[data-testid=brain-view]:not([data-painted="0"])', timeout=30_000)
    seen = page.get_by_test_id("brain-view")
    assert (
        nasty in seen.inner_text() and nasty in page.locator("footer").inner_text() and page.locator("img").count() == 0
    )
    assert seen.locator(".badge").is_visible()
    row = int(brain.vertices.rows[brain.rois["V1"]][np.argmax(brain.score[brain.rois["V1"]])])
    place = project(seen, row, "flat")
    click_at(page, seen, place["x"], place["y"])
    page.wait_for_selector(f'[data-testid=brain-view][data-vertex="{row}"]', timeout=10_000)
    before = seen.locator(".title").inner_text()
    seen.get_by_role("button", name="Scale", exact=True).click()
    page.wait_for_selector('[data-testid=brain-view]:not([data-painted="1"])', timeout=10_000)
    assert "detail or the whole picture" in seen.locator(".title").inner_text() != before
    assert told == []
    context.close()


def test_a_finer_surface_opens_from_the_page_and_says_that_it_is_a_preview(tmp_path, browser):
    n = surfaces.load_mesh("41k").n
    made = view.value_map(np.arange(n) / n, surfaces.Vertices(np.zeros(n), np.arange(n), "41k"), name="x")
    words = "".join(ElementTree.parse(export.flat_svg(made, tmp_path / "x.svg")).getroot().itertext())
    assert "preview surface" in words
    assert "preview surface" not in export.flat_svg(
        view.value_map([1.0], surfaces.Vertices([0], [831]), name="x", low=0, high=1), tmp_path / "y.svg"
    ).read_text(encoding="utf-8")
    path = export.view_html(made, tmp_path / "v.html", density="41k")
    assert path.stat().st_size < 8e6
    context = browser.new_context(offline=True, viewport={"width": 1100, "height": 700})
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector('[data-testid=brain-view]:not([data-painted="0"])', timeout=30_000)
    seen = page.get_by_test_id("brain-view")
    assert seen.evaluate("root => root.ftv.view.drawing.geometry.n") == n
    assert "preview surface" in seen.locator(".title").inner_text()
    context.close()


def test_names_do_not_cover_each_other():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from factortopy.view.names import write_names

    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_axes([0, 0, 1, 1])
    axes.set(xlim=(0, 40), ylim=(0, 30))
    crowd = [(20, 15, f"area {k}", k, k) for k in range(8)]
    written = write_names(axes, [*crowd, (5, 5, "$far$", 1, 9), (-20, 5, "outside", 99, 10)], 8)
    assert written == [
        "area 7",
        "area 6",
        "area 5",
        "area 4",
        "area 3",
        "$far$",
    ]  # five lines in one place, larger first
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_the_verb_writes_what_is_asked(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", "demo-vit_demo-1", "--out", str(out), "--what", "html,gifti,run"]) == 0
    names = {path.name for path in out.iterdir()}
    assert {"viewer_simulated.html", "hemi-L_layer.label.gii", "demo-vit_demo-1_simulated.factortopy.zip"} <= names
    assert len(capsys.readouterr().out.splitlines()) == len(names) == 12
    assert main(["export", "demo-vit_demo-1", "--out", str(out), "--what", "png,pdf"]) == 2
    assert "found pdf" in capsys.readouterr().err
