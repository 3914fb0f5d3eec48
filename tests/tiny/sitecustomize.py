"""Read by every Python process whose PYTHONPATH holds this folder: adds a subject and a network that train in a second.

Tests of runs, jobs and the command line start real processes; this gives them the real training on something small.
"""

import factortopy

SUBJECT, BACKBONE = "tiny", "tiny-net"
IMAGES, VERTICES = 60, 24


def load_subject(path, subject=None):
    """Sixty pictures of noise, 24 vertices that answer to what TinyNet sees."""
    if path != SUBJECT:
        return _load_subject(path, subject)
    import numpy as np

    from factortopy.subjects.subject import Subject

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 16, 16, 3), dtype=np.uint8)
    seen = images.reshape(IMAGES, 4, 4, 4, 4, 3).mean((2, 4, 5))[:, :, :, None] / 255
    drive = seen.reshape(IMAGES, 16) @ rng.standard_normal((16, VERTICES))
    responses = (drive - drive.mean(0)) / drive.std(0) + 0.3 * rng.standard_normal((IMAGES, VERTICES))
    half = VERTICES // 2
    return Subject(
        responses.astype(np.float32),
        images,
        hemi=np.repeat([0, 1], half),
        vertex=np.tile(np.arange(half), 2),
        coords=rng.uniform(0, 100, (VERTICES, 3)),
        rois={"V1": np.arange(VERTICES) < 8},
        noise_ceiling=np.full(VERTICES, 0.8),
        name="tiny",
        simulated=True,
    )


def load_backbone(name, weights=None):
    """Three layers of block means."""
    if name != BACKBONE:
        return _load_backbone(name, weights)
    import torch

    from factortopy.backbones.base import Backbone

    class TinyNet(Backbone):
        name, layer_names, width, fingerprint = BACKBONE, ("one", "two", "three"), 4, "tiny-1"

        def tokens(self, images):
            pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
            maps = torch.nn.functional.avg_pool2d(pixels, 4)
            maps = torch.cat([maps, maps.mean(1, keepdim=True)], 1).permute(0, 2, 3, 1)
            local = [maps, maps**2, maps.sqrt()]
            return local, [layer.mean((1, 2)) for layer in local]

    return TinyNet()


def _load_subject(path, subject):
    from factortopy.subjects import load_subject

    return load_subject(path, subject)


def _load_backbone(name, weights):
    from factortopy.backbones import load_backbone

    return load_backbone(name, weights)


factortopy.load_subject, factortopy.load_backbone = load_subject, load_backbone
