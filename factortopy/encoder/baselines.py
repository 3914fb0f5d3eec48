"""The paper's baselines, models without selectors: what the factors are worth is measured against them.

Each gives a design v as ``model.Factorized`` does, (n, T, D), and is fitted by the same recipes; y = mean_d(w · v) + b.

- ``ClassToken``: v = mean_l B_l global_l, one design for all vertices.
- ``PatchToken``: v = mean_l MLP_l(all local tokens of layer l, flattened), one design for all vertices.
- ``GNet``: v_i = Σ_l Σ_k m_ilk · A_l local_lk, a pooling mask m_il over the picture for each vertex and layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from factortopy.encoder.model import Alignment
from factortopy.encoder.shared import Places

__all__ = ["MODELS", "ClassToken", "GNet", "PatchToken", "predict", "predict_ridge"]

HIDDEN = 128  # width of PatchToken's MLPs, as of the paper's other MLPs
# GNet's masks start at this, everywhere. Small against what an optimiser adds in a few steps: else the start would stay.
MASK = 0.01


class ClassToken(nn.Module):
    """Global tokens through a map of each layer, averaged over layers.

    problem : Problem; dim : channels D; generator : torch.Generator of the start
    """

    def __init__(self, problem, dim, generator):
        super().__init__()
        self.dim = dim
        self.heads = Alignment(problem.global_basis, dim, generator, problem.principal, problem.raw)

    def pictures(self, tokens):
        """(T, D)."""
        return mapped_heads(tokens[1], self.heads.reading(tokens[1]))

    def cortex(self, vertices=None):
        """Nothing: all vertices share one design."""
        return ()

    def design(self, pictures, cortex):
        """(1, T, D)."""
        return pictures[None]

    def table(self, pictures):
        """(1, T, 1, D), the rows that all vertices read."""
        return pictures[None, :, None]

    def places(self, cortex, n):
        """``Places`` of all vertices, the same."""
        return one_place(n, self.heads.weight[0].device)

    def regulariser(self, cortex, added=0.0):
        """0."""
        return self.heads.weight[0].new_zeros(())

    def exported(self):
        """Maps of raw tokens: tensors map.LLL (C_l, D), offset.LLL (D,)."""
        return _numbered(map=self.heads.raw_maps()[0], offset=self.heads.raw_maps()[1])


class PatchToken(nn.Module):
    """All local tokens of a layer, flattened, through its own MLP (K·k_l → 128 → D, GELU), averaged over layers."""

    def __init__(self, problem, dim, generator):
        super().__init__()
        self.dim, self.bases, self.raw = dim, problem.local_basis, problem.raw and problem.principal
        self.first, self.first_bias, self.second, self.second_bias = (nn.ParameterList() for _ in range(4))
        for basis in self.bases:
            inputs = problem.grid**2 * len(basis.variance)
            for weight, bias, rows, columns in (
                (self.first, self.first_bias, inputs, HIDDEN),
                (self.second, self.second_bias, HIDDEN, dim),
            ):  # as PyTorch starts linear layers
                for parameters, shape in ((weight, (rows, columns)), (bias, (columns,))):
                    start = (2 * torch.rand(shape, generator=generator) - 1) / rows**0.5
                    parameters.append(nn.Parameter(start.to(basis.variance.device)))

    def pictures(self, tokens):
        """(T, D)."""
        scores = [t @ b.matrix for t, b in zip(tokens[0], self.bases, strict=True)] if self.raw else tokens[0]
        return through_mlps(scores, self.first, self.first_bias, self.second, self.second_bias)

    def cortex(self, vertices=None):
        """Nothing: all vertices share one design."""
        return ()

    def design(self, pictures, cortex):
        """(1, T, D)."""
        return pictures[None]

    def table(self, pictures):
        """(1, T, 1, D), the rows that all vertices read."""
        return pictures[None, :, None]

    def places(self, cortex, n):
        """``Places`` of all vertices, the same."""
        return one_place(n, self.first[0].device)

    def regulariser(self, cortex, added=0.0):
        """0."""
        return self.first_bias[0].new_zeros(())

    def exported(self):
        """matrix.LLL (C_l, k_l) or (C_l,), shift.LLL (k_l,) of the scores, and the MLPs' tensors."""
        return _numbered(
            matrix=[b.on_raw().matrix for b in self.bases], shift=[b.on_raw().offset for b in self.bases],
            first=self.first, first_bias=self.first_bias, second=self.second, second_bias=self.second_bias,
        )  # fmt: skip


class GNet(nn.Module):
    """Local tokens pooled with a mask of each vertex and layer (as in GNet), summed over layers; no global tokens.

    The masks are free numbers, (N, L·K): an eighth of a second an optimiser step at 38,000 vertices of 12 layers.
    """

    def __init__(self, problem, dim, generator):
        super().__init__()
        self.dim = dim
        self.local = Alignment(problem.local_basis, dim, generator, problem.principal, problem.raw)
        size = len(problem.coords), len(problem.local_basis) * problem.grid**2
        self.mask = nn.Parameter(torch.full(size, MASK, device=problem.device))

    def pictures(self, tokens):
        """(L·K, T·D)."""
        return mapped_rows(tokens[0], self.local.reading(tokens[0]))

    def cortex(self, vertices=None):
        """Masks (n, L·K) of ``vertices`` (row indices; None for all)."""
        return (self.mask if vertices is None else self.mask[vertices],)

    def design(self, pictures, cortex):
        """(n, T, D)."""
        return (cortex[0] @ pictures).view(len(cortex[0]), -1, self.dim)

    def regulariser(self, cortex, added=0.0):
        """0."""
        return self.mask.new_zeros(())

    def exported(self):
        """Maps of raw tokens, map.LLL (C_l, D) and offset.LLL (D,), and the mask (N, L·K)."""
        return _numbered(map=self.local.raw_maps()[0], offset=self.local.raw_maps()[1]) | {"mask": self.mask}


MODELS = {"classtoken": ClassToken, "patchtoken": PatchToken, "gnetvit": GNet}


def one_place(n, device):
    """``Places`` of n vertices that read the only row there is."""
    one = torch.ones(n, 1, device=device)
    return Places(torch.zeros(n, 1, dtype=torch.long, device=device), one, one)


# ---------------------------------------------------------------- the same on raw tokens and on scores


def mapped_heads(global_, maps, offsets=None):
    """(T, D) mean over layers of global tokens (T, C_l), each through its map (C_l, D)."""
    heads = [token @ m for token, m in zip(global_, maps, strict=True)]
    if offsets is not None:
        heads = [h + o for h, o in zip(heads, offsets, strict=True)]
    return torch.stack(heads).mean(0)


def mapped_rows(local, maps, offsets=None):
    """(L·K, T·D) local tokens (T, K, C_l) of all layers, each layer through its map (C_l, D)."""
    rows = [tokens @ m for tokens, m in zip(local, maps, strict=True)]
    if offsets is not None:
        rows = [r + o for r, o in zip(rows, offsets, strict=True)]
    return torch.cat([r.transpose(0, 1) for r in rows]).flatten(1)


def through_mlps(local, first, first_bias, second, second_bias):
    """(T, D) mean over layers of MLPs of the flattened tokens (T, K, k_l)."""
    out = 0
    for tokens, a, a0, b, b0 in zip(local, first, first_bias, second, second_bias, strict=True):
        out = out + torch.addmm(b0, F.gelu(torch.addmm(a0, tokens.flatten(1), a)), b)
    return out / len(first)


def predict(model, tensors, local, global_):
    """Predicted responses (T, N) tensor of a fitted baseline.

    model : name; tensors : {name: tensor} as ``exported`` and ``Readout`` give; local, global_ : raw tokens, lists over
    layers of (T, K, C_l) and (T, C_l) float32 tensors
    """

    def part(name):
        return [tensors[key] for key in sorted(tensors) if key.startswith(f"{name}.")]

    weight, bias = tensors["weight"], tensors["bias"]
    if model == "gnetvit":
        rows = mapped_rows(local, part("map"), part("offset"))
        out = []
        for i in range(0, len(weight), 256):  # vertices at once
            k = slice(i, i + 256)
            seen = (tensors["mask"][k] @ rows).view(len(weight[k]), -1, weight.shape[1])
            out.append((seen @ weight[k, :, None])[..., 0])
        return torch.cat(out).T / weight.shape[1] + bias
    if model == "classtoken":
        seen = mapped_heads(global_, part("map"), part("offset"))
    else:
        bases = zip(local, part("matrix"), part("shift"), strict=True)
        scores = [(t @ m if m.ndim == 2 else t * m) + s for t, m, s in bases]
        seen = through_mlps(scores, *(part(name) for name in ("first", "first_bias", "second", "second_bias")))
    return seen @ weight.T / weight.shape[1] + bias


def _numbered(**lists):
    """{name.LLL: tensor} of lists over layers."""
    return {f"{name}.{i:03d}": t for name, layers in lists.items() for i, t in enumerate(layers)}


def predict_ridge(tensors, info, local):
    """Predicted responses (T, N) of a fitted encoder; its tensors, and local tokens of all layers (T, grid², C)."""
    parts = [
        pool(local[l], tensors[f"project.{i:03d}"], side)
        for i, (l, side) in enumerate(zip(info["layers"], info["sides"], strict=True))
    ]
    seen = (torch.cat(parts, 1) - tensors["mean"]) / tensors["std"]
    return seen @ tensors["weight"] + tensors["bias"]


def pool(tokens, projection, side):
    """(T, grid², C) tokens -> (T, side² · c): projected, then averaged over the cells of the coarser grid."""
    grid = round(tokens.shape[1] ** 0.5)
    seen = (tokens @ projection).view(len(tokens), grid, grid, -1).permute(0, 3, 1, 2)
    return F.adaptive_avg_pool2d(seen, side).flatten(1)
