"""Damaged and hostile bytes for every parser of outside input: a sound result or one sentence, soon, in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest
from fuzz_parsers import PARSERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trials import environment

SLOW = ("video", "checkpoint of a training")  # fewer inputs in the ordinary run
HELPERS = Path(__file__).resolve().parents[1] / "helpers"


@pytest.mark.parametrize("name", PARSERS)
def test_damage_is_read_or_refused(name, tmp_path):
    parser = PARSERS[name]
    for data in fuzzing.sound(name):
        parser.parse(data, tmp_path)  # what is sound is read, or this would test nothing

    @given(st.integers(0, 2**31))
    @settings(
        max_examples=3 if name in SLOW else 12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def tried(number):
        with fuzzing.quiet():
            fuzzing.one(parser, number, tmp_path)

    tried()


def test_damage_is_the_same_for_a_number():
    parser = PARSERS["picture"]
    assert fuzzing.hurt(parser, 5) == fuzzing.hurt(parser, 5) != fuzzing.hurt(parser, 6)


def test_a_fault_is_noticed(tmp_path):
    """The harness itself: another error, a message of two lines, too long a time."""

    def wrong(data, folder):
        raise KeyError("x")

    def wordy(data, folder):
        from factortopy.errors import InputError

        error = InputError("a")
        error.args = ("a\nb",)
        raise error

    for parse in (wrong, wordy):
        fuzzing.sound.cache_clear()
        parser = fuzzing.replace(PARSERS["picture"], parse=parse)
        with pytest.raises(fuzzing.Fault):
            fuzzing.one(parser, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("name", PARSERS)
def test_the_whole_run(name):
    """100,000 inputs over all parsers, each parser in a process of its own, whose memory is looked at."""
    share = os.environ.get("FACTORTOPY_FUZZ_SHARE", "1.0")
    done = subprocess.run(
        [sys.executable, str(HELPERS / "fuzzing.py"), "--only", name, share],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, f"{name}: the process ended with {done.returncode}: {done.stderr[-2000:]}"
    told = json.loads(done.stdout)
    print(done.stdout)
    assert not told["faults"], told["first"]
