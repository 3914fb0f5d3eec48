"""kill -9 at random moments of every long operation (``kills.py``), full disks, deleted files, two apps on one store.

Ten kills in the ordinary run, 125 in the slow one; ``docs/faults.md`` holds what happened.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzz_parsers import tiny_encoder
from trials import environment

import factortopy
from factortopy.errors import InputError
from factortopy.experiments.result import Result
from factortopy.runs.run import Run

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
OPERATIONS = ("extract", "train", "save", "responses", "simulate")


def kill(folder, kills, seed, *names):
    """What ``kills.py`` tells, {operation: dict}."""
    words = [sys.executable, str(HELPERS / "kills.py"), str(folder), str(kills), str(seed), *names]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    return {told["operation"]: told for told in map(json.loads, done.stdout.splitlines())}


def test_killed_ten_times(tmp_path):
    told = kill(tmp_path / "place", 2, 1)
    assert set(told) == set(OPERATIONS) and sum(one["kills"] for one in told.values()) == 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_often(tmp_path, name):
    told = kill(tmp_path / "place", 25, 2, name)[name]
    assert told["kills"] == 25 and told["unfinished"]


# ---------------------------------------------------------------- a disk that is full


@pytest.fixture
def full():
    """A context in which no file of this process may grow beyond some bytes: what a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Full:
        def __init__(self, size):
            self.size = size

        def __enter__(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, hard))

        def __exit__(self, *error):
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return Full


def test_saving_on_a_full_disk_leaves_no_mixture(full, tmp_path):
    old, new = tiny_encoder(seed=0), tiny_encoder(vertices=400, seed=1)
    old.save(tmp_path / "run")
    for size in (3000, 15000):  # before the first file, between two of them
        with full(size), pytest.raises(InputError, match="could not be written"):
            new.save(tmp_path / "run")
        with pytest.raises(InputError, match="expected a finished run"):
            factortopy.Encoder.load(tmp_path / "run")
        assert not list((tmp_path / "run").glob(".*.part"))
    new.save(tmp_path / "run")
    assert np.array_equal(factortopy.Encoder.load(tmp_path / "run").selectors().space, new.selectors().space)


def test_an_encoder_saved_over_another_takes_nothing_of_it(tmp_path):
    old, new = tiny_encoder(seed=0), tiny_encoder(seed=1)
    old.save(tmp_path)
    new.scores, new.maps = {}, {}
    new.save(tmp_path)
    loaded = factortopy.Encoder.load(tmp_path)
    assert loaded.scores == {} and loaded.maps == {}


def test_a_result_on_a_full_disk_is_none(full, tmp_path):
    seen = {"seen": np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)}
    result = Result("localizer", {"n": 4}, {"t": np.zeros(30)}, {}, {}, seen)
    result.save(tmp_path)
    with full(1500), pytest.raises(InputError, match="could not be written"):
        result.save(tmp_path)
    with pytest.raises(InputError):
        Result.load(tmp_path)
    result.save(tmp_path)
    assert np.array_equal(Result.load(tmp_path).pictures["seen"], seen["seen"])


# ---------------------------------------------------------------- what may not be written, what is gone

NOBODY = """
import os, sys
import factortopy, factortopy.encoder, factortopy.runs.archive, factortopy.storage.home, fuzz_parsers
from factortopy.experiments.result import Result
os.setgroups([]); os.setgid(65534); os.setuid(65534)
place = sys.argv[1]
def packed():
    import pathlib
    from factortopy.runs.archive import pack_run
    from factortopy.runs.run import Run
    pack_run(Run(sys.argv[2]), pathlib.Path(place))
for work in (lambda: fuzz_parsers.tiny_encoder().save(place + "/run"), lambda: Result("localizer", {}).save(place + "/result"), packed,
             factortopy.storage.home.runs_dir):
    try: work(); print("written")
    except factortopy.InputError as error: print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_read_only_folders_are_said():
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        tiny_encoder().save(Path(place) / "mine")
        info = json.loads((Path(place) / "mine" / "run.json").read_text())
        (Path(place) / "mine" / "run.json").write_text(json.dumps(info | {"schema": 1, "name": "mine"}))
        done = subprocess.run(
            [sys.executable, "-c", NOBODY, place, f"{place}/mine"], capture_output=True, text=True,
            env=environment(FACTORTOPY_HOME=f"{place}/home", PYTHONPATH=os.pathsep.join([str(HELPERS), str(HELPERS.parents[1])])),
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert len(lines) == 4 and all("ermission denied" in line for line in lines), done.stdout + done.stderr


@pytest.mark.parametrize("name", ["encoder.safetensors", "selectors.safetensors", "run.json"])
def test_deleted_files_are_named(tmp_path, name):
    tiny_encoder().save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=name):
        factortopy.Encoder.load(tmp_path)


def test_clocks_that_jump_change_nothing(tmp_path):
    """Files from tomorrow and from 1980: status, cached features and results are the same."""
    from small_network import SmallNetwork, pictures

    from factortopy.features.extraction import extract

    network, images = SmallNetwork(), pictures(20)
    kept = np.array(extract(network, images).local[0])
    tiny_encoder().save(tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(info | {"schema": 1}))
    Result("localizer", {}).save(tmp_path / "result")
    from factortopy.storage.home import home

    for moment in (time.time() + 86_400 * 400, 315_532_800):
        for path in (*tmp_path.rglob("*"), *home().rglob("*")):
            os.utime(path, (moment, moment))
        calls = network.calls
        assert np.array_equal(extract(network, images).local[0], kept) and network.calls == calls
        assert Run(tmp_path / "run").status == "finished"
        assert (
            factortopy.Encoder.load(tmp_path / "run").n_vertices == 24 and Result.load(tmp_path / "result").maps == {}
        )


def test_what_a_killed_unpacking_left_is_never_a_run_and_goes(tmp_path):
    from fuzz_parsers import run_files, zip_of

    from factortopy.runs.archive import unpack_run
    from factortopy.runs.run import list_runs
    from factortopy.storage.home import runs_dir

    left = runs_dir() / ".arriving-killed"
    tiny_encoder().save(left)
    young = runs_dir() / ".arriving-now"
    young.mkdir()
    os.utime(left, (time.time() - 90_000,) * 2)
    assert list_runs(shipped=False) == []
    assert unpack_run(zip_of(run_files())).status == "finished"
    assert not left.exists() and young.exists()


# ---------------------------------------------------------------- two apps on one store

APP = """
import sys, time
from factortopy.jobs import queue as jobs
from factortopy.runs.run import list_runs
sys.stdin.readline()
for k in range(12):
    run = jobs.submit({"subject": "demo-1", "backbone": "demo-vit", "seed": k // 2 * 2 + int(sys.argv[1])}, start=False)
    list_runs(); jobs.queued_names()
    if k % 3 == 2: jobs.cancel(run)
    if k % 6 == 5: jobs.resume(run, start=False)
print("done")
"""


def test_two_apps_share_one_store():
    """Both submit, look, cancel and resume at once: every run is there once, whole, and in the queue at most once."""
    from factortopy.jobs import queue
    from factortopy.runs.run import list_runs

    apps = [
        subprocess.Popen(
            [sys.executable, "-c", APP, str(k % 2)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for k in range(3)
    ]  # two of them ask for the same trainings
    for app in apps:
        app.stdin.write("go\n")
        app.stdin.flush()
    for app in apps:
        assert app.communicate(timeout=120)[0] == "done\n" and app.returncode == 0
    runs = list_runs(shipped=False)
    assert runs and all(run.status in ("queued", "stopped") for run in runs)
    # Settings stand twice only where one was stopped, asked for anew by the other app, and then resumed.
    twice = Counter(json.dumps(run.settings) for run in runs if run.status == "queued")
    resumed = {json.dumps(run.settings) for run in runs if run.info.get("turn")}
    assert all(settings in resumed for settings, n in twice.items() if n > 1)
    names = queue.queued_names()
    assert len(names) == len(set(names)) and {run.name for run in runs if run.status == "queued"} <= {
        n.split("/")[-1] for n in names
    }


def test_a_run_deleted_by_another_app_is_no_run(tmp_path):
    tiny_encoder().save(tmp_path / "run")
    run = Run(tmp_path / "run")
    shutil.rmtree(run.path)
    assert run.status == "deleted" and run.progress() is None and run.history().step == [] and run.log_tail() == ""
    with pytest.raises(InputError, match="gone"):
        run.request_stop()
    assert not run.path.exists()
