"""Likeness of maps on the cortex: how often unrelated smooth maps pass the floor of turned ones (and of swapped vertices).

Fields are smooth along the folded cortex, not the sphere on which they are turned: white noise through (area + l²/6
Laplacian)⁻³ of the white surface of fsaverage5, l the length in mm; independent in both hemispheres or mirror images. Masks: V1
to V3 up to 8 degrees (542 vertices), V1 alone, all visual areas, the whole cortex without the medial wall.
"""

import sys
from functools import cache

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from benchmarks.statistics import rejected, table
from factortopy import surfaces
from factortopy.analysis import spatial_nulls
from factortopy.experiments import fieldsign
from factortopy.experiments.agreement import agreement
from factortopy.surfaces.coordinates import Vertices

LAYERS = 4
WORDS = {
    "circular_r": "polar angle, circular r", "angle_error": "polar angle, median error", "eccentricity_r": "eccentricity, Spearman",
    "size_r": "size, Spearman", "same_sign": "field sign, equal",
}  # fmt: skip


@cache
def laplacian():
    """Cotangent Laplacian of the white surface and the area of each vertex (Pinkall & Polthier 1993)."""
    mesh = surfaces.load_mesh()
    at, faces = mesh.coords["white"].astype(float), mesh.faces
    weight, area = sp.csr_matrix((2 * mesh.n, 2 * mesh.n)), np.zeros(2 * mesh.n)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = at[faces[:, a]] - at[faces[:, c]], at[faces[:, b]] - at[faces[:, c]]
        double = np.linalg.norm(np.cross(u, v), axis=1)
        half = sp.csr_matrix(((u * v).sum(1) / double / 2, (faces[:, a], faces[:, b])), weight.shape)
        weight = weight + half + half.T
        area += np.bincount(faces[:, c], double / 6, minlength=2 * mesh.n)
    return sp.diags_array(np.asarray(weight.sum(1)).ravel()) - weight, area


@cache
def _solver(length):
    matrix, area = laplacian()
    return splu(sp.csc_matrix(sp.diags_array(area) + length**2 / 6 * matrix))


def smoothed(values, length):
    """(2n, k) values, each filtered as the fields are."""
    area = laplacian()[1][:, None]
    for step in range(3):
        values = _solver(length).solve(values * area if step else values)
    return values * np.sqrt(area)


class Fields:
    """Smooth random fields at some rows of the whole mesh: (rows, count) a call."""

    def __init__(self, rows, length, rng, mirrored=False):
        sphere = surfaces.load_mesh().coords["sphere"]
        n = len(sphere) // 2
        if mirrored:
            left = cKDTree(sphere[:n] * [-1, 1, 1]).query(sphere[n:])[1]
            rows = np.where(rows < n, rows, left[np.maximum(rows - n, 0)])
        # The filter's own rows: fields of these vertices alone have the covariance of their products.
        unit = sp.csc_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), (2 * n, len(rows)))
        own = np.concatenate([smoothed(unit[:, k : k + 500].toarray(), length).T for k in range(0, len(rows), 500)])
        covariance = own @ own.T
        scale = np.sqrt(np.diag(covariance))
        values, vectors = np.linalg.eigh(covariance / scale[:, None] / scale)
        self.root = (vectors * np.sqrt(np.maximum(values, 0)))[:, values > 1e-9 * values[-1]].astype(np.float32)
        self.rng = rng

    def __call__(self, count):
        return self.root @ self.rng.standard_normal((self.root.shape[1], count), dtype=np.float32)


class WholeFields:
    """``Fields`` of so many vertices that they are filtered one by one."""

    def __init__(self, rows, length, rng):
        self.rows, self.length, self.rng = rows, length, rng

    def __call__(self, count):
        area = laplacian()[1][:, None]
        values = self.rng.standard_normal((len(area), count)) * np.sqrt(area)
        values = smoothed(values, self.length)[self.rows] / np.sqrt(area)[self.rows]
        return (values / values.std(0)).astype(np.float32)


def masks():
    """{name: (2n,) bool}"""
    mesh, atlas = surfaces.load_mesh(), surfaces.fitted_retinotopy()
    near = atlas.eccentricity < 8
    visual, cortex = np.zeros((2, 2 * mesh.n), bool)
    visual[surfaces.visual_cortex().vertices.rows] = True
    cortex[np.unique(mesh.flat_faces)] = True
    early = near & (atlas.area > 0) & (atlas.area < 4)
    return {"V1 to V3": early, "V1": near & (atlas.area == 1), "visual areas": visual, "whole cortex": cortex}


class Turns:
    """Turns by mask, drawn once."""

    def __init__(self, vertices):
        self.vertices, self.kept = vertices, {}

    def __call__(self, mask):
        key = mask.tobytes()
        if key not in self.kept:
            self.kept[key] = spatial_nulls.turns(self.vertices, mask, surfaces.load_mesh().coords["sphere"])
        return self.kept[key]


def retinotopic(mask, length, data_sets, mirrored=False, seed=0):
    """{score: rejections}: maps of random fields through the whole of ``agreement``."""
    mesh, vertices = surfaces.load_mesh(), Vertices.of_mesh().subset(mask)
    rows, turned = vertices.rows, Turns(vertices)
    draw = Fields(rows, length, np.random.default_rng([seed, length, 1]), mirrored)
    count = dict.fromkeys(WORDS, 0)
    for _ in range(data_sets):
        pair = [
            {
                "polar_angle": np.rad2deg(np.arctan2(y, x)) % 360, "eccentricity": np.hypot(x, y), "size": np.exp(size),
                "field_sign": fieldsign.field_sign(x, y, rows, mesh),
            }
            for x, y, size in draw(6).T.reshape(2, 3, -1)
        ]  # fmt: skip
        for name, row in agreement(*pair, vertices, turns=turned).items():
            count[name] += row["p"] is not None and row["p"] <= spatial_nulls.LEVEL
    return count


def visual_field(length, data_sets, seed=0):
    """{test: rejections} of the field sign of random places over V1 to V3: right in an area."""
    mesh, atlas = surfaces.load_mesh(), surfaces.fitted_retinotopy()
    vertices = Vertices.of_mesh().subset(masks()["V1 to V3"])
    rows, turned, count = vertices.rows, Turns(vertices), {}
    draw = Fields(rows, length, np.random.default_rng([seed, length, 3]))
    areas = {name: atlas.area == k for k, name in enumerate(("V1", "V2", "V3"), 1)}
    for _ in range(data_sets):
        sign = fieldsign.field_sign(*draw(2).T, rows, mesh)
        turns = turned(np.isfinite(sign))
        signs = fieldsign.right_shares(sign, {name: mask[rows] for name, mask in areas.items()}, turned=turns)
        for name, row in signs.items():
            count[name] = count.get(name, 0) + (row["p"] is not None and row["p"] <= spatial_nulls.LEVEL)
    return count


def two_maps(mask, length, data_sets, seed=0):
    """Rejections of correlation and of equal layers, turned on the sphere; of the correlation with vertices swapped."""
    vertices = Vertices.of_mesh().subset(mask)
    rows, rng = vertices.rows, np.random.default_rng([seed, length, 2])
    turned = Turns(vertices)(np.ones(len(rows), bool))
    draw = (Fields if len(rows) < 5000 else WholeFields)(rows, length, rng)
    swapped = [
        (np.arange(len(rows)), np.concatenate([rng.permutation(np.flatnonzero(vertices.hemi == s)) for s in (0, 1)]))
        for _ in range(spatial_nulls.DRAWS)
    ]
    count = dict.fromkeys(("correlation", "same layer", "vertices swapped"), 0)
    for first in range(0, data_sets, 100):
        size = min(100, data_sets - first)
        a, b = (draw(LAYERS * size).reshape(len(rows), size, LAYERS) for _ in range(2))
        maps, layers = [np.ascontiguousarray(x[..., 0]) for x in (a, b)], [x.argmax(2).astype(np.int8) for x in (a, b)]
        tests = {
            "correlation": (turned, correlation, maps), "same layer": (turned, same, layers),
            "vertices swapped": (swapped, correlation, maps),
        }  # fmt: skip
        for name, (turn, score, (one, other)) in tests.items():
            values = spatial_nulls.by_hemisphere(score, one, other, vertices.hemi)
            chance = spatial_nulls.turned_scores(score, one, other, turn, vertices.hemi)
            for value, by_chance in zip(values, chance.T, strict=True):
                count[name] += spatial_nulls.floor_and_p(value, by_chance)[1] <= spatial_nulls.LEVEL
    return count


def correlation(a, b):
    """Correlation of the columns."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def same(a, b):
    """Share of equal values in the columns."""
    return (a == b).mean(0)


MAPS = {
    "V1 to V3": (2, 5, 10, 20, 40, 80),
    "V1": (2, 5, 10, 20),
    "visual areas": (5, 10, 20, 40),
    "whole cortex": (5, 10, 20),
}  # lengths in mm
RETINOTOPIC = (
    ("V1 to V3", 10, False),
    ("V1 to V3", 10, True),
    ("V1 to V3", 5, False),
    ("V1 to V3", 20, False),
    ("V1", 10, False),
)  # fmt: skip


SIGNS = (5, 10, 20)


def rows(full):
    """Rows of the table."""
    data_sets = 2000 if full else 20
    for name, lengths in MAPS.items():
        for length in lengths:
            yield from of_maps(name, length, data_sets)
    for name, length, mirrored in RETINOTOPIC:
        yield from of_retinotopy(name, length, mirrored, data_sets)
    for length in SIGNS:
        yield from of_visual_field("V1 to V3", length, data_sets)


def of_maps(name, length, data_sets):
    null, hits = f"{name}, {length} mm", two_maps(masks()[name], length, data_sets)
    for test, allowed in (("correlation", 0.06), ("same layer", 0.06), ("vertices swapped", "–")):
        words = "correlation (vertices swapped, as before)" if allowed == "–" else f"{test} (turned)"
        yield rejected(words, null, hits[test], data_sets, allowed)


def of_retinotopy(name, length, mirrored, data_sets):
    null = f"{name}, {length} mm{', mirror images' if mirrored else ''}"
    for score, hits in retinotopic(masks()[name], length, data_sets, mirrored).items():
        yield rejected(f"{WORDS[score]} (turned)", null, hits, data_sets)


def of_visual_field(name, length, data_sets):
    for test, hits in visual_field(length, data_sets).items():
        yield rejected(f"field sign right in {test} (turned)", f"{name}, {length} mm", hits, data_sets)


def main():
    """Some rows alone, each printed when it is known: python -m benchmarks.nulls_agreement [maps | retinotopy | signs] [mask [length]]."""
    kind, mask, length = [*sys.argv[1:], None, None, None][:3]
    jobs = [("maps", name, mm, of_maps, ()) for name, lengths in MAPS.items() for mm in lengths]
    jobs += [("retinotopy", name, mm, of_retinotopy, (mirrored,)) for name, mm, mirrored in RETINOTOPIC]
    jobs += [("signs", "V1 to V3", mm, of_visual_field, ()) for mm in SIGNS]
    for own, name, mm, job, more in jobs:
        if kind in (None, own) and mask in (None, name) and length in (None, str(mm)):
            print(table([*job(name, mm, *more, 2000)]).split("\n", 2)[2], flush=True)


if __name__ == "__main__":
    main()
