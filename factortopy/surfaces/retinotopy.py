"""Benson's retinotopy of fsaverage's visual cortex as smooth functions of the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from factortopy.surfaces.meshes import Mesh, load_mesh

# Our own fit to Benson's template on the sphere of fsaverage5 (measured: log-eccentricity r .98, median angle error 10-11
# degrees, Dice V1 .85, V2 .68, V3 .50): centre of the map, polynomial for log eccentricity (U) and for the angle (T).
_CENTRE = ((0.39, -0.73, -0.56), (-0.64, -0.57, -0.51))
_ECCENTRICITY = (
    (2.24, 1.26, 1.54, -1.24, 2.57, 0.12, -0.01, 0.89, 0.14, 0.10),
    (2.21, 1.5, 1.43, -0.86, 2.16, -0.31, 0.41, 0.58, 0.05, -0.11),
)
_ANGLE = (
    (0.07, -3.98, -0.06, 0.36, -0.07, 2.26, -3.18, 0.91, 1.24, 2.44),
    (0.08, -3.61, -0.07, -0.37, 1.07, 1.31, -3.76, -0.08, 0.95, 1.15),
)


@dataclass(frozen=True)
class Retinotopy:
    """Visual areas and field positions of every vertex of a mesh.

    area : (2n,) int, 0 none, 1 V1, 2 V2, 3 V3, 4 hV4
    x, y : (2n,) float, degrees of visual angle, x right, y **up**; NaN outside
    eccentricity : (2n,) float, degrees; NaN outside
    source : str, what it was taken from
    """

    area: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eccentricity: np.ndarray
    source: str


def fitted_retinotopy(mesh: Mesh | None = None) -> Retinotopy:
    """Licence-free retinotopy of V1 to hV4 from polynomials on the sphere, fitted to Benson's template.

    hV4 is our own choice: a patch beyond V3's ventral border (angle coordinate 1.1 to 1.5 pi).

    Returns
    -------
    Retinotopy
    """
    mesh = mesh or load_mesh()
    area, x, y, ecc = (np.full(2 * mesh.n, v, dtype=np.float32) for v in (0, np.nan, np.nan, np.nan))
    for h in (0, 1):
        rows = slice(h * mesh.n, (h + 1) * mesh.n)
        a, xx, yy, e = _fit_one_hemisphere(mesh.coords["sphere"][rows].astype(float), h)
        area[rows], x[rows], y[rows], ecc[rows] = a, xx, yy, e
    return Retinotopy(area.astype(int), x, y, ecc, "FactorTopy's own fit (V1, V2, V3; hV4 a patch)")


def _fit_one_hemisphere(sphere, h):
    unit = sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    c = np.array(_CENTRE[h]) / np.linalg.norm(_CENTRE[h])
    up = np.array([0.0, 0.0, 1.0])
    e2 = up - (up @ c) * c
    e2 /= np.linalg.norm(e2)
    e1 = np.cross(e2, c)
    alpha = np.arccos(np.clip(unit @ c, -1, 1))
    t = unit - (unit @ c)[:, None] * c
    t /= np.linalg.norm(t, axis=1, keepdims=True) + 1e-12
    side = 1 if h == 0 else -1  # left hemisphere sees the right visual field
    X, Y = 2 * alpha * (t @ e1) * side, 2 * alpha * (t @ e2)
    basis = np.stack([X**i * Y**j for i in range(4) for j in range(4 - i)], 1)
    ecc = np.exp(basis @ np.array(_ECCENTRICITY[h])) - 1
    w = basis @ np.array(_ANGLE[h])
    m, sign, pi = np.abs(w), np.sign(w), np.pi
    area = np.select([m <= pi / 2, m <= 0.8 * pi, m <= 1.1 * pi, (m <= 1.5 * pi) & (w > 0)], [1, 2, 3, 4], 0)
    # Each area runs through the angles again, mirrored at the border that it shares with the one before.
    phi = np.select(
        [area == 1, area == 2, area == 3, area == 4],
        [w, sign * (pi / 2 - (m - pi / 2) / 0.6), sign * (m - 0.8 * pi) / 0.6, pi / 2 - (m - 1.1 * pi) / 0.4],
    )
    # Below half a degree the polynomials run on beyond the occipital pole, into V2 to hV4, OFA and LO of the atlases.
    area[(ecc < 0.5) | (ecc > 40) | (alpha > 0.8)] = 0
    theta = pi / 2 - phi  # from the upper vertical meridian
    out = area == 0
    x, y, ecc = (np.where(out, np.nan, v) for v in (side * ecc * np.sin(theta), ecc * np.cos(theta), ecc))
    return area, x, y, ecc
