"""The moments at which a process can be struck: before and after every batch, write, flush, renaming and removal."""

import os
from collections.abc import Callable
from pathlib import Path

from lasnn.storage import files
from lasnn.training import loop

from .tiny import Place

Strike = Callable[[int, str], None]


def watch(strike: Strike) -> None:
    """In this process, call `strike(number, name)` at every moment. For a forked child: nothing is undone."""
    count = 0

    def moment(name: str) -> None:
        nonlocal count
        strike(count, name)
        count += 1

    def around(call: Callable, name: str) -> Callable:
        def called(*arguments, **named):
            moment(f"before {name}")
            result = call(*arguments, **named)
            moment(f"after {name}")
            return result

        return called

    loop.update = around(loop.update, "batch")
    os.fsync, os.replace = around(os.fsync, "flush"), around(os.replace, "renaming")
    Path.unlink = around(Path.unlink, "removal")
    opened = os.fdopen

    def watched(*arguments, **named):
        file = opened(*arguments, **named)
        return Halves(file, moment) if "w" in arguments[1:2] or "wb" in arguments[1:2] else file

    files.os.fdopen = watched


class Halves:
    """A file that writes each block in two halves, with a moment between them."""

    def __init__(self, file, moment: Callable[[str], None]):
        self.file, self.moment = file, moment

    def write(self, content) -> int:
        content = memoryview(content)
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        self.moment("half a write")
        return half + self.file.write(content[half:])

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *exception):
        return self.file.__exit__(*exception)

    def __getattr__(self, name: str):
        return getattr(self.file, name)


def names_of(place: Place, path: str) -> list[str]:
    """The moments of a run that nothing disturbs, made anew."""
    book = place.folder / "moments"
    book.write_text("")

    def note(number: int, name: str) -> None:
        with open(book, "a") as file:
            file.write(name + "\n")

    place.make(path, lambda: watch(note), anew=True)
    return book.read_text().splitlines()
