"""Why something cannot be shown or tested in a report."""

from dataclasses import dataclass

NOT_ASKED, RUNS, PAPERS, SUBJECT = (
    "Not asked for", "Needs other runs", "Needs NSD or the papers' networks", "Cannot be had from this subject"
)  # fmt: skip
UNDECIDED, NO_RULE = "Measured, and not decided", "Without a rule here"


@dataclass(frozen=True)
class Missing:
    """What is missing: ``why`` one of NOT_ASKED, RUNS, PAPERS, SUBJECT, UNDECIDED, NO_RULE; ``what`` in words."""

    why: str
    what: str
