"""A whole dataset in memory, for scripts: `lasnn.dataset("digits")`."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from lasnn.datasets.arrays import Prepared, load
from lasnn.datasets.batches import Images
from lasnn.datasets.preparation import EMBEDDED, effort, prepare
from lasnn.errors import InputError
from lasnn.plan.project import find, inside
from lasnn.plan.vocabulary import KNOWN_DATASETS, known


@dataclass(frozen=True)
class Dataset:
    """Images of `classes`, `side` x `side` pixels, in canonical order.

    `train[:8]` and `test[:8]` are (images [8, 3, side, side] in [0, 1], labels [8]), and torch's DataLoader takes each.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    side: int
    train: Images
    test: Images

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} training and {len(self.test):,} test images"
        return f"{self.title}: {counts}, {self.side} x {self.side} pixels, {len(self.classes)} classes"


def dataset(name: str, near: Path | None = None) -> Dataset:
    """A prepared dataset of the project (of the one around `near`, if given); `digits` needs no preparation.

    InputError, with what to type and what it costs, if its images are not there.
    """
    found = prepared(name, near)
    splits = {
        split: Images(*(torch.from_numpy(getattr(found, f"{split}_{part}")) for part in ("images", "labels", "ids")))
        for split in ("train", "test")
    }
    return Dataset(found.name, found.title, found.classes, found.side, **splits)


def prepared(name: str, near: Path | None = None) -> Prepared:
    """Its arrays; InputError as there."""
    if name in EMBEDDED and find(near) is None:
        return _made(name)
    with inside(near) as config:
        known(config.dataset_names, name, "dataset")
        path = Path(config.data_file(name))
        if path.exists():
            return load(path)
        if name in EMBEDDED:
            return _made(name)
        raise InputError(
            f"no images of {name} in {path.resolve()}: `python -m lasnn data {name}`, typed in {Path.cwd()}, makes "
            f"that file: {effort(name, config.mirror(name) if name in KNOWN_DATASETS else None)}"
        )


def _made(name: str) -> Prepared:
    """An embedded dataset, which takes a moment and no connection."""
    with tempfile.TemporaryDirectory() as scratch:
        prepare(name, path := Path(scratch, f"{name}.npz"))
        return load(path)
