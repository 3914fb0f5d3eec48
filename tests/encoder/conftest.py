"""What tests of the encoder share."""

import pytest
import torch

from factortopy.encoder import fast


@pytest.fixture
def single_precision(monkeypatch):
    """Two ways to the same numbers are compared beyond bfloat16's digits, in which steps of ``fast`` align tokens."""
    monkeypatch.setattr(fast, "quick", lambda device: torch.float32)
