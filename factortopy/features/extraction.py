"""Features: local and global tokens of every layer for every picture, kept on disk by content."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.features.files import Rows, done_before, files_of, mark, open_all
from factortopy.features.reader import PRECISIONS, SAMPLE, Reader, as_pixels, on_device, token_batches
from factortopy.storage.files import read_tensors, take_space, write_json, write_tensors
from factortopy.storage.home import cache_dir
from factortopy.wording import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from factortopy.backbones.base import Backbone

FORMAT = 2  # of the cache; part of its key
COMPONENTS = "components.safetensors"
PICTURES_BETWEEN_MARKS, SECONDS_BETWEEN_MARKS = 1024, 10.0  # what a kill costs at most


@dataclass
class Features:
    """Tokens of n pictures; with ``reduction`` their principal components, C_l of a layer's channels.

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
    reduction : Reduction or None
        The components that tokens were reduced to (``extract(reduce=…)``), which leads back to channels.
    antialias : bool or None
        How local tokens were resized to a grid, with or without antialiasing (``extract(antialias=…)``); None: they were not.
    """

    local: list
    global_: list
    layer_names: Any = None
    backbone: str = ""
    weights: str | None = None
    trained: bool = True
    drawings_only: bool = False
    extra: dict = field(default_factory=dict)
    reduction: Any = None
    notices: list[str] = field(default_factory=list)
    antialias: bool | None = None

    def __post_init__(self) -> None:
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
    def from_arrays(
        cls,
        local: Sequence[Any],
        global_: Sequence[Any],
        layer_names: Sequence[str] | None = None,
    ) -> Features:
        """Features of your own: ``local`` a list over layers of (n, h, w, C_l), ``global_`` a list of (n, C_l)."""
        return cls(list(local), list(global_), layer_names)

    def __len__(self) -> int:
        return len(self.local[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(pictures, channels of all layers): with it scikit-learn takes rows as of any array."""
        return len(self), sum(np.shape(tokens)[-1] for tokens in self.local)

    def __getitem__(self, rows: Any) -> Features:
        """Features of some pictures: slice, index array or boolean mask."""
        rows = np.atleast_1d(rows) if np.isscalar(rows) else rows
        return replace(self, local=[a[rows] for a in self.local], global_=[a[rows] for a in self.global_], extra={})

    def only(self, layers: Sequence[int]) -> Features:
        """Features of some layers (0-based), in that order; InputError for one that is not there."""
        missing = [k for k in layers if not 0 <= k < len(self.local)]
        if missing or not len(layers):
            raise InputError(f"layers: expected numbers from 0 to {len(self.local) - 1}, found {list(layers)}")
        names = [self.layer_names[k] for k in layers]
        local, global_ = ([kind[k] for k in layers] for kind in (self.local, self.global_))
        return replace(
            self,
            local=local,
            global_=global_,
            layer_names=names,
            reduction=self.reduction and self.reduction.only(layers),
        )


def _described(backbone, local, global_, reduction=None, antialias=None):
    return Features(
        local, global_, list(backbone.layer_names), backbone.name, backbone.weights,
        bool(backbone.trained), bool(backbone.drawings_only), reduction=reduction, notices=list(backbone.notices),
        antialias=antialias,
    )  # fmt: skip


def compute(
    backbone: Backbone,
    images: Any,
    grid: int | None = 8,
    device: str | None = None,
    precision: str | None = None,
    reduction: Any = None,
    antialias: bool = True,
) -> Features:
    """Features of a few pictures (or of a single one), in memory, nothing kept on disk; see ``extract``.

    reduction : Reduction of features that were extracted before; these are projected alike.
    """
    single = isinstance(images, str | os.PathLike) or hasattr(images, "convert") or getattr(images, "ndim", 0) == 3
    images = [images] if single else list(images)
    with on_device(backbone, device):
        parts = list(token_batches(backbone, images, grid, precision, reduction, antialias))
    if not parts:
        raise InputError("pictures: expected at least one, found none; choose a picture")
    layers = range(len(parts[0][0]))
    return _described(
        backbone,
        [np.concatenate([p[0][i] for p in parts]) for i in layers],
        [np.concatenate([p[1][i] for p in parts]) for i in layers],
        reduction,
        antialias if grid else None,
    )


def content_key(images: Iterable[Any]) -> str:
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


def extract(
    backbone: Backbone,
    images: Sequence[Any] | np.ndarray,
    on_progress: Callable[[int, int], Any] | None = None,
    cache: bool = True,
    grid: int | None = 8,
    device: str | None = None,
    precision: str | None = None,
    reduce: Any = None,
    train: Any = None,
    antialias: bool = True,
) -> Features | None:
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
    reduce : int, optional
        Keep so many principal components of each layer's standardised tokens (local and global ones apart) in place of all
        channels. They are those of up to ``SAMPLE`` of the training pictures, which the network sees first.
    train : (k,) int, optional
        Rows of ``images`` that components may be learnt from: the training pictures. None: all.
    antialias : bool
        Average tokens over areas where they are pooled; False looks at the four nearest ones alone, as the paper's
        released code does (docs/paper_recipe.md).

    Returns
    -------
    Features
        Memory-mapped float16 arrays (in memory when ``cache`` is False); None when stopped.

    Raises
    ------
    InputError
        No pictures, too little disk or memory, a device that is not there, tokens beyond half precision, fewer than one
        component or fewer than two pictures to learn them from.
    """
    total = len(images)
    if not total:
        raise InputError("pictures: expected at least one, found none; choose a subject with pictures")
    if precision not in (None, *PRECISIONS):
        raise InputError(
            f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}; choose one of these"
        )
    rows = None if reduce is None else sample(total, train, reduce)
    if not cache:
        reduction = None
        if reduce is not None:
            with on_device(backbone, device):
                reduction = _learn(backbone, images, rows, reduce, grid, precision, on_progress, total, antialias)
            if reduction is None:
                return None
        return compute(backbone, images, grid, device, precision, reduction, antialias)
    with on_device(backbone, device):
        precision = Reader(backbone, grid, precision).precision
        mixed = "" if precision == "float32" else f":{precision}"
        few = "" if rows is None else f":pca{reduce}:{hashlib.blake2b(rows.tobytes(), digest_size=8).hexdigest()}"
        how = "" if antialias or not grid else ":aliased"
        key = f"{FORMAT}:{backbone.fingerprint}:{grid}:{content_key(images)}{mixed}{few}{how}"
        folder = cache_dir("features") / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        resized = antialias if grid else None
        cached = _finished(folder, backbone, resized)
        if cached is not None:
            return cached
        with _alone(folder, total, on_progress) as alone:
            if not alone:
                return None
            cached = _finished(folder, backbone, resized)
            return cached or _fill(folder, backbone, images, grid, precision, on_progress, reduce, rows, resized)


def _finished(folder, backbone, antialias):
    """Features that were extracted to the end; None where there are none or a file is damaged."""
    if not (folder / "done.json").exists():
        return None
    try:
        arrays = open_all(folder, len(backbone.layer_names))
        return _described(backbone, *arrays, _reduction(folder, backbone), antialias)
    except (OSError, ValueError, EOFError, KeyError, InputError):
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
            if on_progress is not None and on_progress(done_before(folder), total) is False:
                yield False
                return
    try:
        yield True
    finally:
        lock.release()


def sample(total, train, reduce):
    """Rows of the pictures that components are learnt from, up to ``SAMPLE`` of those that may be (seeded)."""
    if isinstance(reduce, bool) or not isinstance(reduce, int | np.integer) or reduce < 1:
        raise InputError(
            f"reduce: expected a number of components from 1 up, or None for all channels; found {reduce!r}"
        )
    train = np.arange(total) if train is None else np.unique(train)
    if len(train) < 2 or train[0] < 0 or train[-1] >= total:
        raise InputError(
            f"train: expected at least 2 rows of the {total} pictures to learn components from, found {train[:9]}"
        )
    return np.sort(np.random.default_rng(0).permutation(train)[:SAMPLE]).astype(np.int64)


def _learn(backbone, images, rows, reduce, grid, precision, on_progress, total, antialias):
    """The Reduction to so many components of the pictures ``rows``; None when stopped."""
    import torch

    from factortopy.features.components import Moments, Reduction, principal

    n_layers, done = len(backbone.layer_names), 0
    sums = [[Moments() for _ in range(n_layers)] for _ in range(2)]
    for parts in token_batches(backbone, (images[int(i)] for i in rows), grid, precision, None, antialias):
        for kind, tokens in zip(sums, parts, strict=True):
            for moments, layer in zip(kind, tokens, strict=True):
                moments.add(torch.from_numpy(layer))
        done += len(parts[0][0])
        if on_progress is not None and on_progress(done, total + len(rows)) is False:
            return None
    return Reduction(
        int(reduce), *([principal(*m.result(), most=int(reduce)).to("cpu") for m in kind] for kind in sums)
    )


def _reduction(folder, backbone):
    """The components of an extraction; None where all channels are kept."""
    from factortopy.features.components import Reduction

    path = folder / COMPONENTS
    if not path.exists():
        return None
    tensors = read_tensors(path, "extraction")
    return Reduction.of(tensors, int(tensors["most"][0]), len(backbone.layer_names))


def _fill(folder, backbone, images, grid, precision, on_progress, reduce=None, rows=None, antialias=True):
    """Extract what is missing in the folder; None when stopped."""
    total, reduction, before = len(images), None, 0
    if reduce is not None:
        before = len(rows)
        try:
            reduction = _reduction(folder, backbone)
        except (InputError, KeyError):
            pass  # damaged: learnt again, and what was projected on it is made again
        if reduction is None:
            (folder / "progress.json").unlink(missing_ok=True)
            reduction = _learn(backbone, images, rows, reduce, grid, precision, on_progress, total, antialias)
            if reduction is None:
                return None
    first = next(token_batches(backbone, images[:1], grid, precision, reduction, antialias))
    needed = total * sum(a.nbytes for part in first for a in part)
    done = _resume(folder, first, total, needed)
    if reduction is not None and not (folder / COMPONENTS).exists():
        write_tensors(folder / COMPONENTS, reduction.tensors() | {"most": np.array([reduce])})
    with ExitStack() as stack:
        # Written, not mapped: pages of a map would count as this process's memory until the system wants them back.
        paths = [path for kind in files_of(folder, len(first[0])) for path in kind]
        writers = [stack.enter_context(Rows(path)) for path in paths]
        kept, started = done, time.monotonic()
        marked, start = started, done
        for local, token in token_batches(backbone, images[done:], grid, precision, reduction, antialias):
            for writer, rows in zip(writers, (*local, *token), strict=True):
                writer.put(done, rows)
            n = len(local[0])
            done += n
            if on_progress is not None and on_progress(before + done, before + total) is False and done < total:
                speed.keep(backbone, done - start, time.monotonic() - started)
                return mark(folder, writers, done)
            if done - kept >= PICTURES_BETWEEN_MARKS or time.monotonic() - marked > SECONDS_BETWEEN_MARKS:
                mark(folder, writers, done)  # a killed extraction goes on from here
                kept, marked = done, time.monotonic()
        mark(folder, writers, done)
    speed.keep(backbone, done - start, time.monotonic() - started)
    write_json(folder / "done.json", {"pictures": total, "backbone": backbone.name, "grid": grid})
    return _described(backbone, *open_all(folder, len(first[0])), reduction, antialias)


def _resume(folder, first, total, needed):
    """Find how far an interrupted extraction came, else make the empty files -> pictures done."""
    done = done_before(folder)
    try:
        if done:
            open_all(folder, len(first[0]))
            return done
    except (OSError, ValueError, EOFError):
        pass  # a file is missing or cut: from the start
    shutil.rmtree(folder, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if needed > 0.95 * free:
        raise too_full(folder, needed, free)
    try:
        folder.mkdir()
        for paths, arrays in zip(files_of(folder, len(first[0])), first, strict=True):
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
