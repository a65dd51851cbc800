"""Fetching one file over http(s) by pooch: tried again with growing pauses, whole and checked or not there."""

import logging
import sys
from pathlib import Path

from lasnn.datasets.archives import md5_of

SILENCE = 60.0  # seconds without a byte after which a connection counts as lost
RETRIES = 6  # pauses of 1, 2, 3... seconds before them
BLOCK = 1 << 20


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
