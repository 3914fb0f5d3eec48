"""Where FactorTopy keeps what it writes: runs, features, generated subjects, the job queue."""

import os
from pathlib import Path

from factortopy.errors import InputError


def _created(path):
    """The folder, created when missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: expected a folder that can be written, found: {error.strerror or error}; "
            "set FACTORTOPY_HOME to another folder"
        ) from None
    return path


def home():
    """The folder for everything written: $FACTORTOPY_HOME, else ~/.factortopy (created when missing)."""
    return _created(Path(os.environ.get("FACTORTOPY_HOME") or Path.home() / ".factortopy").expanduser())


def cache_dir(kind):
    """Folder of a kind of thing that can be made again (``features``, ``subjects``, …)."""
    return _created(home() / "cache" / kind)


def runs_dir():
    """Folder that holds one folder a run."""
    return _created(home() / "runs")


def jobs_dir():
    """Folder that holds one folder a job that is no training."""
    return _created(home() / "jobs")


def assets_dir():
    """Folder of what ships with the project: demo networks, the fitted demo runs, sample pictures."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "assets"  # in a wheel; beside the package in a checkout
    return installed if installed.is_dir() else package.parent / "assets"
