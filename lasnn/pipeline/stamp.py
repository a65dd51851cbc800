"""How Snakemake hears what must be made again: by a stamp, a file that is newer than every result.

The stamp is an input of every rule. Where a rule's files are there and don't fit the plan (`lasnn.pipeline.freshness`),
Snakemake sees a newer input; elsewhere it is `ancient`, which ages nothing. It holds another word in each call, as
Snakemake leaves out a newer input whose content it has recorded. The other inputs of what fits are `ancient` too, and
only those that are there: no clock ages it, and nothing is made for it. Input functions read and change nothing.

Before the first job everything finished that is about to be replaced is kept (`lasnn.results.store`).
"""

import atexit
import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lasnn.errors import InputError
from lasnn.pipeline import notebooks
from lasnn.pipeline.buckets import below, inside
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.single_instance import others_at_work
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run
from lasnn.report import EXHIBITS, PAPER, files_of
from lasnn.results import progress, store
from lasnn.results.fits import RUN_FILES
from lasnn.storage import files
from lasnn.storage.bucket import MARK, Bucket, Stored
from lasnn.storage.digests import INDEX, Digests
from lasnn.storage.locks import only_writer

STAMP = Path(".snakemake", "lasnn", "stamp")
SHOWN = 8  # reasons that are printed; all others follow from them or are of the same kind
SECOND = 10**9  # ns


class Inputs:
    """Inputs of rules in one call of Snakemake: `forced` gives what was typed to be made again, `say` prints a line.

    `bucket`: where results and images lie, and `stored`: what is in it. `marked`: whether its mark is the stamp.
    `judging`: whether this process decides what is made; that of a job is told, and rules have all inputs there.
    """

    def __init__(
        self,
        config: Config,
        forced: Callable[[], list[str]],
        say: Callable[[str], None],
        bucket: Bucket | None = None,
        stored: Mapping[str, Stored] | None = None,
        marked: bool = False,
        judging: bool = True,
    ):
        self.config, self.forced, self.say, self.bucket, self.marked = config, forced, say, bucket, marked
        self.exists: Callable[[str], bool] = os.path.exists if stored is None else stored.__contains__
        self.judging = judging
        self.digests = Digests((Path(bucket.place, INDEX) if bucket else INDEX) if judging else None)
        self.judges: dict[str, Judge] = {}
        self.told: set[str] = set()
        atexit.register(self.digests.save)

    def judge(self, preset: Preset) -> Judge:
        """The one judge of a preset in this call."""
        if preset.name not in self.judges:
            self.judges[preset.name] = Judge(preset, self.digests)
        return self.judges[preset.name]

    def run(self, preset: Preset, run: Run, paths: list[str]) -> list[Any]:
        """Of the inputs of a run those that it needs. A whole run, with or without its checkpoint, needs no other."""
        judge = self.judge(preset)
        outs = [path for path in judge.outs(run) if not path.endswith("/model.pt")]
        return self._inputs(paths, outs, lambda: judge.run(run), str(run))

    def data(self, dataset: str) -> list[Any]:
        """No file that the workflow knows: what a dataset is prepared from may lie anywhere."""
        path = self.config.data_file(dataset)
        return self._inputs([], [path], lambda: self.judge(self.config.preset()).data(dataset), path)

    def exhibit(self, preset: Preset, name: str) -> list[Any]:
        """The files that an exhibit is made from; in a bucket training logs too, which elsewhere no rule names."""
        exhibit, judge = EXHIBITS[name], self.judge(preset)
        paths = exhibit.files(preset)
        if self.bucket:
            paths = [path for path in exhibit.made_from(preset) if path != str(PAPER)]
        return self._inputs(
            paths, files_of(preset, name), lambda: judge.exhibit(name), f"{preset.root}/exhibits/{name}"
        )

    def page(self, preset: Preset, name: str) -> list[Any]:
        """The files that a notebook reads."""
        page = f"{preset.root}/notebooks/{name}.html"
        return self._inputs(notebooks.inputs(preset), [page], lambda: self.judge(preset).page(name), page)

    def _inputs(self, paths: list[str], outs: Sequence[str], look: Callable[[], str | None], name: str) -> list[Any]:
        from snakemake.io import ancient, local

        if not self.judging:
            return paths
        with inside(self.bucket):
            reason = look()
        # In a bucket an object, as Snakemake makes here what needs a file of this machine; a dry run writes none.
        stamp = MARK if self.marked else local(str(STAMP)) if self.bucket else str(STAMP)
        if reason is not None:
            self._tell(name, reason)
            return [*paths, stamp]
        if all(map(self.exists, outs)):
            there = [path for path in paths if self.exists(path)]
            paths = there if self.forced() else [ancient(path) for path in there]  # what was typed ages what follows
        return [*paths, ancient(stamp)]

    def _tell(self, name: str, reason: str) -> None:
        if name in self.told or reason.startswith(("it rests on", "it shows")):
            return
        self.told.add(name)
        if len(self.told) <= SHOWN:
            self.say(f"to be made again: {name}: {reason}")
        elif len(self.told) == SHOWN + 1:
            self.say("to be made again: more that does not fit")

    def before_the_first_job(self, outputs: Iterable[Iterable[str]]) -> None:
        """Keep what the jobs with these outputs are about to replace, and let them know what they may take up.

        InputError, with nothing changed, if a file that doesn't fit can't be replaced, or is being made.
        """
        made = [below(self.bucket, str(path)) for outs in outputs for path in outs]
        with inside(self.bucket):
            _check_writable(made)
            folders = dict.fromkeys(str(Path(path).parent) for path in made if Path(path).name in RUN_FILES)
            runs = [self.config.locate(folder) for folder in folders]
            images = [Path(path) for path in made if Path(path).parent == Path(self.config.file.folders.data)]
            for preset, run in runs:
                _check_free(Path(preset.folder(run), ".lock"), f"the run {run}")
            for path in images:
                _check_free(path.with_name(f".{path.name}.lock"), f"dataset {path.stem!r}")
            progress.begin([preset.folder(run) for preset, run in runs], made)
            for preset, run in runs:
                store.keep(preset, run, self.digests)
            for path in filter(Path.exists, images):
                with contextlib.suppress(InputError):  # a damaged file is no loss
                    store.keep_images(path, self.judge(self.config.preset()).header(str(path))["digest"])
            store.allow(self.forced())


def _check_free(lock: Path, of: str) -> None:
    """InputError if this is held: an earlier call left that job at work, and Snakemake would remove its log."""
    if any(lock.parent.glob(f"{lock.name}*")):
        with only_writer(lock, of):
            pass


def renew(paths: Iterable[str], after: float = 0) -> None:
    """Write the stamp, newer than these files and than `after` (seconds since 1970), by another clock maybe.

    Those that are dated in the future are dated a second before it. A dry run leaves the stamp to another call that is
    at work, which compares its date with those of what its jobs write.
    """
    if STAMP.exists() and others_at_work(STAMP.parents[1]):
        return
    files.write_text(STAMP, secrets.token_hex())
    if os.stat(STAMP).st_mtime <= after + 1:
        os.utime(STAMP, (after + 2, after + 2))
    limit = os.stat(STAMP).st_mtime_ns
    for path in paths:
        with contextlib.suppress(OSError):  # there is none, or it belongs to somebody else
            if os.lstat(path).st_mtime_ns >= limit:
                os.utime(path, ns=(limit - SECOND, limit - SECOND), follow_symlinks=False)


def forced_words(settings: Any) -> list[str]:
    """What was typed to be made whatever lies there, by Snakemake's own settings: rules, files, or everything."""
    if settings is None:
        return []
    if settings.forceall:
        return [store.EVERYTHING]
    words = {*settings.forcerun, *(settings.targets if settings.forcetargets else ())}
    return sorted(str(word).removeprefix("./") for word in words)


def _check_writable(paths: Iterable[str]) -> None:
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
