"""history.csv: what a training measured, step by step."""

from dataclasses import dataclass, field
from pathlib import Path

from factortopy.storage.files import write_atomic

HISTORY_COLUMNS = ("step", "seconds", "loss", "val_score")


@dataclass
class History:
    """What history.csv holds; lists of equal length, None where a value was not measured."""

    step: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    loss: list = field(default_factory=list)
    val_score: list = field(default_factory=list)
    damaged: int = 0  # lines that could not be read and were left out

    def columns(self):
        """{column: list}, ready for a table or a chart."""
        return {name: getattr(self, name) for name in HISTORY_COLUMNS}


def read_history(path):
    """History of a history.csv; a line counts only when it is whole, its line break included."""
    history = History()
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return history
    lines = text.split("\n")
    # What follows the last line break was cut while it was written: "0.05" may have been "0.0512".
    history.damaged += bool(lines.pop())
    for number, line in enumerate(lines):
        row = line.split(",")
        if number == 0 and row == list(HISTORY_COLUMNS):
            continue
        try:
            step, seconds, loss, val_score = row
            values = int(step), float(seconds), _number(loss), _number(val_score)
        except ValueError:
            history.damaged += 1
            continue
        for name, value in zip(HISTORY_COLUMNS, values, strict=True):
            getattr(history, name).append(value)
    return history


def write_history(path, history):
    """Write a History as a whole, atomically."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [history_line(*row) for row in zip(*history.columns().values(), strict=True)]
    write_atomic(path, "\n".join(lines) + "\n")


def history_line(step, seconds, loss, val_score):
    """One line of history.csv, without its line break."""
    return f"{step},{seconds:.2f},{_text(loss)},{_text(val_score)}"


def _number(text):
    return float(text) if text else None


def _text(value):
    return "" if value is None else f"{value:.6g}"
