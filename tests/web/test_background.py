"""Work behind the pages: goes on, is found again, stops when asked, and says what went wrong."""

import threading
import time

import pytest

from factortopy.errors import InputError
from factortopy.experiments.responses import tell
from pages.parts import background
from pages.parts.background import tasks


def wait(task, seconds=10.0):
    end = time.monotonic() + seconds
    while task.active:
        assert time.monotonic() < end, "the work did not end"
        time.sleep(0.01)
    return task


def test_result_and_progress():
    def work(task):
        task.show("half")
        task.report(1, 2)
        return 42

    task = wait(tasks.start("a", work))
    assert (task.state, task.result, task.partial, task.done, task.total) == ("finished", 42, "half", 1, 2)
    assert tasks.find("a") is task
    tasks.forget("a")
    assert tasks.find("a") is None


def test_same_key_is_the_same_work():
    go = threading.Event()
    first = tasks.start("b", lambda task: go.wait(10))
    assert tasks.start("b", lambda task: 1 / 0) is first
    go.set()
    assert wait(first).result is True


def test_one_at_a_time():
    go = threading.Event()
    first = tasks.start("c1", lambda task: go.wait(10))
    second = tasks.start("c2", lambda task: "second")
    time.sleep(0.1)
    assert second.state == "waiting"
    go.set()
    assert wait(second).result == "second" and first.state == "finished"


def test_stop_while_it_works_and_while_it_waits():
    begun = threading.Event()

    def work(task):
        while True:
            begun.set()
            tell(task.report, 0, 1)
            time.sleep(0.01)

    first = tasks.start("d1", work)
    second = tasks.start("d2", lambda task: "never")
    assert begun.wait(10)
    second.stop()
    first.stop()
    assert wait(first).state == "stopped" and wait(second).state == "stopped" and second.result is None


def test_waiting_work_stops_at_once():
    go = threading.Event()
    first = tasks.start("f1", lambda task: go.wait(10))
    second = tasks.start("f2", lambda task: "never")
    assert tasks.active("f") == {"f1": first, "f2": second}
    second.stop()
    assert wait(second).state == "stopped" and first.active
    go.set()
    wait(first)


def test_only_the_last_results_are_remembered():
    for k in range(8):
        wait(tasks.start(f"g{k}", lambda task: bytes(10)))
    wait(tasks.start("g8", lambda task: None))
    known = [k for k in range(9) if tasks.find(f"g{k}") is not None]
    assert known[-1] == 8 and len(known) <= background.MOST + 1


@pytest.mark.parametrize("error", [InputError("pictures: expected one, found none"), ZeroDivisionError("by zero")])
def test_errors_become_sentences(error):
    def work(task):
        raise error

    task = wait(tasks.start(f"e-{error}", work))
    assert task.state == "failed" and str(error) in task.error
    again = wait(tasks.start(f"e-{error}", lambda task: "better"))
    assert again.result == "better"
