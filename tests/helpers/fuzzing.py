"""Damage done to sound files, for every parser of outside input (``fuzz_parsers``): what comes back is sound or an InputError.

    python tests/helpers/fuzzing.py [--only NAME,NAME] [--first N] SHARE     SHARE of the whole run of 100,000 inputs, for example 0.1

One input is one number: parser, number -> the same bytes on every machine, so that a fault found in hours is tried again at
once (``one(parser, number)``). ``docs/faults.md`` says what the whole run found.
"""

import contextlib
import copy
import json
import os
import resource
import sys
import tempfile
import time
import zlib
from dataclasses import replace  # noqa: F401  (for tests of the harness)
from functools import cache
from pathlib import Path

import numpy as np

from factortopy.errors import InputError

SECONDS = 10.0  # of processor time that one input may take
MEGABYTES = 700  # that the process may grow by: the largest picture that is read has 50 million pixels
WHOLE = 100_000  # inputs of the whole run


# ---------------------------------------------------------------- damage

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 10**18)
WORDS = (
    b"NaN",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"\x00",
    b"../",
    b"\xff\xfe",
    b"\n",
    b"\t",
)
DEEP = b"[" * 2000


def number_bytes(rng):
    value, width = NUMBERS[rng.integers(len(NUMBERS))], (1, 2, 4, 8)[rng.integers(4)]
    return (value % (1 << 8 * width)).to_bytes(width, "big" if rng.integers(2) else "little")


def damage(data, rng, others=(), words=()):
    """Bytes cut, flipped, put in, doubled, taken out, replaced by large numbers or words; often near the beginning."""
    out, words = bytearray(data), (*WORDS, *words)
    for _ in range(min(6, int(rng.geometric(0.6)))):
        span = len(out) if rng.integers(2) else min(len(out), 600)
        at = int(rng.integers(0, span + 1))
        kind = int(rng.integers(0, 9))
        if kind == 0:
            del out[at:]
        elif kind == 1 and out:
            for place in rng.integers(0, max(1, span), int(rng.integers(1, 9))):
                out[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            out[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 3:
            out[at:at] = out[at : at + int(rng.integers(1, 2000))]
        elif kind == 4:
            del out[at : at + int(rng.integers(1, 200))]
        elif kind == 5:
            value = number_bytes(rng)
            out[at : at + len(value)] = value
        elif kind == 6:
            word = words[rng.integers(len(words))]
            out[at : at + (len(word) if rng.integers(2) else 0)] = word
        elif kind == 7 and others:
            other = others[rng.integers(len(others))]
            begin = int(rng.integers(0, len(other) + 1))
            out[at:] = other[begin : begin + 100_000]
        elif rng.integers(20) == 0:
            out[at:at] = DEEP
    return bytes(out)


def hurt(parser, number):
    """The damaged bytes of an input."""
    rng = np.random.default_rng([number, zlib.crc32(parser.name.encode())])
    seeds = sound(parser.name)
    seed = seeds[rng.integers(len(seeds))]
    name, zero, inside = seed.partition(b"\0")
    if not zero:
        name, inside = b"", seed
    if inside[:1] == b"{" and rng.integers(5):  # JSON that stays JSON reaches what is behind the reader of JSON
        return name + zero + other_json(inside, rng)
    return damage(seed, rng, seeds, parser.dictionary)


ODD = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    10**30,
    "",
    "x",
    "../../x",
    "<b>",
    "\0",
    "9" * 400,
    [],
    [None],
    [[1]],
    {},
    {"a": 1},
    ["x"] * 50,
    "ö" * 99,
)


def other_json(data, rng):
    """JSON with some of its values or keys replaced, taken out, doubled or wrapped."""
    root = [json.loads(data)]
    for _ in range(min(4, int(rng.geometric(0.6)))):
        place, key = root, 0
        while isinstance(place[key], (dict, list)) and place[key] and rng.integers(6):
            place = place[key]
            key = list(place)[rng.integers(len(place))] if isinstance(place, dict) else int(rng.integers(len(place)))
        kind, odd = int(rng.integers(6)), copy.deepcopy(ODD[rng.integers(len(ODD))])
        if kind == 0 and isinstance(place, dict):
            place[str(odd)] = place.pop(key)
        elif kind == 1 and place is not root:
            del place[key]
        elif kind == 2:
            place[key] = [copy.deepcopy(place[key]) for _ in range(rng.integers(1, 4))]
        elif kind == 3 and isinstance(place[key], (int, float)):
            place[key] = NUMBERS[rng.integers(len(NUMBERS))]
        else:
            place[key] = odd
    return json.dumps(root[0]).encode()


@cache
def sound(name):
    """The sound files of a parser."""
    from fuzz_parsers import PARSERS

    return PARSERS[name].seeds()


# ---------------------------------------------------------------- one input


class Fault(AssertionError):
    """What must not happen: another error, too long, a message of several lines."""


def one(parser, number, folder):
    """Parse one damaged input; True when it was read, False when it was refused, Fault for anything else."""
    data = hurt(parser, number)
    begun = time.process_time()
    try:
        parser.parse(data, folder)
        read = True
    except InputError as error:
        read = False
        if "\n" in str(error) or not str(error).strip():
            raise Fault(f"{parser.name} {number}: not one line: {str(error)[:300]!r}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Fault(f"{parser.name} {number}: {type(error).__name__}: {str(error)[:300]}") from error
    took = time.process_time() - begun
    if took > SECONDS:
        raise Fault(f"{parser.name} {number}: {took:.1f} s")
    return read


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def try_many(parser, numbers):
    """(inputs, read, faults as a list of sentences, MB grown) of some inputs; sound ones are read first."""
    faults, read, tried = [], 0, 0
    with tempfile.TemporaryDirectory() as folder, quiet():
        folder = Path(folder)
        for data in sound(parser.name):
            parser.parse(data, folder)  # a seed that is refused would make this a test of nothing
        before = peak_megabytes()
        for number in numbers:
            tried += 1
            try:
                read += one(parser, number, folder)
            except Fault as fault:
                faults.append(str(fault))
        grown = peak_megabytes() - before
    if grown > MEGABYTES:
        faults.append(f"{parser.name}: grew by {grown:.0f} MB")
    return tried, read, faults, grown


@contextlib.contextmanager
def quiet():
    """Libraries in C write to standard error; warnings are theirs, too."""
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
        logging.disable(logging.NOTSET)


def main(words):
    """The whole run or a share of it; prints a line a parser."""
    from fuzz_parsers import PARSERS

    only = words[words.index("--only") + 1].split(",") if "--only" in words else list(PARSERS)
    first = int(words[words.index("--first") + 1]) if "--first" in words else 0
    share, total = float(words[-1]), sum(p.share for p in PARSERS.values())
    for name in only:
        parser, begun = PARSERS[name], time.perf_counter()
        count = max(1, round(share * WHOLE * parser.share / total))
        tried, read, faults, grown = try_many(parser, range(first, first + count))
        print(
            json.dumps(
                {
                    "parser": name,
                    "tried": tried,
                    "read": read,
                    "faults": len(faults),
                    "seconds": round(time.perf_counter() - begun),
                    "megabytes": round(grown),
                    "first": faults[:12],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]
    main(sys.argv[1:])
