"""Being told to stop (SIGTERM, SIGINT, SIGHUP) at a moment that loses nothing."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

ONE_REQUEST = 2.0  # seconds: a queue's time limit sends SIGTERM twice, 25 ms apart; a terminal and its parent one each
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


class Stopped(BaseException):
    """The process was told to stop. Not an Exception, so that nothing takes it for a failure to recover from."""

    def __init__(self, number: int, urgent: bool = False, kept: str | None = None):
        self.signal = signal.Signals(number)
        self.urgent = urgent  # a second request, which may have come in the middle of an update or a save
        self.kept = kept  # what the same command will go on from, where that is known
        super().__init__(f"stopped by {self.signal.name}; {kept or 'the same command begins this step anew'}")

    @property
    def status(self) -> int:
        """The exit status that shells give a process ended by this signal."""
        return 128 + self.signal


_held, _told = False, 0
_asked: float | None = None  # when the first signal came


@contextlib.contextmanager
def listening(to_the_end: bool = False) -> Iterator[None]:
    """While the block runs a signal raises `Stopped`: at once, or at the end of a block that is `held`.

    Signals within `ONE_REQUEST` of the first are the same request and change nothing. What the caller set to be ignored
    (nohup) stays ignored. With `to_the_end` the process ends with the block: a signal that comes later is ignored, so
    that the exit status is what the block made it.
    """
    global _told, _asked
    _told, _asked = 0, None
    heard = SIGNALS if threading.current_thread() is threading.main_thread() else ()  # elsewhere Python allows none
    before = {number: signal.getsignal(number) for number in heard}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _hear)
    try:
        yield
    finally:
        _told = 0
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, signal.SIG_IGN if to_the_end else handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A first signal waits until the block ends, or until the block asks `told()` and leaves; a second does not."""
    global _held
    outer, _held = _held, True
    try:
        yield
    finally:
        _held = outer
    if _told and not outer:
        raise Stopped(_told)


def told() -> int:
    """The number of the signal that waits; 0 if there is none."""
    return _told


def _hear(number: int, frame: FrameType | None) -> None:
    global _told, _asked
    now = time.monotonic()
    if _asked is not None:
        if now - _asked < ONE_REQUEST:
            return
        raise Stopped(number, urgent=True)
    _asked = now
    if not _held:
        raise Stopped(number)
    _told = number
