"""What a sweep will cost: formulas against the measurements that they were fitted to, and the table of benchmarks/scale.py."""

import numpy as np
import pytest
from plain_folder import make_folder

from benchmarks import scale
from factortopy import sweeps
from factortopy.backbones.loading import list_backbones, load_backbone
from factortopy.features import speed
from factortopy.features.extraction import extract
from factortopy.jobs.job import extracted
from factortopy.runs import costs
from factortopy.runs.run import Run
from factortopy.storage.files import write_json
from factortopy.storage.home import cache_dir, home, runs_dir
from factortopy.wording import duration


def test_formulas_are_near_what_was_measured():
    for row, ratio in scale.check()["formula / measured"].items():
        if row.endswith("whole"):
            assert 0.8 < ratio < 1.25, row  # of NSD's sizes; small problems are fits of seconds
        elif ", " not in row or row.endswith("tenth"):
            assert 0.5 < ratio < 2, row


@pytest.mark.parametrize(("name", "counted"), [("mae-b", 35.13), ("dinov2-g", 598.8), ("sam-b", 972.1), ("sam-h", 5961.1),
                                               ("convnext-b", 30.71), ("resnet50", 8.17), ("dinov3-b", 47.15)])  # fmt: skip
def test_operations_are_those_that_torch_counts(name, counted):
    (entry,) = [entry for entry in list_backbones() if entry.name == name]
    assert costs.network(entry).operations / 1e9 == pytest.approx(counted, rel=0.05)


def test_demo_estimate_is_near_what_was_measured():
    found = costs.estimate(
        sweeps.settings_of({"subject": ["demo-1"], "backbone": ["demo-vit"], "seed": [0, 1]}), extracted()
    )
    assert found["runs"] == 2 and found["extractions"] == 1
    # A minute of rendering, 50 s of extraction, and twice a fit of at most 50 (docs/benchmarks.md) with 14 of start and scores.
    fit = sum(costs.fit_seconds(12 * 128, 3000, 2154))
    assert 5 < fit < 50 and found["seconds"] == pytest.approx(60 + 50 + 2 * (14 + fit), rel=0.05)
    assert found["bytes"] == pytest.approx(0.6e9, rel=0.1)
    assert f"{duration(found['seconds'])} (on two cores, no GPU) and 0.6 GB of disk" in costs.sentence(found)


def price(**axes):
    return costs.estimate(sweeps.settings_of({"subject": ["demo-1"], "backbone": ["demo-vit"]} | axes), extracted())


def test_what_is_not_known_is_not_told():
    found = price(subject=["/data/nsd"])
    assert found["seconds"] is None and found["bytes"] is None and "before the subject" in costs.sentence(found)
    found = price(backbone=["clip-l"], recipe=["paper"])  # the published recipe was measured on the demo alone
    assert found["seconds"] is None and found["bytes"] > 3e9 and "was not measured" in costs.sentence(found)
    assert price(backbone=["timm/x"])["like"] and "like ViT-B" in costs.sentence(price(backbone=["timm/x"]))
    assert 4000 < price(recipe=["paper"])["seconds"] < 7000  # 60,000 steps; docs/ablations.md: 4,000 in 364 s
    assert price(model=["classtoken"])["seconds"] < price()["seconds"] < price(model=["gnetvit"])["seconds"]


def test_a_folder_is_as_large_as_its_files_say(tmp_path):
    folder = make_folder(tmp_path)  # 24 trials of 40 vertices a hemisphere
    size = costs.sizes_of(str(folder))
    assert (size.trials, size.vertices) == (24, 80) and size.pictures <= 24
    found = price(subject=[str(folder)])
    assert 14 < found["seconds"] < 74 and found["bytes"] < 20e6


def test_what_is_on_disk_already_is_not_counted_again():
    whole, few = price(), price(pictures=[200])
    assert whole["making"] == few["making"] == 60 and "made first, once: about 60 s" in costs.sentence(whole)
    assert costs.making(["demo-1", "demo-2"]) == 90 and costs.making(["/data/nsd", "demo"]) == 60  # pictures are shared
    pictures, responses = (cache_dir("subjects") / name for name in ("pictures-v2-3000", "demo-1-v2-3000.safetensors"))
    pictures.mkdir()
    write_json(pictures / "truth.json", {})
    assert price()["making"] == 30
    responses.touch()
    assert price()["making"] == 0 and "made first" not in costs.sentence(price())

    net = costs.network_of("demo-vit")
    run = Run.create(runs_dir() / "a", {"subject": "demo", "backbone": "demo-vit", "seed": 5})
    features = cache_dir("features") / "x"
    features.mkdir()
    write_json(features / "done.json", {"pictures": 3000, "backbone": "demo-vit", "grid": 8})
    assert price()["kept"] == 0  # nobody has finished with them
    run.update(state="finished", finished=True)
    assert price()["kept"] == 1 and price(pictures=[200])["kept"] == 0 and price(backbone=["demo-mae"])["kept"] == 0
    left = whole["seconds"] - 60 - costs.extraction_seconds(net, 3000)
    assert price()["seconds"] == pytest.approx(left) and price()["bytes"] < 0.01 * whole["bytes"]
    assert "Features are on disk already" in costs.sentence(price()) and "Less where" in costs.sentence(price(pca=[32]))
    (features / "done.json").unlink()  # somebody made room
    assert price()["kept"] == 0


def test_a_small_run_is_not_free():
    """Runs of 20 steps with 200 pictures took 17 to 30 s each, 14 of it beside the fit; all 300 test pictures are shown as well."""
    few = price(pictures=[200], steps=[20], seed=[0, 1])
    fits = 2 * (costs.number("start", "seconds") + sum(costs.fit_seconds(1536, 200 / 0.9, 2154, 20)))
    shown = costs.extraction_seconds(costs.network_of("demo-vit"), 500)
    assert few["seconds"] == pytest.approx(60 + fits + shown) and 14 < (fits + shown) / 2 < 30


def test_the_table_says_what_was_measured_and_what_is_missing_is_not_known_yet(monkeypatch):
    table = costs.table()
    assert table["machine"] == "two cores, no GPU"
    for row in table["measured"].values():
        assert set(row) > {"date", "of", "by"} and all(isinstance(row[key], str) for key in ("date", "of", "by"))
    for row in table["measured"]:
        less = table | {"measured": {name: value for name, value in table["measured"].items() if name != row}}
        monkeypatch.setattr(costs, "table", lambda less=less: less)
        found = price() if row != "paper step" else price(recipe=["paper"])
        words = costs.sentence(found)
        if row == "run folder":
            assert found["bytes"] is None and "not known" in words
        else:
            assert found["seconds"] is None and found["bytes"] > 0 and "not known yet" in words


class Shown:
    device = None

    def __init__(self, name):
        self.name = name


def test_extractions_leave_their_pace_and_estimates_take_it():
    assert "unknown until the first batch" in costs.extraction_sentence("demo-vit", 3000) and not price()["here"]
    speed.keep(Shown("demo-vit"), 31, 9.0)  # too few
    speed.keep(Shown("demo-vit"), 3000, 0.5)  # too short
    assert speed.measured() == {}
    speed.keep(Shown("demo-vit untrained"), 300, 3000.0)
    told = costs.extraction_sentence("demo-vit", 300)
    assert told.startswith("about 50 min at 0.1 pictures a second, as measured here on 20")
    assert price()["here"] and price()["seconds"] == pytest.approx(30_000, rel=0.02)
    assert "at this machine's pace" in costs.sentence(price())
    rate, whose = costs.measured("mae-b")  # judged by what was measured
    net = costs.network_of("mae-b").operations / costs.network_of("demo-vit").operations
    assert whose == "demo-vit" and rate == pytest.approx(0.1 / net)
    speed.keep(Shown("demo-vit"), 32, 1.0, probe=True)  # an extraction tells more
    assert speed.measured()["demo-vit"]["pictures_per_second"] == 0.1
    speed.keep(Shown("timm/x"), 4, 1.0, probe=True)
    assert costs.measured("timm/x") == (4.0, "timm/x") and costs.measured("timm/y") == (None, "")
    (home() / "pace.json").write_text('{"demo-vit": {"pictures_per_second": "many"}, "mae-b": 3')
    assert speed.measured() == {} and "unknown" in costs.extraction_sentence("mae-b", 10)


def test_a_real_extraction_leaves_its_pace(monkeypatch):
    monkeypatch.setattr(speed, "SHORTEST", 0.0)
    backbone = load_backbone("demo-vit")
    extract(backbone, np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8))
    assert (
        0 < speed.measured()["demo-vit"]["pictures_per_second"] < 1e5
        and speed.measured()["demo-vit"]["device"] == "cpu"
    )


def test_span_waits_for_the_wave_and_uses_everybody():
    found = [(0, 4.0), (0, 2.0), (0, 2.0), (1, 1.0), (1, 1.0)]
    assert scale.span(found, 1) == 10.0 and scale.span(found, 2) == 5.0 and scale.span(found, 9) == 5.0


def test_table_of_the_large_sweep(capsys):
    scale.main(["--price", "2"])
    told = capsys.readouterr().out
    assert "8 subjects × 20 networks × 1 seeds" in told and "assumed speed" in told and "price" in told
    assert all(name in told for name in scale.NETWORKS)
