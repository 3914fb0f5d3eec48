"""The documentation builds strictly and offline; its links lead somewhere; the types of the public interface hold."""

import inspect
import os
import re
import subprocess
import sys
import typing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import factortopy as ft

ROOT = Path(__file__).resolve().parents[2]


class Page(HTMLParser):
    """What a page refers to (``links``), what it loads (``loads``), and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors, self.maths = [], [], set(), 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.anchors |= {known[name] for name in ("id", "name") if known.get(name)}
        self.maths += tag == "math"
        if tag == "a" and known.get("href"):
            self.links.append(known["href"])
        elif tag == "link" and known.get("rel") != "canonical":
            self.loads.append(known.get("href"))
        elif known.get("src"):
            self.loads.append(known["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)], cwd=ROOT, capture_output=True, text=True,
        timeout=280, env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return out, {path: Page(path.read_text(encoding="utf-8")) for path in out.rglob("*.html")}


@pytest.mark.slow
def test_it_asks_no_other_server_for_anything(site):
    out, pages = site
    for path, page in pages.items():
        for address in filter(None, page.loads):
            assert urlsplit(address).scheme in ("", "data"), f"{path.name}: {address}"
    for style in out.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style.name


@pytest.mark.slow
def test_every_link_inside_leads_somewhere(site):
    out, pages = site
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for address in page.links + [a for a in page.loads if a]:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name}: {address}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors | {"__codelineno", "__skip"}, (
                    f"{path.name}: {address}"
                )


@pytest.mark.slow
def test_equations_reference_and_verbs_are_in_it(site):
    from factortopy.cli.main import parser

    out, pages = site
    assert pages[out / "maths.html"].maths > 20
    assert "arithmatex" not in (out / "maths.html").read_text() and r"\mathrm" not in (out / "maths.html").read_text()
    verbs = next(action for action in parser()._actions if action.dest == "verb").choices
    assert set(verbs) <= pages[out / "reference" / "command_line.html"].anchors
    anchors = set().union(*(page.anchors for path, page in pages.items() if path.parent.name == "reference"))
    for name in ft.__all__:
        thing = getattr(ft, name)
        assert f"{thing.__module__}.{thing.__qualname__}" in anchors, name


@pytest.mark.slow
def test_types_hold():
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_public_call_is_typed():
    from factortopy import view

    things = {f"{module.__name__}.{name}": getattr(module, name) for module in (ft, view) for name in module.__all__}
    for name, thing in things.items():
        calls = {name: thing} if inspect.isfunction(thing) else {
            f"{name}.{key}": value.__func__ if isinstance(value, classmethod | staticmethod) else value
            for key, value in vars(thing).items()
            if not key.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
        }  # fmt: skip
        for where, call in calls.items():
            names = [p for p in inspect.signature(call).parameters if p not in ("self", "cls")]
            missing = set(names) - set(call.__annotations__)
            assert not missing, f"{where}: no type for {', '.join(sorted(missing))}"
            assert "return" in call.__annotations__, f"{where}: no type of what it returns"


def test_the_lazy_names_are_those_that_types_see():
    """What a type checker is told (TYPE_CHECKING) is what is resolved at run time."""
    source = (ROOT / "factortopy" / "__init__.py").read_text()
    block = source[source.index("if TYPE_CHECKING:") :].split("\n\n")[0]
    told = set(re.findall(r"import (\w+) as \1", block)) | set(re.findall(r"^ +(\w+) as \1,", block, re.MULTILINE))
    assert told >= set(ft.__all__) - {"InputError"} and typing.TYPE_CHECKING is False
