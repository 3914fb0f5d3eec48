"""The encoder in the obvious way, after the paper's pseudocode: the reference of benchmarks/encoder.py.

docs/maths.md with the settings of ``paper``, in one file, independent of ``factortopy.encoder``: every layer's aligned
tokens are interpolated for every vertex with one ``F.grid_sample``, layers are added up, channel weights are parameters
like all others.

    model = PlainEncoder(coords, channels=[96] * 6)
    y = model(local, global_)      # (batch, N) from lists over layers of (batch, h, w, C_l) and (batch, C_l)
"""

import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def encode_position(coords):
    """Sinusoidal encoding: (N, 3) coordinates in [0, 100] -> (N, 192)."""
    angle = coords[:, :, None] * 1000 ** (-torch.arange(32) / 32)
    return torch.cat([angle.sin(), angle.cos()], dim=2).flatten(1)


def mlp(outputs):
    net = nn.Sequential(
        nn.Linear(192, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, outputs, bias=False)
    )
    nn.init.zeros_(net[-1].weight)
    return net


class PlainEncoder(nn.Module):
    """coords : (N, 3) in [0, 100]; channels : C_l of every layer; dim : aligned channels D."""

    def __init__(self, coords, channels, dim=128):
        super().__init__()
        self.register_buffer("position", encode_position(torch.as_tensor(coords)))
        self.space, self.layer, self.scale = mlp(2), mlp(len(channels)), mlp(1)
        self.local = nn.ModuleList(nn.Linear(c, dim, bias=False) for c in channels)
        self.global_ = nn.ModuleList(nn.Linear(c, dim, bias=False) for c in channels)
        self.channel = nn.Linear(dim, len(coords))  # w and b of every vertex

    def selectors(self):
        """space (N, 2), layer (N, L), scale (N, 1)."""
        p = self.position
        return self.space(p).tanh(), self.layer(p).softmax(-1), self.scale(p).sigmoid()

    def forward(self, local, global_, selectors=None):
        """Standardised tokens -> responses (batch, N)."""
        space, layer, scale = selectors or self.selectors()
        where = space.view(1, -1, 1, 2).expand(len(local[0]), -1, -1, -1)  # (batch, N, 1, 2)
        g, v = scale[:, 0], 0
        for l, (tokens, token) in enumerate(zip(local, global_)):
            aligned = self.local[l](tokens).permute(0, 3, 1, 2)  # (batch, D, h, w)
            seen = F.grid_sample(aligned, where, mode="bilinear", padding_mode="zeros", align_corners=False)
            everywhere = self.global_[l](token)[:, :, None]  # (batch, D, 1)
            v = v + layer[:, l] * ((1 - g) * seen[..., 0] + g * everywhere)  # (batch, D, N)
        return (self.channel.weight.T * v).mean(1) + self.channel.bias


def regulariser(layer, scale):
    """mean_i Σ_l ω log ω / log L + mean_i (g − ½)²."""
    entropy = (layer * layer.clamp_min(1e-9).log()).sum(1).mean() / math.log(layer.shape[1])
    return entropy + ((scale - 0.5) ** 2).mean()


def standardised(layer, pictures, grid=8):
    """Tokens (n, h, w, C) or (n, C) as a float32 tensor: resized to the grid, mean 0 and deviation 1 over ``pictures``."""
    tokens = torch.from_numpy(np.array(layer)).float()
    if tokens.ndim == 4 and tokens.shape[1:3] != (grid, grid):
        tokens = tokens.permute(0, 3, 1, 2)
        tokens = F.interpolate(tokens, (grid, grid), mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    known = tokens[pictures].flatten(0, -2)
    return (tokens - known.mean(0)) / known.std(0).clamp_min(1e-6)


def in_span(coords):
    """Coordinates of a caller's own making, stretched to [0, 100] by one factor."""
    coords = coords - coords.min(0)
    return (coords * (100 / coords.max())).astype(np.float32)


class PlainFit:
    """Training with the settings of ``paper``: AdamW 1e-3, batch 8, smooth L1, regulariser that decays over 6,000 steps.

    subject : Subject of one trial a picture; features : Features; both are held in memory (the device's where it is a
    GPU), tokens standardised once.
    """

    def __init__(self, subject, features, dim=128, batch=8, seed=0, device="cpu"):
        torch.manual_seed(seed)
        self.split, self.batch, self.steps = subject.split, batch, 0
        self.local = [standardised(layer, self.split.train).to(device) for layer in features.local]
        self.global_ = [standardised(layer, self.split.train).to(device) for layer in features.global_]
        self.responses = torch.from_numpy(np.array(subject.responses)).to(device)
        coords = in_span(subject.coords) if subject.coords_given else subject.coords
        self.model = PlainEncoder(coords, [layer.shape[-1] for layer in features.local], dim).to(device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=1e-2)
        self.rng = np.random.default_rng(seed)

    def tokens(self, rows):
        return [layer[rows] for layer in self.local], [layer[rows] for layer in self.global_]

    def step(self):
        """One step of training; returns the loss."""
        rows = self.rng.choice(self.split.train, min(self.batch, len(self.split.train)), replace=False)
        space, layer, scale = self.model.selectors()
        y = self.model(*self.tokens(rows), (space, layer, scale))
        strength = 0.1 * max(0, 1 - self.steps / 6000)
        loss = F.smooth_l1_loss(y, self.responses[rows], beta=0.1) + strength * regulariser(layer, scale)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        return loss.item()

    @torch.no_grad()
    def predict(self, rows):
        """(len(rows), N) predicted responses."""
        return torch.cat([self.model(*self.tokens(rows[i : i + 8])) for i in range(0, len(rows), 8)])

    def score(self, rows):
        """(N,) R² on trials."""
        y = self.responses[rows]
        return (1 - ((y - self.predict(rows)) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)).cpu().numpy()

    def run(self, seconds, every=200, report=lambda point: None, begun=None):
        """Train for a time, validating every so many steps and at the end.

        begun : ``time.perf_counter()`` that the time counts from; now when None

        Returns
        -------
        list of (seconds, steps, mean R² on validation trials)
        """
        begun, history = begun or time.perf_counter(), []
        while True:
            self.step()
            late = time.perf_counter() - begun >= seconds
            if late or self.steps % every == 0:
                score = float(self.score(self.split.val).mean())
                history.append((time.perf_counter() - begun, self.steps, score))
                report(history[-1])
            if late:
                return history
