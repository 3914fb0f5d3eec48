"""Which folders of this machine the app may open for those who type a path: all on this machine alone, else the listed ones.

Whoever sits at the machine may open every folder that the system lets them. Once others can reach the app
(``confine``, or ``FACTORTOPY_FOLDERS`` set), a path that comes from a page, a protocol or a run's description is opened only
inside the folders listed in ``FACTORTOPY_FOLDERS``. Demo subjects, uploads and what FactorTopy keeps itself need no path.
"""

import ipaddress
import os
from pathlib import Path

from factortopy.errors import InputError
from factortopy.storage.names import as_path

LISTED = "FACTORTOPY_FOLDERS"  # separated as in PATH; empty: none


def beyond_this_machine(address):
    """True when a server that listens on ``address`` can be reached from other machines; None and "" are all interfaces."""
    address = (address or "").strip().strip("[]")
    if address == "localhost" or address.startswith("unix:"):
        return False
    try:
        return not ipaddress.ip_address(address.split("%")[0]).is_loopback
    except ValueError:  # a name: what it means is known to the system alone
        return True


def confine():
    """From now on, in this process and those it starts, open listed folders alone; what is listed already stays."""
    os.environ.setdefault(LISTED, "")


def confined():
    """True when paths are opened inside the listed folders alone."""
    return LISTED in os.environ


def listed():
    """The folders that may be opened, as absolute paths without links."""
    named = os.environ.get(LISTED, "").split(os.pathsep)
    return [Path(name.strip()).expanduser().resolve() for name in named if name.strip()]


def permitted(path, what="folder"):
    """The path as it was given, when it may be opened.

    Parameters
    ----------
    path : str or path
        As a person typed it, or as a file from outside names it.
    what : str
        What it is for, in messages.

    Raises
    ------
    InputError
        When it leads outside the listed folders, by ``..``, a link or otherwise. What lies there is not looked at, so that
        the answer tells nothing about it.
    """
    if not is_permitted(path):
        may = ", ".join(str(root) for root in listed()) or f"none; whoever started the app lists them in {LISTED}"
        raise InputError(
            f"{what} {str(path)[:200]!r}: expected a path inside the folders that this app may open ({may}), found one outside; "
            "choose another or upload what you need"
        )
    return path


def typed(path, what="folder"):
    """``Path`` of what a person typed, ``~`` read as in a shell, permitted; InputError where it can be no path."""
    return as_path(permitted(path, what), what)


def files_in(folder, endings):
    """Files of a typed folder whose names end so, sorted; InputError where there are none."""
    place, shown = typed(folder), f"folder {str(folder)[:200]!r}"
    try:
        files = sorted(p for p in place.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))
    except FileNotFoundError:
        raise InputError(f"{shown}: expected a folder, found nothing there; check the path") from None
    except NotADirectoryError:
        raise InputError(f"{shown}: expected a folder, found a file; name the folder that holds it") from None
    except OSError as error:
        raise InputError(
            f"{shown}: expected a folder that can be read, found: {error.strerror}; check its permissions"
        ) from None
    if not files:
        raise InputError(f"{shown}: expected files that end in {', '.join(endings)}, found none; choose another folder")
    return files


def is_permitted(path):
    """Whether ``permitted`` would let the path pass."""
    return not confined() or any(_inside(path, root) for root in listed())


def _inside(path, root):
    """First by its letters, so that nothing outside is touched, then by where it leads."""
    try:
        path = Path(path).expanduser()
        plain = Path(os.path.normcase(os.path.abspath(path)))
        return plain.is_relative_to(os.path.normcase(root)) and path.resolve().is_relative_to(root)
    except (OSError, ValueError, RuntimeError, TypeError):  # a loop of links, a zero byte, no home folder
        return False
