"""Work that is no training: extractions and experiments through the queue, stopped, killed, resumed, found again."""

import os
import signal
import subprocess
import sys
import time

import pytest
from job_settings import EXTRACT, SHIPPED, simulate
from test_jobs import _worker_of, children  # noqa: F401  (a fixture)
from trials import SETTINGS, environment, run_command, start_holder, told_in_one_line, wait_for, wait_for_worker

from factortopy.errors import InputError
from factortopy.experiments import protocol as protocols
from factortopy.jobs import job as work
from factortopy.jobs import queue, worker
from factortopy.runs.run import find_run
from factortopy.storage.files import write_json
from factortopy.storage.home import cache_dir, home, jobs_dir


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """A file; while it is there the network takes its time."""
    file = tmp_path / "hold"
    file.touch()
    monkeypatch.setenv("TINY_HOLD", str(file))
    return file


def step_of(job):
    """Pictures that the process which holds it has shown to the network."""
    return job.progress()["step"] if job.silent_seconds() is not None and job.progress()["stage"] == "features" else 0


# ---- submitted, found, refused; no worker


def test_same_settings_are_the_same_job():
    first = queue.submit_job("simulate", simulate(), start=False)
    assert first.status == "queued" and first.info["title"] == f"Localizer on {SHIPPED}"
    assert queue.submit_job("simulate", simulate(seed=0), start=False) == first  # a default, said
    other = queue.submit_job("simulate", simulate(seed=1), start=False)
    assert other != first and queue.queued_names() == [first.key, other.key]
    run = queue.submit(SETTINGS, start=False)
    assert [queue.queue_position(job) for job in (first, other, run)] == [1, 2, 3]
    queue.cancel(first)
    assert first.state() == ("stopped", "stopped before its turn") and queue.queue_position(run) == 2
    assert queue.submit_job("simulate", simulate(), start=False).status == "queued"  # it goes on
    assert len(work.list_jobs()) == 2 and len(work.list_all()) == 3


def test_finished_work_is_done_again_in_its_folder():
    job = queue.submit_job("extract", EXTRACT, start=False)
    job.update(state="finished", finished=True, result={"pictures": 3}, seconds=7.0)
    again = queue.submit_job("extract", EXTRACT, start=False)
    assert again == job and job.status == "queued" and job.info["result"] is None and not job.info["seconds"]
    assert job.info["turn"] == 1


def test_a_finished_fine_tuning_is_left_alone(tmp_path):
    settings = {"backbone": "demo-vit", "images": str(tmp_path)}
    job = queue.submit_job("finetune", settings, name="mine", start=False)
    assert job.name == "mine" and job.info["title"] == f"demo-vit on {tmp_path.name}"
    job.update(state="finished", finished=True, result={"weights": "w"})
    assert queue.submit_job("finetune", settings, name="mine", start=False).info["result"] == {"weights": "w"}
    with pytest.raises(InputError, match="found other work of that name"):
        queue.submit_job("extract", EXTRACT, name="mine", start=False)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("seance", {}, "expected one of extract, simulate, finetune"),
        ("extract", {"subject": "tiny"}, "backbone: expected"),
        ("extract", {**EXTRACT, "steps": 3}, "'steps' is not one of"),
        ("simulate", {"run": "../../etc", "protocol": {"experiment": "localizer"}}, "expected letters"),
        ("simulate", {"run": "nobody", "protocol": {"experiment": "localizer"}}, "none of that name"),
        ("simulate", {"run": SHIPPED, "protocol": {"experiment": "localizer", "settings": {"m": 1}}}, "no setting 'm'"),
        ("simulate", {"run": SHIPPED}, "expected a protocol"),
        ("finetune", {"backbone": "demo-vit"}, "images"),
    ],
)
def test_wrong_settings_make_no_job(kind, settings, said):
    with pytest.raises(InputError, match=said):
        queue.submit_job(kind, settings, start=False)
    assert work.list_jobs() == [] and queue.queued_names() == []


@pytest.mark.parametrize("key", ["jobs/../runs", "jobs/", "jobs/nobody", "jobs/a/b", "../x", None, 3])
def test_a_key_never_leaves_the_folders(key):
    (home() / "runs").mkdir(exist_ok=True)
    write_json(home() / "runs" / "run.json", {"schema": 1})
    with pytest.raises(InputError):
        work.find(key)


def test_a_link_in_the_store_is_not_followed(tmp_path):
    job = work.Job.create(tmp_path / "outside", "extract", EXTRACT)
    (jobs_dir() / "inside").symlink_to(job.path)
    with pytest.raises(InputError, match="link"):
        work.find("jobs/inside")


def test_damaged_or_unknown_work_is_said():
    job = queue.submit_job("extract", EXTRACT, start=False)
    write_json(job.path / "run.json", job.info | {"kind": "seance"})
    with pytest.raises(InputError, match="'seance'; update FactorTopy"):
        work.work_job(job.path)
    assert job.status == "failed" and "update FactorTopy" in job.reason
    (job.path / "run.json").write_text("{")
    assert job.status == "unreadable" and worker.Worker().reconcile() == []
    with pytest.raises(InputError, match="page Jobs"):
        queue.submit_job("extract", EXTRACT, start=False)
    job.delete()
    assert queue.submit_job("extract", EXTRACT, start=False).status == "queued"


def test_a_lost_queue_is_made_again_of_the_folders():
    job, run = queue.submit_job("extract", EXTRACT, start=False), queue.submit(SETTINGS, start=False)
    for path in home().glob("queue.db*"):
        path.unlink()
    assert sorted(worker.Worker().reconcile()) == sorted([job.key, run.key])
    job.update(state="running")
    queue.queue().flush()
    assert job.status == "interrupted" and job.key in worker.Worker().reconcile() and job.info["deaths"] == 1


def test_held_work_is_left_alone():
    job = queue.submit_job("simulate", simulate(), start=False)
    holder = start_holder(job)
    try:
        line = told_in_one_line(run_command("work", job.path), code=75)
        assert "holds this job" in line and str(job.path) in line
    finally:
        holder.kill()
        holder.wait()
    assert "there; it was deleted" in told_in_one_line(run_command("work", home() / "nothing")).replace("none", "there")


def test_old_descriptions_go_and_fine_tunings_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(work, "KEPT", 2)
    made = [queue.submit_job("simulate", simulate(seed=seed), start=False) for seed in range(4)]
    made.append(queue.submit_job("finetune", {"backbone": "demo-vit", "images": str(tmp_path)}, start=False))
    for at, job in enumerate(made):
        job.update(state="finished", finished=True, created=f"2026-01-0{at + 1}T00:00:00+00:00")
    queue.submit_job("extract", EXTRACT, start=False)
    assert [job.status for job in made] == ["deleted", "deleted", "finished", "finished", "finished"]


def test_gpus_are_those_that_the_system_names(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert worker.gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert worker.gpus() == []  # one: nothing to share out


# ---- with processes


def test_extraction_survives_what_kills_it(children, hold):  # noqa: F811
    """Its process killed, then the worker; stopped, resumed, finished; never from the start."""
    job = queue.submit_job("extract", EXTRACT)
    wait_for(lambda: step_of(job) > 1100, 150)
    first = job.info["holder"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: step_of(job) and job.info["holder"]["pid"] != first)
    assert step_of(job) > 1024  # goes on from the last thousand
    second = job.info["holder"]["pid"]
    os.kill(_worker_of(second), signal.SIGKILL)
    wait_for(lambda: not queue.worker_alive())
    assert job.status == "running"
    queue.cancel(job)
    wait_for(lambda: job.status == "stopped")
    assert job.reason == "stopped on request"
    hold.unlink()
    assert queue.submit_job("extract", EXTRACT) == job  # starts a new worker
    wait_for(lambda: job.status == "finished")
    assert job.info["result"] == {"pictures": 1500, "layers": 3, "simulated": True} and job.info["simulated"]
    assert len(list(cache_dir("features").glob("*/done.json"))) == 1
    assert "killed by signal 9" in job.log_tail() and "1500 pictures, 3 layers" in job.log_tail()


def maximize(steps):
    settings = {"steps": steps, "seeds": 1, "noise": 2, "rendered": 1}
    return {"run": SHIPPED, "protocol": {"experiment": "maximize", "settings": settings}}


def test_experiment_outlives_the_app_and_is_kept(children):  # noqa: F811
    """Started by a process that ends; the Lab finds the result."""
    asked = maximize(20)
    code = f"from factortopy import jobs; print(jobs.submit_job('simulate', {asked!r}).key, flush=True)"
    app = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    job = work.find(app.stdout.strip())
    wait_for(lambda: job.status == "finished", 150)
    assert job.info["simulated"] and job.shown() is None
    run = find_run(SHIPPED)
    found = protocols.kept(run, asked["protocol"])
    assert found is not None and found.info["simulated"]
    assert job.info["result"]["folder"] == str(protocols.result_folder(run, asked["protocol"]))


@pytest.mark.slow
def test_experiment_shows_what_grows_is_stopped_and_goes_on(children):  # noqa: F811
    job = queue.submit_job("simulate", maximize(60))
    pictures = wait_for(lambda: None if job.shown() is None else (job.shown(),), 150)[0]
    assert pictures.ndim == 4 and pictures.shape[0] == 1
    queue.cancel(job)
    wait_for(lambda: job.status == "stopped")
    queue.resume(job)
    wait_for(lambda: job.status == "finished", 150)
    assert job.shown() is None


@pytest.mark.slow
def test_as_many_at_a_time_as_gpus(children, hold):  # noqa: F811
    """Each with a GPU of its own; what an earlier worker's child has is not given away."""
    code = "from factortopy.jobs import worker; worker.gpus = lambda: ['0', '1']; worker.run_worker()"
    made = [queue.submit_job("extract", {**EXTRACT, "subject_id": name}, start=False) for name in "abc"]

    def serve():
        process = subprocess.Popen([sys.executable, "-c", code], env=environment())
        assert wait_for_worker()
        return process

    first = serve()
    wait_for(lambda: all(job.status == "running" and job.info["holder"] for job in made[:2]))
    assert sorted(job.info["holder"]["gpu"] for job in made[:2]) == ["0", "1"] and made[2].status == "queued"
    first.kill()
    first.wait()
    free = made[0].info["holder"]["gpu"]
    serve()
    queue.cancel(made[0])
    wait_for(lambda: made[2].status == "running" and made[2].info["holder"])
    assert made[2].info["holder"]["gpu"] == free and made[1].status == "running"


def test_the_real_worker_shares_its_gpus_and_stays_while_it_works(children, hold, monkeypatch):  # noqa: F811
    """Started as the app starts it, where the module is the main one: its children's state is that which it looks at."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("TINY_GPUS", "2")
    monkeypatch.setenv("TINY_PAUSE", "1")
    monkeypatch.setenv("TINY_HASTE", "400")  # idle after 2.25 s
    made = [queue.submit_job("extract", {**EXTRACT, "subject_id": name}, start=False) for name in "abc"]
    process = subprocess.Popen([sys.executable, "-m", "factortopy.jobs.worker"], env=environment())
    wait_for(lambda: all(job.status == "running" and job.info["holder"] for job in made[:2]))
    assert sorted(job.info["holder"]["gpu"] for job in made[:2]) == ["4", "7"] and made[2].status == "queued"
    queue.cancel(made[2])
    queue.queue().flush()  # nothing waits: by the queue alone the worker is idle
    time.sleep(5.0)
    assert process.poll() is None and all(job.status == "running" for job in made[:2])
    hold.unlink()
    wait_for(lambda: all(job.status == "finished" for job in made[:2]))
    assert process.wait(timeout=20) == 0 and not queue.worker_alive()


@pytest.mark.slow
def test_experiment_survives_kills_of_child_and_worker(children):  # noqa: F811
    asked = {"run": SHIPPED, "protocol": {"experiment": "retinotopy", "settings": {"protocol": "bars"}}}
    job = queue.submit_job("simulate", asked)
    for _ in range(2):
        wait_for(lambda: job.silent_seconds() is not None and (job.progress().get("step") or 0) > 0)
        trainer = job.info["holder"]["pid"]
        os.kill(_worker_of(trainer), signal.SIGKILL)
        os.kill(trainer, signal.SIGKILL)
        wait_for(lambda: not queue.worker_alive() and not job.is_locked())
        assert job.status == "interrupted"
        queue.wake()  # as the app does when it opens
        wait_for(lambda before=trainer: (job.info["holder"] or {}).get("pid") not in (None, before))
    wait_for(lambda: job.status == "finished", 300)
    assert protocols.kept(find_run(SHIPPED), asked["protocol"]) is not None and job.info["deaths"] == 2
