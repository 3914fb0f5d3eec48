"""``fit``: subject and features in, fitted encoder out; progress, stop, checkpoint and resume around a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from factortopy.encoder.encoder import BaselineEncoder, Encoder
from factortopy.encoder.fast import FastFit, FastSettings
from factortopy.encoder.films import of_trials
from factortopy.encoder.model import Factorized
from factortopy.encoder.names import FACTORS, MODELS
from factortopy.encoder.paper import PaperFit, PaperSettings
from factortopy.encoder.problem import as_resized, origin, pose
from factortopy.encoder.reduce import FORMAT
from factortopy.encoder.selectors import Selectors
from factortopy.encoder.solve import precision
from factortopy.encoder.state import Fit
from factortopy.encoder.warm import encoders_of, settings_after, start_from, sum_of
from factortopy.errors import InputError
from factortopy.storage.files import read_json, read_tensors, write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from factortopy.features.extraction import Features
    from factortopy.subjects.subject import Subject

SOLVERS: dict[str, tuple[Any, Any]] = {
    "fast": (FastFit, FastSettings),
    "paper": (PaperFit, PaperSettings),
    "paper-released": (PaperFit, PaperSettings.released),
}


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
    _fit: Fit

    @property
    def selectors(self) -> Selectors | None:
        return current_selectors(self._fit)


@torch.no_grad()
def current_selectors(fit: Fit, channel: np.ndarray | None = None) -> Selectors | None:
    """``Selectors`` of every vertex as the fit stands; None for a baseline, which has none."""
    if not isinstance(fit.model, Factorized):
        return None
    space, layer, scale = fit.model.cortex()
    n = len(layer)
    samples = None if space is None or space.shape[1] == 1 else space.cpu().numpy()
    space = np.zeros((n, 2), dtype=np.float32) if space is None else space.mean(1).cpu().numpy()
    channel = np.zeros((n, 0), dtype=np.float32) if channel is None else channel
    return Selectors(space, layer.cpu().numpy(), scale[:, 0].cpu().numpy(), channel, samples)


def fit(
    subject: Subject,
    features: Features,
    recipe: str = "fast",
    seed: int = 0,
    steps: int | None = None,
    topology: bool = True,
    select: Sequence[str] = FACTORS,
    space_samples: int = 1,
    model: str = "factorized",
    grid: int = 8,
    on_progress: Callable[[Any], Any] | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    settings: FastSettings | PaperSettings | None = None,
    warm: Encoder | Sequence[Encoder] | None = None,
    weights: bool = True,
    **options: Any,
) -> Encoder:
    """Fit the factorized, topological encoder, or a baseline.

    Parameters
    ----------
    subject : Subject
    features : Features
        One row per picture of the subject.
    recipe : "fast", "paper" or "paper-released"
        Variable projection, the paper's own (docs/encoder.md), or its released code's (docs/paper_recipe.md), whose features
        are extracted with ``antialias=False``.
    seed : int
        Same seed, same machine, same result.
    steps : int, optional
        Optimiser steps; the recipe's own number when None.
    topology : bool
        Selectors as smooth functions of the position on the cortex; False frees every vertex.
    select : names among "space", "layer", "scale"
        A factor left out is averaged over.
    space_samples : int
        Places in the picture that a vertex looks at, averaged.
    model : "factorized", or a baseline: "classtoken", "patchtoken", "gnetvit" (``baselines``), "ridge" (``ridge``)
        Baselines have no selectors; ``topology``, ``select`` and ``space_samples`` do not concern them, and ``ridge`` has no
        recipe either. ``options`` are ridge's own (``fit_ridge``).
    grid : int
        Side of the grid that local tokens are resized to.
    on_progress : callable, optional
        Gets a ``Progress`` after each step; returning False stops cleanly and keeps what was learnt.
    device : str, optional
        "cuda" where there is one, else "cpu".
    out : path, optional
        Run folder; a checkpoint is kept in ``out/checkpoint`` every 10 seconds (``paper``: 50), and ``resume=True``
        continues from it to the same result as an undisturbed fit.
    settings : FastSettings or PaperSettings, optional
        All settings of the recipe, for experiments with the method itself; ``PaperSettings.released()`` for ``paper`` are
        those of ``paper-released``.
    warm : Encoder or list of Encoder, optional
        Of the same network and layers, for ``fast``: the fit starts from its selectors and alignments, from the mean of several
        subjects' on fsaverage, and takes a third of the steps unless ``settings`` or ``steps`` say otherwise. It is no
        independent fit: it stays near what it started from.
    weights : bool
        False leaves the last solve of ``fast`` out: an encoder of selectors alone, which predicts nothing.

    Returns
    -------
    Encoder
        ``encoder.info["stopped"]`` is True when it was stopped before its last step.

    Raises
    ------
    InputError
        For an unknown recipe, model or factor, too few pictures, features that do not fit the subject, or an encoder to start
        from that is of another network.
    """
    _check(recipe, model, select, space_samples, steps)
    encoders = encoders_of(warm, features, recipe, model)
    if not weights and (recipe, model) != ("fast", "factorized"):
        raise InputError(
            f"weights: expected the fast recipe and the factorized model, found {recipe}, {model}; leave it out"
        )
    if model == "ridge":
        from factortopy.encoder.ridge import fit_ridge

        features = as_resized(features, grid, SOLVERS[recipe][1]().antialias)
        return fit_ridge(subject, features, device=device, on_progress=on_progress, grid=grid, **options)
    if options:
        raise InputError(f"fit: {sorted(options)[0]!r} is an option of model='ridge' alone, found model={model!r}")
    features = of_trials(subject, features)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    solver, own_settings = SOLVERS[recipe]
    own, settings = settings is None, settings or own_settings()
    settings = settings if steps is None else replace(settings, steps=int(steps))
    checkpoint = None if out is None else Path(out) / "checkpoint"
    resumed = resume and checkpoint is not None and goes_on(checkpoint)
    # Products of a GPU that has TensorFloat-32 are in that format, as training networks usually has them.
    with precision("high" if str(device).startswith("cuda") else torch.get_float32_matmul_precision()):
        features = as_resized(features, grid, settings.antialias)
        problem = pose(subject, features, grid, device, **settings.laid_out)
        settings = settings.settled(len((subject.whole or subject.split).train))
        settings = settings_after(settings, steps) if encoders and own else settings
        module = _model(model, problem, settings.dim, seed, topology, select, space_samples, recipe)
        if encoders and not resumed:
            start_from(encoders, subject.vertices, problem, module, seed)
        state = solver(problem, settings, module, seed, begin=not (resumed or encoders))
        request = {"recipe": recipe, "model": model, "steps": settings.steps, "seed": seed, "topology": topology,
                   "select": sorted(select), "space_samples": space_samples, "device": device,
                   "recipe_settings": recorded(settings), "components": FORMAT,
                   "warm": [sum_of(e) for e in encoders]}  # fmt: skip
        if resumed:
            _restore(state, checkpoint, request)
        outcome = _drive(state, checkpoint, request, on_progress)
        channel, bias, penalty = state.solve() if weights else state.solve(weights=False)
    info = origin(subject, features) | {
        "model": model,
        "recipe": recipe,
        "seed": seed,
        "steps": settings.steps,
        "steps_done": state.step_number,
        "best_step": state.best_step,
        "stopped": outcome == "stopped",
        "diverged": outcome == "diverged",
        "val_score": state.best_score if state.best is not None else None,
        "penalty": float(np.exp(np.nanmean(np.log(penalty)))) if np.isfinite(penalty).any() else None,
        "topology": topology,
        "select": list(select),
        "space_samples": space_samples,
        "recipe_settings": recorded(settings),
        **({"warm": [e.info.get("subject") or "" for e in encoders]} if encoders else {}),
    }
    # y is the mean over channels of w · v, in the subject's own unit.
    channel, bias = channel * (settings.dim * problem.unit), bias * np.float32(problem.unit)
    about = {
        "vertices": subject.vertices, "layer_names": features.layer_names, "grid": grid, "info": info,
        "rois": subject.rois, "noise_ceiling": subject.noise_ceiling, "maps": subject.maps,
    }  # fmt: skip
    if model != "factorized":
        return BaselineEncoder.of(state.model, problem, channel, bias, **about)
    return Encoder(current_selectors(state, channel), _alignments(state.model), bias, **about)


def recorded(settings):
    """{name: value} of a recipe's settings, as run.json and checkpoints hold them."""
    return {k: v for k, v in asdict(settings).items() if k not in ("steps", "seconds_between_checkpoints")}


@torch.no_grad()
def _alignments(model):
    """What leads from raw tokens to aligned channels, {"local", "local_offset", "global", "global_offset": array a layer}."""
    arrays = {}
    for name, alignment in (("local", model.local), ("global", model.global_)):
        matrices, offsets = alignment.raw_maps()
        arrays[name] = [m.cpu().numpy() for m in matrices]
        arrays[f"{name}_offset"] = [o.cpu().numpy() for o in offsets]
    return arrays


def _check(recipe, model, select, space_samples, steps):
    if recipe not in SOLVERS:
        raise InputError(f"recipe {recipe!r}: expected one of {', '.join(SOLVERS)}")
    if model not in MODELS:
        raise InputError(f"model {model!r}: expected one of {', '.join(MODELS)}")
    unknown = set(select) - set(FACTORS)
    if unknown:
        raise InputError(f"select: expected names among {', '.join(FACTORS)}, found {', '.join(sorted(unknown))}")
    for name, value in (("steps", 1 if steps is None else steps), ("space_samples", space_samples)):
        if int(value) != value or value < 1:
            raise InputError(f"{name}: expected a whole number from 1 up, found {value}")


def _model(name, problem, dim, seed, topology, select, space_samples, recipe):
    if name == "factorized":
        return Factorized(problem, dim, seed, topology, select, space_samples, unit_variance=recipe == "fast")
    from factortopy.encoder.baselines import MODELS as BASELINES

    return BASELINES[name](problem, dim, torch.Generator().manual_seed(seed))


def _drive(state, folder, request, on_progress):
    """Run a fit; "finished", "stopped" or "diverged"."""

    def checkpoint():
        if folder is not None:
            _keep(state, folder, request)

    def report(loss, score):
        if on_progress is None:
            return True
        return on_progress(Progress(state.step_number, state.settings.steps, loss, score, state))

    outcome = state.run(report, checkpoint)
    if outcome == "stopped":
        checkpoint()
    if outcome == "diverged" and state.best is None:
        raise InputError(
            f"fit: the loss was no number at step {state.step_number}, before anything was learnt; "
            "check the responses and features for extreme values"
        )
    return outcome


def _keep(state, folder, request):
    """Write a checkpoint: tensors under a name of their own step first, then the JSON that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{state.step_number:06d}.safetensors"
    write_tensors(folder / name, state.tensors())
    write_json(folder / "state.json", state.progress() | {"tensors": name, "fit": request})
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def goes_on(folder):
    """Whether a folder holds a checkpoint that this version goes on from.

    Alignments of ``fast`` stand on components; those of a version with other components mean something else here, and the fit
    begins again.
    """
    if not (folder / "state.json").exists():
        return False
    request = read_json(folder / "state.json", "checkpoint").get("fit")
    if not isinstance(request, dict):
        return True  # damaged: said when it is read
    return request.get("recipe") != "fast" or request.get("components", 1) == FORMAT


def _restore(state, folder, request):
    progress = read_json(folder / "state.json", "checkpoint")
    tensors = read_tensors(folder / str(progress.get("tensors")), "checkpoint")
    try:
        # Older versions did not note these.
        before = {"recipe_settings": request["recipe_settings"], "components": FORMAT, "warm": []} | progress["fit"]
        other = [f"{k} {before[k]}" for k, v in request.items() if k != "device" and before[k] != v]
        if other:
            raise ValueError(f"it was made with {', '.join(other)}")
        state.restore(tensors, progress)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{folder}: expected a checkpoint of this fit, found another ({reason}); train into a new folder"
        ) from None
