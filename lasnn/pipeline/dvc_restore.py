"""Finished runs that are missing come back in place of being trained: kept ones, then those that DVC has. No torch.

What comes is judged like everything else that lies there (`lasnn.pipeline.freshness`): a run of other settings is
trained.
"""

import logging
import time
from pathlib import Path
from typing import Any

from lasnn.errors import InputError
from lasnn.pipeline import dvc_yaml, lock_states, scores
from lasnn.pipeline.dvc_record import dvcfile, from_disk, in_checkout, why_locked
from lasnn.plan.config import Config, Preset
from lasnn.plan.runs import Run
from lasnn.report import runs_of_target
from lasnn.results import store
from lasnn.storage import files

TRAIN = "or set checkpoints: train; nothing was changed"


def restore(name: str | None = None) -> str:
    """Bring every kept or recorded run of a preset whose files are missing; one line that says what was done.

    What was replaced or deleted here comes first, then what earlier states of dvc.lock name and the cache holds, then
    what dvc.lock names now, from the remote too. Runs that are there, are half trained, or were never recorded are
    left alone. InputError if a recorded file can't be had or is not the one that its provenance describes.
    """
    start = time.monotonic()
    config: Config = from_disk()
    preset = config.preset(name)
    wanted = absent(preset)
    brought = _brought(config, preset, wanted)
    scores.write(preset, [run for run in wanted.values() if run])  # a lock file of an earlier version has none
    return f"{brought} of {len(wanted)} missing runs and datasets restored ({time.monotonic() - start:.1f} s)"


def _brought(config: Config, preset: Preset, wanted: dict[str, Run | None]) -> int:
    """How many of these stages are there now."""
    lock = dvcfile(config, preset).with_name("dvc.lock")
    kept_runs = [stage for stage, run in wanted.items() if run and store.take(preset, run)]
    wanted = {stage: run for stage, run in wanted.items() if stage not in kept_runs}
    brought: list[str] = []
    if in_checkout() and (wanted or not lock.exists()):
        brought += lock_states.bring(preset, wanted) if lock_states.states(preset) else []
        wanted = {stage: run for stage, run in wanted.items() if stage not in brought}
    if (kept_runs or brought) and not (wanted and in_checkout() and lock.exists()):
        return len(kept_runs) + len(brought)
    if not in_checkout():
        raise InputError(f"checkpoints: pull needs a checkout of git and DVC: clone the project, {TRAIN}")
    if not lock.exists():
        raise InputError(f"checkpoints: pull, but there is no {lock}: nothing was recorded for it; commit one, {TRAIN}")
    named = _bring(lock.with_name("dvc.yaml"), wanted) if wanted else []
    for stage in named:
        if (run := wanted[stage]) is not None:
            _check(preset, run, lock)
    return len(kept_runs) + len(brought) + len(named)


def absent(preset: Preset) -> dict[str, Run | None]:
    """Stages whose files are not all there, and which no interrupted training waits for: its run, None for data."""
    runs = runs_of_target(preset, "all")
    stages: dict[str, Run | None] = {}
    for dataset in sorted({run.dataset for run in runs}):
        if not Path(preset.config.data_file(dataset)).exists():
            stages[f"data-{dataset}"] = None
    for run in runs:
        whole = all(Path(path).exists() for path in dvc_yaml.outs_of(preset, run))
        if not whole and not Path(preset.folder(run), "resume.pt").exists():
            stages[dvc_yaml.stage_name(run)] = run
    return stages


def _bring(place: Path, wanted: dict[str, Run | None]) -> list[str]:
    """Fetch what the cache lacks, then put the files in place; the stages that dvc.lock knows."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        with Repo() as repo, lock_repo(repo):
            stages = [stage for stage in repo.stage.load_all(str(place)) if stage.name in wanted]
            known = [stage for stage in stages if all(out.hash_info for out in stage.outs if not _derived(out))]
            lacking = [stage for stage in known if _uncached(stage)]
            if lacking and not repo.config["core"].get("remote"):
                lacked = f"{len(lacking)} recorded stages are not in the cache and no remote is set"
                raise InputError(f"checkpoints: pull: {lacked}: `dvc remote add -d NAME FOLDER-OR-URL`, {TRAIN}")
            if lacking:
                repo.fetch(targets=[stage.addressing for stage in lacking])
            if missing := [path for stage in lacking for path in _uncached(stage)]:
                raise InputError(_unavailable(missing))
            for out in (out for stage in known for out in stage.outs if out.hash_info):
                out.checkout(force=True, allow_missing=_derived(out))
            return [stage.name for stage in known]
    except LockError:
        raise InputError(f"checkpoints: pull: {why_locked()}: mend that, {TRAIN}") from None
    except (DvcException, OSError) as error:
        if "lacking" in locals() and (missing := [path for stage in lacking for path in _uncached(stage)]):
            raise InputError(_unavailable(missing)) from None
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"checkpoints: pull: {told}: mend that, {TRAIN}") from None


def _unavailable(missing: list[str]) -> str:
    return (
        f"checkpoints: pull: {len(missing)} files of dvc.lock are neither in the cache nor in the remote, such as "
        f"{missing[0]}: `dvc push` where they are, `git checkout dvc.lock` if it was edited, {TRAIN}"
    )


def _uncached(stage: Any) -> list[str]:
    return [str(out) for out in stage.outs if not _derived(out) and out.changed_cache()]


def _derived(out: Any) -> bool:
    """Whether a file is written anew from the others, so that a lock file may lack it."""
    return Path(str(out)).name == scores.NAME


def _check(preset: Preset, run: Run, lock: Path) -> None:
    folder = Path(preset.folder(run))
    for name, digest in files.read_json(folder / "provenance.json").get("files", {}).items():
        if files.sha256(folder / name) != digest:
            raise InputError(
                f"{folder / name} as {lock} names it is not the file that its provenance describes: "
                f"`git checkout {lock}` and delete {folder}, or set checkpoints: train and delete it"
            )
