"""The door where what other libraries raise becomes the one error that reaches a user."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from factortopy.errors import InputError, Stopped
from factortopy.storage.machine import is_out_of_memory
from factortopy.wording import first_words

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("factortopy", "pages")  # packages whose own mistakes are no user's


@contextmanager
def door(thing: str, expected: str, remedy: str, answers_memory: bool = False) -> Iterator[None]:
    """Whatever another library raises on a user's input inside becomes one ``InputError``; its cause is kept.

    thing, expected, remedy : as in ``errors.unexpected``; what was found is the library's own words
    answers_memory : the caller answers too little memory itself (by smaller pieces): such an error passes as it is

    Raises
    ------
    InputError
        ``__cause__`` is the library's error. What is ours passes as it is: InputError, Stopped, and an error that our own
        lines raise: a fault to be seen as one.
    """
    try:
        yield
    except (InputError, Stopped):
        raise
    except Exception as error:  # libraries raise any class: that is what the door is for
        if is_out_of_memory(error):
            if answers_memory:
                raise
            raise InputError(
                f"{thing}: expected memory for it, found too little ({in_one_line(error)}); close other programs, or choose a smaller one"
            ) from error
        if is_ours(error):
            raise
        raise InputError(f"{thing}: expected {expected}, found {in_one_line(error)}; {remedy}") from error


def is_ours(error: BaseException) -> bool:
    """True for an error whose innermost Python frame is ours; a library that is not installed is not our mistake."""
    if isinstance(error, ImportError):
        return str(error.name or "").split(".")[0] in OURS
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__")).split(".")[0] in OURS


def in_one_line(error: BaseException, most: int = 200) -> str:
    """A library's error for people: its class and its words."""
    words, kind = first_words(error, most).rstrip(".;"), type(error).__name__
    return words if kind in words else f"{kind}: {words}"
