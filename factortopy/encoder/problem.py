"""A subject and a network's features, laid out for fitting: batches of token scores and responses, by trial or by picture."""

import platform
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from factortopy.backbones.finetuned import description_of
from factortopy.encoder.films import rows_of
from factortopy.encoder.reduce import FEW, Sampled, earlier, gather, let_go, not_finite, reduced, scaling
from factortopy.encoder.repeats import Pictures, read
from factortopy.errors import InputError
from factortopy.features.components import Basis
from factortopy.surfaces.coordinates import stretched

MIN_TRAIN_IMAGES = 8


@dataclass
class Problem:
    """Everything a recipe needs.

    local : list over layers of (n, K, k_l) float16 arrays of scores on the encoder's grid, K = grid²; global_ : list of
    (n, k_l). With ``raw`` they are the features themselves, (n, h, w, C_l) and (n, C_l).
    local_basis, global_basis : lists over layers of Basis
    few : (local, global) scores on the first components, up to ``FEW`` of a layer; None where nothing was reduced
    responses : (T, N) array, possibly memory-mapped; image : (T,) row of the features behind each trial
    train, val, test : trial rows; coords : (N, 3) in [0, 100]; usable : (N,) bool, responses vary over training trials
    unit : median standard deviation of the usable vertices' responses, so that settings mean the same for any unit of theirs
    """

    local: list
    global_: list
    local_basis: list
    global_basis: list
    responses: np.ndarray
    image: np.ndarray
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    coords: np.ndarray
    usable: np.ndarray
    grid: int
    device: torch.device
    raw: bool = False
    unit: float = 1.0
    few: tuple | None = None

    @property
    def principal(self):
        """Whether scores are principal components: the variance of what a map makes of them is known."""
        return self.local_basis[0].matrix.ndim == 2

    def tokens(self, trials, few=False, dtype=torch.float32):
        """Tokens of the pictures behind ``trials``: lists over layers of (T, K, ·) and (T, ·) tensors.

        They are scores; with ``raw`` they are ``Basis.centred`` tokens. few : scores on the first components alone, which
        are cheap to read
        """
        return self.tokens_of(self.image[np.asarray(trials)], few, dtype)

    def tokens_of(self, rows, few=False, dtype=torch.float32):
        """The same of rows of the features."""
        centre = self.raw and not few

        def blocks(layers, bases):
            for layer, basis in zip(layers, bases, strict=True):
                block = gather(layer, rows, self.device, self.grid)
                let_go(layer)  # at once: a system that maps large pages maps most of a file for a few hundred rows
                yield (basis.centred(block) if centre else block).to(dtype)

        local, global_ = self.few if few else (self.local, self.global_)
        return list(blocks(local, self.local_basis)), list(blocks(global_, self.global_basis))

    def answers(self, trials, vertices=None):
        """(T, n) float32 tensor of responses in ``unit``."""
        block = read(self.responses, np.asarray(trials), vertices)
        return torch.from_numpy(block).to(self.device).div_(self.unit)

    @cached_property
    def train_pictures(self):
        """``Pictures`` of the training trials."""
        return Pictures(self, self.train)

    @cached_property
    def val_pictures(self):
        """``Pictures`` of the validation trials."""
        return Pictures(self, self.val)


def pose(subject, features, grid, device, raw=False, standardise=True, unit=None, surface="inflated", span="mesh"):
    """Check that subject and features belong together and lay them out.

    raw : standardise the tokens when they are read (the paper's way) instead of reducing them once; as they are unless
    ``standardise``.
    unit : of the responses; None: ``Problem.unit``.
    surface, span : of the positions (``encoder_position``).

    Raises
    ------
    InputError
        When pictures and features differ in number, or there are too few training pictures.
    """
    image = picture_of_trial(subject, features)
    split = subject.split
    n_images = len(np.unique(image[split.train]))
    if n_images < MIN_TRAIN_IMAGES:
        raise InputError(
            f"training pictures: expected at least {MIN_TRAIN_IMAGES}, found {n_images}; add pictures to the subject"
        )
    variance = np.zeros(subject.responses.shape[1])
    sample = np.asarray(split.train)[:: max(1, len(split.train) // 2000)]
    for i in range(0, len(variance), 4096):
        variance[i : i + 4096] = np.asarray(subject.responses[:, i : i + 4096])[sample].var(0)
    usable = np.isfinite(variance) & (variance > 1e-12)
    if not usable.any():
        raise InputError("responses: expected vertices that vary over the training trials, found none; check the data")
    if raw:
        check_finite(features)  # what is reduced is looked at as a whole
    device, pictures, few = torch.device(device), np.unique(image[(subject.whole or split).train]), None
    if raw and not standardise:
        if features.reduction is not None:
            raise InputError(
                f"features: expected all channels, as the paper's released code reads them, found {features.reduction.most} "
                "principal components a layer; extract them without reduce (--pca)"
            )
        tokens = (features.local, features.global_)
        bases = [[_as_they_are(layer, device) for layer in layers] for layers in tokens]
    elif raw:
        tokens = (features.local, features.global_)
        bases = [
            [scaling(layer, pictures, device, grid, b) for layer, b in zip(layers, before, strict=True)]
            for layers, before in zip(tokens, earlier(features, device), strict=True)
        ]
    else:
        *tokens, local_basis, global_basis = reduced(features, grid, device)
        bases, few = (local_basis, global_basis), tuple([t[..., :FEW] for t in kind] for kind in tokens)
        if any(t.shape[-1] < len(b.variance) for t, b in zip(tokens[0], local_basis, strict=True)):
            raw, tokens = True, (features.local, features.global_)
    return Problem(
        *tokens, *bases, subject.responses, image, *(np.asarray(part) for part in (split.train, split.val, split.test)),
        encoder_position(subject, surface, span), usable, grid, device, raw,
        unit or float(np.median(np.sqrt(variance[usable]))), few,
    )  # fmt: skip


def as_resized(features, grid, antialias):
    """The features with local tokens resized to ``grid`` without antialiasing, where the recipe or the extraction did so.

    Raises
    ------
    InputError
        When the recipe wants none and the features were antialiased already.
    """
    if not antialias and features.antialias:
        raise InputError(
            "features: expected tokens resized without antialiasing, as the paper's released code does, found averaged ones; "
            "extract them with antialias=False"
        )
    if features.antialias or (antialias and features.antialias is None):
        return features
    local = [t if np.shape(t)[1:3] == (grid, grid) else Sampled(t, grid) for t in features.local]
    return replace(features, local=local, antialias=False)


def encoder_position(subject, surface="inflated", span="mesh"):
    """(N, 3) float32 in [0, 100]: the subject's coordinates; its own span is stretched when they are of its own making.

    surface, span : "sphere" and "vertices" are the paper's released code's (docs/paper_recipe.md): fsaverage's sphere, and
    the span of the vertices at hand stretched to 100 instead of the whole mesh's
    """
    if surface == "sphere" and not subject.coords_given:
        coords = subject.vertices.coords(surface="sphere")
    else:
        coords = np.asarray(subject.coords, dtype=np.float32)
    return stretched(coords) if subject.coords_given or span == "vertices" else coords


def _as_they_are(layer, device):
    """Basis whose scores are the layer's channels themselves."""
    one = torch.ones(layer.shape[-1], device=device)
    return Basis(one, torch.zeros_like(one), one)


def picture_of_trial(subject, features):
    """(T,) row of the features behind each trial; InputError when there are fewer."""
    image = rows_of(subject, np.arange(len(subject.responses)))
    if len(features) <= image.max():
        raise InputError(
            f"features: expected at least {image.max() + 1} pictures, as the subject has, found {len(features)}; "
            "extract them from this subject's pictures"
        )
    return image


def check_finite(features):
    """InputError that names the layer whose tokens are no numbers."""
    for name, local, token in zip(features.layer_names, features.local, features.global_, strict=True):
        # A sample is enough to notice a network that overflowed in half precision.
        if not (np.isfinite(local[:: max(1, len(local) // 50)]).all() and np.isfinite(token).all()):
            raise not_finite(name)


def origin(subject, features):
    """What ``Encoder.info`` says of where an encoder comes from."""
    return {
        "subject": subject.name,
        "simulated": bool(subject.simulated),
        "image_degrees": float(subject.image_degrees),
        "backbone": features.backbone,
        "weights": features.weights,
        "trained": features.trained,
        **({"ceiling_note": subject.ceiling_note} if getattr(subject, "ceiling_note", "") else {}),
        **({"notices": list(features.notices)} if features.notices else {}),
        **({"fir": features.extra["fir"]} if "fir" in features.extra else {}),
        **({"finetuned": tuning} if (tuning := description_of(features.backbone, features.weights)) else {}),
        **({} if features.reduction is None else {"pca": features.reduction.most}),
        **({"antialias": False} if features.antialias is False else {}),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
