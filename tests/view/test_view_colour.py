"""Palettes: order, even steps, colour blindness, stability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.view import colour

# Machado, Oliveira and Fernandes 2009, full deficiency, on linear RGB.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen_with(deficiency, palette):
    """OKLab of a palette as people with a colour deficiency see it."""
    rgb = palette / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return colour.oklab_from_srgb(rgb)


def steps(lab):
    return np.linalg.norm(np.diff(lab, axis=0), axis=1)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_oklab_there_and_back(r, g, b):
    rgb = np.array([r, g, b], dtype=np.uint8)
    back = colour.srgb_from_oklab(colour.oklab_from_srgb(rgb)) * 255
    np.testing.assert_allclose(back, rgb, atol=0.05)


def test_oklab_of_known_colours():
    # Ottosson's own table: white and pure red.
    np.testing.assert_allclose(colour.oklab_from_srgb(np.array([255, 255, 255], np.uint8)), [1, 0, 0], atol=1e-3)
    red = colour.oklab_from_srgb(np.array([255, 0, 0], np.uint8))
    np.testing.assert_allclose(red, [0.628, 0.225, 0.126], atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 12, 24, 40])
@pytest.mark.parametrize("safe", [False, True])
def test_layers_are_distinct_in_even_steps(n, safe):
    palette = colour.layers(n, safe)
    assert palette.shape == (n, 3) and palette.dtype == np.uint8
    assert len(np.unique(palette, axis=0)) == n
    if n > 2:
        # Even along the path; the straight distance of neighbours varies a little with its bends.
        assert steps(colour.oklab_from_srgb(palette)).std() < 0.25 * steps(colour.oklab_from_srgb(palette)).mean()


def test_standard_layers_leave_brightness_free_for_confidence():
    lightness = colour.oklab_from_srgb(colour.layers(12))[:, 0]
    assert np.ptp(lightness) < 0.2


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_safe_layers_stay_in_order_for_colour_blind_people(deficiency):
    lightness = seen_with(deficiency, colour.layers(12, safe=True))[:, 0]
    assert (np.diff(lightness) > 0.01).all()


@pytest.mark.parametrize("name", ["blue-red", "brown-purple"])
def test_diverging_maps_are_pale_in_the_middle_and_alike_in_strength_at_both_ends(name):
    lab = colour.oklab_from_srgb(colour.diverging(name))
    assert lab[:, 0].argmax() == len(lab) // 2
    assert abs(lab[0, 0] - lab[-1, 0]) < 0.2
    assert np.linalg.norm(lab[0, 1:] - lab[-1, 1:]) > 0.15


@pytest.mark.parametrize("name", ["viridis", "inferno"])
def test_sequential_maps_grow_lighter(name):
    assert (np.diff(colour.oklab_from_srgb(colour.sequential(name))[:, 0]) > -1e-3).all()


def test_cyclic_map_closes():
    lab = colour.oklab_from_srgb(colour.cyclic(254))
    assert np.linalg.norm(lab[0] - lab[-1]) < 1.5 * steps(lab).max()


def test_square_tells_the_quadrants_apart_and_left_from_right_for_everyone():
    square = colour.square(32)
    corners = square[[0, 0, -1, -1], [0, -1, 0, -1]]
    lab = colour.oklab_from_srgb(corners)
    assert min(np.linalg.norm(a - b) for i, a in enumerate(lab) for b in lab[:i]) > 0.12
    for deficiency in ("protan", "deutan"):
        left, right = seen_with(deficiency, square[16, [0, -1]])
        assert np.linalg.norm(left - right) > 0.12


def farthest_colours(n):
    """(n, 3) colours chosen one after the other, each farthest from those before, from the grounds and from black."""
    lightness, chroma, hue = np.meshgrid(np.linspace(0.45, 0.9, 10), [0.09, 0.13, 0.18], np.arange(0, 360, 6))
    pool = colour._polar(lightness.ravel(), chroma.ravel(), hue.ravel())
    pool = pool[colour._shown(pool)]
    taken = np.array([[0.4, 0, 0], [0.55, 0, 0], [0.7, 0, 0], [0.2, 0, 0]])
    chosen = []
    for k in range(n):
        distance = np.linalg.norm(pool[:, None] - np.concatenate([taken, *[c[None] for c in chosen]])[None], axis=2)
        first = np.argmin(np.linalg.norm(pool - colour._polar(0.62, 0.17, 258), axis=1))  # a blue, arbitrary but fixed
        chosen.append(pool[distance.min(1).argmax() if k else first])
    return colour._to_bytes(colour.srgb_from_oklab(np.array(chosen)))


def test_categories_are_stable_and_far_apart():
    many = colour.categories(50)
    np.testing.assert_array_equal(many[:20], colour.categories(20))  # a cluster keeps its colour
    np.testing.assert_array_equal(many, farthest_colours(50))  # the constant is what the recipe gives
    lab = colour.oklab_from_srgb(many[:20])
    assert min(np.linalg.norm(a - b) for i, a in enumerate(lab) for b in lab[:i]) > 0.08
    np.testing.assert_array_equal(colour.categories(60)[50:], many[:10])
