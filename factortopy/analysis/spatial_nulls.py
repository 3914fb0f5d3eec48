"""Chance for the likeness of two maps on the cortex: one of them turned on the sphere, again and again, within the mask.

Neighbouring vertices are alike, so that two unrelated maps are often alike over whole patches: vertices swapped one by one
give a floor that smooth random maps pass in a third of the cases. Turned maps keep their smoothness (Alexander-Bloch et al.
2018, NeuroImage 178). Both hemispheres turn together, as mirror images, for maps are alike on both sides. A vertex takes the
value of the vertex that lands nearest to it (Vázquez-Rodríguez et al. 2019, PNAS 116); what comes from outside the mask,
the medial wall among it, does not count. A small mask would leave itself at most turns: those that leave ``OVERLAP`` of
it or more are drawn alone. Over fewer vertices a score scatters more, so that the floor of a small mask is too high rather
than too low (``benchmarks/nulls_agreement.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from factortopy.errors import InputError
from factortopy.surfaces.coordinates import Vertices
from factortopy.surfaces.meshes import load_mesh

DRAWS = 200
OVERLAP = 0.2  # of the mask's vertices of each hemisphere, at least
LEVEL = 0.05
MOST = 5000  # vertices of a hemisphere that are looked up; of more, evenly many
_GLANCE = 30  # vertices of a hemisphere by which a turn's overlap is judged before all are looked up
_BATCH, _TRIES = 256, 200  # turns proposed at a time, and how often before giving up
_MIRROR = np.diag([-1.0, 1.0, 1.0])

Turn = tuple[np.ndarray, np.ndarray]  # vertices, and those whose values they take


def sphere_of(density: str) -> np.ndarray | None:
    """(2n, 3) the sphere of both hemispheres; None without a mesh of that density here."""
    try:
        return load_mesh(density).coords.get("sphere")
    except InputError:
        return None


def turns(
    vertices: Vertices, mask: np.ndarray, sphere: np.ndarray | None, draws: int = DRAWS, seed: int = 0
) -> list[Turn]:
    """Turns of a mask on the sphere, as lookups.

    Uniform over the rotations (of the left hemisphere; the right one's are mirrored) whose overlap of the mask with itself
    is ``OVERLAP`` or more in each hemisphere that has vertices in it.

    Parameters
    ----------
    vertices : Vertices
    mask : (N,) bool
        Where both maps are known.
    sphere : (2n, 3) of the whole mesh (``Mesh.coords["sphere"]``), or None

    Returns
    -------
    list of (to, source), each (k,) int
        ``values[source]`` is the turned map at the vertices ``to`` of N. Empty where there is no sphere, no mask, or hardly
        a turn with that overlap (a few scattered areas).
    """
    mask = np.asarray(mask, bool)
    if sphere is None or not mask.any():
        return []
    place = np.full(len(sphere), -1, np.int32)
    place[vertices.rows[mask]] = np.flatnonzero(mask)
    drawn = _drawn((place >= 0).tobytes(), np.asarray(sphere, np.float32).tobytes(), draws, seed)
    return [(place[to], place[source]) for to, source in drawn]


@lru_cache(maxsize=4)  # maps of one subject share their mask
def _drawn(mask, sphere, draws, seed):
    """Turns of a mask of the whole mesh, in its rows; both as bytes."""
    mask, sphere = np.frombuffer(mask, bool), np.frombuffer(sphere, np.float32).reshape(-1, 3)
    sides = [_Side(own, xyz, side) for side, (own, xyz) in enumerate(zip(np.split(mask, 2), np.split(sphere, 2)))]
    sides = [side for side in sides if side.looked_up]
    centre = np.sum([side.centre for side in sides], 0)
    if np.linalg.norm(centre) < 1e-6 * mask.sum():  # a mask that closes around the sphere has no centre: any will do
        centre = np.array([0.0, 0.0, 1.0])
    centre /= np.linalg.norm(centre)
    reach = min(np.pi, 2 * max(np.arccos(np.clip(side.seen @ centre, -1, 1)).max() for side in sides))
    rng, out = np.random.default_rng([seed, 31]), []
    for tried in range(_TRIES):
        if tried == _TRIES // 10 and 20 * len(out) < draws:  # it would not be half of them in all: do not wait for it
            break
        proposed = _around(centre, reach, rng)
        near = np.all([side.overlap(proposed) >= OVERLAP for side in sides], axis=0)
        for turn in proposed[near]:
            pairs = [side.lookup(turn) for side in sides]
            if all(len(to) >= OVERLAP * side.looked_up for (to, _), side in zip(pairs, sides, strict=True)):
                out.append(tuple(np.concatenate(part) for part in zip(*pairs, strict=True)))
                if len(out) == draws:
                    return out
    return []


def _around(centre, reach, rng):
    """(_BATCH, 3, 3) rotations, uniform among those that take ``centre`` no further than ``reach``."""
    spin = Rotation.from_rotvec(np.outer(rng.uniform(0, 2 * np.pi, _BATCH), centre))
    across = np.cross(centre, np.eye(3)[np.abs(centre).argmin()])
    across /= np.linalg.norm(across)
    axis = Rotation.from_rotvec(np.outer(rng.uniform(0, 2 * np.pi, _BATCH), centre)).apply(across)
    away = np.arccos(rng.uniform(np.cos(reach), 1, _BATCH))
    return (Rotation.from_rotvec(axis * away[:, None]) * spin).as_matrix()


class _Side:
    """One hemisphere's part of a mask, on the left hemisphere's sphere."""

    def __init__(self, mask, sphere, side):
        unit = sphere / np.linalg.norm(sphere, axis=1, keepdims=True).astype(float)
        self.tree = cKDTree(unit @ _MIRROR if side else unit)
        own = np.flatnonzero(mask)
        self.rows = np.where(mask, np.arange(len(mask)) + side * len(mask), -1).astype(np.int32)
        self.seen = self.tree.data[own]
        self.centre = self.seen.sum(0)
        to = own[:: -(-len(own) // MOST) or 1]
        self.to, self.places, self.looked_up = self.rows[to], self.tree.data[to], len(to)
        self.glance = self.seen[:: -(-len(own) // _GLANCE) or 1]

    def overlap(self, rotations):
        """(k,) share of the mask that comes from the mask, judged by some of its vertices."""
        return (self.rows[self.tree.query(self.glance @ rotations)[1]] >= 0).mean(1)

    def lookup(self, rotation):
        source = self.rows[self.tree.query(self.places @ rotation)[1]]
        return self.to[source >= 0], source[source >= 0]


def by_hemisphere(score: Callable, a: np.ndarray, b: np.ndarray, hemi: np.ndarray):
    """Mean over hemispheres (``hemi`` left first) of a score of two maps.

    What one hemisphere has more of than the other is one observation, which no turn within a hemisphere can take apart: maps in
    one pool are alike by it (at 80 mm of smoothness 18 % of unrelated pairs over V1 to V3 passed, in one pool).
    """
    cut = np.searchsorted(hemi, 1)
    return np.mean([score(a[p], b[p]) for p in (slice(cut), slice(cut, None)) if len(a[p])], axis=0)


def turned_scores(score: Callable, a: np.ndarray, b: np.ndarray, turned: Sequence[Turn], hemi: np.ndarray):
    """(draws, …) ``by_hemisphere`` of the turned a and b (N, …) over what the mask keeps of itself."""
    return np.array([by_hemisphere(score, a[source], b[to], hemi[to]) for to, source in turned])


def floor_and_p(value: float, chance: np.ndarray, larger: bool = True) -> tuple[float, float]:
    """What chance exceeds in 5 % of draws, and p: the share of draws, this one among them, that reach the value.

    ``value`` is beyond the floor just where p is ``LEVEL`` or less. ``larger``: larger scores are the better ones. NaN
    without 19 draws or without a value.
    """
    sign = 1 if larger else -1
    chance = sign * np.asarray(chance, float)
    chance = np.sort(chance[np.isfinite(chance)])
    allowed = int(
        np.floor(LEVEL * (len(chance) + 1) + 1e-9)
    )  # so many draws may reach a value beyond the floor, less one
    if allowed < 1:
        return float("nan"), float("nan")
    floor = float(sign * chance[-allowed])
    p = (1 + (chance >= sign * value).sum()) / (len(chance) + 1) if np.isfinite(value) else float("nan")
    return floor, float(p)


def beside_chance(
    compared: dict[str, tuple[Callable[[np.ndarray, np.ndarray], float], Sequence[tuple[np.ndarray, np.ndarray]]]],
    vertices: Vertices,
    mask: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores of pairs of maps, their mean over hemispheres and pairs, and what it reaches when the first of every pair is turned.

    Parameters
    ----------
    compared : {name: (score of two maps, larger for more alike ones, [(a, b), …] each (N,))}
    mask : (N,) bool
        Where they are compared.

    Returns
    -------
    {name: {"value", "floor", "p"}}
        Without those that have no value, all of them where nothing can be turned.
    """  # fmt: skip
    turned, out = turns(vertices, mask, sphere_of(vertices.density), draws, seed), {}
    for name, (score, pairs) in compared.items():
        if not turned:
            continue
        hemi = vertices.hemi
        value = float(np.mean([by_hemisphere(score, a[mask], b[mask], hemi[mask]) for a, b in pairs]))
        chance = [turned_scores(score, a, b, turned, hemi) for a, b in pairs]
        floor, p = floor_and_p(value, np.mean(chance, axis=0))
        if np.isfinite(p):
            out[name] = {"value": value, "floor": floor, "p": p}
    return out
