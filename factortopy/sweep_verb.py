"""How the verb ``sweep`` is spelled; what it does is in ``sweep_command``, which loads the queue."""

import argparse

CSV_OR_NOT = "write the table to FILE as well, one line a run"


def add_verb(verbs):
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
    verb.add_argument("--csv", metavar="FILE", help=CSV_OR_NOT)


def _words(text):
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f"expected names with commas between, found {text!r}")
    return words
