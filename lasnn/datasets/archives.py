"""Reading folders and zips without extracting them, so that no name or link in them leads anywhere else."""

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lasnn.errors import InputError

FILE_LIMIT = 64 * 2**20  # bytes of one file of a folder or zip; images of these datasets have a few thousand
DEPTH = 6  # levels of folders that are looked into, so that a link to a parent folder ends
TAR_ENDINGS = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Tree:
    """Files by relative name ("train/cat/1.png"), wherever they lie."""

    label: str  # base name of the folder or archive: messages and results never hold a whole path
    files: tuple[str, ...]  # sorted
    folders: frozenset[str]
    read: Callable[[str], bytes]

    def below(self, folder: str) -> "Tree":
        """The same tree as seen from inside `folder` ("" is the tree itself)."""
        if not folder:
            return self
        start = f"{folder}/"
        return Tree(
            self.label,
            tuple(each.removeprefix(start) for each in self.files if each.startswith(start)),
            frozenset(each.removeprefix(start) for each in self.folders if each.startswith(start)),
            lambda name: self.read(start + name),
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """The tree of a folder or of a zip file."""
    if path.is_dir():
        yield _folder_tree(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"archive {path.name} cannot be opened: expected a whole zip, found a truncated or other file ({error}); "
            "fetch it again"
        ) from error
    with archive:
        yield _zip_tree(path.name, archive)


def check_md5(path: Path, expected: str) -> None:
    """Raise an InputError unless the file has this MD5 (the only checksum that the publishers give)."""
    found = md5_of(path)
    if found != expected:
        raise InputError(
            f"archive {path.name} is truncated or not the official one: expected md5 {expected}, found {found} "
            f"({path.stat().st_size:,} bytes); fetch it again"
        )


def md5_of(path: Path) -> str:
    """Hexadecimal MD5 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _folder_tree(root: Path) -> Tree:
    files: list[str] = []
    folders: set[str] = set()
    for place, inside, names in os.walk(root, followlinks=True):
        relative = PurePosixPath(Path(place).relative_to(root).as_posix())
        if len(relative.parts) >= DEPTH:
            inside.clear()
        folders.update(str(relative / each) for each in inside)
        files.extend(str(relative / each) for each in names)

    def read(name: str) -> bytes:
        path = root / name
        if not path.is_file():  # a pipe or a device would be read without end
            raise InputError(f"{root.name}: {name!r} is not a plain file; remove it")
        _refuse_large(root.name, name, path.stat().st_size)
        return path.read_bytes()

    return Tree(root.name, tuple(sorted(files)), frozenset(folders), read)


def _zip_tree(label: str, archive: zipfile.ZipFile) -> Tree:
    files: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in archive.infolist():
        parts = PurePosixPath(info.filename)
        folders.update(str(each) for each in parts.parents)
        if info.is_dir():
            folders.add(str(parts))
        elif str(parts) in files:
            raise InputError(f"archive {label} is refused: it holds {info.filename!r} twice; pack it again")
        else:
            files[str(parts)] = info

    def content_of(name: str, most: int = -1) -> bytes:
        try:
            with archive.open(files[name]) as file:
                return file.read(most)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
            why = "its two names differ" if isinstance(error, UnicodeError) else error
            raise InputError(f"archive {label} is damaged at {name!r} ({why}); fetch or pack it again") from error

    for name in files:  # of which each has a name here and one in front of its content, or it may lie where none looks
        content_of(name, 0)

    def read(name: str) -> bytes:
        _refuse_large(label, name, files[name].file_size)
        return content_of(name)

    return Tree(label, tuple(sorted(files)), frozenset(folders - {"."}), read)


def _refuse_large(label: str, name: str, size: int) -> None:
    if size > FILE_LIMIT:
        raise InputError(
            f"{label} is refused: {name!r} has {size:,} bytes, the limit is {FILE_LIMIT:,}; remove or shrink that file"
        )
