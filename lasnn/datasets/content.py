"""What a folder of images holds: names and bytes of its files, and not where it lies or when it was copied."""

import hashlib
from pathlib import Path

from lasnn.datasets.archives import opened
from lasnn.datasets.folders import STRAY
from lasnn.datasets.images import ENDINGS


def listing_of(folder: Path) -> list[Path]:
    """The folder itself and every file that counts, in order."""
    with opened(folder) as tree:
        return [folder, *(folder / name for name in _counting(tree.files))]


def content_of(folder: Path) -> str:
    """SHA-256 over the names of a folder's files and the SHA-256 of each."""
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
