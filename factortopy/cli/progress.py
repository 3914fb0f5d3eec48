"""How far a verb has come: one line that renews itself on a terminal, a plain line now and then elsewhere."""

import sys
import time

from factortopy.wording import duration, score_text

SECONDS_BETWEEN_LINES = 10.0
STAGE_WORDS = {
    "pictures": "pictures and network",
    "weights": "weights",
    "features": "features",
    "fit": "fit",
    "score": "score",
}


class Ticker:
    """Progress for people: one line that renews itself on a terminal, a plain line now and then elsewhere."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self._shown_at, self._stage, self._width = 0.0, None, 0

    def __call__(self, progress):
        """Show a progress (the dict of progress.json)."""
        now = time.monotonic()
        new_stage = progress["stage"] != self._stage
        last = bool(progress.get("total")) and progress.get("step") == progress["total"]
        if not (new_stage or last) and now - self._shown_at < (0.2 if self.live else SECONDS_BETWEEN_LINES):
            return
        self._shown_at, self._stage = now, progress["stage"]
        if self.live and new_stage:
            self.finish()
        self._write(progress_line(progress))

    def say(self, line):
        """Show a line that stays."""
        self.finish()
        print(line, file=self.out, flush=True)

    def finish(self):
        """End the line that renews itself."""
        if self._width:
            print(file=self.out, flush=True)
            self._width = 0

    def _write(self, line):
        if self.live:
            self.out.write("\r" + line.ljust(self._width))
            self.out.flush()
            self._width = len(line)
        else:
            print(line, file=self.out, flush=True)


def progress_line(progress):
    """One line of a progress: stage, step, loss, score, remaining time."""
    parts = [STAGE_WORDS.get(progress["stage"], progress["stage"])]
    if progress.get("total"):
        unit, word = (1_000_000, " MB") if progress["stage"] == "weights" else (1, "")
        parts.append(f"{progress['step'] // unit} of {progress['total'] // unit}{word}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.4f}")
    if progress.get("val_score") is not None:
        parts.append(f"validation R² {score_text(progress['val_score'])}")
    if progress.get("remaining") is not None:
        parts.append(f"{duration(progress['remaining'])} left")
    return " · ".join(parts)


def stages(ticker):
    """A callback (dict with stage, step, total) that shows each stage as ``counter`` does; of other words what is in them."""
    counters = {}

    def on_progress(progress):
        stage = progress["stage"]
        if stage not in ("weights", "features"):
            return ticker(progress)
        if stage not in counters:
            counters[stage] = counter(ticker, stage)
        return counters[stage](progress["step"], progress["total"])

    return on_progress


def counter(ticker, stage):
    """A callback (done, total) that shows a stage and, from its pace since the first call, the seconds left."""
    first, start, last = None, 0.0, 0

    def on_progress(done, total):
        nonlocal first, start, last
        if (
            first is None or done < last
        ):  # what was done before took no time of this stage; the next network begins anew
            first, start = done, time.monotonic()
        last = done
        left = (time.monotonic() - start) / (done - first) * (total - done) if done > first else None
        ticker({"stage": stage, "step": int(done), "total": total, "remaining": left})

    return on_progress
