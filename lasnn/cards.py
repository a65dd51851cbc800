"""The GPUs of this machine, called cards: how many there are, and a card for each process that trains.

`CUDA_VISIBLE_DEVICES` says which cards a process may use; a queue such as Slurm sets it for its jobs. Where it names
several, or is not set, a process takes the card that the fewest others have taken, and sees no other. That is
kept by locks of the system in a folder of the user, which the system frees when the process is gone. Other users and
other programs are not seen.
"""

import itertools
import os
import subprocess
import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_held: list[BaseFileLock] = []  # as long as the process


def visible() -> list[tuple[str, str]]:
    """Each card that this process may use: the word by which CUDA knows it, and its own name."""
    found = _found()
    words = os.environ.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return [(name, name) for name in found]
    cards = []
    for word in (part.strip() for part in words.split(",")):
        if not word or word.startswith("-") or (word.isdigit() and found and int(word) >= len(found)):
            break  # CUDA too looks no further
        cards.append((word, found[int(word)] if word.isdigit() and found else word))
    return cards


def any_here() -> bool:
    """Whether a training finds a card here; one that can't be counted (AMD's driver) counts."""
    return bool(visible()) or Path("/dev/kfd").exists()


def total() -> int:
    """How many trainings may run at once if each has a card; 1 where there is none to count."""
    return max(1, len(visible()))


def take() -> str | None:
    """Let this process see one card only, the least taken, and name it; None where there was nothing to choose.

    To be called before CUDA is loaded. It never waits: with more processes than cards some share one.
    """
    cards = visible()
    try:
        folder = Path(tempfile.gettempdir(), f"lasnn-cards-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        for sharing in itertools.count() if cards else ():
            for word, name in cards:
                if _lock(folder / f"{name.replace('/', '_')}.{sharing}"):
                    os.environ["CUDA_VISIBLE_DEVICES"] = word
                    return word if len(cards) > 1 else None
    except OSError:  # a file system without locks: the queue or the user has to choose
        return None
    return None


def _lock(path: Path) -> bool:
    lock = FileLock(path, timeout=0, mode=0o600, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return False
    _held.append(lock)
    return True


def _found() -> list[str]:
    """Names of all cards in the driver's order: as nvidia-smi tells them, else their device files."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return [line.strip() for line in shown.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError):
        files = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
        return sorted((name for name in files if name.isdigit()), key=int)
