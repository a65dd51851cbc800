"""Files that are either whole or absent, and their digests."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lasnn.errors import InputError, again

SEAL = "sha256"
# What numpy and zipfile raise, as the damaged bytes of an .npz have it.
_OF_PYTHON = (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, SyntaxError, MemoryError)
DAMAGE = (*_OF_PYTHON, zipfile.BadZipFile, zlib.error, struct.error)
Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]  # type: ignore[explicit-any] # in numpy's own `generic`
Json = dict[str, Any]  # type: ignore[explicit-any] # what was read from a JSON file: never a tensor or a path


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; when the block ends well it is flushed to disk and takes its name.

    A reader therefore never sees half a file, and a failed or killed writer leaves the previous version alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def together(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A scratch folder; when the block ends well, its files take the places of all files `names` of `folder`.

    They are on disk before anything is replaced. Then old files go and new ones come; of both the last of `names` marks
    that they are whole: it goes first and comes last. A killed writer leaves a part of one set, without that file, and
    never a part of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part"))
    try:
        yield scratch
        for name in reversed(names):
            (folder / name).unlink(missing_ok=True)
        _flush_folder(folder)
        for name in names:
            if (scratch / name).exists():
                os.replace(scratch / name, folder / name)
        _flush_folder(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` in one piece."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path | str, content: str) -> None:
    """Write `content` to `path` in one piece."""
    write_bytes(path, content.encode())


def write_json(path: Path | str, value: Mapping[str, object], seal: bool = False) -> None:
    """Write `value` as indented JSON with sorted keys, so that equal values give equal bytes.

    With `seal`, the key `sha256` holds the digest of all other keys, which `read_json` checks.
    """
    if seal:
        value = {**value, SEAL: _digest(value)}
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Json:
    """The content of a JSON file without its seal; InputError if it is missing, damaged or changed since."""
    try:
        content: Json = json.loads(Path(path).read_bytes())
        sealed = content.pop(SEAL, None)
    except FileNotFoundError:
        raise InputError(f"no {path}: `snakemake --cores 1 {path}` makes it") from None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): {again(path)}") from None
    if sealed is not None and sealed != _digest(content):
        raise InputError(f"{path} was changed after it was made (its sha256 says so): {again(path)}")
    return content


def replace_folder(new: Path, place: Path, aside: Path) -> None:
    """Put a folder in the place of another, which a reader never finds half-written."""
    if place.exists():
        os.rename(place, aside)
    os.rename(new, place)


def read_arrays(path: Path | str) -> dict[str, Array]:
    """The arrays of an .npz file, never pickles; InputError if it is missing, damaged or changed since."""
    try:
        content = Path(path).read_bytes()
        expected = stated_digest(path)
        if expected and hashlib.sha256(content).hexdigest() != expected:
            raise InputError(
                f"{path} has changed since it was made (expected sha256 {expected[:12]}...): {again(path)}"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"no {path}: `snakemake --cores 1 {path}` makes it") from None
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({error}): {again(path)}") from None


def stated_digest(path: Path | str) -> str | None:
    """The digest of a run's file that the provenance.json beside it states, if that is there."""
    provenance = Path(path).with_name("provenance.json")
    return read_json(provenance).get("files", {}).get(Path(path).name) if provenance.exists() else None


def sweep(folder: Path | str, name: str = "") -> None:
    """Remove what killed writers of `name` (of any file, if empty) left in a folder; the caller holds its lock."""
    for left in Path(folder).glob(f".{name}*.part"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _flush_folder(folder: Path) -> None:
    """After a loss of power the new name is there too."""
    with contextlib.suppress(OSError):  # some file systems have no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def umask() -> int:
    """What the system takes from the rights of new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
