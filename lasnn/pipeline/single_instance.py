"""One `snakemake` at a time in a folder, known before it reads the plan."""

from pathlib import Path

from filelock import BaseFileLock

from lasnn.errors import InputError
from lasnn.pipeline.workflow import command_line
from lasnn.storage.locks import taken

LOCK = "lasnn.lock"
_held: list[BaseFileLock] = []  # as long as the process


def claim(folder: Path) -> None:
    """Hold a lock in `folder` (.snakemake) as long as this process lives.

    InputError if another snakemake holds it, or was killed and left Snakemake's own lock, unless this call only looks
    (a dry run, say). Snakemake takes its own lock after the Snakefile was read, and refuses in five lines.
    """
    options, lock = command_line(), folder / LOCK
    try:
        folder.mkdir(exist_ok=True)
        lock.touch()
        if options is None or options.dryrun or options.unlock or options.nolock:
            return
        _held.append(taken(lock, "another snakemake is at work in this folder"))
    except OSError as error:
        raise InputError(
            f"{Path.cwd() / folder} can't be written ({error.strerror}), and Snakemake keeps its notes there: work in "
            "a folder of your own, `snakemake --snakefile PATH/workflow/Snakefile --directory FOLDER`"
        ) from None
    if any(folder.glob("locks/*")):
        raise InputError(
            "a killed snakemake left its lock here: `snakemake --unlock` removes it, then run this again, which goes on"
        )


def others_at_work(folder: Path) -> bool:
    """Whether another process holds the lock in `folder`."""
    if _held:
        return False
    try:
        taken(folder / LOCK, "").release()
    except (InputError, OSError):
        return True
    return False
