"""CIFAR-10 and CIFAR-100 in their official format, read by torchvision: pickles, each opened if its MD5 is right."""

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lasnn.datasets.archives import check_md5, md5_of
from lasnn.datasets.arrays import Contents
from lasnn.datasets.mirrors import Official
from lasnn.errors import InputError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

CLASS_OF = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}  # names in torchvision.datasets


def official(name: str) -> Official:
    """Archive name, folder, address and checksum, as torchvision publishes them."""
    facts = _torchvision(name)
    return Official(facts.filename, facts.base_folder, facts.tgz_md5, facts.url)


def contents(name: str, place: Path, scratch: Path) -> Contents:
    """The images of the official archive (checked by MD5) or of the folder extracted from it (each file checked).

    An archive is extracted below the folder `scratch`.
    """
    kind = _torchvision(name)
    if place.is_file():
        check_md5(place, kind.tgz_md5)
        with tarfile.open(place) as archive:
            archive.extractall(scratch)  # the publisher's own, as its MD5 says; 3.11.2 knows no filter
        place = scratch / kind.base_folder
    expected = dict([*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])])
    for file, md5 in expected.items():
        if not (place / file).is_file():
            raise InputError(f"{place.name} is not complete: {file} is missing; fetch the official archive again")
        if (found := md5_of(place / file)) != md5:
            raise InputError(f"{place.name}: {file} has md5 {found}, expected {md5}; fetch the official archive again")
    train, test = kind(str(place.parent), train=True), kind(str(place.parent), train=False)
    return Contents(tuple(train.classes), *_arrays(train), *_arrays(test))


def _torchvision(name: str) -> "type[CIFAR10]":
    from torchvision import datasets

    kind: type[CIFAR10] = getattr(datasets, CLASS_OF[name])
    return kind


def _arrays(split: "CIFAR10") -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N]."""
    return np.ascontiguousarray(split.data.transpose(0, 3, 1, 2)), np.array(split.targets, dtype=np.int64)
