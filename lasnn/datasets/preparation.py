"""From an official archive, a mirror or a folder of images to one prepared file that training loads."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lasnn.datasets import arrays, cifar, digits, folders, images, mirrors, tinyimagenet
from lasnn.datasets.archives import TAR_ENDINGS, check_md5, opened
from lasnn.datasets.arrays import Contents
from lasnn.errors import InputError
from lasnn.plan.config import DATA_REVISION
from lasnn.plan.vocabulary import KNOWN_DATASETS, Source, pick
from lasnn.storage.files import sha256, sweep
from lasnn.storage.user import expanded

# Datasets that need no archive: what they come from, and the function that returns them.
EMBEDDED: dict[str, tuple[str, Callable[[], Contents]]] = {
    "digits": ("scikit-learn", digits.contents),
}


def prepare(
    name: str,
    path: Path | str,
    *,
    mirror: str | None = None,
    allow_subset: bool = False,
    folder: str | None = None,
    side: int | None = None,
    resize: bool = False,
) -> None:
    """Write the prepared file of dataset `name` to `path`, whole or not at all.

    A known dataset comes from its publisher or from `mirror` (a folder, an archive or an http address that holds it).
    With `folder` (a tree of images, or a zip of one) the dataset is the user's own, its images `side` pixels wide;
    `resize` makes images of other sizes fit (`lasnn.datasets.images.decode`).
    """
    path = Path(path)
    sweep(path.parent, path.name)
    if folder is not None:
        _prepare_own(name, path, expanded(folder), side, resize)
        return
    source = pick(KNOWN_DATASETS, name, "dataset")
    if name in EMBEDDED:
        kind, embedded = EMBEDDED[name]
        arrays.write(path, name, source.title, embedded(), False, {"kind": kind, "sha256": None, "verified": "none"})
        return
    official = _official(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{name}.*.fetched"):  # of a killed process
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}.", suffix=".fetched") as scratch:
        if mirror is None:
            place = mirrors.download(name, official, path.parent / "raw")
        else:
            place = mirrors.locate(name, official, mirror, Path(scratch))
        origin = _origin(place)
        contents, verified = _read(name, source, official, place, allow_subset, Path(scratch))
        subset = (len(contents.train_labels), len(contents.test_labels)) != (source.train, source.test)
        arrays.write(path, name, source.title, contents, subset, origin | {"verified": verified})


def located(name: str, mirror: str | None) -> Path | None:
    """The folder or archive of a known dataset in a local mirror; None if it comes from elsewhere."""
    if mirror is None or "://" in mirror or name in EMBEDDED:
        return None
    return mirrors.locate(name, _official(name), mirror, Path())


def effort(name: str, mirror: str | None) -> str:
    """What it takes to prepare a dataset, in words."""
    if name not in KNOWN_DATASETS:
        return "it decodes the images of your folder"
    source = KNOWN_DATASETS[name]
    written = f"writes {3e-6 * source.side**2 * (source.train + source.test):,.0f} MB"
    if mirror or name in EMBEDDED:
        return f"it reads the copy that is here and {written}"
    return f"it fetches {source.archive_mb} MB (none, if `mirror` in config.yaml names a copy) and {written}"


def _official(name: str) -> mirrors.Official:
    return tinyimagenet.OFFICIAL if name == "tinyimagenet" else cifar.official(name)


def _prepare_own(name: str, path: Path, place: Path, side: int | None, resize: bool) -> None:
    if name in KNOWN_DATASETS:
        raise InputError(f"dataset {name!r} is a known one and cannot also have a `folder`; choose another name")
    if side is None or side < 1:
        raise InputError(f"dataset {name!r} has side {side}, expected the width of its images in pixels; set `side`")
    if not place.exists():
        raise InputError(f"dataset {name!r}: its folder {place.as_posix()!r} does not exist; correct `folder`")
    origin = _origin(place) | ({"resized": True} if resize else {})
    with opened(place) as whole:
        tree = folders.top(whole, "train") or whole
        contents = images.decoded(tree, folders.listing(tree), side, resize)
    arrays.write(path, name, name, contents, False, origin)


def _read(
    name: str, source: Source, official: mirrors.Official, place: Path, allow_subset: bool, scratch: Path
) -> tuple[Contents, str]:
    """The images at `place`, with what was verified ("md5 ..." or "none"); `scratch` is an empty folder."""
    md5 = f"md5 {official.md5}"
    if name in cifar.CLASS_OF and (place.name == official.folder or place.name.endswith(TAR_ENDINGS)):
        contents = cifar.contents(name, place, scratch)
        counts = len(contents.classes), len(contents.train_labels), len(contents.test_labels)
        _check_counts(place.name, source, counts, allow_subset)
        return contents, "md5 of each file" if place.is_dir() else md5
    is_official = place.name == official.archive
    if is_official:
        check_md5(place, official.md5)
    with opened(place) as whole:
        tree = folders.top(whole, tinyimagenet.MARK) if name == "tinyimagenet" else None
        if tree is not None:
            listing = tinyimagenet.listing(tree)
        else:
            tree = folders.top(whole, "train") or whole
            listing = folders.listing(tree)
        counts = len(listing.classes), len(listing.train), len(listing.test)
        _check_counts(place.name, source, counts, allow_subset)  # before the images are decoded, which takes long
        return images.decoded(tree, listing, source.side), md5 if is_official else "none"


def _check_counts(label: str, source: Source, counts: tuple[int, int, int], allow_subset: bool) -> None:
    classes, train, test = counts
    if classes != source.classes:
        raise InputError(
            f"{label} holds {classes} classes, {source.title} has {source.classes}; use a copy with all classes"
        )
    for found, expected, split in ((train, source.train, "training"), (test, source.test, "test")):
        if found > expected:
            raise InputError(
                f"{label} holds {found:,} {split} images, {source.title} has {expected:,}; use another copy"
            )
        if found < expected and not allow_subset:
            raise InputError(
                f"{label} holds {found:,} of {expected:,} {split} images of {source.title}; "
                "set allow_subset: true to use it"
            )


def _origin(place: Path) -> dict[str, Any]:
    """What the prepared file says about where it came from: never a path, which would name the user's machine.

    Of a folder, `content` tells its files by names and bytes; of an archive its `sha256` does. Taken before the images
    are read: what changes meanwhile is seen as a change afterwards.
    """
    revision = {"revision": DATA_REVISION} if DATA_REVISION > 1 else {}
    if place.is_dir():
        return {"kind": "folder", "sha256": None, "verified": "none", "content": folders.content_of(place)} | revision
    return {"kind": "archive", "sha256": sha256(place), "verified": "none"} | revision
