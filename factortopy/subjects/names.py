"""What subjects are called: the demo subjects, the usual density, two names of one subject."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


DEMO_SUBJECTS = ("demo-1", "demo-2", "demo-3")  # "demo" is the first
DENSITY = "164k"  # at which measured data are drawn and trained: full resolution; "10k" is a quick look


def demo_number(path: str | Path) -> int | None:
    """1, 2 or 3 for the name of a demo subject, None for anything else; InputError for "demo-4"."""
    match = re.fullmatch(r"demo(?:-(\w+))?", path) if isinstance(path, str) else None
    if not match:
        return None
    name = "demo-1" if path == "demo" else path
    if name not in DEMO_SUBJECTS:
        from factortopy.formats.problems import stop

        raise stop("subject", f"one of {', '.join(DEMO_SUBJECTS)}", repr(path), "choose one of these")
    return DEMO_SUBJECTS.index(name) + 1


def same_subject(name, wanted):
    """subj05, subj5, "05" and 5 are the same."""
    name, wanted = str(name).lower(), str(wanted).lower()
    if name == wanted:
        return True
    digits = "".join(letter for letter in wanted if letter.isdigit())
    plain = not wanted.strip("0123456789") or wanted.rstrip("0123456789") in ("subj", "subject", "sub", "sub-", "s")
    return bool(plain and digits and name.rstrip("0123456789") == "subj" and int(name[4:] or -1) == int(digits))
