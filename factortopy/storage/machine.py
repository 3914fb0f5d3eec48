"""What this machine allows: memory, disk, locks, and the environment that a process of ours should start with."""

import errno
import os
import shutil
from pathlib import Path

from factortopy.errors import InputError

# Read when a process starts; they cannot be set later. Measured on 2 cores (docs/benchmarks.md).
# Threads that wait must sleep soon: spinning ones make two processes on few cores three times slower. Freed memory is kept:
# giving it back to the system at every step costs a quarter of the time (glibc).
SETTINGS = {
    "GOMP_SPINCOUNT": "2000",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
}


def child_environment(**more):
    """The environment for a new process: the present one, ours where the user set nothing, and ``more``."""
    return {**SETTINGS, **os.environ, **more}


def file_is_locked(path):
    """True while a living process holds the lock file; never makes or changes a file."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _file_is_locked_by_taking(path)
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _file_is_locked_by_taking(path):
    from filelock import FileLock, Timeout

    if not Path(path).exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def explain_os_error(error, path):
    """An InputError for what the operating system refused, with the free space where that is the reason."""
    path = Path(error.filename or path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(f"{path}: the disk is full ({free_megabytes(path)} MB free); free space, then resume")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InputError(
            f"{path}: expected a folder that can be written, found {error.strerror.lower()}; choose another "
            "folder or change its permissions"
        )
    return InputError(f"{path}: could not be used ({error.strerror or error}); choose another folder")


def is_out_of_memory(error):
    """True for an error that says memory ran out: Python's, torch's (which need not be imported here), an allocator's words."""
    message = str(error).lower()
    return any(kind.__name__ in ("MemoryError", "OutOfMemoryError") for kind in type(error).__mro__) or (
        isinstance(error, RuntimeError) and ("out of memory" in message or "can't allocate memory" in message)
    )


def free_megabytes(path):
    """Free space in MB on the disk of a path that need not exist yet."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // 1_000_000


def free_memory():
    """Bytes that a program could still get, or None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # no Linux: nothing is claimed
    return None
