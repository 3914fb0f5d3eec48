"""Are the picture files of a data set whole? The ends of all are looked at; those that look odd and a sample, or all, are decoded."""

import os

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.problems import STOPS, Problem
from factortopy.pictures.reading import read_image
from factortopy.subjects.progress import each
from factortopy.wording import count, first_few, safe_label, shown_path

SAMPLE = 24  # pictures that are decoded, evenly spread
_LISTED = 5  # damaged ones with a line of their own
_ENOUGH = 100  # damaged ones after which a look that is not thorough ends: 70,000 in another format would take an hour


def examine_files(examination, folder, paths, what="picture"):
    """True when all files are whole pictures; problems and what was looked at are noted in ``examination``.

    Parameters
    ----------
    examination : Examination
        With ``thorough`` all are decoded, which finds damage anywhere; else ``SAMPLE`` of them, and those whose ends look odd:
        only the reader says what is damaged (bytes behind a picture's end are none of its own).
    folder : Path that all lie below
    paths : list of Path
    what : noun, "picture" or "frame"
    """

    def short(paths):
        return first_few(shown_path(path.relative_to(folder)) for path in paths)

    odd = [i for i, path in enumerate(each(paths, f"looking at the ends of the {what} files")) if not looks_whole(path)]
    sample = spread(len(paths), len(paths) if examination.thorough else SAMPLE)
    chosen = np.union1d(sample, odd).astype(int)
    damaged = []
    for i in each(chosen, f"decoding {what}s"):
        if len(damaged) == _ENOUGH and not examination.thorough:
            break
        try:
            read_image(paths[i])
        except InputError as error:
            damaged.append(paths[i])
            if len(damaged) <= _LISTED:
                where, words = shown_path(paths[i]), str(error).removeprefix(f"picture {safe_label(paths[i])!r}: ")
                examination.problems.append(Problem(STOPS, where, "", f"{where}: {words}", ""))
    if len(damaged) > _LISTED:
        more = " or more" if len(damaged) == _ENOUGH else ""
        text = f"{len(damaged) - _LISTED:,}{more} besides these that cannot be read ({short(damaged[_LISTED:])})"
        examination.stop(folder, f"whole {what}s", text, f"mend them like the first {_LISTED}")
    note_decoded(examination, len(paths if len(chosen) == len(paths) else sample), len(paths), what)
    return not damaged


def note_decoded(examination, n, total, what="picture"):
    """Note in ``examination`` how many of the pictures were decoded."""
    examination.sampled |= n < total
    every = f"all {count(total, what)} decoded" if total > 1 else f"{count(total, what)} decoded"
    examination.looked_at.append(every if n == total else f"{n:,} of {count(total, what)} decoded, evenly spread")


def spread(n, most):
    """(k,) at most ``most`` of the numbers 0 … n − 1, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).astype(int)) if n else np.arange(0)


def looks_whole(path):
    """Signature at the start and end mark at the end, which is a hint: decoding 10,000 pictures would take minutes."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            file.seek(0, os.SEEK_END)
            file.seek(-min(64, file.tell()), os.SEEK_END)
            end = file.read()
    except OSError:
        return False
    if start == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in end
    return start[:3] == b"\xff\xd8\xff" and b"\xff\xd9" in end
