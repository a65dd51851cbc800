"""An S3 bucket in place of the folders of results and data: `snakemake --default-storage-provider s3`.

Snakemake keeps the local copies of a bucket's files below one folder, here the `place`. All processes that make or
judge results work in that folder, with the paths that they have without a bucket: `results/quick/...` below the place
is `<prefix>/results/quick/...` in the bucket. boto3 comes with Snakemake's plugin and is loaded when a bucket is used.
"""

import contextlib
import importlib.util
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lasnn.errors import InputError

PASSED = "LASNN_BUCKET"  # environment variable that tells jobs of the bucket and its place
MARK = ".lasnn"  # an object that each call writes before its first job: newer than all results of earlier calls
TICK = 1.0  # seconds: a bucket's dates are whole ones
HINTS = {
    "NoSuchBucket": "make the bucket, or name another in --default-storage-prefix",
    "Could not connect": "check --storage-s3-endpoint-url and the network",
    "Invalid endpoint": "check --storage-s3-endpoint-url",
    "Connection was closed": "check --storage-s3-endpoint-url and the network",
    "timeout": "check --storage-s3-endpoint-url and the network",
    "redirect": "check --storage-s3-region",
    "Quota": "make room in it",
    "Insufficient": "make room in it",
    "StorageFull": "make room in it",
    "InvalidBucketName": "check --default-storage-prefix",
}
RIGHTS = (
    "set SNAKEMAKE_STORAGE_S3_ACCESS_KEY and SNAKEMAKE_STORAGE_S3_SECRET_KEY, and have the right to list, read, write "
    "and delete there"
)


@dataclass(frozen=True)
class Stored:
    """What a bucket says of an object: bytes, and seconds since 1970 of its writing by the server's clock."""

    size: int
    modified: float

    def is_copied(self, path: Path) -> bool:
        """Whether a local file is the copy that was taken from this object, or that it was written from."""
        try:
            found = path.stat()
        except OSError:
            return False
        return found.st_size == self.size and abs(found.st_mtime - self.modified) < TICK


@dataclass(frozen=True)
class Bucket:
    """Bucket and prefix (`s3://name/prefix`), the place of local copies, and how the server is reached."""

    url: str
    place: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    signature_version: str | None = None
    retries: int = 5

    def __repr__(self) -> str:
        return self.url  # without keys

    def pass_on(self) -> None:
        """Let the jobs of this process know."""
        os.environ[PASSED] = json.dumps(asdict(self))

    @property
    def name(self) -> str:
        """The bucket's name."""
        return urlsplit(self.url).netloc

    def key(self, path: str) -> str:
        """The object of a path below the place."""
        prefix = urlsplit(self.url).path.strip("/")
        return f"{prefix}/{path}" if prefix else path

    @cached_property
    def client(self) -> Any:  # type: ignore[explicit-any] # boto3 makes its classes when it runs
        """boto3's own, as the plugin sets it up."""
        import boto3
        from botocore.config import Config

        when = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
        retries = {"max_attempts": self.retries, "mode": "standard"}
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            config=Config(signature_version=self.signature_version, retries=retries, **when),
        )

    def listing(self, folders: Iterable[str]) -> dict[str, Stored]:
        """Every object below these folders of the place, by its path there; InputError if nobody answers."""
        found, skipped = {}, len(self.key(""))
        with self._answering("can't be read"):
            pages = self.client.get_paginator("list_objects_v2")
            for folder in folders:
                for page in pages.paginate(Bucket=self.name, Prefix=self.key(f"{folder}/")):
                    for one in page.get("Contents", ()):
                        found[one["Key"][skipped:]] = Stored(one["Size"], one["LastModified"].timestamp())
        return found

    def fetch(self, path: str, stored: Stored) -> None:
        """Copy an object to its path below the working folder, dated as it is."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.fetched.part")
        with self._answering(f"doesn't give {path}"):
            self.client.download_file(self.name, self.key(path), str(scratch))
        os.utime(scratch, (stored.modified, stored.modified))
        os.replace(scratch, target)

    def stored(self, path: str) -> Stored | None:
        """The object of a path, if there is one."""
        return self.listing([str(Path(path).parent)]).get(path)

    def put(self, path: str) -> None:
        """Write a file below the working folder to its object."""
        with self._answering(f"doesn't take {path}"):
            self.client.upload_file(path, self.name, self.key(path))

    def drop(self, path: str) -> None:
        """Remove the object of a path."""
        with self._answering(f"doesn't let {path} go"):
            self.client.delete_object(Bucket=self.name, Key=self.key(path))

    def mark(self, after: float) -> None:
        """Write MARK, dated after `after` by the server's clock; InputError if nothing can be written."""
        with self._answering("can't be written"):
            while True:
                self.client.put_object(Bucket=self.name, Key=self.key(MARK), Body=b"results and data of lasnn\n")
                found = self.client.head_object(Bucket=self.name, Key=self.key(MARK))
                if found["LastModified"].timestamp() > after:
                    return
                time.sleep(TICK)

    @contextlib.contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        """InputError in one line for whatever boto3 raises."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError, ValueError) as error:
            said = " ".join(str(error).split())
            hint = next((hint for word, hint in HINTS.items() if word.lower() in said.lower()), RIGHTS)
            raise InputError(f"the bucket {self.url} {what}: {said}: {hint}") from None


def check_tools(executor: str | None = None) -> None:
    """SystemExit with one line where a plugin or an address is missing: for a profile, before Snakemake needs them."""
    plugins = {"snakemake_storage_plugin_s3": "s3"}
    if executor:
        plugins[f"snakemake_executor_plugin_{executor}"] = executor
    for plugin, group in plugins.items():
        if importlib.util.find_spec(plugin) is None:
            name = plugin.replace("_", "-")
            raise SystemExit(f"error: {name} is not installed: write `uv run --locked --group {group} snakemake ...`")
    endpoint = os.environ.get("SNAKEMAKE_STORAGE_S3_ENDPOINT_URL")
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise SystemExit(
            f"error: SNAKEMAKE_STORAGE_S3_ENDPOINT_URL is {endpoint!r}: expected an address such as https://s3.example.org"
        )


def passed_on() -> Bucket | None:
    """The bucket of the workflow that this process is a job of; None if there is none."""
    return Bucket(**json.loads(os.environ[PASSED])) if PASSED in os.environ else None
