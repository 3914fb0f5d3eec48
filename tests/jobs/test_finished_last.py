"""Who reads "finished" finds everything in its place and nothing left over: it is the last thing that is written."""

import pytest
from folder_contents import contents
from job_settings import EXTRACT, SHIPPED
from tiny_here import tiny  # noqa: F401  (a fixture)

from factortopy.encoder.encoder import Encoder
from factortopy.jobs import queue
from factortopy.jobs.job import work_job
from factortopy.runs.folder import JobFolder
from factortopy.runs.run import Run
from factortopy.runs.training import train_run
from factortopy.storage.home import runs_dir


@pytest.fixture
def at_the_end(monkeypatch):
    """{folder's name: what lay in it at the moment before it said "finished"}."""
    seen, update = {}, JobFolder.update

    def watched(self, **changes):
        if changes.get("finished"):
            seen[self.name] = contents(self.path)
        update(self, **changes)

    monkeypatch.setattr(JobFolder, "update", watched)
    return seen


def nothing_more(seen, folder):
    """Assert that "finished" was the last thing written into the folder; the files beside run.json."""
    before, after = seen[folder.name], contents(folder.path)
    assert folder.status == "finished" and after.pop("run.json") >= max(before.values())
    before.pop("run.json")
    assert before == after
    return set(after)


def test_of_a_training(tiny, at_the_end):  # noqa: F811
    run = train_run(runs_dir() / "a", "tiny", "tiny-net", steps=30)
    files = nothing_more(at_the_end, run)
    assert files >= {"encoder.safetensors", "selectors.safetensors", "scores.safetensors", "gallery.jpg", "history.csv"}
    assert not files & {"preview.safetensors", "cancel"} and not (run.path / "checkpoint").exists()
    assert run.info["scores"] and run.info["vertices"] == 24 and run.info["seconds"] > 0


def test_of_a_training_that_was_killed_just_before(tiny, monkeypatch):  # noqa: F811
    """Its results are whole and its checkpoint is gone: nothing is trained again."""

    class Killed(BaseException):
        pass

    def killed(self, reason=None):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Run, "finish", killed)
        train_run(runs_dir() / "a", "tiny", "tiny-net", steps=30)
    run = Run(runs_dir() / "a")
    run.update(state="running")  # a kill leaves no word
    assert run.status == "interrupted" and not (run.path / "checkpoint").exists()
    score, lines = run.info["scores"], []
    monkeypatch.setattr("factortopy.runs.training.fit", lambda *_, **__: pytest.fail("it was trained again"))
    train_run(run.path, resume=True, say=lines.append)
    assert run.status == "finished" and run.info["scores"] == score and "mean R²" in lines[-1]
    assert Encoder.load(run.path).scores


def test_of_a_job(tiny, at_the_end, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TINY_HOLD", "nowhere")
    job = queue.submit_job("extract", EXTRACT, start=False)
    work_job(job.path)
    assert "partial.safetensors" not in nothing_more(at_the_end, job) and job.info["result"]["pictures"] == 1500


def test_of_an_experiment_that_showed_pictures(at_the_end):
    settings = {"steps": 2, "seeds": 1, "noise": 2, "rendered": 1}
    asked = {"run": SHIPPED, "protocol": {"experiment": "maximize", "settings": settings}}
    job = queue.submit_job("simulate", asked, start=False)
    shown = []
    job_shows, type(job).show = type(job).show, lambda self, pictures: (job_shows(self, pictures), shown.append(1))
    try:
        work_job(job.path)
    finally:
        type(job).show = job_shows
    assert shown and "partial.safetensors" not in nothing_more(at_the_end, job)


def test_a_stop_leaves_nothing_of_itself(tiny):  # noqa: F811
    run = train_run(runs_dir() / "a", "tiny", "tiny-net", steps=30, on_progress=lambda p: p["stage"] != "fit")
    assert run.status == "stopped" and not run.stop_requested()
