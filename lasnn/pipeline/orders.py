"""What Snakemake is told of freshness: which outputs must be made again, and that times and notes count for nothing.

The rules ask `Orders` for their inputs. Files that don't fit the plan are put among those that Snakemake is forced to
make (as `--forcerun` does), in a dry run too; the inputs of what fits are `ancient`, so that no clock ages it. (Of what
doesn't fit or is not there they are not: Snakemake looks no further at jobs behind one that it makes, unless their
inputs age them.)
Before the first job everything finished that is about to be replaced is kept (`lasnn.pipeline.kept`).
"""

import argparse
import atexit
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lasnn.errors import InputError
from lasnn.pipeline import kept, notebooks, progress
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.sources import data_params
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run
from lasnn.report import EXHIBITS, files_of
from lasnn.storage.digests import Digests

SHOWN = 8  # reasons that are printed; all others follow from them or are of the same kind


class Orders:
    """One call of Snakemake: `force` takes the files that must be made again, `say` one line."""

    def __init__(
        self,
        config: Config,
        options: argparse.Namespace | None,
        force: Callable[[list[str]], None],
        say: Callable[[str], None],
    ):
        self.config, self.force, self.say = config, force, say
        self.digests, self.told = Digests(), 0
        self.judges: dict[str, Judge] = {}
        self.owners: dict[str, tuple[Preset, Run]] = {}  # output -> the run that it belongs to
        self.ordered: set[str] = set()  # files that are to be made again
        self.images: set[str] = set()
        forced = forced_words(options)
        self.cascades = bool(forced)  # what was typed ages what follows from it
        os.environ[kept.ALLOWED] = json.dumps(forced)
        atexit.register(self.digests.save)

    def judge(self, preset: Preset) -> Judge:
        """The one judge of a preset in this call."""
        if preset.name not in self.judges:
            self.judges[preset.name] = Judge(preset, self.digests)
        return self.judges[preset.name]

    def run(self, preset: Preset, run: Run, inputs: list[str]) -> list[str]:
        """Of the inputs of a run those that it needs; it is ordered again if it doesn't fit.

        A run that is whole needs none that is missing: neither images nor checkpoints are made for it.
        """
        judge = self.judge(preset)
        outs = judge.outs(run)
        self.owners |= dict.fromkeys(outs, (preset, run))
        reason = judge.run(run)
        self._order(outs, reason, str(run))
        whole = reason is None and all(os.path.exists(path) for path in outs[1:])
        return [path for path in inputs if os.path.exists(path)] if whole else inputs

    def still(self, outs: Sequence[str]) -> bool:
        """Whether the inputs of a job are not to be compared by time: these outputs of it are there and fit."""
        there = all(os.path.exists(path) for path in outs)
        return there and not self.cascades and self.ordered.isdisjoint(outs)

    def data(self, dataset: str) -> None:
        """A dataset is ordered again if its source holds something else."""
        path = self.config.data_file(dataset)
        self.images.add(path)
        self._order([path], self.judge(self.config.preset()).data(dataset), path)

    def data_params(self, dataset: str) -> str:
        """What a prepared dataset depends on."""
        return data_params(self.config, dataset, self.digests)

    def exhibit(self, preset: Preset, name: str) -> list[str]:
        """The files that an exhibit is made from; it is ordered again if it doesn't show them."""
        self._order(files_of(preset, name), self.judge(preset).exhibit(name), f"{preset.root}/exhibits/{name}")
        return EXHIBITS[name].files(preset)

    def page(self, preset: Preset, name: str) -> list[str]:
        """The files that a notebook reads; its page is ordered again if it doesn't show them."""
        page = f"{preset.root}/notebooks/{name}.html"
        self._order([page], self.judge(preset).page(name), page)
        return notebooks.inputs(preset, name)

    def before_the_first_job(self, outputs: Iterable[Iterable[str]]) -> None:
        """Keep what the jobs with these outputs are about to replace.

        InputError, with nothing changed, if a file that doesn't fit can't be replaced.
        """
        jobs = [[str(path) for path in outs] for outs in outputs]
        kept.check_writable([path for outs in jobs for path in outs])
        about = [self.owners[outs[0]] for outs in jobs if outs and outs[0] in self.owners]
        progress.begin([preset.folder(run) for preset, run in about], [path for outs in jobs for path in outs])
        for outs in jobs:
            if outs and outs[0] in self.owners:
                preset, run = self.owners[outs[0]]
                kept.keep(preset, run, self.judge(preset))
            elif outs and outs[0] in self.images and os.path.exists(outs[0]):
                with contextlib.suppress(InputError):  # a damaged file is no loss
                    kept.keep_images(Path(outs[0]), self.judge(self.config.preset()).header(outs[0])["digest"])

    def _order(self, outs: list[str], reason: str | None, name: str) -> None:
        if reason is None or self.ordered.issuperset(outs):
            return
        self.ordered.update(outs)
        self.force(outs)
        if not reason.startswith(("it rests on", "it shows")):
            self.told += 1
            if self.told <= SHOWN:
                self.say(f"to be made again: {name}: {reason}")
            elif self.told == SHOWN + 1:
                self.say("to be made again: more that does not fit")


def forced_words(options: argparse.Namespace | None) -> list[str]:
    """What was typed to be made whatever lies there: rules, files, or everything."""
    if options is None:
        return []
    if options.forceall:
        return [kept.EVERYTHING]
    words = [str(word).removeprefix("./") for word in options.forcerun or ()]
    if options.force:
        words += [str(target).removeprefix("./") for target in options.targets or ()]
    return words


def replaces(workflow: Any) -> bool:
    """Whether a call of Snakemake makes files, and does not only touch them."""
    return bool(workflow.is_main_process) and not workflow.touch


def stop(error: InputError, say: Callable[[str], None]) -> None:
    """End the call with one line."""
    say(f"error: {error}")
    raise SystemExit(1)
