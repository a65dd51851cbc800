"""Trees of images: train/<class>/<image> and test/<class>/<image> (or val/); what of a folder counts as its content."""

import hashlib
from pathlib import Path

from lasnn.datasets.archives import Tree, opened
from lasnn.datasets.images import ENDINGS, Listing
from lasnn.errors import InputError

STRAY = {"thumbs.db", "desktop.ini"}  # file browsers leave these behind


def top(tree: Tree, mark: str) -> Tree | None:
    """`tree`, or its one folder, at whose top lies the file or folder `mark`; None if there is none."""
    starts = ["", *sorted(each for each in tree.folders if "/" not in each)]
    held = {*tree.folders, *tree.files}
    found = [start for start in starts if f"{start}/{mark}".lstrip("/") in held]
    return tree.below(found[0]) if found[:1] == [""] or len(found) == 1 else None


def listing(tree: Tree) -> Listing:
    """The images of a tree that has train/ at its top; labels by sorted class name."""
    test = next((each for each in ("test", "val") if each in tree.folders), None)
    if "train" not in tree.folders or test is None:
        raise InputError(
            f"{tree.label} is not a tree of images: expected the folders train/ and test/ (or val/), "
            f"found {_some(sorted(each for each in tree.folders if '/' not in each))}; arrange it so"
        )
    splits = {split: _by_class(tree, split) for split in ("train", test)}
    classes = tuple(sorted(splits["train"]))
    if set(classes) != set(splits[test]):
        train_only, test_only = (sorted(set(splits[a]) - set(splits[b])) for a, b in (("train", test), (test, "train")))
        raise InputError(
            f"{tree.label}: train/ and {test}/ must hold the same classes, found only in train/: {_some(train_only)}, "
            f"only in {test}/: {_some(test_only)}; add or remove these folders"
        )
    if len(classes) < 2:
        raise InputError(f"{tree.label} holds one class, {classes[0]!r}: there is nothing to tell apart; add another")
    entries = {
        split: tuple((file, label) for label, each in enumerate(classes) for file in found[each])
        for split, found in splits.items()
    }
    return Listing(classes, entries["train"], entries[test])


def _by_class(tree: Tree, split: str) -> dict[str, list[str]]:
    """Class name to the image files of one split."""
    found: dict[str, list[str]] = {each.split("/")[1]: [] for each in tree.folders if each.startswith(f"{split}/")}
    found = {each: files for each, files in found.items() if not each.startswith(".")}
    for file in tree.files:
        parts = file.split("/")
        if parts[0] != split or any(each.startswith(".") for each in parts) or parts[-1].lower() in STRAY:
            continue
        is_image = file.lower().endswith(ENDINGS)
        if len(parts) == 3 and is_image:
            found[parts[1]].append(file)
        elif len(parts) > 2 or is_image:
            raise InputError(
                f"{tree.label}: {file} does not belong there: expected only {split}/<class>/<image> with an image "
                f"in {', '.join(ENDINGS)}; move or remove it"
            )
    if not found:
        raise InputError(f"{tree.label}: {split}/ holds no class; make one folder per class, images inside")
    empty = sorted(each for each, files in found.items() if not files)
    if empty:
        raise InputError(f"{tree.label}: {split}/{empty[0]} holds no image; add images or remove the folder")
    return found


def _some(names: list[str]) -> str:
    """The first few names, or "none"; two Unicode forms of one name look different."""
    shown = ", ".join(ascii(name)[1:-1] for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"


def listing_of(folder: Path) -> list[Path]:
    """The folder itself and every file that counts, in order."""
    with opened(folder) as tree:
        return [folder, *(folder / name for name in _counting(tree.files))]


def content_of(folder: Path) -> str:
    """SHA-256 over the names of a folder's files and the SHA-256 of each; not where it lies or when it was copied."""
    whole = hashlib.sha256(b"lasnn content 1\n")
    with opened(folder) as tree:
        for name in _counting(tree.files):
            whole.update(f"{name}\n".encode(errors="surrogateescape"))
            whole.update(hashlib.sha256(tree.read(name)).digest())
    return whole.hexdigest()


def _counting(names: tuple[str, ...]) -> list[str]:
    """All but what file browsers and checksums leave; of a folder with images in it only these."""
    seen = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    seen = [name for name in seen if name.rsplit("/", 1)[-1].lower() not in STRAY]
    return [name for name in seen if name.lower().endswith(ENDINGS)] or seen
