"""The ``paper`` recipe: "Brain Decodes Deep Nets", section 3; ``PaperSettings.released()`` follows the released code instead.

AdamW on everything at once, channel weights included; smooth L1 and a decaying regulariser; batches of 8 trials and all
vertices; early stop; at the end a greedy soup of the ten best validation checkpoints. Where the released code does otherwise, and what
that changes: docs/paper_recipe.md.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from factortopy.encoder.solve import r2
from factortopy.encoder.state import Fit, part


@dataclass(frozen=True)
class PaperSettings:
    """Settings of the paper; steps is an upper bound, early stop decides."""

    steps: int = 60_000
    dim: int = 128
    batch: int = 8
    rate: float = 1e-3
    regulariser: float = 0.1
    decay: float = 6000  # steps after which λ is 0
    every: int | None = 1000  # steps an epoch; None: one pass over the training trials
    patience: int | None = 20  # epochs without gain; None: never stops early
    ingredients: int = 10  # of the soup; 0: the last epoch's state
    seconds_between_checkpoints: float = 50.0
    antialias: bool = True  # tokens are averaged over areas where they are resized
    standardise: bool = True  # each channel of the tokens, over the training pictures
    surface: str = "inflated"  # of the positions, or "sphere"
    span: str = "mesh"  # that positions are stretched by, or "vertices": of those at hand
    own_unit: bool = True  # responses in units of their median standard deviation, not as they are
    passes: bool = False  # batches are parts of shuffled passes over the trials, not drawn anew each step
    clip: float | None = None  # longest gradient
    first: int = 1  # what the first step counts as while λ decays
    added: float = 0.0  # to ω in the logarithm of the regulariser

    @classmethod
    def released(cls):
        """The released code's in all that it does otherwise than the paper or this recipe, by file and function: docs/paper_recipe.md.

        steps : ten passes over the 9,000 pictures of its data; how many it made is not in the code.
        """
        return cls(
            steps=11_250, decay=2000, every=None, patience=None, ingredients=0, antialias=False, standardise=False,
            surface="sphere", span="vertices", own_unit=False, passes=True, clip=0.5, first=0, added=1e-8,
        )  # fmt: skip

    @property
    def laid_out(self):
        """How tokens, responses and positions are laid out: what ``pose`` takes."""
        unit = None if self.own_unit else 1.0
        return {
            "raw": True, "standardise": self.standardise, "unit": unit, "surface": self.surface, "span": self.span,
        }  # fmt: skip

    def settled(self, n_trials):
        """With the steps of an epoch filled in where it is a pass over the data."""
        return self if self.every else replace(self, every=-(-n_trials // self.batch))


class Readout(nn.Module):
    """y = mean_d(w · v) + b of every vertex, started as PyTorch starts a linear layer."""

    def __init__(self, n, dim, seed, device):
        super().__init__()
        generator = torch.Generator().manual_seed(seed + 1)
        bound = dim**-0.5
        self.weight = nn.Parameter((bound * (2 * torch.rand(n, dim, generator=generator) - 1)).to(device))
        self.bias = nn.Parameter((bound * (2 * torch.rand(n, generator=generator) - 1)).to(device))

    def forward(self, model, pictures, cortex, vertices):
        """Responses (n, T) of ``vertices``, None for all, by their model."""
        weight, bias = (self.weight, self.bias) if vertices is None else (self.weight[vertices], self.bias[vertices])
        if hasattr(model, "respond"):
            total = model.respond(pictures, cortex, weight)
        else:
            design = model.design(pictures, cortex)
            total = weight @ design[0].T if len(design) == 1 else (design @ weight[..., None])[..., 0]
        return total / weight.shape[1] + bias[:, None]


class PaperFit(Fit):
    """A fit by the paper's recipe."""

    def __init__(self, problem, settings, model, seed, begin=True):
        readout = Readout(len(problem.coords), settings.dim, seed, problem.device)
        parameters = [*model.parameters(), *readout.parameters()]
        super().__init__(problem, settings, model, readout, [{"params": parameters, "base": settings.rate}], seed)
        self.soup = []  # (score, step, state), the best first
        self.usable = np.flatnonzero(problem.usable)

    def parts(self, step):
        """All vertices, and a batch of trials."""
        train, n = self.problem.train, self.settings.batch
        if self.settings.passes:
            done, place = divmod(step - 1, -(-len(train) // n))
            order = np.random.default_rng([self.seed, done]).permutation(train)
            return self.usable, order[place * n : (place + 1) * n]
        rng = np.random.default_rng([self.seed, step])
        return self.usable, rng.choice(train, min(n, len(train)), replace=False)

    def limit(self):
        """Shorten the gradient of all parameters together."""
        if self.settings.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.learnt.parameters(), self.settings.clip)

    def loss(self, step, vertices, trials):
        """Smooth L1 and the decaying regulariser."""
        s, problem = self.settings, self.problem
        rows = None if len(vertices) == len(problem.coords) else torch.from_numpy(vertices).to(problem.device)
        cortex = self.model.cortex(rows)
        prediction = self.readout(self.model, self.model.pictures(problem.tokens(trials)), cortex, rows)
        loss = F.smooth_l1_loss(prediction, problem.answers(trials, vertices).T, beta=0.1)
        strength = s.regulariser * max(0.0, 1 - (step - 1 + s.first) / s.decay)
        return loss + strength * self.model.regulariser(cortex, s.added) if strength else loss

    def rate(self, step):
        return [1.0]

    @torch.no_grad()
    def measure(self):
        """Over all vertices."""
        problem, scores = self.problem, []
        for vertices in np.array_split(self.usable, -(-len(self.usable) // 4096) * self.pieces):
            rows, predictions = torch.from_numpy(vertices).to(problem.device), []
            cortex = self.model.cortex(rows)
            for i in range(0, len(problem.val), 64):
                pictures = self.model.pictures(problem.tokens(problem.val[i : i + 64]))
                predictions.append(self.readout(self.model, pictures, cortex, rows))
            scores.append(r2(problem.answers(problem.val, vertices).T, torch.cat(predictions, 1)))
        return float(torch.cat(scores).nanmean())

    def validate(self):
        if not self.settings.ingredients:
            self.best_score = -math.inf  # the last one counts, whatever came before
        score = super().validate()
        self.soup.append((score, self.step_number, self.copy()))
        self.soup = sorted(self.soup, key=lambda item: -item[0])[: self.settings.ingredients]
        return score

    def exhausted(self):
        """No gain for ``patience`` epochs."""
        if self.settings.patience is None:
            return False
        return self.step_number - self.best_step >= self.settings.patience * self.settings.every

    def solve(self):
        """Greedy soup: each next best checkpoint is averaged in if validation gains ("Model soups", 2022)."""
        if self.soup:
            (best_score, _, taken), *rest = self.soup
            count = 1
            for _, _, state in rest:
                mixed = {name: (count * taken[name] + state[name]) / (count + 1) for name in taken}
                self.learnt.load_state_dict(mixed)
                score = self.within_memory(self.measure)
                if score > best_score:
                    best_score, taken, count = score, mixed, count + 1
            self.best, self.best_score = taken, best_score
            self.learnt.load_state_dict(taken)
        elif self.best is not None:
            self.learnt.load_state_dict(self.best)
        weight, bias = self.readout.weight.detach() / self.settings.dim, self.readout.bias.detach()
        unused = torch.from_numpy(~self.problem.usable)
        weight, bias = weight.cpu().clone(), bias.cpu().clone()
        weight[unused], bias[unused] = 0, 0
        return weight.numpy(), bias.numpy(), np.full(len(bias), np.nan, np.float32)

    # The ingredients are part of a checkpoint; the best state is the first of them.

    def tensors(self):
        out = super().tensors()
        for i, (_, _, state) in enumerate(self.soup):
            out |= {f"soup.{i}.{name}": value.cpu().numpy() for name, value in state.items()}
        return out

    def progress(self):
        return super().progress() | {"soup": [[score, step] for score, step, _ in self.soup]}

    def restore(self, tensors, progress):
        super().restore(tensors, progress)
        device = self.problem.device
        self.soup = [
            (score, step, {k: v.to(device) for k, v in part(tensors, f"soup.{i}").items()})
            for i, (score, step) in enumerate(progress["soup"])
        ]
