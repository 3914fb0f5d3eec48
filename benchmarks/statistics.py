"""How often the tests find something where nothing is, and how often intervals hold what they should: a table in Markdown.

Run: python -m benchmarks.statistics [PART …] [--quick]. Each part is a module nulls_PART.py beside this one with ``rows(full)``:
dicts of a test ({"test", "null", "data sets", "false positives", "interval", "allowed"}) or of an interval ({"interval",
"coverage", …}). Writes benchmarks/results/statistics_PART.md, which docs/statistics.md quotes.
"""

import argparse
import datetime
import importlib
import time
from pathlib import Path

from scipy.stats import binomtest

from benchmarks.measuring import machine

HERE = Path(__file__).resolve().parent


def parts():
    """Names of the parts."""
    return sorted(path.stem.removeprefix("nulls_") for path in HERE.glob("nulls_*.py"))


def rejected(test, null, rejections, data_sets, allowed=0.06, **more):
    """A row of a table: how many of the data sets without an effect were rejected (Clopper-Pearson, 95 %)."""
    interval = binomtest(int(rejections), int(data_sets)).proportion_ci(0.95, method="exact")
    return {
        "test": test, "null": null, "data sets": int(data_sets), "false positives": int(rejections) / int(data_sets),
        "interval": (interval.low, interval.high), "allowed": allowed, **more,
    }  # fmt: skip


def table(rows):
    """Rows as Markdown, a table for each set of columns."""
    lines, before = [], None
    for row in rows:
        if list(row) != before:
            before = list(row)
            lines += ["", "| " + " | ".join(before) + " |", "|" + "---|" * len(before)]
        lines.append("| " + " | ".join(map(_cell, row.values())) + " |")
    return "\n".join(lines[1:])


def _cell(value):
    if isinstance(value, tuple):
        return " to ".join(map(_cell, value))
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts())}; all without any")
    parser.add_argument("--quick", action="store_true", help="few data sets: does it run at all?")
    args = parser.parse_args()
    for name in args.parts or parts():
        start = time.perf_counter()
        text = table(importlib.import_module(f"benchmarks.nulls_{name}").rows(not args.quick))
        seconds = time.perf_counter() - start
        print(f"\n## {name}\n\n{text}\n\n{seconds:.0f} s", flush=True)
        if not args.quick:
            where = f"{datetime.date.today()}, {machine('cpu')['cpu']}, {seconds:.0f} s"
            (HERE / "results" / f"statistics_{name}.md").write_text(f"{text}\n\n{where}\n")


if __name__ == "__main__":
    main()
