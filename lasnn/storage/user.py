"""What programs ask of their user: a name and a home, which a container that runs under a bare number lacks."""

import contextlib
import os
import pwd
import stat
import tempfile
from pathlib import Path

from lasnn.errors import InputError

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where Python looks, in this order, before it asks the system


def complete() -> None:
    """Give this process, and those that it starts, a name and a home where the system knows none.

    The home is a folder of this user alone among the temporary files, the same for every process of one machine.
    """
    number = os.getuid()
    if not any(map(os.environ.get, NAMES)):
        with contextlib.suppress(KeyError):
            pwd.getpwuid(number)
            return
        os.environ["USER"] = f"uid{number}"
    try:
        Path.home()
    except RuntimeError:
        place = Path(tempfile.gettempdir(), f"lasnn-{number}")
        with contextlib.suppress(OSError):
            place.mkdir(mode=0o700)
        os.environ["HOME"] = str(place) if _is_private(place) else tempfile.mkdtemp(prefix=f"lasnn-{number}-")


def expanded(path: str) -> Path:
    """A typed path, with the home that ~ or ~name means; InputError where the system knows none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: the system knows no such home: write the whole path") from None


def _is_private(place: Path) -> bool:
    found = place.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
