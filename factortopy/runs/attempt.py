"""One attempt at a piece of work: take signals as wishes to stop, and leave in run.json how it ended."""

import contextlib
import os
import signal
import socket
import threading

from factortopy.errors import InputError, Stopped
from factortopy.runs.folder import RunBusy, RunGone
from factortopy.storage.machine import explain_os_error, is_out_of_memory
from factortopy.storage.records import now, versions


def attempt(job, recorder, queued, do):
    """Mark the folder as running, call ``do(seconds of earlier attempts)``, and settle how it ended; the lock is held.

    ``do`` writes "finished" itself. True when it did; False when somebody asked it to stop, which is no error. Every other
    end is raised again, as InputError where the user can mend it.
    """
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now(), "queue": queued}
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        holder["gpu"] = os.environ["CUDA_VISIBLE_DEVICES"]
    job.update(state="running", reason=None, holder=holder, versions=versions())
    seconds = job.info.get("seconds") or 0.0

    def settle(state, reason):
        # A full disk may refuse even this; then the folder says "interrupted", which is true as well.
        with contextlib.suppress(InputError):
            job.update(state=state, reason=reason, holder=None, seconds=seconds + recorder.seconds())
            job.clear_stop()

    try:
        do(seconds)
        return True
    except (Stopped, KeyboardInterrupt):
        # The queue sends a signal as well when somebody asked for a stop.
        by_signal = recorder.signal is not None and not job.stop_requested()
        name = signal.Signals(recorder.signal).name if by_signal else None
        settle("stopped", f"stopped by signal {name}" if name else "stopped on request")
        return False
    except (RunGone, RunBusy):
        raise
    except InputError as error:
        job.check_there()  # a file that could not be written because the folder went away
        settle("failed", str(error))
        raise
    except OSError as error:
        job.check_there()
        problem = explain_os_error(error, job.path)
        settle("failed", str(problem))
        raise problem from error
    except BaseException as error:
        if is_out_of_memory(error):
            problem = _too_little_memory(error)
            settle("failed", str(problem))
            raise problem from error
        settle("failed", f"a fault in FactorTopy: {type(error).__name__}: {str(error).splitlines()[:1]}; see log.txt")
        raise


def _too_little_memory(error):
    first = (str(error).splitlines() or ["no details"])[0][:200]
    return InputError(
        f"memory: this work needs more than there is ({first}); close other programs, or choose fewer pictures "
        "or a smaller network, then resume"
    )


@contextlib.contextmanager
def signals(recorder):
    """TERM and the first Ctrl-C ask for a stop, in ``recorder.signal``; the second Ctrl-C interrupts at once.

    Only in a main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        if recorder.signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        recorder.signal = number

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
