"""Designs of many vertices, block by block, and their sums over pictures."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

GRAM_BYTES = 2**28  # Gram matrices held at once
VERTICES = 512  # solved at once: their Gram matrices stay in a processor's cache


def part(cortex, rows):
    """Some vertices of what a model's cortex side gives."""
    return tuple(None if side is None else side[rows] for side in cortex)


@torch.no_grad()
def each_design(model, pictures, rows, cortex, n, vertices_at_once=256):
    """Yield (slice of ``rows``, slice of vertices, design (n, T, D)) over blocks of pictures and of ``n`` vertices.

    pictures : Pictures; rows : (R,) of them; cortex : what the model's cortex side gives of the vertices
    """
    for i in range(0, len(rows), 384):
        block = slice(i, min(i + 384, len(rows)))
        aligned = model.pictures(pictures.tokens(rows[block]))
        for j in range(0, n, vertices_at_once):
            k = slice(j, min(j + vertices_at_once, n))
            yield block, k, model.design(aligned, part(cortex, k)).expand(k.stop - k.start, -1, -1)


@dataclass
class Sums:
    """Sums over pictures, each as often as it was shown, of designs, responses and their products.

    count; x (n, D); y (n,); gram (n, D, D); moment (n, D)
    """

    count: float
    x: torch.Tensor
    y: torch.Tensor
    gram: torch.Tensor
    moment: torch.Tensor

    def of(self, vertices):
        """The same of some vertices."""
        return Sums(self.count, *(s[vertices] for s in (self.x, self.y, self.gram, self.moment)))

    def about(self, x, y):
        """Sums of what lies above x (n, D) and y (n,); the Gram matrices are written over."""
        rest_x, rest_y = self.x - self.count * x, self.y - self.count * y
        gram = self.gram.baddbmm_(x[:, :, None], self.x[:, None], alpha=-1)
        gram.baddbmm_(rest_x[:, :, None], x[:, None], alpha=-1)
        return Sums(self.count, rest_x, rest_y, gram, self.moment - x * self.y[:, None] - rest_x * y[:, None])


@torch.no_grad()
def by_designs(problem, model, vertices, cortex, offset, pieces=1):
    """Yield lists of (rows of ``vertices``, a call that gives ``Sums`` of their training and validation pictures): every design is made.

    cortex : what the model's cortex side gives of the vertices; offset : (n,) taken from the responses
    """
    order = reading_order(cortex, len(vertices)).to(problem.device)
    block = max(1024, GRAM_BYTES // (8 * model.dim**2)) // pieces
    for k in order.split(block):
        both = [
            _sums(model, pictures, vertices[k.cpu().numpy()], part(cortex, k), offset[k], 256 // pieces)
            for pictures in (problem.train_pictures, problem.val_pictures)
        ]
        parts = [slice(i, i + VERTICES // pieces) for i in range(0, len(k), VERTICES // pieces)]
        yield [(k[few], partial(_of, both, few)) for few in parts]


def _of(both, few):
    return tuple(sums.of(few) for sums in both)


def _sums(model, pictures, vertices, cortex, offset, at_once):
    n, dim, device = len(vertices), model.dim, offset.device
    gram, moment = torch.zeros(n, dim, dim, device=device), torch.zeros(n, dim, device=device)
    sum_x, sum_y, rows, last = (
        torch.zeros(n, dim, device=device),
        torch.zeros(n, device=device),
        np.arange(len(pictures)),
        None,
    )
    for block, k, x in each_design(model, pictures, rows, cortex, n, at_once):
        if block != last:
            last, count = block, torch.from_numpy(pictures.count[block]).to(x)
            y = (pictures.answers(rows[block], vertices) - offset).T
        counted = x if pictures.once else x * count[:, None]
        gram[k].baddbmm_(x.mT, counted)
        moment[k] += (counted.mT @ y[k, :, None])[..., 0]
        sum_x[k] += counted.sum(1)
        sum_y[k] += y[k] @ count
    return Sums(float(pictures.count.sum()), sum_x, sum_y, gram, moment)


def reading_order(cortex, n):
    """Order in which vertices that look at the same place stand together: they share their taps, so that the
    products of ``SharedTaps`` are few and large."""
    places = cortex[0] if cortex and cortex[0] is not None and cortex[0].ndim == 3 else None
    if places is None:
        return torch.arange(n)
    cell = ((places[:, 0] + 1) * 8).long()  # half cells of a grid of 8 × 8, which its taps depend on
    return (cell[:, 1] * 64 + cell[:, 0]).argsort(stable=True)
