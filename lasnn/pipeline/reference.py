"""Finished runs that are kept in git, and how another machine takes them up in place of training. No torch.

Below `results/reference/<preset>/` lie the runs' files under their usual paths, and the exhibits. The workflow never
reads or writes there: only `python -m lasnn export` and `import` do. Checkpoints are kept where runs start from them.
"""

import shutil
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline import kept as replaced
from lasnn.pipeline import scores
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.workflow import RUN_FILES
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.storage import files

PICTURES = (".svg", ".png")


def folder_of(preset: Preset) -> Path:
    """Where a preset's kept results lie."""
    return Path(preset.config.file.folders.results, "reference", preset.name)


def kept_files(preset: Preset, run: Run) -> list[str]:
    """Names of a run's files that are kept: all but the checkpoint of a spiking network from which no run starts."""
    log = ["log.jsonl"] if preset.has_training_log(run) else []
    started_from = {parent for other in runs_of_target(preset, "all") for parent in preset.parents(other)}
    leaf = isinstance(run, SnnRun) and run not in started_from
    return [name for name in RUN_FILES if not (leaf and name == "model.pt")] + log


def export(config: Config, name: str | None = None, with_runs: bool = True) -> str:
    """Copy what is finished and fits the plan to the kept results; one line that says what was done.

    Pictures that show images of a dataset stay behind. Without `with_runs` only exhibits are kept.
    """
    preset, count, others = config.preset(name), 0, {}
    judge = Judge(preset)
    for run in runs_of_target(preset, "all") if with_runs else ():
        if not Path(preset.folder(run), "metrics.json").exists():
            continue
        if reason := judge.run(run):
            others[str(run)] = reason
            continue
        for file in kept_files(preset, run):
            count += _copied(Path(preset.folder(run), file), folder_of(preset) / str(run) / file)
    for exhibit in EXHIBITS:
        paths = [Path(path) for path in files_of(preset, exhibit)]
        if all(path.exists() for path in paths) and judge.exhibit(exhibit) is None:
            shown = [path for path in paths if not (EXHIBITS[exhibit].shows_images and path.suffix in PICTURES)]
            count += sum(_copied(path, folder_of(preset) / "exhibits" / path.name) for path in shown)
    return f"{count} files new or changed in {folder_of(preset)}" + _left(others, "left out")


def take_up(config: Config, name: str | None = None) -> str:
    """Copy kept runs to where the workflow looks, parents first; one line that says what was done.

    A run is taken if nothing of it is there yet, or what is there doesn't fit the plan, and if its settings, revision,
    parents and images are those of the plan; what isn't taken is trained as usual. InputError if a kept file is damaged
    or there is nothing to take.
    """
    preset = config.preset(name)
    source = folder_of(preset)
    if not source.is_dir():
        known = sorted(path.name for path in source.parent.glob("*") if path.is_dir())
        raise InputError(f"no kept results {source}: there are some for {', '.join(known) or 'no preset'}")
    taken, there, others, judge = 0, 0, {}, Judge(preset)
    for run in runs_of_target(preset, "all"):
        kept, target = source / str(run), Path(preset.folder(run))
        if not (kept / "metrics.json").exists():
            continue
        lies = any((target / name).exists() for name in RUN_FILES)
        if (target / "resume.pt").exists() or (lies and judge.run(run) is None):
            there += 1
        elif reason := _unfit(judge, run, kept):
            others[str(run)] = reason
        else:
            _check(kept, kept_files(preset, run))
            replaced.keep(preset, run)
            for file in RUN_FILES:  # of a run that does not fit: nothing of it may stay beside the new files
                (target / file).unlink(missing_ok=True)
            for file in kept_files(preset, run):
                _copied(kept / file, target / file)
            scores.write(preset, [run])
            taken += 1
    return f"{taken} runs taken up from {source}, {there} were there already" + _left(others, "not taken")


def _unfit(judge: Judge, run: Run, kept: Path) -> str | None:
    """Why a kept run does not answer what the plan asks; None if it does."""
    if reason := judge.answers_otherwise(run, said := judge.metrics(kept)):
        return reason
    for parent, digest in said["parents"].items():
        path = Path(judge.preset.root, parent, "model.pt")
        if not path.exists():
            return f"its parent {parent} is not there"
        if files.sha256(path) != digest:
            return f"made from another {parent} than the one that is there"
    data = Path(judge.preset.config.data_file(run.dataset))
    if not data.exists():
        return f"{data} is missing: `snakemake --cores 1 {data}` makes it"
    return judge.other_images(run, said, kept)


def _check(kept: Path, names: list[str]) -> None:
    """InputError if one of these kept files is missing or is not the one that its provenance describes."""
    digests = files.read_json(kept / "provenance.json")["files"]
    for path in (kept / name for name in names):
        if not path.exists():
            raise InputError(f"{path} is missing: `git checkout {path}`")
        if files.sha256(path) != digests.get(path.name, files.sha256(path)):  # of the training log none is stated
            raise InputError(f"{path} is not the file that its provenance describes: `git checkout {path}`")


def _copied(source: Path, target: Path) -> bool:
    """Copy a file unless the same content is there."""
    if target.exists() and files.sha256(source) == files.sha256(target):
        return False
    with open(source, "rb") as old, files.replacing(target) as new:
        shutil.copyfileobj(old, new)
    return True


def _left(others: dict[str, str], word: str) -> str:
    return f"; {len(others)} {word}, such as {next(iter(others))}: {next(iter(others.values()))}" if others else ""
