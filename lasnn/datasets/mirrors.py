"""Where a dataset comes from: the publisher's server, or the user's own copy of it (the mirror)."""

import contextlib
import http.client
import os
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from lasnn.datasets.archives import TAR_ENDINGS, check_md5
from lasnn.errors import InputError

SILENCE = 60  # seconds without a byte after which a connection counts as lost


@dataclass(frozen=True)
class Official:
    """The publisher's archive and the folder that it extracts to."""

    archive: str
    folder: str
    md5: str
    url: str


def download(name: str, official: Official, raw: Path, scratch: Path) -> Path:
    """The official archive, checked, in the folder `raw`; fetched unless a whole one lies there already."""
    from torchvision.datasets.utils import check_integrity, download_url

    kept = raw / official.archive
    if check_integrity(kept, official.md5):
        return kept
    try:
        with _patience():
            download_url(official.url, scratch, official.archive)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise InputError(
            f"dataset {name!r} cannot be downloaded: no connection to its publisher ({error}); connect, or set "
            f"`mirror` to a folder or address that holds {official.archive}"
        ) from error
    check_md5(scratch / official.archive, official.md5)
    raw.mkdir(parents=True, exist_ok=True)
    os.replace(scratch / official.archive, kept)
    return kept


def locate(name: str, official: Official, mirror: str, scratch: Path) -> Path:
    """The dataset in the user's mirror, as a local archive or folder; what an address gives is put into `scratch`."""
    wanted = candidates(name, official)
    if "://" in mirror:
        return _fetched(name, wanted, mirror, scratch)
    place = Path(mirror).expanduser()
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
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
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
            return _fetch(address, scratch / each)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if getattr(error, "code", None) not in (404, 410):  # "no such file": try the next name
                raise InputError(
                    f"the mirror for dataset {name!r} gives no {each} ({error}); check `mirror` and the connection"
                ) from error
    raise _missing(name, list(addresses))


def _fetch(address: str, path: Path) -> Path:
    # Not torchvision's: it falls back from https to http, and a mirror's archive may have no checksum to catch it.
    with urllib.request.urlopen(address, timeout=SILENCE) as response, open(path, "wb") as file:
        shutil.copyfileobj(response, file, 2**20)
        expected = response.headers.get("Content-Length")
    if expected is not None and path.stat().st_size != int(expected):
        raise ConnectionError(f"{path.stat().st_size:,} of {int(expected):,} bytes arrived")
    return path


def _missing(name: str, wanted: list[str]) -> InputError:
    return InputError(
        f"the mirror does not hold dataset {name!r}: looked for {', '.join(wanted)}; put one of them there or "
        "correct `mirror`"
    )


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """torchvision's downloader has no time limit of its own, and a silent server would hold it for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
