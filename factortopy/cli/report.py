"""``report`` and ``compare`` on the command line: the whole report into one folder, and its tables on a terminal."""

from pathlib import Path

from factortopy.analysis.slope import REFITS
from factortopy.cli.options import whole_number
from factortopy.errors import InputError
from factortopy.report import slopes
from factortopy.report.levels import LEVELS_HELP, SLOPE, check_levels, read_levels
from factortopy.storage.files import write_atomic
from factortopy.storage.machine import explain_os_error


def add(verbs):
    """The verbs' options."""
    verb = verbs.add_parser(
        "compare",
        help="print networks side by side: scores, distance to the best, hierarchy",
        description=f"Print tables of fitted networks: scores by area, difference to the best network, hierarchy slope. {SLOPE}",
    )
    verb.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of runs, of the same vertices")
    verb.add_argument("--csv", metavar="FILE", help="write the tables to FILE as well")
    verb.add_argument(
        "--refits", type=whole_number(0), metavar="N",
        help="fit each network N times more for its slope's interval (default: only what was fitted before)",
    )  # fmt: skip
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS_HELP)
    verb.set_defaults(function=compare)

    verb = verbs.add_parser(
        "report",
        help="every figure and table of fitted networks as one HTML page",
        description="Write report.html, figures/ (PNG, SVG, CSV) and maps/ (GIFTI) of fitted networks. Without --quick new fits are made: "
        f"about 30 of the first network, kept under DIR/runs, and {REFITS} of each network for its slope's interval, kept with its run. "
        f"Their cost is said first; the same command goes on where it was stopped. {SLOPE}",
    )
    verb.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of runs, of the same vertices")
    verb.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the report: new, empty or an earlier report's"
    )
    verb.add_argument("--quick", action="store_true", help="only what the run folders hold: no new fits, no subject")
    verb.add_argument(
        "--steps",
        type=whole_number(1),
        metavar="N",
        help="optimiser steps of the new fits (default: those of the first run)",
    )
    verb.add_argument(
        "--accuracy", metavar="FILE",
        help="CSV table (network, accuracy) of networks' accuracy on another task (default: what fine-tuned networks say)",
    )  # fmt: skip
    verb.add_argument(
        "--refits", type=whole_number(0), metavar="N",
        help=f"new fits of each network for its slope's interval; 0 none (default: {REFITS}, with --quick none)",
    )  # fmt: skip
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS_HELP)
    verb.set_defaults(function=report)


def report(args):
    """Write the report of some finished runs."""
    from factortopy.cli.progress import Ticker
    from factortopy.report.whole import report as write_report

    runs, levels = _runs(args.runs), read_levels(args.levels)
    ticker = Ticker()
    try:
        path = write_report(
            runs, args.out, args.quick, args.steps, ticker, ticker.say, args.accuracy, levels, refits=args.refits
        )
    finally:
        ticker.finish()
    print(f"written: {path}")
    return 0


def compare(args):
    """Print networks side by side."""
    from factortopy.report import scoring
    from factortopy.report.document import as_csv
    from factortopy.report.entries import read_entries

    slopes.check_count(args.refits)
    entries = read_entries(_runs(args.runs))
    levels = check_levels(read_levels(args.levels), entries[0].encoder.rois)
    unfitted = _refit(entries, args.refits) if args.refits else []
    tables, reasons = scoring.tables(entries, levels)
    if any(e.simulated for e in entries):
        print("simulated data: these figures do not compare with those of measured brains")
    rows = []
    for key, (title, table, _) in tables.items():
        print(f"\n{title}")
        print(on_terminal(table))
        rows += [{"table": key, **row} for row in table]
    if "hierarchy" in tables:
        print(slopes.about(tables["hierarchy"][1]))
    for line in unfitted:
        print(f"no interval of the slope: {line}")
    for line, _ in reasons:
        print(f"no hierarchy slope: {line}")
    if args.csv:
        simulated = any(e.simulated for e in entries)
        try:
            write_atomic(Path(args.csv), as_csv([{"simulated": simulated, **row} for row in rows]))
        except OSError as error:
            raise explain_os_error(error, args.csv) from None
        print(f"\nwritten: {args.csv}")
    return 0


def _refit(entries, refits):
    """Make the refits of each network, their cost said first; sentences on those that could not be fitted."""
    from factortopy.cli.progress import Ticker
    from factortopy.report import plan

    if price := plan.slope_cost(entries, refits):
        print(price.sentence(), flush=True)
    ticker = Ticker()
    try:
        return slopes.make([e.runs[0] for e in slopes.refittable(entries)], refits, ticker, ticker.say)
    finally:
        ticker.finish()


def on_terminal(rows):
    """Rows as aligned columns."""
    from factortopy.report.document import number

    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([number(row.get(c)) for c in columns] for row in rows)]
    width = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    wordy = [isinstance(rows[0].get(c), str) for c in columns]
    return "\n".join(
        "  ".join(w.ljust(n) if left else w.rjust(n) for w, n, left in zip(line, width, wordy, strict=True)).rstrip()
        for line in cells
    )


def _runs(names):
    """Finished runs of paths or names, without repeats of one folder."""
    from factortopy.cli.finished_runs import finished_run

    runs = [finished_run(name)[0] for name in names]
    folders = [run.path.resolve() for run in runs]
    for k, folder in enumerate(folders):
        if folder in folders[:k]:
            raise InputError(f"{runs[k].path}: expected different runs, found this one twice; give it once")
    return runs
