"""What DVC is told after a workflow has ended well: one process, stage by stage, outside of every rule.

Only what config.yaml explains is recorded: settings of the command line would put a run under wrong params.
Runs are recorded where they are; nothing is deleted, moved or linked. DVC is loaded in here and nowhere else.
"""

import contextlib
import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lasnn.errors import InputError
from lasnn.pipeline import dvc_yaml
from lasnn.pipeline.freshness import Judge
from lasnn.plan.config import CONFIG, Config, Preset, whole
from lasnn.plan.overlays import parsed
from lasnn.plan.own import with_adoptions
from lasnn.plan.runs import Run
from lasnn.report import EXHIBITS, runs_of_target
from lasnn.results import scores, store
from lasnn.storage import files
from lasnn.storage.digests import Digests

FOLDER = Path("lineage")  # dvc.yaml and dvc.lock of presets other than the one that config.yaml names
LATER = "`python -m lasnn record` does it later; results are untouched"


def record(name: str | None = None) -> str:
    """Record a preset's finished stages in dvc.lock (and its cache); one line that says what was done.

    InputError if there is nothing to record in, or if DVC can't.
    """
    start = time.monotonic()
    if not in_checkout():
        raise InputError("lineage is not recorded: this folder is no checkout of git and DVC (`git init` makes it one)")
    config = Config(with_adoptions(whole()))  # as DVC reads it, whatever the command line said
    preset = config.preset(name)
    place, digests = write_stages(config, preset), Digests()
    fitting, others = sort_out(preset, digests)
    scores.write(preset, [run for run in runs_of_target(preset, "all") if dvc_yaml.stage_name(run) in fitting])
    count, unchanged = _commit(place, fitting)
    for run in runs_of_target(preset, "all"):
        if dvc_yaml.stage_name(run) in fitting:
            store.keep(preset, run, digests)
    digests.save()
    line = f"lineage: {count} stages recorded in {place.with_name('dvc.lock')}, {unchanged} as they were"
    line += f" ({time.monotonic() - start:.1f} s)"
    if others:
        stage, reason = next(iter(others.items()))
        line += f"; {len(others)} not recorded, such as {stage}: {reason}"
    return line


def dvcfile(config: Config, preset: Preset) -> Path:
    """Where a preset's stages are recorded: at the root for the one that config.yaml names, else below `lineage/`."""
    return Path("dvc.yaml") if preset.name == config.file.preset else FOLDER / preset.name / "dvc.yaml"


def write_stages(config: Config, preset: Preset) -> Path:
    """Bring a preset's dvc.yaml up to date; where it is."""
    place = dvcfile(config, preset)
    if place.parent == Path():
        text = dvc_yaml.text(preset)
    else:
        others = {Path("dvc.yaml"), *FOLDER.glob("*/dvc.yaml")} - {place}
        contents = [parsed(other) for other in others if other.exists()]
        stages = [content["stages"] for content in contents if isinstance(content, dict)]
        text = dvc_yaml.text_below(preset, place.parent, {stage for found in stages for stage in found})
    if not place.exists() or place.read_text(encoding="utf-8") != text:
        files.write_text(place, text)
    return place


def sort_out(preset: Preset, digests: Digests) -> tuple[list[str], dict[str, str]]:
    """Stages whose files config.yaml explains, parents before children, and the reason for each other that has files.

    What rests on a run that can't be recorded can't be recorded either.
    """
    fitting, others = [], {}
    judge = Judge(preset, digests, checkpoints=True)
    runs = runs_of_target(preset, "all")
    for dataset in sorted({run.dataset for run in runs}):
        if Path(preset.config.data_file(dataset)).exists():
            fitting.append(f"data-{dataset}")
    judged: list[tuple[str, list[str], Sequence[Run], Callable[[], str | None]]] = [
        (dvc_yaml.stage_name(run), judge.outs(run), preset.parents(run), partial(judge.run, run)) for run in runs
    ]
    for name, exhibit in EXHIBITS.items():
        paths = [f"{preset.root}/exhibits/{name}.json"]
        judged.append((f"exhibit-{name}", paths, exhibit.runs(preset), partial(judge.exhibit, name)))
    for stage, paths, parents, why_not in judged:
        if not any(Path(path).exists() for path in paths):  # `dvc pull` leaves empty folders of what it does not have
            continue
        behind = [one for one in map(dvc_yaml.stage_name, parents) if one not in fitting]
        reason = f"it rests on {behind[0]}" if behind else why_not()
        if reason is None:
            fitting.append(stage)
        else:
            others[stage] = reason
    return fitting, others


def in_checkout() -> bool:
    """Whether this folder is a checkout of git and DVC."""
    return Path(".dvc").is_dir() and any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents))


@contextlib.contextmanager
def _parsed_once(path: Path) -> Iterator[None]:
    """DVC reads the parameters of each stage twice, and parses the whole file each time; here it does so once.

    The 84 stages of `quick` take 9 s of CPU in place of 28 (of config.yaml with 580 lines).
    """
    from dvc.utils.serialize import LOADERS, load_yaml

    parsed: dict[str, object] = {}

    def load(found: str, **options: object) -> object:
        if Path(found).resolve() != path.resolve():
            return load_yaml(found, **options)
        if found not in parsed:
            parsed[found] = load_yaml(found, **options)
        return copy.deepcopy(parsed[found])  # one object in two stages would be an anchor in dvc.lock

    LOADERS[".yaml"] = load
    try:
        yield
    finally:
        del LOADERS[".yaml"]  # anything that it doesn't name is YAML to it


def _commit(place: Path, names: list[str]) -> tuple[int, int]:
    """How many stages were recorded, and how many are in dvc.lock already as they are.

    The command `dvc commit` does the same and reads and writes the whole of dvc.lock once for each stage: 29 s of CPU
    for 24 stages, and their square for more.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.WARNING)
    done, unchanged = [], 0
    try:
        with Repo() as repo, lock_repo(repo), _parsed_once(CONFIG):
            stages = {stage.name: stage for stage in repo.stage.load_all(str(place))}
            try:
                for name in names:
                    if name not in stages:  # a dataset that another preset's file records
                        continue
                    stage = stages[name]
                    if not stage.changed():
                        unchanged += 1
                        continue
                    stage.save()
                    stage.commit(relink=False)
                    done.append(stage)
            finally:
                if done:
                    done[0].dvcfile.dump_stages(done, update_pipeline=False)
    except (DvcException, OSError, ValueError, KeyError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"lineage is not recorded: {told}; mend that, then {LATER}") from None
    return len(done), unchanged
