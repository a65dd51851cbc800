"""SIGKILL and SIGTERM: a run that is killed, once or twice, must end in the same bytes when it is made again."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable

from lasnn.training import loop

from . import events
from .tiny import ANN, SNN, Place, Tally, evenly

LONG = 0.05  # seconds of a batch in which two signals are sent: with less both seldom find the process at work


def striking(target: int, number: int) -> Callable[[], None]:
    """Send this process the signal at the moment `target`."""
    return lambda: events.watch(lambda now, name: os.kill(os.getpid(), number) if now == target else None)


def kill(place: Place, count: int) -> list[Tally]:
    """SIGKILL at `count` moments, and at half as many times."""
    return [kill_at_moments(place, count), kill_by_clock(place, count // 2)]


def kill_at_moments(place: Place, count: int, number: int = signal.SIGKILL) -> Tally:
    """`count` moments spread evenly over the three kinds of run; every third of them is killed a second time."""
    tally, random_ = Tally(f"{signal.Signals(number).name} at a moment"), random.Random(0)
    for path, share, expected in place.shares(count):
        names = events.names_of(place, path)
        assert place.digests(path) == expected
        for turn, target in enumerate(evenly(share, len(names))):
            first = place.make(path, striking(target, number), anew=True)
            # It goes through where the signal came when nothing was left to do.
            clean = first.status == -number if number == signal.SIGKILL else first.one_line(128 + number)
            if number == signal.SIGKILL and turn % 3 == 0:
                place.make(path, striking(random_.randrange(len(names)), number))
            well, seen = place.ends_well(path, expected)
            note = f"{path}, moment {target} ({names[target]}): first {first}, {seen}"
            tally.add(well and (clean or first.status == 0), names[target], note)
    return tally


def kill_by_clock(place: Place, count: int) -> Tally:
    """SIGKILL from outside, at times spread evenly over the run's duration."""
    tally = Tally("SIGKILL by the clock")
    for path, share, expected in place.shares(count):
        began = time.monotonic()
        place.make(path, anew=True)
        duration = time.monotonic() - began
        for turn in range(share):
            after = duration * (turn + 0.5) / share
            first = place.make(path, killed_after=after, anew=True)
            well, seen = place.ends_well(path, expected)
            what = "in time" if first.status == -signal.SIGKILL else "after its end"
            tally.add(well, what, f"{path} after {after:.2f} s: {seen}")
    return tally


def told_twice(place: Place, count: int) -> Tally:
    """SIGTERM twice, 25 ms apart, at a random moment of a training, as a queue does at a time limit.

    It is not saved after every batch: it has to be saved within the epoch because it was told to stop.
    """
    tally, draws = Tally("SIGTERM twice"), random.Random(0)
    place.save_within_epochs(False)
    for path, share, expected in place.shares(count, (ANN, SNN)):
        for _ in range(share):
            batch, after = draws.randrange(8), draws.uniform(0, LONG)  # of nine batches, so never after the last
            first = place.make(path, lambda batch=batch, after=after: _tell_twice(batch, after), anew=True)
            saved = first.status == 128 + signal.SIGTERM and _batches_saved(first.said) > batch
            well, seen = place.ends_well(path, expected)
            good = well and saved and first.one_line(128 + signal.SIGTERM) and "goes on after" in seen
            tally.add(good, "saved" if saved else "not saved", f"{path}, batch {batch}: {first}, {seen}")
    place.save_within_epochs(True)
    return tally


def _batches_saved(said: str) -> int:
    """How many of the training's batches were saved, as the last line says."""
    if match := re.search(r"saved after batch (\d) of epoch (\d)", said):
        return int(match[1]) + 3 * (int(match[2]) - 1)
    match = re.search(r"saved after epoch (\d)", said)
    return 3 * int(match[1]) if match else -1


def _tell_twice(batch: int, after: float) -> None:
    """In this process, `after` seconds after the batch of this number has begun. For a forked child."""
    step, count = loop.update, 0

    def tell() -> None:
        for seconds in (after, 0.025):
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGTERM)

    def watched(*arguments):
        nonlocal count
        if count == batch:
            threading.Thread(target=tell, daemon=True).start()
            time.sleep(LONG)
        count += 1
        return step(*arguments)

    loop.update = watched
