"""One writer for each folder or file: a lock that ends with its process, however that ends."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from lasnn.errors import InputError


@contextlib.contextmanager
def only_writer(path: Path | str, of: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; InputError in one line if another process holds it.

    The system drops the lock when the process ends, by kill -9 too, so a lock file that was left behind is no
    obstacle. A file system without locks is used without.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _taken(path, of)
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):  # a full or broken disk must not hide what went wrong before
                path.unlink(missing_ok=True)
            os.close(handle)


def _taken(path: Path, of: str) -> int | None:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").split()
            os.close(handle)
            raise InputError(_busy(of, *holder)) from None
        except OSError:  # a network file system without locks
            os.close(handle)
            return None
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:  # its last holder may have removed it meanwhile
                with contextlib.suppress(OSError):  # a full disk: the lock holds without its number
                    os.truncate(handle, 0)
                    os.pwrite(handle, f"{os.getpid()} {_host()} {os.environ.get('SLURM_JOB_ID', '')}\n".encode(), 0)
                return handle
        os.close(handle)


def _busy(of: str, process: str = "unknown", host: str = "", job: str = "") -> str:
    """What to say of a lock that a process holds, here or on another machine that shares the folder."""
    if job:
        who, end = f"Slurm job {job} on {host}", f"scancel {job}"
    elif host in ("", _host()):
        who, end = f"number {process}", f"kill {process}"
    else:
        who, end = f"number {process} on {host}", f"kill {process}"
    return (
        f"{of} is being made by another process ({who}): wait for it, or end it with `{end}`, which saves first, "
        "and run this again"
    )


def _host() -> str:
    return socket.gethostname().split(".")[0] or "unknown"
