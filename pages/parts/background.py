"""Work that a page starts and that goes on while the page is left: a thread each, one at a time, found again by its key."""

import logging
import threading
import time

from factortopy.errors import InputError, Stopped

MOST = 4  # ended tasks that are remembered, with what they returned
POLL_SECONDS = 0.1
log = logging.getLogger("pages.parts.background")


class Task:
    """One piece of work; ``turn`` is the lock that it works under.

    state : "waiting", "running", "finished", "stopped" or "failed"
    done, total : int, as far as it has come
    partial : what the work has shown of itself so far (``show``), or None
    step : what the work says that it is doing, for work of many steps; set by the work
    result : what it returned; error : a sentence for the user, when it failed
    """

    def __init__(self, work, turn):
        self.state, self.done, self.total = "waiting", 0, 0
        self.partial = self.step = self.result = self.error = None
        self._wish, self._work, self._turn, self._start = threading.Event(), work, turn, None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def active(self):
        return self.state in ("waiting", "running")

    @property
    def stopping(self):
        """True once it was asked to stop."""
        return self._wish.is_set()

    @property
    def share(self):
        """How much of it is done, 0 … 1; 0 before that is known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def remaining(self):
        """Seconds, from what was done so far; None before that is known."""
        if self.state != "running" or not self.done or not self.total:
            return None
        return (time.monotonic() - self._start) / self.done * (self.total - self.done)

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
        while not self._turn.acquire(timeout=POLL_SECONDS):  # two at once would both take twice as long
            if self._wish.is_set():
                self.state = "stopped"
                return
        try:
            if self._wish.is_set():
                self.state = "stopped"
                return
            self.state, self._start = "running", time.monotonic()
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
            self._turn.release()


class Tasks:
    """The work of one app: found again by its key, one at a time; of what has ended the last ``MOST`` are remembered."""

    def __init__(self):
        self._by_key, self._lock, self._turn = {}, threading.Lock(), threading.Lock()

    def start(self, key, work):
        """Start ``work(task)`` under a key; returns its Task, or that of the work under this key that has not ended."""
        with self._lock:
            task = self._by_key.get(key)
            if task is None or not task.active:
                self._by_key.pop(key, None)
                for old in [name for name, other in self._by_key.items() if not other.active][:-MOST]:
                    del self._by_key[old]
                task = self._by_key[key] = Task(work, self._turn)
                task._thread.start()
            return task

    def all(self, prefix=""):
        """{key: Task} of keys that begin so, those that have ended among them."""
        with self._lock:
            return {key: task for key, task in self._by_key.items() if key.startswith(prefix)}

    def active(self, prefix=""):
        """{key: Task} of what runs or waits, of keys that begin so."""
        return {key: task for key, task in self.all(prefix).items() if task.active}

    def find(self, key):
        """The last task of a key, or None."""
        return self._by_key.get(key)

    def forget(self, key):
        """Drop a task that has ended."""
        with self._lock:
            task = self._by_key.get(key)
            if task is not None and not task.active:
                del self._by_key[key]


tasks = Tasks()  # of this app; the module outlives every run of a page
