"""The hierarchy slope: planted lines come back, what has none is said."""

import numpy as np
import pytest

import factortopy as ft
from factortopy import analysis
from factortopy.errors import InputError


def layers_at(place, n_layers=13):
    """(N, L) weights whose mean place is ``place`` (0 first … 1 last layer), split over two layers."""
    at = np.asarray(place, float) * (n_layers - 1)
    low = np.minimum(np.floor(at).astype(int), n_layers - 2)
    layer = np.zeros((len(at), n_layers))
    layer[np.arange(len(at)), low], layer[np.arange(len(at)), low + 1] = 1 - (at - low), at - low
    return layer


ROIS = ("V1", "V2", "V3", "OPA", "EBA", "FFA")
LEVEL = {"V1": 0, "V2": 1 / 3, "V3": 1 / 3, "OPA": 2 / 3, "EBA": 1}


def brain(line, sizes=(9, 4, 6, 3, 7, 5)):
    """Selectors whose layer place is ``line(level)`` in each ROI (FFA: anywhere), and the ROIs."""
    names = np.repeat(ROIS, sizes)
    place = [line(LEVEL[name]) if name in LEVEL else 0.9 for name in names]
    layer = layers_at(place)
    n = len(names)
    return ft.Selectors(np.zeros((n, 2)), layer, np.zeros(n), np.zeros((n, 1))), {r: names == r for r in ROIS}


@pytest.mark.parametrize("b0, b1", [(0, 1), (0.2, 0.7), (0.9, 0.1), (0.4, 0.4)])
def test_slope_of_a_known_line(b0, b1):
    selectors, rois = brain(lambda level: b0 + (b1 - b0) * level)
    found = analysis.hierarchy(selectors, rois)
    assert (found.b0, found.b1, found.slope) == pytest.approx((b0, b1, b1 - b0), abs=1e-5)
    for absent in (("V2",), ("V1", "OPA")):  # a line needs no more than two levels
        part = {name: mask for name, mask in rois.items() if name not in absent}
        assert analysis.hierarchy(selectors, part).slope == pytest.approx(b1 - b0, abs=1e-5)


def test_every_vertex_counts_alike():
    """Off the line, larger areas weigh more: least squares over vertices, not over areas."""
    place = {"V1": 0.0, "V2": 0.6, "OPA": 0.1, "EBA": 1.0}
    names = np.repeat(list(place), (30, 2, 20, 5))
    selectors = ft.Selectors(
        np.zeros((57, 2)), layers_at([place[n] for n in names]), np.zeros(57), np.zeros((57, 1))
    )  # fmt: skip
    found = analysis.hierarchy(selectors, {name: names == name for name in place})
    slope, b0 = np.polyfit([LEVEL[n] for n in names], [place[n] for n in names], 1)
    assert (found.b0, found.slope) == pytest.approx((b0, slope), abs=1e-5)
    custom = analysis.hierarchy(selectors, {"V1": names == "V1", "EBA": names == "EBA"}, levels={"V1": 0, "EBA": 0.5})
    assert (custom.b0, custom.b1) == pytest.approx((0, 2), abs=1e-5)


def test_what_has_no_slope_is_said():
    selectors, rois = brain(lambda level: level)
    for some in ({}, {"V1": rois["V1"]}, {"V2": rois["V2"], "V3": rois["V3"]}, {"FFA": rois["FFA"]}):
        with pytest.raises(InputError, match="at least two") as caught:
            analysis.hierarchy(selectors, some)
        assert "\n" not in str(caught.value)
    empty = {name: mask & False for name, mask in rois.items()}
    with pytest.raises(InputError, match="at least two"):
        analysis.hierarchy(selectors, empty | {"V1": rois["V1"]})
