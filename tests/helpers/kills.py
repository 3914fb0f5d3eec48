"""kill -9 at random moments of every long operation, and a look at what is left.

    python tests/helpers/kills.py FOLDER KILLS SEED [NAME…]

One process imports everything once and forks a child for each attempt (it runs no thread of torch itself, so that forking
is safe). A child goes on where the killed one stopped; what lies there between is looked at after each kill: it loads and
equals the truth, or it says that it is unfinished. In the end nobody kills, and the result equals the undisturbed one.
Prints one line of JSON an operation.
"""

import contextlib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch look

import numpy as np  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import factortopy  # noqa: E402
from factortopy.errors import InputError  # noqa: E402
from factortopy.runs.run import Run  # noqa: E402


def digest(folder, *patterns):
    """{name: hash} of the files in a folder that are the result."""
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in found}


def same(one, other):
    """Arrays of two dicts are equal, NaN included."""
    return one.keys() == other.keys() and all(
        np.array_equal(one[k], other[k], equal_nan=one[k].dtype.kind == "f") for k in one
    )


class Operation:
    """Something that takes long. ``whole`` is where it runs undisturbed, ``place`` where it is killed."""

    forever = False  # the operation does not end by itself: it saves again and again

    def __init__(self, root):
        self.root = Path(root)
        self.place, self.whole = self.root / "killed", self.root / "whole"

    def prepare(self):
        """Make what the operation reads."""

    def work(self, place):
        """The operation, in a child."""

    def look(self, place):
        """True when what is there is whole; an assertion fails when it is neither whole nor said to be unfinished."""

    def result(self, place):
        """What must be the same in the end."""


class Extract(Operation):
    """Features to the cache on disk."""

    def prepare(self):
        from small_network import SmallNetwork, pictures

        self.network, self.pictures = SmallNetwork(sides=(8, 4)), pictures(3000)

    def work(self, place):
        os.environ["FACTORTOPY_HOME"] = str(place)
        factortopy.extract(self.network, self.pictures)

    def _folder(self, place):
        return (
            next((p for p in (place / "cache" / "features").glob("*") if p.is_dir()), None) if place.exists() else None
        )

    def look(self, place):
        from factortopy.features.extraction import _finished

        folder = self._folder(place)
        found = folder and _finished(folder, self.network, True)
        if not found:
            return False
        truth = _finished(self._folder(self.whole), self.network, True)
        for kind in ("local", "global_"):
            for a, b in zip(getattr(found, kind), getattr(truth, kind), strict=True):
                assert np.array_equal(a, b), "features that say they are whole differ"
        return True

    def result(self, place):
        return digest(self._folder(place), "*.npy", "done.json")


class Train(Operation):
    """A run: features, checkpoints, encoder, scores, gallery."""

    def prepare(self):
        from dataclasses import fields
        from importlib import util

        from factortopy.encoder import fast

        spec = util.spec_from_file_location("tiny_training", HERE / "tiny" / "sitecustomize.py")
        spec.loader.exec_module(util.module_from_spec(spec))
        kind, changes = fast.FastSettings, {"seconds_between_checkpoints": 0.02}
        names = [field.name for field in fields(kind)]
        kind.__init__.__defaults__ = tuple(
            changes.get(n, d) for n, d in zip(names, kind.__init__.__defaults__, strict=True)
        )

    def work(self, place):
        from factortopy.runs.training import train_run

        os.environ["FACTORTOPY_HOME"] = str(place.parent / f"home-{place.name}")
        train_run(place, "tiny", "tiny-net", steps=20, resume=True)

    def look(self, place):
        run = Run(place)
        if not (place / "run.json").exists():
            return False
        status = run.status
        assert status in ("interrupted", "finished"), run.state()
        run.history()
        run.preview()
        try:
            factortopy.Encoder.load(place)
            loads = True
        except InputError:
            loads = False
        assert loads == (status == "finished"), (status, loads)
        assert status != "finished" or self.result(place) == self.result(self.whole)
        return status == "finished"

    def result(self, place):
        return digest(place, "encoder.safetensors", "selectors.safetensors", "scores.safetensors", "gallery.*")


class Again(Operation):
    """A thing with two states that is saved again and again: a kill leaves one of the two, or "unfinished"."""

    forever = True

    def prepare(self):
        self.states = [self.make(k) for k in range(2)]
        self.found = []

    def work(self, place):
        k = 0
        while True:
            self.save(self.states[k % 2], place)
            k += 1
            if place == self.whole:
                return

    def look(self, place):
        try:
            found = self.load(place)
        except InputError:
            return False
        assert any(same(found, self.truth(state)) for state in self.states), "halves of two"
        return True

    def result(self, place):
        return digest(place, "*.safetensors")


class Save(Again):
    """encoder.save over another finished run."""

    def make(self, k):
        from fuzz_parsers import tiny_encoder

        return tiny_encoder(vertices=4000, seed=k)

    def save(self, state, place):
        state.save(place)

    def load(self, place):
        return self.truth(factortopy.Encoder.load(place))

    def truth(self, state):
        factor = state.selectors()
        return {
            **{n: getattr(factor, n) for n in ("space", "layer", "scale", "channel")},
            "bias": state._bias,
            **state.scores,
        }


class Simulate(Again):
    """An experiment's result over the one that is kept for the same protocol."""

    def make(self, k):
        from factortopy.experiments.result import Result

        rng = np.random.default_rng(k)
        seen = rng.integers(0, 256, (3, 64, 64, 3), np.uint8)
        return Result(
            "localizer", {"n": 4}, {"t": rng.normal(size=20_000).astype(np.float32)}, {"k": k}, {}, {"seen": seen}
        )

    def save(self, state, place):
        state.save(place)

    def load(self, place):
        from factortopy.experiments.result import Result

        return self.truth(Result.load(place))

    def truth(self, state):
        return {**state.maps, **state.pictures, "k": np.array(state.numbers["k"])}


class Responses(Operation):
    """NSD's masked, z-scored responses to the cache on disk (generated betas)."""

    VERTICES, TRIALS, SESSIONS = 30_000, 40, 3

    def prepare(self):
        from nsd_folder import write_mgh

        from factortopy.formats.mgh import open_mgh
        from factortopy.subjects.nsd.betas import HEMISPHERES, Session

        rng, self.sessions = np.random.default_rng(0), []
        for number in range(1, self.SESSIONS + 1):
            files = {}
            for hemi in HEMISPHERES:
                path = self.root / f"{hemi}.betas_session{number:02d}.mgh"
                write_mgh(path, rng.normal(size=(self.TRIALS, self.VERTICES)).astype(np.float32))
                files[hemi] = open_mgh(path)
            self.sessions.append(Session(number, files))
        self.columns = {hemi: np.arange(self.VERTICES) for hemi in HEMISPHERES}

    def _kept(self, place):
        from factortopy.subjects.nsd.betas import _kept_folder

        os.environ["FACTORTOPY_HOME"] = str(place)
        return _kept_folder("subj01", self.sessions, self.columns, None)

    def work(self, place):
        from factortopy.subjects.nsd.betas import kept_responses

        os.environ["FACTORTOPY_HOME"] = str(place)
        kept_responses("subj01", self.sessions, self.columns, None)

    def look(self, place):
        from factortopy.subjects.nsd.betas import _open

        found = _open(self._kept(place), self.TRIALS * self.SESSIONS)
        if found is None:
            return False
        truth = _open(self._kept(self.whole), self.TRIALS * self.SESSIONS)
        assert np.array_equal(found[0], truth[0]) and np.array_equal(found[1], truth[1]), "kept responses differ"
        return True

    def result(self, place):
        return digest(self._kept(place), "*.npy", "done.json")


OPERATIONS = {"extract": Extract, "train": Train, "save": Save, "responses": Responses, "simulate": Simulate}


def in_child(work, *args):
    """Process id of a child that does the work and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*args)
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return child


def learn(operation):
    """Run the operation once and import here what it imported: children that begin with it all are quick."""
    told = operation.root / "modules"

    def work():
        operation.work(operation.whole)
        told.write_text("\n".join(name for name in sys.modules if name != "__main__"))

    undisturbed(work)
    for name in told.read_text().split("\n"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def undisturbed(work, *args):
    assert os.waitstatus_to_exitcode(os.waitpid(in_child(work, *args), 0)[1]) == 0, "the undisturbed operation failed"


def kill_often(name, root, kills, seed):
    """Kill an operation so often; dict of what happened."""
    draw, operation = random.Random(f"{name} {seed}"), OPERATIONS[name](root)
    operation.root.mkdir(parents=True)
    operation.prepare()
    learn(operation)
    begun = time.monotonic()
    shutil.rmtree(operation.whole)
    shutil.rmtree(operation.whole.parent / "home-whole", ignore_errors=True)
    undisturbed(operation.work, operation.whole)
    lasts = max(0.05, time.monotonic() - begun)
    killed = whole = ended = 0
    while killed < kills:
        child = in_child(operation.work, operation.place)
        time.sleep(draw.uniform(0.0, 2.0 if operation.forever else 1.0) * lasts)
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -9), f"{name}: the child ended with {code}"
        killed += code == -9
        ended += code == 0
        finished = operation.look(operation.place)
        whole += finished
        if code == 0:
            assert finished, f"{name}: it ended, and nothing whole is there"
        if finished and not operation.forever:  # begin anew
            shutil.rmtree(operation.place)
            shutil.rmtree(operation.place.parent / "home-killed", ignore_errors=True)
        assert ended < 20 * kills, f"{name}: it is always too quick"
    if operation.forever:
        operation.states.reverse()  # saved once more, the other state must be whole and alone
        operation.whole = operation.place
        undisturbed(operation.work, operation.place)
        assert operation.look(operation.place) and same(
            operation.load(operation.place), operation.truth(operation.states[0])
        )
    else:
        undisturbed(operation.work, operation.place)
        assert operation.look(operation.place)
        assert operation.result(operation.place) == operation.result(operation.whole), f"{name}: another result"
    return {
        "operation": name,
        "kills": killed,
        "whole": whole,
        "unfinished": killed + ended - whole,
        "seconds": round(lasts, 3),
    }


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for name in sys.argv[4:] or OPERATIONS:
        print(json.dumps(kill_often(name, folder / name, kills, seed)), flush=True)
