"""Refits behind a slope's interval: their cost is said before, they are made once, kept with the run, and shown wherever a slope is."""

import shutil

import numpy as np
import pytest
from compared import N, made
from test_report import DEMO, rows_of, tiny  # noqa: F401  (a fixture)

from factortopy.analysis import slope
from factortopy.cli.main import main
from factortopy.encoder.encoder import Encoder
from factortopy.errors import InputError
from factortopy.jobs import job, queue
from factortopy.report import figures, plan, scoring, slopes
from factortopy.report.entries import Entry, read_entries
from factortopy.runs.archive import pack_run, unpack_run
from factortopy.runs.run import Run
from factortopy.runs.training import train_run
from factortopy.storage.files import read_json, write_json, write_tensors
from factortopy.storage.home import runs_dir

COUNT = 10


@pytest.fixture(scope="module")
def fitted(tiny, tmp_path_factory):  # noqa: F811
    """(home with the refits of the tiny run, the run with its refits)."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORTOPY_HOME", str(home))
        own = Run(shutil.copytree(tiny.path, home / "own"))
        encoder = Encoder.load(own.path)
        encoder.rois["EBA"] = ~np.asarray(encoder.rois["V1"], bool)  # a slope needs two areas
        encoder.save(own.path)
        seen = []
        assert slopes.make([own], COUNT, seen.append) == []
        assert {p["fits"] for p in seen} == {COUNT} and [p["fit"] for p in seen] == sorted(p["fit"] for p in seen)
    return home, own


def slope_of(run):
    return slopes.of_entry(read_entries([run])[0])


def test_refits_are_what_is_planned(fitted, monkeypatch):
    home, own = fitted
    monkeypatch.setenv("FACTORTOPY_HOME", str(home))
    refits = slopes.kept(own)
    assert (len(refits.halves), len(refits.seeds)) == slope.allotted(COUNT) == (6, 4)
    kept = [Run(path) for path in (home / "cache" / "refits").iterdir() if path.is_dir()]
    assert len(kept) == COUNT
    # Selectors alone, the ones that a whole fit has: the last solve changes none of them.
    assert not any(run.settings["channel"] or run.scores() or (run.path / "gallery.jpg").exists() for run in kept)
    one = kept[0]
    whole = train_run(home / "whole", **(one.settings | {"channel": True}))
    alone, solved = (Encoder.load(run.path) for run in (one, whole))
    np.testing.assert_array_equal(alone.selectors().layer, solved.selectors().layer)
    assert solved.selectors().channel.any() and alone.selectors().channel.shape[1] == 0
    with pytest.raises(InputError, match="found selectors alone"):
        alone.read([], [])
    halves = {run.settings["half"]: run for run in kept if run.settings["half"]}
    assert sorted(halves) == [1, 2, 3, 4, 5, 6] and len({run.settings["seed"] for run in kept}) == COUNT
    a, b, whole = (read_json(run.path / "split.json") for run in (halves[1], halves[2], own))
    learnt = [set(split["train"]) | set(split["val"]) for split in (a, b, whole)]
    assert learnt[0] | learnt[1] == learnt[2] and not learnt[0] & learnt[1] and a["test"] == whole["test"]
    assert all(np.ptp(rows, axis=0).max() > 0 for rows in (refits.halves, refits.seeds))


def test_the_interval_is_that_of_the_refits(fitted):
    found, refits = slope_of(fitted[1]), slopes.kept(fitted[1])
    late = np.asarray(Encoder.load(fitted[1].path).rois["EBA"], bool)
    halves, seeds = (means[:, late].mean(1) - means[:, ~late].mean(1) for means in (refits.halves, refits.seeds))
    ends = slope.estimate(found.slope, halves, seeds).interval()
    assert found.intervals["slope"] == pytest.approx(ends, abs=1e-5) and found.fits == COUNT + 1


def test_refits_are_made_once_and_shared_by_seeds(fitted, monkeypatch):
    home, own = fitted
    monkeypatch.setenv("FACTORTOPY_HOME", str(home))
    stamps = {p: p.stat().st_mtime_ns for p in (home / "cache" / "refits").rglob("run.json")}
    other = Run(shutil.copytree(own.path, home / "other-seed"))
    (other.path / slopes.FILE).unlink()
    info = read_json(other.path / "run.json")
    write_json(other.path / "run.json", info | {"seed": 7, "settings": info["settings"] | {"seed": 7}})
    assert slopes.lacking([own, other], COUNT) == [other]
    price = plan.slope_cost(read_entries([other]), COUNT)
    assert (price.fits, price.kept, price.seconds) == (COUNT, COUNT, 0) and "kept from before" in price.sentence()
    said = []
    assert slopes.make([other], COUNT, say=said.append) == [] and said == ["10 of 10 new fits are kept from before"]
    assert {p: p.stat().st_mtime_ns for p in (home / "cache" / "refits").rglob("run.json")} == stamps
    np.testing.assert_array_equal(slopes.kept(other).halves, slopes.kept(own).halves)
    shutil.rmtree(other.path)


def test_tables_and_figure_with_and_without(fitted, tmp_path, capsys):
    assert main(["compare", str(fitted[1].path), "--csv", str(tmp_path / "with.csv")]) == 0
    assert "random halves of the pictures" in capsys.readouterr().out
    (row,) = [row for row in rows_of(tmp_path / "with.csv") if row["table"] == "hierarchy"]
    assert float(row["slope from"]) < float(row["slope"]) < float(row["slope to"])
    assert (row["interval over"], row["fits"]) == ("pictures and seeds", "11")
    assert main(["compare", str(DEMO[0]), "--csv", str(tmp_path / "without.csv")]) == 0
    assert "One fit has no interval" in capsys.readouterr().out
    (row,) = [row for row in rows_of(tmp_path / "without.csv") if row["table"] == "hierarchy"]
    assert (row["slope from"], row["slope to"], row["interval over"], row["fits"]) == ("", "", "", "1")
    rows = [scoring.hierarchy_rows(read_entries([run]))[0][0] for run in (fitted[1], Run(DEMO[0]))]
    assert "no interval" in slopes.in_words(rows[1]) and "over pictures and seeds, 11 fits" in slopes.in_words(rows[0])
    right = figures.slopes(rows, True).axes[1]
    assert "95 % over pictures and seeds" in right.get_xlabel()
    assert "no interval" in figures.slopes(rows[1:], True).axes[1].get_xlabel()


def test_the_cost_is_said_before(fitted, capsys, monkeypatch):
    price = plan.slope_cost(read_entries([Run(DEMO[0]), Run(DEMO[2])]), 20)
    assert (price.fits, price.kept) == (40, 0) and price.seconds > 0
    both = plan.cost(read_entries([Run(DEMO[0])]), refits=20)
    assert both.fits == 50 and both.seconds > plan.cost(read_entries([Run(DEMO[0])])).seconds
    order = []
    monkeypatch.setattr(slopes, "make", lambda *given, **how: order.append(capsys.readouterr().out) or [])
    assert main(["compare", str(DEMO[0]), "--refits", "20"]) == 0
    assert "20 new fits of demo-vit, about" in order[0]


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_too_few_refits_are_one_line(verb, tmp_path, capsys):
    out = ["--out", str(tmp_path / "r")] if verb == "report" else []
    assert main([verb, str(DEMO[0]), "--refits", "3", *out]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected 0, or 10 or more, found 3" in line


def test_subjects_are_what_varies_where_there_are_several():
    encoders = [
        made(np.zeros(N), seed=k, layer=np.roll(np.eye(4, dtype=np.float32)[np.arange(N) * 4 // N], k, 1))
        for k in range(3)
    ]
    entry = Entry("net", [None] * 3, encoders)
    found = slopes.of_entry(entry)
    each = [slope.hierarchy(e.selectors(), e.rois).slope for e in encoders]
    assert (found.over, found.fits) == ("subjects", 3) and found.slope == pytest.approx(np.mean(each))
    assert slopes.refittable([entry]) == []


@pytest.mark.parametrize("tensors", [{}, {"halves": np.zeros((6, 4))}, {"halves": np.zeros((5, 4)), "seeds": np.zeros((4, 4))},
                                     {"halves": np.full((6, 4), np.nan), "seeds": np.zeros((4, 4))}])  # fmt: skip
def test_a_damaged_file_is_one_line(tiny, tmp_path, tensors):  # noqa: F811
    run = Run(shutil.copytree(tiny.path, tmp_path / "run"))
    write_tensors(run.path / slopes.FILE, {name: value.astype(np.float32) for name, value in tensors.items()})
    with pytest.raises(InputError, match="expected mean layers of refits") as caught:
        slopes.kept(run)
    assert "\n" not in str(caught.value)


def test_refits_travel_with_the_run(fitted, tmp_path):
    packed = pack_run(fitted[1], tmp_path / "own.factortopy.zip")
    arrived = unpack_run(packed)
    assert slope_of(arrived).intervals == slope_of(fitted[1]).intervals


def test_the_job_makes_them(fitted, monkeypatch):
    home, own = fitted
    monkeypatch.setenv("FACTORTOPY_HOME", str(home))
    run = Run(shutil.copytree(own.path, runs_dir() / "mine", dirs_exist_ok=True))
    (run.path / slopes.FILE).unlink()
    asked = queue.submit_job("slope", {"runs": ["mine"], "refits": COUNT}, start=False)
    assert asked.info["title"] == "mine, 10 fits each"
    job.work_job(asked.path, queued=True)
    assert asked.status == "finished" and asked.info["result"] == {"failed": []}
    assert slope_of(run).fits == COUNT + 1
    with pytest.raises(InputError, match="refits: expected 0, or 10"):
        queue.submit_job("slope", {"runs": ["mine"], "refits": 4}, start=False)
