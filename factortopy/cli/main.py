"""The parser of all verbs, and what becomes of errors: exit codes."""

import argparse
import errno
import os
import sys

from factortopy.cli import finetune, finished_runs, report, simulate, sweep, train
from factortopy.errors import InputError
from factortopy.runs.folder import BUSY_EXIT, RunBusy
from factortopy.storage.machine import explain_os_error

MENDABLE_ERRORS = (
    errno.ENAMETOOLONG, errno.ELOOP,
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

    for module in (train, finished_runs, simulate, report, finetune, sweep):
        module.add(verbs)
    return root


def main(arguments=None):
    """Run one verb; returns the exit code: 0, 2 (input wrong, one line told), 75 (run held), 128 + n (signal n)."""
    options = parser().parse_args(arguments)
    try:
        code = options.function(options)
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
