"""The page Jobs and what other pages give to the queue: what is said, what can be pressed, where it leads."""

import pytest
from in_process import serve
from job_settings import EXTRACT, SHIPPED, simulate
from streamlit.testing.v1 import AppTest
from trials import SETTINGS, start_holder, wait_for
from web_pages import ROOT, follow, words

from factortopy.jobs import job as work
from factortopy.jobs import kinds, queue
from factortopy.storage.home import jobs_dir

RUN = {**SETTINGS, "backbone": "demo-vit"}


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr("factortopy.jobs.queue.ensure_worker", lambda: None)


def open_page(name="jobs"):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    return at.switch_page(f"pages/{name}.py").run()


def press(at, key):
    at = at.button(key=key).click().run()
    assert not at.exception
    return at


def bars(at):
    """What the progress bars say."""
    return [bar.proto.text for bar in at.get("progress")]


def test_empty_page_says_what_to_do():
    at = open_page()
    assert not at.exception and "Nothing has been started yet" in words(at)


def test_what_waits_is_shown_in_its_order_and_can_go():
    made = [queue.submit_job("simulate", simulate(), start=False), queue.submit(RUN, start=False)]
    made.append(queue.submit_job("extract", EXTRACT, start=False))
    at = open_page()
    assert not at.exception and not at.error
    assert bars(at) == [f"Waiting, {where} in the queue" for where in ("next", "number 2", "number 3")]
    said = words(at)
    assert said.index("Experiment") < said.index("Training") < said.index("Features")
    at = press(at, f"stop {made[0].key}").run()
    assert made[0].status == "stopped" and bars(at)[0] == "Waiting, next in the queue" and len(bars(at)) == 2
    assert "Stopped before its turn" in words(at)
    at = press(at, f"resume {made[0].key}").run()
    assert queue.queue_position(made[0]) == 1  # its place is kept
    for job in made:
        queue.cancel(job)
    at = press(at.run(), f"delete {made[2].key}").run()
    assert made[2].status == "deleted" and "Nothing waits or runs" in words(at)


def test_what_runs_says_how_far_and_shows_its_log():
    job = queue.submit_job("extract", EXTRACT, start=False)
    holder = start_holder(job)
    try:
        (job.path / "progress.json").write_text('{"stage": "features", "step": 30, "total": 120, "remaining": 600}')
        job.log("<img src=x onerror=alert(1)>")
        at = open_page()
        assert bars(at) == ["Showing the pictures to the network: 25% · about 10 min left"]
        at = at.toggle(key=f"log {job.key}").set_value(True).run()
        assert "<img src=x onerror=alert(1)>" in at.code[0].value  # as it was written
        at = press(at, f"stop {job.key}").run()
        assert bars(at) == ["Stopping; what was done is kept"] and at.button(key=f"stop {job.key}").disabled
    finally:
        holder.kill()
        holder.wait()


def test_what_failed_says_why_as_typed():
    job = queue.submit_job("extract", EXTRACT, start=False)
    job.update(state="failed", reason="**weights**: :red[expected] a file", title="<b>x</b> $y$")
    (jobs_dir() / "torn").mkdir()
    (jobs_dir() / "torn" / "run.json").write_text("{")
    at = open_page()
    assert not at.exception
    said = words(at)
    assert r"\*\*weights\*\*\: \:red\[expected\] a file" in said and r"\<b\>x\</b\> \$y\$" in said
    assert "Cannot be read" in said


def test_an_experiment_runs_from_the_lab_and_opens_there_again(monkeypatch):
    """Settings that the controls had when it was started are those that it opens with."""
    asked = {"run": SHIPPED, "protocol": {"experiment": "localizer", "settings": {"n": 3, "category": "scenes"}}}
    serve(monkeypatch)
    job = queue.submit_job("simulate", asked)
    wait_for(lambda: job.status == "finished", 200)
    at = follow(open_page(), "Open")
    assert at.session_state["experiment"] == "localizer" and not at.error
    assert "scenes against" in words(at) and "simulated" in words(at)
    at.query_params["job"] = "jobs/deleted-since"  # as a kept address may say
    at.run()
    assert not at.exception and "deleted-since" in at.warning[0].value.replace("\\", "")
    assert "scenes against" in words(at)


def test_a_job_that_failed_says_so_in_the_lab():
    asked = simulate()
    protocol = kinds.kind_of("simulate").check_settings({"run": SHIPPED, "protocol": {"experiment": "retinotopy"}})
    job = queue.submit_job("simulate", protocol, start=False)
    job.update(state="failed", reason="memory: expected more")
    other = queue.submit_job("simulate", asked, start=False)
    at = open_page("lab")
    assert [error.value for error in at.error] == ["memory\\: expected more"]
    assert bars(at) == ["Localizer: waiting, next in the queue"]  # another experiment of this run
    press(at, f"stop {other.key}")
    assert other.status == "stopped"


def test_features_are_extracted_from_the_networks_page():
    at = open_page("networks")
    at = press(at, "extract features").run()
    (job,) = work.list_jobs()
    assert (
        job.info["kind"] == "extract" and job.settings["subject"] == "demo-1" and job.settings["backbone"] == "demo-vit"
    )
    assert bars(at) == ["demo\\-vit on the pictures of demo\\-1: waiting, next in the queue"]
    at = press(at, f"stop {job.key}").run()
    assert job.status == "stopped" and "it goes on from there" in words(at)
    press(at, "extract features")
    assert job.status == "queued" and len(work.list_jobs()) == 1
