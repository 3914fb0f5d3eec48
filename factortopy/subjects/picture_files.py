"""Are the picture files of a data set whole? The ends of all are looked at, and a sample or all of them decoded."""

import os

import numpy as np

from factortopy.errors import InputError
from factortopy.formats.problems import STOPS, Problem
from factortopy.pictures.reading import read_image
from factortopy.subjects.progress import each
from factortopy.wording import count, first_few, safe_label, shown_path

SAMPLE = 24  # pictures that are decoded, evenly spread
_LISTED = 5  # damaged ones with a line of their own


def examine_files(examination, folder, paths, what="picture"):
    """True when all files are whole pictures; problems and what was looked at are noted in ``examination``.

    Parameters
    ----------
    examination : Examination
        With ``thorough`` all are decoded, which finds damage anywhere; else ``SAMPLE`` of them.
    folder : Path that all lie below
    paths : list of Path
    what : noun, "picture" or "frame"
    """

    def short(paths):
        return first_few(shown_path(path.relative_to(folder)) for path in paths)

    cut = [path for path in each(paths, f"looking at the ends of the {what} files") if not looks_whole(path)]
    if cut:
        text = f"{len(cut):,} cut off or of another kind ({short(cut)})"
        examination.stop(folder, f"whole PNG or JPEG {what}s", text, "copy or download them again")
        return False
    chosen = spread(len(paths), len(paths) if examination.thorough else SAMPLE)
    damaged = []
    for i in each(chosen, f"decoding {what}s"):
        try:
            read_image(paths[i])
        except InputError as error:
            damaged.append(paths[i])
            if len(damaged) <= _LISTED:
                where, words = shown_path(paths[i]), str(error).removeprefix(f"picture {safe_label(paths[i])!r}: ")
                examination.problems.append(Problem(STOPS, where, "", f"{where}: {words}", ""))
    if len(damaged) > _LISTED:
        text = f"{len(damaged) - _LISTED:,} more damaged ones ({short(damaged[_LISTED:])})"
        examination.stop(folder, f"whole {what}s", text, "copy or download them again")
    note_decoded(examination, len(chosen), len(paths), what)
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
    """Signature at the start and end mark at the end; decoding 10,000 pictures would take minutes."""
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
