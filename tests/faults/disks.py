"""Disks that are full, broken or forbidden: one line, nothing half-written, and the same bytes once it is mended.

ENOSPC comes from the kernel, on a tmpfs of a few hundred KiB (where one may be mounted). Short writes come from the
kernel as well: a limit on the size of a file, at which a write ends early and the next one fails. EIO and EACCES in the
middle of a run come from a shim around the calls of `events`; EACCES from the start is real, by another user.
"""

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import events
from .tiny import INTERRUPTED, Ended, Place, Tally, evenly

NOBODY = 65534


def break_disks(place: Place, count: int) -> list[Tally]:
    """A quarter of `count` for each kind of fault; what the system doesn't permit is left out and said."""
    share = max(1, count // 4)
    calls = [failing_calls(place, share, number) for number in (errno.EIO, errno.EACCES)]
    users = [foreign_folder(place)] if os.geteuid() == 0 else []
    return [full_disk(place, share), short_writes(place, share), *calls, *users]


def full_disk(place: Place, count: int) -> Tally:
    """A tmpfs that is too small for the run, from 4 KiB to what it needs; then it gets larger."""
    tally = Tally("ENOSPC, tmpfs")
    for path, share, expected in place.shares(count):
        folder = place.run(path)
        need = sum(entry.stat().st_size for entry in folder.iterdir()) * 3 // 1024
        larger = ["mount", "-o", "remount,size=64m", folder]
        for step in evenly(share, 40):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if not _mount(folder, f"size={4 + need * step // 40}k"):
                tally.counts["not permitted here"] = 1
                place.make(path)
                return tally
            try:
                mend = lambda larger=larger: subprocess.run(larger, check=True)  # noqa: E731
                _judge(tally, place, path, place.make(path), expected, mend=mend)
            finally:
                subprocess.run(["umount", folder], check=True)
        place.make(path, anew=True)
    return tally


def short_writes(place: Place, count: int) -> Tally:
    """A limit on the size of one file, from nothing to a little more than the largest."""
    tally = Tally("short writes, RLIMIT_FSIZE")
    for path, share, expected in place.shares(count):
        largest = 3 * max(entry.stat().st_size for entry in place.run(path).iterdir())
        for step in evenly(share, 40):

            def limit(size: int = max(largest * step // 40, 4096)) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                os.ftruncate(1, 0)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

            _judge(tally, place, path, place.make(path, limit, anew=True), expected)
    return tally


def failing_calls(place: Place, count: int, number: int) -> Tally:
    """One write, flush, renaming or removal fails, at moments spread evenly over the run."""
    tally = Tally(f"{errno.errorcode[number]}, shim")
    for path, share, expected in place.shares(count):
        names = events.names_of(place, path)
        moments = [moment for moment, name in enumerate(names) if "batch" not in name and "after" not in name]
        for turn in evenly(share, len(moments)):

            def strike(now: int, name: str, target: int = moments[turn]) -> None:
                if now == target:
                    raise OSError(number, os.strerror(number), "a file")

            first = place.make(path, lambda strike=strike: events.watch(strike), anew=True)
            _judge(tally, place, path, first, expected, names[moments[turn]])
    return tally


def foreign_folder(place: Place) -> Tally:
    """Another user, who may read everything and write nothing."""
    tally = Tally("EACCES, another user")
    if not all(parent.stat().st_mode & 0o001 for parent in [place.folder, *place.folder.parents]):
        tally.counts["not reachable here"] = 1
        return tally
    for path in INTERRUPTED:
        expected = place.digests(path)
        first = place.make(path, lambda: os.setuid(NOBODY))
        good = first.status == 4 and first.one_line(4)
        tally.add(good and place.digests(path) == expected, note=f"{path}: {first}")
    return tally


def _judge(
    tally: Tally, place: Place, path: str, first: Ended, expected: dict, what: str = "", mend: Callable = int
) -> None:
    well, seen = place.ends_well(path, expected, mend)
    outcome = what or ("one line" if first.status else "went through")
    tally.add(well and first.one_line(4), outcome, f"{path} {what}: first {first}, {seen}")


def _mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
