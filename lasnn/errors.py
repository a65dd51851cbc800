"""The one exception that a user's input can cause."""


class InputError(ValueError):
    """Something a user typed, configured or supplied cannot be used.

    The message is one line in three parts: what was asked, what was found, what to do. The command line prints it
    as it is and exits with status 2; anything else that escapes is a defect of the program and shows its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows in place of a traceback."""
        return [f"error: {self}"]
