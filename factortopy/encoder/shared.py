"""Sums over pictures for vertices that read few rows in common: no design is ever made.

A vertex reads the rows of a few places a, s_ia of each, and mixes the layers of all with one ω_i: v_i = Σ_a s_ia Σ_l ω_il x_al. So its
Gram matrix is a mixture of products of rows,

    Σ_t v_i v_iᵀ = Σ_ab s_ia s_ib Σ_ll' ω_il ω_il' Σ_t x_al x_bl'ᵀ

Vertices that look at the same cells have the same products, and neighbours have most of them in common: on a grid of 8 × 8 there
are 339 pairs of places in all, each one large matrix product, however many the vertices are.
"""

from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement

import numpy as np
import torch

from factortopy.encoder.designs import Sums

PRODUCT_BYTES = 2**31  # products of rows held at once
BLOCK_BYTES = 2**28  # rows, and responses, read at once
VERTICES = 512  # whose Gram matrices are mixed at once: they stay in a processor's cache
SLOWER = 5  # multiply-adds of designs, small products, against those of large ones: an estimate


@dataclass
class Places:
    """What vertices read of a table (C, T, L·D).

    cells : (n, c) rows of the table, rising; share : (n, c) of each; layer : (n, L)
    """

    cells: torch.Tensor
    share: torch.Tensor
    layer: torch.Tensor

    def of(self, k):
        """The same of some vertices."""
        return Places(self.cells[k], self.share[k], self.layer[k])

    def groups(self):
        """List of (slice, cells) of vertices in order that read the same rows."""
        _, counts = torch.unique_consecutive(self.cells[:, 0], return_counts=True)
        ends = counts.cumsum(0).tolist()
        starts = [0, *ends[:-1]]
        return [(slice(i, j), tuple(self.cells[i].tolist())) for i, j in zip(starts, ends, strict=True)]


def pairs_of(cells):
    return list(combinations_with_replacement(cells, 2))


def passes(places, dim, pieces=1):
    """List of lists of groups whose products are held at once."""
    width = places.layer.shape[1] * dim
    most = max(1, PRODUCT_BYTES // (8 * width**2) // pieces)  # for training and validation
    out, held = [], set()
    for group in places.groups():
        more = held.union(pairs_of(group[1]))
        if not out or len(more) > most:
            out.append([])
            more = set(pairs_of(group[1]))
        out[-1].append(group)
        held = more
    return out


def by_products(problem, model, vertices, cortex, offset, pieces=1):
    """As ``designs.by_designs``, from products of shared rows; None where designs are less work, or rows are not shared.

    model : ``places`` tells what vertices read, and ``table`` gives the rows
    """
    places = model.places(cortex, len(vertices)) if hasattr(model, "places") else None
    n_pictures = len(problem.train_pictures) + len(problem.val_pictures)
    return (
        _each(problem, model, vertices, places, offset, pieces)
        if places is not None and _pays(places, model.dim, n_pictures)
        else None
    )


def _pays(places, dim, n_pictures):
    """Whether products of rows, and their mixtures, are less work than the vertices' designs and Gram matrices."""
    n, cells = places.cells.shape
    width = places.layer.shape[1] * dim
    pairs = {pair for group in places.cells.unique(dim=0).tolist() for pair in pairs_of(tuple(group))}
    shared = n_pictures * (len(pairs) * width**2 + n * cells * width) + n * (cells * width) ** 2 / 2
    return shared < SLOWER * n_pictures * n * (cells * width + dim**2)


@torch.no_grad()
def _each(problem, model, vertices, places, offset, pieces):
    order = places.cells[:, 0].argsort(stable=True)
    places, offset, vertices = places.of(order), offset[order], vertices[order.cpu().numpy()]
    for groups in passes(places, model.dim, pieces):
        held = slice(groups[0][0].start, groups[-1][0].stop)
        arguments = model, vertices[held], places.of(held), groups, offset[held], pieces
        train, val = (Products(pictures, *arguments) for pictures in (problem.train_pictures, problem.val_pictures))
        parts = [
            (slice(i, min(i + VERTICES, group.stop)), cells)
            for group, cells in train.groups
            for i in range(group.start, group.stop, VERTICES)
        ]
        yield [(order[held][k], partial(_both, train, val, k, cells)) for k, cells in parts]


def _both(train, val, k, cells):
    return train.sums(k, cells), val.sums(k, cells)


class Products:
    """Products of rows over the pictures of a part of the split, and of rows with responses.

    pictures : Pictures; model : gives ``table``; vertices : (n,); places : Places of them; groups : theirs, of ``passes``
    offset : (n,) taken from the responses; pieces : the pictures are read in so many times smaller blocks
    """

    def __init__(self, pictures, model, vertices, places, groups, offset, pieces):
        device, dim, first = pictures.problem.device, model.dim, groups[0][0].start
        self.places, self.dim, self.count = places, dim, float(pictures.count.sum())
        self.groups = [(slice(k.start - first, k.stop - first), cells) for k, cells in groups]
        width, wanted = places.layer.shape[1] * dim, sorted({pair for _, cells in groups for pair in pairs_of(cells)})
        self.pairs = {pair: torch.zeros(width, width, device=device) for pair in wanted}
        self.x, self.y = 0, torch.zeros(len(vertices), device=device)
        self.moment = torch.zeros(len(vertices), dim, device=device)
        at_once = BLOCK_BYTES // pieces // (4 * (len(vertices) + (1 + wanted[-1][1]) * width))
        for rows in np.array_split(np.arange(len(pictures)), -(-len(pictures) // max(64, at_once))):
            root = torch.from_numpy(pictures.count[rows] ** 0.5).float().to(device)
            table = _table(model, pictures, rows, max(16, 256 // pieces)).mul_(root[:, None])
            response = pictures.answers(rows, vertices).sub_(offset).mul_(root[:, None])
            self._add(table, response, root)
        for pair in wanted:  # one by one: the whole products go as the halves come
            self.pairs[pair] = packed(self.pairs[pair], dim)

    def _add(self, table, response, root):
        """table (C, T, L·D), response (T, n), both times the root (T,) of the number of trials."""
        self.x = self.x + table.mT @ root
        self.y += root @ response
        for (a, b), product in self.pairs.items():
            product.addmm_(table[a].T, table[b])
        for group, cells in self.groups:
            for i in range(group.start, group.stop, VERTICES):
                k = slice(i, min(i + VERTICES, group.stop))
                layer, share = self.places.layer[k, :, None], self.places.share[k]
                for j, cell in enumerate(cells):
                    seen = (response[:, k].T @ table[cell]).view(k.stop - i, -1, self.dim)
                    self.moment[k] += share[:, j, None] * (layer * seen).sum(1)

    def sums(self, k, cells):
        """``Sums`` of some vertices that read the rows ``cells``."""
        share, layer, dim = self.places.share[k], self.places.layer[k], self.dim
        order = pairs_of(range(len(cells)))
        both = torch.stack([share[:, a] * share[:, b] * (0.5 if a == b else 1) for a, b in order], 1)
        layers = (layer[:, :, None] * layer[:, None]).flatten(1)
        products = torch.cat([self.pairs[cells[a], cells[b]] for a, b in order])
        gram = unpacked((both[:, :, None] * layers[:, None]).flatten(1) @ products, dim)
        x = torch.einsum("na,nl,ald->nd", share, layer, self.x[list(cells)].view(len(cells), -1, dim))
        return Sums(self.count, x, self.y[k], gram, self.moment[k])


def _table(model, pictures, rows, at_once):
    """(C, T, L·D) aligned rows of pictures, of a few of them at a time: their tokens are many times larger."""
    table = None
    for i in range(0, len(rows), at_once):
        few = model.table(model.pictures(pictures.tokens(rows[i : i + at_once])))
        if table is None:
            table = few.new_empty(len(few), len(rows), *few.shape[2:])
        table[:, i : i + at_once] = few
    return table.flatten(2)


def packed(product, dim):
    """(L², D (D + 1) / 2) upper halves of P + Pᵀ for the D × D blocks P of a product (L·D, L·D)."""
    n = len(product) // dim
    blocks = product.view(n, dim, n, dim).transpose(1, 2)
    upper = torch.triu_indices(dim, dim, device=product.device)
    return (blocks + blocks.mT).reshape(n * n, dim * dim)[:, upper[0] * dim + upper[1]]


def unpacked(halves, dim):
    """(n, D, D) symmetric matrices of their upper halves."""
    upper = torch.triu_indices(dim, dim, device=halves.device)
    place = torch.zeros(dim, dim, dtype=torch.long, device=halves.device)
    place[upper[0], upper[1]] = place[upper[1], upper[0]] = torch.arange(upper.shape[1], device=halves.device)
    return halves.index_select(1, place.flatten()).view(-1, dim, dim)
