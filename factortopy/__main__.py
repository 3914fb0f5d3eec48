"""The command line: ``python -m factortopy VERB``."""

import argparse
import errno
import os
import sys

from factortopy.encoder.choices import RECIPES
from factortopy.errors import InputError
from factortopy.runs.folder import BUSY_EXIT, RunBusy
from factortopy.storage.machine import explain_os_error

MENDABLE_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOENT,
    errno.ENOTDIR, errno.EISDIR,
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser():
    """The parser of all verbs."""
    root = Parser(prog="python -m factortopy", description="Paint a deep vision network onto the human brain.")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)

    verb = verbs.add_parser("check", help="look through a data set and list what would stop or disturb a training")
    verb.add_argument(
        "path", metavar="PATH", help="folder of a data set (NSD, Algonauts 2023), or demo-1, demo-2, demo-3"
    )
    _subject_id(verb)
    verb.add_argument("--density", metavar="D", help="164k (default: all vertices), 41k, or 10k for a quick look")
    _trials(verb)
    verb.add_argument("--all", action="store_true", help="decode every picture and frame, not some (takes minutes)")

    verb = verbs.add_parser(
        "extract", help="compute a network's features of a subject's pictures and keep them on disk"
    )
    _subject(verb, required=True)
    _backbone(verb, required=True)
    _pca(verb)

    verb = verbs.add_parser(
        "train",
        help="train an encoder in a run folder",
        description="Train an encoder in a run folder. Ctrl-C stops and keeps what was learnt; --resume goes on. "
        "Exit 75: another process holds the run.",
    )
    _subject(verb)
    _backbone(verb)
    verb.add_argument("--density", metavar="D", help="164k (default: all vertices), 41k, or 10k for a quick look")
    _trials(verb)
    verb.add_argument("--recipe", choices=RECIPES, help="how it is fitted (default fast)")
    verb.add_argument("--seed", type=_whole(0), metavar="K", help="seed of everything random (default 0)")
    verb.add_argument("--steps", type=_whole(1), metavar="N", help="optimiser steps (default: the recipe's own number)")
    verb.add_argument(
        "--pictures",
        type=_whole(10),
        metavar="N",
        help="learn from N pictures; the test part stays whole (default: all)",
    )
    _pca(verb)
    verb.add_argument("--out", metavar="DIR", help="run folder (default: a new one under the home folder)")
    verb.add_argument(
        "--model",
        metavar="M",
        help="factorized, or a baseline: classtoken, patchtoken, gnetvit, ridge (default: factorized)",
    )
    verb.add_argument(
        "--select", metavar="F,F", help="factors that are learnt (default: space,layer,scale); others are averaged"
    )
    verb.add_argument("--no-topology", action="store_true", help="free every vertex from its neighbours")
    verb.add_argument("--space-samples", type=int, metavar="N", help="places a vertex looks at, averaged (default: 1)")
    verb.add_argument("--resume", action="store_true", help="go on with the unfinished run that DIR holds")
    verb.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)

    verb = verbs.add_parser("score", help="print a run's brain score by region")
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--csv", metavar="FILE", help="write the table to FILE as well")

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

    # What a child of the queue's worker does; without help it is not listed.
    verb = verbs.add_parser("work")
    verb.add_argument("path", metavar="PATH")
    verb.add_argument("--queued", action="store_true", help=argparse.SUPPRESS)

    verb = verbs.add_parser("maps", help="write a run's maps as PNG and GIFTI")
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--out", required=True, metavar="DIR", help="folder for the files")

    verb = verbs.add_parser(
        "export",
        help="write a run to take away: pictures, drawings, a film, the viewer as a page, GIFTI, the run as one file",
        description="Write a finished run in the forms asked for: png (flat maps, and the surface in six views), svg (flat "
        "maps and charts), gif and mp4 (the layers turning), html (the viewer as one page that needs neither Python nor "
        "network), gifti (for other programs), mgh (FreeSurfer's annot and mgz), cifti (one dscalar file), bids (GIFTI by BIDS "
        "names), csv (tables), run (one file to send).",
    )
    verb.add_argument("run", metavar="RUN", help="run folder, or the name of a run")
    verb.add_argument("--out", required=True, metavar="DIR", help="folder for the files")
    verb.add_argument(
        "--what", metavar="W,W", default="png,svg,gif,html,gifti,csv,run",
        help="some of png, svg, gif, mp4, html, gifti, mgh, cifti, bids, csv, run (default: png,svg,gif,html,gifti,csv,run)",
    )  # fmt: skip
    verb.add_argument(
        "--width", type=_size(5.0, 60.0), default=17.8, metavar="CM", help="width of pictures (default 17.8 cm)"
    )
    verb.add_argument("--dpi", type=_size(50, 1200), default=300, metavar="N", help="dots an inch (default 300)")

    from factortopy import report_verb, sweep_verb
    from factortopy.finetune import command

    report_verb.add_verbs(verbs, _whole(1))
    command.add_verb(verbs)
    sweep_verb.add_verb(verbs)
    return root


def _subject(verb, required=False):
    verb.add_argument(
        "--subject", required=required, metavar="S", help="demo-1, demo-2, demo-3 (simulated) or a data set's folder"
    )
    _subject_id(verb)


def _subject_id(verb):
    verb.add_argument("--subject-id", metavar="ID", help="which subject, for a folder that holds several (subj05)")


def _trials(verb):
    verb.add_argument(
        "--trials", metavar="T",
        help="for NSD: single (default), mean (of a picture's repeats) or paper (single, without the last three sessions)",
    )  # fmt: skip


def _backbone(verb, required=False):
    verb.add_argument("--backbone", required=required, metavar="B", help="network: demo-vit, demo-mae, …, timm/NAME")
    verb.add_argument(
        "--weights",
        metavar="FILE",
        help="its weights: a .safetensors or PyTorch file, a folder with one, or the word untrained",
    )


def _pca(verb):
    verb.add_argument(
        "--pca", type=_whole(1), metavar="K",
        help="keep K principal components of each layer's tokens, learnt from training pictures (default: all channels)",
    )  # fmt: skip


def _whole(least):
    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, found {text}")
        return value

    number.__name__ = "whole number"
    return number


def _size(low, high):
    def number(text):
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {low:g} to {high:g}, found {text}")
        return value

    number.__name__ = "number"
    return number


def main(arguments=None):
    """Run one verb; returns the exit code: 0, 2 (input wrong, one line told), 75 (run held), 128 + n (signal n)."""
    options = parser().parse_args(arguments)
    from factortopy import commands

    try:
        code = getattr(commands, options.verb)(options)
        sys.stdout.flush()  # a reader that went is noticed here, not by the interpreter's end
        return code
    except RunBusy as error:
        return _tell(error, BUSY_EXIT)
    except InputError as error:
        return _tell(error, 2)
    except BrokenPipeError:
        # The reader went (``| head``). Nothing more can be told; keep the interpreter from trying at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in MENDABLE_ERRORS:
            raise
        return _tell(explain_os_error(error, error.filename or "."), 2)
    except KeyboardInterrupt:
        return _tell("interrupted", 130)


def _tell(message, code):
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
