"""The one error that reaches a user."""


class InputError(ValueError):
    """Something the user can mend.

    The message is a single line: the thing (file or control), what was expected, what was found, what to do.
    Everything else that is raised is a fault of ours.
    """

    def __init__(self, message):
        # File names may hold line breaks; the line must stay one.
        super().__init__(" ".join(str(message).split()))
