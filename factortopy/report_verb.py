"""The words of ``report`` and ``compare`` on the command line; nothing heavy is imported here."""

USUAL = "V1=0,V2=0.33,V3=0.33,OPA=0.67,EBA=1"
SLOPE = (
    "The hierarchy slope is b1 - b0: a straight line through the vertices' mean layer (0 the first layer, 1 the last) over the level of "
    "their area, b0 at level 0, b1 at level 1. Columns that end in 'from' and 'to' are the ends of its 95 % interval: vertices drawn "
    "anew within areas, 1,000 times. --levels changes the order of the areas."
)
LEVELS = (
    "order of the areas for the hierarchy slope, 0 early to 1 late, as in V1=0,V2=0.33,EBA=1; others are left out "
    f"(default, the paper's: {USUAL})"
)


def add_verbs(verbs, whole):
    """Add both verbs to a parser's subparsers; ``whole``: the type of whole numbers from 1 up."""
    verb = verbs.add_parser(
        "compare",
        help="print networks side by side: scores, distance to the best, hierarchy",
        description=f"Print tables of fitted networks: scores by area, difference to the best network, hierarchy slope. {SLOPE}",
    )
    verb.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of runs, of the same vertices")
    verb.add_argument("--csv", metavar="FILE", help="write the tables to FILE as well")
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS)

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
    verb.add_argument("--levels", metavar="A=X,…", help=LEVELS)
