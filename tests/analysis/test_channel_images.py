"""Channel images, and colours like them, keep magnitude: what is weaker looks weaker, a blank picture stays blank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import factortopy as ft
from factortopy.analysis.channels import Stretch, channel_image, channel_values, main_directions
from factortopy.analysis.token_colours import token_colours
from factortopy.features.extraction import compute
from factortopy.stimuli.localizer import localizer
from factortopy.storage.home import assets_dir
from factortopy.surfaces.coordinates import Vertices
from factortopy.view import response_map
from factortopy.view.lab_maps import result_maps
from factortopy.view.maps import difference_map


def spread(image):
    """Root mean square over directions of the standard deviation over places."""
    return float(np.sqrt(np.mean(np.var(np.reshape(image, (-1, *image.shape[2:])), axis=0))))


@pytest.mark.parametrize("who", ["V1", "FFA", "one vertex"])
def test_a_blank_picture_stays_blank_among_others_and_alone(who):
    """Before, each picture was stretched to full colour by itself: a blank one had a spread of .29, as any other."""
    encoder = ft.Encoder.load(assets_dir() / "runs" / "demo-vit_demo-1")
    rows = int(np.flatnonzero(encoder.rois["V1"])[0]) if who == "one vertex" else encoder.rois[who]
    scene, grey = localizer(1)["scenes"][0], np.full((112, 112, 3), 128, np.uint8)
    alone = channel_image(encoder, grey, rows)
    assert np.abs(alone - 0.5).max() < 0.01 and spread(channel_image(encoder, scene, rows)) > 0.05
    faint = (128 + 0.1 * (scene.astype(float) - 128)).astype(np.uint8)  # a tenth of the contrast
    values = [channel_values(encoder, compute(encoder.backbone(), x, grid=None), rows) for x in (scene, faint, grey)]
    drawn = [Stretch.over(values, values[2])(x) for x in values]
    assert spread(drawn[2]) == 0 and 0 < spread(drawn[1]) < spread(drawn[0])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([(), (3,)]), st.integers(-6, 6), st.floats(0, 1))
def test_one_stretch_keeps_magnitude(seed, n, tail, power, weaker):
    """The same line for every picture and direction: what is weaker stays so, and units do not matter."""
    rng = np.random.default_rng(seed)
    blank, unit = rng.normal(size=(5, 4, *tail)), 10.0**power
    values = [blank + rng.normal(size=blank.shape) for _ in range(n)]
    values.append(blank + weaker * (values[0] - blank))
    stretch = Stretch.over(values, blank)
    drawn = [stretch(x) for x in values]
    assert all(x.min() >= 0 and x.max() <= 1 for x in drawn) and np.all(stretch(blank) == 0.5)
    for x, y in zip(values, drawn, strict=True):
        inside = np.abs(x - blank) < stretch.reach
        np.testing.assert_allclose(
            2 * stretch.reach * (y - 0.5)[inside], (x - blank)[inside], atol=1e-5 * stretch.reach
        )
    assert np.mean([np.abs(y - 0.5) < 0.5 for y in drawn]) >= 0.9
    assert (np.abs(drawn[-1] - 0.5) <= np.abs(drawn[0] - 0.5) + 1e-6).all()
    again = Stretch.over([unit * x for x in values], unit * blank)
    np.testing.assert_allclose(again(unit * values[0]), drawn[0], atol=1e-5)


def test_no_difference_is_no_colour():
    """Rounding is not drawn, whatever the level."""
    level = np.full((6, 6, 3), 7.0)
    assert np.all(
        Stretch.over([level + 1e-6 * np.random.default_rng(0).normal(size=level.shape)], level)(level + 1e-6) == 0.5
    )


def test_directions_are_as_long_as_they_are_strong():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(50, 8)) * [9, 3, 1, 0.1, 0.1, 0.1, 0.1, 0.1]
    directions, x = main_directions(weight), rng.normal(size=8)
    sizes = np.linalg.svd(weight, compute_uv=False)[:3] / 50**0.5
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), sizes)
    # Together they hold the root mean square of what the vertices answer, but for the weak rest.
    assert np.linalg.norm(directions @ x) == pytest.approx(np.sqrt(np.mean((weight @ x) ** 2)), rel=0.05)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.2))
def test_token_colours_of_a_picture_in_which_a_layer_tells_little_apart(seed, weaker):
    """Beside another picture; before, every layer of every picture was stretched to full colour."""
    rng = np.random.default_rng(seed)
    tokens = [5 + rng.normal(size=(6, 6, 8)) * [4, 2, 1, 1, 1, 1, 1, 1]]
    shares = []
    for faint in (tokens, [5 + (tokens[0] - 5) * weaker]):
        colours, _ = token_colours(faint, [tokens])
        shares.append(spread(colours[0].astype(float)))
    assert shares[1] <= shares[0] * (weaker + 0.05) + 1
    red, green, blue = (token_colours(tokens)[0][0][..., k].astype(float).std() for k in range(3))
    assert red >= green >= blue  # components as strong as they are


# ---------------------------------------------------------------- maps of responses on the brain


PLACES = Vertices(np.repeat([0, 1], 20), np.tile(np.arange(20) * 7, 2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(-7, -2))
def test_responses_that_are_next_to_nothing_are_pale(seed, power):
    """Responses of a blank picture, the difference of two alike pictures or runs, a lesion that changes nothing."""
    noise = np.random.default_rng(seed).normal(size=40) * 10.0**power
    for drawn in (response_map(noise, PLACES), difference_map(noise, 0 * noise, PLACES)):
        assert drawn.words["high"] >= 0.05 and drawn.words["low"] == -drawn.words["high"]
    (change,) = result_maps({"response change": noise}, PLACES)
    assert change.words["high"] >= 0.1


def test_a_lesion_and_its_random_control_have_one_scale():
    strong = np.linspace(-2, 2, 40)
    maps = result_maps({"response change": strong, "response change, random": 0.02 * strong}, PLACES)
    assert maps[0].words["high"] == maps[1].words["high"] >= 1.9
