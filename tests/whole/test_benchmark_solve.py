"""The benchmark of the last solve runs, and what it calls plain is what the solve gives (tiny, synthetic)."""

import json

import numpy as np
import pytest
import torch

from benchmarks import solve as benchmark
from factortopy.encoder.solve import solve


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, value in (("LAYERS", 2), ("DIM", 4), ("GRID", 3)):
        monkeypatch.setattr(benchmark, name, value)
    monkeypatch.setattr(benchmark, "speed", lambda device: 50.0)
    monkeypatch.setattr(benchmark.shared, "SLOWER", benchmark.shared.SLOWER)


def test_it_says_what_it_extrapolates(tmp_path):
    sizes = ["--pictures", "60", "--vertices", "300", "--components", "6", "--whole", "600"]
    benchmark.main([*sizes, "--results", str(tmp_path / "results.json")])
    values = json.loads((tmp_path / "results.json").read_text())["last solve, 300 vertices"]
    assert values["whole solve, 600 pictures, s (extrapolated)"] > values["products, s"] > 0
    assert values["machine"]["cores"] >= 1 and "synthetic" in values["size"]


def test_the_plain_reference_solves_the_same():
    problem = benchmark.problem_of(60, 40, 6, 2, "cpu")
    model = benchmark.scattered(problem)
    weight, _, penalty = solve(problem, model)
    plain = benchmark.plain(problem, model, np.arange(40))
    # The reference has no intercept, and these responses hardly a mean.
    alike = torch.nn.functional.cosine_similarity(plain, torch.from_numpy(weight)).median()
    assert alike > 0.9 and np.isfinite(penalty).all()
