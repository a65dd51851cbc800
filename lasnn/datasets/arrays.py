"""The prepared file: one .npz per dataset, in canonical order, with a digest of its content."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasnn.errors import InputError
from lasnn.storage.files import DAMAGE, replacing

FORMAT = 1
SPLITS = ("train", "test")
NO_DATASET = (*DAMAGE, TypeError, AttributeError)


@dataclass(frozen=True)
class Contents:
    """Images and labels in any order, as a source gives them."""

    classes: tuple[str, ...]
    train_images: np.ndarray = field(repr=False)  # uint8 [N, 3, side, side]
    train_labels: np.ndarray = field(repr=False)  # int [N], index into classes
    test_images: np.ndarray = field(repr=False)  # uint8 [M, 3, side, side]
    test_labels: np.ndarray = field(repr=False)  # int [M]


@dataclass(frozen=True)
class Prepared(Contents):
    """A prepared dataset in memory: classes by name, both splits by the SHA-256 of the pixels, then label (int64)."""

    name: str
    title: str
    side: int
    train_ids: np.ndarray = field(repr=False)  # int64 [N]
    test_ids: np.ndarray = field(repr=False)  # int64 [M]
    subset: bool  # the source held only a part of the official dataset
    source: dict[str, str | None]  # kind, sha256 of the archive or None, verified; never a path or an address
    digest: str


def pixel_hashes(images: np.ndarray) -> list[bytes]:
    """SHA-256 of each image's pixel bytes; images uint8 [N, 3, H, W], 32 bytes per image."""
    return [hashlib.sha256(image).digest() for image in np.ascontiguousarray(images)]


def ids(hashes: list[bytes]) -> np.ndarray:
    """int64 [N]: the first 8 bytes of each hash, read big endian as a signed number."""
    return np.array([int.from_bytes(each[:8], "big", signed=True) for each in hashes], dtype=np.int64)


def in_order(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64 [N]: the places of images and labels, by the hash of the pixels, then by label."""
    keys = list(zip(pixel_hashes(images), labels.tolist(), strict=True))
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def canonical(contents: Contents) -> Contents:
    """The same images with classes sorted by name and each split sorted by pixel hash, then label."""
    classes = tuple(sorted(contents.classes))
    new_label = np.array([classes.index(each) for each in contents.classes], dtype=np.int64)
    arrays: dict[str, NDArray[np.generic]] = {}
    for split in SPLITS:
        images = getattr(contents, f"{split}_images")
        labels = new_label[getattr(contents, f"{split}_labels")]
        order = in_order(images, labels)
        arrays |= {f"{split}_images": np.ascontiguousarray(images[order]), f"{split}_labels": labels[order]}
    return Contents(classes, **arrays)


def content_digest(contents: Contents, hashes: dict[str, list[bytes]]) -> str:
    """SHA-256 over the class names and, per split, the shape, the pixel hashes and the labels, in file order.

    It takes the pixels in through their hashes, so that one pass over the images gives ids and digest.
    """
    whole = hashlib.sha256(f"lasnn dataset {FORMAT}\n{json.dumps(contents.classes)}\n".encode())
    for split in SPLITS:
        whole.update(f"{split} {getattr(contents, f'{split}_images').shape}\n".encode())
        for each in hashes[split]:
            whole.update(each)
        whole.update(getattr(contents, f"{split}_labels").astype("<i8").tobytes())
    return whole.hexdigest()


def write(path: Path, name: str, title: str, contents: Contents, subset: bool, source: dict[str, str | None]) -> None:
    """Write the prepared file of `contents`, whole or not at all. Equal content gives equal bytes."""
    contents = canonical(contents)
    hashes = {split: pixel_hashes(getattr(contents, f"{split}_images")) for split in SPLITS}
    header = {
        "format": FORMAT,
        "name": name,
        "title": title,
        "classes": contents.classes,
        "side": contents.train_images.shape[-1],
        "subset": subset,
        "source": source,
        "digest": content_digest(contents, hashes),
    }
    with replacing(path) as file:
        np.savez(  # numpy gives every member the date 1980-01-01
            file,
            header=np.array(json.dumps(header, sort_keys=True)),
            train_images=contents.train_images,
            train_labels=contents.train_labels,
            train_ids=ids(hashes["train"]),
            test_images=contents.test_images,
            test_labels=contents.test_labels,
            test_ids=ids(hashes["test"]),
        )


def load(path: Path | str) -> Prepared:
    """Read a prepared file into memory; InputError unless its content has the digest that it states."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"the prepared dataset {path} does not exist; prepare it first")
    try:
        with np.load(path, allow_pickle=False) as file:
            entries = {key: file[key] for key in file}
        header = json.loads(str(entries.pop("header")))
        number = header.pop("format")
    except NO_DATASET as error:
        raise InputError(
            f"{path} cannot be read as a prepared dataset: it is truncated or something else "
            f"({type(error).__name__}); delete it and prepare it again"
        ) from error
    if number != FORMAT:
        raise InputError(f"{path} has format {number!r}, expected {FORMAT}; delete it and prepare it again")
    try:
        prepared = Prepared(**header | {"classes": tuple(header["classes"])}, **entries)
        damage = _damage(prepared)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} lacks a part of a prepared dataset; delete it and prepare it again") from error
    if damage:
        raise InputError(f"{path} is damaged: {damage}; delete it and prepare it again")
    return prepared


def header_of(path: Path | str) -> dict[str, Any]:
    """What the header of a prepared file says; InputError if it is none. `load` also checks what it says."""
    try:
        with np.load(path, allow_pickle=False) as file:
            header: dict[str, Any] = json.loads(str(file["header"]))
            return header | {"digest": header["digest"]}
    except NO_DATASET as error:
        raise InputError(
            f"{path} cannot be read as a prepared dataset ({error}); delete it and prepare it again"
        ) from None


def _damage(prepared: Prepared) -> str | None:
    """What is wrong with the arrays, or None."""
    for split in SPLITS:
        images, labels = getattr(prepared, f"{split}_images"), getattr(prepared, f"{split}_labels")
        if images.dtype != np.uint8 or images.shape != (len(labels), 3, prepared.side, prepared.side):
            return f"its {split} images are {images.dtype} {list(images.shape)}"
    hashes = {split: pixel_hashes(getattr(prepared, f"{split}_images")) for split in SPLITS}
    found = content_digest(prepared, hashes)
    if found != prepared.digest:
        return f"its content has the digest {found[:12]}..., its header says {prepared.digest[:12]}..."
    if any(not np.array_equal(ids(hashes[split]), getattr(prepared, f"{split}_ids")) for split in SPLITS):
        return "its image ids do not belong to its images"
    return None
