"""Collects the samples of README and docs: Python blocks and command lines, with the mark that stands before them."""

import ast
import importlib
import inspect
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARK = re.compile(r"<!-- sample: (.+?) -->\s*\Z")
FENCE = re.compile(r"^(```|~~~)([\w-]*)[^\n]*\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^(?: {4}|\t)[^\n]*\n?(?:[ \t]*\n(?= {4}|\t))*)+", re.MULTILINE)
VERB = re.compile(r"^\s*(?:\S*python3? -m )?factortopy (?=[a-z])(.+)")
PLACES = {"RUN": "demo-vit_demo-1", "OTHER_RUN": "demo-mae_demo-1"}


@dataclass(frozen=True)
class Sample:
    """One block. kind : "python" or "shell"; lines : of a shell block, the verb and its arguments a line; mark : why it is
    not run, or None."""

    page: str
    line: int
    kind: str
    text: str
    mark: str | None

    @property
    def lines(self):
        if self.kind == "python":
            return []
        found = (VERB.search(line.split(" #")[0].rstrip()) for line in re.sub(r"\\\n\s*", " ", self.text).splitlines())
        return [one[1].strip() for one in found if one]


def samples(page):
    """The Python and shell blocks of a page, in order."""
    text, found = page.read_text(encoding="utf-8"), []
    blank = list(text)
    for fence in FENCE.finditer(text):
        kind = {
            "python": "python",
            "py": "python",
            "": "shell",
            "bash": "shell",
            "sh": "shell",
            "console": "shell",
        }.get(fence[2])
        if kind:
            found.append((fence.start(), kind, fence[3]))
        blank[fence.start() : fence.end()] = [c if c == "\n" else "x" for c in fence[0]]  # same length, no block inside
    for block in INDENTED.finditer("".join(blank)):
        if any(map(VERB.search, block[0].splitlines())):
            found.append((block.start(), "shell", block[0]))
    out = []
    for start, kind, content in sorted(found):
        mark = MARK.search(text[:start])
        one = Sample(page.relative_to(ROOT).as_posix(), text[:start].count("\n") + 1, kind, content, mark and mark[1])
        if kind == "python" or one.lines:
            out.append(one)
    return out


def arguments(line):
    """Words of a command line, with runs in the place of RUN; None for a synopsis ([--flag], …)."""
    if "[" in line or "…" in line or "..." in line:
        return None
    return [PLACES.get(word, word) for word in shlex.split(line)]


def flags(line):
    """(verb, flags) of a line, a synopsis too."""
    return line.split()[0], set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line))


# ---------------------------------------------------------------- names


def unknown_names(text):
    """What a block says of factortopy that is not so: missing imports, attributes and keywords. Nothing is run."""
    tree, known, wrong = ast.parse(text), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "factortopy":
                    module = importlib.import_module(name.name)
                    known[name.asname or name.name.split(".")[0]] = (
                        module if name.asname else importlib.import_module("factortopy")
                    )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "factortopy":
            for name in node.names:
                try:
                    known[name.asname or name.name] = _member(importlib.import_module(node.module), name.name)
                except (AttributeError, ImportError):
                    wrong.append(f"from {node.module} import {name.name}")
    known.setdefault("ft", importlib.import_module("factortopy"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            try:
                _resolve(node, known)
            except AttributeError:
                wrong.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            wrong += _keywords(node, known)
    return wrong


def _member(module, name):
    try:
        return getattr(module, name)
    except AttributeError:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ImportError:
            raise AttributeError(f"{module.__name__}.{name}") from None


def _resolve(node, known):
    """The object of a dotted name of ours, None of any other; AttributeError where it is missing."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, known)
        if inspect.ismodule(owner):
            return _member(owner, node.attr) if owner.__name__.startswith("factortopy") else None
        if inspect.isclass(owner):
            return getattr(owner, node.attr)
    return None


def _keywords(call, known):
    try:
        called = _resolve(call.func, known)
        parameters = inspect.signature(called).parameters if callable(called) else None
    except (AttributeError, ValueError, TypeError):
        return []
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [f"{ast.unparse(call.func)}({k.arg}=)" for k in call.keywords if k.arg and k.arg not in parameters]
