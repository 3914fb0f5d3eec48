"""Principal components of a network's tokens, and what is kept of them: scores on the first ones, in half precision.

The components are the network's, not a fit's: an even sample of all pictures that the features are of settles them, whatever
the split and the responses. So every seed, ablation, half and further subject on the same features finds them made. Where
so many components matter that scores on all of them would be as large as the tokens, the scores of the first are kept and the
tokens stay where they are: a linear map of scores is one of tokens (``Basis.of_centred``).
"""

import contextlib
import hashlib
import mmap
import os
import shutil
import socket
import threading
import time
import uuid
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from factortopy.encoder.cores import on_all_cores
from factortopy.errors import InputError
from factortopy.features.components import Basis, Moments, inverse_std, principal
from factortopy.features.files import too_full
from factortopy.features.reader import sampled
from factortopy.storage.files import read_json, read_tensors, take_space, write_json, write_tensors
from factortopy.storage.home import cache_dir

FORMAT = 2  # of the cache, whose folders' names begin with it, and of what a checkpoint's alignments mean
KEEP = 0.99  # share of the variance of local tokens that is kept; docs/encoder.md says what it costs
FEW = 128  # components whose scores are kept where the tokens themselves can be read; more are never needed to find selectors
PAGES = 2**26  # bytes of a mapped file that are read before its pages are given back
TOKENS = 1024  # projected at once on a CPU: they stay in its cache, and products are faster than with 4,096
HALF = 6e4  # half precision ends at 65,504


def scaling(layer, rows, device, grid=None, before=None):
    """Basis that standardises each channel and turns nothing; ``layer`` (n, h, w, C) or (n, C).

    before : Basis that the layer was reduced by: its components keep their proportions
    """
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid)
    scale = inverse_std(covariance.diagonal(), together=before is not None)
    return Basis(scale, -mean * scale, (scale > 0).float(), before=before)


def components(layer, rows, device, grid=None, keep=KEEP, before=None, name=""):
    """Basis of the principal components of standardised channels that hold a share ``keep`` of the variance."""
    mean, covariance = moments(layer, _enough(rows, layer, grid), device, grid, name)
    return principal(mean, covariance, keep, together=before is not None).after(before)


def moments(layer, rows, device, grid=None, name=""):
    """Mean (C,) and covariance (C, C) of a layer's tokens over the pictures ``rows`` (and over positions)."""
    sums, at_once = Moments(), pictures_at_once(layer, device)
    for i in range(0, len(rows), at_once):
        sums.add(gather(layer, rows[i : i + at_once], device, grid))
    let_go(layer)
    if not sums.finite():
        most = np.max([np.abs(layer[rows[i : i + 64]]).max() for i in range(0, len(rows), 64)])
        if not np.isfinite(most):
            raise not_finite(name)
        raise InputError(
            f"features: expected values whose squares float32 holds, found {most:.1e}; "
            "extract them again, or scale them down"
        )
    return sums.result()


def not_finite(name):
    """InputError for a layer whose tokens are no numbers."""
    return InputError(
        f"features{f' of layer {name}' if name else ''}: expected finite numbers, found NaN or infinity; "
        "delete them from the cache and extract again"
    )


def pictures_at_once(layer, device):
    """How many pictures of a layer are worked on at once."""
    per_picture = int(np.prod(layer.shape[1:-1]))
    return max(1, (TOKENS if torch.device(device).type == "cpu" else 64 * TOKENS) // per_picture)


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


def reduced(features, grid, device):
    """Components of every layer, and every picture's scores on the first of them.

    Parameters
    ----------
    features : Features
    grid : int, side that local tokens are resized to

    Returns
    -------
    local, global_ : lists over layers of float16 arrays (n, grid², k), (n, k): all k_l components; the first ``FEW`` where a
        layer has more and all tokens are arrays on the grid
        Memory-mapped from the cache when the features are memory-mapped files, in memory otherwise.
    local_basis, global_basis : lists over layers of Basis, on ``device``

    Raises
    ------
    InputError
        When a token is no number (all are looked at), or the disk is too full.
    """
    folder = _cache_folder(features, grid)
    if folder is not None and folder.exists():
        try:
            return _after(_read(folder, len(features.local), device), features, device)
        except _DAMAGED:
            shutil.rmtree(folder, ignore_errors=True)  # made again below
    n, n_layers = len(features), len(features.local)
    names, before, device = features.layer_names * 2, sum(earlier(features, device), []), torch.device(device)
    layers, sides = [*features.local, *features.global_], [grid] * n_layers + [None] * n_layers

    def learn(i):
        return components(layers[i], np.arange(n), device, sides[i], KEEP if sides[i] else 1.0, before[i], names[i])

    bases = [basis for _, basis in on_all_cores(learn, list(enumerate(range(2 * n_layers))), device)]
    most = FEW if _in_place(features, grid) and max(len(b.variance) for b in bases[:n_layers]) > FEW else None
    widths = [len(b.variance[:most]) for b in bases]
    out = _make(folder, [(n, grid * grid, k) for k in widths[:n_layers]])
    heads = [np.empty((n, k), np.float16) for k in widths[n_layers:]]

    def project(i):
        _project(layers[i], bases[i], [*out, *heads][i], names[i], sides[i], device)

    try:
        for _ in on_all_cores(project, list(enumerate(range(2 * n_layers))), device):
            pass
    except BaseException:
        if folder is not None:
            shutil.rmtree(_part(folder), ignore_errors=True)
        raise
    bases = bases[:n_layers], bases[n_layers:]
    if folder is not None:
        _finish(folder, out, heads, *bases)
        out, heads, *bases = _read(folder, len(heads), device)
    return _after((out, heads, *bases), features, device)


def _project(layer, basis, scores, name, grid, device):
    """Fill ``scores``, (n, …, k) float16, with those of a layer's tokens on the first components, in one pass over it."""
    at_once = pictures_at_once(layer, device)
    again = max(1, int(PAGES / (2 * at_once * np.prod(layer.shape[1:]))))  # blocks
    matrix, offset = basis.matrix[:, : scores.shape[-1]].contiguous(), basis.offset[: scores.shape[-1]]
    for i in range(0, len(layer), at_once):
        block = gather(layer, slice(i, i + at_once), device, grid).float()
        block = torch.addmm(offset, block.flatten(0, -2), matrix)
        if not torch.isfinite(block).all():
            raise not_finite(name)
        part = scores[i : i + at_once]
        part[:] = block.clamp_(-HALF, HALF).half().cpu().numpy().reshape(part.shape)
        if i // at_once % again == 0:
            let_go(layer)
            let_go(scores)
    let_go(layer)
    let_go(scores)


def _in_place(features, grid):
    """Whether tokens can be read where they are, as often as need be: arrays that are not resized or mixed on the way."""
    return all(isinstance(t, np.ndarray) and t.shape[1:3] == (grid, grid) for t in features.local)


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


def _enough(rows, layer, grid):
    """Pictures that settle a layer's components: 16 tokens a channel."""
    per_picture = grid * grid if layer.ndim == 4 else 1
    wanted = max(128, -(-16 * layer.shape[-1] // per_picture))
    return rows[:: max(1, len(rows) // wanted)]


def let_go(layer):
    """Give back the pages of a memory-mapped file that were read: the file may be larger than the memory."""
    # Not where changes are the process's own ("c"): they would be lost.
    pages = getattr(layer, "_mmap", None) if getattr(layer, "mode", "c") != "c" else None
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


# ---- the cache

_NUMBERS = ("matrix", "offset", "variance", "mean")  # of a Basis
_DAMAGED = (InputError, OSError, ValueError, EOFError, KeyError, IndexError, TypeError)


def _cache_folder(features, grid):
    """Where the scores of these files are kept; None for arrays in memory."""
    arrays = [*features.local, *features.global_]
    if not all(getattr(a, "filename", None) and a.mode != "c" for a in arrays):
        return None
    identity = [grid, KEEP, FEW, *map(_content, arrays)]
    key = hashlib.blake2b(repr(identity).encode(), digest_size=16)
    return cache_dir("reduced") / f"{FORMAT}-{key.hexdigest()}"


def _content(array):
    """What tells a memory-mapped array from all others, wherever its file lies: when that was written, which part of it, and
    a sample of its rows."""
    file, pages = os.stat(array.filename), np.frombuffer(array._mmap, np.uint8)
    begin = array.__array_interface__["data"][0] - pages.__array_interface__["data"][0] + array.offset
    return file.st_size, file.st_mtime_ns, begin, array.shape, array.strides, array.dtype.str, _sample_sum(array)


def _sample_sum(array):
    """Checksum of a few rows of an array, and of how many it has."""
    return zlib.crc32(np.ascontiguousarray(array[:: max(1, len(array) // 16)]).tobytes(), len(array))


PROCESS = uuid.uuid4().hex[:8]  # containers may share a host's name and a process's number


def _part(folder):
    return folder.with_name(
        f"{folder.name}.{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}-{PROCESS}.part"
    )


def _sweep(parent):
    """Remove what older versions kept, and what processes left that were killed while they wrote: nobody writes for a day."""
    for kept in parent.iterdir():
        number = kept.name.partition("-")[0] if "-" in kept.name else "1"
        if kept.suffix != ".part" and number.isdigit() and int(number) < FORMAT:
            shutil.rmtree(kept, ignore_errors=True)
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
            for name in _NUMBERS:
                tensors[f"{kind}_{name}.{l:02d}"] = getattr(basis, name).cpu().numpy()
    write_tensors(part / "basis.safetensors", tensors)
    write_json(part / "done.json", {"layers": len(heads), "sums": _sums(local, tensors)})
    try:
        os.rename(part, folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


def _sums(local, tensors):
    """Checksums: of a few pictures of each layer, and of all that is small."""
    out, small = [_sample_sum(a) for a in local], 0
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
        return [
            Basis(*(torch.from_numpy(tensors[f"{kind}_{name}.{l:02d}"].copy()).to(device) for name in _NUMBERS))
            for l in range(n_layers)
        ]

    return local, [tensors[f"global.{l:02d}"] for l in range(n_layers)], bases("local"), bases("global")
