"""Slow drifts: what nilearn takes out is taken out, what a film does stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.subjects.drifts import drifts, without_drifts


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 300), st.floats(0.4, 3), st.floats(60, 300))
def test_a_line_goes_and_columns_are_orthonormal(n, tr, cutoff):
    basis = drifts(n, tr, cutoff)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)
    line = np.linspace(-1, 1, n)[:, None] * [3, -1] + 7
    np.testing.assert_allclose(without_drifts(line, tr, cutoff), 0, atol=1e-9)


@pytest.mark.parametrize("tr", [0.7, 2.0])
def test_what_nilearn_takes_out_is_taken_out(tr):
    from nilearn.glm.first_level import make_first_level_design_matrix

    n = round(600 / tr)
    y = np.cumsum(np.random.default_rng(0).standard_normal((n, 5)), 0)
    theirs = make_first_level_design_matrix(np.arange(n) * tr, drift_model="cosine", high_pass=1 / 128).to_numpy()
    theirs = np.column_stack([theirs, np.arange(n) / n])  # a straight line, which SPM's set lacks
    expected = y - theirs @ np.linalg.lstsq(theirs, y, rcond=None)[0]
    np.testing.assert_allclose(without_drifts(y, tr), expected, atol=1e-8 * np.abs(y).max())


@pytest.mark.parametrize("tr", [0.5, 0.7, 1.0, 2.0, 2.5])
def test_the_cutoff_is_in_seconds(tr):
    second = np.arange(round(800 / tr)) * tr
    for period, least, most in ((400, 0, 0.1), (30, 0.95, 1.05)):
        wave = np.sin(2 * np.pi * second / period + 1)[:, None]
        assert least <= without_drifts(wave, tr).std() / wave.std() <= most
