"""The verbs check, extract, train and work."""

import argparse
import signal
import sys

from factortopy.cli import options
from factortopy.cli.progress import Ticker, stages
from factortopy.errors import InputError
from factortopy.runs.settings import SETTINGS


def add(verbs):
    """The verbs' options."""
    verb = verbs.add_parser("check", help="look through a data set and list what would stop or disturb a training")
    verb.add_argument(
        "path", metavar="PATH", help="folder of a data set (NSD, Algonauts 2023), or demo-1, demo-2, demo-3"
    )
    options.settings(verb, "subject_id", "density", "trials")
    verb.add_argument("--all", action="store_true", help="decode every picture and frame, not some (takes minutes)")
    verb.set_defaults(function=check)

    verb = verbs.add_parser(
        "extract",
        help="compute a network's features of a subject's pictures and keep them on disk",
        description="Compute a network's features of a subject's pictures and keep them on disk. Several networks (--backbone a,b) "
        "share one pass over the pictures.",
    )
    options.settings(verb, "subject", required=True)
    options.settings(verb, "subject_id")
    options.settings(verb, "backbone", required=True)
    options.settings(verb, "weights", "pca", "precision")
    verb.set_defaults(function=extract)

    verb = verbs.add_parser(
        "train",
        help="train an encoder in a run folder",
        description="Train an encoder in a run folder. Ctrl-C stops and keeps what was learnt; --resume goes on. "
        "Exit 75: another process holds the run.",
    )
    options.settings(
        verb, "subject", "subject_id", "backbone", "weights", "density", "trials", "recipe", "seed", "steps", "pictures",
        "pca", "precision",
    )  # fmt: skip
    verb.add_argument("--out", metavar="DIR", help="run folder (default: a new one under the home folder)")
    options.settings(verb, "model", "select", "topology", "space_samples", "warm")
    verb.add_argument("--resume", action="store_true", help="go on with the unfinished run that DIR holds")
    verb.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)
    verb.set_defaults(function=train)

    # What a child of the queue's worker does; without help it is not listed.
    verb = verbs.add_parser("work")
    verb.add_argument("path", metavar="PATH")
    verb.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)
    verb.set_defaults(function=work)


def check(args):
    """Print every finding; 2 when one of them stops a training."""
    from factortopy.subjects.check import check as look_through
    from factortopy.subjects.names import DENSITY
    from factortopy.subjects.progress import listening

    ticker = Ticker(sys.stderr)  # standard output holds the findings alone

    def show(step):
        ticker({"stage": step.words, "step": step.done, "total": step.total, "remaining": step.remaining})

    with listening(show if ticker.live else None):
        findings = look_through(args.path, args.subject_id, args.density or DENSITY, args.trials, args.all)
    ticker.finish()
    for line in findings.lines():
        print(line)
    return 2 if findings.stops else 0


def extract(args):
    """Features of a subject's pictures into the cache."""
    from factortopy.features.estimate import plan
    from factortopy.runs.extraction import extract_networks

    names = [name.strip() for name in args.backbone.split(",")]
    if not all(names) or (len(names) > 1 and args.weights not in (None, "untrained")):
        raise InputError(
            f"--backbone {args.backbone}: expected one network, or names with commas between and no --weights; "
            "extract a network with its own weights alone"
        )

    def on_network(subject, backbone):
        shown = subject.images
        cost = plan(backbone, len(shown), reduce=args.pca, images=shown, precision=args.precision).sentence()
        ticker.say(f"{backbone.name}, before it starts: {cost} at most")
        for notice in backbone.notices:
            ticker.say(f"{backbone.name}: {notice}")

    ticker = Ticker()
    kept = f" of {args.pca} components at most" if args.pca else ""
    extracted = extract_networks(vars(args), dict.fromkeys(names), stages(ticker), on_network=on_network)
    for subject, backbone, features in extracted:
        ticker.say(
            f"{backbone.name} on {subject.name}: {len(features)} pictures, {len(features.local)} layers{kept}, on disk"
        )
    return 0


def train(args):
    """Train or go on with a run; progress on standard output."""
    from factortopy.runs.run import new_run_name
    from factortopy.runs.training import train_run
    from factortopy.storage.home import runs_dir

    asked = {row.name: getattr(args, row.name) for row in SETTINGS if row.flag}
    out = args.out
    if out is None:
        if not args.subject or not args.backbone:
            raise InputError(
                "train: expected --subject and --backbone, or --out with a run to resume; see train --help"
            )
        out = runs_dir() / new_run_name(asked)
    ticker = Ticker()
    try:
        run = train_run(out, **asked, resume=args.resume, queued=args.queued, on_progress=ticker, say=ticker.say)
    finally:
        ticker.finish()
    status, reason = run.state()
    if status == "finished":
        print(f"{run.path}: finished")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        if number.name in (reason or ""):
            return 128 + number
    return 0


def work(args):
    """``python -m factortopy work PATH``; 0, or 128 + n after signal n."""
    from factortopy.jobs.job import work_job

    ticker = Ticker()
    try:
        job = work_job(args.path, args.queued, ticker, ticker.say)
    finally:
        ticker.finish()
    for number in (signal.SIGINT, signal.SIGTERM):
        if number.name in (job.reason or ""):
            return 128 + number
    return 0
