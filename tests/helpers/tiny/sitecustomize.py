"""Read by every Python process whose PYTHONPATH holds this folder: adds a subject and a network that train in a second.

Tests of runs, jobs and the command line start real processes; this gives them the real training on something small.
"""

import os
import subprocess  # noqa: F401  (it keeps the clock that it finds)
import sys
import time

import factortopy.backbones.loading as networks
import factortopy.subjects.loading as subjects

SUBJECT, BACKBONE = "tiny", "tiny-net"
MANY, HELD = "tiny-many", "tiny-held"  # more pictures; a network that takes its time while the file $TINY_HOLD is there
IMAGES, VERTICES = 60, 24


def load_subject(path, subject=None, **how):
    """Sixty pictures of noise (or 1,500), 24 vertices that answer to what TinyNet sees."""
    if path not in (SUBJECT, MANY):
        return _load_subject(path, subject, **how)
    import numpy as np

    from factortopy.subjects.subject import Subject

    rng, n = np.random.default_rng(0), 1500 if path == MANY else IMAGES
    images = rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    seen = images.reshape(n, 4, 4, 4, 4, 3).mean((2, 4, 5))[:, :, :, None] / 255
    drive = seen.reshape(n, 16) @ rng.standard_normal((16, VERTICES))
    responses = (drive - drive.mean(0)) / drive.std(0) + 0.3 * rng.standard_normal((n, VERTICES))
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


def load_backbone(name, weights=None, on_progress=None):
    """Three layers of block means."""
    if name not in (BACKBONE, HELD):
        return _load_backbone(name, weights, on_progress)
    import torch

    from factortopy.backbones.base import Backbone

    class TinyNet(Backbone):
        layer_names, width, fingerprint = ("one", "two", "three"), 4, "tiny-1"

        def tokens(self, images):
            if self.name == HELD and os.path.exists(os.environ["TINY_HOLD"]):
                time.sleep(float(os.environ.get("TINY_PAUSE", 0.1)))
            pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
            maps = torch.nn.functional.avg_pool2d(pixels, 4)
            maps = torch.cat([maps, maps.mean(1, keepdim=True)], 1).permute(0, 2, 3, 1)
            local = [maps, maps**2, maps.sqrt()]
            return local, [layer.mean((1, 2)) for layer in local]

    net = TinyNet()
    net.name = name
    return net


def everywhere(old, new):
    """Put one function in another's place in every module that has imported it by now."""
    for module in [m for name, m in sys.modules.items() if name.startswith("factortopy")]:
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


def _known(check):
    return lambda name, *more: None if str(name).startswith("tiny") else check(name, *more)


_load_subject, _load_backbone = subjects.load_subject, networks.load_backbone
CHANGES = [
    (_load_subject, load_subject), (_load_backbone, load_backbone),
    (subjects.check_name, _known(subjects.check_name)), (networks.check_name, _known(networks.check_name)),
]  # fmt: skip
for change in CHANGES:
    everywhere(*change)

# What the queue's worker asks of the machine, where a test lends it something: GPUs that torch counts, a clock that runs
# $TINY_HASTE times as fast.
if os.environ.get("TINY_GPUS") and any("device_count" in word for word in sys.orig_argv):
    import torch

    torch.cuda.device_count = lambda: int(os.environ["TINY_GPUS"])
if os.environ.get("TINY_HASTE") and "factortopy.jobs.worker" in sys.orig_argv:
    _start, _monotonic = time.monotonic(), time.monotonic
    time.monotonic = lambda: _start + float(os.environ["TINY_HASTE"]) * (_monotonic() - _start)
