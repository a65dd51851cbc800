"""A tiny chain in a folder of its own, and processes of it: forked, so that torch is imported once."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import llvmlite.binding  # noqa: F401 -- before the forks, as what follows
import sklearn.datasets  # noqa: F401
import torch
import torch._dynamo  # -- what the first optimizer imports

import lasnn.training.stages  # noqa: F401 -- before the forks
from lasnn.__main__ import main
from lasnn.errors import InputError
from lasnn.plan.config import whole
from lasnn.plan.overlays import merged, parsed
from lasnn.plan.runs import parse
from lasnn.results.fits import RUN_FILES
from lasnn.storage import checkpoint, files
from tests.tiny import ANN, CONVERTED, LASNN, TEACHER, TINY, write_yaml

ROOT = Path(__file__).parents[2]
SNN = LASNN.replace("T2", "T4")
CHAIN = (ANN, TEACHER, CONVERTED, SNN)
INTERRUPTED = (ANN, CONVERTED, SNN)  # the three kinds of run
HASHED = RUN_FILES[:3]  # all but the provenance
READERS = {
    "model.pt": checkpoint.load,
    "resume.pt": checkpoint.read_sealed,
    "metrics.json": files.read_json,
    "provenance.json": files.read_json,
    "predictions.npz": files.read_arrays,
}
FEW = {  # what the least preset has less of than is needed here
    "scope": {"steps": {"poisson-T100": 4}},
    "data": {"train_images": 48, "test_images": 16, "held_out": 16},
    "ann": {"epochs": 3, "batch": 16},
    "curve": {"scales": [1.0, 0.7]},
    "student": {"epochs": 3, "batch": 16},
}


@dataclass
class Tally:
    """What one kind of fault came to."""

    kind: str
    tried: int = 0
    good: int = 0
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, good: bool, what: str = "", note: str = "") -> None:
        """One try; `note` says what was bad about it, `what` is counted."""
        self.tried += 1
        self.good += good
        if what:
            self.counts[what] = self.counts.get(what, 0) + 1
        if not good:
            self.notes.append(note or what)

    def __str__(self) -> str:
        counts = ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items()))
        return f"{self.kind}: {self.good}/{self.tried}" + (f" ({counts})" if counts else "")


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status (negative: the signal that killed it), and what it said."""

    status: int
    said: str

    def one_line(self, *statuses: int) -> bool:
        """Whether it went through, or ended in one line with one of these statuses."""
        lines = [line for line in self.said.splitlines() if "error: " in line]
        clean = "Traceback" not in self.said
        return clean and (self.status == 0 or (self.status in statuses and len(lines) == 1))


def forked(action: Callable[[], int], said: Path, killed_after: float | None = None) -> Ended:
    """Run `action` in a child of this process and wait for it; `killed_after` seconds it gets SIGKILL."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            status = action()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"))


class Place:
    """Data, configuration and results of the tiny chain; `make` runs verbs of the command line in forked processes."""

    def __init__(self, folder: Path, **overlay: object):
        torch.set_num_threads(1)
        self.folder, self.results = folder, folder / "results"
        folder.mkdir(parents=True, exist_ok=True)
        content = whole(ROOT / "config.yaml")
        quick = merged(content["presets"]["quick"], merged(TINY, FEW))
        content |= {"preset": "quick", "presets": {"quick": quick}, "save_minutes": 0}  # a save after every batch
        content["folders"] = {"results": str(self.results), "data": str(folder / "data")}
        self.config = folder / "config.yaml"
        write_yaml(self.config, merged(content, overlay))
        self.said = folder / "said.txt"

    def save_within_epochs(self, often: bool) -> None:
        """After every batch, or only when told to stop."""
        content = parsed(self.config)
        write_yaml(self.config, content | {"save_minutes": 0 if often else 10})

    def run(self, path: str) -> Path:
        """The folder of a run."""
        return self.results / "quick" / path

    def make(
        self,
        path: str,
        before: Callable[[], None] = lambda: None,
        killed_after: float | None = None,
        anew: bool = False,
    ) -> Ended:
        """One run, in a process of its own, in which `before` is called first; `anew`: without what is there."""
        if anew:
            shutil.rmtree(self.run(path))

        def action() -> int:
            before()
            log = self.run(path) / "console.log"
            return main([parse(path).kind, str(self.run(path)), "--config", str(self.config), "--log", str(log)])

        return forked(action, self.said, killed_after)

    def prepare(self) -> "Place":
        """Data and the whole chain, undisturbed."""
        assert forked(lambda: main(["data", "digits", "--config", str(self.config)]), self.said).status == 0
        for path in CHAIN:
            ended = self.make(path)
            assert ended.status == 0, ended.said
        return self

    def digests(self, path: str) -> dict[str, str]:
        """Of the files that must not differ, whatever happened to a run; of the training log all but its times."""
        found = {name: files.sha256(self.run(path) / name) for name in HASHED if (self.run(path) / name).exists()}
        log = self.run(path) / "log.jsonl"
        if log.exists():
            lines = [json.loads(line) | {"seconds": None} for line in log.read_text().splitlines()]
            found["log.jsonl"] = hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()
        return found

    def shares(self, count: int, paths: tuple[str, ...] = INTERRUPTED) -> Iterator[tuple[str, int, dict[str, str]]]:
        """Runs, each with a share of `count` and the digests that it is to end with."""
        for path, share in zip(paths, split(count, len(paths)), strict=True):
            yield path, share, self.digests(path)

    def ends_well(self, path: str, expected: dict[str, str], mend: Callable[[], object] = int) -> tuple[bool, str]:
        """Whether nothing was half-written and, after `mend`, the run ends in the same bytes; and what was seen."""
        torn = half_written(self.run(path))
        mend()
        last = self.make(path)
        same = last.status == 0 and self.digests(path) == expected and not self.litter(path)
        return same and not torn, f"torn {torn}, last {last}, {self.litter(path)}"

    def litter(self, path: str) -> list[str]:
        """Files of a finished run's folder that should not be there any more."""
        wanted = {*RUN_FILES, "console.log", "log.jsonl", "scores.json"}
        return sorted(entry.name for entry in self.run(path).iterdir() if entry.name not in wanted)


def split(count: int, parts: int) -> list[int]:
    """`count` in so many whole numbers, as equal as can be."""
    return [count // parts + (index < count % parts) for index in range(parts)]


def evenly(count: int, total: int) -> list[int]:
    """`count` numbers from 0 to total - 1, one at random in each of `count` equal stretches: no rhythm is hit twice."""
    draws = random.Random(count * 1000 + total)
    return [int((index + draws.random()) * total / count) for index in range(count)]


def half_written(folder: Path) -> list[str]:
    """Files that are there under their final name and can't be read as whole."""
    torn = []
    for name, read in READERS.items():
        if (folder / name).exists():
            try:
                read(folder / name)
            except InputError as error:
                torn.append(str(error))
    return torn
