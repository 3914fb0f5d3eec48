"""Features under way: what a network has on disk, what it lacks, and the pass over the pictures that fills it in, for several at once."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager

import numpy as np
from filelock import FileLock, Timeout

from factortopy.errors import InputError
from factortopy.features import speed
from factortopy.features.files import Rows, done_before, files_of, mark, open_all, too_full
from factortopy.features.reader import as_pixels, pixel_batches
from factortopy.storage.files import read_tensors, take_space, write_json, write_tensors

COMPONENTS = "components.safetensors"
PICTURES_BETWEEN_MARKS, SECONDS_BETWEEN_MARKS = 1024, 10.0  # what a kill costs at most


class Filling:
    """One network's features, from the first picture it is shown to the last.

    reader : Reader; folder : of the cache, None where nothing is kept; total : pictures in all
    reduce, rows : components kept a layer and the rows of the pictures they are learnt from; None: all channels
    error : what ended it; the others of a pass go on; features : once they are on disk
    """

    def __init__(self, reader, folder, total, reduce=None, rows=None):
        self.reader, self.folder, self.total, self.reduce, self.rows = reader, folder, total, reduce, rows
        self.backbone, self.error, self.features = reader.backbone, None, None
        self.done, self.seconds = 0, 0.0

    @contextmanager
    def answering(self):
        """What is raised in the block becomes this network's ``error``."""
        try:
            yield
        except Exception as error:
            self.error = error

    # ---- components

    def lacks_components(self):
        """Whether components are still to be learnt; those on disk are taken."""
        if self.reduce is None:
            return False
        try:
            reduction = reduction_in(self.folder, self.backbone) if self.folder else None
        except (InputError, KeyError):
            reduction = None  # damaged: learnt again, and what was projected on it is made again
        if reduction is not None:
            self.reader.reduce_by(reduction)
            return False
        if self.folder:
            (self.folder / "progress.json").unlink(missing_ok=True)
        return True

    def start_learning(self):
        from factortopy.features.components import Moments

        self._sums = [[Moments() for _ in self.backbone.layer_names] for _ in range(2)]

    def learn(self, row, pixels):
        """Add pictures to what components are learnt from."""
        import torch

        for kind, tokens in zip(self._sums, self.reader.tokens(pixels), strict=True):
            for moments, layer in zip(kind, tokens, strict=True):
                moments.add(torch.from_numpy(layer))

    def end_learning(self):
        from factortopy.features.components import Reduction, principal

        most, layers = int(self.reduce), len(self.backbone.layer_names)
        bases = ([principal(*m.result(), most=most).to("cpu") for m in kind] for kind in self._sums)
        # As it will be read back: the same numbers in another order in memory round otherwise.
        self.reader.reduce_by(Reduction.of(Reduction(most, *bases).tensors(), most, layers))
        del self._sums

    # ---- tokens

    def begin(self, first):
        """Make the files, or find how far an interrupted extraction came; ``first``: the first picture."""
        shown = self.reader.tokens(first[None])
        self.layers = len(shown[0])
        self.done = self.start = _resume(self.folder, shown, self.total)
        reduction = self.reader.reduction
        if reduction is not None and not (self.folder / COMPONENTS).exists():
            tensors = reduction.tensors() | {"most": np.array([self.reduce])}
            write_tensors(self.folder / COMPONENTS, tensors)
        # Written, not mapped: pages of a map would count as this process's memory until the system wants them back.
        self._files, self._writers = ExitStack(), []
        for path in (path for kind in files_of(self.folder, self.layers) for path in kind):
            self._writers.append(self._files.enter_context(Rows(path)))
        self._marked, self._marked_at = self.done, time.monotonic()

    def put(self, row, pixels):
        """Show the pictures from this row on, and keep their tokens; those that it has already are passed over."""
        pixels = pixels[max(self.done - row, 0) :]
        if not len(pixels):
            return
        local, token = self.reader.tokens(pixels)
        for writer, rows in zip(self._writers, (*local, *token), strict=True):
            writer.put(self.done, rows)
        self.done += len(pixels)
        if (
            self.done - self._marked >= PICTURES_BETWEEN_MARKS
            or time.monotonic() - self._marked_at > SECONDS_BETWEEN_MARKS
        ):
            self.mark()  # a killed extraction goes on from here

    def mark(self):
        """Hand what was written to the disk and note how far it is."""
        mark(self.folder, self._writers, self.done)
        self._marked, self._marked_at = self.done, time.monotonic()

    def end(self):
        """Note how far it is and at what pace, and whether it is all."""
        self.mark()
        if self.reader.usual:
            speed.keep(self.backbone, self.done - self.start, self.seconds)
        if self.done == self.total:
            what = {"pictures": self.total, "backbone": self.backbone.name, "grid": self.reader.grid}
            write_json(self.folder / "done.json", what)

    def close(self):
        """Close the files."""
        if hasattr(self, "_files"):
            self._files.close()


def shown(networks, images, call, at=0):
    """Read pictures once and ``call(network, row, pixels)`` for every network; yields how many were shown.

    A network whose call fails is left out from then on, and keeps its ``error``. Its ``seconds`` are its own and those that all
    waited for pictures.
    """
    since = time.monotonic()
    for pixels in pixel_batches(images, lambda: max(n.reader.batch for n in networks)):
        waited = time.monotonic() - since
        for network in (n for n in networks if n.error is None):
            start = time.monotonic()
            with network.answering():
                call(network, at, pixels)
            network.seconds += waited + time.monotonic() - start
        if all(n.error is not None for n in networks):
            return
        at, since = at + len(pixels), time.monotonic()
        yield at


def learn(networks, images, on_progress):
    """Learn the components that networks lack, in one pass; False when stopped."""
    lacking = []
    for network in networks:
        with network.answering():
            if network.lacks_components():
                network.start_learning()
                lacking.append(network)
    if not lacking:
        return True
    rows, total = lacking[0].rows, lacking[0].total
    for done in shown(lacking, (images[int(i)] for i in rows), Filling.learn):
        if on_progress is not None and on_progress(done, total + len(rows)) is False:
            return False
    for network in (n for n in lacking if n.error is None):
        with network.answering():
            network.end_learning()
    return True


def fill(networks, images, on_progress):
    """Show the networks, of the same ``total`` and ``rows``, the pictures that they lack, in one pass; False when stopped."""
    if not learn(networks, images, on_progress):
        return False
    total, before = networks[0].total, 0 if networks[0].rows is None else len(networks[0].rows)
    first = as_pixels(images[0])
    with ExitStack() as files:
        for network in (n for n in networks if n.error is None):
            files.callback(network.close)
            with network.answering():
                network.begin(first)
        goes_on, filling = True, [n for n in networks if n.error is None]
        start = min((n.done for n in filling), default=total)
        for network in filling:
            network.seconds = 0.0
        for done in shown(filling, images[start:], Filling.put, start):
            if on_progress is not None and on_progress(before + done, before + total) is False and done < total:
                goes_on = False
                break
        for network in (n for n in filling if n.error is None):
            with network.answering():
                network.end()
    return goes_on


def raise_failed(networks):
    """Raise what ended a network, if one was; of several networks all that failed are named."""
    failed = [network for network in networks if network.error is not None]
    if not failed:
        return
    odd = next((n.error for n in failed if not isinstance(n.error, InputError)), None)
    if odd is not None or len(networks) == 1:
        raise odd or failed[0].error
    reasons = ((n.backbone.name, str(n.error)) for n in failed)
    lines = [error if error.startswith(name) else f"{name}: {error}" for name, error in reasons]
    kept = ", ".join(n.backbone.name for n in networks if n.error is None) or "none"
    raise InputError(f"{'; '.join(lines)} (on disk: features of {kept})")


def reduction_in(folder, backbone):
    """The components of an extraction; None where all channels are kept."""
    from factortopy.features.components import Reduction

    path = folder / COMPONENTS
    if not path.exists():
        return None
    tensors = read_tensors(path, "extraction")
    return Reduction.of(tensors, int(tensors["most"][0]), len(backbone.layer_names))


@contextmanager
def holding(folder, total, on_progress):
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


def _resume(folder, first, total):
    """Find how far an interrupted extraction came, else make the empty files -> pictures done."""
    done, layers = done_before(folder), len(first[0])
    try:
        if done:
            open_all(folder, layers)
            return done
    except (OSError, ValueError, EOFError):
        pass  # a file is missing or cut: from the start
    shutil.rmtree(folder, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    needed = total * sum(a.nbytes for kind in first for a in kind)
    if needed > 0.95 * free:
        raise too_full(folder, needed, free)
    try:
        folder.mkdir()
        for paths, arrays in zip(files_of(folder, layers), first, strict=True):
            for path, array in zip(paths, arrays, strict=True):
                np.lib.format.open_memmap(path, "w+", np.float16, (total, *array.shape[1:])).flush()
                take_space(path)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise too_full(folder, needed, free, f" ({error.strerror or error})") from None
    return 0
