"""A real, tiny network for the tests of feature extraction; also imported by processes that a test kills."""

import numpy as np
import torch
import torch.nn.functional as F

from factortopy.backbones.base import Backbone


class SmallNetwork(Backbone):
    """Two layers of colours, averaged over patches; counts what it is asked for.

    ``gain`` stands for the weights: it changes tokens and fingerprint.
    """

    layer_names = ("fine", "coarse")
    width = 6
    input_size = 16

    def __init__(self, gain=1.0, sides=(8, 4)):
        self.name, self.gain, self.sides = "small", gain, sides
        self.fingerprint = f"small-{gain}-{sides}"
        self.calls, self.pictures = 0, 0

    def tokens(self, images):
        assert images.dtype == np.uint8 and images.ndim == 4
        self.calls, self.pictures = self.calls + 1, self.pictures + len(images)
        colours = torch.from_numpy(images).permute(0, 3, 1, 2).float() * (self.gain / 255)
        fine = F.adaptive_avg_pool2d(colours, self.sides[0])
        coarse = F.adaptive_avg_pool2d(torch.cat([colours, 1 - colours**2], 1), self.sides[1])
        local = [fine.permute(0, 2, 3, 1), coarse.permute(0, 2, 3, 1)]
        return local, [t.amax((1, 2)) for t in local]


def pictures(n, size=16, seed=0):
    """(n, size, size, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
