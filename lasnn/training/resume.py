"""What an interrupted run goes on from: written in one piece, sealed, bound to one run and its settings.

Draws are keyed by seed, purpose, epoch and batch, so no generator's state is in it.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from lasnn import stopping
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.storage import checkpoint
from lasnn.storage.bucket import Bucket
from lasnn.training import health

Made = TypeVar("Made")


@dataclass
class Position:
    """The place in a training: whole epochs, batches of the next one, and what is summed up over these."""

    epochs: int = 0
    batches: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # that these batches took
    lines: list[dict] = field(default_factory=list)  # the training log's, one for each whole epoch

    def __str__(self) -> str:
        return f"batch {self.batches} of epoch {self.epochs + 1}" if self.batches else f"epoch {self.epochs}"


class Remote:
    """The copy of a resume file in a bucket, for a process on another machine: renewed when it is `minutes` old."""

    def __init__(self, bucket: Bucket, path: Path, minutes: float, console: Console):
        self.bucket, self.path, self.minutes, self.console = bucket, path, minutes, console
        self.sent = time.monotonic()

    def fetch(self) -> None:
        """Take the copy, if it is later than what is here."""
        try:
            stored = self.bucket.stored(str(self.path))
            if stored and not (self.path.exists() and self.path.stat().st_mtime >= stored.modified):
                self.bucket.fetch(str(self.path), stored)
        except InputError as error:
            self.console.warn(str(error))

    def renew(self) -> None:
        """Send what was just saved if it is time to, or if the process is about to stop; a failure is one line."""
        if stopping.told() or time.monotonic() - self.sent >= 60 * self.minutes:
            try:
                self.bucket.put(str(self.path))
            except InputError as error:
                self.console.warn(f"what this run goes on from is saved on this machine alone: {error}")
            self.sent = time.monotonic()


@dataclass(frozen=True)
class Saves:
    """Where an unfinished run keeps what it goes on from."""

    folder: Path
    tag: str  # digest of the run, its settings and its parents: a resume file of another tag is not taken up
    console: Console
    minutes: float = 10.0  # longest time between two saves within an epoch
    remote: Remote | None = None

    @property
    def path(self) -> Path:
        """The resume file."""
        return self.folder / "resume.pt"

    def write(self, state: dict[str, Any]) -> None:
        """Replace the last good state by this one."""
        checkpoint.write_sealed(self.path, {"tag": self.tag} | state)
        if self.remote:
            self.remote.renew()

    def read(self) -> dict[str, Any]:
        """What an earlier process wrote, or nothing; a file that is damaged or another's gets one line."""
        if not self.path.exists():
            return {}
        try:
            state = cast(dict[str, Any], checkpoint.read_sealed(self.path))
        except (InputError, OSError) as error:
            self.console.warn(f"starts anew: {error}")
            return {}
        if state.get("tag") == self.tag:
            return state
        self.console.warn(f"starts anew: {self.path.name} belongs to other settings, other parents or another device")
        return {}


class Resume:
    """The resume state of one training."""

    def __init__(self, saves: Saves, net: nn.Module, optim: torch.optim.Optimizer):
        self.saves, self.net, self.optim = saves, net, optim
        self.saved = time.monotonic()

    def age(self) -> float:
        """Minutes since the last save."""
        return (time.monotonic() - self.saved) / 60

    def save(self, position: Position) -> None:
        """Replace the last good state by this one; InputError, and nothing is replaced, if it isn't finite."""
        weights, optimizer = self.net.state_dict(), self.optim.state_dict()
        moments = {
            f"optimizer {name} of parameter {index}": value
            for index, entry in optimizer["state"].items()
            for name, value in entry.items()
            if isinstance(value, torch.Tensor)
        }
        health.check_finite(weights | moments, str(position))
        self.saves.write({"position": asdict(position), "weights": weights, "optimizer": optimizer})
        self.saved = time.monotonic()

    def take_up(self) -> Position:
        """Put an earlier process's state in place and say so."""
        if not (state := self.saves.read()):
            return Position()
        self.net.load_state_dict(state["weights"])
        self.optim.load_state_dict(state["optimizer"])
        position = Position(**state["position"])
        self.saves.console.say(f"goes on after {position}")
        return position


class Parts:
    """The long parts of a run that is no training, each kept under a name as soon as it is done."""

    def __init__(self, saves: Saves):
        self.saves = saves
        self.kept: dict[str, Any] = saves.read().get("parts", {})

    def made(self, name: str, make: Callable[[], Made]) -> Made:
        """What an earlier process kept as `name`, or what `make` gives now: numbers, words, tensors, containers."""
        if name in self.kept:
            self.saves.console.say(f"{name}: done before")
        else:
            self.kept[name] = make()
            self.saves.write({"parts": self.kept})
        return self.kept[name]
