"""Encoders made by hand over small networks whose gradients reach the pixels; for the tests of the lab."""

import numpy as np
import torch
import torch.nn.functional as F
from small_network import SmallNetwork

from factortopy.backbones.base import Backbone
from factortopy.encoder import Encoder
from factortopy.encoder.selectors import Selectors
from factortopy.surfaces.coordinates import Vertices


class ColourNetwork(SmallNetwork):
    """Layer "fine" holds the mean colour of each of 8 × 8 patches, "coarse" more of 4 × 4."""

    input_size = 32
    tokens = Backbone.tokens  # through pixel_tokens

    def pixel_tokens(self, pixels):
        colours = pixels * self.gain
        fine = F.adaptive_avg_pool2d(colours, self.sides[0])
        coarse = F.adaptive_avg_pool2d(torch.cat([colours, 1 - colours**2], 1), self.sides[1])
        local = [fine.permute(0, 2, 3, 1), coarse.permute(0, 2, 3, 1)]
        return local, [t.mean((1, 2)) for t in local]


def colour_encoder():
    """Twelve vertices that read one colour at one place: the mean of a patch, 0 … 1, in four ROIs of three.

    "red left", "blue left", "green right", "blue right": ROIs at x = −0.5 or 0.5, a height for each vertex.
    """
    names = {"red left": (0, -0.5), "blue left": (2, -0.5), "green right": (1, 0.5), "blue right": (2, 0.5)}
    space, channel = [], []
    for colour, x in names.values():
        for y in (-0.375, 0.125, 0.375):
            space.append((x, y))
            channel.append(3 * np.eye(3)[colour])  # the readout is the mean over three channels
    selectors = Selectors(
        np.array(space, np.float32), np.tile(np.float32([1, 0]), (12, 1)), np.zeros(12, np.float32),
        np.array(channel, np.float32),
    )  # fmt: skip
    maps, none = [np.eye(3, dtype=np.float32), np.zeros((6, 3), np.float32)], [np.zeros(3, np.float32)] * 2
    rois = {name: np.arange(12) // 3 == i for i, name in enumerate(names)}
    return over(ColourNetwork(), selectors, maps, none, rois)


def random_encoder(network, n=20, dim=8, seed=0):
    """``n`` vertices that read a network's layers at random, "first" half of them an ROI."""
    rng = np.random.default_rng(seed)
    side = network.input_size
    local, _ = network.tokens(rng.integers(0, 256, (4, side, side, 3), dtype=np.uint8))
    maps = [
        (rng.standard_normal((t.shape[-1], dim)) / (t.shape[-1] ** 0.5 * float(t.std()))).astype(np.float32)
        for t in local
    ]
    layer = rng.dirichlet(np.ones(len(local)), n)
    selectors = Selectors(
        rng.uniform(-0.8, 0.8, (n, 2)).astype(np.float32), layer.astype(np.float32), rng.random(n).astype(np.float32),
        rng.standard_normal((n, dim)).astype(np.float32),
    )  # fmt: skip
    offsets = [np.zeros(dim, np.float32)] * len(local)
    return over(network, selectors, maps, offsets, {"first": np.arange(n) < n // 2, "last": np.arange(n) >= n // 2})


def over(network, selectors, maps, offsets, rois):
    """The simulated encoder of selectors and alignments, alike for local and global tokens, over a network at hand."""
    n = len(selectors.scale)
    alignment = {"local": maps, "global": maps, "local_offset": offsets, "global_offset": offsets}
    encoder = Encoder(
        selectors, alignment, np.zeros(n, np.float32), Vertices(np.arange(n) * 2 // n, np.arange(n) % (n // 2)),
        list(network.layer_names), 8, info={"backbone": network.name, "simulated": True}, rois=rois,
    )  # fmt: skip
    encoder._backbone = network
    return encoder
