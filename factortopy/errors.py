"""The one error that reaches a user, and the wish to stop, which is none."""


class InputError(ValueError):
    """Something the user can mend.

    The message is a single line: the thing (file or control), what was expected, what was found, what to do.
    Everything else that is raised is a fault of ours.
    """

    def __init__(self, message):
        # File names may hold line breaks; the line must stay one.
        super().__init__(" ".join(str(message).split()))


def unexpected(thing, expected, actual, remedy):
    """The ``InputError`` of a thing (file, setting, control) that is not as expected."""
    return InputError(f"{thing}: expected {expected}, found {actual}; {remedy}")


class Stopped(Exception):
    """Somebody asked long work to stop: ``on_progress`` returned False, a signal or a ``cancel`` file came. Never reaches a user."""
