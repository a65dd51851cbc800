"""Fetching one file over http(s): tried again with growing pauses, taken up where it broke off, never without bound."""

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from lasnn.errors import InputError

SILENCE = 60  # seconds without a byte after which a connection counts as lost
PAUSES = (1, 2, 4, 8, 16)  # seconds before each further try; progress begins them anew
LARGEST = 4 << 30  # bytes; the largest archive of these datasets has 248 million
BLOCK = 1 << 20


class _Broken(ConnectionError):
    """The connection ended before the file did."""


def fetch(address: str, path: Path) -> Path:
    """Download `address` to `path`, adding to what an earlier call left there.

    Failures that may pass (no connection, silence, a busy or broken server, an early end) are tried again after each of
    `PAUSES`; then the last one is raised, an OSError or http.client.HTTPException. Whoever calls checks the content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    left = list(PAUSES)
    while True:
        before = _size(path)
        try:
            _add(address, path)
            return path
        except (OSError, http.client.HTTPException) as error:
            if _size(path) > before:
                left = list(PAUSES)
            if not left or not _passing(error):
                raise
            time.sleep(left.pop(0))


def _passing(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 425, 429)
    reason = getattr(error, "reason", error)
    # A disk that is full or can't be written stays so, and so does a name that nobody knows.
    return isinstance(reason, ConnectionError | TimeoutError | http.client.HTTPException)


def _add(address: str, path: Path) -> None:
    """One try: ask for what is missing of the same version of the file, or for all of it."""
    note, start = path.with_name(path.name + ".version"), _size(path)
    version = note.read_text(encoding="utf-8") if start and note.exists() else ""
    request = urllib.request.Request(address)
    if version:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", version)  # another version comes as a whole
    try:
        response = urllib.request.urlopen(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and version:  # nothing is missing, or the file has become shorter: begin anew
            path.unlink()
        raise _Broken("the server has another file than before") if error.code == 416 else error from None
    with response:
        whole = _expected(response, start)
        goes_on = response.status == 206
        _check_room(whole, start if goes_on else 0, path)
        note.write_text(_version(response), encoding="utf-8")
        have = start if goes_on else 0
        with (
            open(path, "ab" if goes_on else "wb") as file,
            tqdm(desc=path.name, initial=have, total=whole, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while block := response.read(BLOCK):
                have += len(block)
                if have > LARGEST:
                    raise InputError(f"{path.name} is longer than {LARGEST:,} bytes: this is not the dataset")
                file.write(block)
                bar.update(len(block))
    if whole is not None and _size(path) != whole:
        raise _Broken(f"{_size(path):,} of {whole:,} bytes arrived")
    note.unlink(missing_ok=True)


def _expected(response: http.client.HTTPResponse, start: int) -> int | None:
    """Bytes of the whole file, as far as the server says; a part that is not the one asked for is refused."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != start:
            raise http.client.HTTPException("the server answers with another part of the file than was asked for")
        return int(match[2])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _version(response: http.client.HTTPResponse) -> str:
    """A strong ETag or a date that If-Range understands; empty if the server gives neither."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _check_room(whole: int | None, have: int, path: Path) -> None:
    if whole is None:
        return
    if whole > LARGEST:
        raise InputError(f"{path.name} has {whole:,} bytes, the limit is {LARGEST:,}: this is not the dataset")
    free = shutil.disk_usage(path.parent).free
    if whole - have > free:
        raise InputError(
            f"{path.name} needs {whole - have:,} more bytes, the disk has {free:,}: make room and run this again"
        )


def _size(path: Path) -> int:
    return os.path.getsize(path) if path.exists() else 0
