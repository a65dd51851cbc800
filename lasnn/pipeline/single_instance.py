"""Whether another `snakemake` is at work in this folder, and what a killed one left behind.

Snakemake's own lock is a file that outlives its process: after kill -9 or a loss of power it stops the next call.
Beside it each call holds a lock of the system, which ends with the process: so a lock that nobody holds is known.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.workflow import command_line
from lasnn.storage import holders

_held: list[int] = []  # open as long as the process


def claim(folder: Path, say: Callable[[str], None]) -> None:
    """Announce this process in `folder` (.snakemake) for as long as it lives.

    Locks that a dead process left are removed, and `say` gets one line. InputError if a living one is at work (or one
    of another host, whose death can't be seen from here), unless this call only looks (a dry run, say).
    """
    locks, options = folder / "locks", command_line()
    looks = options is None or options.dryrun or options.unlock or options.nolock
    try:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder / "lasnn.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(
            f"{Path.cwd() / folder} can't be written ({error.strerror}), and Snakemake keeps its notes there: work in "
            "a folder of your own, `snakemake --snakefile PATH/workflow/Snakefile --directory FOLDER`"
        ) from None
    _held.append(handle)
    alone, honest = True, True
    try:
        alone = _try(handle, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        honest = False
    holder = holders.living(holders.read(handle))
    busy = locks.is_dir() and any(locks.iterdir())
    if busy and not looks and (holder or not alone):
        where = f" ({holder})" if holder else ""
        dead = "; if that process is dead, `snakemake --unlock`" if holder and " on " in holder else ""
        raise InputError(
            f"another snakemake is at work in this folder{where}: wait until it ends, or end it with Ctrl-C, which "
            f"saves first{dead}"
        )
    if busy and alone and not holder and (honest or holders.read(handle)):
        shutil.rmtree(locks, ignore_errors=True)
        say("a killed snakemake left its lock here; no process holds it: removed, and the work goes on")
    if not looks:
        holders.sign(handle)
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_SH)


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
