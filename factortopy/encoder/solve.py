"""Ridge regression of many vertices at once, and the exact channel weights of a whole cortex."""

import contextlib

import numpy as np
import torch

from factortopy.encoder.cores import on_all_cores
from factortopy.encoder.designs import by_designs
from factortopy.encoder.shared import by_products

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def ridge(design, response, penalty, count=None):
    """Ridge regression in closed form.

    design : (n, T, D); response : (n, T); penalty : in units of the Gram matrix's mean diagonal, one number or (n, 1, 1)
    count : (T,) how often each row counts; None: once

    Returns
    -------
    weight : (n, D), mean of the design (n, 1, D), mean of the response (n, 1)
    """
    if count is None:
        mean_x, mean_y = design.mean(1, keepdim=True), response.mean(1, keepdim=True)
    else:
        share = count / count.sum()
        mean_x, mean_y = (share @ design)[:, None], (response @ share)[:, None]
    x = design - mean_x
    counted = x if count is None else x * count[:, None]
    return penalised(x.mT @ counted, (counted.mT @ (response - mean_y)[..., None])[..., 0], penalty), mean_x, mean_y


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


@torch.no_grad()
def solve(problem, model, pieces=1):
    """Channel weights of every vertex: the penalty is chosen on validation, then training and validation count.

    Pictures count as often as they were shown, with their mean response: that is the solution of the single trials.

    pieces : the work is cut into so many times smaller pieces, where memory is short

    Returns
    -------
    weight (N, D), bias (N,), penalty (N,): numpy; y = v · weight + bias, 0 and NaN where responses are constant
    """
    n = len(problem.coords)
    weight, bias = np.zeros((n, model.dim), np.float32), np.zeros(n, np.float32)
    penalty, usable = np.full(n, np.nan, np.float32), np.flatnonzero(problem.usable)
    cortex = model.cortex(torch.from_numpy(usable).to(problem.device))
    # Sums are taken around a first guess of the mean: a large common offset would eat float32's digits.
    guess = problem.train_pictures.answers(np.arange(min(64, len(problem.train_pictures))), usable).mean(0)
    arguments = problem, model, usable, cortex, guess, pieces
    for parts in by_products(*arguments) or by_designs(*arguments):
        with precision("highest"):  # a Gram matrix that is mixed in TensorFloat-32 need not be positive
            for k, (w, b, p) in on_all_cores(lambda both: weights(*both()), parts, problem.device):
                vertices = usable[k.cpu().numpy()]
                weight[vertices], bias[vertices], penalty[vertices] = (x.cpu().numpy() for x in (w, b + guess[k], p))
    return weight, bias, penalty


@contextlib.contextmanager
def precision(of_products):
    """Products of float32 matrices in a precision of ``torch.set_float32_matmul_precision``."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(of_products)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def weights(train, val):
    """Weight (n, D), bias (n,) and penalty (n,) of ``Sums`` of training and validation pictures."""
    x, y = train.x / train.count, train.y / train.count
    train, val = train.about(x, y), val.about(x, y)
    errors = []
    for penalty in PENALTIES:
        w = penalised(train.gram, train.moment, penalty)
        # Of validation trials, less the error without weights, which is the same for all penalties.
        errors.append((((val.gram @ w[..., None])[..., 0] - 2 * val.moment) * w).sum(1))
    penalty = torch.tensor(PENALTIES, device=x.device)[torch.stack(errors).argmin(0)]
    count = train.count + val.count
    gram = (train.gram + val.gram).baddbmm_(val.x[:, :, None], val.x[:, None], alpha=-1 / count)
    w = penalised(gram, train.moment + val.moment - val.x * val.y[:, None] / count, penalty[:, None, None])
    return w, y + val.y / count - (w * (x + val.x / count)).sum(1), penalty
