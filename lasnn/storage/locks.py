"""One writer for each folder or file: a lock that ends with its process, however that ends."""

import contextlib
import fcntl
import os
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
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise InputError(
                f"{of} is being made by another process (number {holder}): wait for it, or end it with "
                f"`kill {holder}`, which saves first, and run this again"
            ) from None
        except OSError:  # a network file system without locks
            os.close(handle)
            return None
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:  # its last holder may have removed it meanwhile
                with contextlib.suppress(OSError):  # a full disk: the lock holds without its number
                    os.truncate(handle, 0)
                    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                return handle
        os.close(handle)
