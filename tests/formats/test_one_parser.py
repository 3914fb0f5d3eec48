"""One parser a brain format: nobody outside factortopy/formats parses brain files or XML, and there nibabel only writes."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARSERS = {"nibabel", "xml", "defusedxml", "lxml"}


def imports(path):
    """(package, name of the innermost function that imports it) of every import in a file."""

    def walk(node, function):
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
            if isinstance(child, ast.Import):
                yield from ((alias.name.split(".")[0], inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                yield child.module.split(".")[0], inside
            yield from walk(child, inside)

    return set(walk(ast.parse(path.read_text(encoding="utf-8")), ""))


def test_formats_alone_parse_brain_files():
    files = [path for part in ("factortopy", "pages") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 100
    outside = [p for p in files if p.parent != ROOT / "factortopy" / "formats"]
    assert [str(path) for path in outside if PARSERS & {package for package, _ in imports(path)}] == []


def test_nibabel_is_for_writing_and_one_module_parses_xml():
    formats = {path.name: imports(path) for path in (ROOT / "factortopy" / "formats").glob("*.py")}
    assert [name for name, found in formats.items() if "xml" in {package for package, _ in found}] == ["strict_xml.py"]
    users = {function for found in formats.values() for package, function in found if package == "nibabel"}
    assert users and all(function.startswith("write_") or function in ("_image", "_add") for function in users)
