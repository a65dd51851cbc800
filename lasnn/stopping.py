"""Being told to stop (SIGTERM, SIGINT, SIGHUP) at a moment that loses nothing."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


class Stopped(BaseException):
    """The process was told to stop. Not an Exception, so that nothing takes it for a failure to recover from."""

    def __init__(self, number: int, urgent: bool = False, kept: str = "the same command begins this step anew"):
        self.signal = signal.Signals(number)
        self.urgent = urgent  # a second signal, which may have come in the middle of an update
        super().__init__(f"stopped by {self.signal.name}; {kept}")

    @property
    def status(self) -> int:
        """The exit status that shells give a process ended by this signal."""
        return 128 + self.signal


_held, _told = False, 0


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """While the block runs a signal raises `Stopped`: at once, or at the end of a block that is `held`.

    What the caller set to be ignored (nohup) stays ignored.
    """
    global _told
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
                signal.signal(number, handler)


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
    global _told
    if _held and not _told:
        _told = number
        return
    raise Stopped(number, urgent=_held)
