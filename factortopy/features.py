"""Features: local and global tokens of every layer for every picture, kept on disk by content."""

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.files import write_json
from factortopy.home import cache_dir

FORMAT = 2  # of the cache; part of its key


@dataclass
class Features:
    """Tokens of n pictures.

    Attributes
    ----------
    local : list over layers of (n, h, w, C_l) arrays
    global_ : list over layers of (n, C_l) arrays
    layer_names : list of str
    backbone : str
        Name of the network, "" when unknown.
    weights : str or None
        The ``weights`` argument it was loaded with.
    trained : bool
    """

    local: list
    global_: list
    layer_names: list = None
    backbone: str = ""
    weights: str | None = None
    trained: bool = True
    drawings_only: bool = False
    extra: dict = field(default_factory=dict)

    def __post_init__(self):
        if not self.local or len(self.local) != len(self.global_):
            raise InputError(
                f"features: expected as many local as global layers and at least one, "
                f"found {len(self.local)} and {len(self.global_)}"
            )
        self.layer_names = list(self.layer_names or (f"layer {i + 1}" for i in range(len(self.local))))
        if len(self.layer_names) != len(self.local):
            raise InputError(f"features: {len(self.layer_names)} layer names for {len(self.local)} layers")
        n = len(self.local[0])
        for name, local, token in zip(self.layer_names, self.local, self.global_, strict=True):
            if np.ndim(local) != 4 or np.ndim(token) != 2 or len(local) != n or len(token) != n:
                raise InputError(
                    f"features of {name}: expected local (n, h, w, C) and global (n, C) for the same {n} pictures, "
                    f"found {np.shape(local)} and {np.shape(token)}"
                )

    @classmethod
    def from_arrays(cls, local, global_, layer_names=None):
        """Features of your own: ``local`` a list over layers of (n, h, w, C_l), ``global_`` a list of (n, C_l)."""
        return cls(list(local), list(global_), layer_names)

    def __len__(self):
        return len(self.local[0])

    def __getitem__(self, rows):
        """Features of some pictures: slice, index array or boolean mask."""
        rows = np.atleast_1d(rows) if np.isscalar(rows) else rows
        out = Features([a[rows] for a in self.local], [a[rows] for a in self.global_], self.layer_names)
        out.backbone, out.weights, out.trained, out.drawings_only = (
            self.backbone, self.weights, self.trained, self.drawings_only,
        )  # fmt: skip
        return out


def as_pixels(image):
    """A picture given as array, PIL image or path -> (H, W, 3) uint8."""
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            return image
        raise InputError(
            f"picture: expected an array (height, width, 3) of uint8, found {image.shape} of {image.dtype}; "
            "convert it with factortopy.read_image"
        )
    from factortopy.pictures.reading import read_image

    return read_image(image)


def _batches(images, size):
    """Batches of equal-sized pictures, in order: pixels (b, H, W, 3)."""
    batch = []
    for image in images:
        pixels = as_pixels(image)
        if batch and (len(batch) == size or pixels.shape != batch[0].shape):
            yield np.stack(batch)
            batch = []
        batch.append(pixels)
    if batch:
        yield np.stack(batch)


def _tokens(backbone, images, grid, batch=32):
    """Yield per batch (local, global) float16 arrays, local tokens pooled to the encoder's grid.

    Raises
    ------
    InputError
        Naming the layer whose tokens are infinite or not a number in half precision.
    """
    import torch
    import torch.nn.functional as F

    for pixels in _batches(images, batch):
        with torch.inference_mode():
            local, token = backbone.tokens(pixels)
            pooled = []
            for t in local:
                t = t.float()
                if grid and t.shape[1:3] != (grid, grid):
                    t = F.interpolate(
                        t.permute(0, 3, 1, 2), (grid, grid), mode="bilinear", antialias=True, align_corners=False
                    ).permute(0, 2, 3, 1)
                pooled.append(t.half().cpu().numpy())
            token = [t.float().half().cpu().numpy() for t in token]
        for name, *tokens in zip(backbone.layer_names, pooled, token, strict=True):
            if not all(np.isfinite(t).all() for t in tokens):
                raise InputError(
                    f"{backbone.name}, layer {name}: expected tokens that half precision can hold, "
                    "found infinity or NaN; the weights may be damaged: fetch them again"
                )
        yield pooled, token


def _described(backbone, local, global_):
    return Features(
        local, global_, list(backbone.layer_names), backbone.name, backbone.weights,
        bool(backbone.trained), bool(backbone.drawings_only),
    )  # fmt: skip


def compute(backbone, images, grid=8):
    """Features of a few pictures (or of a single one), in memory, nothing kept on disk."""
    single = isinstance(images, str | os.PathLike) or hasattr(images, "convert") or getattr(images, "ndim", 0) == 3
    images = [images] if single else list(images)
    parts = list(_tokens(backbone, images, grid))
    if not parts:
        raise InputError("pictures: expected at least one, found none; choose a picture")
    layers = range(len(parts[0][0]))
    return _described(
        backbone,
        [np.concatenate([p[0][i] for p in parts]) for i in layers],
        [np.concatenate([p[1][i] for p in parts]) for i in layers],
    )


def content_key(images):
    """Hash of every picture's pixels, in order; a file counts by its bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        if isinstance(image, str | Path):
            try:
                data = Path(image).read_bytes()
            except OSError as error:
                raise InputError(f"{image}: expected a picture, found none ({error.strerror}); restore it") from None
        else:
            pixels = as_pixels(image)
            data = str(pixels.shape).encode() + pixels.tobytes()
        digest.update(hashlib.blake2b(data, digest_size=16).digest())
    return digest.hexdigest()


def extract(backbone, images, on_progress=None, cache=True, grid=8):
    """Tokens of every layer for every picture; computed once, then read from disk.

    Parameters
    ----------
    backbone : Backbone
    images : sequence of (H, W, 3) uint8 arrays or paths
    on_progress : callable, optional
        Gets (done, total) pictures; returning False stops: what is done stays and the next call goes on from there.
    cache : bool
        Keep the result under the home folder, keyed by the content of pictures, weights and settings.
    grid : int or None
        Side that local tokens are pooled to; None keeps the network's own.

    Returns
    -------
    Features
        Memory-mapped float16 arrays (in memory when ``cache`` is False); None when stopped.
    """
    total = len(images)
    if not total:
        raise InputError("pictures: expected at least one, found none; choose a subject with pictures")
    if not cache:
        return compute(backbone, images, grid)
    key = f"{FORMAT}:{backbone.fingerprint}:{grid}:{content_key(images)}"
    folder = cache_dir("features") / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    found = _finished(folder, backbone)
    if found is not None:
        return found
    with _alone(folder, total, on_progress) as alone:
        if not alone:
            return None
        return _finished(folder, backbone) or _fill(folder, backbone, images, grid, on_progress)


def _finished(folder, backbone):
    """Features that were extracted to the end; None where there are none or a file is damaged."""
    if not (folder / "done.json").exists():
        return None
    try:
        return _described(backbone, *_open(folder, len(backbone.layer_names)))
    except (OSError, ValueError, EOFError):
        return None


@contextmanager
def _alone(folder, total, on_progress):
    """Hold the folder against other processes and threads, which wait; False when told to stop while waiting."""
    lock = FileLock(f"{folder}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            if on_progress is not None and on_progress(_done(folder), total) is False:
                yield False
                return
    try:
        yield True
    finally:
        lock.release()


def _fill(folder, backbone, images, grid, on_progress):
    """Extract what is missing in the folder; None when stopped."""
    total = len(images)
    first = next(_tokens(backbone, images[:1], grid))
    needed = total * sum(a.nbytes for part in first for a in part)
    done = _resume(folder, first, total, needed)
    local, global_ = _open(folder, len(first[0]), "r+")
    for part_local, part_global in _tokens(backbone, images[done:], grid):
        n = len(part_local[0])
        for l in range(len(part_local)):
            local[l][done : done + n], global_[l][done : done + n] = part_local[l], part_global[l]
        done += n
        if on_progress is not None and on_progress(done, total) is False and done < total:
            return _pause(folder, local, global_, done)
        if done % 1024 < n:  # a killed extraction goes on from the last thousand
            _pause(folder, local, global_, done)
    _pause(folder, local, global_, done)
    write_json(folder / "done.json", {"pictures": total, "backbone": backbone.name, "grid": grid})
    return _described(backbone, *_open(folder, len(first[0])))


def _files(folder, layers):
    return [[folder / f"{kind}-{l:02d}.npy" for l in range(layers)] for kind in ("local", "global")]


def _open(folder, layers, mode="r"):
    return [[np.load(path, mmap_mode=mode) for path in paths] for paths in _files(folder, layers)]


def _pause(folder, local, global_, done):
    for array in (*local, *global_):
        array.flush()
    write_json(folder / "progress.json", {"done": done})


def _done(folder):
    """How many pictures an interrupted extraction wrote; 0 where that is unknown."""
    try:
        return int(json.loads((folder / "progress.json").read_text())["done"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _resume(folder, first, total, needed):
    """Find how far an interrupted extraction came, else make the empty files -> pictures done."""
    done = _done(folder)
    try:
        if done:
            _open(folder, len(first[0]))
            return done
    except (OSError, ValueError, EOFError):
        pass  # a file is missing or cut: from the start
    shutil.rmtree(folder, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if needed > 0.95 * free:
        raise too_full(folder, needed, free)
    try:
        folder.mkdir()
        for paths, arrays in zip(_files(folder, len(first[0])), first, strict=True):
            for path, array in zip(paths, arrays, strict=True):
                np.lib.format.open_memmap(path, "w+", np.float16, (total, *array.shape[1:])).flush()
                take_space(path)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise too_full(folder, needed, free, f" ({error.strerror or error})") from None
    return 0


def take_space(path):
    """Allocate the whole file now: a disk that fills up later would kill the process in the middle of writing."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def too_full(folder, needed, free, why=""):
    """InputError for a disk that cannot hold ``needed`` bytes."""
    return InputError(
        f"{folder.parent}: features need {_size(needed)}, {_size(free)} are free{why}; "
        "free space or set FACTORTOPY_HOME to a larger disk"
    )


def _size(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
