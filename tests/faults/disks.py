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
from pathlib import Path

from . import events
from .tiny import ANN, CONVERTED, INTERRUPTED, SNN, Ended, Place, Tally, evenly, half_written

NOBODY = 65534


def break_disks(place: Place, count: int) -> list[Tally]:
    """A quarter of `count` for each kind of fault; what the system doesn't permit is left out and said."""
    share = max(1, count // 4)
    return [
        full_disk(place, share),
        short_writes(place, share),
        failing_calls(place, share, errno.EIO),
        failing_calls(place, share, errno.EACCES),
        *([foreign_folder(place)] if os.geteuid() == 0 else []),
    ]


def full_disk(place: Place, count: int) -> Tally:
    """A tmpfs that is too small for the run, from 4 KiB to what it needs; then it gets larger."""
    tally = Tally("ENOSPC, tmpfs")
    for index, path in enumerate(INTERRUPTED):
        expected, folder = place.digests(path), place.run(path)
        need = sum(entry.stat().st_size for entry in folder.iterdir()) * 3 // 1024
        for step in evenly(count // 3 + (index < count % 3), 40):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if not _mount(folder, f"size={4 + need * step // 40}k"):
                tally.counts["not permitted here"] = 1
                place.make(path)
                return tally
            try:
                first = place.make(path)
                torn = half_written(folder)
                subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
                last = place.make(path)
                _judge(tally, place, path, first, last, expected, torn)
            finally:
                subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder)
        place.make(path)
    return tally


def short_writes(place: Place, count: int) -> Tally:
    """A limit on the size of one file, from nothing to a little more than the largest."""
    tally = Tally("short writes, RLIMIT_FSIZE")
    for index, path in enumerate(INTERRUPTED):
        expected, folder = place.digests(path), place.run(path)
        largest = 3 * max(entry.stat().st_size for entry in folder.iterdir())
        for step in evenly(count // 3 + (index < count % 3), 40):
            shutil.rmtree(folder)

            def limit(size: int = largest * step // 40) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                os.ftruncate(1, 0)
                resource.setrlimit(resource.RLIMIT_FSIZE, (max(size, 4096), max(size, 4096)))

            first = place.make(path, limit)
            torn = half_written(folder)
            last = place.make(path)
            _judge(tally, place, path, first, last, expected, torn)
    return tally


def failing_calls(place: Place, count: int, number: int) -> Tally:
    """One write, flush, renaming or removal fails, at moments spread evenly over the run."""
    tally = Tally(f"{errno.errorcode[number]}, shim")
    for index, path in enumerate(INTERRUPTED):
        expected, folder = place.digests(path), place.run(path)
        shutil.rmtree(folder)
        names = events.names_of(lambda before, path=path: place.make(path, before), place.folder / "moments")
        moments = [moment for moment, name in enumerate(names) if "batch" not in name and "after" not in name]
        for turn in evenly(count // 3 + (index < count % 3), len(moments)):
            shutil.rmtree(folder)

            def strike(now: int, name: str, target: int = moments[turn]) -> None:
                if now == target:
                    raise OSError(number, os.strerror(number), "a file")

            first = place.make(path, lambda strike=strike: events.watch(strike))
            torn = half_written(folder)
            last = place.make(path)
            _judge(tally, place, path, first, last, expected, torn, names[moments[turn]])
    return tally


def foreign_folder(place: Place) -> Tally:
    """Another user, who may read everything and write nothing."""
    tally = Tally("EACCES, another user")
    for parent in [place.folder, *place.folder.parents]:
        if not parent.stat().st_mode & 0o001:
            tally.counts["not reachable here"] = 1
            return tally
    for path in (ANN, CONVERTED, SNN):
        expected = place.digests(path)
        first = place.make(path, lambda: os.setuid(NOBODY))
        good = first.status == 4 and len(first.errors) == 1 and not first.traceback
        tally.add(good and place.digests(path) == expected, note=f"{path}: {first}")
    return tally


def _judge(
    tally: Tally,
    place: Place,
    path: str,
    first: Ended,
    last: Ended,
    expected: dict,
    torn: list[str],
    what: str = "",
) -> None:
    one_line = first.status == 0 or (first.status == 4 and len(first.errors) == 1)
    same = last.status == 0 and place.digests(path) == expected and not place.litter(path)
    good = one_line and not first.traceback and same and not torn
    outcome = "went through" if first.status == 0 else "one line"
    tally.add(good, what or outcome, f"{path} {what}: torn {torn}, first {first}, last {last}, {place.litter(path)}")


def _mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
