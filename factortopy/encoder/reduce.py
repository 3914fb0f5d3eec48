"""Principal components of a network's tokens: standardised, rotated, the smallest dropped; once, in half precision."""

import hashlib
import mmap
import os
import shutil
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from factortopy.features import too_full
from factortopy.files import read_tensors, write_json, write_tensors
from factortopy.home import cache_dir

FORMAT = 1  # of the cache; part of its key
KEEP = 0.99  # share of the variance of local tokens that is kept; docs/encoder.md says what it costs
HALF = 6e4  # half precision ends at 65,504


@dataclass(frozen=True)
class Basis:
    """A layer's coordinates: ``raw @ matrix + offset`` are its scores, of mean 0 over the training pictures.

    matrix : (C, k) tensor, or (C,) for a scaling of each channel; offset : (k,); variance : (k,) of the scores
    """

    matrix: torch.Tensor
    offset: torch.Tensor
    variance: torch.Tensor

    def to_raw(self, weight):
        """(k, D) linear map of scores -> (C, D) matrix and (D,) offset of the same map of raw tokens."""
        matrix = self.matrix @ weight if self.matrix.ndim == 2 else self.matrix[:, None] * weight
        return matrix, self.offset @ weight

    def scores(self, raw):
        """(…, C) raw tokens -> (…, k) scores."""
        if self.matrix.ndim == 2:
            return raw.float() @ self.matrix + self.offset
        return (raw * self.matrix).add_(self.offset)  # half precision becomes single on the way


def scaling(layer, rows, device, grid=None):
    """Basis that standardises each channel and turns nothing; ``layer`` (n, h, w, C) or (n, C)."""
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid)
    scale = _inverse_std(covariance.diagonal())
    return Basis(scale, -mean * scale, (scale > 0).float())


def components(layer, rows, device, grid=None, keep=KEEP):
    """Basis of the principal components of standardised channels that hold a share ``keep`` of the variance."""
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid)
    scale = _inverse_std(covariance.diagonal())
    variance, axes = torch.linalg.eigh(covariance * scale[:, None] * scale)
    variance, axes = variance.flip(0).clamp_min(0), axes.flip(1)
    # What is beyond keep, or beyond the rank that so many tokens can have, is left out.
    wanted = int((variance.cumsum(0) < keep * variance.sum()).sum()) + 1
    k = max(1, min(wanted, int((variance > 1e-6 * variance[0]).sum())))
    matrix = scale[:, None] * axes[:, :k]
    return Basis(matrix, -(mean @ matrix), variance[:k])


def _inverse_std(variance):
    std = variance.clamp_min(0).sqrt()
    # A channel that never varies carries nothing: leave it out instead of dividing by nothing.
    return torch.where(std > 1e-6 * std.max().clamp_min(1e-12), 1 / std.clamp_min(1e-30), torch.zeros_like(std))


def moments(layer, rows, device, grid=None, chunk=64):
    """Mean (C,) and covariance (C, C) of a layer's tokens over the pictures ``rows`` (and over positions)."""
    c = layer.shape[-1]
    total, square, count = torch.zeros(c, device=device), torch.zeros(c, c, device=device), 0
    # Sums are taken around a first guess of the mean: large common offsets would eat float32's digits.
    guess = gather(layer, rows[:16], device, grid).float().reshape(-1, c).mean(0)
    for i in range(0, len(rows), chunk):
        block = gather(layer, rows[i : i + chunk], device, grid).float().reshape(-1, c) - guess
        total += block.sum(0)
        square += block.T @ block
        count += len(block)
    _let_go(layer)
    mean = total / count
    return mean + guess, square / count - mean[:, None] * mean


def gather(layer, rows, device, grid=None):
    """Rows of a layer as a tensor, (n, K, C) or (n, C) in its own precision; local tokens (n, h, w, C) become (n, grid², C)."""
    block = layer[rows]
    if isinstance(rows, slice):
        block = np.array(block)  # a copy: torch must not write into a file's memory
    if block.ndim == 4 and block.shape[1:3] != (grid, grid):
        return on_grid(block, grid).to(device)
    if block.ndim == 4:
        block = block.reshape(len(block), grid * grid, -1)
    return torch.from_numpy(block).to(device)


def on_grid(tokens, grid):
    """(n, h, w, C) array of tokens resized to a (n, grid², C) float32 tensor."""
    n, h, w, c = tokens.shape
    block = torch.from_numpy(np.array(tokens)).float()
    if (h, w) == (grid, grid):
        return block.view(n, grid * grid, c)
    block = F.interpolate(block.permute(0, 3, 1, 2), (grid, grid), mode="bilinear", antialias=True, align_corners=False)
    return block.permute(0, 2, 3, 1).reshape(n, grid * grid, c)


def reduced(features, train, grid, device, keep=KEEP):
    """Scores of every picture on the principal components of its layers.

    Parameters
    ----------
    features : Features
    train : (n,) int, pictures of the training trials, which alone settle the components
    grid : int, side that local tokens are resized to

    Returns
    -------
    local, global_ : lists over layers of float16 arrays (n, grid², k_l), (n, k_l)
        Memory-mapped from the cache when the features are memory-mapped files, in memory otherwise.
    local_basis, global_basis : lists over layers of Basis, on ``device``
    """
    folder = _cache_folder(features, train, grid, keep)
    if folder is not None and (folder / "done.json").exists():
        return _read(folder, len(features.local), device)
    local_basis = [components(t, train, device, grid, keep) for t in features.local]
    global_basis = [components(t, train, device, keep=1.0) for t in features.global_]
    n, widths = len(features), [len(b.variance) for b in local_basis]
    out = _make(folder, [(n, grid * grid, k) for k in widths])
    for tokens, basis, scores in zip(features.local, local_basis, out, strict=True):
        for i in range(0, n, 64):
            block = basis.scores(gather(tokens, slice(i, i + 64), device, grid))
            scores[i : i + 64] = block.clamp(-HALF, HALF).half().cpu().numpy()
        _let_go(tokens)
    heads = [
        basis.scores(gather(token, slice(n), device)).clamp(-HALF, HALF).half().cpu().numpy()
        for token, basis in zip(features.global_, global_basis, strict=True)
    ]
    if folder is None:
        return out, heads, local_basis, global_basis
    _finish(folder, out, heads, local_basis, global_basis)
    return _read(folder, len(heads), device)


def _enough(train, layer, grid):
    """Training pictures that settle a layer's components: 16 tokens a channel."""
    per_picture = grid * grid if layer.ndim == 4 else 1
    wanted = max(128, -(-16 * layer.shape[-1] // per_picture))
    return train[:: max(1, len(train) // wanted)]


def _let_go(layer):
    """Give back the pages of a memory-mapped file that were read: the file may be larger than the memory."""
    pages = getattr(layer, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


# ---- the cache


def _cache_folder(features, train, grid, keep):
    """Where the scores of these files are kept; None for arrays in memory."""
    files = [getattr(a, "filename", None) for a in (*features.local, *features.global_)]
    if not all(files):
        return None
    stats = [os.stat(f) for f in files]
    known = [FORMAT, grid, keep, *((str(f), s.st_size, s.st_mtime_ns) for f, s in zip(files, stats, strict=True))]
    key = hashlib.blake2b(repr(known).encode() + np.asarray(train, np.int64).tobytes(), digest_size=16)
    return cache_dir("reduced") / key.hexdigest()


def _part(folder):
    return folder.with_name(f"{folder.name}.{os.getpid()}.part")


def _make(folder, shapes):
    """Empty float16 arrays, on disk when there is a folder."""
    if folder is None:
        return [np.empty(shape, np.float16) for shape in shapes]
    needed, free = sum(2 * int(np.prod(s)) for s in shapes), shutil.disk_usage(folder.parent).free
    if needed > 0.95 * free:
        raise too_full(folder, needed, free)
    part = _part(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return [
        np.lib.format.open_memmap(part / f"local-{l:02d}.npy", "w+", np.float16, shape)
        for l, shape in enumerate(shapes)
    ]


def _finish(folder, local, heads, local_basis, global_basis):
    """Write what is small and give the folder its name; another process may have been first, which is as good."""
    part = _part(folder)
    for array in local:
        array.flush()
    tensors = {f"global.{l:02d}": head for l, head in enumerate(heads)}
    for kind, bases in (("local", local_basis), ("global", global_basis)):
        for l, basis in enumerate(bases):
            for name in ("matrix", "offset", "variance"):
                tensors[f"{kind}_{name}.{l:02d}"] = getattr(basis, name).cpu().numpy()
    write_tensors(part / "basis.safetensors", tensors)
    write_json(part / "done.json", {"layers": len(heads)})
    try:
        os.rename(part, folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


def _read(folder, n_layers, device):
    tensors = read_tensors(folder / "basis.safetensors")
    local = [np.load(folder / f"local-{l:02d}.npy", mmap_mode="r") for l in range(n_layers)]

    def bases(kind):
        names = ("matrix", "offset", "variance")
        return [
            Basis(*(torch.from_numpy(tensors[f"{kind}_{name}.{l:02d}"].copy()).to(device) for name in names))
            for l in range(n_layers)
        ]

    return local, [tensors[f"global.{l:02d}"] for l in range(n_layers)], bases("local"), bases("global")
