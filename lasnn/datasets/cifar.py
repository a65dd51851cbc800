"""CIFAR-10 and CIFAR-100 in their official format: Python pickles, opened only when their checksum is right."""

import hashlib
import pickle
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lasnn.datasets.archives import check_md5, tar_members
from lasnn.datasets.arrays import Contents
from lasnn.datasets.mirrors import Official
from lasnn.errors import InputError

CLASS_OF = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}  # names in torchvision.datasets


class Published(Protocol):
    """What a dataset class of torchvision says of its files."""

    filename: str
    base_folder: str
    tgz_md5: str
    url: str
    train_list: list[tuple[str, str]]  # name and MD5
    test_list: list[tuple[str, str]]
    meta: dict[str, str]


def official(name: str) -> Official:
    """Archive name, folder, address and checksum, as torchvision publishes them."""
    facts = _torchvision(name)
    return Official(facts.filename, facts.base_folder, facts.tgz_md5, facts.url)


def contents(name: str, place: Path) -> Contents:
    """The images of the official archive (checked by MD5) or of the folder extracted from it (each file checked)."""
    facts = _torchvision(name)
    expected = dict([*facts.train_list, *facts.test_list, (facts.meta["filename"], facts.meta["md5"])])
    if place.is_dir():
        files = {each: (place / each).read_bytes() for each in expected if (place / each).is_file()}
    else:
        check_md5(place, facts.tgz_md5)
        members = tar_members(place, {f"{facts.base_folder}/{each}" for each in expected})
        files = {each.removeprefix(f"{facts.base_folder}/"): content for each, content in members.items()}
    batches = {each: _unpickled(place.name, each, files, md5) for each, md5 in expected.items()}
    train, test = (_joined([batches[each] for each, _ in members]) for members in (facts.train_list, facts.test_list))
    return Contents(tuple(batches[facts.meta["filename"]][facts.meta["key"]]), *train, *test)


def _torchvision(name: str) -> Published:
    from torchvision import datasets

    facts: Published = getattr(datasets, CLASS_OF[name])
    return facts


def _unpickled(label: str, name: str, files: dict[str, bytes], md5: str) -> dict[str, Any]:
    """A pickle runs code when opened: the very bytes that are opened are checked before."""
    if name not in files:
        raise InputError(f"{label} is not complete: {name} is missing; fetch the official archive again")
    found = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
    if found != md5:
        raise InputError(f"{label}: {name} has md5 {found}, expected {md5}; fetch the official archive again")
    content: dict[str, Any] = pickle.loads(files[name], encoding="latin1")
    return content


def _joined(batches: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of several batches."""
    images = np.concatenate([each["data"] for each in batches]).reshape(-1, 3, 32, 32)
    labels = [label for each in batches for label in each["labels" if "labels" in each else "fine_labels"]]
    return images, np.array(labels, dtype=np.int64)
