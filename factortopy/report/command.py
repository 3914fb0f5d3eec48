"""``report`` and ``compare`` on the command line: the whole report into one folder, and its tables on a terminal."""

from pathlib import Path

from factortopy.errors import InputError
from factortopy.report.document import as_csv, number
from factortopy.report.entries import entries as read_entries
from factortopy.report.levels import known_levels, read_levels
from factortopy.report.whole import report
from factortopy.storage.files import write_atomic
from factortopy.storage.machine import explain_os_error


def report_verb(options):
    """``python -m factortopy report``."""
    from factortopy.commands import Ticker

    runs, levels = _runs(options.runs), read_levels(options.levels)
    ticker = Ticker()
    try:
        path = report(runs, options.out, options.quick, options.steps, ticker, ticker.say, options.accuracy, levels)
    finally:
        ticker.finish()
    print(f"written: {path}")
    return 0


def compare_verb(options):
    """``python -m factortopy compare``."""
    from factortopy.report import scoring

    found = read_entries(_runs(options.runs))
    made, told = scoring.tables(found, known_levels(read_levels(options.levels), found[0].encoder.rois))
    if any(e.simulated for e in found):
        print("simulated data: these figures do not compare with those of measured brains")
    rows = []
    for key, (title, table, _) in made.items():
        print(f"\n{title}")
        print(on_terminal(table))
        rows += [{"table": key, **row} for row in table]
    for line, _ in told:
        print(f"no hierarchy slope: {line}")
    if options.csv:
        simulated = any(e.simulated for e in found)
        try:
            write_atomic(Path(options.csv), as_csv([{"simulated": simulated, **row} for row in rows]))
        except OSError as error:
            raise explain_os_error(error, options.csv) from None
        print(f"\nwritten: {options.csv}")
    return 0


def on_terminal(rows):
    """Rows as aligned columns."""
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
    from factortopy.commands import _finished

    runs = [_finished(name)[0] for name in names]
    folders = [run.path.resolve() for run in runs]
    for k, folder in enumerate(folders):
        if folder in folders[:k]:
            raise InputError(f"{runs[k].path}: expected different runs, found this one twice; give it once")
    return runs
