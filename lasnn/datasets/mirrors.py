"""Where a dataset comes from: the publisher's server, or the user's own copy of it (the mirror).

Files over http(s) are fetched by pooch: tried again with growing pauses, whole and checked or not there.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from lasnn.datasets.archives import TAR_ENDINGS, md5_of
from lasnn.errors import InputError
from lasnn.storage.user import expanded

SILENCE = 60.0  # seconds without a byte after which a connection counts as lost
RETRIES = 6  # pauses of 1, 2, 3... seconds before them
BLOCK = 1 << 20


@dataclass(frozen=True)
class Official:
    """The publisher's archive and the folder that it extracts to."""

    archive: str
    folder: str
    md5: str
    url: str


def download(name: str, official: Official, raw: Path) -> Path:
    """The official archive, checked, in the folder `raw`; fetched unless a whole one is there."""
    try:
        return fetch(official.url, raw / official.archive, official.md5)
    except Unavailable as error:
        raise InputError(
            f"dataset {name!r} cannot be downloaded from its publisher ({error}); connect and run this again, or set "
            f"`mirror` to a folder or address that holds {official.archive}"
        ) from error


def locate(name: str, official: Official, mirror: str, scratch: Path) -> Path:
    """The dataset in the user's mirror, as a local archive or folder; what an address gives is put into `scratch`."""
    wanted = candidates(name, official)
    if "://" in mirror:
        return _fetched(name, wanted, mirror, scratch)
    place = expanded(mirror)
    if place.is_file():
        return place
    if not place.is_dir():
        raise InputError(
            f"the mirror for dataset {name!r} does not exist: expected a folder, a .zip or .tar.gz file, or an "
            "http(s) address; correct `mirror`"
        )
    for each in wanted:
        there = place / each
        if there.is_dir() if each.endswith("/") else there.is_file():
            return there
    raise _missing(name, wanted)


def candidates(name: str, official: Official) -> list[str]:
    """What a mirror may hold, best first; folders end in "/"."""
    subsets = [f"{name}-subset.zip"]
    if official.archive.endswith(".zip"):
        subsets.append(official.archive.replace(".zip", "-subset.zip"))
    return [official.archive, f"{official.folder}/", f"{name}.zip", f"{name}/", *subsets]


def _fetched(name: str, wanted: list[str], mirror: str, scratch: Path) -> Path:
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:  # "[::1", say
        usable = False
    if not usable:
        raise InputError(
            f"the mirror for dataset {name!r} has an address that cannot be used: expected http(s)://host/path "
            "without a user name; correct `mirror`"
        )
    own_name = PurePosixPath(parts.path).name
    if own_name.endswith((".zip", *TAR_ENDINGS)):
        addresses = {own_name: mirror}
    else:
        start = parts.path.rstrip("/")
        archives = [each for each in wanted if not each.endswith("/")]
        addresses = {each: urlunsplit(parts._replace(path=f"{start}/{each}")) for each in archives}
    for each, address in addresses.items():
        try:
            return fetch(address, scratch / each)
        except Unavailable as error:
            if not error.absent:
                raise InputError(
                    f"the mirror for dataset {name!r} gives no {each} ({error}); check `mirror` and the connection"
                ) from error
    raise _missing(name, list(addresses))


def _missing(name: str, wanted: list[str]) -> InputError:
    return InputError(
        f"the mirror does not hold dataset {name!r}: looked for {', '.join(wanted)}; put one of them there or "
        "correct `mirror`"
    )


class Unavailable(Exception):
    """A file that can't be had; the message says why. `absent`: the server has no such file."""

    absent = False


def fetch(address: str, path: Path, md5: str | None = None) -> Path:
    """Download `address` to `path`, unless a file with this MD5 is there; Unavailable after the last try.

    What breaks off, is silent, or comes from a busy or broken server is tried again from the beginning. A file that
    the server refuses, or one with another MD5, is not. OSError of a full disk.
    """
    import pooch
    import requests

    def once(url: str, part: str, manager: object) -> None:
        try:
            http(url, part, manager)
        except requests.HTTPError as error:
            answer = error.response
            if answer is None or answer.status_code >= 500 or answer.status_code in (408, 425, 429):
                raise
            refusal = Unavailable(_reason(error))
            refusal.absent = answer.status_code in (404, 410)
            raise refusal from error  # which pooch does not try again
        if md5 and (found := md5_of(Path(part))) != md5:
            raise Unavailable(f"its file is not the official one: expected md5 {md5}, found {found}")

    pooch.get_logger().setLevel(logging.WARNING)  # else it says where on this machine the file lies
    http = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=BLOCK, timeout=SILENCE)
    registry = {path.name: f"md5:{md5}" if md5 else None}
    place = pooch.create(path.parent, "", registry=registry, urls={path.name: address}, retry_if_failed=RETRIES)
    try:
        place.fetch(path.name, downloader=once)
    except requests.RequestException as error:
        raise Unavailable(_reason(error)) from error
    return path


def _reason(error: Exception) -> str:
    """Why a request failed, without its address, which may hold a key."""
    import requests

    if (response := getattr(error, "response", None)) is not None:
        return f"the server answers {response.status_code} {response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {SILENCE:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return f"no connection: {type(error).__name__}"
