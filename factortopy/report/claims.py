"""What a finding of a paper is here, and which networks may be set against each other to test one."""

import re
from dataclasses import dataclass

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be tested here"
NOT_ASKED, RUNS, PAPERS, SUBJECT = (
    "Not asked for", "Needs other runs", "Needs NSD or the papers' networks", "Cannot be had from this subject"
)  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """What is missing to test a finding: ``why`` one of NOT_ASKED, RUNS, PAPERS, SUBJECT; ``told`` in words."""

    why: str
    told: str


@dataclass(frozen=True)
class Finding:
    """A claim, where it is from, the figures that test it, the rule, the verdict and the numbers it rests on.

    ``why``: where it cannot be tested, which kind of thing is missing (``Missing.why``); else "".
    """

    claim: str
    source: str
    figures: tuple
    rule: str
    verdict: str
    told: str
    why: str = ""


def finding(claim, source, figures, rule, outcome):
    """``outcome``: (True or False, words), or Missing where it cannot be told."""
    if isinstance(outcome, Missing):
        return Finding(claim, source, figures, rule, OPEN, outcome.told, outcome.why)
    held, told = outcome
    told = re.sub(r"(^|[ (])-(?=\d)", "\\1−", told)
    return Finding(claim, source, figures, rule, HOLDS if held else FAILS, told)


def trained(seen, names):
    networks = seen.get("networks", {})
    return [name for name in names if networks.get(name, {}).get("trained", True)]


def alike(seen, names):
    """Trained networks that can be set against each other: each once, all fitted in one way (the way that most of ``names`` have)."""
    networks, ways = seen.get("networks", {}), {}
    for name in trained(seen, names):
        told = networks.get(name, {})
        ways.setdefault(told.get("fit", ""), {}).setdefault(told.get("network", name), name)
    return list(max(ways.values(), key=len, default={}).values())


def network(seen, name):
    return seen.get("networks", {}).get(name, {}).get("network", name)


def objective(seen, name):
    return seen.get("networks", {}).get(name, {}).get("objective", network(seen, name))


def differ(seen, names):
    """Whether there are networks of different training among these."""
    return len({objective(seen, name) for name in names}) > 1
