"""Fine-tuning in a folder: resumed from a checkpoint as if it had not been interrupted, stopped at any step, weights at the end."""

import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from factortopy.backbones import finetuned
from factortopy.errors import InputError, Stopped, unexpected
from factortopy.finetune.checkpoint import History, read_checkpoint, write_checkpoint
from factortopy.finetune.drawings import write_drawings
from factortopy.finetune.folder import read_folder
from factortopy.finetune.network import accuracy, head_of, mode, moments, probe, refuse, token, tokens, trainable
from factortopy.finetune.recipe import check_settings, needed
from factortopy.finetune.split import Pixels, kept_split
from factortopy.runs.folder import RunBusy
from factortopy.storage.allowed_folders import permitted
from factortopy.storage.files import read_json, read_tensors, write_json, write_tensors
from factortopy.storage.machine import explain_os_error, free_megabytes
from factortopy.storage.records import now, versions, without_nan

SECONDS_BETWEEN_CHECKPOINTS = 20.0
MEASURED = 10  # times that held-out accuracy is looked at on the way, on a part of the pictures
PART = 100  # held-out pictures of that part
DRAWN_HELD_OUT = 20  # drawings a class to hold out, at most
DRAWINGS = "drawings"  # in place of a folder
STAGES = ("pictures", "before", "training", "after")


@dataclass(frozen=True)
class Result:
    """What a fine-tuning left.

    finished : False when it was stopped; what was learnt is kept in the checkpoint
    info : what finetuned.json says ({} when stopped); weights : Path of the network's weights
    """

    path: Path
    finished: bool
    info: dict

    @property
    def weights(self):
        return self.path / finetuned.WEIGHTS


def finetune(backbone, folder, out, settings=None, on_progress=None, resume=True, say=None):
    """Train a whole network, with a linear head on one of its layers, to name the classes of labelled pictures.

    Parameters
    ----------
    backbone : str or Backbone
        A name as ``load_backbone`` takes it (``settings["weights"]`` beside it), or a network.
    folder : path
        Labelled pictures (``read_folder``); "drawings": 11 classes that FactorTopy renders into ``out`` (``write_drawings``).
    out : path
        Folder for checkpoint/, history.csv, split.json, and in the end finetuned.safetensors, finetuned.json and head/.
    settings : dict, optional
        See ``check_settings``.
    on_progress : callable, optional
        Gets a dict (stage, step, total, loss, accuracy, remaining s); returning False stops and keeps what was learnt.
    resume : bool
        Go on with an unfinished fine-tuning of the same settings that ``out`` holds; False refuses such a folder.
    say : callable, optional
        Gets one line for each thing that happens.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        Pictures, network or settings that do not do; a folder that holds something else or cannot be written.
    """
    named_one = isinstance(backbone, str) or backbone is None
    network = {"backbone": backbone} if named_one else {"backbone": backbone.name, "weights": backbone.weights}
    own = {"images": folder} | network
    asked = {key: value for key, value in {**(settings or {}), **own}.items() if value is not None}
    if asked.get("images", DRAWINGS) != DRAWINGS:
        asked["images"] = str(permitted(Path(asked["images"]).expanduser().resolve(), "pictures"))
    if asked.get("weights") not in (None, "untrained"):
        asked["weights"] = str(Path(asked["weights"]).expanduser().resolve())
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / "finetune.lock")
        lock.acquire(timeout=0.5)
    except Timeout:
        raise RunBusy(f"{out}: another process fine-tunes in this folder; wait until it ends, or stop it") from None
    except OSError as error:
        raise explain_os_error(error, out) from None
    try:
        settings, done = _opened(out, asked, resume)
        if done is not None:
            return done
        return _Tuning(out, settings, None if named_one else backbone, on_progress, say or (lambda line: None)).run()
    finally:
        lock.release()


def _opened(out, asked, resume):
    """(complete settings, the ``Result`` that is there already or None); settings.json is written, or must agree."""
    path = out / "settings.json"
    if not path.is_file():
        settings = needed(asked)
        settings["name"] = settings["name"] or Path(settings["images"]).name
        write_json(path, settings)
        return settings, None
    before = needed(read_json(path, "fine-tuning"))
    for key, value in check_settings(asked).items():
        if key in asked and value != before[key]:
            differs = f"{key} of this fine-tuning is {before[key]!r}, asked for was {value!r}"
            raise InputError(f"{out}: {differs}; go on without it or choose another folder")
    info = finetuned.described(out / finetuned.WEIGHTS)
    if info is not None:  # written when all was learnt; a kill may have come before the end
        return before, _finished(out, info)
    if not resume:
        raise InputError(f"{out}: holds an unfinished fine-tuning; go on with --resume or choose another folder")
    return before, None


def _finished(out, info):
    """The end, after the weights: what only an unfinished one needs goes, then finetuned.json, which says "finished", is written."""
    shutil.rmtree(out / "checkpoint", ignore_errors=True)
    (out / "moments.safetensors").unlink(missing_ok=True)
    if not (out / finetuned.DESCRIPTION).is_file():
        write_json(out / finetuned.DESCRIPTION, info)
    return Result(out, True, read_json(out / finetuned.DESCRIPTION, "fine-tuning"))


class _Tuning:
    """One fine-tuning from wherever it is to the end; its folder is locked."""

    def __init__(self, out, settings, backbone, on_progress, say):
        self.out, self.settings, self.backbone, self.on_progress, self.say = out, settings, backbone, on_progress, say
        self.start, self.stage, self.before = time.monotonic(), STAGES[0], 0.0
        self.history = History(out / "history.csv")
        self._clock, self._first = self.start, 0

    def run(self):
        from factortopy.features.reader import on_device

        try:
            self._prepare()
            with on_device(self.backbone, None):
                return self._run()
        except Stopped:
            self.say(f"stopped; what was learnt is kept in {self.out}")
            return Result(self.out, False, {})
        except OSError as error:
            raise explain_os_error(error, self.out) from None
        finally:
            if self.backbone is not None:
                mode(trainable(self.backbone), False)

    # ---- stages

    def _prepare(self):
        """Network, pictures and split."""
        from factortopy.backbones.loading import load_backbone

        s = self.settings
        if self.backbone is None:
            refuse(s["backbone"])  # before its weights are fetched
            self.backbone = load_backbone(s["backbone"], weights=s["weights"])
            for notice in self.backbone.notices:
                self.say(f"{self.backbone.name}: {notice}")
        self.module = trainable(self.backbone)
        self._begin("pictures")
        self.folder = read_folder(self._drawn() if s["images"] == DRAWINGS else s["images"])
        layers = len(self.backbone.layer_names)
        self.layer = (s["layer"] or layers) - 1
        if self.layer >= layers:
            expected = f"1 to {layers}, the layers of {self.backbone.name}"
            raise unexpected("layer", expected, s["layer"], "choose one of them")
        weights = sum(t.numel() for t in self.module.state_dict().values())
        # Weights and the optimiser's two moments, the old file beside the new.
        needed_mb = 10 + 2 * 3 * 4 * weights // 1_000_000
        if free_megabytes(self.out) < needed_mb:
            sizes = f"{needed_mb:,} MB there, {free_megabytes(self.out):,} MB are free"
            raise InputError(f"{self.out}: fine-tuning needs about {sizes}; free space")
        self.pixels = Pixels(self.backbone.input_size)
        self._begin("pictures")
        self.split = kept_split(self.out / "split.json", self.folder, self.pixels, s, self._report)
        if self.split is None:
            raise Stopped
        self.train, self.train_labels = self._part("train")
        self.test, self.test_labels = self._part("test")
        for line in self.split["problems"][:20]:
            self.say(line)
        classes = self.split["classes"]
        pictures = f"{len(self.train)} pictures to train on, {len(self.test)} held out"
        self.say(f"{s['name']}: {len(classes)} classes, {pictures}; {self.backbone.name}")

    def _drawn(self):
        """The folder of drawings, rendered where it is not there yet."""
        n = self.settings["per_class"] + min(self.settings["test_per_class"], DRAWN_HELD_OUT)
        size = min(self.backbone.input_size, 224)
        return self._unless_stopped(write_drawings(self.out / DRAWINGS, n, size, self._report))

    def _part(self, name):
        pairs = self.split[name]
        return [self.folder.path / path for path, _ in pairs], np.array([k for _, k in pairs])

    def _run(self):
        import torch

        s, classes = self.settings, self.split["classes"]
        go_on = (self.out / "checkpoint" / "state.json").is_file()
        first = self._before() if not go_on else read_json(self.out / "before.json", "fine-tuning")
        moments_of = read_tensors(self.out / "moments.safetensors", "fine-tuning")
        head = head_of(moments_of["mean"], moments_of["spread"], len(classes)).to(self.backbone.device)
        optimizer = torch.optim.AdamW(self._parameters(head), lr=s["lr"], weight_decay=s["weight_decay"])
        step = 0
        if go_on:
            step, self.before = read_checkpoint(self.out / "checkpoint", self.module, head, optimizer)
            self.say(f"going on from step {step:,}")
        self._train(head, optimizer, step)
        self._begin("after", len(self.test))
        mode(self.module, False)
        after = self._held_out(head)
        return self._finish(first, after, head)

    def _before(self):
        """Accuracy of a linear classifier on the frozen network, and the head's standardisation; kept beside the split."""
        self._begin("before", len(self.train) + len(self.test))
        mode(self.module, False)
        n, shown = len(self.train), lambda done, total: self._report(done, len(self.train) + len(self.test))
        seen = self._unless_stopped(tokens(self.backbone, self.pixels, self.train, self.layer, on_progress=shown))
        more = lambda done, total: self._report(n + done, n + total)  # noqa: E731
        fresh = self._unless_stopped(tokens(self.backbone, self.pixels, self.test, self.layer, on_progress=more))
        if not np.isfinite(seen).all():
            expected = "finite tokens"
            raise unexpected(f"network {self.backbone.name}", expected, "infinity or NaN", "the weights may be damaged")
        mean, spread = moments(seen)
        write_tensors(self.out / "moments.safetensors", {"mean": mean, "spread": spread})
        named = probe(seen, self.train_labels, fresh, self.settings["seed"])
        frozen = accuracy(self.test_labels, named, self.split["classes"])
        write_json(self.out / "before.json", frozen)
        right = f"{frozen['all']:.1%} of the held-out pictures right"
        self.say(f"before, a linear classifier on the frozen network: {right}")
        return frozen

    def _train(self, head, optimizer, step):
        import torch

        s = self.settings
        self._begin("training", s["steps"], step)
        mode(self.module, True)
        self.history.keep_before(step)
        every, losses, right, saved = max(1, s["steps"] // 1000), [], [], time.monotonic()
        part = np.linspace(0, len(self.test) - 1, min(PART, len(self.test))).round().astype(int)
        measure = max(1, s["steps"] // MEASURED)
        while step < s["steps"]:
            rows = self._rows(step)
            with torch.random.fork_rng():
                torch.manual_seed(1_000_003 * s["seed"] + step)  # of a network with dropout
                given = head(token(self.backbone, self.pixels.batch([self.train[i] for i in rows]), self.layer).float())
            wanted = torch.as_tensor(self.train_labels[rows], device=given.device)
            loss = torch.nn.functional.cross_entropy(given, wanted)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            losses.append(float(loss.detach()))
            right.append(float((given.detach().argmax(1) == wanted).float().mean()))
            if not math.isfinite(losses[-1]):
                remedy = f"begin again with a smaller learning rate (lr {s['lr']:g})"
                raise InputError(f"{self.out}: the loss is no number at step {step}; {remedy}")
            held = None
            if step % measure == 0 and step < s["steps"]:
                mode(self.module, False)
                held = self._held_out(head, part)["all"]
                mode(self.module, True)
            if step % every == 0 or held is not None or step == s["steps"]:
                self.history.add(step, self._seconds(), np.mean(losses), np.mean(right), held)
                losses, right = [], []
            go_on = self._report(step, s["steps"], self.history.last("loss"), self.history.last("held_out"))
            if not go_on or (time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS and step < s["steps"]):
                write_checkpoint(self.out / "checkpoint", self.module, head, optimizer, step, self._seconds())
                saved = time.monotonic()
            if not go_on:
                raise Stopped

    def _finish(self, before, after, head):
        """Write weights, head and description; what only an unfinished one needs goes."""
        from factortopy.backbones.base import UNTRAINED

        s, base = self.settings, self.settings["backbone"]
        bare, inherited = base.removesuffix(UNTRAINED), getattr(self.backbone, "finetuned", None) or {}
        info = {
            "kind": "finetuned", "base": inherited.get("base") or bare, "began_with": s["weights"] or base,
            "began_as": finetuned.label({"backbone": bare + ("" if self.backbone.trained else UNTRAINED), "finetuned": inherited}),
            "data": s["name"], "classes": self.split["classes"], "simulated": bool(self.folder.simulated), "layer": self.layer + 1,
            "layer_name": list(self.backbone.layer_names)[self.layer], "layers": len(self.backbone.layer_names),
            "train_pictures": len(self.train), "held_out_pictures": len(self.test), "unreadable": self.split["unreadable"],
            "recipe": {key: s[key] for key in ("steps", "per_class", "lr", "weight_decay", "batch", "seed")} | {"optimiser": "AdamW"},
            "chance": float(np.bincount(self.test_labels).max() / len(self.test_labels)),
            "accuracy": {"before": before, "after": after}, "seconds": self._seconds(), "created": now(), "versions": versions(),
            "earlier": inherited.get("earlier", []) + ([inherited.get("data")] if inherited else []),
        }  # fmt: skip
        info = without_nan(info)
        weights = {key: t.detach().cpu().numpy() for key, t in self.module.state_dict().items()}
        (self.out / "head").mkdir(exist_ok=True)
        head_weights = {key: t.detach().cpu().numpy() for key, t in head.state_dict().items()}
        write_tensors(self.out / "head" / "head.safetensors", head_weights)
        write_tensors(self.out / finetuned.WEIGHTS, weights, {finetuned.KEY: json.dumps(info)})
        result = _finished(self.out, info)
        right = f"{after['all']:.1%} of {len(self.test)} held-out pictures right, before {before['all']:.1%}"
        self.say(f"finished: {right}; {self.out / finetuned.WEIGHTS}")
        return result

    # ---- parts

    def _parameters(self, head):
        """Every weight that the head's layer depends on, and the head's own; later layers have no gradient and stay."""
        return [*self.module.parameters(), *head.parameters()]

    def _rows(self, step):
        """(B,) training pictures of a step: one shuffled pass after another."""
        n, size = len(self.train), self.settings["batch"]
        places = np.arange(step * size, (step + 1) * size)
        seed = self.settings["seed"]
        rounds = {r: np.random.default_rng([seed, 21, int(r)]).permutation(n) for r in np.unique(places // n)}
        return np.array([rounds[p // n][p % n] for p in places])

    def _held_out(self, head, rows=None):
        """Accuracy of network and head on held-out pictures."""
        import torch

        rows = np.arange(len(self.test)) if rows is None else rows
        shown = (lambda done, total: self._report(done, total)) if self.stage == "after" else None
        paths = [self.test[i] for i in rows]
        held_out = self._unless_stopped(tokens(self.backbone, self.pixels, paths, self.layer, on_progress=shown))
        with torch.no_grad():
            given = head(torch.as_tensor(held_out, device=self.backbone.device)).argmax(1).cpu().numpy()
        return accuracy(self.test_labels[rows], given, self.split["classes"])

    def _unless_stopped(self, value):
        if value is None:
            raise Stopped
        return value

    def _seconds(self):
        return self.before + time.monotonic() - self.start

    def _begin(self, stage, total=None, done=0):
        self.stage, self._clock, self._first = stage, time.monotonic(), done
        if self._report(done, total) is False:
            raise Stopped

    def _report(self, step, total, loss=None, accuracy=None):
        """True to go on."""
        done = step - self._first
        remaining = (time.monotonic() - self._clock) / done * (total - step) if done > 0 and total else None
        report = {"stage": self.stage, "step": int(step), "total": total, "loss": loss, "accuracy": accuracy}
        return self.on_progress is None or self.on_progress(report | {"remaining": remaining}) is not False
