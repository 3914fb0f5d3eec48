"""The tiny subject and network in the test's own process, too (``tiny/sitecustomize.py`` gives them to others)."""

import importlib.util

import pytest
from trials import TINY

import factortopy


@pytest.fixture
def tiny(monkeypatch):
    for name in ("load_subject", "load_backbone"):
        monkeypatch.setattr(factortopy, name, getattr(factortopy, name))  # put back afterwards
    spec = importlib.util.spec_from_file_location("tiny_training", TINY / "sitecustomize.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
