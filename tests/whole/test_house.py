"""Who may import whom: the contracts in pyproject.toml hold, and what run.py loads needs nothing installed."""

import os
import shutil
import subprocess
import tomllib
import venv

from importlinter.cli import lint_imports
from trials import ROOT


def test_contracts_hold(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_contracts_ignore_nothing():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert not any("ignore_imports" in contract for contract in linter["contracts"])
    (layers,) = [c for c in linter["contracts"] if c["type"] == "layers" and c["containers"] == ["factortopy"]]
    assert layers["exhaustive"] and not linter["exclude_type_checking_imports"]


def test_the_starter_needs_nothing_installed(tmp_path):
    """run.py in a copy of the project, by the Python of an empty virtual environment."""
    shutil.copy(ROOT / "run.py", tmp_path)
    shutil.copytree(
        ROOT / "factortopy", tmp_path / "factortopy", ignore=shutil.ignore_patterns("assets", "__pycache__")
    )
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "run.py", "--help"], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "--share" in done.stdout, done.stderr
