"""How far a sweep is: one row a run, for a page, a terminal or a file."""

import contextlib
import csv
import io

from factortopy.errors import InputError
from factortopy.storage.files import write_atomic
from factortopy.sweeps import slurm
from factortopy.sweeps.folder import NAMED, run_of
from factortopy.wording import duration


def table_lines(sweep, table, whole_table=None):
    """The table as aligned lines, the last of them a summary of ``whole_table`` (default: the table)."""
    names = ["run", "status", "subject", "backbone", "seed", *sweep.varied, "at", "left", "mean R²", "seconds"]
    shown = [dict.fromkeys(names) | row | _cells(row) for row in table]
    cells = [names, *([_cell(row[name]) for name in names] for row in shown)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [*lines, summary(whole_table or table)]


def summary(table, words=None):
    """1 of 4 finished · 1 running · 2 queued · about 3 min left · simulated; ``words``: {status: how it is called}."""
    count_of = {(words or {}).get(status, status): count for status, count in counts(table).items()}
    parts = [
        f"{count_of.pop('finished', 0)} of {len(table)} finished",
        *(f"{count} {status}" for status, count in count_of.items()),
    ]
    left = remaining(table)
    parts += [f"about {duration(left)} left"] if left else []
    parts += ["simulated"] if any(row["simulated"] for row in table) else []
    return " · ".join(parts)


def _cells(row):
    at = row["stage"]
    if at and row["total"]:
        at = f"{at} {row['step']}/{row['total']}"
    return {
        "subject": str(row["subject"]).rstrip("/").split("/")[-1],
        "at": at,
        "left": None if row["remaining"] is None else duration(row["remaining"]),
        "mean R²": None if row["mean_r2"] is None else f"{row['mean_r2']:.3f}",
        "seconds": None if row["seconds"] is None else f"{row['seconds']:.0f}",
    }


def _cell(value):
    return "" if value is None else str(value)


COLUMNS = ("run", "status", *NAMED)
RESULTS = (
    "stage", "step", "total", "remaining", "mean_r2", "noise_ceiling", "vertices", "seconds", "simulated", "reason",
)  # fmt: skip
STATUSES = (
    "planned", "queued", "running", "stopping", "stopped", "interrupted", "finished", "failed", "unreadable", "deleted",
)  # fmt: skip


def states(sweep):
    """{run name: (status, reason)}; one of ``STATUSES`` each."""
    runs = [run_of(trial) if trial["path"] else None for trial in sweep.runs]
    unsettled = any(
        t["job"] and run is not None and run.status not in ("finished", "failed")
        for t, run in zip(sweep.runs, runs, strict=True)
    )
    asked = slurm.jobs() if unsettled else None
    return {t["name"]: _state(run, t["job"], asked) for t, run in zip(sweep.runs, runs, strict=True)}


def _state(run, job, asked):
    if run is None:
        return "planned", None
    with contextlib.suppress(InputError):
        if run.info.get("engine") == "slurm":
            return slurm.state(run, job, asked)
    return run.state()


def rows(sweep):
    """The table: one dict a run with ``COLUMNS``, the settings that are varied, and ``RESULTS``; None where unknown.

    step and total of the present stage, remaining and seconds in seconds, mean_r2 and noise_ceiling over all vertices on test
    trials.
    """
    table = []
    for trial, (status, reason) in zip(sweep.runs, states(sweep).values(), strict=True):
        settings = trial["settings"]
        row = {"run": trial["name"], "status": status, **{name: settings[name] for name in NAMED}}
        row |= {name: _word(settings[name]) for name in sweep.varied} | dict.fromkeys(RESULTS)
        row["reason"] = reason
        run = run_of(trial)
        if status in ("running", "stopping"):
            progress = run.progress() or {}
            row |= {name: progress.get(name) for name in ("stage", "step", "total", "remaining")}
        if status not in ("planned", "unreadable", "deleted"):
            with contextlib.suppress(InputError):
                info = run.info
                whole = next((r for r in info.get("scores") or [] if r["roi"] == "all"), {})
                row |= {
                    "mean_r2": whole.get("score"),
                    "noise_ceiling": whole.get("ceiling"),
                    "vertices": info.get("vertices"),
                }
                row |= {"seconds": info.get("seconds"), "simulated": info.get("simulated")}
        table.append(row)
    return table


def _word(value):
    return "+".join(str(part) for part in value) if isinstance(value, (list, tuple)) else value


def counts(table):
    """{status: how many}, in the order of ``STATUSES``, of the table's rows."""
    statuses = [row["status"] for row in table]
    return {status: statuses.count(status) for status in STATUSES if status in statuses}


def remaining(table):
    """Seconds until all is done, guessed from the finished runs and those under way; None where nothing is known yet."""
    took = [row["seconds"] for row in table if row["status"] == "finished" and row["seconds"]]
    running = [row for row in table if row["status"] in ("running", "stopping")]
    waiting = [row for row in table if row["status"] in ("planned", "queued")]
    if not running and not waiting:
        return 0.0
    if not took:
        return None
    mean = sum(took) / len(took)
    left = [row["remaining"] if row["stage"] == "fit" and row["remaining"] is not None else mean / 2 for row in running]
    return (sum(left) + mean * len(waiting)) / max(1, len(running))


def as_csv(table):
    """The table as tidy CSV: one line a run, one column a setting or figure."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def write_csv(path, table):
    """Write ``as_csv``, atomically."""
    write_atomic(path, as_csv(table))
