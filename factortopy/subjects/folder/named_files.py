"""The files that a column of a table names: pictures and films below a folder, each name taken for the one file that it can mean."""

import os
import re
from pathlib import Path

from factortopy.formats.names import FileNames
from factortopy.formats.problems import stop, warn
from factortopy.formats.tables import NOTHING
from factortopy.storage.names import is_inside
from factortopy.wording import count, first_few, safe_label, shown_path


def names_below(folder, wanted, endings):
    """Names of the files below a folder, with "/" between their parts: those with one of the endings, and any that is wanted as it is."""
    wanted, names, seen = set(wanted), [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        if here in seen:  # a link that leads up again
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = Path(place).relative_to(folder).as_posix()
        for file in sorted(files):
            name = file if inner == "." else f"{inner}/{file}"
            if name in wanted or (file.lower().endswith(endings) and not file.startswith(".")):
                names.append(name)
    return names


def matched_files(problems, table, column, folder, names, noun="picture"):
    """Which file below ``folder`` each name in a column of the table means.

    Parameters
    ----------
    problems : list
        Problems are added: names that mean none or several, which stops, and names that differ from their files'.
    names : names of what is below the folder
    noun : "picture" or "film"; cells of films may be empty, where the screen was grey

    Returns
    -------
    dict
        {name: name of the file}, in the order of their first rows; None where one means no file
    """
    wanted = [name for name in dict.fromkeys(table[column]) if noun == "picture" or name.lower() not in NOTHING]
    matches = FileNames(names, folder.name).match(wanted)
    where = dict(reversed(list(zip(table[column], table.lines, strict=True))))
    if matches.missing:
        hints = [f"{_shown(name)}{words} in line {where[name]:,}" for name, words in matches.missing.items()]
        text = f"{count(len(hints), noun)} that {'does' if len(hints) == 1 else 'do'} not exist: {first_few(hints)}"
        remedy = f"copy the {noun}s, or correct the names"
        if any(not is_inside(name) for name in matches.missing if name):
            remedy = f"give names below {folder.name}/"
        if all(re.fullmatch(r"\d+(\.0)?", name) for name in matches.missing):
            remedy = f"a number may mean several {noun}s: write their files' names"
        what = "names of files" if noun == "picture" else "films or folders of frames"
        problems.append(stop(table.path, f"{what} in {folder.name}/ in column {column!r}", text, remedy).problem)
        return None
    if matches.differing:
        name, how = next(iter(matches.differing.items()))
        text = (
            f"{count(len(matches.differing), 'name')} written otherwise ({how}): {_shown(name)} in line {where[name]:,}"
        )
        remedy = f"taken for {shown_path(matches.files[name])}, the only one like it"
        problems.append(warn(table.path, f"names as the files in {folder.name}/ have them", text, remedy))
    return matches.files


def _shown(name):
    """The whole of a name that is a path, as far as a line has room."""
    return safe_label(name.replace("\\", "/").replace("/", "∕")).replace("∕", "/") if name else "nothing"
