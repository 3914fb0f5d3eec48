"""Principal components of a network's tokens: standardised, rotated, the smallest dropped; once, in half precision."""

import contextlib
import hashlib
import mmap
import os
import shutil
import socket
import time
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from factortopy.errors import InputError
from factortopy.features.components import Basis, Moments, inverse_std, principal
from factortopy.features.files import too_full
from factortopy.features.reader import sampled
from factortopy.storage.files import read_json, read_tensors, take_space, write_json, write_tensors
from factortopy.storage.home import cache_dir

FORMAT = 1  # of the cache; part of its key
KEEP = 0.99  # share of the variance of local tokens that is kept; docs/encoder.md says what it costs
HALF = 6e4  # half precision ends at 65,504


def scaling(layer, rows, device, grid=None, before=None):
    """Basis that standardises each channel and turns nothing; ``layer`` (n, h, w, C) or (n, C).

    before : Basis that the layer was reduced by: its components keep their proportions
    """
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid)
    scale = inverse_std(covariance.diagonal(), together=before is not None)
    return Basis(scale, -mean * scale, (scale > 0).float(), before=before)


def components(layer, rows, device, grid=None, keep=KEEP, before=None):
    """Basis of the principal components of standardised channels that hold a share ``keep`` of the variance."""
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid)
    return principal(mean, covariance, keep, together=before is not None).after(before)


def moments(layer, rows, device, grid=None):
    """Mean (C,) and covariance (C, C) of a layer's tokens over the pictures ``rows`` (and over positions)."""
    sums = Moments()
    for i in range(0, len(rows), 64):
        sums.add(gather(layer, rows[i : i + 64], device, grid))
    let_go(layer)
    if not sums.finite():
        most = float(np.abs(layer[rows[:16]]).max())
        raise InputError(
            f"features: expected values whose squares float32 holds, found {most:.1e}; "
            "extract them again, or scale them down"
        )
    return sums.result()


def gather(layer, rows, device, grid=None):
    """Rows of a layer as a tensor, (n, K, C) or (n, C); local tokens (n, h, w, C) become (n, grid², C).

    Half precision stays where nothing is resized; everything else is float32.
    """
    block = layer[rows]
    if block.ndim == 4 and block.shape[1:3] != (grid, grid):
        return on_grid(block, grid).to(device)
    return (as_tensor(block).flatten(1, 2) if block.ndim == 4 else as_tensor(block)).to(device)


def as_tensor(block):
    """A tensor of an array of any layout and byte order: float16 stays, every other kind of number becomes float32."""
    precision = np.float16 if block.dtype.newbyteorder("=") == np.float16 else np.float32
    # What may not be written to, such as the pages of a file, is copied.
    return torch.from_numpy(np.require(block, precision, ["C", "W"]))


def on_grid(tokens, grid, antialias=True):
    """(n, h, w, C) array or tensor of tokens resized to a (n, grid², C) float32 tensor."""
    n, h, w, c = tokens.shape
    block = (tokens if torch.is_tensor(tokens) else as_tensor(tokens)).float()
    if (h, w) == (grid, grid):
        return block.reshape(n, grid * grid, c)
    if not antialias:
        return sampled(block, grid).reshape(n, grid * grid, c)
    block = F.interpolate(block.permute(0, 3, 1, 2), (grid, grid), mode="bilinear", antialias=True, align_corners=False)
    return block.permute(0, 2, 3, 1).reshape(n, grid * grid, c)


class Sampled:
    """A layer (n, h, w, C) as (n, grid, grid, C), resized without antialiasing whenever rows of it are read."""

    def __init__(self, layer, grid):
        self.layer, self.grid, self.dtype, self.ndim = layer, grid, np.dtype(np.float32), 4
        self.shape = (len(layer), grid, grid, layer.shape[-1])

    def __len__(self):
        return len(self.layer)

    def __getitem__(self, rows):
        block = self.layer[rows]
        few = on_grid(block, self.grid, antialias=False).numpy().reshape(len(block), *self.shape[1:])
        let_go(self.layer)
        return few


def reduced(features, train, grid, device):
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
    folder = _cache_folder(features, train, grid)
    if folder is not None and folder.exists():
        try:
            return _after(_read(folder, len(features.local), device), features, device)
        except _DAMAGED:
            shutil.rmtree(folder, ignore_errors=True)  # made again below
    local_before, global_before = earlier(features, device)
    local_basis = [
        components(t, train, device, grid, KEEP, b) for t, b in zip(features.local, local_before, strict=True)
    ]
    global_basis = [
        components(t, train, device, None, 1.0, b) for t, b in zip(features.global_, global_before, strict=True)
    ]
    n, widths = len(features), [len(b.variance) for b in local_basis]
    out = _make(folder, [(n, grid * grid, k) for k in widths])
    for tokens, basis, scores in zip(features.local, local_basis, out, strict=True):
        for i in range(0, n, 64):
            block = basis.scores(gather(tokens, slice(i, i + 64), device, grid))
            scores[i : i + 64] = block.clamp(-HALF, HALF).half().cpu().numpy()
        let_go(tokens)
        let_go(scores)
    heads = [
        basis.scores(gather(token, slice(n), device)).clamp(-HALF, HALF).half().cpu().numpy()
        for token, basis in zip(features.global_, global_basis, strict=True)
    ]
    if folder is None:
        return out, heads, local_basis, global_basis
    _finish(folder, out, heads, local_basis, global_basis)
    return _after(_read(folder, len(heads), device), features, device)


def earlier(features, device):
    """Bases that features were reduced by when they were extracted, (local, global): lists over layers; None each if not."""
    if features.reduction is None:
        return [None] * len(features.local), [None] * len(features.global_)
    reduction = features.reduction.to(device)
    return reduction.local, reduction.global_


def _after(read, features, device):
    """What ``_read`` gave, its bases put after those that the features were reduced by before."""
    local, heads, *bases = read
    pairs = zip(bases, earlier(features, device), strict=True)
    return local, heads, *([basis.after(b) for basis, b in zip(kind, before, strict=True)] for kind, before in pairs)


def _enough(train, layer, grid):
    """Training pictures that settle a layer's components: 16 tokens a channel."""
    per_picture = grid * grid if layer.ndim == 4 else 1
    wanted = max(128, -(-16 * layer.shape[-1] // per_picture))
    return train[:: max(1, len(train) // wanted)]


def let_go(layer):
    """Give back the pages of a memory-mapped file that were read: the file may be larger than the memory."""
    # Not where changes are the process's own ("c"): they would be lost.
    pages = getattr(layer, "_mmap", None) if getattr(layer, "mode", "c") != "c" else None
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


# ---- the cache

_DAMAGED = (InputError, OSError, ValueError, EOFError, KeyError, IndexError, TypeError)


def _cache_folder(features, train, grid):
    """Where the scores of these files are kept; None for arrays in memory."""
    arrays = [*features.local, *features.global_]
    if not all(getattr(a, "filename", None) and a.mode != "c" for a in arrays):
        return None
    identity = [FORMAT, grid, KEEP, *map(_whence, arrays)]
    key = hashlib.blake2b(repr(identity).encode() + np.asarray(train, np.int64).tobytes(), digest_size=16)
    return cache_dir("reduced") / key.hexdigest()


def _whence(array):
    """What tells a memory-mapped array from all others: its file as it is now, and which part of it."""
    file, pages = os.stat(array.filename), np.frombuffer(array._mmap, np.uint8)
    begin = array.__array_interface__["data"][0] - pages.__array_interface__["data"][0] + array.offset
    return str(array.filename), file.st_size, file.st_mtime_ns, begin, array.shape, array.strides, array.dtype.str


def _part(folder):
    return folder.with_name(f"{folder.name}.{socket.gethostname()}-{os.getpid()}.part")


def _sweep(parent):
    """Remove what processes left that were killed while they wrote: nobody writes for a day."""
    for left in parent.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)


def _make(folder, shapes):
    """Empty float16 arrays, on disk when there is a folder."""
    if folder is None:
        return [np.empty(shape, np.float16) for shape in shapes]
    _sweep(folder.parent)
    needed, free = sum(2 * int(np.prod(s)) for s in shapes), shutil.disk_usage(folder.parent).free
    if needed > 0.95 * free:
        raise too_full(folder, needed, free)
    part, out = _part(folder), []
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for l, shape in enumerate(shapes):
            path = part / f"local-{l:02d}.npy"
            out.append(np.lib.format.open_memmap(path, "w+", np.float16, shape))
            out[-1].flush()
            take_space(path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise too_full(folder, needed, free, f" ({error.strerror or error})") from None
    return out


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
    write_json(part / "done.json", {"layers": len(heads), "sums": _sums(local, tensors)})
    try:
        os.rename(part, folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


def _sums(local, tensors):
    """Checksums: of a few pictures of each layer, and of all that is small."""
    out = [zlib.crc32(np.ascontiguousarray(a[:: max(1, len(a) // 16)]).tobytes(), len(a)) for a in local]
    small = 0
    for name in sorted(tensors):
        small = zlib.crc32(np.ascontiguousarray(tensors[name]).tobytes(), small)
    return [*out, small]


def _read(folder, n_layers, device):
    """What ``reduced`` gives, from its folder; one of ``_DAMAGED`` is raised where it is not what was written."""
    tensors = read_tensors(folder / "basis.safetensors")
    local = [np.load(folder / f"local-{l:02d}.npy", mmap_mode="r") for l in range(n_layers)]
    if read_json(folder / "done.json")["sums"] != _sums(local, tensors):
        raise ValueError(f"{folder}: other bytes than were written")

    def bases(kind):
        names = ("matrix", "offset", "variance")
        return [
            Basis(*(torch.from_numpy(tensors[f"{kind}_{name}.{l:02d}"].copy()).to(device) for name in names))
            for l in range(n_layers)
        ]

    return local, [tensors[f"global.{l:02d}"] for l in range(n_layers)], bases("local"), bases("global")
