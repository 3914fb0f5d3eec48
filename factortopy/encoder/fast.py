"""The ``fast`` recipe: variable projection.

For given selectors and alignments the prediction is linear in a vertex's channel weights, so those never are
parameters of the optimiser. One step draws vertices and trials at random, splits the trials 2:1 into A and B, solves
ridge regression on A in closed form and scores it on B; gradients flow through the solve to selectors, alignments and
one penalty. Fitting on one part and scoring on the other keeps the selectors honest: no overfitted channel weights can
hide a wrong layer. At the end one exact solve for all vertices on all training trials, the penalty chosen per vertex on
the validation trials.
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from factortopy.encoder.model import Alignment, SelectorNetwork, align, read_out
from factortopy.encoder.problem import moments

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Settings:
    """Settings of the recipe; none needs tuning by a user."""

    steps: int = 250
    dim: int | None = None  # aligned channels; None: √(training trials), 16 to 64
    vertices: int = 256  # a step
    trials: int = 384  # a step
    rate: float = 5e-3
    regulariser: float = 0.01  # λ at the start
    decay: float = 2 / 3  # share of the steps after which λ is 0
    every: int = 10  # steps between validations
    patience: int = 8  # validations without gain after λ has gone
    seconds_between_checkpoints: float = 10.0


def settled(settings, n_trials):
    """Settings with the number of aligned channels filled in: more channels than trials can pay for overfit."""
    return settings if settings.dim else replace(settings, dim=int(np.clip(round(n_trials**0.5), 16, 64)))


class FastModel(nn.Module):
    """Selectors, alignments and the logarithm of the penalty."""

    def __init__(self, problem, settings, topology, select, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.selectors = SelectorNetwork(torch.from_numpy(problem.coords), len(problem.local), topology, select).to(
                problem.device
            )
        rows = np.unique(problem.image[problem.train])
        rows = rows[:: max(1, len(rows) // 1000)]  # a thousand pictures settle a layer's covariance
        self.local = Alignment(*moments(problem.local, rows, problem.device), settings.dim, generator)
        self.global_ = Alignment(*moments(problem.global_, rows, problem.device), settings.dim, generator)
        self.log_penalty = nn.Parameter(torch.zeros((), device=problem.device))

    def aligned(self, problem, trials):
        """(L·K, T·D) and (L, T·D) aligned features of the pictures behind ``trials``."""
        return align(*problem.tokens(trials), self.local.maps(), self.global_.maps())


def ridge(design, response, penalty):
    """Ridge regression of many vertices at once, in closed form.

    design : (n, T, D); response : (n, T); penalty : scalar or (P, 1, 1, 1), in units of the Gram matrix's mean diagonal.

    Returns
    -------
    weight : (n, D) (or (P, n, D)), mean of the design (n, 1, D), mean of the response (n, 1)
    """
    mean_x, mean_y = design.mean(1, keepdim=True), response.mean(1, keepdim=True)
    x = design - mean_x
    gram, moment = x.mT @ x, x.mT @ (response - mean_y)[..., None]
    return _solve(gram, moment, penalty)[..., 0], mean_x, mean_y


def _solve(gram, moment, penalty):
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None].clamp_min(1e-8)
    system = gram + penalty * size * torch.eye(gram.shape[-1], device=gram.device)
    return torch.cholesky_solve(moment, torch.linalg.cholesky(system))


def r2(response, prediction):
    """(n,) 1 − SS_res / SS_tot along the last axis; NaN where the response is constant."""
    total = ((response - response.mean(-1, keepdim=True)) ** 2).sum(-1)
    score = 1 - ((response - prediction) ** 2).sum(-1) / total.clamp_min(1e-12)
    return torch.where(total > 1e-12, score, torch.nan)


class FastFit:
    """State of a fit: can be stepped, checkpointed, restored and finished. ``run`` drives it."""

    def __init__(self, problem, settings, topology, select, seed):
        settings = settled(settings, len(problem.train))
        self.problem, self.settings, self.seed = problem, settings, seed
        self.model = FastModel(problem, settings, topology, select, seed)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [*self.model.selectors.parameters()], "base": settings.rate},
                {"params": [*self.model.local.parameters(), *self.model.global_.parameters()], "base": 3e-3},
                {"params": [self.model.log_penalty], "base": 1e-2},
            ],
            weight_decay=1e-2,
        )
        self.pool = np.flatnonzero(problem.usable)
        self.probe = self.pool[:: max(1, len(self.pool) // 256)]
        self.step_number, self.best_score, self.best, self.best_step = 0, -math.inf, None, 0
        self.history = []
        self._probe_data = None

    def loss(self, step):
        """Loss of one step; its random choices depend on the seed and the step alone, so that a resumed fit is exact."""
        s, problem = self.settings, self.problem
        rng = np.random.default_rng([self.seed, step])
        vertices = rng.choice(self.pool, min(s.vertices, len(self.pool)), replace=False)
        trials = rng.choice(problem.train, min(s.trials, len(problem.train)), replace=False)
        n_solve = max(2, 2 * len(trials) // 3)
        rows, heads = self.model.aligned(problem, trials)
        space, layer, scale = self.model.selectors(torch.from_numpy(vertices).to(problem.device))
        design = read_out(rows, heads, space, layer, scale, problem.grid, s.dim)
        response = problem.answers(trials, vertices).T
        weight, mean_x, mean_y = ridge(design[:, :n_solve], response[:, :n_solve], self.model.log_penalty.exp())
        prediction = ((design[:, n_solve:] - mean_x) @ weight[..., None])[..., 0] + mean_y
        strength = s.regulariser * max(0.0, 1 - step / (s.decay * s.steps))
        loss = F.mse_loss(prediction, response[:, n_solve:])
        if strength:
            loss = loss + strength * spread(layer, scale)
        return loss

    def step(self):
        """One optimiser step; returns the loss (NaN: nothing was changed)."""
        self.step_number += 1
        s, step = self.settings, self.step_number
        warm = min(1.0, step / 5)
        tail = (s.steps - step) / (0.3 * s.steps)  # falls below 1 in the last 30 %
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * warm * min(1.0, max(0.05, tail))
        loss = self.loss(step)
        if torch.isfinite(loss):
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def validate(self):
        """Mean R² over (up to 256) vertices on validation trials, solved on up to 600 training trials; keeps the best."""
        problem = self.problem
        fitted = problem.train[:: max(1, -(-len(problem.train) // 600))]
        if self._probe_data is None:
            both = np.concatenate([fitted, problem.val])
            self._probe_data = both, problem.answers(both, self.probe).T
        both, response = self._probe_data
        space, layer, scale = self.model.selectors(torch.from_numpy(self.probe).to(problem.device))
        n, chunk, parts = len(fitted), 256, []
        for i in range(0, len(both), chunk):
            rows, heads = self.model.aligned(problem, both[i : i + chunk])
            parts.append(read_out(rows, heads, space, layer, scale, problem.grid, self.settings.dim))
        design = torch.cat(parts, 1)
        weight, mean_x, mean_y = ridge(design[:, :n], response[:, :n], 0.3 * self.model.log_penalty.exp())
        prediction = ((design[:, n:] - mean_x) @ weight[..., None])[..., 0] + mean_y
        score = float(r2(response[:, n:], prediction).nanmean())
        if score > self.best_score:
            self.best_score, self.best_step = score, self.step_number
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        return score

    def exhausted(self):
        """True when validation has not gained for ``patience`` validations since the regulariser went."""
        s = self.settings
        since = self.step_number - max(self.best_step, int(s.decay * s.steps))
        return since >= s.patience * s.every

    @torch.no_grad()
    def solve(self):
        """Channel weights of all vertices on all training trials, at the best selectors found.

        Returns
        -------
        weight (N, D), bias (N,), penalty (N,): numpy; y = v · weight + bias
        """
        if self.best is not None:
            self.model.load_state_dict(self.best)
        problem, dim = self.problem, self.settings.dim
        n = len(problem.coords)
        space, layer, scale = self.model.selectors()
        gram = torch.zeros(n, dim, dim, device=problem.device)
        moment, sum_x = torch.zeros(n, dim, device=problem.device), torch.zeros(n, dim, device=problem.device)
        sum_y = torch.zeros(n, device=problem.device)

        def each(trials, vertices_at_once=256, trials_at_once=384):
            for i in range(0, len(trials), trials_at_once):
                part = trials[i : i + trials_at_once]
                rows, heads = self.model.aligned(problem, part)
                response = problem.answers(part).T
                for j in range(0, n, vertices_at_once):
                    k = slice(j, j + vertices_at_once)
                    where = None if space is None else space[k]
                    yield k, read_out(rows, heads, where, layer[k], scale[k], problem.grid, dim), response[k]

        for k, x, y in each(problem.train):
            gram[k] += x.mT @ x
            moment[k] += (x.mT @ y[..., None])[..., 0]
            sum_x[k] += x.sum(1)
            sum_y[k] += y.sum(1)
        count = len(problem.train)
        mean_x, mean_y = sum_x / count, sum_y / count
        gram -= count * mean_x[:, :, None] * mean_x[:, None, :]
        moment -= count * mean_x * mean_y[:, None]
        penalties = torch.tensor(PENALTIES, device=problem.device)
        weights = torch.stack([_solve(gram, moment[..., None], p)[..., 0] for p in penalties], 2)  # (N, D, P)
        error = torch.zeros(n, len(PENALTIES), device=problem.device)
        for k, x, y in each(problem.val):
            prediction = (x - mean_x[k, None]) @ weights[k] + mean_y[k, None, None]
            error[k] += ((prediction - y[..., None]) ** 2).sum(1)
        choice = error.argmin(1)
        weight = weights.gather(2, choice[:, None, None].expand(-1, dim, 1))[..., 0]
        weight[~torch.from_numpy(problem.usable)] = 0
        bias = mean_y - (weight * mean_x).sum(1)
        return weight.cpu().numpy(), bias.cpu().numpy(), penalties[choice].cpu().numpy()

    # ------------------------------------------------------------ checkpoints

    def tensors(self):
        """Everything a resumed fit needs, as {name: numpy array}."""
        out = {f"model.{k}": v.detach().cpu().numpy() for k, v in self.model.state_dict().items()}
        out |= {f"best.{k}": v.detach().cpu().numpy() for k, v in (self.best or {}).items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            out |= {f"optimiser.{i}.{k}": np.asarray(v.detach().cpu().numpy()) for k, v in state.items()}
        return out

    def restore(self, tensors, progress):
        """Continue from what ``tensors`` and ``progress`` (the JSON beside it) hold."""

        def part(prefix):
            # Copies: torch must not write into the file's memory.
            return {k[len(prefix) :]: torch.from_numpy(v.copy()) for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.best = part("best.") or None
        if self.best is not None:
            self.best = {k: v.to(self.problem.device) for k, v in self.best.items()}
        states = {}
        for name, value in part("optimiser.").items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = value
        whole = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": states, "param_groups": whole["param_groups"]})
        self.step_number, self.best_step = progress["step"], progress["best_step"]
        self.best_score = -math.inf if progress["best_score"] is None else progress["best_score"]
        self.history = progress["history"]

    def progress(self):
        """What ``restore`` needs beside the tensors; JSON."""
        return {
            "step": self.step_number,
            "total": self.settings.steps,
            "best_step": self.best_step,
            "best_score": None if self.best is None else self.best_score,
            "history": self.history,
        }

    def run(self, report, checkpoint):
        """Step until done. ``report(loss, val_score)`` returning False stops; ``checkpoint()`` is called now and then.

        Returns
        -------
        str : "finished", "stopped" or "diverged" (the loss was no number; the best state so far is kept)
        """
        s, last = self.settings, time.monotonic()
        while self.step_number < s.steps:
            loss = self.step()
            if not math.isfinite(loss):
                return "diverged"
            measured = self.step_number % s.every == 0 or self.step_number == s.steps
            score = self.validate() if measured else None
            self.history.append([self.step_number, loss, score])
            if report(loss, score) is False:
                return "stopped"
            if measured and self.exhausted():
                break
            if time.monotonic() - last > s.seconds_between_checkpoints:
                checkpoint()
                last = time.monotonic()
        return "finished"


def spread(layer, scale):
    """The decaying regulariser: mean_i Σ_l ω log ω / log L + mean_i (g − ½)² (the second term is in the code only)."""
    entropy = (layer * layer.clamp_min(1e-9).log()).sum(-1).mean() / max(math.log(layer.shape[1]), 1e-9)
    return entropy + ((scale - 0.5) ** 2).mean()
