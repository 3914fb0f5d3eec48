"""What tests of the encoder share."""

import pytest
import torch
from planted import plant

from factortopy.encoder import fast


@pytest.fixture(scope="module")
def small():
    return plant(n_images=80, n_layers=3, channels=8, n_vertices=60, grid=4)


@pytest.fixture(scope="module")
def subject(small):
    return small.subject()


@pytest.fixture
def single_precision(monkeypatch):
    """Two ways to the same numbers are compared beyond bfloat16's digits, in which steps of ``fast`` align tokens."""
    monkeypatch.setattr(fast, "quick", lambda device: torch.float32)
