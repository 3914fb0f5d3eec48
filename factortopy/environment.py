"""Environment variables that a process of ours should start with; they are read when it starts and cannot be set later."""

import os

# Measured on 2 cores (docs/benchmarks.md). Threads that wait must sleep soon: spinning ones make two processes on few cores
# three times slower. Freed memory is kept: giving it back to the system at every step costs a quarter of the time (glibc).
SETTINGS = {
    "GOMP_SPINCOUNT": "2000",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
}


def child_environment(**more):
    """The environment for a new process: the present one, ours where the user set nothing, and ``more``."""
    return {**SETTINGS, **os.environ, **more}
