"""``fit``: subject and features in, fitted encoder out; progress, stop, checkpoint and resume around a recipe."""

import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from factortopy.encoder.encoder import Encoder
from factortopy.encoder.fast import FastFit, Settings
from factortopy.encoder.model import FACTORS
from factortopy.encoder.problem import pose
from factortopy.encoder.selectors import Selectors
from factortopy.errors import InputError
from factortopy.files import read_json, read_tensors, write_json, write_tensors

RECIPES = ("fast",)


@dataclass
class Progress:
    """State of a fit after a step.

    step, total : int; loss : float; val_score : mean R² over vertices on validation trials, None when not measured at
    this step; ``selectors`` : current ``Selectors``, computed when asked for (channel weights are solved at the end and
    empty until then).
    """

    step: int
    total: int
    loss: float
    val_score: float | None
    _fit: FastFit

    @property
    def selectors(self):
        return current_selectors(self._fit)


@torch.no_grad()
def current_selectors(fit, channel=None):
    """``Selectors`` of every vertex as the fit stands."""
    space, layer, scale = fit.model.selectors()
    n = len(layer)
    space = np.zeros((n, 2), dtype=np.float32) if space is None else space.cpu().numpy()
    channel = np.zeros((n, 0), dtype=np.float32) if channel is None else channel
    return Selectors(space, layer.cpu().numpy(), scale[:, 0].cpu().numpy(), channel)


def fit(
    subject, features, recipe="fast", seed=0, steps=None, topology=True, select=FACTORS, grid=8, on_progress=None,
    device=None, out=None, resume=False,
):  # fmt: skip
    """Fit the factorized, topological encoder.

    Parameters
    ----------
    subject : Subject
    features : Features
        One row per picture of the subject.
    recipe : "fast"
        Variable projection (docs/encoder.md).
    seed : int
        Same seed, same machine, same result.
    steps : int, optional
        Optimiser steps; the recipe's own number when None.
    topology : bool
        Selectors as smooth functions of the position on the cortex; False frees every vertex.
    select : names among "space", "layer", "scale"
        A factor left out is averaged over.
    grid : int
        Side of the grid that local tokens are resized to.
    on_progress : callable, optional
        Gets a ``Progress`` after each step; returning False stops cleanly and keeps what was learnt.
    device : str, optional
        "cuda" where there is one, else "cpu".
    out : path, optional
        Run folder; a checkpoint is kept in ``out/checkpoint`` about every 10 seconds, and ``resume=True`` continues from
        it to the same result as an undisturbed fit.

    Returns
    -------
    Encoder
        ``encoder.info["stopped"]`` is True when it was stopped before its last step.

    Raises
    ------
    InputError
        For an unknown recipe or factor, too few pictures, or features that do not fit the subject.
    """
    if recipe not in RECIPES:
        raise InputError(f"recipe {recipe!r}: expected one of {', '.join(RECIPES)}")
    unknown = set(select) - set(FACTORS)
    if unknown:
        raise InputError(f"select: expected names among {', '.join(FACTORS)}, found {', '.join(sorted(unknown))}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = Settings() if steps is None else replace(Settings(), steps=int(steps))
    if settings.steps < 1:
        raise InputError(f"steps: expected at least 1, found {steps}")
    problem = pose(subject, features, grid, device)
    state = FastFit(problem, settings, topology, select, seed)
    shelf = None if out is None else Path(out) / "checkpoint"
    if resume and shelf is not None and (shelf / "state.json").exists():
        _restore(state, shelf)

    def checkpoint():
        if shelf is not None:
            _keep(state, shelf)

    def report(loss, score):
        if on_progress is None:
            return True
        return on_progress(Progress(state.step_number, settings.steps, loss, score, state))

    outcome = state.run(report, checkpoint)
    if outcome == "stopped":
        checkpoint()
    if outcome == "diverged" and state.best is None:
        raise InputError(
            f"fit: the loss was no number at step {state.step_number}, before anything was learnt; "
            "check the responses and features for extreme values"
        )
    channel, bias, penalty = state.solve()
    channel = channel * state.settings.dim  # y is the mean over channels of w · v
    info = {
        "subject": subject.name,
        "simulated": bool(subject.simulated),
        "image_degrees": float(subject.image_degrees),
        "backbone": features.backbone,
        "weights": features.weights,
        "trained": features.trained,
        "recipe": recipe,
        "seed": seed,
        "steps": settings.steps,
        "steps_done": state.step_number,
        "best_step": state.best_step,
        "stopped": outcome == "stopped",
        "diverged": outcome == "diverged",
        "val_score": state.best_score if state.best is not None else None,
        "penalty": float(np.exp(np.log(penalty).mean())),
        "topology": topology,
        "select": list(select),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    with torch.no_grad():
        maps = {}
        for name, alignment in (("local", state.model.local), ("global", state.model.global_)):
            matrices, offsets = alignment.maps()
            maps[name] = [m.cpu().numpy() for m in matrices]
            maps[f"{name}_offset"] = [o.cpu().numpy() for o in offsets]
    return Encoder(
        current_selectors(state, channel), maps, bias, subject.hemi, subject.vertex, features.layer_names, grid,
        subject.density, info, subject.rois, subject.noise_ceiling,
    )  # fmt: skip


def _keep(state, shelf):
    """Write a checkpoint: tensors under a name of their own step first, then the JSON that names them."""
    shelf.mkdir(parents=True, exist_ok=True)
    name = f"step-{state.step_number:06d}.safetensors"
    write_tensors(shelf / name, state.tensors())
    write_json(shelf / "state.json", state.progress() | {"tensors": name, "seed": state.seed})
    for old in shelf.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _restore(state, shelf):
    progress = read_json(shelf / "state.json", "checkpoint")
    tensors = read_tensors(shelf / str(progress.get("tensors")), "checkpoint")
    try:
        if progress["total"] != state.settings.steps or progress["seed"] != state.seed:
            raise ValueError(f"it was made with {progress['total']} steps and seed {progress['seed']}")
        state.restore(tensors, progress)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{shelf}: expected a checkpoint of this fit, found another ({reason}); train into a new folder"
        ) from None
