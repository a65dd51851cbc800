"""What a person sees of a run: lines on standard error and in a log, a progress bar in a terminal."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm


class Console:
    """Lines to standard error and, if given, to a log file; progress with ETA to both."""

    INTERVAL = 10.0  # seconds after which a person wants to see something

    def __init__(self, name: str = "", log: Path | str | None = None):
        self.name, self.last = name, time.monotonic()  # when something was last seen of it
        self.log = None
        if log is not None:
            try:
                Path(log).parent.mkdir(parents=True, exist_ok=True)
                # Unbuffered: what a full disk refuses must not come up again when the process ends.
                self.log = open(log, "ab", buffering=0)  # noqa: SIM115 -- open as long as the process
            except OSError as error:
                self._lose_log(error)

    def say(self, line: str) -> None:
        """One line, with the run's name in front."""
        line = f"{self.name}: {line}" if self.name else line
        self.last = time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone: no reason to lose a training
            tqdm.write(line, file=sys.stderr)
        self.record(line + "\n")

    def record(self, text: str) -> None:
        """To the log alone. A log that can't be written costs one line, not the run."""
        if self.log:
            try:
                self.log.write(text.encode(errors="replace"))
            except OSError as error:
                self._lose_log(error)

    def _lose_log(self, error: OSError) -> None:
        self.log = None
        self.warn(f"the log cannot be written ({error.strerror or error}): goes on without it")

    def warn(self, line: str) -> None:
        """One line that starts with `warning:`."""
        self.say(f"warning: {line}")

    @contextlib.contextmanager
    def alive(self, what: str) -> Iterator[None]:
        """While the block runs, one line for every ten seconds in which nothing else was seen of it."""
        over, began = threading.Event(), time.monotonic()
        self.last = began

        def watch() -> None:
            while not over.wait(max(0.01, self.last + self.INTERVAL - time.monotonic())):
                if (now := time.monotonic()) >= self.last + self.INTERVAL:
                    self.say(f"{what} is at work, {now - began:.0f} s until now")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def progress(self, total: int, what: str) -> "Progress":
        """A bar of `total` units."""
        return Progress(self, total, what)


class Progress:
    """A bar where standard error is a terminal; else, and in the log, a line with ETA every ten seconds."""

    INTERVAL = Console.INTERVAL

    def __init__(self, console: Console, total: int, what: str):
        self.console, self.total, self.what = console, total, what
        self.bar = tqdm(total=total, desc=f"{console.name} {what}", disable=None, leave=False, dynamic_ncols=True)
        self.done, self.start, self.last = 0, time.monotonic(), time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def skip(self, count: int) -> None:
        """Count units that an earlier, interrupted process did."""
        self.total -= count
        self.bar.reset(self.total)

    def step(self, count: int = 1, note: str = "") -> None:
        """Some units are done."""
        self.done += count
        self.console.last = time.monotonic()
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)
        now = time.monotonic()
        if now - self.last >= self.INTERVAL:
            self.last = now
            left = (now - self.start) / self.done * (self.total - self.done)
            line = f"{self.what} {self.done}/{self.total}, {left:.0f} s left {note}".rstrip()
            if self.bar.disable:
                self.console.say(line)
            else:
                self.console.record(f"{self.console.name}: {line}\n")
