"""SIGKILL and SIGTERM: a run that is killed, once or twice, must end in the same bytes when it is made again."""

import os
import random
import re
import shutil
import signal
import threading
import time

from lasnn.training import loop

from . import events
from .tiny import ANN, INTERRUPTED, SNN, Place, Tally, evenly, half_written

LONG = 0.05  # seconds of a batch in which two signals are sent: with less both seldom find the process at work


def striking(target: int, number: int) -> events.Strike:
    """Send this process the signal at the moment `target`."""

    def strike(now: int, name: str) -> None:
        if now == target:
            os.kill(os.getpid(), number)

    return strike


def kill_at_moments(place: Place, count: int, number: int = signal.SIGKILL) -> Tally:
    """`count` moments spread evenly over the three kinds of run; every third of them is killed a second time."""
    tally, random_ = Tally(f"{signal.Signals(number).name} at a moment"), random.Random(0)
    for index, path in enumerate(INTERRUPTED):
        expected = place.digests(path)
        shutil.rmtree(place.run(path))
        names = events.names_of(lambda before, path=path: place.make(path, before), place.folder / "moments")
        assert place.digests(path) == expected
        share = count // len(INTERRUPTED) + (index < count % len(INTERRUPTED))
        for turn, target in enumerate(evenly(share, len(names))):
            shutil.rmtree(place.run(path))
            first = place.make(path, lambda target=target: events.watch(striking(target, number)))
            note = f"{path}, moment {target} ({names[target]})"
            torn = half_written(place.run(path))
            if number == signal.SIGKILL and turn % 3 == 0:
                again = random_.randrange(len(names))
                place.make(path, lambda again=again: events.watch(striking(again, number)))
            clean = _clean_stop(first, number)
            last = place.make(path)
            same = last.status == 0 and place.digests(path) == expected and not place.litter(path)
            said = f"{note}: torn {torn}, first {first}, last {last}, {place.litter(path)}"
            tally.add(same and clean and not torn, names[target], said)
    return tally


def _clean_stop(ended, number: int) -> bool:
    if number == signal.SIGKILL:
        return ended.status in (-signal.SIGKILL, 0)
    # 0: the signal came when nothing was left to do
    return ended.status == 0 or (ended.status == 128 + number and len(ended.errors) == 1 and not ended.traceback)


def kill_by_clock(place: Place, count: int) -> Tally:
    """SIGKILL from outside, at times spread evenly over the run's duration."""
    tally = Tally("SIGKILL by the clock")
    for index, path in enumerate(INTERRUPTED):
        expected = place.digests(path)
        shutil.rmtree(place.run(path))
        began = time.monotonic()
        place.make(path)
        duration = time.monotonic() - began
        share = count // len(INTERRUPTED) + (index < count % len(INTERRUPTED))
        for turn in range(share):
            shutil.rmtree(place.run(path))
            after = duration * (turn + 0.5) / share
            first = place.make(path, killed_after=after)
            torn = half_written(place.run(path))
            last = place.make(path)
            same = last.status == 0 and place.digests(path) == expected and not place.litter(path) and not torn
            what = "in time" if first.status == -signal.SIGKILL else "after its end"
            tally.add(same, what, f"{path} after {after:.2f} s: torn {torn}, {last}")
    return tally


def told_twice(place: Place, count: int) -> Tally:
    """SIGTERM twice, 25 ms apart, at a random moment of a training, as a queue does at a time limit.

    `place` must not save after every batch: the run has to be saved within the epoch because it was told to stop.
    """
    tally, draws = Tally("SIGTERM twice"), random.Random(0)
    for index, path in enumerate((ANN, SNN)):
        expected = place.digests(path)
        for _ in range(count // 2 + (index < count % 2)):
            shutil.rmtree(place.run(path))
            batch, after = draws.randrange(8), draws.uniform(0, LONG)  # of nine batches, so never after the last
            first = place.make(path, lambda batch=batch, after=after: _tell_twice(batch, after))
            saved = first.status == 128 + signal.SIGTERM and _batches_saved(first.said) > batch
            torn = half_written(place.run(path))
            last = place.make(path)
            same = last.status == 0 and place.digests(path) == expected and not place.litter(path)
            went_on = "goes on after" in last.said
            good = saved and same and went_on and len(first.errors) == 1 and not first.traceback and not torn
            tally.add(good, "saved" if saved else "not saved", f"{path}, batch {batch}: {first}, {last}, torn {torn}")
    return tally


def _batches_saved(said: str) -> int:
    """How many of the training's batches were saved, as the last line says."""
    if match := re.search(r"saved after batch (\d) of epoch (\d)", said):
        return int(match[1]) + 3 * (int(match[2]) - 1)
    match = re.search(r"saved after epoch (\d)", said)
    return 3 * int(match[1]) if match else -1


def _tell_twice(batch: int, after: float) -> None:
    """In this process, `after` seconds after the batch of this number has begun. For a forked child."""
    step, count = loop._step, 0

    def tell() -> None:
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.025)
        os.kill(os.getpid(), signal.SIGTERM)

    def watched(*arguments):
        nonlocal count
        if count == batch:
            threading.Thread(target=tell, daemon=True).start()
            time.sleep(LONG)
        count += 1
        return step(*arguments)

    loop._step = watched
