"""Maps: known values at known vertices, what stays grey, bytes, words."""

import gzip
import json
import re

import numpy as np
import pytest
from synthetic import planted_layers, synthetic_brain

from factortopy import surfaces, view
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError
from factortopy.view import bundle, colour, geometry
from factortopy.view.brainmap import DARKEST, UNPAINTED
from factortopy.view.maps import GREY
from factortopy.view.message import message
from factortopy.view.options import ViewOptions
from factortopy.view.packing import pack, unpack

N = 10242
FOUR = surfaces.Vertices([0, 0, 1, 1], [3, 831, 0, 10241])
ROWS = [3, 831, N, 2 * N - 1]


def selectors(layer, scale=None, space=None):
    layer = np.asarray(layer, dtype=np.float32)
    n = len(layer)
    return Selectors(
        np.zeros((n, 2)) if space is None else np.asarray(space), layer,
        np.zeros(n) if scale is None else np.asarray(scale), np.ones((n, 3)),
    )  # fmt: skip


def test_layer_map_has_layer_as_hue_and_confidence_as_brightness():
    sel = selectors([[1, 0, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0]])
    made = view.layer_map(sel, FOUR, painted=[True, True, True, False])
    assert made.value[ROWS].tolist() == [0, 2, 0, UNPAINTED]
    assert made.alpha[ROWS].tolist() == [255, 255, 0, 255]
    assert np.isin(np.flatnonzero(made.painted), ROWS[:3]).all() and made.painted.sum() == 3
    assert made.title.endswith("3 of 4 vertices predicted")
    drawn = made.colours(np.full((2 * N, 3), 100, np.uint8))[ROWS]
    palette = colour.layers(3)
    np.testing.assert_array_equal(drawn[:2], palette[[0, 2]])
    np.testing.assert_allclose(drawn[2], palette[0] * DARKEST, atol=1)
    assert drawn[3].tolist() == [100, 100, 100]


def test_one_layer_is_certain():
    made = view.layer_map(selectors(np.ones((4, 1))), FOUR)
    assert made.value[ROWS].tolist() == [0] * 4 and (made.alpha[ROWS] == 255).all()
    assert made.words["names"] == ["layer 1 of 1"]


def test_brightness_follows_the_map_but_no_confidence_stays_dark():
    brain = synthetic_brain()
    sel = brain.selectors
    tops = {}
    for share in (0.1, 0.7):
        dim = Selectors(sel.space, share * sel.layer + (1 - share) / 12, sel.scale, sel.channel)
        made = view.layer_map(dim, brain.vertices)
        tops[share] = made.words["alpha"]["high"], int(made.alpha[made.painted].max())
        assert made.legend["side"]["high"].endswith("+")
    assert tops[0.7][1] > 200 and tops[0.7][0] < 1
    assert tops[0.1][0] == 0.2 and tops[0.1][1] < 100
    same = view.layer_map(dim, brain.vertices, confidence_top=1.0)
    assert same.words["alpha"]["high"] == 1.0 and same.alpha.max() < 255


def test_layer_weight_map_has_one_scale_for_all_layers():
    sel = selectors([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1], [1, 0]])
    maps = [view.layer_weight_map(sel, k, FOUR) for k in (0, 1)]
    assert [m.words["high"] for m in maps] == [1.0, 1.0]
    assert maps[0].value[ROWS].tolist() == [127, 64, 229, 254]
    assert maps[1].title.startswith("Weight of layer 2 of 2")


def test_confidence_and_weights_can_share_a_scale():
    sel = selectors([[1, 0], [0.5, 0.5], [0.75, 0.25], [1, 0]])
    made = view.confidence_map(sel, FOUR, high=0.5, painted=[True, True, True, False])
    assert made.value[ROWS].tolist() == [254, 0, round(254 * 2 * sel.layer_confidence[2]), UNPAINTED]
    assert made.words["high"] == 0.5 and view.confidence_map(sel, FOUR).words["high"] == 1.0
    assert view.layer_weight_map(sel, 1, FOUR, high=0.5).value[ROWS].tolist() == [0, 254, 127, 0]


def test_polar_angle_and_eccentricity_of_planted_places():
    space = [[1, 0], [0, -1], [-0.6, 0.8], [np.nan, 0]]  # right; up (y is down); left and down
    sel = selectors(np.ones((4, 2)) / 2, [0, 0.5, 1, 0], space)
    angle = view.polar_angle_map(sel, FOUR)
    degrees = np.array([0, 90, 180 + np.degrees(np.arctan2(0.8, 0.6))])
    np.testing.assert_allclose(angle.value[ROWS[:3]] / 254 * 360, degrees, atol=0.8)
    assert angle.legend["shape"] == "wheel" and angle.fade == "ground"
    far = view.eccentricity_map(sel, FOUR, image_degrees=8)
    np.testing.assert_allclose(far.value[ROWS[:3]] / 254 * 4, [4, 4, 4], atol=0.02)
    assert far.words["unit"] == "°" and view.eccentricity_map(sel, FOUR).words["high"] == 1.0
    for made in (angle, far):
        assert made.alpha[ROWS[:3]].tolist() == [255, 128, 0] and made.value[ROWS[3]] == UNPAINTED


def test_a_wrong_argument_is_refused_as_before():
    with pytest.raises(TypeError):
        view.layer_map(selectors(np.ones((4, 2)) / 2), FOUR, densty="10k")


def test_space_map_fades_with_scale_and_speaks_in_degrees():
    space = [[-1, -1], [1, 1], [0, 0.5], [np.nan, 0]]
    made = view.space_map(selectors(np.ones((4, 2)) / 2, [0, 1, 0.5, 0], space), FOUR, image_degrees=8.4)
    assert made.value[ROWS].tolist() == [[0, 0], [254, 254], [127, 190], [UNPAINTED, UNPAINTED]]
    assert made.alpha[ROWS[:3]].tolist() == [255, 0, 128]
    assert (made.words["low"], made.words["high"], made.words["unit"]) == (-4.2, 4.2, "°")
    ground = np.full((2 * N, 3), 90, np.uint8)
    drawn = made.colours(ground)[ROWS]
    np.testing.assert_array_equal(drawn[0], colour.square()[0, 0])  # top left
    np.testing.assert_array_equal(drawn[1], [90, 90, 90])  # global: gone
    np.testing.assert_array_equal(drawn[3], [90, 90, 90])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_stay_grey(bad):
    made = view.value_map([0.0, 1.0, bad, 0.5], FOUR, name="x", low=0, high=1)
    assert made.value[ROWS].tolist() == [0, 254, UNPAINTED, 127]


def test_nothing_known_is_words_not_an_error():
    nothing = np.full(4, np.nan)
    for made in (
        view.value_map(nothing, FOUR, name="x"),
        view.response_map(nothing, FOUR),
        view.score_map(nothing, FOUR),
        view.layer_map(selectors(np.ones((4, 3)) / 3), FOUR, painted=np.zeros(4, bool)),
    ):
        assert not made.painted.any()
        message([made], ViewOptions())
    assert "none of 4 vertices is predicted above chance" in made.title


def test_responses_are_symmetric_about_zero():
    made = view.response_map([-1.0, 0.0, 2.0, 0.5], FOUR)
    assert made.words["low"] == -made.words["high"]
    assert made.value[ROWS[1]] == 127
    middle = made.colours(np.zeros((2 * N, 3), np.uint8))[ROWS[1]]
    np.testing.assert_array_equal(middle, colour.diverging()[127])
    assert made.legend["ticks"][1] == [0.5, "0"]


def test_difference_names_its_sides():
    made = view.difference_map([1, 2, 3, 4], [4, 3, 2, 1], FOUR, names=("photo A", "photo B"))
    assert made.legend["low"] == "more: photo B" and made.title.startswith("photo A minus photo B")
    assert made.value[ROWS[0]] == 0 and made.value[ROWS[3]] == 254


def test_clusters_and_regions():
    made = view.cluster_map([0, 2, -1, 1], FOUR)
    assert made.value[ROWS].tolist() == [0, 2, UNPAINTED, 1]
    np.testing.assert_array_equal(made.palette, colour.categories(3))
    # The smaller of two overlapping regions is shown.
    made = view.roi_map({"early": [1, 1, 1, 0], "V1": [1, 0, 0, 0]}, FOUR)
    assert made.value[ROWS].tolist() == [1, 0, 0, UNPAINTED]
    with pytest.raises(InputError, match="at most 254"):
        view.cluster_map([300, 0, 0, 0], FOUR)


def test_angles_go_round():
    made = view.angle_map([0.0, 90.0, 360.0, -90.0], FOUR)
    drawn = made.colours(np.zeros((2 * N, 3), np.uint8))[ROWS].astype(int)
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert made.value[ROWS[3]] == 190 and made.legend["shape"] == "wheel"


def test_threshold_counts():
    score = FOUR.whole([0.0, 0.2, np.nan, 1.0])
    made = view.value_map([1, 1, 1, 1], FOUR, name="x", low=0, high=1)
    assert made.shown().sum() == 4
    assert made.shown(score, 0.1)[ROWS].tolist() == [False, True, False, True]
    assert made.shown(score, None).sum() == 4


def test_wrong_vertices_are_named():
    with pytest.raises(InputError, match="0 to 10,241.*found 163841"):
        view.value_map([1.0, 2.0], surfaces.Vertices([0, 0], [3, 163841]), name="x")
    with pytest.raises(ValueError, match="3 values for 4 vertices"):
        FOUR.whole([1, 2, 3])


# ---------------------------------------------------------------- the message to the browser


def test_message_holds_the_bytes_and_words_and_is_small():
    brain = synthetic_brain()
    vertices = brain.vertices
    maps = view.selector_maps(
        brain.selectors, vertices, painted=brain.painted, score=brain.score, clusters=brain.clusters
    )
    rois = vertices.roi_rows(brain.rois)
    score = vertices.whole(brain.score)
    data = message(maps, ViewOptions(rois=rois, score=score, threshold=0.2, simulated=True, selected=831))
    header, arrays = unpack(data)
    assert header["simulated"] is True and header["selected"] == 831 and header["threshold"] == 0.2
    assert [m["name"] for m in header["maps"]][:3] == ["Layer", "Layer 1", "Layer 2"]
    n = brain.painted.sum()
    assert len(arrays["support"]) == n and arrays["map0"].size == 2 * n
    space = next(k for k, m in enumerate(header["maps"]) if m["name"] == "Space")
    assert arrays[f"map{space}"].size == 3 * n
    # The budget: 3 bytes a vertex and map, the score once; palettes and words are a few kilobytes a map.
    assert max(arrays[f"map{k}"].size for k in range(len(maps))) <= 3 * 2 * N
    assert len(data) < len(maps) * (3 * n + 4_500) + 40_000
    assert header["rois"] == list(brain.rois)
    v1 = arrays["roiVertices"][arrays["roiOffsets"][0] : arrays["roiOffsets"][1]]
    np.testing.assert_array_equal(v1, rois["V1"])
    assert header["maps"][0]["legend"]["note"] == GREY


def test_a_whole_mesh_map_takes_at_most_three_bytes_a_vertex():
    vertices = surfaces.Vertices.of_mesh()
    sel = Selectors(np.zeros((2 * N, 2)), np.full((2 * N, 2), 0.5), np.full(2 * N, 0.5), np.ones((2 * N, 1)))
    one, two = ([view.layer_map(sel, vertices)] + [view.space_map(sel, vertices)] * k for k in (0, 1))
    each = len(message(two, ViewOptions())) - len(message(one, ViewOptions()))
    assert each < 3 * 2 * N + 5_000


def test_message_changes_its_stamp_with_its_content_only():
    brain = planted_layers()
    made = view.layer_map(brain.selectors, brain.vertices)
    other = view.layer_map(planted_layers(1).selectors, brain.vertices)
    stamp = lambda maps, **rest: unpack(message(maps, ViewOptions(**rest)))[0]["stamp"]  # noqa: E731
    assert stamp([made]) == stamp([made])
    assert stamp([made]) != stamp([other])
    assert stamp([made]) != stamp([made], selected=3)
    score = brain.vertices.whole(brain.score)
    assert stamp([made], score=score) != stamp([made], score=score**2)


def test_an_option_that_does_not_exist_is_named():
    made = view.value_map([1.0, 2, 3, 4], FOUR, name="x")
    with pytest.raises(TypeError, match=r"no option 'lables' \(is it labels\?\); the options are key, group, rois"):
        view.brain_view(made, key="brain", lables=False)
    with pytest.raises(TypeError, match="'key'"):
        view.brain_view(made)


def test_numbers_of_numpy_are_options():
    made = view.value_map([1.0, 2, 3, 4], FOUR, name="x")
    options = ViewOptions(selected=np.int64(3), threshold=np.float32(0.5), simulated=np.bool_(True), report=("map",))
    header, _ = unpack(message([made], options))
    assert [header[name] for name in ("selected", "threshold", "simulated", "report")] == [3, 0.5, True, ["map"]]


def test_pack_and_unpack():
    arrays = {"a": np.arange(5, dtype=np.uint8), "b": np.arange(3, dtype=np.uint32), "c": np.array([0.5], np.float32)}
    header, back = unpack(pack({"word": "ä <b>"}, arrays))
    assert header["word"] == "ä <b>"
    for name, values in arrays.items():
        np.testing.assert_array_equal(back[name], values)
    with pytest.raises(TypeError, match="int64"):
        pack({}, {"a": np.arange(3)})
    with pytest.raises(ValueError):
        pack({"x": float("nan")}, {})


# ---------------------------------------------------------------- the browser's script


def test_the_script_holds_every_module_once():
    text = bundle.script()
    names = {path.name for path in geometry.ASSETS.glob("*.js")} - {"save.js"}  # which is a component of its own
    assert names == set(re.findall(r'^modules\["([\w.]+)"\] = ', text, re.MULTILINE)) and len(names) > 10
    assert re.findall(r"^(?:import|export)\b.*", text, re.MULTILINE) == ['export default modules["brain.js"].default;']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('import "./brain.js";\n', "cannot be put into one script"),
        ('import { a } from "elsewhere";\n', "cannot be put into one script"),
        ("let a = 1;\nexport { a };\n", "cannot be put into one script"),
        ('import { a } from "./brain.js";\nexport const b = a;\n', "imports itself"),
    ],
)
def test_a_module_that_cannot_be_joined_is_refused(tmp_path, monkeypatch, text, said):
    (tmp_path / "brain.js").write_text(text)
    monkeypatch.setattr(bundle, "ASSETS", tmp_path)
    with pytest.raises(ValueError, match=said):
        bundle.script.__wrapped__()


# ---------------------------------------------------------------- geometry


def test_shipped_geometry_is_that_of_the_mesh():
    mesh = surfaces.load_mesh()
    data = (geometry.ASSETS / geometry.asset_name()).read_bytes()
    assert data == geometry.build(mesh)
    assert len(data) < 2_000_000 and gzip.decompress(geometry.built("10k").read_bytes()) == data
    header, arrays = unpack(data)
    codes = arrays["positions"].reshape(4, 2 * mesh.n, 3)
    places = geometry.arranged(mesh)
    for k, kind in enumerate(geometry.KINDS):
        back = np.array(header["low"][k]) + codes[k] * np.array(header["step"][k])
        np.testing.assert_allclose(back, places[kind], atol=0.01)
    assert arrays["faces"].size == 3 * (len(mesh.faces) + len(mesh.flat_faces))


@pytest.mark.parametrize("kind", geometry.KINDS)
def test_hemispheres_lie_apart_left_on_the_left(kind):
    mesh = surfaces.load_mesh()
    x = geometry.arranged(mesh)[kind][:, 0]
    used = np.isin(np.arange(2 * mesh.n), mesh.flat_faces) if kind == "flat" else np.ones(2 * mesh.n, bool)
    assert x[: mesh.n][used[: mesh.n]].max() < 0 < x[mesh.n :][used[mesh.n :]].min()


# ---------------------------------------------------------------- inside Streamlit without a browser


def test_brain_view_in_a_script_that_nobody_looks_at():
    from streamlit.testing.v1 import AppTest

    def script():
        import streamlit as st
        from synthetic import planted_layers

        from factortopy import view

        brain = planted_layers()
        made = view.layer_map(brain.selectors, brain.vertices)
        rois = brain.vertices.roi_rows(brain.rois)
        seen = view.brain_view(made, key="brain", rois=rois, selected=831)
        st.text(repr(seen))

    app = AppTest.from_function(script, default_timeout=60).run()
    assert not app.exception
    assert app.text[0].value == "Seen(vertex=831, map=None, threshold=None, roi=None, camera=None)"


def test_importing_the_package_leaves_streamlit_alone():
    import subprocess
    import sys

    code = "import sys, factortopy.view; sys.exit('streamlit' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_json_of_every_map_is_plain():
    brain = synthetic_brain()
    vertices = brain.vertices
    for made in [*view.selector_maps(brain.selectors, vertices, score=brain.score), view.roi_map(brain.rois, vertices)]:
        json.dumps([made.legend, made.words], allow_nan=False)
