"""Where the project lies: the folder with config.yaml, which a script may be far from."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import CONFIG, PASSED_ON, Config, read

PACKAGE = Path(__file__).parents[2]  # the checkout, unless the package was copied elsewhere, as `pip install .` does


def find(near: Path | None = None) -> Path | None:
    """The nearest folder with config.yaml: from `near` up, from the working folder up, then the package's checkout."""
    if PASSED_ON in os.environ:  # a job of the workflow is where it should be
        return Path.cwd()
    places = [*((near, *near.parents) if near else ()), Path.cwd(), *Path.cwd().parents, PACKAGE]
    return next((place for place in places if (place / CONFIG).is_file()), None)


def root(near: Path | None = None) -> Path:
    """The same; InputError if there is none."""
    if (found := find(near)) is None:
        raise InputError(
            f"no {CONFIG} in {Path.cwd()} or above it, and this lasnn came without its project: start in a clone, or "
            "`pip install -e` one"
        )
    return found


@contextlib.contextmanager
def inside(near: Path | None = None) -> Iterator[Config]:
    """The configuration of that project, whose relative folders hold in the block: it is the working folder there."""
    with contextlib.chdir(root(near)):
        yield read()
