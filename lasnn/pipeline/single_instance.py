"""Whether another `snakemake` is at work in this folder, and what a killed one left behind.

Snakemake's own lock is a file that outlives its process: after kill -9 or a loss of power it stops the next call.
Beside it each call holds a lock of the system, which ends with the process: so a lock that nobody holds is known.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.workflow import command_line

_held: list[int] = []  # open as long as the process


def claim(folder: Path, say: Callable[[str], None]) -> None:
    """Announce this process in `folder` (.snakemake) for as long as it lives.

    Locks that a dead process left are removed, and `say` gets one line. InputError if a living one is at work, unless
    this call only looks (a dry run, say).
    """
    locks = folder / "locks"
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder / "lasnn.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _held.append(handle)
        alone = _try(handle, fcntl.LOCK_EX)
        if alone and locks.is_dir() and any(locks.iterdir()):
            shutil.rmtree(locks)
            say("a killed snakemake left its lock here; no process holds it: removed, and the work goes on")
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:  # a file system without locks, a folder that can't be written: Snakemake's own lock has to do
        return
    options = command_line()
    looks = options is None or options.dryrun or options.unlock or options.nolock
    if not alone and not looks and locks.is_dir() and any(locks.iterdir()):
        raise InputError(
            "another snakemake is at work in this folder: wait until it ends, or end it with Ctrl-C, which saves first"
        )


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
