"""How the simulated subjects answer pictures: contrast energy in early areas, content in high-level ones.

No network's features enter. Sources: filters as in Kay et al. 2008; pRF sizes Wandell & Winawer 2015 (σ = m·e + b);
the rest is our choice and only has to be plausible, known and hard enough.
"""

import numpy as np

from factortopy.stimuli.scenes import CATEGORIES, SCENE_KINDS
from factortopy.subjects.progress import each
from factortopy.surfaces import areas, meshes

PRF_SIZE = {"V1": (0.169, 0.022), "V2": (0.169, 0.147), "V3": (0.264, 0.342), "hV4": (0.530, 0.445)}
WAVELENGTHS = (5, 9, 16, 30)  # pixels of a 112-pixel picture
ORIENTATIONS = 4
SIDE = 28  # of the map on which contrast energy is kept
COARSER = {"V1": 0.0, "V2": 0.18, "V3": 0.35, "hV4": 0.6}  # preferred wavelength rises along the hierarchy (steps)

# What a high-level area answers to (weights of categories and scene kinds) and how far it looks (σ, half widths).
TUNING = {
    "OFA": {"face": 0.9, "body": 0.2, "animal": 0.2},
    "FFA": {"face": 1.0, "animal": 0.25, "body": 0.15},
    "FBA": {"body": 0.9, "face": 0.3, "animal": 0.3},
    "EBA": {"body": 1.0, "animal": 0.4, "tool": 0.15},
    "LO": {"car": 0.9, "cup": 0.9, "tool": 0.8, "solid": 0.8, "animal": 0.7, "face": 0.4, "body": 0.4},
    "VWFA": {"word": 1.0, "face": 0.12, "tool": 0.1},
    "PPA": {"indoor": 0.8, "street": 0.7, "landscape": 0.5, "car": 0.1},
    "OPA": {"indoor": 0.5, "street": 0.5, "landscape": 0.3},
    "RSC": {"indoor": 0.3, "street": 0.6, "landscape": 0.7},
}
FIELD = {"OFA": 0.55, "FFA": 0.8, "FBA": 0.85, "EBA": 0.75, "LO": 0.7, "VWFA": 0.7, "PPA": 1.0, "OPA": 1.0, "RSC": 1.0}
LAYOUT = {"PPA": (-0.25, 0.15, 0.0), "OPA": (-0.25, 0.2, 0.3), "RSC": (0.25, 0.35, 0.1)}  # openness, depth, horizon
SCENE_AREAS = tuple(LAYOUT)


def contrast_energy(images):
    """Locally normalised contrast energy of (n, 112, 112, 3) pictures -> (n, 16, SIDE, SIDE) float32.

    Log-Gabor filters, 4 wavelengths × 4 orientations (channel = wavelength · 4 + orientation), magnitude of the
    quadrature pair, divided by 1 + half of the local mean over channels.
    """
    n, size, batch = len(images), images.shape[1], 50
    rim = size // 4  # mirrored around the picture: the transform would wrap one edge's contrast to the opposite one
    fy, fx = np.fft.fftfreq(size + 2 * rim)[:, None], np.fft.fftfreq(size + 2 * rim)[None]
    radius, angle = np.hypot(fy, fx) + 1e-9, np.arctan2(fy, fx)
    filters = []
    for wavelength in np.array(WAVELENGTHS) * size / 112:
        band = np.exp(-(np.log(radius * wavelength) ** 2) / (2 * 0.5**2))
        for k in range(ORIENTATIONS):
            off = angle - k * np.pi / ORIENTATIONS
            off = np.arctan2(np.sin(off), np.cos(off))
            filters.append((band * np.exp(-(off**2) / (2 * 0.45**2))).astype(np.float32))
    block = size // SIDE
    out = np.empty((n, len(filters), SIDE, SIDE), dtype=np.float32)
    for i in each(range(0, n, batch), "simulating the demo subject's responses, once"):
        grey = np.asarray(images[i : i + batch], dtype=np.float32).mean(-1) / 255
        grey = np.pad(grey - grey.mean((1, 2), keepdims=True), ((0, 0), (rim, rim), (rim, rim)), mode="symmetric")
        spectrum = np.fft.fft2(grey).astype(np.complex64)
        for k, filt in enumerate(filters):
            energy = np.abs(np.fft.ifft2(spectrum * filt))[:, rim:-rim, rim:-rim]
            out[i : i + batch, k] = energy.reshape(-1, SIDE, block, SIDE, block).mean((2, 4))
    out /= out.mean((0, 2, 3), keepdims=True)
    return out / (1 + 0.5 * out.mean(1, keepdims=True))


def pooling(centre, sigma):
    """Gaussian pooling weights (N, SIDE²) at ``centre`` (N, 2) in [−1, 1] and the share of each field inside the picture."""
    at = (np.arange(SIDE) + 0.5) / (SIDE / 2) - 1
    x, y = (g.ravel() for g in np.meshgrid(at, at))
    weight = np.exp(-((x - centre[:, :1]) ** 2 + (y - centre[:, 1:]) ** 2) / (2 * sigma[:, None] ** 2))
    share = weight.sum(1) / (2 * np.pi * sigma**2 * (SIDE / 2) ** 2)
    return (weight / (weight.sum(1, keepdims=True) + 1e-6)).astype(np.float32), np.clip(share, 0, 1)


class Smooth:
    """Smooth random fields over a set of vertices of the mesh, for preferences that change gradually."""

    def __init__(self, rows, rng):
        import scipy.sparse as sp

        mesh = meshes.load_mesh()
        edges = mesh.edges()
        graph = sp.coo_matrix((np.ones(len(edges)), edges.T), shape=(2 * mesh.n,) * 2).tocsr()[rows][:, rows]
        graph = graph + graph.T + sp.eye(len(rows))
        self._mean, self._rng, self._n = sp.diags(1 / np.asarray(graph.sum(1)).ravel()) @ graph, rng, len(rows)

    def __call__(self, k, steps):
        """(N, k) fields of mean 0 and deviation 1, averaged over neighbours ``steps`` times."""
        field = self._rng.standard_normal((self._n, k))
        for _ in range(steps):
            field = self._mean @ field
        return (field - field.mean(0)) / field.std(0)


def scene_table(scenes):
    """Objects of all scenes as columns, and one row a scene of kinds and layout."""
    objects = [(i, o) for i, scene in enumerate(scenes) for o in scene.objects]
    table = {
        "picture": np.array([i for i, _ in objects]),
        "category": np.array([CATEGORIES.index(o.category) for _, o in objects]),
        "at": np.array([[o.x, o.y] for _, o in objects]),
        "size": np.array([o.size for _, o in objects]),
        "attributes": np.array([o.attributes for _, o in objects]),
    }
    kinds = np.array([[scene.kind == k for k in SCENE_KINDS[1:]] for scene in scenes], dtype=np.float32)
    layout = np.array([[s.openness, s.depth, s.horizon] for s in scenes], dtype=np.float32)
    return table, kinds, (layout - layout.mean(0)) / (layout.std(0) + 1e-6)


def simulate(images, scenes, cortex, half_width, seed):
    """Responses of one simulated subject.

    Parameters
    ----------
    images : (n, 112, 112, 3) uint8; scenes : their truth
    cortex : surfaces.VisualCortex
    half_width : float, degrees from the picture's centre to its edge
    seed : int, of the subject

    Returns
    -------
    dict with responses (n, N) float32 z-scored single trials, noise_ceiling (N,), centre (N, 2) in [−1, 1] y down (NaN
    where a vertex has no planted field), sigma (N,) in half widths
    """
    rng = np.random.default_rng(seed)
    smooth = Smooth(cortex.vertices.rows, rng)
    energy = contrast_energy(images)
    n, n_vertices, roi = len(images), len(cortex.vertices.rows), cortex.roi
    signal = np.zeros((n, n_vertices), dtype=np.float32)
    retino = cortex.retinotopy
    shift = 0.035 * smooth(2, 8)  # subjects differ a little in where each vertex looks
    planned = np.stack([retino.x[cortex.vertices.rows], -retino.y[cortex.vertices.rows]], 1) / half_width + shift
    centre, sigma = np.full((n_vertices, 2), np.nan), np.full(n_vertices, np.nan)
    inside = np.ones(n_vertices)

    prefer_angle, prefer_scale = smooth(2, 3), 0.35 * smooth(1, 6)[:, 0]
    flat = energy.reshape(n, len(WAVELENGTHS) * ORIENTATIONS, -1)
    for area in areas.EARLY:
        v = np.flatnonzero(roi == area)
        slope, base = PRF_SIZE[area]
        ecc = np.hypot(*planned[v].T) * half_width
        centre[v], sigma[v] = planned[v], np.clip((slope * ecc + base) / half_width, 0.045, 0.8)
        weight, inside[v] = pooling(planned[v], sigma[v])
        step = np.clip(0.25 + 0.2 * ecc + COARSER[area] + prefer_scale[v], 0, 3)
        by_scale = np.exp(-((np.arange(4) - step[:, None]) ** 2) / (2 * 0.7**2))
        angle = np.arctan2(prefer_angle[v, 1], prefer_angle[v, 0])
        tuned = 0.5 if area == "hV4" else 0.7
        by_angle = 1 + tuned * np.cos(angle[:, None] - np.arange(ORIENTATIONS) * 2 * np.pi / ORIENTATIONS)
        mix = (by_scale[:, :, None] * by_angle[:, None]).reshape(len(v), -1).astype(np.float32)
        signal[:, v] = np.sqrt(np.maximum(_pool(flat, weight, mix), 0))

    content = _Content(scenes, smooth, cortex)
    spectrum = np.sqrt(energy.mean((2, 3)))
    grain = smooth(spectrum.shape[1], 5)
    for area in TUNING:
        v = np.flatnonzero(roi == area)
        if len(v):
            texture = spectrum @ (0.25 + 0.3 * grain[v].T)
            leak = 0.15 if area in ("LO", "OFA", "OPA") else 0.05
            signal[:, v] = (1 - leak) ** 0.5 * _z(content(area, v)) + leak**0.5 * _z(texture)
            centre[v], sigma[v] = content.centre[v], FIELD[area]
    # In between: textures of a wide field, blending into the nearest area.
    v = np.flatnonzero(roi == "")
    wide, _ = pooling(np.clip(np.nan_to_num(planned[v]), -1, 1) * 0.5, np.full(len(v), 0.7))
    mix = (0.6 * grain[v] + 0.3).astype(np.float32)
    texture = _pool(flat, wide, mix)
    near = np.zeros((n, len(v)))
    for area in TUNING:
        k = np.flatnonzero(cortex.nearest[v] == area)
        if len(k):
            near[:, k] = _z(content(area, v[k]))
    blend = np.clip(1 - (cortex.distance[v] - 8) / 8, 0, 0.9)
    signal[:, v] = (1 - blend) ** 0.5 * _z(texture) + blend**0.5 * near

    signal = _z(signal)
    ceiling = np.where(np.isin(roi, areas.EARLY), 0.7, np.where(roi == "", 0.4, 0.55)) + 0.06 * smooth(1, 6)[:, 0]
    # A field that lies mostly outside the picture answers little.
    ceiling = np.clip(ceiling * np.minimum(inside / 0.5, 1), 0.05, 0.85)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    responses = _z(signal * ceiling**0.5 + noise * (1 - ceiling) ** 0.5)
    arrays = {"responses": responses, "noise_ceiling": ceiling, "centre": centre, "sigma": sigma}
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def _pool(energy, where, channels):
    """(n, C, P) energy pooled by ``where`` (N, P) and ``channels`` (N, C) -> (n, N)."""
    n, c, p = energy.shape
    out = np.empty((n, len(where)), dtype=np.float32)
    for i in range(0, len(where), 64):
        k = slice(i, i + 64)
        pooled = (energy.reshape(n * c, p) @ where[k].T).reshape(n, c, -1)
        out[:, k] = np.einsum("ncv,vc->nv", pooled, channels[k])
    return out


class _Content:
    """Responses to what is in the pictures."""

    def __init__(self, scenes, smooth, cortex):
        self.table, self.kinds, self.layout = scene_table(scenes)
        self.hemi, self.n = cortex.vertices.hemi, len(scenes)
        self.taste = smooth(len(CATEGORIES) + len(SCENE_KINDS) - 1, 4)  # vertices of an area are not all alike
        self.detail, self.lay, self.size = smooth(4, 4), smooth(3, 4), smooth(1, 5)[:, 0]
        at = np.stack([np.where(self.hemi == 0, 0.25, -0.25), np.zeros(len(self.hemi))], 1)  # the opposite half field
        self.centre = np.clip(at + 0.4 * smooth(2, 4), -0.8, 0.8)

    def __call__(self, area, v):
        """(n, len(v)) responses of the vertices ``v`` as part of ``area``."""
        names = (*CATEGORIES, *SCENE_KINDS[1:])
        weight = np.zeros((len(v), len(names)))
        for name, value in TUNING[area].items():
            weight[:, names.index(name)] = value
        # An area shares its favourites; each vertex has a taste of its own beside them.
        own = 0.2 * self.taste[v] * (weight.max(1, keepdims=True) > 0)
        weight = np.maximum(weight * (1 + 0.5 * self.taste[v]) + own, 0)
        t, out = self.table, np.zeros((self.n, len(v)))
        distance = ((t["at"][:, None] - self.centre[v]) ** 2).sum(2)
        drive = np.exp(-distance / (2 * FIELD[area] ** 2)) * weight[:, t["category"]].T
        # Some vertices prefer large, some small objects; attributes (pose, view, …) matter to each in its own way.
        drive *= t["size"][:, None] ** np.clip(0.5 + 0.8 * self.size[v], -0.5, 2.0)
        drive *= np.maximum(1 + 0.5 * (t["attributes"] @ self.detail[v].T), 0.1)
        np.add.at(out, t["picture"], drive)
        out = out / (0.45 + out)
        if area not in SCENE_AREAS:
            return out
        kind = self.kinds @ weight[:, len(CATEGORIES) :].T
        space = self.layout @ (np.array(LAYOUT[area])[:, None] + 0.5 * self.lay[v].T)
        inside = self.kinds.any(1, keepdims=True)  # layout means nothing on a textured ground
        return kind * (1 + 0.5 * np.tanh(space)) + 0.6 * inside * np.tanh(space) + 0.15 * out


def _z(x):
    return (x - x.mean(0)) / (x.std(0) + 1e-9)
