"""Where a fine-tuning stands: weights, head and optimiser as safetensors, the step as JSON; and its history as CSV."""

import csv
from pathlib import Path

from factortopy.errors import unexpected
from factortopy.storage.files import read_json, read_tensors, write_atomic, write_json, write_tensors
from factortopy.storage.machine import explain_os_error
from factortopy.wording import first_words

COLUMNS = ("step", "seconds", "loss", "accuracy", "held_out")
MOMENTS = ("exp_avg", "exp_avg_sq")


class History:
    """history.csv: step, seconds, loss and accuracy on the training pictures (means since the last line), accuracy on part of the
    held-out ones where it was taken."""

    def __init__(self, path):
        self.path = Path(path)
        self.rows = []

    def read(self):
        """Lists by column; None where a value was not measured, torn lines left out."""
        rows = []
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")[1:-1]  # what follows the last line break was cut
        except OSError:
            lines = []
        for line in csv.reader(lines):
            try:
                step, *values = line
                row = [int(step), *(float(v) if v else None for v in values)]
            except ValueError:
                continue
            if len(row) == len(COLUMNS):
                rows.append(row)
        self.rows = rows
        return {name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}

    def keep_before(self, step):
        """Forget what came after the checkpoint that is gone on from."""
        self.read()
        self.rows = [row for row in self.rows if row[0] <= step]
        write_atomic(self.path, "".join(map(_line, [COLUMNS, *map(_cells, self.rows)])))

    def add(self, step, seconds, loss, accuracy, held_out=None):
        """Append a line."""
        row = [step, seconds, float(loss), float(accuracy), held_out]
        self.rows.append(row)
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(_line(_cells(row)))
        except OSError as error:
            raise explain_os_error(error, self.path) from None

    def last(self, column):
        """The newest value of a column, or None."""
        k = COLUMNS.index(column)
        return next((row[k] for row in reversed(self.rows) if row[k] is not None), None)


def _cells(row):
    step, seconds, *values = row
    return [step, f"{seconds:.1f}", *("" if v is None else f"{v:.6g}" for v in values)]


def _line(cells):
    return ",".join(map(str, cells)) + "\n"


def write_checkpoint(folder, module, head, optimizer, step, seconds):
    """Write where it stands; the step in state.json names the file of tensors, so that a kill leaves the old or the new one."""
    folder.mkdir(exist_ok=True)
    parts = {"network": module, "head": head}
    tensors = {f"{part}.{k}": t for part, own in parts.items() for k, t in own.state_dict().items()}
    for k, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimiser.{k}.{name}": state[name] for name in (*MOMENTS, "step")}
    name = f"step-{step}.safetensors"
    write_tensors(folder / name, {key: t.detach().cpu().numpy() for key, t in tensors.items()})
    write_json(folder / "state.json", {"step": step, "seconds": seconds, "tensors": name})
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def read_checkpoint(folder, module, head, optimizer):
    """Put network, head and optimiser where they were; (step, seconds so far).

    Raises
    ------
    InputError
        A checkpoint that is damaged or of another network.
    """
    import torch

    state = read_json(folder / "state.json", "fine-tuning")
    try:
        name, step, seconds = str(state["tensors"]), int(state["step"]), float(state["seconds"])
        tensors = {k: torch.as_tensor(t) for k, t in read_tensors(folder / Path(name).name, "fine-tuning").items()}
        parts = {part: {} for part in ("network", "head", "optimiser")}
        for key, tensor in tensors.items():
            part, rest = key.split(".", 1)
            parts[part][rest] = tensor
        module.load_state_dict(parts["network"])
        head.load_state_dict(parts["head"])
        moments = {}
        for key, tensor in parts["optimiser"].items():
            number, what = key.split(".")
            moments.setdefault(int(number), {})[what] = tensor
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        expected = "the checkpoint of this fine-tuning"
        actual = f"one that does not fit ({first_words(error, 150)})"
        raise unexpected(folder, expected, actual, "begin again in another folder") from None
    return step, seconds
