"""Where FactorTopy keeps what it makes: runs, features, generated subjects, the job queue."""

import os
from pathlib import Path


def home():
    """The folder for everything written: $FACTORTOPY_HOME, else ~/.factortopy (created when missing)."""
    path = Path(os.environ.get("FACTORTOPY_HOME") or Path.home() / ".factortopy").expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def cache_dir(kind):
    """Folder of a kind of thing that can be made again (``features``, ``subjects``, …)."""
    path = home() / "cache" / kind
    path.mkdir(parents=True, exist_ok=True)
    return path


def runs_dir():
    """Folder that holds one folder a run."""
    path = home() / "runs"
    path.mkdir(parents=True, exist_ok=True)
    return path


def assets_dir():
    """Folder of what ships with the project: demo networks, the fitted demo runs, sample pictures."""
    return Path(__file__).resolve().parent.parent / "assets"
