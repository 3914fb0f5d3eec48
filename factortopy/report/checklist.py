"""The verdicts on findings of "Brain Decodes Deep Nets": what the report's numbers decide, with wrong verdicts held down over all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from factortopy.analysis.chance import discovery_rates
from factortopy.report.claims import CLAIMS, UNTESTED
from factortopy.report.missing import NO_RULE, UNDECIDED, Missing
from factortopy.report.tried import Tried

if TYPE_CHECKING:
    pass

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be tested here"
RATE = 0.05  # false discovery rate over the verdicts "holds", and over "does not hold"


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim (HOLDS, FAILS or OPEN), with what the claim says of itself.

    ``explanation``: the numbers that the verdict rests on; of OPEN what is missing
    ``why``: of OPEN which kind of thing that is (``Missing.why``), else ""
    ``p`` : chance (one-sided) of such numbers if the verdict were wrong, before the correction for many; None where nothing was tried
    """

    claim: str
    source: str
    figures: tuple[str, ...]
    rule: str
    verdict: str
    explanation: str
    why: str = ""
    p: float | None = None


def checklist(evidence, claims=CLAIMS):
    """All claims judged.

    A claim holds, or does not, where its test excludes the other; over all claims that were tried, the expected share of wrong ones among
    "holds", and among "does not hold", is ``RATE`` at most (Benjamini and Hochberg). What neither test excludes is OPEN.

    Parameters
    ----------
    evidence : Evidence, of a report
    claims : tuple of Claim, optional

    Returns
    -------
    list of Finding, one a claim
    """
    outcomes = [claim.judge(evidence) for claim in claims]
    tests = np.array([o.test for o in outcomes if isinstance(o, Tried)]).reshape(-1, 2)
    rates = iter(np.stack([discovery_rates(column) for column in tests.T], 1) if len(tests) else ())
    out = []
    for claim, result in zip(claims, outcomes, strict=True):
        words = claim.claim, claim.source, claim.figures, claim.rule
        if isinstance(result, Missing):
            out.append(Finding(*words, OPEN, result.what, result.why))
            continue
        decided, numbers = next(rates) <= RATE, re.sub(r"(^|[ (])-(?=\d)", "\\1−", result.numbers)
        if decided[0] == decided[1]:
            out.append(
                Finding(*words, OPEN, f"the numbers exclude neither: {numbers}", UNDECIDED, float(min(result.test)))
            )
        else:
            out.append(
                Finding(*words, HOLDS if decided[0] else FAILS, numbers, "", float(result.test[0 if decided[0] else 1]))
            )
    return out


def untested():
    """Findings of the paper that no rule tests, as list of ``Finding``."""
    return [Finding(claim, source, (), "", OPEN, why, NO_RULE) for claim, source, why in UNTESTED]
