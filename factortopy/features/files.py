"""The files of an extraction: one .npy a layer and kind, written row by row, and a mark of how far they are."""

import json
import os

import numpy as np

from factortopy.errors import InputError
from factortopy.storage.files import write_json
from factortopy.wording import size_text


class Rows:
    """A .npy file whose rows are overwritten in place."""

    def __init__(self, path):
        mapped = np.load(path, mmap_mode="r")
        self._start, self._row = mapped.offset, mapped[:1].nbytes
        self._file = open(path, "r+b")

    def put(self, row, block):
        """Write an array from this row on."""
        self._file.seek(self._start + row * self._row)
        self._file.write(np.ascontiguousarray(block).data)

    def flush(self):
        """Hand everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def files_of(folder, layers):
    """Paths of local and of global tokens, a list over layers each."""
    return [[folder / f"{kind}-{l:02d}.npy" for l in range(layers)] for kind in ("local", "global")]


def open_all(folder, layers):
    """The same as memory-mapped arrays; OSError, ValueError or EOFError where one is missing or cut."""
    return [[np.load(path, mmap_mode="r") for path in paths] for paths in files_of(folder, layers)]


def mark(folder, writers, done):
    """Hand what was written to the disk, then note that so many pictures are done."""
    for writer in writers:
        writer.flush()
    write_json(folder / "progress.json", {"done": done})


def done_before(folder):
    """How many pictures an interrupted extraction wrote; 0 where that is unknown."""
    try:
        return int(json.loads((folder / "progress.json").read_text())["done"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def too_full(folder, needed, free, why=""):
    """InputError for a disk that cannot hold ``needed`` bytes."""
    return InputError(
        f"{folder.parent}: features need {size_text(needed)}, {size_text(free)} are free{why}; "
        "free space or set FACTORTOPY_HOME to a larger disk"
    )
