"""Writing files so that a kill at any moment leaves the old or the new one; reading tensors without running code."""

import contextlib
import json
import os
import threading
from pathlib import Path

from factortopy.errors import InputError


def write_atomic(path, data):
    """Write ``data`` (bytes or str) to ``path``: temporary name, fsync, rename.

    Raises
    ------
    InputError
        When the folder cannot be written or the disk is full; the old file stays.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    data = data.encode() if isinstance(data, str) else data
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError):
            raise InputError(
                f"{path}: could not be written, its folder is not there; make it or choose another"
            ) from None
        raise InputError(
            f"{path}: could not be written ({error.strerror or error}); {len(data) / 1e6:.1f} MB are needed: "
            "free space or choose another folder"
        ) from None


def make_folder(path):
    """``Path`` of a folder, made when it is not there; InputError when it cannot be."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(
            f"{path}: expected a folder that can be written, found {why}; choose another folder or change its permissions"
        ) from None
    return path


def take_space(path):
    """Allocate the whole file now: a disk that fills up later would kill a process that writes through a memory map."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def write_json(path, value):
    """Write ``value`` as JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=1))


def pack_tensors(tensors, metadata=None):
    """Bytes of {name: numpy array} as safetensors."""
    import numpy as np
    from safetensors.numpy import save

    return save({k: np.asarray(v, order="C") for k, v in tensors.items()}, metadata)


def write_tensors(path, tensors, metadata=None):
    """Write {name: numpy array} as safetensors, atomically."""
    write_atomic(path, pack_tensors(tensors, metadata))


def holds(path, data):
    """True when the file is there and holds exactly these bytes."""
    path = Path(path)
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def read_tensors(path, what="run"):
    """Read {name: numpy array} from a safetensors file.

    Raises
    ------
    InputError
        Naming the file when it is missing, truncated or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: expected a safetensors file of this {what}, found none; train it again or copy it")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        head = path.read_bytes()[:40]
        hint = "a Git-LFS pointer, not the file itself" if head.startswith(b"version https://git-lfs") else error
        raise InputError(
            f"{path}: expected a whole safetensors file, found {path.stat().st_size} bytes that cannot be read "
            f"({hint}); copy it again or train again"
        ) from None


def read_json(path, what="run"):
    """Read a JSON object; InputError naming the file when it is missing or torn."""
    path = Path(path)
    try:
        value = json.loads(path.read_bytes())  # UTF-8, or UTF-16 as some editors save it
    except FileNotFoundError:
        raise InputError(f"{path}: expected this {what}'s description, found no such file") from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found {error}; the file is damaged: copy it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
