"""Features: local and global tokens of every layer for every picture, kept on disk by content."""

import hashlib
import json
import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.files import take_space, write_json
from factortopy.home import cache_dir
from factortopy.tokens import PRECISIONS, Reader, as_pixels, on_device, plan, size_text, token_batches  # noqa: F401

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

    def only(self, layers):
        """Features of some layers (0-based), in that order; InputError for one that is not there."""
        missing = [k for k in layers if not 0 <= k < len(self.local)]
        if missing or not len(layers):
            raise InputError(f"layers: expected numbers from 0 to {len(self.local) - 1}, found {list(layers)}")
        names = [self.layer_names[k] for k in layers]
        parts = ([kind[k] for k in layers] for kind in (self.local, self.global_))
        return replace(self, **dict(zip(("local", "global_"), parts, strict=True)), layer_names=names)


def _described(backbone, local, global_):
    return Features(
        local, global_, list(backbone.layer_names), backbone.name, backbone.weights,
        bool(backbone.trained), bool(backbone.drawings_only),
    )  # fmt: skip


def compute(backbone, images, grid=8, device=None, precision=None):
    """Features of a few pictures (or of a single one), in memory, nothing kept on disk; see ``extract``."""
    single = isinstance(images, str | os.PathLike) or hasattr(images, "convert") or getattr(images, "ndim", 0) == 3
    images = [images] if single else list(images)
    with on_device(backbone, device):
        parts = list(token_batches(backbone, images, grid, precision))
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


def extract(backbone, images, on_progress=None, cache=True, grid=8, device=None, precision=None):
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
    device : str, optional
        Where the network runs meanwhile ("cuda", "cpu", "mps"); None: a GPU where there is one.
    precision : {"float32", "float16", "bfloat16"}, optional
        Of the network's products; None: float16 on a GPU, float32 elsewhere. Tokens are kept as float16 in any case.

    Returns
    -------
    Features
        Memory-mapped float16 arrays (in memory when ``cache`` is False); None when stopped.

    Raises
    ------
    InputError
        No pictures, too little disk or memory, a device that is not there, tokens beyond half precision.
    """
    total = len(images)
    if not total:
        raise InputError("pictures: expected at least one, found none; choose a subject with pictures")
    if precision not in (None, *PRECISIONS):
        raise InputError(
            f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}; choose one of these"
        )
    if not cache:
        return compute(backbone, images, grid, device, precision)
    with on_device(backbone, device):
        precision = Reader(backbone, grid, precision).precision
        mixed = "" if precision == "float32" else f":{precision}"
        key = f"{FORMAT}:{backbone.fingerprint}:{grid}:{content_key(images)}{mixed}"
        folder = cache_dir("features") / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        found = _finished(folder, backbone)
        if found is not None:
            return found
        with _alone(folder, total, on_progress) as alone:
            if not alone:
                return None
            return _finished(folder, backbone) or _fill(folder, backbone, images, grid, precision, on_progress)


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


def _fill(folder, backbone, images, grid, precision, on_progress):
    """Extract what is missing in the folder; None when stopped."""
    total = len(images)
    first = next(token_batches(backbone, images[:1], grid, precision))
    needed = total * sum(a.nbytes for part in first for a in part)
    done = _resume(folder, first, total, needed)
    with ExitStack() as stack:
        # Written, not mapped: pages of a map would count as this process's memory until the system wants them back.
        paths = [path for kind in _files(folder, len(first[0])) for path in kind]
        writers = [stack.enter_context(_Rows(path)) for path in paths]
        for local, token in token_batches(backbone, images[done:], grid, precision):
            for writer, rows in zip(writers, (*local, *token), strict=True):
                writer.put(done, rows)
            n = len(local[0])
            done += n
            if on_progress is not None and on_progress(done, total) is False and done < total:
                return _pause(folder, writers, done)
            if done % 1024 < n:  # a killed extraction goes on from the last thousand
                _pause(folder, writers, done)
        _pause(folder, writers, done)
    write_json(folder / "done.json", {"pictures": total, "backbone": backbone.name, "grid": grid})
    return _described(backbone, *_open(folder, len(first[0])))


class _Rows:
    """A .npy file whose rows are overwritten in place."""

    def __init__(self, path):
        mapped = np.load(path, mmap_mode="r")
        self._start, self._row = mapped.offset, mapped[:1].nbytes
        self._file = open(path, "r+b")

    def put(self, row, block):
        self._file.seek(self._start + row * self._row)
        self._file.write(np.ascontiguousarray(block).data)

    def flush(self):
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def _files(folder, layers):
    return [[folder / f"{kind}-{l:02d}.npy" for l in range(layers)] for kind in ("local", "global")]


def _open(folder, layers):
    return [[np.load(path, mmap_mode="r") for path in paths] for paths in _files(folder, layers)]


def _pause(folder, writers, done):
    for writer in writers:
        writer.flush()
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


def too_full(folder, needed, free, why=""):
    """InputError for a disk that cannot hold ``needed`` bytes."""
    return InputError(
        f"{folder.parent}: features need {size_text(needed)}, {size_text(free)} are free{why}; "
        "free space or set FACTORTOPY_HOME to a larger disk"
    )
