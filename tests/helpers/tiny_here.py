"""The tiny subject and network in the test's own process, too (``tiny/sitecustomize.py`` gives them to others)."""

import contextlib
import importlib.util

import pytest
from trials import TINY


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


@pytest.fixture
def tiny():
    with tiny_network():
        yield
