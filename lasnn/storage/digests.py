"""What is known of files from an earlier look, so that only what changed is read again.

A fact is kept beside the size, times and inode of the files that it was reckoned from, and counts only while all of
these are the same. The time of the last change of an inode can't be set by a program, so an edit that keeps size and
date is seen too. The index may be deleted at any moment.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lasnn.storage import files
from lasnn.storage.files import Json

INDEX = Path(".snakemake", "lasnn", "digests.json")
VERSION = 1
FRESH = 2.0  # seconds: a file that changed so shortly before it was read may change again within one tick of its clock

Signature = list[list[int] | None]


def signature(paths: Iterable[Path | str]) -> Signature:
    """What tells of each file whether it is still the same: size, both times, inode; None where there is none."""
    return [_of(path) for path in paths]


class Digests:
    """Facts of files, reckoned once for each state of the files; `save` writes them down for the next process."""

    def __init__(self, index: Path | None = INDEX):
        self.index, self.changed, self.read = index, False, 0
        self.known: dict[str, list[object]] = {}
        self.passing: dict[
            str, list[object]
        ] = {}  # of files that changed a moment ago: true for this look, not for the next
        with contextlib.suppress(
            OSError, ValueError, TypeError, AttributeError, KeyError
        ):  # a damaged index is no index
            content = json.loads(index.read_bytes()) if index else {}
            self.known = content["facts"] if content.get("version") == VERSION else {}

    def fact(self, name: str, paths: Iterable[Path | str], reckon: Callable[[], object]) -> object:
        """What `reckon` says (JSON) of these files; `name` tells facts of the same files apart."""
        paths = [str(path) for path in paths]
        key, now = f"{name} {paths[0]}", signature(paths)
        held = self.passing.get(key) or self.known.get(key)
        if isinstance(held, list) and len(held) == 2 and held[0] == now:
            return held[1]
        value = reckon()
        self.read += 1
        if signature(paths) == now:
            self.passing[key] = [now, value]
            if _settled(now):
                self.known[key], self.changed = [now, value], True
        return value

    def sha256(self, path: Path | str) -> str:
        """A file's digest."""
        return str(self.fact("sha256", [path], lambda: files.sha256(path)))

    def record(self, name: str, paths: Iterable[Path | str], reckon: Callable[[], Json]) -> Json:
        """A fact that is a mapping; a damaged one is reckoned again."""
        paths = [str(path) for path in paths]
        found = self.fact(name, paths, reckon)
        return found if isinstance(found, dict) else reckon()

    def save(self) -> None:
        """Write down what is known; a folder that can't be written costs the next process the time, nothing else."""
        if self.index and self.changed:
            with contextlib.suppress(OSError):
                text = json.dumps({"version": VERSION, "facts": self.known}, separators=(",", ":"))
                files.write_text(self.index, text)
            self.changed = False


def _of(path: Path | str) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _settled(now: Signature) -> bool:
    latest = max((max(one[1], one[2]) for one in now if one), default=0)
    return latest / 1e9 < time.time() - FRESH
