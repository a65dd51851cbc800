"""Every kind of file with some of its bytes changed: refused by name, or read as what it was.

Detected: an InputError that names the file. Harmless: the content that is read equals the original (a date in a zip).
Undetected: other content is read. A crash, any other exception, is as bad.
"""

import random
import zipfile
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
from lasnn.storage import checkpoint, files

from .tiny import ANN, SNN, Place, Tally


def flip(content: bytearray, draw: random.Random) -> bytearray:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return content


def overwrite(content: bytearray, draw: random.Random) -> bytearray:
    start, size = draw.randrange(len(content)), draw.choice((1, 4, 64, 512))
    content[start : start + size] = draw.randbytes(min(size, len(content) - start))
    return content


def blank(content: bytearray, draw: random.Random) -> bytearray:
    start, size = draw.randrange(len(content)), draw.choice((16, 512, 4096))
    content[start : start + size] = bytes(min(size, len(content) - start))
    return content


def truncate(content: bytearray, draw: random.Random) -> bytearray:
    return content[: draw.randrange(len(content))]


def cut_out(content: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.choice((1, 16, 512)) :]


def insert(content: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(content))
    return content[:start] + draw.randbytes(draw.choice((1, 16))) + content[start:]


DAMAGES = (flip, flip, overwrite, blank, truncate, cut_out, insert)


def _loaded(path: Path) -> list:
    net = lasnn.load(path)
    return [*net.state_dict().values(), net.run, net.meta]


def _images(path: Path) -> list:
    with opened(path) as tree:
        found = decoded(tree, listing(tree), 16)
    return [found.classes, found.train_images, found.train_labels, found.test_images, found.test_labels]


def _prepared(path: Path) -> list:
    return list(vars(arrays.load(path)).values())


def _arrays(path: Path) -> list:
    found = files.read_arrays(path)
    return [name for pair in sorted(found.items()) for name in pair]


READERS: dict[str, Callable[[Path], list]] = {
    "model.pt": _loaded,
    "resume.pt": lambda path: [str(checkpoint.read_sealed(path))],
    "metrics.json": lambda path: [files.read_json(path)],
    "provenance.json": lambda path: [files.read_json(path)],
    "predictions.npz": _arrays,
    "digits.npz": _prepared,
    "images.zip": _images,
}


def corrupt(place: Place, count: int) -> list[Tally]:
    """`count` damages over all kinds of file: one tally for each."""
    folder, draw = place.folder / "corruptions", random.Random(0)
    folder.mkdir(exist_ok=True)
    for name in ("model.pt", "metrics.json", "predictions.npz", "provenance.json"):
        (folder / name).write_bytes((place.run(SNN) / name).read_bytes())
    (folder / "digits.npz").write_bytes((place.folder / "data" / "digits.npz").read_bytes())
    state = {"tag": "t", "weights": checkpoint.load(place.run(ANN) / "model.pt")[0], "position": {"epochs": 1}}
    checkpoint.write_sealed(folder / "resume.pt", state)
    _zip_of_images(folder / "images.zip")
    tallies = []
    for index, (name, read) in enumerate(READERS.items()):
        tally, path = Tally(f"corrupted {name}"), folder / name
        original = path.read_bytes()
        expected = read(path)
        for _ in range(count // len(READERS) + (index < count % len(READERS))):
            damaged = bytes(draw.choice(DAMAGES)(bytearray(original), draw))
            path.write_bytes(damaged)
            outcome, note = _outcome(path, read, expected) if damaged != original else ("harmless", "")
            tally.add(outcome in ("detected", "harmless"), outcome, f"{name}: {outcome} {note}")
        path.write_bytes(original)
        tallies.append(tally)
    return tallies


def _outcome(path: Path, read: Callable[[Path], list], expected: list) -> tuple[str, str]:
    try:
        found = read(path)
    except InputError as error:
        named = path.name in str(error) or path.name == "predictions.npz"
        one_line = "\n" not in str(error)
        return ("detected", "") if named and one_line else ("badly reported", str(error))
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"
    return ("harmless", "") if _equal(found, expected) else ("undetected", "")


def _equal(found: list, expected: list) -> bool:
    return len(found) == len(expected) and all(_same(a, b) for a, b in zip(found, expected, strict=True))


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


def _zip_of_images(path: Path) -> None:
    import io

    from PIL import Image

    draws = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            for name in ("cat", "dog"):
                for index in range(4):
                    buffer = io.BytesIO()
                    Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
                    archive.writestr(f"{split}/{name}/{index}.png", buffer.getvalue())
