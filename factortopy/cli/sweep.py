"""The verb ``sweep``: start, watch, stop and go on with many trainings at once."""

import argparse
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


def add(verbs):
    """Add the verb to the command line's parser."""
    verb = verbs.add_parser(
        "sweep",
        help="train many encoders: subjects × networks × seeds × settings, here or on a SLURM cluster",
        description="Train every combination of subjects, networks, seeds and settings; each is an ordinary run. Without "
        "--slurm they go through this machine's queue, one a GPU. The table renews itself until all is done; Ctrl-C leaves "
        "the runs working. Exit 1: some runs failed.",
    )
    verb.add_argument(
        "folder", nargs="?", metavar="DIR", help="a sweep that was begun: --status, --resume or --cancel it"
    )
    verb.add_argument(
        "--subjects", type=_words, metavar="S,S", help="demo-1,demo-2,demo-3 (simulated) or data sets' folders"
    )
    verb.add_argument("--backbones", type=_words, metavar="B,B", help="networks: demo-vit,demo-mae,clip-l,…")
    verb.add_argument("--seeds", type=_words, metavar="K,K", help="seeds of everything random (default 0)")
    verb.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=V,V",
        help="settings of train: steps, pictures, recipe, model, topology, …; several values are one more axis. "
        "Lists are written with +: select=space+layer,layer",
    )  # fmt: skip
    verb.add_argument("--out", metavar="DIR", help="the sweep's folder (default: a new one under the home folder)")
    verb.add_argument(
        "--slurm", nargs="?", const="", metavar="NAME=V,…",
        help="on a SLURM cluster: partition=gpu,time=4:00:00,gpus=1,mem=32G,cpus=4,array=8; other names are sbatch's own",
    )  # fmt: skip
    what = verb.add_mutually_exclusive_group()
    what.add_argument(
        "--resume", action="store_true", help="go on with what died, failed, was stopped or never started"
    )
    what.add_argument("--cancel", action="store_true", help="stop what waits or runs; what was learnt is kept")
    what.add_argument("--status", action="store_true", help="print the table once")
    what.add_argument("--plan", action="store_true", help="print what would be trained and stop")
    verb.add_argument("--no-wait", action="store_true", help="start the runs and return")
    verb.add_argument("--csv", metavar="FILE", help="write the table to FILE as well, one line a run")
    verb.set_defaults(function=sweep)


def _words(text):
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f"expected names with commas between, found {text!r}")
    return words


def sweep(args):
    """Start, watch, stop or go on with a sweep; the exit code."""
    asked = None if args.slurm is None else slurm.options(args.slurm)
    exists = args.folder is not None
    making = [f"--{name}" for name in ("subjects", "backbones", "seeds", "set", "out") if getattr(args, name)]
    if exists and making:
        raise InputError(f"sweep: {making[0]} makes a new sweep; leave out {args.folder}, or give --out instead")
    if exists and not (args.resume or args.cancel or args.status):
        raise InputError(f"sweep {args.folder}: expected --status, --resume or --cancel; see sweep --help")
    if not exists:
        if args.resume or args.cancel or args.status:
            raise InputError("sweep: --status, --resume and --cancel need the sweep's folder; see sweep --help")
        return _new(args, asked)
    sweep = sweeps.read(args.folder)
    if args.status:
        table = sweeps.rows(sweep)
        print("\n".join(table_lines(sweep, table)))
        return _end(args, table)
    if args.cancel:
        names = sweeps.cancel(sweep)
        print(f"{sweep.path}: {_runs(len(names))} stopped or told to stop; go on with sweep {args.folder} --resume")
        return _end(args, sweeps.rows(sweep))
    names = sweeps.resume(sweep, engine=None if asked is None else "slurm", options=asked)
    print(f"{sweep.path}: {_runs(len(names))} started again")
    return _watch(sweep, args)


def _new(args, asked):
    axes = {"subject": args.subjects or [], "backbone": args.backbones or []}
    axes["seed"] = [whole("--seeds", word) for word in args.seeds or ["0"]]
    for name, values in settings(args.set).items():
        if name in axes:
            raise InputError(f"--set {name}: give it with --{name}s")
        axes[name] = values
    planned = sweeps.settings_of(axes)
    sweeps.look_up(planned)
    if args.plan:
        for chosen in planned:
            print("  ".join(f"{name}={chosen[name]}" for name in axes))
        estimate = costs.estimate(planned, keys_on_disk())
        extracted = (
            f", features extracted for {estimate['extractions']}" if estimate["extractions"] < len(planned) else ""
        )
        print(f"{_runs(len(planned))}{extracted}. {costs.sentence(estimate)}")
        return 0
    sweep = sweeps.make(axes, args.out, engine="local" if asked is None else "slurm", options=asked)
    try:
        sweeps.start(sweep)
    except InputError:
        if not any(trial["job"] for trial in sweep.runs) and sweep.info["engine"] == "slurm":
            sweeps.withdraw(sweep)  # the corrected command finds nothing in its way
        raise
    print(f"{sweep.path}: {_runs(len(planned))}", flush=True)
    return _watch(sweep, args)


def _runs(count):
    return f"{count} run" if count == 1 else f"{count} runs"


# ---- the table


def _watch(sweep, args):
    """Show the table until nothing waits or runs; the exit code."""
    if args.no_wait:
        print(f"see: sweep {sweep.path} --status")
        return _end(args, sweeps.rows(sweep))
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
    return _end(args, table)


def _goes_on(sweep, status):
    """Something will still happen; the queue's worker starts a run that was killed again by itself."""
    return status in ACTIVE or (status == "interrupted" and sweep.info["engine"] == "local" and queue.worker_alive())


def _end(args, table):
    if args.csv:
        sweeps.write_csv(args.csv, table)
    failed = [row for row in table if row["status"] == "failed"]
    if failed and not args.cancel:
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
