"""Where a fit starts that follows others: at one encoder, or at the mean of several subjects' on the common surface.

Selectors are compared vertex by vertex: fsaverage's vertices correspond across people. Channel weights are not: the aligned
channels of two encoders are turned against each other. What they have in common is which combinations of a layer's channels
their vertices read, A_l w_i for all layers side by side; the alignments begin at the right singular vectors of these, as
those of single layers do (``start``).
"""

import zlib
from dataclasses import replace

import numpy as np
import torch

from factortopy.encoder.start import VERTICES, fit_selectors, put_axes
from factortopy.errors import InputError

STEPS = 60  # of a fit that starts here; docs/encoder.md says how many are needed
NEAR = 1.2  # 3 % of the sphere's diameter, about 6 mm, within which a vertex of another mesh stands for one


def encoders_of(warm, features, recipe, model):
    """The encoders to start from, as a list; [] for None.

    Raises
    ------
    InputError
        Naming the encoder, when it is of another network, other layers, or a model without selectors.
    """
    encoders = [] if warm is None else list(warm) if isinstance(warm, (list, tuple)) else [warm]
    if encoders and (recipe, model) != ("fast", "factorized"):
        raise InputError(
            f"warm: expected the fast recipe and the factorized model, found {recipe}, {model}; leave warm out"
        )
    channels = [t.shape[-1] for t in features.local] if features.reduction is None else features.reduction.channels
    for encoder in encoders:
        if not hasattr(encoder, "has_selectors"):
            raise InputError(f"warm: expected encoders, found {type(encoder).__name__}; load a run's with Encoder.load")
        name = f"warm: encoder of {encoder.info.get('subject') or 'a subject'}"
        if not encoder.has_selectors:
            raise InputError(
                f"{name}: expected a factorized model, found {encoder.info.get('model')}; choose another run"
            )
        if not np.isfinite(encoder.selectors().channel).all(1).any() or not encoder.selectors().channel.size:
            raise InputError(f"{name}: expected channel weights, found selectors alone; choose a run with weights")
        own = encoder.info.get("backbone"), encoder.info.get("weights"), encoder.layer_names, encoder.channels
        for what, theirs, ours in zip(
            ("network", "weights", "layers", "channels"),
            own,
            (features.backbone, features.weights, list(features.layer_names), channels),
            strict=True,
        ):
            if theirs != ours:
                raise InputError(
                    f"{name}: expected {what} {ours}, as these features have, found {theirs}; choose another run"
                )
    return encoders


def sum_of(encoder):
    """Checksum of what an encoder says of its vertices."""
    s = encoder.selectors()
    return zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in (s.space, s.layer, s.scale, s.channel)))


def settings_after(settings, steps):
    """Settings of a fit that starts from others: few steps, nothing that pulls selectors to uniform ones."""
    return replace(settings, steps=STEPS if steps is None else settings.steps, regulariser=0.0)


@torch.no_grad()
def start_from(encoders, vertices, problem, model, seed):
    """Set a ``Factorized`` model's selectors and alignments to those of ``encoders``; vertices : Vertices of the subject."""
    space, layer, scale, near = mean_selectors(encoders, vertices)
    rows = np.flatnonzero(near & problem.usable)
    network = model.selectors
    if network.topology:
        rows = np.sort(np.random.default_rng([seed, 3]).permutation(rows)[: 2 * VERTICES])
    if len(rows) and network.select:
        space, layer, scale = (torch.from_numpy(a[rows]).to(problem.device) for a in (space, layer, scale))
        with torch.enable_grad():
            wanted = (space, layer, scale, torch.ones_like(scale), 1 - scale)
            fit_selectors(network, torch.from_numpy(rows).to(problem.device), wanted, problem.grid, steps=300)
    put_axes(model, channels_in_common(encoders, problem, model.dim))


def mean_selectors(encoders, vertices):
    """Mean of the encoders' selectors at ``vertices``: space (N, 2), layer (N, L), scale (N,) float32, and where there are any,
    (N,) bool.

    A vertex is the nearest one of an encoder's on fsaverage's sphere, in the same hemisphere; the same one where meshes and
    numbers agree.
    """
    from scipy.spatial import KDTree

    total, count = 0.0, np.zeros(len(vertices))
    for encoder in encoders:
        s = encoder.selectors()
        distance, nearest = KDTree(_on_sphere(encoder.vertices)).query(_on_sphere(vertices))
        near = distance <= NEAR
        each = np.concatenate([s.space, s.layer, s.scale[:, None]], 1)[nearest]
        total, count = total + np.where(near[:, None], each, 0), count + near
    mean = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    return mean[:, :2], mean[:, 2:-1], mean[:, -1], count > 0


def _on_sphere(vertices):
    """(N, 3): the sphere's diameter is about 40; hemispheres far apart."""
    return vertices.coords(surface="sphere") + np.array([1000.0, 0, 0]) * vertices.hemi[:, None]


def channels_in_common(encoders, problem, dim):
    """(K_1 + …, ≤ D): directions in the scores of all layers, local then global of each, that the encoders' vertices read most.

    One encoder of the same D: its alignments as they are.
    """
    bases = [b for pair in zip(problem.local_basis, problem.global_basis, strict=True) for b in pair]
    readings = []
    for encoder in encoders:
        maps = [m for pair in zip(encoder._alignment["local"], encoder._alignment["global"], strict=True) for m in pair]
        # Of raw tokens -> of scores: what the components hold of it.
        own = [torch.linalg.lstsq(b.on_raw().matrix, torch.from_numpy(np.array(m)).to(b.matrix)).solution
               for b, m in zip(bases, maps, strict=True)]  # fmt: skip
        joint = torch.cat(own)
        if len(encoders) == 1 and joint.shape[1] == dim:
            return joint
        channel = torch.from_numpy(np.array(encoder.selectors().channel)).to(joint)
        read = torch.linalg.qr(channel[torch.isfinite(channel).all(1)], mode="r").R
        readings.append(read / read.norm().clamp_min(1e-12) @ joint.T)
    axes = torch.linalg.svd(torch.cat(readings), full_matrices=False).Vh[:dim]
    return axes.T
