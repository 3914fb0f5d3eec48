"""How far the look at a data set has come: told from wherever the work is to whoever listens, who may end it.

A context variable, because the reading is spread over many loaders, none of which has a say in whether somebody listens.
"""

import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from factortopy.errors import Stopped

_listener = ContextVar("listener", default=None)


@dataclass(frozen=True)
class Step:
    """One step of a look.

    words : what is being done; done, total : int, how far; remaining : seconds to the end of this step, None if unknown
    """

    words: str
    done: int = 0
    total: int = 0
    remaining: float | None = None


@contextmanager
def listening(listener):
    """Within this block every step is reported as ``listener(Step)``; when that returns False, ``Stopped`` is raised there."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def for_work(on_progress):
    """A listener that hands every step on as progress of a run or job: a dict (stage, step, total, doing); False stops."""

    def listener(step):
        progress = {"stage": "pictures", "step": step.done, "total": step.total or None, "doing": step.words}
        return on_progress(progress | ({} if step.remaining is None else {"remaining": step.remaining}))

    return listener


def tell(words, done=0, total=0, start=None):
    """Tell how far a step has come; ``start`` is the time (``time.monotonic``) at which it began."""
    listener = _listener.get()
    if listener is None:
        return
    left = (time.monotonic() - start) / done * (total - done) if start and done and total else None
    if listener(Step(words, done, total, left)) is False:
        raise Stopped


def each(items, words, total=None):
    """The items one by one; before each it is told how many are done. ``total``: of a generator how many there will be."""
    total, start = len(items) if total is None else total, time.monotonic()
    for done, item in enumerate(items):
        tell(words, done, total, start)
        yield item
