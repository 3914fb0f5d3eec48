"""The pictures of NSD, read one by one from nsd_stimuli.hdf5.

An HDF5 file can point at any file of the machine (external links, external storage, virtual data sets) and can name
filters that load code. All of that is refused before a value is read.
"""

import os
import threading
from pathlib import Path

import numpy as np

from factortopy.formats.problems import foreign, stop

KEY = "imgBrick"
SIDE = 425
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # what h5py brings along
_MOST_CHUNK = 128 * 2**20  # bytes that one read may inflate
_COPY = "copy or download it again"
# What h5py raises on damaged files: HDF5's own errors arrive as many kinds.
_DAMAGED = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError, MemoryError)


class NsdImages:
    """Pictures by their 0-based NSD number, as a sequence of (425, 425, 3) uint8; read when asked for.

    Parameters
    ----------
    path : of nsd_stimuli.hdf5
    numbers : (n,) int, 0-based rows of imgBrick

    Raises
    ------
    InputError
        When the file is missing, damaged, of another kind or refused, or lacks some of the pictures.
    """

    def __init__(self, path, numbers):
        self.path, self.numbers = Path(path), np.asarray(numbers, dtype=np.int64)
        self._lock, self._file, self._owner = threading.Lock(), None, None
        try:
            missing = _missing(self._dataset(), self.numbers)
        except _DAMAGED as error:
            if hasattr(error, "problem"):
                raise
            raise stop(self.path, f"{KEY} of whole pictures", "a damaged file", _COPY) from None
        if len(missing):
            first = ", ".join(f"{k:,}" for k in missing[:5])
            actual = f"{len(missing):,} missing (73K numbers from 0: {first}{', …' if len(missing) > 5 else ''})"
            raise stop(self.path, f"{len(self.numbers):,} pictures that this subject saw", actual, _COPY)

    def __len__(self):
        return len(self.numbers)

    def label(self, i):
        """What a picture is called: its 0-based NSD number, as in Algonauts' file names."""
        return f"nsd-{int(self.numbers[i]):05d}"

    def __getitem__(self, i):
        """One picture, or for a slice or an array of places another such sequence."""
        if isinstance(i, slice) or np.ndim(i):
            part = object.__new__(NsdImages)
            part.path, part.numbers = self.path, self.numbers[i]
            part._lock, part._file, part._owner = threading.Lock(), None, None
            return part
        number = int(self.numbers[i])  # IndexError at the end, as iteration needs
        try:
            with self._lock:
                return np.asarray(self._dataset()[number])
        except _DAMAGED as error:
            if hasattr(error, "problem"):
                raise
            raise stop(self.path, f"picture {number:,}", "data that cannot be read", _COPY) from None

    def __getstate__(self):
        return {"path": self.path, "numbers": self.numbers}

    def __setstate__(self, state):
        self.__dict__.update(state, _lock=threading.Lock(), _file=None, _owner=None)

    def _dataset(self):
        if self._file is None or self._owner != os.getpid():  # a forked process may not share HDF5's state
            self._file, self._owner = open_stimuli(self.path), os.getpid()
        return self._file[KEY]


def open_stimuli(path):
    """The h5py.File of NSD's pictures, opened to read, with ``imgBrick`` checked.

    Raises
    ------
    InputError
        Path, expected, found, remedy.
    """
    import h5py

    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        actual = "a link to a file that is not here" if missing and path.is_symlink() else "no such file"
        actual = actual if missing else error.strerror or str(error)
        raise stop(path, "NSD's pictures", actual, "copy, fetch or download it (39.6 GB, docs/nsd.md)") from None
    if b"\x89HDF\r\n\x1a\n" not in (head[:8], head[512:520]):
        raise stop(path, "an HDF5 file", foreign(head), _COPY)
    file = None
    try:
        try:
            file = h5py.File(path, "r")
        except BlockingIOError:  # another program writes to it, or a network folder that knows no locks
            file = h5py.File(path, "r", locking=False)
        _check(path, file)
        return file
    except _DAMAGED as error:
        if file is not None:
            file.close()
        if hasattr(error, "problem"):
            raise
        cut = "truncated" in str(error)
        actual = "a truncated one" if cut else f"a damaged one ({type(error).__name__})"
        raise stop(path, f"an HDF5 file with {KEY}", actual, _COPY) from None


def _check(path, file):
    import h5py

    link = file.get(KEY, getlink=True) if KEY in file else None
    if link is None:
        raise stop(path, f"the data set {KEY}", "none of that name", "take NSD's own file")
    if not isinstance(link, h5py.HardLink):
        raise _refused(path, "a link to another place")
    data = file[KEY]
    wanted = f"{KEY} of pictures × {SIDE} × {SIDE} × 3 uint8"
    if not isinstance(data, h5py.Dataset):
        raise stop(path, wanted, "a group", "take NSD's own file")
    if data.external or data.is_virtual:
        raise _refused(path, "values that lie in other files")
    if data.shape is None or data.ndim != 4 or data.shape[1:] != (SIDE, SIDE, 3) or data.dtype != np.uint8:
        shape = " × ".join(str(n) for n in data.shape or ()) or "a single value"
        raise stop(path, wanted, f"{shape} of {str(data.dtype)[:20]}", "take NSD's own file")
    settings = data.id.get_create_plist()
    filters = [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]
    if unknown := [code for code in filters if code not in _FILTERS]:
        raise _refused(path, f"a compression that needs other code (filter {unknown[0]})")
    if data.chunks and np.prod([float(n) for n in data.chunks]) > _MOST_CHUNK:
        actual = f"chunks of {' × '.join(str(n) for n in data.chunks)}"
        raise stop(path, f"chunks of at most {_MOST_CHUNK >> 20} MB", actual, "save it with chunks of one picture")
    if settings.get_layout() == h5py.h5d.CONTIGUOUS and data.id.get_offset() is not None:
        end = data.id.get_offset() + np.prod([float(n) for n in data.shape])
        if end > path.stat().st_size:
            raise stop(path, f"{end:,.0f} bytes", f"{path.stat().st_size:,}: truncated", _COPY)


def _refused(path, actual):
    return stop(path, f"pictures inside {KEY} itself", actual, "it was refused for safety: take NSD's own file")


def _missing(data, numbers):
    """The numbers whose pictures were never written, or are beyond the end; ascending."""
    numbers = np.unique(numbers)
    outside = numbers[(numbers < 0) | (numbers >= len(data))]
    inside = np.setdiff1d(numbers, outside)
    if data.chunks is None:
        return outside if data.id.get_offset() is not None else numbers
    if data.chunks[0] * data.id.get_num_chunks() >= len(data) and data.chunks[1:] == data.shape[1:]:
        return outside  # all of them are there
    starts = inside - inside % data.chunks[0]
    gone = inside[[data.id.get_chunk_info_by_coord((int(k), 0, 0, 0)).byte_offset is None for k in starts]]
    return np.union1d(outside, gone)
