"""One writer for each folder or file: a lock of the system that ends with its process, however that ends."""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from lasnn.errors import InputError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # as some network file systems are


@contextlib.contextmanager
def only_writer(path: Path | str, of: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; InputError in one line if another process holds it.

    The system drops the lock when the process ends, by kill -9 too, so a lock file that was left behind is no
    obstacle. It names its holder to the one that comes second.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = taken(path, f"{of} is being made by another process")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a full or broken disk must not hide what went wrong before
            path.unlink(missing_ok=True)  # while it is held: who waits sees that its file has no name any more
            lock.release()


def taken(path: Path, busy: str) -> BaseFileLock:
    """The lock `path`, held until it is released or the process ends; InputError (`busy`) if another one holds it."""
    try:
        return _acquired(path)
    except Timeout as error:
        raise InputError(f"{busy} {_advice(_holder(path), error.lock_file)}, and run this again") from None


def _acquired(path: Path) -> BaseFileLock:
    lock: BaseFileLock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        path.unlink(missing_ok=True)
        lock = SoftFileLock(f"{path}.held", timeout=0.2)  # this file itself is the lock, and names its process
        lock.acquire()
        return lock
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
        me = {"process": os.getpid(), "host": _host(), "job": os.environ.get("SLURM_JOB_ID", "")}
        path.write_text(json.dumps(me), encoding="utf-8")
    return lock


def _holder(path: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _host() -> str:
    """This machine, as others that share a folder know it."""
    return socket.gethostname().split(".")[0] or "unknown"


def _advice(holder: dict[str, object], file: str) -> str:
    """Which process holds a lock, here or on another machine that shares the folder, and how to end it."""
    process, host, job = (str(holder.get(key) or "") for key in ("process", "host", "job"))
    if not process:
        return f"(as {file} says): wait for it, or remove that file if no process is at work any more"
    if job:
        who, end = f"Slurm job {job} on {host}", f"scancel {job}"
    else:
        who, end = f"number {process}{'' if host == _host() else f' on {host}'}", f"kill {process}"
    return f"({who}): wait for it, or end it with `{end}`, which saves first"
