"""The factorized, topological encoder: position on the cortex -> where, which layer, which scale -> response.

For vertex i at x_i, with PE a sinusoidal encoding of the position ("Brain Decodes Deep Nets", section 3):

    space u_i = tanh(MLP(PE(x_i)))     layer ω_i = softmax(MLP(PE(x_i)))     scale g_i = sigmoid(MLP(PE(x_i)))
    v_i = Σ_l ω_il · [ (1 − g_i) · A_l local_l(u_i) + g_i · B_l global_l ]
    y_i = mean_d(w_id · v_id) + b_i

The MLPs are smooth functions of the position, so that nearby vertices choose alike. `SelectorNetwork` is the cortex's side
(x_i -> u, ω, g), `Alignment` the pictures' (A_l, B_l), `read_out` makes v of both, and `Factorized` puts them together.
Channel weights w and bias b belong to the recipe that fits them.
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
    averaged (``space`` None), local and global averaged. ``space_samples`` places a vertex looks at, averaged.
    """

    def __init__(self, coords, n_layers, topology=True, select=FACTORS, space_samples=1):
        super().__init__()
        self.topology, self.select, self.n_layers, self.space_samples = topology, tuple(select), n_layers, space_samples
        self.register_buffer("position", encode_position(coords), persistent=False)
        outputs = {"space": 2 * space_samples, "layer": n_layers, "scale": 1}
        if topology:
            self.factors = nn.ModuleDict({name: _mlp(outputs[name]) for name in self.select})
        else:
            self.factors = nn.ParameterDict(
                {n: nn.Parameter(torch.zeros(len(coords), outputs[n])) for n in self.select}
            )
        if space_samples > 1 and "space" in self.select:
            # Samples that start alike would stay alike.
            start = self.factors["space"][-1].weight if topology else self.factors["space"]
            nn.init.normal_(start, std=0.1)

    def forward(self, vertices=None):
        """space (n, S, 2) or None, layer (n, L), scale (n, 1) of ``vertices`` (row indices; None for all)."""
        rows = slice(None) if vertices is None else vertices
        position = self.position[rows]

        def raw(name):
            return self.factors[name](position) if self.topology else self.factors[name][rows]

        uniform = position.new_full((len(position), self.n_layers), 1 / self.n_layers)
        space = raw("space").tanh().view(-1, self.space_samples, 2) if "space" in self.select else None
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
    """One linear map per layer, scores k_l -> D, without bias.

    bases : list over layers of Basis. With ``unit_variance`` the aligned features have variance 1 over the training
    images, so that ω and g alone say how much of a layer or scale a vertex takes: columns are divided by √(Σ_k λ_k a_k²),
    λ the variance of the scores. Otherwise the maps are free and start as PyTorch's linear layers do.
    """

    def __init__(self, bases, dim, generator, unit_variance=True):
        super().__init__()
        self.dim, self.bases, self.unit_variance = dim, bases, unit_variance
        self.weight = nn.ParameterList()
        for basis in bases:
            k = len(basis.variance)
            if unit_variance:
                start = torch.randn(k, max(k, dim), generator=generator)
                start = (torch.linalg.qr(start)[0] if k >= dim else start / k**0.5)[:, :dim]
            else:
                start = (2 * torch.rand(k, dim, generator=generator) - 1) / k**0.5
            self.weight.append(nn.Parameter(start.to(basis.variance.device).contiguous()))

    def maps(self):
        """List over layers of (k_l, D) matrices that take scores to aligned features."""
        if not self.unit_variance:
            return list(self.weight)
        sizes = (b.variance @ w**2 for b, w in zip(self.bases, self.weight, strict=True))
        return [w / size.clamp_min(1e-12).sqrt() for w, size in zip(self.weight, sizes, strict=True)]

    def raw_maps(self):
        """Lists over layers of matrices (C_l, D) and offsets (D,) that take raw tokens to aligned features."""
        pairs = [basis.to_raw(m) for basis, m in zip(self.bases, self.maps(), strict=True)]
        return [m for m, _ in pairs], [o for _, o in pairs]


def align(local, global_, local_maps, global_maps, local_offsets=None, global_offsets=None):
    """Aligned features of a batch of T pictures.

    local : list over layers of (T, K, k_l), K = grid²; global_ : list of (T, k_l); maps : lists of (k_l, D); offsets :
    lists of (D,), none for scores, which have none.

    Returns
    -------
    (L·K, T·D) and (L, T·D) tensors.
    """
    rows = [(tokens @ a).transpose(0, 1) for tokens, a in zip(local, local_maps, strict=True)]
    heads = [token @ b for token, b in zip(global_, global_maps, strict=True)]
    if local_offsets is not None:
        rows = [r + o for r, o in zip(rows, local_offsets, strict=True)]
        heads = [h + o for h, o in zip(heads, global_offsets, strict=True)]
    return torch.cat(rows).flatten(1), torch.stack(heads).flatten(1)


def read_out(rows, heads, space, layer, scale, grid, dim):
    """v of every vertex and picture, (n, T, D).

    rows, heads : as ``align`` gives; space (n, S, 2), the S places averaged, or None (all positions averaged), layer
    (n, L), scale (n, 1).
    """
    local = layer * (1 - scale)
    if space is None:
        seen = local @ rows.view(layer.shape[1], grid * grid, -1).mean(1)
    else:
        seen = 0
        for place in space.unbind(1):
            cells, weights = taps(place, grid)
            share = local / space.shape[1]
            seen = seen + SharedTaps.apply(rows, share[:, :, None] * weights[:, None, :], cells)
    return torch.addmm(seen, layer * scale, heads).view(len(layer), -1, dim)


class Factorized(nn.Module):
    """The encoder of the module's docstring without its channel weights.

    problem : Problem. What the pictures give and what the cortex asks meet in ``design``.
    """

    def __init__(self, problem, dim, seed, topology=True, select=FACTORS, space_samples=1, unit_variance=True):
        super().__init__()
        self.dim, self.grid = dim, problem.grid
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            coords = torch.from_numpy(problem.coords)
            network = SelectorNetwork(coords, len(problem.local), topology, select, space_samples)
        self.selectors = network.to(problem.device)
        self.local = Alignment(problem.local_basis, dim, generator, unit_variance)
        self.global_ = Alignment(problem.global_basis, dim, generator, unit_variance)

    def pictures(self, tokens):
        """Tokens of T pictures -> aligned rows (L·K, T·D) and heads (L, T·D)."""
        return align(*tokens, self.local.maps(), self.global_.maps())

    def cortex(self, vertices=None):
        """Row indices, or None for all -> space (n, S, 2) or None, layer (n, L), scale (n, 1)."""
        return self.selectors(vertices)

    def design(self, pictures, cortex):
        """(n, T, D)."""
        return read_out(*pictures, *cortex, self.grid, self.dim)

    def regulariser(self, cortex):
        """mean_i Σ_l ω log ω / log L + mean_i (g − ½)²; the second term is in the authors' code only."""
        _, layer, scale = cortex
        entropy = (layer * layer.clamp_min(1e-9).log()).sum(-1).mean() / max(math.log(layer.shape[1]), 1e-9)
        return entropy + ((scale - 0.5) ** 2).mean()
