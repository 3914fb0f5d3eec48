"""Subjects: who looked at which pictures and how the cortex answered; one module a source."""

import re

DEMO_SUBJECTS = ("demo-1", "demo-2", "demo-3")  # "demo" is the first
DENSITY = "164k"  # at which measured data are drawn and trained: full resolution; "10k" is a quick look


def load_subject(path, subject=None, density=DENSITY):
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

        return load_demo(number)
    from factortopy.subjects.layouts import find

    layout, folder = find(path, subject)
    return layout.to_subject(layout.examine(folder), density)


def demo_number(path):
    """1, 2 or 3 for the name of a demo subject, None for anything else; InputError for "demo-4"."""
    match = re.fullmatch(r"demo(?:-(\w+))?", path) if isinstance(path, str) else None
    if not match:
        return None
    name = "demo-1" if path == "demo" else path
    if name not in DEMO_SUBJECTS:
        from factortopy.subjects.findings import stop

        raise stop("subject", f"one of {', '.join(DEMO_SUBJECTS)}", repr(path), "choose one of these")
    return DEMO_SUBJECTS.index(name) + 1
