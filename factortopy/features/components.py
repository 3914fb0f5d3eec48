"""Principal components of tokens: sums over batches, a rotation of standardised channels, and the way back."""

from dataclasses import dataclass, replace

import numpy as np
import torch


@dataclass(frozen=True)
class Basis:
    """A layer's coordinates: ``tokens @ matrix + offset`` are its scores, of mean 0 over the pictures that settled it.

    matrix : (C, k) tensor, or (C,) for a scaling of each channel; offset : (k,); variance : (k,) of the scores
    mean : (C,), inverse : (k, C), the way back: ``scores @ inverse + mean``; None where there is none
    before : Basis that the tokens were reduced by when they were extracted; None for raw ones
    """

    matrix: torch.Tensor
    offset: torch.Tensor
    variance: torch.Tensor
    mean: torch.Tensor | None = None
    inverse: torch.Tensor | None = None
    before: "Basis | None" = None

    def to_raw(self, weight):
        """(k, D) linear map of scores -> (C, D) matrix and (D,) offset of the same map of raw tokens."""
        matrix = self.matrix @ weight if self.matrix.ndim == 2 else self.matrix[:, None] * weight
        offset = self.offset @ weight
        if self.before is None:
            return matrix, offset
        raw, constant = self.before.to_raw(matrix)
        return raw, constant + offset

    def on_raw(self):
        """The basis with the same scores on raw tokens."""
        if self.before is None:
            return self
        matrix, offset = self.to_raw(torch.eye(len(self.offset), device=self.offset.device))
        return Basis(matrix, offset, self.variance)

    def after(self, before):
        """The same basis for tokens that ``before`` reduced."""
        return replace(self, before=before)

    def scores(self, tokens):
        """(…, C) tokens -> (…, k) scores."""
        if self.matrix.ndim == 2:
            return tokens.float() @ self.matrix + self.offset
        return (tokens * self.matrix).add_(self.offset)  # half precision becomes single on the way

    def centred(self, tokens):
        """(…, C) tokens around their mean, of which ``of_centred`` makes what scores give; scores where nothing is turned."""
        return self.scores(tokens) if self.matrix.ndim == 1 else tokens.to(torch.float32, copy=True).sub_(self.mean)

    def of_centred(self, weight):
        """(k, D) linear map of scores -> the same map of ``centred`` tokens, (C, D)."""
        return weight if self.matrix.ndim == 1 else self.matrix @ weight

    def back(self, scores):
        """(…, k) scores -> (…, C) tokens, without what lies outside the components."""
        return scores.float() @ self.inverse + self.mean

    def to(self, device):
        """The same on a torch device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in NUMBERS})


NUMBERS = ("matrix", "offset", "variance", "mean", "inverse")


class Moments:
    """Mean and covariance of rows that come block by block."""

    def __init__(self):
        self.count = 0

    def add(self, block):
        """Add a (…, C) tensor."""
        block = block.float().reshape(-1, block.shape[-1])
        if not self.count:
            c, device = block.shape[1], block.device
            # Sums are taken around a first guess of the mean: large common offsets would eat float32's digits.
            self.guess, self.total = block.mean(0), torch.zeros(c, device=device)
            self.square = torch.zeros(c, c, device=device)
        block = block - self.guess
        self.total += block.sum(0)
        self.square += block.T @ block
        self.count += len(block)

    def finite(self):
        """Whether the squares could be held."""
        return bool(torch.isfinite(self.square).all())

    def result(self):
        """Mean (C,) and covariance (C, C)."""
        mean = self.total / self.count
        return mean + self.guess, self.square / self.count - mean[:, None] * mean


def inverse_std(variance, together=False):
    """(C,) factor that gives each channel variance 1, or all ``together`` mean variance 1, their proportions kept."""
    if together:
        return torch.full_like(variance, 1 / float(variance.clamp_min(0).mean().sqrt().clamp_min(1e-12)))
    std = variance.clamp_min(0).sqrt()
    # A channel that never varies carries nothing: leave it out instead of dividing by nothing.
    return torch.where(std > 1e-6 * std.max().clamp_min(1e-12), 1 / std.clamp_min(1e-30), torch.zeros_like(std))


def eigh(symmetric: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues, rising, and eigenvectors as columns of a symmetric matrix."""
    try:
        if symmetric.device.type == "cpu":  # two to three times as fast as torch's at 768 channels
            from scipy.linalg import eigh as of_scipy

            values, vectors = of_scipy(symmetric.numpy(), driver="evd")
            return torch.from_numpy(values), torch.from_numpy(np.ascontiguousarray(vectors))
        return torch.linalg.eigh(symmetric)
    except (
        torch.linalg.LinAlgError,
        np.linalg.LinAlgError,
    ):  # in single precision it may not converge where most channels never vary
        values, vectors = torch.linalg.eigh(symmetric.double())
        return values.to(symmetric.dtype), vectors.to(symmetric.dtype)


def principal(mean, covariance, keep=1.0, most=None, together=False):
    """Basis of the principal components of standardised channels.

    keep : share of the variance that is kept; most : how many components at most
    together : channels keep their proportions (components that are taken of components)
    """
    scale = inverse_std(covariance.diagonal(), together)
    variance, axes = eigh(covariance * scale[:, None] * scale)
    variance, axes = variance.flip(0).clamp_min(0), axes.flip(1)
    # What is beyond keep, or beyond the rank that so many tokens can have, is left out.
    wanted = int((variance.cumsum(0) < keep * variance.sum()).sum()) + 1
    k = max(1, min(wanted, int((variance > 1e-6 * variance[0]).sum()), most or wanted))
    axes = axes[:, :k]
    matrix = scale[:, None] * axes
    inverse = torch.where(scale > 0, axes.T / scale.clamp_min(1e-30), 0.0)
    return Basis(matrix, -(mean @ matrix), variance[:k], mean, inverse)


@dataclass(frozen=True)
class Reduction:
    """What the tokens of each layer were reduced by.

    most : components of a layer at most, as asked for; local, global_ : lists over layers of ``Basis``
    """

    most: int
    local: list
    global_: list

    def to(self, device):
        """The same on a torch device."""
        return Reduction(self.most, [b.to(device) for b in self.local], [b.to(device) for b in self.global_])

    def only(self, layers):
        """The same of some layers."""
        return Reduction(self.most, [self.local[k] for k in layers], [self.global_[k] for k in layers])

    def back(self, local, global_):
        """Components, lists over layers of (n, h, w, k_l) and (n, k_l) tensors -> tokens of all channels, the rest left out."""
        return (
            [basis.back(t) for basis, t in zip(self.local, local, strict=True)],
            [basis.back(t) for basis, t in zip(self.global_, global_, strict=True)],
        )

    @property
    def channels(self):
        """Channels of each layer's raw tokens."""
        return [len(basis.matrix) for basis in self.local]

    def tensors(self):
        """{name: array}, as ``of`` reads it."""
        pairs = ((kind, l, b) for kind in ("local", "global_") for l, b in enumerate(getattr(self, kind)))
        return {f"{kind}.{l:03d}.{n}": getattr(b, n).cpu().numpy() for kind, l, b in pairs for n in NUMBERS}

    @classmethod
    def of(cls, tensors, most, n_layers):
        """Read back; KeyError where one is missing."""
        return cls(
            most, *([Basis(*(torch.from_numpy(tensors[f"{kind}.{l:03d}.{n}"].copy()) for n in NUMBERS)) for l in range(n_layers)]
              for kind in ("local", "global_"))
        )  # fmt: skip
