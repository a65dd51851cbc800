"""What the Snakefile asks of a bucket: where it is, what lies in it, and copies of all that results are judged by.

A checkpoint is the only file that is judged by another (`provenance.json`) and stays in the bucket until a job needs
it, which compares its digest.
"""

import argparse
import contextlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lasnn.errors import InputError
from lasnn.pipeline.single_instance import others_at_work
from lasnn.plan.config import ADOPTED, Config
from lasnn.results import store
from lasnn.results.fits import RUN_FILES
from lasnn.storage import files
from lasnn.storage.bucket import Bucket, Stored
from lasnn.storage.user import expanded

AT_ONCE = 16  # downloads


def bucket_of(workflow: Any, config: Config) -> Bucket | None:
    """The bucket that a call of Snakemake names; None if results lie in folders. InputError for other storage."""
    settings = workflow.storage_settings
    if settings is None or settings.default_storage_provider is None:
        return None
    if settings.default_storage_provider != "s3":
        kind = settings.default_storage_provider
        raise InputError(f"--default-storage-provider {kind}: results lie in a folder or in an S3 bucket (s3)")
    prefix = (settings.default_storage_prefix or "").rstrip("/")
    if not prefix.startswith("s3://") or not prefix.removeprefix("s3://"):
        raise InputError(f"--default-storage-prefix is {prefix!r}: expected s3://BUCKET or s3://BUCKET/FOLDER")
    for folder in (config.file.folders.results, config.file.folders.data):
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise InputError(f"config: folders: {folder!r} is no folder of a bucket: name one without a place")
    if config.file.adopted:
        raise InputError(
            f"{ADOPTED}: adopted weights lie in a folder, and results go to a bucket: leave --default-storage-provider "
            "out, or move that file away"
        )
    provider = workflow.storage_registry.default_storage_provider
    place = Path(provider.local_prefix, prefix.removeprefix("s3://"))
    names = ("endpoint_url", "region", "access_key", "secret_key", "token", "signature_version", "retries")
    place.mkdir(parents=True, exist_ok=True)
    return Bucket(prefix, str(place), **{name: getattr(provider.settings, name) for name in names})


def from_anywhere(content: dict[str, Any]) -> dict[str, Any]:
    """The configuration with whole paths to images of the user's own: jobs work in another folder."""

    def whole(path: str) -> str:
        return path if "://" in path else str(expanded(path).absolute())

    mirror = content.get("mirror")
    if isinstance(mirror, str):
        content = content | {"mirror": whole(mirror)}
    elif isinstance(mirror, dict):
        content = content | {"mirror": {name: whole(path) for name, path in mirror.items()}}
    own = {name: entry | {"folder": whole(entry["folder"])} for name, entry in (content.get("datasets") or {}).items()}
    return content | {"datasets": own}


def folders(config: Config, presets: Iterable[str]) -> list[str]:
    """Where results of these presets and images lie."""
    return [config.file.folders.data, *(config.preset(name).root for name in presets)]


def contents(
    bucket: Bucket, config: Config, presets: Iterable[str], asked: Iterable[str], options: argparse.Namespace | None
) -> dict[str, Stored]:
    """What is in the bucket, with copies of what is asked for in the place, unless another call is at work here.

    InputError before the first job if a job could not write there.
    """
    stored = bucket.listing(folders(config, presets))
    if not (options and options.dryrun):
        bucket.mark(newest(stored))
    if not others_at_work(Path(".snakemake")):
        bring(bucket, config, asked, stored)
        drop_saves(bucket, stored)
    return stored


def bring(bucket: Bucket, config: Config, asked: Iterable[str], stored: Mapping[str, Stored]) -> None:
    """Let the place hold the bucket's version of what is asked for: copies of it, and nothing that it has not.

    A finished run that didn't reach the bucket is kept where jobs find it, and is not trained again.
    """
    asked = list(dict.fromkeys(asked))
    with contextlib.chdir(bucket.place):
        strays = [path for path in asked if Path(path).exists() and not _is_copied(Path(path), stored)]
        for folder in dict.fromkeys(str(Path(path).parent) for path in strays if Path(path).name in RUN_FILES):
            store.keep(*config.locate(folder))
        for path in strays:
            Path(path).unlink()
        wanted = [path for path in asked if path in stored and not path.endswith("/model.pt")]
        wanted = [path for path in wanted if not Path(path).exists()]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda path: bucket.fetch(path, stored[path]), wanted))


def _is_copied(file: Path, stored: Mapping[str, Stored]) -> bool:
    """Whether a file is the copy of an object. A checkpoint that Snakemake brought has the date of that moment, and
    the digest of a provenance that is a copy.
    """
    there = stored.get(str(file))
    if there is None or there.is_copied(file) or file.name != "model.pt":
        return there is not None and there.is_copied(file)
    provenance = file.with_name("provenance.json")
    if provenance.exists() and _is_copied(provenance, stored):
        with contextlib.suppress(InputError):
            if files.stated_digest(file) == files.sha256(file):
                os.utime(file, (there.modified, there.modified))
    return there.is_copied(file)


def drop_saves(bucket: Bucket, stored: Mapping[str, Stored]) -> None:
    """Remove what finished runs went on from, here and in the bucket."""
    for folder in {path.removesuffix("/metrics.json") for path in stored if path.endswith("/metrics.json")}:
        if all(f"{folder}/{name}" in stored for name in RUN_FILES):
            saved = f"{folder}/resume.pt"
            Path(bucket.place, saved).unlink(missing_ok=True)
            if saved in stored:
                bucket.drop(saved)


def end(bucket: Bucket, config: Config, presets: Iterable[str]) -> str:
    """Drop what finished runs went on from, now or by the next call; what to say of where results are."""
    with contextlib.suppress(InputError):
        drop_saves(bucket, bucket.listing(folders(config, presets)))
    return f"results are in {bucket.url}, copies in {bucket.place}; DVC records folders alone: no lineage"


def newest(stored: Mapping[str, Stored]) -> float:
    """The latest date in the bucket, by its own clock; 0 if it is empty."""
    return max((one.modified for one in stored.values()), default=0)


def inside(bucket: Bucket | None) -> contextlib.AbstractContextManager[None]:
    """Work in the place of a bucket; where there is none, here."""
    return contextlib.chdir(bucket.place) if bucket else contextlib.nullcontext()


def below(bucket: Bucket | None, path: str) -> str:
    """A path as it is below the place, of one that Snakemake names."""
    return path.removeprefix(f"{bucket.place}/") if bucket else path
