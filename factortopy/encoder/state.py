"""State of a fit, common to the recipes: stepped, validated, checkpointed, restored; runs until it is done."""

import math
import time

import numpy as np
import torch
from torch import nn

from factortopy.errors import InputError

SMALLEST = 16  # a step that does not fit into the device's memory is cut into at most so many pieces


class Fit:
    """A model and what its recipe learns beside it, being fitted to a problem.

    A recipe gives ``parts``, ``loss``, ``rate``, ``measure`` and ``solve``. What a step draws at random depends on the
    seed and the step's number alone, so that a resumed fit is exact.

    settings : has steps, every (steps between validations), seconds_between_checkpoints
    learnt : ModuleDict of the model (``model``) and of what the recipe learns beside it
    """

    def __init__(self, problem, settings, model, readout, groups, seed):
        self.problem, self.settings, self.model, self.readout, self.seed = problem, settings, model, readout, seed
        self.learnt = nn.ModuleDict({"model": model, "readout": readout})
        self.optimiser = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=1e-2, fused=True)
        self.step_number, self.best_score, self.best, self.best_step = 0, -math.inf, None, 0
        self.history = []
        self.pieces = 1

    # ---- what a recipe gives

    def parts(self, step):
        """(vertices, trials) that a step looks at."""
        raise NotImplementedError

    def loss(self, step, vertices, trials):
        """Loss of a step over some of its vertices."""
        raise NotImplementedError

    def rate(self, step):
        """Share of each parameter group's ``base`` rate at a step."""
        raise NotImplementedError

    def limit(self):
        """Change the gradients before a step; nothing unless a recipe does."""

    def measure(self):
        """Mean R² over vertices on validation trials."""
        raise NotImplementedError

    def exhausted(self):
        """True when nothing is gained any more."""
        raise NotImplementedError

    def solve(self):
        """Channel weights (N, D), bias (N,), penalty (N,) at the best state; y = v · weight + bias."""
        raise NotImplementedError

    # ---- what all have in common

    def step(self):
        """One optimiser step; returns the loss (NaN: nothing was changed)."""
        self.step_number += 1
        for group, rate in zip(self.optimiser.param_groups, self.rate(self.step_number), strict=True):
            group["lr"] = rate * group["base"]
        loss = self.within_memory(self._gradients)
        if math.isfinite(loss):
            self.limit()
            self.optimiser.step()
        return loss

    def _gradients(self):
        vertices, trials = self.parts(self.step_number)
        self.optimiser.zero_grad()
        total = 0.0
        for piece in np.array_split(vertices, self.pieces):
            loss = self.loss(self.step_number, piece, trials) * (len(piece) / len(vertices))
            loss.backward()
            total += loss.item()
        return total

    def within_memory(self, call):
        """Result of ``call``, tried in more and more ``pieces`` when the device's memory is too small."""
        while True:
            try:
                return call()
            except torch.OutOfMemoryError as error:
                if self.pieces >= SMALLEST:
                    reason = str(error).splitlines()[0]
                    raise InputError(
                        f"device {self.problem.device}: expected memory for 1/{SMALLEST} of a step, found too little "
                        f"({reason}); close other programs, or fit with device='cpu'"
                    ) from None
                self.pieces *= 2
            torch.cuda.empty_cache()

    def validate(self):
        """Mean R² over vertices on validation trials; keeps the best state."""
        score = self.within_memory(self.measure)
        if score > self.best_score:
            self.best_score, self.best_step = score, self.step_number
            self.best = self.copy()
        return score

    def copy(self):
        """A copy of everything learnt, {name: tensor}."""
        return {k: v.detach().clone() for k, v in self.learnt.state_dict().items()}

    def run(self, report, checkpoint):
        """Step until done. ``report(loss, val_score)`` returning False stops; ``checkpoint()`` is called now and then.

        Returns
        -------
        str : "finished", "stopped" or "diverged" (the loss was no number; the best state so far is kept)
        """
        s, last = self.settings, time.monotonic()
        while self.step_number < s.steps:
            measured = (self.step_number + 1) % s.every == 0 or self.step_number + 1 == s.steps
            try:
                loss = self.step()
                score = self.validate() if measured and math.isfinite(loss) else None
            except torch.linalg.LinAlgError:  # a ridge system that holds NaN
                return "diverged"
            if not math.isfinite(loss):
                return "diverged"
            self.history.append([self.step_number, loss, score])
            if report(loss, score) is False:
                return "stopped"
            if measured and self.exhausted():
                break
            if time.monotonic() - last > s.seconds_between_checkpoints:
                checkpoint()
                last = time.monotonic()
        return "finished"

    # ---- checkpoints

    def tensors(self):
        """Everything a resumed fit needs, as {name: numpy array}."""
        out = _named("learnt", self.copy()) | _named("best", self.best or {})
        for i, state in self.optimiser.state_dict()["state"].items():
            out |= _named(f"optimiser.{i}", state)
        return out

    def progress(self):
        """What ``restore`` needs beside the tensors; JSON."""
        return {
            "step": self.step_number,
            "total": self.settings.steps,
            "best_step": self.best_step,
            "best_score": None if self.best is None else self.best_score,
            "history": self.history[-1000:],
        }

    def restore(self, tensors, progress):
        """Continue from what ``tensors`` and ``progress`` (the JSON beside it) hold."""
        self.learnt.load_state_dict(part(tensors, "learnt"))
        self.best = {k: v.to(self.problem.device) for k, v in part(tensors, "best").items()} or None
        states = {}
        for name, value in part(tensors, "optimiser").items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": states, "param_groups": groups})
        self.step_number, self.best_step = progress["step"], progress["best_step"]
        self.best_score = -math.inf if progress["best_score"] is None else progress["best_score"]
        self.history = progress["history"]


def _named(prefix, tensors):
    return {f"{prefix}.{name}": np.asarray(value.detach().cpu().numpy()) for name, value in tensors.items()}


def part(tensors, prefix):
    """Tensors under a prefix; copies, for torch must not write into the file's memory."""
    return {
        name[len(prefix) + 1 :]: torch.from_numpy(value.copy())
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }
