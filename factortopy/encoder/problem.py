"""A subject and a network's features, laid out for fitting: batches of tokens and responses by trial."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from factortopy.errors import InputError

MIN_TRAIN_IMAGES = 8


@dataclass
class Problem:
    """Everything a recipe needs.

    local : list over layers of (n, K, C_l) float16 arrays on the encoder's grid, K = grid²; global_ : list of (n, C_l)
    responses : (T, N) array, possibly memory-mapped; image : (T,) row of the features behind each trial
    train, val, test : trial rows; coords : (N, 3) in [0, 100]; usable : (N,) bool, responses vary over training trials
    """

    local: list
    global_: list
    responses: np.ndarray
    image: np.ndarray
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    coords: np.ndarray
    usable: np.ndarray
    grid: int
    device: torch.device

    def tokens(self, trials):
        """Lists over layers of (T, K, C_l) and (T, C_l) float32 tensors of the pictures behind ``trials``."""
        rows = self.image[np.asarray(trials)]
        return gather(self.local, rows, self.device), gather(self.global_, rows, self.device)

    def answers(self, trials, vertices=None):
        """(T, n) float32 tensor of responses; whole rows are read, which is what a memory map does well."""
        block = np.asarray(self.responses[np.asarray(trials)], dtype=np.float32)
        if vertices is not None:
            block = block[:, np.asarray(vertices)]
        return torch.from_numpy(np.ascontiguousarray(block)).to(self.device)


def gather(layers, rows, device):
    """Rows of each layer as float32 tensors."""
    order = np.asarray(rows)
    return [torch.from_numpy(np.ascontiguousarray(layer[order])).to(device).float() for layer in layers]


def on_grid(tokens, grid, chunk=256):
    """(n, h, w, C) tokens resized to (n, grid², C) float16; untouched when they are on the grid already."""
    n, h, w, c = tokens.shape
    if (h, w) == (grid, grid):
        return tokens.reshape(n, grid * grid, c)
    out = np.empty((n, grid * grid, c), dtype=np.float16)
    for i in range(0, n, chunk):
        block = torch.from_numpy(np.ascontiguousarray(tokens[i : i + chunk])).float().permute(0, 3, 1, 2)
        block = F.interpolate(block, (grid, grid), mode="bilinear", antialias=True, align_corners=False)
        out[i : i + chunk] = block.permute(0, 2, 3, 1).reshape(len(block), grid * grid, c).half().numpy()
    return out


def pose(subject, features, grid, device):
    """Check that subject and features belong together and lay them out.

    Raises
    ------
    InputError
        When pictures and features differ in number, or there are too few training pictures.
    """
    image = np.arange(len(subject.responses)) if subject.image_index is None else np.asarray(subject.image_index)
    if len(features) <= image.max():
        raise InputError(
            f"features: expected at least {image.max() + 1} pictures, as the subject has, found {len(features)}; "
            "extract them from this subject's pictures"
        )
    split = subject.split
    n_images = len(np.unique(image[split.train]))
    if n_images < MIN_TRAIN_IMAGES:
        raise InputError(
            f"training pictures: expected at least {MIN_TRAIN_IMAGES}, found {n_images}; add pictures to the subject"
        )
    for l, (local, token) in enumerate(zip(features.local, features.global_, strict=True)):
        # A sample is enough to notice a network that overflowed in half precision.
        if not (np.isfinite(local[:: max(1, len(local) // 50)]).all() and np.isfinite(token).all()):
            raise InputError(
                f"features of layer {features.layer_names[l]}: expected finite numbers, found NaN or infinity; "
                "delete them from the cache and extract again"
            )
    variance = np.zeros(subject.responses.shape[1])
    sample = np.asarray(split.train)[:: max(1, len(split.train) // 2000)]
    for i in range(0, len(variance), 4096):
        variance[i : i + 4096] = np.asarray(subject.responses[:, i : i + 4096])[sample].var(0)
    usable = np.isfinite(variance) & (variance > 1e-12)
    if not usable.any():
        raise InputError("responses: expected vertices that vary over the training trials, found none; check the data")
    return Problem(
        [on_grid(tokens, grid) for tokens in features.local],
        list(features.global_),
        subject.responses,
        image,
        *(np.asarray(part) for part in (split.train, split.val, split.test)),
        encoder_position(subject),
        usable,
        grid,
        torch.device(device),
    )


def encoder_position(subject):
    """(N, 3) float32 in [0, 100]: the subject's coordinates; its own span is stretched when they are of its own making."""
    coords = np.asarray(subject.coords, dtype=np.float32)
    if subject.coords_given:
        coords = coords - coords.min(0)
        coords = coords * (100 / max(float(coords.max()), 1e-6))
    return coords


def moments(layers, rows, device, chunk=128):
    """Mean (C,) and covariance (C, C) of every layer's tokens over the pictures ``rows`` (and over positions)."""
    means, covariances = [], []
    for layer in layers:
        c = layer.shape[-1]
        total, square, count = torch.zeros(c, device=device), torch.zeros(c, c, device=device), 0
        # Sums are taken around a first guess of the mean: large common offsets would eat float32's digits.
        guess = gather([layer], rows[:16], device)[0].reshape(-1, c).mean(0)
        for i in range(0, len(rows), chunk):
            block = gather([layer], rows[i : i + chunk], device)[0].reshape(-1, c) - guess
            total += block.sum(0)
            square += block.T @ block
            count += len(block)
        mean = total / count
        means.append(mean + guess)
        covariances.append(square / count - mean[:, None] * mean)
    return means, covariances
