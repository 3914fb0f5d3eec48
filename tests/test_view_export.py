"""Exported maps, read again with nibabel and Pillow."""

import nibabel
import numpy as np
import pytest
from PIL import Image
from synthetic import planted_layers, synthetic_brain

from factortopy import surfaces, view
from factortopy.errors import InputError
from factortopy.view import colour, export

N = 10242


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    brain = planted_layers()
    out = tmp_path_factory.mktemp("maps")
    paths = export.export_maps(
        out, brain.selectors, brain.score, brain.painted, brain.hemi, brain.vertex, "10k", True, "planted", brain.rois
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
    here = brain.hemi == side
    expected = np.zeros(N, dtype=int)
    expected[brain.vertex[here]] = np.where(brain.painted, brain.layer + 1, 0)[here]
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
    here = brain.hemi == side
    for kind, values in (("scale", brain.selectors.scale), ("confidence", np.ones(len(brain.layer)))):
        data = nibabel.load(out / f"hemi-{letter}_{kind}.func.gii").darrays[0].data
        assert data.shape == (N,)
        expected = np.full(N, np.nan)
        expected[brain.vertex[here]] = np.where(brain.painted, values, np.nan)[here]
        np.testing.assert_allclose(data, expected, atol=1e-6)
    score = nibabel.load(out / f"hemi-{letter}_score.func.gii").darrays[0].data
    np.testing.assert_allclose(score[brain.vertex[here]], brain.score[here], atol=1e-6)  # unpainted ones too
    x, y = nibabel.load(out / f"hemi-{letter}_space.func.gii").darrays
    first = np.flatnonzero(here & brain.painted)[0]
    assert x.data[brain.vertex[first]] == pytest.approx(brain.selectors.space[first, 0])
    assert y.data[brain.vertex[first]] == pytest.approx(brain.selectors.space[first, 1])
    assert x.meta["Name"].startswith("x")


def test_the_picture_has_the_maps_colours_and_says_what_it_is(tmp_path):
    brain = planted_layers()
    made = view.layer_map(brain.selectors, brain.hemi, brain.vertex, painted=brain.painted)
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
    at = {"hemi": brain.hemi, "vertex": brain.vertex}
    nasty = {r"$\frac{1}{$ <img>": brain.rois["V1"]}
    for k, made in enumerate([
        view.roi_map({**brain.rois, **nasty}, **at), view.angle_map(360 * brain.score, **at),
        view.response_map(brain.response, **at), view.space_map(brain.selectors, **at),
    ]):  # fmt: skip
        export.flat_png(made, tmp_path / f"{k}.png", rois=view.whole_rois(nasty, **at), dpi=60, part="whole")
        assert (tmp_path / f"{k}.png").stat().st_size > 10_000


def test_nothing_painted_is_still_a_picture(tmp_path):
    made = view.value_map([np.nan], [0], [831], name="x")
    assert export.flat_png(made, tmp_path / "x.png", dpi=60).stat().st_size > 5_000


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    made = view.value_map([1.0], [0], [831], name="x", low=0, high=1)
    with pytest.raises(InputError, match="could not be written"):
        export.flat_png(made, tmp_path / "missing" / "x.png", dpi=60)


def test_outlines_run_between_members_and_others():
    mesh = surfaces.load_mesh()
    brain = planted_layers()
    inside = np.zeros(2 * N, dtype=bool)
    inside[brain.rows[brain.rois["V1"]]] = True
    ends = export.segments(mesh.faces, inside)
    assert len(ends) > 50
    # Each end lies on an edge with one corner inside; both edges leave the same corner.
    assert (inside[ends[:, 0]] != inside[ends[:, 1]]).all() and (inside[ends[:, 2]] != inside[ends[:, 3]]).all()
    np.testing.assert_array_equal(ends[:, 0], ends[:, 2])
    assert len(export.segments(mesh.faces, np.zeros(2 * N, bool))) == 0
    places = export.name_places(mesh.coords["inflated"], np.flatnonzero(inside), N)
    assert len(places) == 2 and inside[places].all() and places[0] < N <= places[1]
