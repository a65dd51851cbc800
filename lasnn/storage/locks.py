"""One writer for each folder or file: a lock that ends with its process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lasnn.errors import InputError
from lasnn.storage import holders


@contextlib.contextmanager
def only_writer(path: Path | str, of: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; InputError in one line if another process holds it.

    The system drops the lock when the process ends, by kill -9 too, so a lock file that was left behind on this host
    is no obstacle. Where the system's locks are missing or lie (a network file system), the name in the file counts.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _taken(path, of)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full or broken disk must not hide what went wrong before
            path.unlink(missing_ok=True)
        os.close(handle)


def _taken(path: Path, of: str) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = holders.read(handle) or {}
            os.close(handle)
            named = [str(held.get(key) or "") for key in ("process", "host", "job")]
            raise InputError(_busy(of, *named)) from None
        except OSError:  # a network file system without locks: the name in the file has to do
            pass
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:  # its last holder may have removed it meanwhile
                if holder := holders.living(holders.read(handle)):
                    os.close(handle)
                    raise InputError(
                        f"{of} is being made by {holder}, as {path} says: wait for it; if that process is dead, remove "
                        "that file and run this again"
                    )
                holders.sign(handle)
                return handle
        os.close(handle)


def _busy(of: str, process: str, host: str, job: str) -> str:
    """What to say of a lock that a process holds, here or on another machine that shares the folder."""
    if job:
        who, end = f"Slurm job {job} on {host}", f"scancel {job}"
    elif host in ("", holders.host()):
        who, end = f"number {process or 'unknown'}", f"kill {process or 'unknown'}"
    else:
        who, end = f"number {process} on {host}", f"kill {process}"
    return (
        f"{of} is being made by another process ({who}): wait for it, or end it with `{end}`, which saves first, "
        "and run this again"
    )
