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
import torch.nn.functional as F
from torch import nn

from factortopy.encoder.names import FACTORS
from factortopy.encoder.shared import Places

FREQUENCIES = 32


def encode_position(coords):
    """Sinusoidal encoding: (N, 3) coordinates in [0, 100] -> (N, 192); 32 frequencies 1000^(−k/32) an axis."""
    angle = coords[:, :, None] * 1000.0 ** (-torch.arange(FREQUENCIES, device=coords.device) / FREQUENCIES)
    return torch.cat([angle.sin(), angle.cos()], dim=2).flatten(1)


def few_directions(code):
    """Exact short form of position codes: (N, 192) -> (N, r) and (r, 192) whose product they are, to float32's digits.

    Low frequencies are nearly alike over a cortex, so that r is about 70; the first layers read r numbers instead of 192.
    """
    code = code.double()
    variance, axes = torch.linalg.eigh(code.T @ code)
    axes = axes[:, variance > 1e-14 * variance[-1]]
    return (code @ axes).float(), axes.T.float()


class SelectorNetwork(nn.Module):
    """Selectors of every vertex; smooth over the cortex, or free per vertex (``topology=False``).

    coords : (N, 3) tensor in [0, 100]. A factor that is not in ``select`` is switched off: layers averaged, positions
    averaged (``space`` None), local and global averaged. ``space_samples`` places a vertex looks at, averaged.
    """

    def __init__(self, coords, n_layers, topology=True, select=FACTORS, space_samples=1):
        super().__init__()
        self.topology, self.select, self.n_layers, self.space_samples = topology, tuple(select), n_layers, space_samples
        position, directions = few_directions(encode_position(coords.double()))
        self.register_buffer("position", position, persistent=False)
        self.register_buffer("directions", directions, persistent=False)
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
            if not self.topology:
                return self.factors[name][rows]
            first, *rest = self.factors[name]
            hidden = F.linear(position, first.weight @ self.directions.T, first.bias)
            for layer in rest:
                hidden = layer(hidden)
            return hidden

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
    cells : (n, 4) int64, rows of the flattened grid (y · grid + x), all different (one on a grid of 1 × 1)
    weights : (n, 4), 0 for a tap outside the picture
    """
    at = (space + 1) * grid / 2 - 0.5
    first = at.detach().floor().clamp(0, max(grid - 2, 0))
    cells, weights = [], []
    for dy in range(min(2, grid)):
        for dx in range(min(2, grid)):
            x, y = first[:, 0] + dx, first[:, 1] + dy
            weights.append((1 - (at[:, 0] - x).abs()).clamp_min(0) * (1 - (at[:, 1] - y).abs()).clamp_min(0))
            cells.append((y * grid + x).long())
    return torch.stack(cells, 1), torch.stack(weights, 1)


def groups_of(cells, per_layer, n_layers):
    """Vertices that read the same rows: an order (n,), the way back (n,), and for each group its slice of that order and
    its rows (L·k,).

    Groups of at most 512 vertices: what is made of them stays in a processor's cache.
    """
    order = cells[:, 0].argsort()
    _, counts = torch.unique_consecutive(cells[order, 0], return_counts=True)
    ends = counts.cumsum(0)
    first = torch.arange(n_layers, device=cells.device)[:, None] * per_layer
    picks = (first + cells[order[ends - 1]][:, None]).flatten(1)
    groups = []
    for end, count, pick in zip(ends.tolist(), counts.tolist(), picks, strict=True):
        groups += [(slice(i, min(i + 512, end)), pick) for i in range(end - count, end, 512)]
    return order, order.argsort(), groups


class SharedTaps(torch.autograd.Function):
    """Σ over layers and taps of weight × token row, for vertices that share grid cells: a matrix product a group.

    A vertex needs 4 taps and the global token of L layers, 5·L of the L·(K + 1) rows; vertices whose taps lie in the same
    cells read the same rows. Measured against the dense product with (n, L·(K + 1)) weights: docs/encoder.md.
    """

    @staticmethod
    def forward(ctx, rows, weight, cells):
        """rows (L, R, M), weight (n, L, k), cells (n, k) of the R rows, all different for a vertex and given by the first
        -> (n, M)."""
        ctx.order, ctx.back, ctx.groups = groups_of(cells, rows.shape[1], len(rows))
        flat, table = weight.flatten(1)[ctx.order], rows.flatten(0, 1)
        out = rows.new_empty(len(weight), rows.shape[2])
        for k, pick in ctx.groups:
            torch.mm(flat[k], table[pick], out=out[k])
        ctx.save_for_backward(rows, flat)
        return out[ctx.back]

    @staticmethod
    def backward(ctx, gradient):
        rows, flat = ctx.saved_tensors
        table, to_rows, to_weight = rows.flatten(0, 1), torch.zeros_like(rows), torch.empty_like(flat)
        to_table, gradient = to_rows.view_as(table), gradient[ctx.order]
        for k, pick in ctx.groups:
            torch.mm(gradient[k], table[pick].T, out=to_weight[k])
            to_table.index_add_(0, pick, flat[k].T @ gradient[k])  # a pass less than += takes
        return to_rows, to_weight[ctx.back].view(len(flat), len(rows), -1), None


class SharedResponse(torch.autograd.Function):
    """Σ_d w_d · ``SharedTaps`` for known channel weights, without ever holding what lies between.

    The rows of a group meet its vertices' channel weights first: T·5·L numbers a vertex instead of T·D.
    """

    @staticmethod
    def forward(ctx, rows, weight, cells, channel):
        """rows (L, R, T·D), weight and cells as for ``SharedTaps``, channel (n, D) -> (n, T)."""
        dim = channel.shape[1]
        ctx.order, ctx.back, ctx.groups = groups_of(cells, rows.shape[1], len(rows))
        flat, table = weight.flatten(1)[ctx.order].T.contiguous(), rows.view(-1, rows.shape[2] // dim, dim)
        channel, ctx.read = channel[ctx.order], []
        out = rows.new_empty(table.shape[1], len(weight))
        for k, pick in ctx.groups:
            read = (table[pick].flatten(0, 1) @ channel[k].T).view(len(pick), table.shape[1], -1)
            if any(ctx.needs_input_grad):
                ctx.read.append(read)
            out[:, k] = (read * flat[:, None, k]).sum(0)
        ctx.save_for_backward(rows, flat, channel)
        return out.T[ctx.back]

    @staticmethod
    def backward(ctx, gradient):
        rows, flat, channel = ctx.saved_tensors
        dim, to_rows = channel.shape[1], torch.zeros_like(rows)
        table, to_table = (x.view(-1, rows.shape[2] // dim, dim) for x in (rows, to_rows))
        to_flat, to_channel, gradient = torch.empty_like(flat), torch.empty_like(channel), gradient[ctx.order].T
        for (k, pick), read in zip(ctx.groups, ctx.read, strict=True):
            part = gradient[:, k]
            torch.sum(read * part, 1, out=to_flat[:, k])
            spread = (flat[:, None, k] * part).flatten(0, 1)
            torch.mm(spread.T, table[pick].flatten(0, 1), out=to_channel[k])
            to_table.index_add_(0, pick, (spread @ channel[k]).view(len(pick), -1, dim))
        return to_rows, to_flat.T[ctx.back].view(len(channel), len(rows), -1), None, to_channel[ctx.back]


class Alignment(nn.Module):
    """One linear map per layer, scores k_l -> D, without bias.

    bases : list over layers of Basis. With ``unit_variance`` the aligned features have variance 1 over the
    images, so that ω and g alone say how much of a layer or scale a vertex takes: columns are divided by √(Σ_k λ_k a_k²),
    λ the variance of the scores. Otherwise the maps are free and start as PyTorch's linear layers do.
    raw : what a problem gives to read are ``centred`` tokens instead of scores
    """

    def __init__(self, bases, dim, generator, unit_variance=True, raw=False):
        super().__init__()
        self.dim, self.bases, self.unit_variance, self.raw = dim, bases, unit_variance, raw
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

    def reading(self, tokens, few=False):
        """List over layers of matrices that take tokens as ``Problem.tokens`` gives them to aligned features."""
        if few:
            return [m[: t.shape[-1]] for m, t in zip(self.maps(), tokens, strict=True)]
        return [b.of_centred(m) if self.raw else m for b, m in zip(self.bases, self.maps(), strict=True)]

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
    (L, K + 1, T·D) tensor: the rows of a layer are its local tokens, then its global one.
    """
    rows = [_product(tokens, a).transpose(0, 1) for tokens, a in zip(local, local_maps, strict=True)]
    heads = [_product(token, b)[None] for token, b in zip(global_, global_maps, strict=True)]
    if local_offsets is not None:
        rows = [r + o for r, o in zip(rows, local_offsets, strict=True)]
        heads = [h + o for h, o in zip(heads, global_offsets, strict=True)]
    parts = [part for pair in zip(rows, heads, strict=True) for part in pair]
    out = torch.cat(parts).view(len(rows), len(rows[0]) + 1, -1)
    return out.float() if out.dtype == torch.bfloat16 else out


def _product(tokens, matrix):
    """(…, k) tokens times (k, D): in the tokens' precision, whose gradient is the quicker for the other way round."""
    return F.linear(tokens, matrix.to(tokens.dtype).T)


def read_out(rows, space, layer, scale, grid, dim, channel=None):
    """v of every vertex and picture, (n, T, D); with ``channel`` (n, D) Σ_d channel · v instead, (n, T).

    rows : as ``align`` gives; space (n, S, 2), the S places averaged, or None (all positions averaged), layer (n, L),
    scale (n, 1).
    """
    local, far = layer * (1 - scale), layer * scale
    if space is None:
        seen = torch.addmm(local @ rows[:, :-1].mean(1), far, rows[:, -1]).view(len(layer), -1, dim)
        return seen if channel is None else (seen @ channel[..., None])[..., 0]
    total = None
    for place in space.unbind(1):
        cells, weights = taps(place, grid)
        cells = torch.cat([cells, cells.new_full((len(cells), 1), grid * grid)], 1)
        weights = torch.cat([local[:, :, None] * weights[:, None], far[:, :, None]], 2) / space.shape[1]
        if channel is None:
            part = SharedTaps.apply(rows, weights, cells).view(len(layer), -1, dim)
        else:
            part = SharedResponse.apply(rows, weights, cells, channel)
        total = part if total is None else total + part
    return total


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
        self.local = Alignment(problem.local_basis, dim, generator, unit_variance, problem.raw)
        self.global_ = Alignment(problem.global_basis, dim, generator, unit_variance, problem.raw)

    def pictures(self, tokens, few=False):
        """What ``Problem.tokens`` gives of T pictures (``few`` alike) -> aligned rows (L, K + 1, T·D)."""
        return align(*tokens, self.local.reading(tokens[0], few), self.global_.reading(tokens[1], few))

    def cortex(self, vertices=None):
        """Row indices, or None for all -> space (n, S, 2) or None, layer (n, L), scale (n, 1)."""
        return self.selectors(vertices)

    def design(self, pictures, cortex):
        """(n, T, D)."""
        return read_out(pictures, *cortex, self.grid, self.dim)

    def respond(self, pictures, cortex, channel):
        """Σ_d channel (n, D) · design: (n, T)."""
        return read_out(pictures, *cortex, self.grid, self.dim, channel)

    def table(self, pictures):
        """(C, T, L, D) rows that vertices read in common: of each grid cell, or of all as one, and global ones last."""
        rows = pictures.view(len(pictures), self.grid**2 + 1, -1, self.dim)
        if "space" not in self.selectors.select:
            rows = torch.stack([rows[:, :-1].mean(1), rows[:, -1]], 1)
        return rows.permute(1, 2, 0, 3)

    def places(self, cortex, n):
        """``Places`` of the vertices in ``table``; None where each looks at several."""
        space, layer, scale = cortex
        if space is None:
            return Places(torch.arange(2, device=layer.device).expand(n, 2), torch.cat([1 - scale, scale], 1), layer)
        if space.shape[1] > 1:
            return None
        cells, weights = taps(space[:, 0], self.grid)
        far = cells.new_full((n, 1), self.grid**2)
        return Places(torch.cat([cells, far], 1), torch.cat([weights * (1 - scale), scale], 1), layer)

    def regulariser(self, cortex, added=0.0):
        """mean_i Σ_l ω log ω / log L + mean_i (g − ½)²; the second term is in the authors' code only.

        added : to ω inside the logarithm, where it must not be 0
        """
        _, layer, scale = cortex
        inside = layer + added if added else layer.clamp_min(1e-9)
        entropy = (layer * inside.log()).sum(-1).mean() / max(math.log(layer.shape[1]), 1e-9)
        return entropy + ((scale - 0.5) ** 2).mean()
