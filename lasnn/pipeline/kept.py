"""Finished runs that something is about to replace or delete, kept under their content; jobs take up what fits.

Below `results/.kept/<preset>/<run>/<digest>/` lie links to a run's files (copies where links are impossible), so they
cost no room while the run is in place. Whoever needs the room deletes the folder: nothing else depends on it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline.freshness import DAMAGE, Judge
from lasnn.pipeline.workflow import RUN_FILES
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.storage import files

ALLOWED = "LASNN_KEPT"  # environment variable that tells jobs that they may take up kept runs: forced words as JSON
EVERYTHING = "*"  # a forced word that means every run
ALSO = "log.jsonl"


def folder_of(preset: Preset) -> Path:
    """Where a preset's replaced runs lie."""
    return Path(preset.config.file.folders.results, ".kept", preset.name)


def made(folder: Path) -> Path:
    """The folder, which is there now."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(preset: Preset, run: Run, judge: Judge | None = None) -> Path | None:
    """Keep what is there of a run, whether or not it fits; where it lies now, None if there is nothing finished."""
    folder = Path(preset.folder(run))
    there = [name for name in (*RUN_FILES, ALSO) if (folder / name).is_file()]
    if "metrics.json" not in there:
        return None
    digest = judge.digests.sha256 if judge else files.sha256
    told = {name: digest(folder / name) for name in there if name not in ("provenance.json", ALSO)}
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    place = folder_of(preset) / str(run) / key
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=".", suffix=".part"))
    try:
        for name in there:
            _linked(folder / name, scratch / name)
        os.chmod(scratch, 0o777 & ~files.umask())
        os.rename(scratch, place)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        if not place.is_dir():  # else another process has just kept the same
            raise
    return place


def keep_images(path: Path, digest: str) -> None:
    """Keep prepared images that are about to be replaced, under the digest that runs made from them name."""
    place = made(path.parent / ".kept") / f"{path.stem}-{digest[:16]}{path.suffix}"
    if not place.exists():
        _linked(path, place)


def may_take_up(run: Run, folder: str) -> bool:
    """Whether this process is a job of a workflow that was not told to make this very run again."""
    if ALLOWED not in os.environ:
        return False
    forced = set(json.loads(os.environ[ALLOWED]))
    mine = {EVERYTHING, run.kind, *(f"{folder.rstrip('/')}/{name}" for name in RUN_FILES)}
    return not mine & forced


def take_up(preset: Preset, run: Run, checkpoint: bool = True) -> Path | None:
    """Put a kept run in place that is what the plan asks for; where it was kept, None if there is none."""
    judge, folder = Judge(preset), Path(preset.folder(run))
    needed = [name for name in RUN_FILES if checkpoint or name != "model.pt"]
    for place in sorted((folder_of(preset) / str(run)).glob("[0-9a-f]*"), key=os.path.getmtime, reverse=True):
        try:
            whole = all((place / name).is_file() for name in needed)
            if not whole or judge.unfit_in(run, place) or judge.lacks_parents(run, place):
                continue
        except DAMAGE:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name in (ALSO, *reversed(RUN_FILES)):  # the checkpoint last, as a run leaves it
            if (place / name).is_file():
                _linked(place / name, folder / name)
        return place
    return None


def check_writable(paths: list[str]) -> None:
    """InputError that names the first of these files which this user can't replace."""
    for path in map(Path, paths):
        if path.exists() and not (os.access(path.parent, os.W_OK | os.X_OK) and _may_remove(path)):
            owner = path.owner() if hasattr(path, "owner") else "somebody else"
            raise InputError(
                f"{path} does not fit the plan and can't be replaced here: it belongs to {owner}; ask for it to be "
                "made again, get the right to write there, or set folders.results to a folder of your own"
            )


def _may_remove(path: Path) -> bool:
    """A sticky folder, such as /tmp, lets only owners remove a file."""
    folder = path.parent.stat()
    return not folder.st_mode & 0o1000 or os.geteuid() in (0, folder.st_uid, path.stat().st_uid)


def _linked(source: Path, target: Path) -> None:
    """Another name for a file, in place of what was there."""
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    os.unlink(scratch)
    try:
        try:
            os.link(source, scratch)
        except OSError:  # a file system without links, a limit on their number, the file of another user
            shutil.copyfile(source, scratch)
        os.replace(scratch, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(scratch)  # two names of one file: `replace` leaves both
