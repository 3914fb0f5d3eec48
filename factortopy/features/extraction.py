"""Features: local and global tokens of every layer for every picture, kept on disk by content."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.errors import InputError
from factortopy.features.files import open_all
from factortopy.features.filling import Filling, fill, holding, learn, raise_failed, reduction_in
from factortopy.features.reader import PRECISIONS, SAMPLE, Reader, as_pixels, on_device, token_batches
from factortopy.storage.home import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from factortopy.backbones.base import Backbone

FORMAT = 2  # of the cache; part of its key


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
    with on_device(backbone, device, precision):
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
    if cache:
        alone = extract_many([backbone], images, on_progress, grid, device, precision, reduce, train, antialias)
        return None if alone is None else alone[0]
    rows = _checked(images, precision, reduce, train)
    reduction = None
    if rows is not None:
        with on_device(backbone, device, precision):
            network = Filling(Reader(backbone, grid, precision, antialias=antialias), None, len(images), reduce, rows)
            if not learn([network], images, on_progress):
                return None
            raise_failed([network])
            reduction = network.reader.reduction
    return compute(backbone, images, grid, device, precision, reduction, antialias)


def extract_many(
    backbones: Sequence[Backbone],
    images: Sequence[Any] | np.ndarray,
    on_progress: Callable[[int, int], Any] | None = None,
    grid: int | None = 8,
    device: str | None = None,
    precision: str | None = None,
    reduce: Any = None,
    train: Any = None,
    antialias: bool = True,
) -> list[Features] | None:
    """Tokens of several networks in one pass: each picture is read and decoded once and shown to all of them.

    Parameters
    ----------
    backbones : sequence of Backbone
        All are in memory, and on the device, at once. One whose features are on disk is not shown anything.
    others : see ``extract``; features are kept on disk, network by network, as there

    Returns
    -------
    list of Features
        In the order of ``backbones``; None when stopped.

    Raises
    ------
    InputError
        As ``extract``. A network that fails stops no other: the error names it when these are done and on disk.
    """
    rows = _checked(images, precision, reduce, train)
    total, content, resized = len(images), content_key(images), antialias if grid else None
    few = "" if rows is None else f":pca{reduce}:{hashlib.blake2b(rows.tobytes(), digest_size=8).hexdigest()}"
    how = "" if antialias or not grid else ":aliased"
    networks: list[Filling] = []
    with ExitStack() as held:
        for backbone in backbones:
            network = Filling(Reader(backbone, grid, precision, antialias=antialias), None, total, reduce, rows)
            networks.append(network)
            with network.answering():
                held.enter_context(on_device(backbone, device, precision))
                network.reader = Reader(backbone, grid, precision, antialias=antialias)
                mixed = "" if network.reader.precision == "float32" else f":{network.reader.precision}"
                key = f"{FORMAT}:{backbone.fingerprint}:{grid}:{content}{mixed}{few}{how}"
                network.folder = cache_dir("features") / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        # All take their locks in the same order: nobody waits in a ring.
        for folder in sorted(_missing(networks, resized)):
            if not held.enter_context(holding(folder, total, on_progress)):
                return None
        missing = _missing(networks, resized)
        if missing and not fill(list(missing.values()), images, on_progress):
            return None
        _missing(networks, resized)
    raise_failed(networks)
    return [network.features for network in networks]


def _checked(images, precision, reduce, train):
    """Rows that components are learnt from, None for all channels; InputError for what no extraction takes."""
    if not len(images):
        raise InputError("pictures: expected at least one, found none; choose a subject with pictures")
    if precision not in (None, *PRECISIONS):
        raise InputError(
            f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}; choose one of these"
        )
    return None if reduce is None else sample(len(images), train, reduce)


def _missing(networks, antialias):
    """{folder: Filling} of those without features on disk; the others are given theirs."""
    for network in (n for n in networks if n.error is None and n.features is None):
        network.features = _finished(network.folder, network.backbone, antialias)
    return {n.folder: n for n in networks if n.error is None and n.features is None}


def _finished(folder, backbone, antialias):
    """Features that were extracted to the end; None where there are none or a file is damaged."""
    if not (folder / "done.json").exists():
        return None
    try:
        arrays = open_all(folder, len(backbone.layer_names))
        return _described(backbone, *arrays, reduction_in(folder, backbone), antialias)
    except (OSError, ValueError, EOFError, KeyError, InputError):
        return None


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
