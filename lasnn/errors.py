"""The one exception that a user's input can cause."""


class InputError(ValueError):
    """Something a user typed, configured or supplied cannot be used.

    The message is one line in three parts: what was asked, what was found, what to do. The command line prints it
    as it is and exits with status 2; anything else that escapes is a defect of the program and shows its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows in place of a traceback."""
        return [f"error: {self}"]


def again(path: object) -> str:
    """What to type so that a file that can't be used is made again: what fits is left as it is."""
    return f"`snakemake --cores 1 {path}` makes it again"
