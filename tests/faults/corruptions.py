"""Every kind of file with some of its bytes changed: refused by name, or read as what it was.

Detected: an InputError that names the file. Harmless: the content that is read equals the original (a date in a zip).
Undetected: other content is read. A crash, any other exception, is as bad.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import lasnn
from lasnn.datasets import arrays
from lasnn.datasets.archives import opened
from lasnn.datasets.folders import listing
from lasnn.datasets.images import decoded
from lasnn.errors import InputError
from lasnn.results.fits import RUN_FILES
from lasnn.storage import checkpoint, files
from tests.tiny import image_tree

from .tiny import ANN, SNN, Place, Tally, split


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A bit turned, bytes overwritten, zeroed, cut out or put in, or the end cut off."""
    start, size = draw.randrange(len(content)), draw.choice((1, 4, 16, 64, 512, 4096))
    old, after = content[start : start + size], content[start + size :]
    turned = bytes([old[0] ^ 1 << draw.randrange(8)]) + old[1:]
    new = draw.choice(
        (turned, turned, draw.randbytes(len(old)), bytes(len(old)), b"", draw.randbytes(size) + old, None)
    )
    return content[:start] + (b"" if new is None else new + after)


def _loaded(path: Path) -> list:
    net = lasnn.load(path)
    return [*net.state_dict().values(), net.run, net.meta]


def _images(path: Path) -> list:
    with opened(path) as tree:
        found = decoded(tree, listing(tree), 16)
    return [found.classes, found.train_images, found.train_labels, found.test_images, found.test_labels]


READERS: dict[str, Callable[[Path], list]] = {
    "model.pt": _loaded,
    "resume.pt": lambda path: [str(checkpoint.read_sealed(path))],
    "metrics.json": lambda path: [files.read_json(path)],
    "provenance.json": lambda path: [files.read_json(path)],
    "predictions.npz": lambda path: [part for pair in sorted(files.read_arrays(path).items()) for part in pair],
    "digits.npz": lambda path: list(vars(arrays.load(path)).values()),
    "images.zip": _images,
}


def corrupt(place: Place, count: int) -> list[Tally]:
    """`count` damages over all kinds of file: one tally for each."""
    folder, draw = place.folder / "corruptions", random.Random(0)
    folder.mkdir(exist_ok=True)
    for path in (*(place.run(SNN) / name for name in RUN_FILES), place.folder / "data" / "digits.npz"):
        shutil.copyfile(path, folder / path.name)
    state = {"tag": "t", "weights": checkpoint.load(place.run(ANN) / "model.pt")[0], "position": {"epochs": 1}}
    checkpoint.write_sealed(folder / "resume.pt", state)
    shutil.make_archive(str(folder / "images"), "zip", image_tree(folder / "images", side=16, count=4))
    tallies = []
    for (name, read), share in zip(READERS.items(), split(count, len(READERS)), strict=True):
        tally, path = Tally(f"corrupted {name}"), folder / name
        original = path.read_bytes()
        expected = read(path)
        for _ in range(share):
            path.write_bytes(damaged(original, draw))
            outcome, note = _outcome(path, read, expected)
            tally.add(outcome in ("detected", "harmless"), outcome, f"{name}: {outcome} {note}")
        path.write_bytes(original)
        tallies.append(tally)
    return tallies


def _outcome(path: Path, read: Callable[[Path], list], expected: list) -> tuple[str, str]:
    try:
        found = read(path)
    except InputError as error:
        named = path.name in str(error) or path.name == "predictions.npz"
        return ("detected", "") if named and "\n" not in str(error) else ("badly reported", str(error))
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"
    same = len(found) == len(expected) and all(_same(a, b) for a, b in zip(found, expected, strict=True))
    return ("harmless" if same else "undetected"), ""


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return one == other
