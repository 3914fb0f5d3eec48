"""The tiny subject and network in the test's own process, too (``tiny/sitecustomize.py`` gives them to others)."""

import contextlib
import importlib.util
import io
import subprocess

import pytest
from trials import TINY

from factortopy.cli.main import main


@contextlib.contextmanager
def tiny_network():
    """Within this block; everything is as before afterwards."""
    spec = importlib.util.spec_from_file_location("tiny", TINY / "sitecustomize.py")
    spec.loader.exec_module(changed := importlib.util.module_from_spec(spec))
    try:
        yield
    finally:
        for old, new in changed.CHANGES:
            changed.everywhere(new, old)


def run_here(*words):
    """Like ``trials.run_command``, but in the test's own process, which has torch already: CompletedProcess."""
    words, out, errors = [str(word) for word in words], io.StringIO(), io.StringIO()
    with tiny_network(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), errors.getvalue())


@pytest.fixture
def tiny():
    with tiny_network():
        yield
