"""What a sweep will cost: formulas against the measurements that they were fitted to, and the table of benchmarks/scale.py."""

import pytest

from benchmarks import scale
from factortopy import costs, sweeps
from factortopy.backbones import list_backbones


def test_formulas_are_the_measured_problem():
    found = scale.check()
    for row, value in found["full, formula"].items():
        assert value == pytest.approx(found["full, measured"][row], rel=0.01)
    for label in (
        "20,000 vertices",
        "2,000 images",
        "12 layers",
    ):  # smaller ones: the steps hold, the rest within a factor of two
        for row, low, high in (("steps", 0.9, 1.1), ("prepare", 0.5, 2.0), ("last solve", 0.5, 2.0)):
            assert low < found[f"{label}, formula"][row] / found[f"{label}, measured"][row] < high


@pytest.mark.parametrize(("name", "counted"), [("mae-b", 35.13), ("dinov2-g", 598.8), ("sam-b", 972.1), ("sam-h", 5961.1),
                                               ("convnext-b", 30.71), ("resnet50", 8.17), ("dinov3-b", 47.15)])  # fmt: skip
def test_operations_are_those_that_torch_counts(name, counted):
    (entry,) = [entry for entry in list_backbones() if entry.name == name]
    assert costs.network(entry).operations / 1e9 == pytest.approx(counted, rel=0.05)


def test_demo_estimate_is_near_what_was_measured():
    found = costs.estimate(sweeps.settings_of({"subject": ["demo-1"], "backbone": ["demo-vit"], "seed": [0, 1]}))
    assert found["runs"] == 2 and found["extractions"] == 1
    assert 120 < found["seconds"] < 180  # 50 s, and twice 35 to 50 (docs/benchmarks.md)
    assert found["bytes"] == pytest.approx(0.6e9, rel=0.1)
    for unknown in ({"subject": ["/data/nsd"]}, {"backbone": ["timm/x"]}, {"recipe": ["paper"]}):
        axes = {"subject": ["demo-1"], "backbone": ["demo-vit"], **unknown}
        assert costs.estimate(sweeps.settings_of(axes))["seconds"] is None


def test_span_waits_for_the_wave_and_uses_everybody():
    found = [(0, 4.0), (0, 2.0), (0, 2.0), (1, 1.0), (1, 1.0)]
    assert scale.span(found, 1) == 10.0 and scale.span(found, 2) == 5.0 and scale.span(found, 9) == 5.0


def test_table_of_the_large_sweep(capsys):
    scale.main(["--price", "2"])
    told = capsys.readouterr().out
    assert "8 subjects × 20 networks × 1 seeds" in told and "assumed speed" in told and "price" in told
    assert all(name in told for name in scale.NETWORKS)
