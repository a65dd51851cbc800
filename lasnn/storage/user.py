"""What programs ask of their user: a name, which a container that runs under a bare number lacks, and a home."""

import getpass
import os
from pathlib import Path

from lasnn.errors import InputError


def complete() -> None:
    """Give this process, and those that it starts, a name where the system knows none: Snakemake asks for one."""
    try:
        getpass.getuser()
    except KeyError:
        os.environ["USER"] = f"uid{os.getuid()}"


def expanded(path: str) -> Path:
    """A typed path, with the home that ~ or ~name means; InputError where the system knows none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: the system knows no such home: write the whole path") from None
