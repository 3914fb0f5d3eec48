"""The verb simulate: an experiment on a fitted encoder."""

import json

from factortopy.cli.finished_runs import finished_run
from factortopy.cli.progress import Ticker, counter
from factortopy.errors import InputError

MOST_LINES = 40  # of an experiment's numbers


def add(verbs):
    """The verb's options."""
    verb = verbs.add_parser(
        "simulate",
        help="run an experiment on a fitted encoder: retinotopy, localizer, lesion, maximize, motion",
        description="Run a protocol on a fitted encoder. Without --out the result is kept in the run store, where the app's Lab "
        "finds it. --write FILE writes the complete protocol and runs nothing.",
    )
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("protocol", metavar="PROTOCOL", help="a protocol's JSON file, or an experiment's name")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a setting (JSON, or a word); repeatable",
    )
    verb.add_argument("--out", metavar="DIR", help="folder for the result, its maps as GIFTI and PNG")
    verb.add_argument("--write", metavar="FILE", help="write the protocol to FILE and stop")
    verb.add_argument("--again", action="store_true", help="run it even though its result is kept")
    verb.set_defaults(function=simulate)


def simulate(args):
    """Run an experiment; print its numbers and where the result lies."""
    from factortopy.encoder.encoder import Encoder
    from factortopy.experiments import protocol as protocols

    protocol = protocols.read_protocol(args.protocol)
    protocol = protocols.complete(protocol | {"settings": protocol["settings"] | _settings(args.set)})
    if args.write:
        protocols.write_protocol(args.write, protocol)
        print(f"written: {args.write}")
        return 0
    run, _ = finished_run(args.run)
    encoder, ticker = Encoder.load(run.path), Ticker()
    result = None if args.again else protocols.kept(run, protocol)
    if result is None:
        try:
            result = protocols.run_protocol(protocol, encoder, counter(ticker, protocol["experiment"]))
        finally:
            ticker.finish()
        protocols.keep(result, run)
    if args.out:
        from factortopy.export.result import export_result

        result.save(args.out)
        places = [str(path) for path in export_result(args.out, result, encoder)]
    else:
        places = [f"kept: {protocols.result_folder(run, protocol)}"]
    lines = protocols.summary(result)
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more in result.json"]
    for line in [*lines, *(f"note: {note}" for note in result.notes), *places]:
        print(line)
    return 0


def _settings(assignments):
    """{name: value} of NAME=VALUE words; values are JSON, or words as they stand."""
    out = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text!r}: expected NAME=VALUE")
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out
