"""The ``fast`` recipe: variable projection.

For given selectors and alignments the prediction is linear in a vertex's channel weights, so those never are
parameters of the optimiser. One step draws vertices and pictures at random, splits the pictures 2:1 into A and B, solves
ridge regression on A in closed form and scores it on B; gradients flow through the solve to selectors, alignments and
one penalty. Fitting on one part and scoring on the other keeps the selectors honest: no overfitted channel weights can
hide a wrong layer. It begins where single layers and places point (``start``) and ends with one exact solve for all
vertices (``solve``).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from factortopy.encoder.designs import part
from factortopy.encoder.model import Factorized
from factortopy.encoder.solve import r2, ridge, solve
from factortopy.encoder.start import start
from factortopy.encoder.state import Fit

MEASURED = 600  # pictures of each part that a validation looks at


@dataclass(frozen=True)
class FastSettings:
    """Settings of the recipe; none needs tuning by a user."""

    steps: int = 180
    dim: int | None = None  # aligned channels; None: √(training trials), 16 to 64
    vertices: int = 512  # a step
    pictures: int = 256  # a step
    selector_rate: float = 4e-3
    rate: float = 8e-3  # of everything else
    regulariser: float = 0.01  # λ at the start
    decay: float = 2 / 3  # share of the steps after which λ is 0
    every: int = 10  # steps between validations
    patience: int = 4  # validations without gain after λ has gone
    seconds_between_checkpoints: float = 10.0

    antialias: ClassVar[bool] = True
    laid_out: ClassVar[Mapping[str, Any]] = MappingProxyType({})  # as ``pose`` does by itself

    def settled(self, n_trials):
        """With the number of aligned channels filled in: more channels than trials can pay for overfit."""
        return self if self.dim else replace(self, dim=int(np.clip(round(n_trials**0.5), 16, 64)))


def quick(device):
    """Number format of the products that align tokens: bfloat16 where the processor multiplies it."""
    return (
        torch.bfloat16
        if device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
        else torch.float32
    )


class Penalty(nn.Module):
    """The one penalty of all ridge regressions inside the loss, in units of the Gram matrix's mean diagonal."""

    def __init__(self, device):
        super().__init__()
        self.log = nn.Parameter(torch.full((), math.log(0.1), device=device))

    def forward(self):
        return self.log.exp()


class FastFit(Fit):
    """A fit by variable projection.

    settings : settled FastSettings; begin : False when a checkpoint is restored next
    """

    def __init__(self, problem, settings, model, seed, begin=True):
        if begin:
            start(problem, model, seed)
        penalty = Penalty(problem.device)
        selectors = list(getattr(model, "selectors", nn.Module()).parameters())
        selector_ids = {id(p) for p in selectors}
        free = not getattr(getattr(model, "selectors", None), "topology", True)
        groups = [
            # Free selectors have a gradient only when their vertex is drawn: they take longer steps.
            {"params": selectors, "base": settings.selector_rate * (10 if free else 1), "warm": 20},
            {"params": [p for p in model.parameters() if id(p) not in selector_ids], "base": settings.rate, "warm": 5},
            {"params": list(penalty.parameters()), "base": 1e-2, "warm": 5},
        ]
        super().__init__(problem, settings, model, penalty, groups, seed)
        self._dtype = quick(problem.device) if isinstance(model, Factorized) else torch.float32
        self.pool = np.flatnonzero(problem.usable)
        self.probe = self.pool[:: max(1, len(self.pool) // 256)]

    def parts(self, step):
        """Vertices, and training pictures."""
        s, rng = self.settings, np.random.default_rng([self.seed, step])
        vertices = rng.choice(self.pool, min(s.vertices, len(self.pool)), replace=False)
        n = len(self.problem.train_pictures)
        return vertices, rng.choice(n, min(s.pictures, n), replace=False)

    def loss(self, step, vertices, pictures):
        """Squared error on B after ridge on A, and the decaying regulariser."""
        s, problem, n = self.settings, self.problem, max(2, 2 * len(pictures) // 3)
        shown = problem.train_pictures
        cortex = self.model.cortex(torch.from_numpy(vertices).to(problem.device))
        design = self.model.design(self._rows(shown, pictures), cortex).expand(len(vertices), -1, -1)
        response = shown.answers(pictures, vertices).T
        count = shown.counts(pictures)
        weight, mean_x, mean_y = ridge(
            design[:, :n], response[:, :n], self.readout(), None if count is None else count[:n]
        )
        prediction = ((design[:, n:] - mean_x) @ weight[..., None])[..., 0] + mean_y
        if count is None:
            loss = F.mse_loss(prediction, response[:, n:])
        else:
            loss = ((prediction - response[:, n:]).square() @ (count[n:] / count[n:].sum())).mean()
        strength = s.regulariser * max(0.0, 1 - step / (s.decay * s.steps))
        return loss + strength * self.model.regulariser(cortex) if strength else loss

    def _rows(self, pictures, rows):
        """What the model makes of rows of ``Pictures``."""
        return self.model.pictures(pictures.tokens(rows, dtype=self._dtype))

    def rate(self, step):
        tail = max(0.05, (self.settings.steps - step) / (0.5 * self.settings.steps))  # below 1 in the second half
        return [min(1.0, step / group["warm"], tail) for group in self.optimiser.param_groups]

    @torch.no_grad()
    def measure(self):
        """Over up to 256 vertices, solved on up to 600 training pictures, scored on trials of up to 600 for validation."""
        problem, (fitted, response, val, which, held_out) = self.problem, self._measured
        cortex = self.model.cortex(torch.from_numpy(self.probe).to(problem.device))

        def designs(pictures, rows):
            out = torch.empty(len(self.probe), len(rows), self.model.dim, device=problem.device)
            for i in range(0, len(rows), 384):
                aligned = self._rows(pictures, rows[i : i + 384])
                for k in np.array_split(np.arange(len(self.probe)), self.pieces):
                    out[k, i : i + 384] = self.model.design(aligned, part(cortex, k))
            return out

        weight, mean_x, mean_y = ridge(
            designs(problem.train_pictures, fitted),
            response,
            0.3 * self.readout(),
            problem.train_pictures.counts(fitted),
        )
        prediction = ((designs(problem.val_pictures, val) - mean_x) @ weight[..., None])[..., 0] + mean_y
        return float(r2(held_out, prediction[:, which]).nanmean())

    @cached_property
    def _measured(self):
        """What ``measure`` looks at: training pictures (T,), their responses (n, T); validation pictures (V,), which of
        them each of their trials shows, and the responses of those."""
        shown, held = self.problem.train_pictures, self.problem.val_pictures
        fitted, val = (np.arange(0, len(p), max(1, -(-len(p) // MEASURED))) for p in (shown, held))
        ours = np.isin(held.which, val)
        which, answers = np.searchsorted(val, held.which[ours]), self.problem.answers(held.trials[ours], self.probe).T
        return fitted, shown.answers(fitted, self.probe).T, val, which, answers

    def exhausted(self):
        """Validation has not gained for ``patience`` validations since the regulariser went."""
        s = self.settings
        return self.step_number - max(self.best_step, int(s.decay * s.steps)) >= s.patience * s.every

    def solve(self, weights=True):
        """As ``Fit.solve``; without ``weights`` the best state alone: (N, 0), zeros and NaN."""
        if self.best is not None:
            self.learnt.load_state_dict(self.best)
        if not weights:
            n = len(self.problem.coords)
            return np.zeros((n, 0), np.float32), np.zeros(n, np.float32), np.full(n, np.nan, np.float32)
        return self.within_memory(lambda: solve(self.problem, self.model, self.pieces))
