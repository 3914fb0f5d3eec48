"""The pooled-ridge encoder of the simulated-fMRI work: every layer pooled, its channels reduced, ridge regression.

No recipe and no selectors. Tokens of each layer are projected on a few directions of its channels (by default the ones
that the network's own weights write most into: no picture is looked at), averaged over the cells of a coarser grid and
standardised; ridge regression with a penalty per vertex, chosen by cross-validation over pictures (himalaya).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from factortopy.encoder.baselines import pool
from factortopy.encoder.encoder import BaselineEncoder
from factortopy.encoder.films import kept_together, of_trials
from factortopy.encoder.problem import check_finite, origin, picture_of_trial
from factortopy.encoder.reduce import moments, on_grid
from factortopy.errors import InputError
from factortopy.features.components import eigh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from factortopy.encoder.encoder import Encoder
    from factortopy.features.extraction import Features
    from factortopy.subjects.subject import Subject

REDUCTIONS = ("weights", "data", None)
COMPONENTS = 16  # on the demo subject 8 to 64 score within 0.01 of each other
FEATURES = 2500  # of one layer, at most: sets the side of the pooled grid
FOLDS = 5
PENALTIES = np.logspace(-3, 4, 15)  # times the mean squared length of a picture's features
PICTURES_FOR_PCA = 1000


class RidgeProgress:
    """What ``on_progress`` gets: ``step`` of ``total`` layers pooled, then the regression as the last step.

    ``loss`` is None throughout; ``val_score`` is the mean cross-validated R², None before the last step;
    ``selectors`` is None: there are none.
    """

    def __init__(self, step, total, val_score=None):
        self.step, self.total, self.val_score = step, total, val_score
        self.loss = self.selectors = None


def fit_ridge(
    subject: Subject,
    features: Features,
    reduce: str = "weights",
    layer: int | Sequence[int] | None = None,
    components: int = COMPONENTS,
    device: str | None = None,
    on_progress: Callable[..., Any] | None = None,
    grid: int = 8,
) -> Encoder:
    """Fit the pooled-ridge encoder.

    Parameters
    ----------
    subject : Subject
    features : Features
        One row per picture of the subject.
    reduce : "weights", "data" or None
        What the channels of a layer are reduced by: the top left singular vectors of the weights that write them (needs
        the network: ``features.backbone``), the principal components of the training pictures' tokens, or nothing.
    layer : int or str, optional
        A single layer, by its number from 0 or its name; None takes all.
    components : int
        Directions kept in a layer.
    device : str, optional
        "cuda" where there is one, else "cpu".
    on_progress : callable, optional
        Gets a ``RidgeProgress`` after each layer and at the end; returning False stops before the regression, which
        leaves an encoder that predicts every vertex's mean (``info["stopped"]`` is True).
    grid : int
        Side of the grid that local tokens are resized to before they are pooled.

    Returns
    -------
    BaselineEncoder
        ``info`` holds ``reduce``, ``layers``, ``sides`` of the pooled grids, ``penalty`` (geometric mean over vertices) and
        ``val_score``, the mean cross-validated R².

    Raises
    ------
    InputError
        For an unknown reduction or layer; weights that cannot be had; features that do not belong to the subject.

    Notes
    -----
    Training and validation trials are one: cross-validation chooses the penalty, and all of them count, as in the last
    solve of the ``fast`` recipe. With more features than trials the kernel is decomposed, 4 · trials² bytes.
    """
    features = of_trials(subject, features)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check(features, reduce, components)
    layers, (image, trials, usable) = _layers(features, layer), _laid_out(subject, features)
    projections = _projections(features, layers, reduce, components, np.unique(image[trials]), grid)
    sides = [_side(p.shape[1], grid) for p in projections]
    info = origin(subject, features) | {
        "model": "ridge",
        "recipe": "ridge",
        "seed": 0,
        "reduce": reduce,
        "components": int(components),
        "layers": layers,
        "sides": sides,
        "channels": [int(tokens.shape[-1]) for tokens in features.local],
        "stopped": False,
        "val_score": None,
    }
    design, total = [], len(layers) + 1
    for l, projection, side in zip(layers, projections, sides, strict=True):
        design.append(_pool_all(features.local[l], projection, side, grid))
        step = len(design)
        if on_progress is not None and on_progress(RidgeProgress(step, total)) is False:
            info["stopped"] = True
            break
    answers = np.asarray(subject.responses[trials], dtype=np.float32)
    n_features = sum(side * side * p.shape[1] for side, p in zip(sides, projections, strict=True))
    mean, std = np.zeros(n_features, np.float32), np.ones(n_features, np.float32)
    weight = np.zeros((n_features, len(usable)), np.float32)
    bias = np.where(usable, answers.mean(0), 0).astype(np.float32)
    if not info["stopped"]:
        design = np.concatenate(design, 1)[image[trials]]
        mean, std = design.mean(0), design.std(0)
        # A feature that never varies carries nothing.
        std = np.where(std > 1e-6 * max(float(std.max()), 1e-12), std, np.inf).astype(np.float32)
        design = (design - mean) / std
        splits = folds(kept_together(subject, trials))
        weight[:, usable], bias[usable], penalty, score = ridge_cv(design, answers[:, usable], splits, device=device)
        info |= {"penalty": float(np.exp(np.log(penalty).mean())), "val_score": float(np.nanmean(score))}
        if on_progress is not None:
            on_progress(RidgeProgress(total, total, info["val_score"]))
    tensors = {"weight": weight, "bias": bias, "mean": mean, "std": std}
    tensors |= {f"project.{i:03d}": np.ascontiguousarray(p) for i, p in enumerate(projections)}
    return BaselineEncoder(
        tensors, subject.vertices, features.layer_names, grid, info, subject.rois, subject.noise_ceiling, subject.maps
    )


def ridge_cv(design, answers, splits, penalties=PENALTIES, device="cpu"):
    """Ridge regression of many vertices, the penalty of each chosen by cross-validation.

    Parameters
    ----------
    design : (T, F) float32, columns of mean 0; answers : (T, N) float32
    splits : list of (fitted, held-out) rows
    penalties : (P,) in units of the mean squared row length of ``design``

    Returns
    -------
    weight (F, N), bias (N,), penalty (N,) in the same units, score (N,) R² averaged over the splits: arrays
    """
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import r2_score

    unit = max(float(np.einsum("tf,tf->", design, design, dtype=np.float64)) / len(design), 1e-12)
    # The batches bound what is held beside the kernel: himalaya would take all penalties and vertices at once.
    options = {
        "alphas": (unit * np.asarray(penalties)).astype(np.float32), "cv": splits, "fit_intercept": True,
        "solver_params": {"n_targets_batch": 4096, "n_alphas_batch": 4, "score_func": r2_score},
    }  # fmt: skip
    with _backend("torch_cuda" if str(device).startswith("cuda") else "torch"):
        x, y = torch.from_numpy(design).to(device), torch.from_numpy(answers).to(device)
        if design.shape[1] > len(design):
            fitted = KernelRidgeCV(kernel="precomputed", **options).fit(x @ x.T, y)
            weight = x.T @ fitted.dual_coef_.to(device)
        else:
            fitted = RidgeCV(**options).fit(x, y)
            weight = fitted.coef_
        results = weight, fitted.intercept_, fitted.best_alphas_ / unit, fitted.cv_scores_
        return tuple(t.cpu().numpy() for t in results)


def folds(image):
    """Cross-validation splits of trials, list of (fitted, held-out) rows: all repeats of a picture (or block) in one part."""
    pictures, which = np.unique(image, return_inverse=True)
    n = min(FOLDS, len(pictures))
    fold = (np.random.default_rng(0).permutation(len(pictures)) % n)[which]
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n)]


# ---------------------------------------------------------------- parts


def _check(features, reduce, components):
    if features.reduction is not None:
        raise InputError(
            "model='ridge': expected features of all channels, which it reduces itself, found principal components; "
            "extract them without reduce (--pca)"
        )
    if reduce not in REDUCTIONS:
        raise InputError(f"reduce: expected weights, data or None, found {reduce!r}")
    if isinstance(components, bool) or not isinstance(components, int | np.integer) or components < 1:
        raise InputError(f"components: expected a whole number from 1 up, found {components!r}")
    check_finite(features)


def _laid_out(subject, features):
    """Picture of each trial (T,), trials to fit, and vertices whose responses vary over them (N,) bool."""
    image = picture_of_trial(subject, features)
    trials = np.concatenate([subject.split.train, subject.split.val]).astype(int)
    n_images = len(np.unique(image[trials]))
    if n_images < 2 * FOLDS:
        raise InputError(
            f"training pictures: expected at least {2 * FOLDS}, found {n_images}; add pictures to the subject"
        )
    variance = np.asarray(subject.responses[trials], dtype=np.float32).var(0)
    usable = np.isfinite(variance) & (variance > 1e-12)
    if not usable.any():
        raise InputError("responses: expected vertices that vary over the training trials, found none; check the data")
    return image, trials, usable


def _layers(features, layer):
    """Numbers of the layers that are used."""
    n = len(features.local)
    if layer is None:
        return list(range(n))
    if isinstance(layer, str) and layer in features.layer_names:
        return [features.layer_names.index(layer)]
    if isinstance(layer, int | np.integer) and not isinstance(layer, bool) and 0 <= layer < n:
        return [int(layer)]
    raise InputError(
        f"layer: expected a number from 0 to {n - 1} or a name among {', '.join(features.layer_names)}; found {layer!r}"
    )


def _projections(features, layers, reduce, components, pictures, grid):
    """List over ``layers`` of (C_l, c) float32 arrays with orthonormal columns."""
    widths = [features.local[l].shape[-1] for l in layers]
    if reduce is None:
        return [np.eye(c, dtype=np.float32) for c in widths]
    if reduce == "data":
        chosen = pictures[:: max(1, len(pictures) // PICTURES_FOR_PCA)]
        return [_main_directions(features.local[l], chosen, components, grid) for l in layers]
    weights = _channel_weights(features)
    out = []
    for l, width in zip(layers, widths, strict=True):
        if len(weights[l]) != width:
            raise InputError(
                f"features of {features.layer_names[l]}: expected the {len(weights[l])} channels of "
                f"{features.backbone}, found {width}; extract them from this network"
            )
        written = torch.from_numpy(weights[l]).double()
        # Left singular vectors, no more than the weights have.
        out.append(_top_eigenvectors(written @ written.T, min(components, written.shape[1])))
    return out


def _channel_weights(features):
    """The weights that write each layer's channels, from the network that the features name."""
    remedy = 'use reduce="data" (principal components of the training pictures) instead'
    if not features.backbone:
        raise InputError(f'reduce="weights": expected features of a named network, found bare features; {remedy}')
    from factortopy.backbones.loading import load_backbone

    backbone = load_backbone(features.backbone, features.weights)
    weights = backbone.channel_weights()
    if weights is None or len(weights) != len(features.local):
        raise InputError(
            f'reduce="weights": expected weights for each of the {len(features.local)} layers, which cannot be told for '
            f"{features.backbone}; {remedy}"
        )
    return weights


def _main_directions(tokens, pictures, components, grid):
    """Top principal components (C, c) of a layer's tokens over ``pictures`` and positions."""
    _, covariance = moments(tokens, pictures, torch.device("cpu"), grid)
    return _top_eigenvectors(covariance, components)


def _top_eigenvectors(symmetric, components):
    """(C, c) float32 array."""
    return eigh(symmetric)[1].flip(1)[:, :components].float().contiguous().numpy()


def _side(channels, grid):
    """Side of the pooled grid: side² · channels ≤ FEATURES where that can be, at least 1 and at most ``grid``."""
    return int(np.clip(np.floor((FEATURES / channels) ** 0.5), 1, grid))


def _pool_all(tokens, projection, side, grid):
    """(n, side² · c) pooled features of all pictures of a layer, (n, h, w, C)."""
    out = np.empty((len(tokens), side * side * projection.shape[1]), np.float32)
    projection = torch.from_numpy(projection)
    for i in range(0, len(tokens), 256):
        out[i : i + 256] = pool(on_grid(tokens[i : i + 256], grid), projection, side).numpy()
    return out


@contextlib.contextmanager
def _backend(name):
    """himalaya's backend is one for the process: leave it as it was."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend().name
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)
