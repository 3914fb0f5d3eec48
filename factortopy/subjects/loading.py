"""A subject by name or from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factortopy.subjects.names import DENSITY, demo_number

if TYPE_CHECKING:
    from pathlib import Path

    from factortopy.subjects.subject import Subject


def load_subject(
    path: str | Path, subject: str | None = None, density: str = DENSITY, trials: str | None = None
) -> Subject:
    """A subject by name or from a folder.

    Parameters
    ----------
    path : str or path
        "demo" (= "demo-1"), "demo-2", "demo-3", or a folder: it is recognised by its files, also from the folder above
        or from one inside it. These names win over folders that are called the same: give ``./demo`` for those.
    subject : str, optional
        "subj05" where the folder holds several; without it the only one.
    density : str
        Surface density at which measured data are drawn and trained: "164k", "41k" or "10k" (the first vertices of each
        hemisphere, a quick look). Data that are coarser stay as they are.
    trials : str, optional
        What a row of NSD's responses is: "single" trials (default), the "mean" of a picture's repeats, or "paper": single
        trials of all but the last three sessions, as the paper split them.

    Returns
    -------
    factortopy.subjects.subject.Subject

    Raises
    ------
    InputError
        What was expected, what was found, what to do.
    """
    number = demo_number(path)
    if number is not None:
        from factortopy.subjects.demo import load_demo

        if trials not in (None, "single"):
            from factortopy.formats.problems import stop

            raise stop("trials", "single", f"{str(trials)[:40]!r} for a demo subject", "leave it out")
        return load_demo(number)
    from factortopy.subjects.layouts import find

    layout, folder = find(path, subject)
    return layout.to_subject(layout.look(folder, trials), density)


def check_name(path, subject=None):
    """Raise InputError when there is no such subject; of a folder only its layout is looked at."""
    if demo_number(path) is None:
        from factortopy.subjects.layouts import find

        find(path, subject)
