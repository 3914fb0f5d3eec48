"""The package installs from a built wheel, away from the checkout, with the demo networks and runs in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def run(*command, cwd, **environment):
    bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=bare | environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of what git knows and what is new, so that no build/ of the checkout is in it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = run("git", "ls-files", "-co", "--exclude-standard", "factortopy", "assets", "pyproject.toml", "setup.py", "README.md",
                 "LICENSE", cwd=ROOT)  # fmt: skip
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"factortopy"}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "factortopy").rglob("*.py")}
    assert package <= set(names)
    assert {"factortopy/py.typed", "factortopy/assets/networks/demo-vit.safetensors"} <= set(names)
    assert "factortopy/assets/runs/demo-vit_demo-1/run.json" in names
    assert any(name.startswith("factortopy/view/assets/") for name in names)


def test_it_runs_where_it_is_installed(wheel, tmp_path):
    target = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", target, cwd=tmp_path)
    python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # The dependencies are those that run this test; the checkout is not among them.
    import numpy

    (site / "beside.pth").write_text(str(Path(numpy.__file__).resolve().parent.parent) + "\n")
    told = run(python, "-c", "import factortopy, sys; print(factortopy.__file__)", cwd=tmp_path)
    assert Path(told.strip()).is_relative_to(site)
    home = str(tmp_path / "home")
    assert "train" in run(python, "-m", "factortopy", "--help", cwd=tmp_path, FACTORTOPY_HOME=home)
    assert "simulated" in run(
        python, "-m", "factortopy", "score", "demo-vit_demo-1", cwd=tmp_path, FACTORTOPY_HOME=home
    )
    code = "import factortopy as ft, numpy as np; b = ft.load_backbone('demo-vit'); print(len(b.layer_names))"
    assert run(python, "-c", code, cwd=tmp_path, FACTORTOPY_HOME=home).strip() == "12"
    script = target / ("Scripts/factortopy.exe" if os.name == "nt" else "bin/factortopy")
    assert "VERB" in run(script, "--help", cwd=tmp_path, FACTORTOPY_HOME=home)
