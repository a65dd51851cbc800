"""Images in scripts: a whole dataset in memory, `lasnn.dataset("digits")`, and checks of images that a script gives."""

import contextlib
import operator
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lasnn.datasets.arrays import SPLITS, Prepared, ids, load, pixel_hashes
from lasnn.datasets.batches import Images, whole_split
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
    train, test = (whole_split(found, name) for name in SPLITS)
    return Dataset(found.name, found.title, found.classes, found.side, train, test)


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


def ids_of(images: Tensor) -> list[int]:
    """The ids of images [B, 3, H, W] in [0, 1], as a prepared file has them: by their pixels in 256 levels."""
    pixels = (images.detach() * 255).round().to("cpu", torch.uint8)
    return [int(one) for one in ids(pixel_hashes(pixels.numpy()))]


def check_steps(steps: object) -> int:
    """T, if it is a whole number above 0; else InputError in one line."""
    with contextlib.suppress(TypeError):
        if not isinstance(steps, bool) and (found := operator.index(steps)) > 0:  # type: ignore[arg-type]
            return found
    raise InputError(f"steps is {steps!r}, a whole number above 0 was expected: leave it out for the run's own T")


def check_images(images: Tensor, side: int) -> None:
    """InputError, in one line, unless images are float [B, 3, side, side] with values in [0, 1]."""
    wanted = f"images [B, 3, {side}, {side}] in [0, 1] were expected"
    if not isinstance(images, Tensor):
        raise InputError(f"{wanted}, found {type(images).__name__}: use torch.as_tensor")
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side) or not len(images):
        hint = "images[None] makes a batch of one" if images.ndim == 3 else f"resize them to {side} x {side}, in RGB"
        raise InputError(f"{wanted}, found {list(images.shape)}: {hint}")
    if not images.is_floating_point():
        raise InputError(f"{wanted}, found {images.dtype}: images.float() / 255 if they are bytes")
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:  # NaN as well
        raise InputError(f"{wanted}, found {low:g} to {high:g}: divide bytes by 255, undo any standardisation")
