"""Whether what lies in the results folder is what the plan asks for, judged by content and not by clock. No torch.

Snakemake knows a file by its time and by its own notes of how it was made. A file that DVC brought has an arbitrary
time and no notes; `settle` therefore sets the times by what the files themselves say.
"""

import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lasnn.datasets.arrays import digest_of
from lasnn.errors import InputError
from lasnn.pipeline.workflow import RUN_FILES
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.plan.settings_diff import changes
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.storage import files

Judge = Callable[[], str | None]
LONG_AGO = 1  # seconds since 1970: older than every input, so that Snakemake makes the file again


def outdated(preset: Preset, run: Run) -> str | None:
    """Why a run's files answer another question than the plan asks; None if they don't."""
    metrics = files.read_json(Path(preset.folder(run)) / "metrics.json")
    changed = changes(preset, run, metrics["settings"])
    return f"made with other settings ({changed[0]})" if changed else None


def misfit(preset: Preset, run: Run, checkpoint: bool = True) -> str | None:
    """Why a run's files are not what the plan asks for; None if they are. Parents are compared by what they say.

    Without `checkpoint` they may lack model.pt, as a run taken up from kept results does (`lasnn.pipeline.reference`).
    """
    folder = Path(preset.folder(run))
    needed = [name for name in RUN_FILES if checkpoint or name != "model.pt"]
    if missing := [name for name in needed if not (folder / name).exists()]:
        return f"{folder / missing[0]} is missing"
    if reason := outdated(preset, run):
        return reason
    metrics = files.read_json(folder / "metrics.json")
    if sorted(metrics["parents"]) != sorted(str(parent) for parent in preset.parents(run)):
        return f"made from other parents ({', '.join(metrics['parents']) or 'none'})"
    for parent, digest in metrics["parents"].items():
        if _stated_digest(Path(preset.root, parent)) != digest:
            return f"made from another {parent} than the one that is there now"
    return other_images(preset, run, metrics)


def other_images(preset: Preset, run: Run, metrics: files.Json) -> str | None:
    """Why the prepared images are not those that a run's metrics name; None if they are."""
    data = Path(preset.config.data_file(run.dataset))
    if not data.exists():
        return f"{data} is missing: `snakemake --cores 1 {data}` makes it"
    return None if digest_of(data) == metrics["data"]["digest"] else f"made from other images than {data} holds now"


def exhibit_outdated(preset: Preset, name: str) -> str | None:
    """Why an exhibit's files show another choice of cells than the plan; None if they don't."""
    sources = files.read_json(f"{preset.root}/exhibits/{name}.json")
    if sources["plan"] != EXHIBITS[name].plan(preset):
        return "made with another scope"
    return None if sorted(sources["files"]) == sorted(EXHIBITS[name].read(preset)) else "made from other runs"


def exhibit_misfit(preset: Preset, name: str) -> str | None:
    """Why an exhibit's files don't show what is there now; None if they do."""
    if missing := [path for path in files_of(preset, name) if not Path(path).exists()]:
        return f"{missing[0]} is missing"
    if reason := exhibit_outdated(preset, name):
        return reason
    sources = files.read_json(f"{preset.root}/exhibits/{name}.json")
    changed = [path for path, digest in sources["files"].items() if files.sha256(path) != digest]
    return f"made from another {changed[0]}" if changed else None


def settle(preset: Preset) -> None:
    """Let the times of finished files agree with their content, for every run and exhibit of a preset.

    Files that answer another question become older than everything, files that fit the plan newer than what they were
    made from. Nothing but times is changed, and those only where they said otherwise.
    """
    for run in runs_of_target(preset, "all"):
        outs = [f"{preset.folder(run)}/{name}" for name in RUN_FILES]
        inputs = [preset.config.data_file(run.dataset)]
        inputs += [f"{preset.folder(parent)}/model.pt" for parent in preset.parents(run)]
        _settle(outs, inputs, partial(outdated, preset, run), partial(misfit, preset, run, checkpoint=False))
    for name, exhibit in EXHIBITS.items():
        judges = partial(exhibit_outdated, preset, name), partial(exhibit_misfit, preset, name)
        _settle(files_of(preset, name), exhibit.files(preset), *judges)


def drop_resume_states(preset: Preset) -> None:
    """Remove what finished runs went on from: jobs of a cluster leave it until Snakemake has taken what they made."""
    for run in runs_of_target(preset, "all"):
        folder = Path(preset.folder(run))
        with contextlib.suppress(OSError):
            if (folder / "resume.pt").exists() and all((folder / name).exists() for name in RUN_FILES):
                (folder / "resume.pt").unlink()


def _settle(outs: list[str], inputs: list[str], answers_otherwise: Judge, doesnt_fit: Judge) -> None:
    try:
        outs = [path for path in outs if os.path.exists(path)]
        oldest = min(os.stat(path).st_mtime for path in outs)
        newest = max((os.stat(path).st_mtime for path in inputs), default=0)
        if answers_otherwise():
            times: tuple[float, float] | None = (LONG_AGO, LONG_AGO) if oldest > LONG_AGO else None
        elif oldest < newest and doesnt_fit() is None:
            times = (time.time(), time.time())
        else:
            times = None
        for path in outs if times else ():
            os.utime(path, times)
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return  # something is missing or damaged: Snakemake and the jobs say what


def _stated_digest(folder: Path) -> str:
    """A checkpoint's digest as its provenance states it; reckoned where that is older than the statement."""
    stated = files.read_json(folder / "provenance.json").get("files", {}).get("model.pt")
    return stated or files.sha256(folder / "model.pt")
