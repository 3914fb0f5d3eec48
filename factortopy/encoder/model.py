"""The factorized, topological encoder: position on the cortex -> where, which layer, which scale -> response.

For vertex i at x_i, with PE a sinusoidal encoding of the position ("Brain Decodes Deep Nets", section 3):

    space u_i = tanh(MLP(PE(x_i)))     layer ω_i = softmax(MLP(PE(x_i)))     scale g_i = sigmoid(MLP(PE(x_i)))
    v_i = Σ_l ω_il · [ (1 − g_i) · A_l local_l(u_i) + g_i · B_l global_l ]
    y_i = mean_d(w_id · v_id) + b_i

The MLPs are smooth functions of the position, so that nearby vertices choose alike.
"""

import math

import torch
from torch import nn

FREQUENCIES = 32
FACTORS = ("space", "layer", "scale")


def encode_position(coords):
    """Sinusoidal encoding: (N, 3) coordinates in [0, 100] -> (N, 192); 32 frequencies 1000^(−k/32) an axis."""
    angle = coords[:, :, None] * 1000.0 ** (-torch.arange(FREQUENCIES, device=coords.device) / FREQUENCIES)
    return torch.cat([angle.sin(), angle.cos()], dim=2).flatten(1)


class SelectorNetwork(nn.Module):
    """Selectors of every vertex; smooth over the cortex, or free per vertex (``topology=False``).

    coords : (N, 3) tensor in [0, 100]. A factor that is not in ``select`` is switched off: layers averaged, positions
    averaged (``space`` None), local and global averaged.
    """

    def __init__(self, coords, n_layers, topology=True, select=FACTORS):
        super().__init__()
        self.topology, self.select, self.n_layers = topology, tuple(select), n_layers
        self.register_buffer("position", encode_position(coords), persistent=False)
        outputs = {"space": 2, "layer": n_layers, "scale": 1}
        if topology:
            self.factors = nn.ModuleDict({name: _mlp(outputs[name]) for name in self.select})
        else:
            self.factors = nn.ParameterDict(
                {n: nn.Parameter(torch.zeros(len(coords), outputs[n])) for n in self.select}
            )

    def forward(self, vertices=None):
        """space (n, 2) or None, layer (n, L), scale (n, 1) of ``vertices`` (row indices; None for all)."""
        rows = slice(None) if vertices is None else vertices
        position = self.position[rows]

        def raw(name):
            return self.factors[name](position) if self.topology else self.factors[name][rows]

        uniform = position.new_full((len(position), self.n_layers), 1 / self.n_layers)
        space = raw("space").tanh() if "space" in self.select else None
        layer = raw("layer").softmax(-1) if "layer" in self.select else uniform
        scale = raw("scale").sigmoid() if "scale" in self.select else position.new_full((len(position), 1), 0.5)
        return space, layer, scale


def _mlp(outputs):
    net = nn.Sequential(
        nn.Linear(6 * FREQUENCIES, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, outputs, bias=False)
    )
    nn.init.zeros_(net[-1].weight)
    return net


def taps(space, grid):
    """Bilinear sampling at ``space`` (n, 2) on a grid: grid_sample with align_corners=False and zeros outside.

    Returns
    -------
    cells : (n, 4) int64, rows of the flattened grid (y · grid + x)
    weights : (n, 4), 0 for a tap outside the picture
    """
    at = (space + 1) * grid / 2 - 0.5
    low = at.detach().floor()
    cells, weights = [], []
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            inside = (x >= 0) & (x < grid) & (y >= 0) & (y < grid)
            weight = (1 - (at[:, 0] - x).abs()) * (1 - (at[:, 1] - y).abs())
            weights.append(torch.where(inside, weight, torch.zeros_like(weight)))
            cells.append((y.clamp(0, grid - 1) * grid + x.clamp(0, grid - 1)).long())
    return torch.stack(cells, 1), torch.stack(weights, 1)


class SharedTaps(torch.autograd.Function):
    """Σ over layers and taps of weight × token row, for vertices that share grid cells: a matrix product a group.

    A vertex needs 4 taps × L layers of the L·K rows; vertices whose taps lie in the same cells read the same 4·L rows.
    Measured on 2 cores against the dense product with (n, L·K) weights: docs/encoder.md.
    """

    @staticmethod
    def forward(ctx, rows, weight, cells):
        """rows (L·K, M), weight (n, L, 4), cells (n, 4) -> (n, M)."""
        n, n_layers, _ = weight.shape
        first = torch.arange(n_layers, device=rows.device)[:, None] * (len(rows) // n_layers)
        shared, group = torch.unique(cells, dim=0, return_inverse=True)
        order = group.argsort()
        members = order.split(group.bincount(minlength=len(shared)).tolist())
        picks = [(first + cell).flatten() for cell in shared]
        out = rows.new_empty(n, rows.shape[1])
        flat = weight.flatten(1)
        for vertices, pick in zip(members, picks, strict=True):
            out[vertices] = flat[vertices] @ rows[pick]
        ctx.save_for_backward(rows, weight)
        ctx.groups = members, picks
        return out

    @staticmethod
    def backward(ctx, gradient):
        rows, weight = ctx.saved_tensors
        flat, to_rows, to_weight = weight.flatten(1), torch.zeros_like(rows), torch.empty_like(weight.flatten(1))
        for vertices, pick in zip(*ctx.groups, strict=True):
            part = gradient[vertices]
            to_weight[vertices] = part @ rows[pick].T
            # Taps outside the picture point at a cell that may be another tap's, too: add, do not assign.
            to_rows.index_add_(0, pick, flat[vertices].T @ part)
        return to_rows, to_weight.view_as(weight), None


class Alignment(nn.Module):
    """One linear map per layer and scale, channels C_l -> D, applied to standardised tokens.

    The aligned features have mean 0 and variance 1 over the training images, so that ω and g alone say how much of a
    layer or scale a vertex takes: columns are divided by sqrt(aᵀ Σ a), Σ the covariance of the layer's tokens.

    means, covariances : lists over layers of (C_l,) and (C_l, C_l), of raw tokens over the training images.
    """

    def __init__(self, means, covariances, dim, generator):
        super().__init__()
        self.dim = dim
        self.weight = nn.ParameterList()
        self._means, self._stds, self._correlations = [], [], []
        for mean, cov in zip(means, covariances, strict=True):
            std = cov.diagonal().clamp_min(0).sqrt()
            # A channel that never varies carries nothing: leave it out instead of dividing by nothing.
            std = torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, torch.full_like(std, math.inf))
            self._means.append(mean)
            self._stds.append(std)
            self._correlations.append(cov / std[:, None] / std)
            start = torch.randn(len(mean), max(len(mean), dim), generator=generator)
            start = torch.linalg.qr(start)[0] if len(mean) >= dim else start / len(mean) ** 0.5
            self.weight.append(nn.Parameter(start[:, :dim].to(mean.device).contiguous()))

    def maps(self):
        """Lists over layers of matrices (C_l, D) and offsets (D,) that take raw tokens to aligned features."""
        matrices, offsets = [], []
        for weight, mean, std, corr in zip(self.weight, self._means, self._stds, self._correlations, strict=True):
            variance = (weight * (corr @ weight)).sum(0)
            matrix = weight / variance.clamp_min(1e-12).sqrt() / std[:, None]
            matrices.append(matrix)
            offsets.append(-(mean @ matrix))
        return matrices, offsets


def align(local, global_, local_maps, global_maps):
    """Aligned features of a batch of T pictures.

    local : list over layers of (T, K, C_l), K = grid²; global_ : list of (T, C_l); maps as ``Alignment.maps`` gives.

    Returns
    -------
    (L·K, T·D) and (L, T·D) tensors.
    """
    rows, heads = [], []
    for tokens, token, a, a0, b, b0 in zip(local, global_, *local_maps, *global_maps, strict=True):
        aligned = torch.addmm(a0, tokens.reshape(-1, tokens.shape[2]), a)
        rows.append(aligned.view(len(tokens), tokens.shape[1], -1).transpose(0, 1).reshape(tokens.shape[1], -1))
        heads.append(torch.addmm(b0, token, b).reshape(-1))
    return torch.cat(rows), torch.stack(heads)


def read_out(rows, heads, space, layer, scale, grid, dim):
    """v of every vertex and picture, (n, T, D).

    rows, heads : as ``align`` gives; space (n, 2) or None (all positions averaged), layer (n, L), scale (n, 1).
    """
    local = layer * (1 - scale)
    if space is None:
        seen = local @ rows.view(layer.shape[1], grid * grid, -1).mean(1)
    else:
        cells, weights = taps(space, grid)
        seen = SharedTaps.apply(rows, local[:, :, None] * weights[:, None, :], cells)
    return torch.addmm(seen, layer * scale, heads).view(len(layer), -1, dim)
