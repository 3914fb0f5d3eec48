"""Work that a page starts and that goes on while the page is left: a thread each, one at a time, found again by its key."""

import logging
import threading
import time

from factortopy.errors import InputError, Stopped

MOST = 4  # ended tasks that are remembered, with what they returned
POLL_SECONDS = 0.1
_tasks, _guard, _turn = {}, threading.Lock(), threading.Lock()
log = logging.getLogger("pages.parts.background")


class Task:
    """One piece of work; ``label`` says what it is.

    state : "waiting", "running", "finished", "stopped" or "failed"
    done, total : int, as far as it has come
    partial : what the work has shown of itself so far (``show``), or None
    step : what the work says that it is doing, for work of many steps; set by the work
    result : what it returned; error : a sentence for the user, when it failed
    """

    def __init__(self, work, label=""):
        self.state, self.done, self.total, self.label = "waiting", 0, 0, label
        self.partial = self.step = self.result = self.error = None
        self._wish, self._work, self._begun = threading.Event(), work, None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def active(self):
        return self.state in ("waiting", "running")

    @property
    def stopping(self):
        """True once it was asked to stop."""
        return self._wish.is_set()

    @property
    def remaining(self):
        """Seconds, from what was done so far; None before that is known."""
        if self.state != "running" or not self.done or not self.total:
            return None
        return (time.monotonic() - self._begun) / self.done * (self.total - self.done)

    def stop(self):
        """Ask it to stop; it does at its next report."""
        self._wish.set()

    def wait(self, seconds):
        """Return when it has ended, at the latest after so long."""
        self._thread.join(seconds)

    def report(self, done, total):
        """``on_progress`` of the work: False once it is to stop."""
        self.done, self.total = done, total
        return not self._wish.is_set()

    def show(self, partial):
        """What the page may show meanwhile."""
        self.partial = partial

    def _run(self):
        while not _turn.acquire(timeout=POLL_SECONDS):  # two at once would both take twice as long
            if self._wish.is_set():
                self.state = "stopped"
                return
        try:
            if self._wish.is_set():
                self.state = "stopped"
                return
            self.state, self._begun = "running", time.monotonic()
            self.result = self._work(self)
            self.state = "finished"
        except Stopped:
            self.state = "stopped"
        except InputError as error:
            self.error, self.state = str(error), "failed"
        except Exception as error:  # a fault of ours: the page says so, the log knows all
            log.exception("background work failed")
            self.error, self.state = f"a fault in FactorTopy: {type(error).__name__}: {error}", "failed"
        finally:
            self._work = None  # it may hold an upload
            _turn.release()


def start(key, work, label=""):
    """Start ``work(task)`` under a key; the one that runs already when there is one.

    Of those that have ended the last ``MOST`` are remembered.

    Returns
    -------
    Task
    """
    with _guard:
        task = _tasks.get(key)
        if task is None or not task.active:
            _tasks.pop(key, None)
            for old in [name for name, known in _tasks.items() if not known.active][:-MOST]:
                del _tasks[old]
            task = _tasks[key] = Task(work, label)
            task._thread.start()
        return task


def active(prefix=""):
    """{key: Task} of what runs or waits, of keys that begin so."""
    with _guard:
        return {key: task for key, task in _tasks.items() if task.active and key.startswith(prefix)}


def find(key):
    """The last task of a key, or None."""
    return _tasks.get(key)


def forget(key):
    """Drop a task that has ended."""
    with _guard:
        task = _tasks.get(key)
        if task is not None and not task.active:
            del _tasks[key]
