"""What a fitted encoder answers to many pictures: with progress, with a stop, kept on disk by content."""

import hashlib
import os

import numpy as np

from factortopy.errors import InputError, Stopped
from factortopy.features.extraction import content_key
from factortopy.storage.files import write_atomic
from factortopy.storage.home import cache_dir

FORMAT = 1
MOST_BYTES = 2_000_000_000  # of kept responses; the oldest go first
BATCH, BLOCK = 32, 128


def respond(encoder, images, on_progress=None, keep=True):
    """Predicted responses to a set of pictures.

    Parameters
    ----------
    encoder : Encoder, or what ``lesion`` makes of one
    images : sequence of (H, W, 3) uint8 arrays or paths
    on_progress : callable, optional
        Gets (done, total) pictures; returning False raises ``Stopped``.
    keep : bool
        Keep the result under the home folder, by content of pictures, encoder and network, and read it from there; in
        blocks, so that what was stopped goes on from the last whole one.

    Returns
    -------
    (n, N) float32 array

    Raises
    ------
    Stopped
    InputError
        For an encoder that was fitted to bare features.
    """
    total = len(images)
    out = np.empty((total, encoder.n_vertices), np.float32)
    for first in range(0, total, BLOCK):
        block, path = images[first : first + BLOCK], None
        tell(on_progress, first, total)
        if keep:
            key = f"{FORMAT}:{encoder.fingerprint}:{content_key(block)}"
            path = cache_dir("responses") / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npy"
            kept = _read(path, (len(block), encoder.n_vertices))
            if kept is not None:
                out[first : first + len(block)] = kept
                continue
        for i in range(0, len(block), BATCH):
            tell(on_progress, first + i, total)
            out[first + i : first + i + BATCH] = encoder.predict(block[i : i + BATCH])
        if path is not None:
            _keep(path, out[first : first + len(block)])
    tell(on_progress, total, total)
    return out


def tell(on_progress, done, total):
    """Report progress; raise ``Stopped`` when the answer is False."""
    if on_progress is not None and on_progress(done, total) is False:
        raise Stopped


def _read(path, shape):
    """The kept array; None where there is none or it is damaged."""
    try:
        array = np.load(path, allow_pickle=False)
        os.utime(path)  # in use: what is oldest goes first
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.float32 else None


def _keep(path, responses):
    """Write atomically, then drop the oldest beyond ``MOST_BYTES``. A full disk loses the copy, not the result."""
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, responses, allow_pickle=False)
    try:
        write_atomic(path, buffer.getvalue())
        files = sorted(path.parent.glob("*.npy"), key=lambda file: -file.stat().st_mtime)
        size = 0
        for file in files:
            size += file.stat().st_size
            if size > MOST_BYTES:
                file.unlink(missing_ok=True)
    except (OSError, InputError):
        return
