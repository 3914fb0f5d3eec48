"""Where a fit starts: every layer and place is tried by itself, and selectors and alignments begin at what was found.

For a sample of vertices, ridge regression on the tokens of one layer at one place predicts held-out pictures; all layers
and places take about a second. The scores say roughly where each vertex looks, which layer and which scale it reads; the
selector networks are fitted to that. The regression weights of all layers, side by side, have the channels that the
cortex uses as their common right singular vectors; the alignments begin there.
"""

import numpy as np
import torch

from factortopy.encoder.reduce import let_go

PICTURES, VERTICES, STEPS = 1000, 1000, 100


class Screen:
    """Ridge regression on single layers and places.

    vertices : (M,) int; scores : (M, L, K + 1) R² on held-out pictures of local tokens at each place, then global ones
    """

    def __init__(self, problem, seed, vertices, average_places=False):
        rng = np.random.default_rng([seed, 1])
        self.problem, self.vertices, self.average = problem, vertices, average_places
        rows = np.sort(rng.permutation(len(problem.train_pictures))[:PICTURES])
        self.n_fit = 2 * len(rows) // 3
        fitted = np.isin(np.arange(len(rows)), rng.permutation(len(rows))[: self.n_fit])
        self.rows = np.concatenate([rows[fitted], rows[~fitted]])
        self.response = problem.train_pictures.answers(self.rows, vertices)
        self.response -= self.response[: self.n_fit].mean(0)
        n_layers, places = len(problem.local), 1 if average_places else problem.grid**2
        self.scores = torch.zeros(len(vertices), n_layers, places + 1, device=problem.device)
        for l in range(n_layers):
            local, global_ = self.tokens(l)
            for i in range(0, places, 16):
                self.scores[:, l, i : min(i + 16, places)] = self._score(local[i : i + 16])
            self.scores[:, l, places:] = self._score(global_[None])

    def tokens(self, l):
        """Scores of a layer on its first components: local (K, T, k), global (T, k)."""
        rows = self.problem.train_pictures.image[self.rows]
        local, global_ = (torch.from_numpy(kind[l][rows]).to(self.problem.device) for kind in self.problem.few)
        let_go(self.problem.few[0][l])
        local = local.float().mean(1, keepdim=True) if self.average else local.float()
        return local.transpose(0, 1).contiguous(), global_.float()

    def weights(self, design, response):
        """Ridge weights (…, k, M) of designs (…, T, k); the penalty suits R² of a quarter."""
        gram, k = design.mT @ design, design.shape[-1]
        size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp_min(1e-8)
        system = gram + 3 * k / design.shape[-2] * size * torch.eye(k, device=gram.device)
        return torch.cholesky_inverse(torch.linalg.cholesky(system)) @ (design.mT @ response)

    def _score(self, design):
        n, response = self.n_fit, self.response
        design = design - design[:, :n].mean(1, keepdim=True)
        error = (design[:, n:] @ self.weights(design[:, :n], response[:n]) - response[n:]).square().sum(1)
        total = (response[n:] - response[n:].mean(0)).square().sum(0).clamp_min(1e-12)
        return (1 - error / total).T


def start(problem, model, seed):
    """Set a ``Factorized`` model's selectors and alignments to what single layers and places tell; others stay."""
    network = getattr(model, "selectors", None)
    if network is None:
        return
    usable, rng = np.flatnonzero(problem.usable), np.random.default_rng([seed, 2])
    sample = np.sort(rng.permutation(usable)[:VERTICES])
    # Free selectors know nothing of their neighbours: each vertex must be looked at.
    looked_at = [sample] if network.topology else [usable[i : i + VERTICES] for i in range(0, len(usable), VERTICES)]
    average = "space" not in network.select
    with torch.no_grad():
        screens = [Screen(problem, seed, vertices, average) for vertices in looked_at]
    vertices, scores = np.concatenate(looked_at), torch.cat([s.scores for s in screens]).clamp_min(0)
    if network.select and scores.any():
        fit_selectors(
            network, torch.from_numpy(vertices).to(problem.device), targets(scores, problem.grid), problem.grid, STEPS
        )
    if scores.any():
        with torch.no_grad():
            _start_alignments(model, screens[0] if network.topology else Screen(problem, seed, sample, average))


def targets(scores, grid):
    """What single layers and places tell about each vertex.

    scores : (M, L, K + 1), not negative

    Returns
    -------
    space (M, 2), layer (M, L), scale (M,), and how much each counts: weight (M,), weight of space (M,)
    """
    local, global_ = scores[:, :, :-1], scores[:, :, -1]
    best = torch.maximum(local.amax(2), global_)
    # Powers sharpen: a layer that is merely correlated with the right one scores nearly as high.
    layer = _shares(best, 4)
    by_place = _shares((local * layer[:, :, None]).sum(1), 8)
    k = torch.arange(by_place.shape[1], device=scores.device)
    side = grid if len(k) > 1 else 1
    centres = torch.stack([(k % side + 0.5) * 2 / side - 1, (k // side + 0.5) * 2 / side - 1], 1)
    # R² grows with the square of a feature's share of the response.
    near, far = ((s * layer).sum(1).sqrt() for s in (local.amax(2), global_))
    weight = best.amax(1) / best.amax(1).mean()
    space_weight = weight * near**2 / (near**2 + far**2).clamp_min(1e-9)
    return by_place @ centres, layer, far / (near + far).clamp_min(1e-6), weight, space_weight


def _shares(scores, power):
    scores = (scores / scores.amax(1, keepdim=True).clamp_min(1e-6)) ** power
    return scores / scores.sum(1, keepdim=True).clamp_min(1e-6)


def fit_selectors(network, vertices, wanted, grid, steps):
    """Fit the selector networks, smooth as they are, to what is ``wanted`` of the vertices (as ``targets``)."""
    space, layer, scale, weight, space_weight = wanted
    samples = network.space_samples
    # Several samples begin apart, on a circle of half a cell around the place.
    angle = torch.arange(samples, device=space.device) * 2 * torch.pi / samples
    ring = torch.stack([angle.cos(), angle.sin()], 1) / grid * (samples > 1)
    rate = 5e-3 if network.topology else 0.1  # free logits have far to go
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        predicted_space, predicted_layer, predicted_scale = network(vertices)
        loss = -(weight[:, None] * layer * predicted_layer.clamp_min(1e-9).log()).sum(1).mean()
        loss = loss + 4 * (weight * (predicted_scale[:, 0] - scale) ** 2).mean()
        if predicted_space is not None:
            error = predicted_space - space[:, None] - ring
            loss = loss + 4 * (space_weight[:, None, None] * error**2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _start_alignments(model, screen):
    """Alignments that span the channels which single layers' regression weights have in common.

    The weights of vertex i in layer l are about A_l w_i, with the same w_i in all layers: side by side they are of rank D,
    and their right singular vectors are the alignments. The vertices' own scores say how far they count.
    """
    problem, n_layers = screen.problem, len(screen.problem.local)
    space, _, _ = model.cortex(torch.from_numpy(screen.vertices).to(problem.device))
    cell = torch.zeros(len(screen.vertices), dtype=torch.long, device=problem.device)
    if space is not None:
        at = ((space.mean(1) + 1) * problem.grid / 2).long().clamp(0, problem.grid - 1)
        cell = at[:, 1] * problem.grid + at[:, 0]
    response = screen.response - screen.response.mean(0)
    count = screen.scores.clamp_min(0).amax((1, 2)).sqrt()[:, None]
    blocks = []
    for l in range(n_layers):
        local, global_ = (t - t.mean(-2, keepdim=True) for t in screen.tokens(l))
        weights = torch.zeros(len(cell), local.shape[2], device=problem.device)
        for k in cell.unique().tolist():
            weights[cell == k] = screen.weights(local[k], response[:, cell == k]).T
        blocks += [weights * count, screen.weights(global_, response).T * count]
    joint = torch.cat(blocks, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, _, axes = torch.svd_lowrank(joint, min(model.dim, *joint.shape), niter=4)
    put_axes(model, axes, [w.shape[1] for w in blocks])


def put_axes(model, axes, widths=None):
    """Set a model's alignments to directions (K, ≤ D) in the scores of all layers side by side, local then global of each.

    widths : how many components of each it has; all where not given
    """
    weights = [w for pair in zip(model.local.weight, model.global_.weight, strict=True) for w in pair]
    parts = axes.split([len(w) for w in weights] if widths is None else widths)
    for weight, part in zip(weights, parts, strict=True):
        k, d = part.shape
        weight[:k, :d] = part / part.norm(dim=0).clamp_min(1e-9)
        weight[k:, :d] = 0
