"""Making the report with a click: what it costs is said before, the job that is sent, how it is watched, read and saved."""

import json

import pytest
from streamlit.testing.v1 import AppTest
from test_jobs_page import no_worker, open_page, press  # noqa: F401  (a fixture)
from web_pages import follow, words

from factortopy.jobs import job as work
from factortopy.jobs import queue
from factortopy.jobs import report as report_job
from pages.parts import job_panel, report_panel


def panel():
    """The section alone, without the page around it."""
    from pages.parts import guard, report_panel

    guard.navigated = True
    guard.guard_part(lambda: report_panel.show(["demo-vit_demo-1", "demo-vit-untrained_demo-1", "gone"]))


def shown():
    at = AppTest.from_function(panel, default_timeout=120).run()
    assert not at.exception and not at.error
    return at


def finish(job, page="<!doctype html><html><head><style></style></head><body>a</body></html>"):
    """As if the worker had written it."""
    (job.path / report_job.FOLDER / "figures").mkdir(parents=True)
    report_job.file_of(job).write_text(page)
    (job.path / report_job.FOLDER / "figures" / "scores.csv").write_text("a\n1\n")
    job.update(state="finished", finished=True, simulated=True, result={})


def test_a_click_says_what_it_costs_and_sends_it():
    at = shown()
    assert at.multiselect[0].value == ["demo-vit_demo-1", "demo-vit-untrained_demo-1"]
    assert "No new fits" in words(at) and work.list_jobs() == []
    at.radio(key="report amount").set_value("Full").run()
    assert "70 new fits of demo\\-vit" in words(at) and "two cores, no GPU" in words(at)
    at.radio(key="report amount").set_value("Full, with fewer steps").run()
    assert "71 new fits" in words(at)
    press(at, "make report")
    (made,) = work.list_jobs()
    assert made.settings == {"runs": ["demo-vit_demo-1", "demo-vit-untrained_demo-1"], "quick": False, "steps": 60}
    assert made.status == "queued"
    press(at, "make report")
    assert work.list_jobs() == [made]


def test_of_an_untrained_network_the_slope_alone_is_fitted_again():
    at = shown()
    at.multiselect[0].set_value(["demo-vit-untrained_demo-1"]).run()
    at.radio(key="report amount").set_value("Full").run()
    assert "20 new fits of demo" in words(at) and not at.button(key="make report").disabled
    at.multiselect[0].set_value([]).run()
    assert at.button(key="make report").disabled and not at.exception


def test_it_is_watched_stopped_resumed_and_taken_away():
    at = press(shown(), "make report").run()
    (made,) = work.list_jobs()
    assert made.settings["quick"] and [bar.proto.text[-24:] for bar in at.get("progress")] == [
        "waiting, next in the queue"[-24:]
    ]
    at = press(at, f"stop {made.key}").run()
    assert made.status == "stopped" and "stopped" in words(at)
    press(at, f"resume {made.key}")
    assert made.status == "queued"
    finish(made)
    at = shown()
    assert [d.proto.label for d in at.get("download_button")] == ["Save the page (HTML)", "Save everything (zip)"]
    assert "(simulated)" in words(at) and not at.get("iframe")
    at.toggle(key=f"read {made.name} False").set_value(True).run()
    assert not at.exception and len(at.get("iframe")) == 1
    report_job.file_of(made).unlink()
    assert "expected the report, found none" in AppTest.from_function(panel, default_timeout=120).run().error[0].value


def test_what_is_saved_is_whole(tmp_path):
    import zipfile
    from io import BytesIO

    made = queue.submit_job("report", {"runs": ["demo-vit_demo-1"], "quick": True}, start=False)
    finish(made)
    assert ".files { display: none; }</style>" in report_panel.alone(made)
    with zipfile.ZipFile(BytesIO(report_panel.packed(made))) as archive:
        assert sorted(archive.namelist()) == ["figures/scores.csv", "report.html"]
        assert "display: none" not in archive.read("report.html").decode()


@pytest.mark.parametrize("there", [True, False])
def test_the_page_jobs_lists_and_opens_it(there):
    made = queue.submit_job("report", {"runs": ["demo-vit_demo-1"], "quick": True}, start=False)
    at = open_page()
    assert "**Report**" in words(at) and not at.exception
    finish(made)
    at = follow(open_page(), "Open")
    assert not at.exception and at.get("iframe") and at.button(key="close report")
    if not there:
        made.delete()
        assert not at.run().exception and not at.get("iframe") and "none of that name" in at.error[0].value
        return
    at = press(at, "close report").run()
    assert not at.get("iframe")


def test_progress_says_which_fit():
    made = queue.submit_job("report", {"runs": ["demo-vit_demo-1"]}, start=False)
    told = {"stage": "fits", "step": 7.5, "total": 30, "remaining": 600, "doing": "seed 1, fit 8 of 30"}
    (made.path / "progress.json").write_text(json.dumps(told))
    share, text = job_panel.progress_of(made, "running")
    assert share == 0.25 and text == "fitting the network again: 25% · about 10 min left · seed 1, fit 8 of 30"
