"""The report in the background and what it is asked: the plan of its fits, progress, stop and resume, levels, folders, what is missing."""

import numpy as np
import pytest
from compared import N, made
from test_report import DEMO, rows_of, tiny  # noqa: F401  (a fixture)

from factortopy import analysis
from factortopy.cli.main import main
from factortopy.errors import InputError
from factortopy.jobs import job, queue, report
from factortopy.report import channel_images, checklist, findings, missing, plan, scoring
from factortopy.report.document import begin
from factortopy.report.entries import read_entries
from factortopy.report.evidence import Evidence, FittedNetwork
from factortopy.report.levels import read_levels
from factortopy.report.refits import Refits
from factortopy.runs import costs
from factortopy.runs.run import Run
from factortopy.storage.home import runs_dir

NAMES = [path.name for path in DEMO]

# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runs": []}, "expected names of finished runs"),
        ({"runs": [NAMES[0], NAMES[0]]}, "each once"),
        ({"runs": ["nobody"]}, "none of that name"),
        ({"runs": ["../../etc"]}, "expected letters"),
        ({"runs": NAMES[:1], "quick": 3}, "quick: expected"),
        ({"runs": NAMES[:1], "steps": 0}, "steps: expected"),
        ({"runs": NAMES[:1], "levels": {"V1": 2}}, "levels: expected areas with levels from 0 to 1"),
        ({"runs": NAMES[:1], "levels": {"V1": 0, "nowhere": 1}}, "levels: expected areas of this subject"),
        ({"runs": NAMES[:1], "levels": {"V1": 0.5}}, "levels: expected two different levels"),
        ({"runs": NAMES[:1], "refits": -1}, "refits: expected a whole"),
        ({"runs": NAMES[:1], "refits": 4}, "refits: expected 0, or 10 or more"),
        ({"runs": NAMES[:1], "out": "/tmp"}, "'out' is not one of"),
    ],
)
def test_wrong_settings_make_no_job(settings, said):
    with pytest.raises(InputError, match=said):
        queue.submit_job("report", settings, start=False)
    assert job.list_jobs() == []


def test_same_report_is_the_same_job_and_a_finished_one_is_left_alone():
    first = queue.submit_job("report", {"runs": NAMES, "quick": True, "steps": 9}, start=False)
    assert first.settings == {"runs": NAMES, "quick": True, "steps": None}
    assert first.info["title"] == f"{', '.join(NAMES)}, quick"
    first.update(state="finished", finished=True, result={"file": "f"})
    assert queue.submit_job("report", {"runs": NAMES, "quick": True}, start=False).info["result"] == {"file": "f"}
    assert queue.submit_job("report", {"runs": NAMES, "steps": 9}, start=False) != first
    with pytest.raises(InputError, match="found it queued"):
        run = queue.submit({"subject": "demo-1", "backbone": "demo-vit"}, start=False)
        report.WriteReport().check_settings({"runs": [run.name]})


def test_levels_are_kept_where_they_are_not_the_usual_ones():
    from factortopy.analysis.slope import LEVELS

    asked = {"runs": NAMES[:1], "quick": True}
    assert "levels" not in report.WriteReport().check_settings(asked | {"levels": dict(LEVELS)})
    assert report.WriteReport().check_settings(asked | {"levels": {"V1": 0, "FFA": 1}})["levels"] == {
        "V1": 0.0,
        "FFA": 1.0,
    }


# ---------------------------------------------------------------- the fits


def test_plan_has_every_fit_once_and_never_the_run_itself(tmp_path):
    run = Run(DEMO[0])
    refits = Refits(tmp_path, run)
    planned = plan.plan(refits, 12, 3000)
    full = [refits.full(changes) for changes in planned.values()]
    assert len({refits.name(one) for one in full}) == len(full) == 30 and refits.base not in full
    assert {"seed 1", "seed 2", "without topology", "pooled ridge", "300 pictures", "layer 12 alone"} <= set(planned)
    assert "3,000 pictures" not in planned
    other = plan.plan(Refits(tmp_path, run, steps=60), 12, 3000)
    assert len(other) == 31 and {} in other.values()  # the same settings with another number of steps


def test_cost_counts_what_is_kept_and_follows_this_machines_pace(monkeypatch):
    found = read_entries([Run(DEMO[2]), Run(DEMO[0])])
    assert plan.refitted(found).name == "demo-vit"  # the untrained one is not fitted again
    before = plan.cost(found)
    assert (before.name, before.fits, before.kept, before.measured) == ("demo-vit", 30, 0, False)
    refits = Refits(plan.shared_folder(), Run(DEMO[0]))
    full = refits.full({"seed": 1})
    kept = Run.create(plan.shared_folder() / refits.name(full), full)
    guess = plan.LOAD + sum(costs.fit_seconds(costs.network_of("demo-vit").channels, 3000, 2154))
    kept.update(state="finished", finished=True, seconds=3 * guess)
    after = plan.cost(found)
    assert (after.fits, after.kept, after.measured) == (30, 1, True)
    assert after.seconds == pytest.approx(3 * (before.seconds - guess), rel=0.02)
    assert plan.cost(read_entries([Run(DEMO[2])])) is None


def test_fits_are_stopped_kept_and_gone_on_with(tiny, tmp_path):  # noqa: F811
    planned = {"seed 1": {"seed": 1}, "no such layer": {"layers": [9]}, "seed 2": {"seed": 2}}
    seen, said = [], []

    def until_second(progress):
        seen.append(progress)
        return progress["doing"] != "seed 2" or progress["step"] < 5 or progress["stage"] != "fit"

    refits = Refits(tmp_path, tiny, 30, report.Progress(lambda told: None), said.append)
    refits.on_progress = until_second
    with pytest.raises(KeyboardInterrupt):
        refits.make(planned)
    assert refits.kept({"seed": 1}) and not refits.kept({"seed": 2})
    assert [p["fit"] for p in seen] == sorted(p["fit"] for p in seen) and {p["fits"] for p in seen} == {3}
    stamp = (tmp_path / refits.name(refits.full({"seed": 1})) / "run.json").stat().st_mtime_ns
    again = Refits(tmp_path, tiny, 30, None, said.append)
    again.make(planned)
    assert again.kept({"seed": 2}) and "1 of 3 new fits are kept from before" in said
    assert "going on from the checkpoint" in said
    assert (tmp_path / refits.name(refits.full({"seed": 1})) / "run.json").stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="layers"):  # said where it is asked for, and not tried again
        again.fitted({"layers": [9]})


def test_progress_of_many_fits_is_one():
    told = []
    progress = report.Progress(lambda one: told.append(one) or True)
    many = {"fit": 2, "fits": 10, "doing": "seed 1"}
    progress({"stage": "features", "step": 10, "total": 100} | many)
    progress({"stage": "fit", "step": 50, "total": 100} | many)
    progress({"stage": "score", "step": 0, "total": None} | many)
    progress({"stage": "pictures", "step": 0, "total": None} | many | {"fit": 3})
    progress({"stage": "drawing", "step": 7, "total": 100, "doing": ""})
    assert [(one["stage"], one["step"], one["total"]) for one in told] == [
        ("features", 10, 100), ("fits", 2.5, 10), ("fits", 2.9, 10), ("fits", 3.0, 10), ("drawing", 7, 100)
    ]  # fmt: skip
    assert told[1]["doing"] == "seed 1, fit 3 of 10"


# ---------------------------------------------------------------- as a job


@pytest.fixture
def own_run(tiny):  # noqa: F811
    """The tiny run under a name of this home."""
    import shutil

    shutil.copytree(tiny.path, runs_dir() / "mine")
    return Run(runs_dir() / "mine")


def test_quick_report_of_the_queue_is_stopped_and_resumed(own_run):
    made = queue.submit_job("report", {"runs": ["mine"], "quick": True}, start=False)
    told = []

    def stop_soon(progress):
        told.append(progress)
        return progress["stage"] != "drawing" or progress["step"] < 5

    job.work_job(made.path, on_progress=stop_soon)
    assert made.status == "stopped" and not report.file_of(made).exists()
    queue.resume(made, start=False)
    told.clear()
    job.work_job(made.path, queued=True, on_progress=lambda p: told.append(p))
    assert made.status == "finished" and made.info["simulated"] and made.info["result"]["simulated"]
    page = report.file_of(made).read_text(encoding="utf-8")
    assert "Not asked for" in page and "These data are simulated" in page
    steps = [p["step"] for p in told if p["stage"] == "drawing"]
    assert steps == sorted(steps) and steps[-1] > 90 and "Brain score by ROI" in {p.get("doing") for p in told}


@pytest.mark.slow
def test_full_report_of_the_queue_keeps_its_fits_for_the_next_one(own_run, monkeypatch):
    monkeypatch.setattr(plan, "AMOUNTS", (30,))
    asked = {"runs": ["mine"], "steps": 20, "refits": 0}
    made = queue.submit_job("report", asked, start=False)
    seen = []

    def stop_at_fourth(progress):
        seen.append(progress)
        return progress["stage"] != "fits" or progress["step"] < 4

    job.work_job(made.path, on_progress=stop_at_fourth)
    assert made.status == "stopped"
    assert sum(Run(path).status == "finished" for path in plan.shared_folder().iterdir()) == 4
    queue.resume(made, start=False)
    seen.clear()
    job.work_job(made.path, queued=True, on_progress=lambda p: seen.append(p))
    assert made.status == "finished" and next(p for p in seen if p["stage"] == "fits")["step"] >= 4
    page = report.file_of(made).read_text(encoding="utf-8")
    assert "What each part of the method does" in page and "Not asked for" not in page
    stamps = {path: path.stat().st_mtime_ns for path in plan.shared_folder().rglob("run.json")}
    assert len(stamps) == made_fits(own_run)
    other = queue.submit_job("report", asked, name="other", start=False)
    job.work_job(other.path, queued=True)
    assert {path: path.stat().st_mtime_ns for path in plan.shared_folder().rglob("run.json")} == stamps


def made_fits(run):
    return len(plan.plan(Refits(plan.shared_folder(), run, 20), 3, 60))


# ---------------------------------------------------------------- folders


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path, capsys):
    busy = tmp_path / "busy"
    busy.mkdir()
    (busy / "thesis.tex").write_text("x")
    assert main(["report", str(DEMO[0]), "--out", str(busy), "--quick"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "expected a new or empty folder or an earlier report's, found other files (thesis.tex)" in line
    assert "choose another folder" in line and [p.name for p in busy.iterdir()] == ["thesis.tex"]


def test_an_earlier_reports_folder_goes_on(tmp_path):
    begin(tmp_path / "new")
    (tmp_path / "new" / "runs").mkdir()  # stopped before anything was drawn
    begin(tmp_path / "new")
    old = tmp_path / "old"  # written before reports had a mark
    for name in ("figures", "maps"):
        (old / name).mkdir(parents=True)
    with pytest.raises(InputError, match="figures, maps"):
        begin(old)
    (old / "report.html").write_text("x")
    begin(old)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.json").write_text('{"kind": "invoice"}')
    with pytest.raises(InputError, match="other files"):
        begin(tmp_path / "other")


# ---------------------------------------------------------------- the order of areas


def test_levels_change_the_slope(capsys, tmp_path):
    words = "V1=0,hV4=0.5,FFA=1"
    assert main(["compare", str(DEMO[0]), "--levels", words, "--csv", str(tmp_path / "t.csv")]) == 0
    (row,) = [row for row in rows_of(tmp_path / "t.csv") if row["table"] == "hierarchy"]
    encoder = read_entries([Run(DEMO[0])])[0].encoder
    expected = analysis.hierarchy(encoder.selectors(), encoder.rois, {"V1": 0, "hV4": 0.5, "FFA": 1})
    assert float(row["slope"]) == pytest.approx(expected.slope, rel=1e-5)
    assert row["slope from"] == row["slope to"] == "" and row["fits"] == "1"  # one fit alone has no interval
    points = scoring.area_layers(read_entries([Run(DEMO[0])]), read_levels(words))
    assert [(p["roi"], p["level"]) for p in points] == [("V1", 0), ("hV4", 0.5), ("FFA", 1)]
    mean = encoder.selectors().layer_mean[encoder.rois["FFA"]].mean()
    assert points[-1]["mean layer"] == pytest.approx(mean)


@pytest.mark.parametrize(
    "words", ["", "V1", "V1=0", "V1=0,V1=1", "V1=0,EBA=2", "V1=0,EBA=x", "V1=0.5,EBA=0.5", "V1=0,Broca=1"]
)
def test_levels_that_cannot_be_are_one_line(words, capsys):
    assert main(["compare", str(DEMO[0]), "--levels", words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("--levels: expected")


# ---------------------------------------------------------------- what is missing


def test_what_is_missing_is_grouped_by_reason():
    open_ones = [*checklist.checklist(Evidence({"a": FittedNetwork("a")})), *checklist.untested()]
    groups = findings.grouped(open_ones, [(missing.SUBJECT, "ceiling: none"), (missing.SUBJECT, "ceiling: none")])
    assert list(groups) == [why for why in findings.REASONS if why != missing.UNDECIDED]
    assert len(groups[missing.NOT_ASKED]) == 7 and groups[missing.SUBJECT].count("Ceiling: none") == 1
    assert any("CLIP" in line for line in groups[missing.PAPERS]) and any(
        "untrained" in line for line in groups[missing.RUNS]
    )
    # Each open finding is in exactly one group.
    assert all(sum(f.claim in line for lines in groups.values() for line in lines) == 1 for f in open_ones)
    assert not findings.grouped([f for f in open_ones if f.verdict != checklist.OPEN], [])


def test_a_study_that_failed_says_its_own_reason():
    why = missing.Missing(missing.SUBJECT, "expected more than 100 pictures, found 60")
    both = [f for f in checklist.checklist(Evidence(unfitted={"data": why})) if "Figs. 10, 27" in f.source]
    assert [(f.verdict, f.why, f.explanation) for f in both] == [(checklist.OPEN, why.why, why.what)] * 2


def test_vertices_of_early_and_late_areas_are_chosen():
    score = np.full(N, 0.3)
    score[[2, 52]] = 0.9
    encoder = made(score)
    encoder.rois = dict(reversed(encoder.rois.items())) | {"big": np.ones(N, bool)}
    # Those of the hierarchy from early to late, then by size.
    assert list(channel_images._vertices(encoder)) == ["V1", "EBA", "big"]
    assert channel_images._vertices(encoder)["V1"] == 2 and channel_images._vertices(encoder)["EBA"] == 52
    assert not channel_images._vertices(made(score, predicted=False))
