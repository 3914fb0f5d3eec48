"""Ridge regression of many vertices at once, and the exact channel weights of a whole cortex."""

import numpy as np
import torch

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
GRAM_BYTES = 2**28  # Gram matrices held at once


def ridge(design, response, penalty):
    """Ridge regression in closed form.

    design : (n, T, D); response : (n, T); penalty : in units of the Gram matrix's mean diagonal, one number or (n, 1, 1)

    Returns
    -------
    weight : (n, D), mean of the design (n, 1, D), mean of the response (n, 1)
    """
    mean_x, mean_y = design.mean(1, keepdim=True), response.mean(1, keepdim=True)
    x = design - mean_x
    return penalised(x.mT @ x, (x.mT @ (response - mean_y)[..., None])[..., 0], penalty), mean_x, mean_y


def penalised(gram, moment, penalty):
    """w of (gram + penalty · its mean diagonal · identity) w = moment; gram (n, D, D), moment (n, D)."""
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp_min(1e-8)
    return SolvePositive.apply(gram + penalty * size * torch.eye(gram.shape[-1], device=gram.device), moment)


class SolvePositive(torch.autograd.Function):
    """w of system · w = moment for positive definite systems (n, D, D), moment (n, D).

    The gradient takes the Cholesky factor of the forward pass; through torch's own functions it would differentiate the
    factorisation itself, which took a fifth of a step.
    """

    @staticmethod
    def forward(ctx, system, moment):
        factor = torch.linalg.cholesky(system)
        solution = torch.cholesky_solve(moment[..., None], factor)
        ctx.save_for_backward(factor, solution)
        return solution[..., 0]

    @staticmethod
    def backward(ctx, gradient):
        factor, solution = ctx.saved_tensors
        to_moment = torch.cholesky_solve(gradient[..., None], factor)
        return -to_moment @ solution.mT, to_moment[..., 0]


def r2(response, prediction):
    """(n,) 1 − SS_res / SS_tot along the last axis; NaN where the response is constant."""
    total = ((response - response.mean(-1, keepdim=True)) ** 2).sum(-1)
    score = 1 - ((response - prediction) ** 2).sum(-1) / total.clamp_min(1e-12)
    return torch.where(total > 1e-12, score, torch.nan)


def part(cortex, rows):
    """Some vertices of what a model's cortex side gives."""
    return tuple(None if side is None else side[rows] for side in cortex)


@torch.no_grad()
def each_design(problem, model, trials, vertices, cortex, vertices_at_once=256):
    """Yield (slice of ``vertices``, design (n, T, D), response (n, T)) over blocks of trials and vertices."""
    for i in range(0, len(trials), 384):
        block = trials[i : i + 384]
        pictures, response = model.pictures(problem.tokens(block)), problem.answers(block, vertices).T
        for j in range(0, len(vertices), vertices_at_once):
            k = slice(j, j + vertices_at_once)
            design = model.design(pictures, part(cortex, k))
            yield k, design.expand(len(response[k]), -1, -1), response[k]


@torch.no_grad()
def solve(problem, model, pieces=1):
    """Channel weights of every vertex: the penalty is chosen on validation, then training and validation trials count.

    pieces : the work is cut into so many times smaller pieces, where memory is short

    Returns
    -------
    weight (N, D), bias (N,), penalty (N,): numpy; y = v · weight + bias, 0 and NaN where responses are constant
    """
    n, dim = len(problem.coords), model.dim
    weight, bias, penalty = np.zeros((n, dim), np.float32), np.zeros(n, np.float32), np.full(n, np.nan, np.float32)
    usable = np.flatnonzero(problem.usable)
    cortex = model.cortex(torch.from_numpy(usable).to(problem.device))
    order = reading_order(cortex, len(usable))
    block = max(1024, GRAM_BYTES // (4 * dim * dim)) // pieces
    for i in range(0, len(order), block):
        k = order[i : i + block]
        vertices = usable[k.cpu().numpy()]
        solution = _solve_block(problem, model, vertices, part(cortex, k), 256 // pieces)
        weight[vertices], bias[vertices], penalty[vertices] = (x.cpu().numpy() for x in solution)
    return weight, bias, penalty


def reading_order(cortex, n):
    """Order in which vertices that look at the same place stand together: they share their taps, so that the
    products of ``SharedTaps`` are few and large."""
    places = cortex[0] if cortex and cortex[0] is not None and cortex[0].ndim == 3 else None
    if places is None:
        return torch.arange(n)
    cell = ((places[:, 0] + 1) * 8).long()  # half cells of a grid of 8 × 8, which its taps depend on
    return (cell[:, 1] * 64 + cell[:, 0]).argsort(stable=True)


def _solve_block(problem, model, vertices, cortex, at_once):
    n, dim, device = len(vertices), model.dim, problem.device
    gram, moment = torch.zeros(n, dim, dim, device=device), torch.zeros(n, dim, device=device)
    sum_x, sum_y, count = torch.zeros(n, dim, device=device), torch.zeros(n, device=device), 0

    def add(k, x, y):
        gram[k] += x.mT @ x
        moment[k] += (x.mT @ y[..., None])[..., 0]
        sum_x[k] += x.sum(1)
        sum_y[k] += y.sum(1)

    def weights(k, count, penalty):
        mean_x, mean_y = sum_x[k] / count, sum_y[k] / count
        centred = gram[k] - count * mean_x[:, :, None] * mean_x[:, None, :]
        w = penalised(centred, moment[k] - count * mean_x * mean_y[:, None], penalty)
        return w, mean_y - (w * mean_x).sum(1)

    for k, x, y in each_design(problem, model, problem.train, vertices, cortex, at_once):
        add(k, x, y)
    chunks = [slice(i, i + 1024) for i in range(0, n, 1024)]
    count, penalties = len(problem.train), torch.tensor(PENALTIES, device=device)
    choices = [[torch.cat(t) for t in zip(*(weights(k, count, p) for k in chunks), strict=True)] for p in penalties]
    candidates, offsets = (torch.stack(t, -1) for t in zip(*choices, strict=True))  # (n, D, P), (n, P)
    error = torch.zeros(n, len(penalties), device=device)
    for k, x, y in each_design(problem, model, problem.val, vertices, cortex, at_once):
        error[k] += ((x @ candidates[k] + offsets[k, None] - y[..., None]) ** 2).sum(1)
        add(k, x, y)
    penalty = penalties[error.argmin(1)]
    count += len(problem.val)
    solved = [weights(k, count, penalty[k, None, None]) for k in chunks]
    return torch.cat([w for w, _ in solved]), torch.cat([b for _, b in solved]), penalty
