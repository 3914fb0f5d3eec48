"""Who may import whom: the contracts in pyproject.toml hold, and what run.py loads needs nothing installed."""

import ast
import os
import re
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


# ---------------------------------------------------------------- words

CODE = [path for root in ("factortopy", "pages") for path in sorted((ROOT / root).rglob("*.py"))]


INSIDERS = {"told", "said", "found", "made", "some", "known", "begun"}


def identifiers(tree):
    """Every name that a module binds or uses."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def test_names_are_the_fields_words():
    vague = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in CODE
        for name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if INSIDERS & set(name.lower().split("_"))
    }
    assert not vague, sorted(vague)


def test_documents_that_the_code_cites_are_here():
    missing = {
        f"{path.relative_to(ROOT)}: {cited}"
        for path in [*CODE, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
        for cited in re.findall(r"\b(?:docs/[\w/]+|[A-Z]+)\.md\b", path.read_text(encoding="utf-8"))
        if not (ROOT / cited).is_file()
    }
    assert not missing, sorted(missing)


# ---------------------------------------------------------------- what packages offer


def offered(package):
    """Names that a package's stub offers, and its modules."""
    stub = ast.parse((package / "__init__.pyi").read_text(encoding="utf-8"))
    names = {alias.asname for node in stub.body for alias in node.names}
    return names | {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}


def test_what_is_asked_of_a_package_is_offered():
    """Such a name is looked up when the line runs: a page that asks for another one would break under a visitor."""
    offers = {
        ".".join(stub.parent.relative_to(ROOT).parts): offered(stub.parent) for stub in ROOT.glob("factortopy/**/*.pyi")
    }
    missing = set()
    for path in [*CODE, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
        package = {
            a.asname or a.name: f"{n.module}.{a.name}"
            for n in imports
            for a in n.names
            if f"{n.module}.{a.name}" in offers
        }
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        asked = {(n.module, a.name) for n in imports if n.module in offers for a in n.names}
        asked |= {
            (package[node.value.id], node.attr)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            and node.value.id in package and node.value.id not in stored and not node.attr.startswith("__")
        }  # fmt: skip
        missing |= {f"{path.relative_to(ROOT)}: {name}.{attr}" for name, attr in asked if attr not in offers[name]}
    assert not missing, sorted(missing)
