"""The datasets that this project knows by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Source:
    """What the official dataset holds; a source with other numbers is a subset or another dataset."""

    title: str
    classes: int
    side: int  # width and height in pixels, as prepared
    train: int  # images
    test: int
    licence: str
    origin: str
    archive_mb: int = 0  # of the publisher's archive, megabytes


KNOWN: Mapping[str, Source] = MappingProxyType(
    {
        "digits": Source(
            title="Digits",
            classes=10,
            side=16,
            train=1437,
            test=360,
            licence="CC BY 4.0 (UCI); distributed with scikit-learn (BSD-3-Clause)",
            origin="UCI Optical Recognition of Handwritten Digits, as embedded in scikit-learn",
        ),
        "cifar10": Source(
            title="CIFAR-10",
            classes=10,
            side=32,
            train=50_000,
            test=10_000,
            licence="no explicit licence; cite Krizhevsky 2009",
            origin="https://www.cs.toronto.edu/~kriz/cifar.html",
            archive_mb=170,
        ),
        "cifar100": Source(
            title="CIFAR-100",
            classes=100,
            side=32,
            train=50_000,
            test=10_000,
            licence="no explicit licence; cite Krizhevsky 2009",
            origin="https://www.cs.toronto.edu/~kriz/cifar.html",
            archive_mb=169,
        ),
        "tinyimagenet": Source(
            title="Tiny ImageNet",
            classes=200,
            side=64,
            train=100_000,
            test=10_000,  # the official validation set: the official test labels are not public
            licence="ImageNet terms: non-commercial research",
            origin="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            archive_mb=248,
        ),
    }
)
