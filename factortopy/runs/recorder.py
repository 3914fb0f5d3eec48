"""Writes what happens in a training or another job into its folder, and looks whether it should stop."""

import math
import os
import socket
import time

import numpy as np

from factortopy.errors import Stopped
from factortopy.runs.history import history_line, read_history, write_history
from factortopy.storage.files import write_json, write_tensors
from factortopy.storage.machine import explain_os_error
from factortopy.storage.records import without_nan

STAGES = ("pictures", "weights", "features", "fit", "score")
SECONDS_BETWEEN_PROGRESS = 1.0
SECONDS_BETWEEN_PREVIEWS = 3.0


class Recorder:
    """Writes what happens in a training or another job into its folder and looks whether it should stop.

    Parameters
    ----------
    run : JobFolder
        Its lock is held by this process.
    on_progress : callable, optional
        Gets what progress.json gets, as a dict; for the command line. Returning False stops.
    """

    def __init__(self, run, on_progress=None):
        self.run = run
        self.on_progress = on_progress
        self.signal = None  # number of the signal that asked for a stop
        self.asked = False
        self.stage = STAGES[0]
        self._clock = 0.0  # monotonic second of the stage's start
        self._first = None  # step at which this process began the stage
        self._last = 0  # step that was reported last
        self._before = 0.0  # seconds of fit in earlier processes
        self._history_step = None
        self._written = self._previewed = -math.inf
        self._still = {}
        self._start = time.monotonic()

    def begin(self, stage, total=None, done=0):
        """A new stage begins; ``done`` steps of it were done before."""
        self.stage, self._clock, self._first = stage, time.monotonic(), None
        self.report(done, total, force=True)
        self._first = None  # the rate is measured from the first real step on

    def stopping(self):
        """True when a stop was asked for: by a signal, a ``cancel`` file or the caller."""
        return self.asked or self.signal is not None or self.run.stop_requested()

    def check(self):
        """Raise Stopped when a stop was asked for, RunGone when the folder is gone."""
        self.run.check_there()
        if self.stopping():
            raise Stopped

    def report(self, step, total, loss=None, val_score=None, force=False, **more):
        """Write progress.json, at most once a second; ``more``: what else it says."""
        now_ = time.monotonic()
        if self._first is None or step < self._last:  # a stage of several parts: each begins anew
            self._first, self._clock = step, now_
        self._last = step
        done = step - self._first
        remaining = (now_ - self._clock) / done * (total - step) if done > 0 and total else None
        progress = {
            "stage": self.stage,
            "step": step,
            "total": total,
            "loss": loss,
            "val_score": val_score,
            "remaining": remaining,
            **more,
            "heartbeat": time.time(),
            "monotonic": now_,
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        if force or now_ - self._written >= SECONDS_BETWEEN_PROGRESS:
            write_json(self.run.path / "progress.json", without_nan(progress))
            self._written = now_
        if self.on_progress is not None and self.on_progress(progress) is False:
            self.asked = True

    def on_job(self, progress):
        """For all work but a fit: a dict with stage, step, total and what else is known; False stops."""
        self.run.check_there()
        more = dict(progress)
        stage, step, total = more.pop("stage", self.stage), more.pop("step", 0), more.pop("total", None)
        if stage != self.stage:
            self.begin(stage, total, step)
            self._first = step  # a step of the stage itself: its pace is measured from here
        else:
            self.report(step, total, **more)
        return not self.stopping()

    def on_fit(self, progress):
        """For ``fit``: a line of history, progress, preview; False stops."""
        self.run.check_there()
        if self._history_step is None:
            self._open_history(progress.step)
        measured = progress.val_score is not None
        self.report(progress.step, progress.total, progress.loss, progress.val_score, force=measured)
        # With tens of thousands of steps a line each would be a file that no chart can show.
        if measured or progress.step - self._history_step >= max(1, progress.total // 1000):
            seconds = self._before + time.monotonic() - self._clock
            line = history_line(progress.step, seconds, progress.loss, progress.val_score)
            self._append_history(line)
            self._history_step = progress.step
        if time.monotonic() - self._previewed >= SECONDS_BETWEEN_PREVIEWS:
            selectors = progress.selectors
            if selectors is not None:  # a baseline has none
                self._preview(selectors)
        return not self.stopping()

    def places(self, subject):
        """Remember which vertices the selectors belong to, for the preview."""
        self._still = {"hemi": np.asarray(subject.hemi, np.uint8), "vertex": np.asarray(subject.vertex, np.int32)}
        self._still |= {f"roi.{name}": np.asarray(mask, np.uint8) for name, mask in (subject.rois or {}).items()}

    def seconds(self):
        """Seconds of this process, by a clock that does not jump."""
        return time.monotonic() - self._start

    def _open_history(self, step):
        """Keep the lines before ``step``: a resumed fit repeats what came after its checkpoint."""
        history = read_history(self.run.path / "history.csv")
        keep = [i for i, s in enumerate(history.step) if s < step]
        for name, values in history.columns().items():
            setattr(history, name, [values[i] for i in keep])
        self._before = history.seconds[-1] if history.seconds else 0.0
        self._history_step = history.step[-1] if history.step else -1
        write_history(self.run.path / "history.csv", history)

    def _append_history(self, line):
        try:
            with open(self.run.path / "history.csv", "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise explain_os_error(error, self.run.path / "history.csv") from None

    def _preview(self, selectors):
        maps = {name: np.asarray(getattr(selectors, name), np.float32) for name in ("space", "layer", "scale")}
        write_tensors(self.run.path / "preview.safetensors", {**maps, **self._still})
        self._previewed = time.monotonic()
