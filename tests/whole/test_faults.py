"""The acceptance list of faults: every row has tests, and they exist; rows that no other module tests."""

import ast
import io
import re
import signal
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_here import run_here
from trials import TRAIN, fitting, start_command, wait_for

from factortopy.pictures.reading import read_picture
from factortopy.runs.run import Run

TESTS = {path.name: path for path in Path(__file__).resolve().parents[1].rglob("test_*.py")}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
ROWS, MESSAGES = range(1, 67), range(1, 23)
_ID = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@cache
def names_in(name):
    """Names of the test functions of a module, without running it."""
    tree = ast.parse(TESTS[name].read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def table(heading):
    """{number: line} of the table under a heading of docs/faults.md."""
    part = DOCUMENT.read_text(encoding="utf-8").split(heading, 1)[1].split("\n## ", 1)[0]
    lines = re.findall(r"^\| (\d+) \|.*$", part, re.MULTILINE)
    whole = [line for line in part.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(lines) == len(set(lines)), "a row twice"
    return dict(zip(map(int, lines), whole, strict=True))


def missing(lines):
    """Rows without a test, and tests that do not exist."""
    told = {number: _ID.findall(line) for number, line in lines.items()}
    without = [number for number, ids in told.items() if not ids]
    gone = [f"{n}: {m}::{t}" for n, ids in told.items() for m, t in ids if m not in TESTS or t not in names_in(m)]
    return without, gone


def test_every_row_has_tests_that_exist():
    lines = table("# Faults that were tried")
    assert sorted(lines) == list(ROWS)
    assert missing(lines) == ([], [])


def test_every_message_of_a_data_set_has_a_test():
    lines = table("## What a data set's loader says")
    assert sorted(lines) == list(MESSAGES)
    assert missing(lines) == ([], [])


def test_a_row_without_a_test_would_be_noticed():
    assert missing({1: "| 1 | x | y | |", 2: "| 2 | x | y | `test_faults.py::test_that_is_not_there` |"}) == (
        [1], ["2: test_faults.py::test_that_is_not_there"],
    )  # fmt: skip


# ---------------------------------------------------------------- rows of this module


def test_5_where_a_photograph_was_taken_is_not_kept():
    exif = Image.Exif()
    exif[274], exif[34853] = 6, {1: "N", 2: (48.0, 51.0, 30.0)}
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 40, 3), 99, np.uint8)).save(buffer, "JPEG", exif=exif)
    assert 34853 in Image.open(io.BytesIO(buffer.getvalue())).getexif()
    picture = read_picture(buffer.getvalue(), "a.jpg")
    assert picture.pixels.shape == (40, 20, 3)  # turned, pixels alone
    again = io.BytesIO()
    Image.fromarray(picture.pixels).save(again, "JPEG")
    assert not Image.open(io.BytesIO(again.getvalue())).getexif()


@pytest.mark.parametrize("wait", [0.4, pytest.param(0.0, marks=pytest.mark.slow)])
def test_39_a_stop_at_any_moment_leaves_a_whole_checkpoint(tmp_path, wait):
    """The app's stop is the file ``cancel``; here it comes while checkpoints and history are written."""
    out = tmp_path / "a"
    process = start_command(*TRAIN, "--steps", 100_000, "--out", out)
    try:
        wait_for(lambda: fitting(Run(out)), 120)
        time.sleep(wait)
        Run(out).request_stop()
        process.communicate(timeout=60)
    finally:
        process.send_signal(signal.SIGKILL) if process.poll() is None else None
    run = Run(out)
    assert run.state() == ("stopped", "stopped on request")
    assert (out / "checkpoint" / "state.json").exists() and not list(out.rglob("*.part"))
    done = run_here("train", "--out", out, "--resume", "--steps", 7)  # another number of steps: it reads what was kept
    assert done.returncode == 2 and "steps of this run is 100000" in done.stderr
