"""The words of ``report`` and ``compare`` on the command line; nothing heavy is imported here."""

from factortopy.report.levels import LEVELS_HELP, SLOPE


def add_verbs(verbs, whole):
    """Add both verbs to a parser's subparsers; ``whole``: the type of whole numbers from 1 up."""
    verb = verbs.add_parser(
        "compare",
        help="print networks side by side: scores, distance to the best, hierarchy",
        description=f"Print tables of fitted networks: scores by area, difference to the best network, hierarchy slope. {SLOPE}",
    )
    verb.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of runs, of the same vertices")
    verb.add_argument("--csv", metavar="FILE", help="write the tables to FILE as well")
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS_HELP)

    verb = verbs.add_parser(
        "report",
        help="every figure and table of fitted networks as one HTML page",
        description="Write report.html, figures/ (PNG, SVG, CSV) and maps/ (GIFTI) of fitted networks. Without --quick new "
        f"fits are made and kept under DIR/runs (about 30); the same command goes on where it was stopped. {SLOPE}",
    )
    verb.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of runs, of the same vertices")
    verb.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the report: new, empty or an earlier report's"
    )
    verb.add_argument("--quick", action="store_true", help="only what the run folders hold: no new fits, no subject")
    verb.add_argument(
        "--steps", type=whole, metavar="N", help="optimiser steps of the new fits (default: those of the first run)"
    )
    verb.add_argument(
        "--accuracy", metavar="FILE",
        help="CSV table (network, accuracy) of networks' accuracy on another task (default: what fine-tuned networks say)",
    )  # fmt: skip
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS_HELP)
