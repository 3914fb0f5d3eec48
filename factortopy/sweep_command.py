"""The verb ``sweep``: start, watch, stop and go on with many trainings at once."""

import sys
import time

from factortopy import sweeps
from factortopy.errors import InputError
from factortopy.jobs import queue
from factortopy.jobs.job import extracted as keys_on_disk
from factortopy.runs import costs
from factortopy.runs.folder import ACTIVE
from factortopy.sweeps import slurm
from factortopy.sweeps.axes import settings, whole
from factortopy.sweeps.table import table_lines

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LOOKS_AT_SLURM = 5.0
LINES = 40  # of a table that renews itself


def sweep_verb(options):
    """What the verb does; the exit code."""
    asked = None if options.slurm is None else slurm.options(options.slurm)
    known = options.folder is not None
    making = [f"--{name}" for name in ("subjects", "backbones", "seeds", "set", "out") if getattr(options, name)]
    if known and making:
        raise InputError(f"sweep: {making[0]} makes a new sweep; leave out {options.folder}, or give --out instead")
    if known and not (options.resume or options.cancel or options.status):
        raise InputError(f"sweep {options.folder}: expected --status, --resume or --cancel; see sweep --help")
    if not known:
        if options.resume or options.cancel or options.status:
            raise InputError("sweep: --status, --resume and --cancel need the sweep's folder; see sweep --help")
        return _new(options, asked)
    sweep = sweeps.read(options.folder)
    if options.status:
        table = sweeps.rows(sweep)
        print("\n".join(table_lines(sweep, table)))
        return _end(options, table)
    if options.cancel:
        names = sweeps.cancel(sweep)
        print(f"{sweep.path}: {_runs(len(names))} stopped or told to stop; go on with sweep {options.folder} --resume")
        return _end(options, sweeps.rows(sweep))
    names = sweeps.resume(sweep, engine=None if asked is None else "slurm", options=asked)
    print(f"{sweep.path}: {_runs(len(names))} started again")
    return _watch(sweep, options)


def _new(options, asked):
    axes = {"subject": options.subjects or [], "backbone": options.backbones or []}
    axes["seed"] = [whole("--seeds", word) for word in options.seeds or ["0"]]
    for name, values in settings(options.set).items():
        if name in axes:
            raise InputError(f"--set {name}: give it with --{name}s")
        axes[name] = values
    planned = sweeps.settings_of(axes)
    sweeps.look_up(planned)
    if options.plan:
        for chosen in planned:
            print("  ".join(f"{name}={chosen[name]}" for name in axes))
        found = costs.estimate(planned, keys_on_disk())
        extracted = f", features extracted for {found['extractions']}" if found["extractions"] < len(planned) else ""
        print(f"{_runs(len(planned))}{extracted}. {costs.told(found)}")
        return 0
    sweep = sweeps.make(axes, options.out, engine="local" if asked is None else "slurm", options=asked)
    try:
        sweeps.start(sweep)
    except InputError:
        if not any(trial["job"] for trial in sweep.runs) and sweep.info["engine"] == "slurm":
            sweeps.withdraw(sweep)  # the corrected command finds nothing in its way
        raise
    print(f"{sweep.path}: {_runs(len(planned))}", flush=True)
    return _watch(sweep, options)


def _runs(count):
    return f"{count} run" if count == 1 else f"{count} runs"


# ---- the table


def _watch(sweep, options):
    """Show the table until nothing waits or runs; the exit code."""
    if options.no_wait:
        print(f"see: sweep {sweep.path} --status")
        return _end(options, sweeps.rows(sweep))
    screen = Screen()
    pause = SECONDS_BETWEEN_LOOKS_AT_SLURM if sweep.info["engine"] == "slurm" else SECONDS_BETWEEN_LOOKS
    try:
        while True:
            table = sweeps.rows(sweep)
            screen.show(sweep, table)
            if not any(_goes_on(sweep, row["status"]) for row in table):
                break
            time.sleep(pause)
    except KeyboardInterrupt:
        print(
            f"\nthe runs go on without this window; see them with: sweep {sweep.path} --status, stop them with: "
            f"sweep {sweep.path} --cancel",
            flush=True,
        )
        return 130
    screen.last(sweep, table)
    return _end(options, table)


def _goes_on(sweep, status):
    """Something will still happen; the queue's worker starts a run that was killed again by itself."""
    return status in ACTIVE or (status == "interrupted" and sweep.info["engine"] == "local" and queue.worker_alive())


def _end(options, table):
    if options.csv:
        sweeps.write_csv(options.csv, table)
    failed = [row for row in table if row["status"] == "failed"]
    if failed and not options.cancel:
        print(f"{_runs(len(failed))} failed; the first: {failed[0]['run']}: {failed[0]['reason']}", file=sys.stderr)
        return 1
    return 0


class Screen:
    """The table that renews itself on a terminal; elsewhere a line whenever a run changes."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self._height, self._before = 0, {}

    def show(self, sweep, table):
        """Draw it anew."""
        if not self.live:
            self._changes(table)
            return
        lines = table_lines(sweep, table)
        if len(lines) > LINES:  # what moves is what one looks for
            lines = table_lines(
                sweep, [row for row in table if row["status"] in ("running", "stopping", "failed")], table
            )
        self.out.write(
            f"\x1b[{self._height}F" * bool(self._height) + "\x1b[J" + "\n".join(line[:160] for line in lines) + "\n"
        )
        self.out.flush()
        self._height = len(lines)

    def last(self, sweep, table):
        """The whole table, once, where it did not stand on a terminal already."""
        if not self.live or self._height < len(table) + 2:
            print("\n".join(table_lines(sweep, table)), file=self.out, flush=True)

    def _changes(self, table):
        for row in table:
            if self._before.get(row["run"]) != row["status"]:
                score = (
                    f", mean R² {row['mean_r2']:.3f}"
                    if row["status"] == "finished" and row["mean_r2"] is not None
                    else ""
                )
                print(f"{row['run']}: {row['status']}{score}", file=self.out, flush=True)
                self._before[row["run"]] = row["status"]
