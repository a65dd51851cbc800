"""Loss of power, simulated: no process can make a disk forget, so a model of the disk does.

One undisturbed run is recorded: every flush with the file's content at that moment, every renaming and removal, every
flush of a folder. For a cut after any of these, the model gives a state that a journalling file system may show
afterwards: what was flushed is there, of the changes of names since the last flush of their folder only the first few
are, in order. That state is laid out as a real folder and the run is made again there.
"""

import os
import pickle
import random
import shutil
from pathlib import Path

from .tiny import Place, Tally, evenly


def record(book: Path) -> None:
    """In this process, append every operation that changes what a disk holds durably."""
    flush, rename, remove = os.fsync, os.replace, Path.unlink

    def note(*operation: object) -> None:
        with open(book, "ab") as file:
            pickle.dump(operation, file)

    def fsync(handle: int) -> None:
        flush(handle)
        path = os.readlink(f"/proc/self/fd/{handle}")
        note("folder", path) if os.path.isdir(path) else note("file", path, Path(path).read_bytes())

    def replace(source: str, target: str) -> None:
        rename(source, target)
        note("rename", str(source), str(target))

    def unlink(path: Path, **options) -> None:
        there = path.exists()
        remove(path, **options)
        if there:
            note("remove", str(path))

    os.fsync, os.replace, Path.unlink = fsync, replace, unlink


def state_after(operations: list[tuple], survive: random.Random) -> dict[str, bytes]:
    """Path to content as the disk may show it after a cut that follows `operations`."""
    content: dict[str, bytes] = {}  # of flushed files by the name they had
    durable: dict[str, bytes] = {}
    pending: list[tuple] = []

    def apply(operation: tuple) -> None:
        durable.pop(operation[1], None)
        if operation[0] == "rename":
            durable[operation[2]] = operation[3]

    for operation in operations:
        match operation:
            case ("file", path, flushed):
                content[path] = flushed
            case ("folder", path):
                for change in [change for change in pending if path in map(os.path.dirname, change[1:3])]:
                    apply(change)
                    pending.remove(change)
            case ("rename", source, target):
                content[target] = content.pop(source, b"")  # never flushed: an empty file
                pending.append((*operation, content[target]))
            case _:
                pending.append(operation)
    for change in pending[: survive.randint(0, len(pending))]:
        apply(change)
    return durable


def cut_power(place: Place, count: int) -> Tally:
    """`count` cuts spread evenly over the operations of the three kinds of run."""
    tally, survive = Tally("power cut (simulated)"), random.Random(0)
    for path, share, expected in place.shares(count):
        book, folder = place.folder / "operations", place.run(path)
        book.unlink(missing_ok=True)
        assert place.make(path, lambda book=book: record(book), anew=True).status == 0
        with open(book, "rb") as file:
            operations = []
            while file.peek(1):
                operations.append(pickle.load(file))
        for cut in evenly(share, len(operations) + 1):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for name, content in state_after(operations[:cut], survive).items():
                Path(name).parent.mkdir(exist_ok=True)
                Path(name).write_bytes(content)
            well, seen = place.ends_well(path, expected)
            tally.add(well, f"after {operations[cut - 1][0]}" if cut else "at once", f"{path}, cut {cut}: {seen}")
    return tally
