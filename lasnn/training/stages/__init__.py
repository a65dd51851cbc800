"""The stages of the chain by kind of run. A stage takes a task and gives what it found; only `make` writes results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lasnn.compiled import library, reason
from lasnn.console import Console
from lasnn.plan.config import Preset
from lasnn.plan.own import weights_path
from lasnn.plan.runs import Run
from lasnn.plan.settings import Settings
from lasnn.storage import bucket, files
from lasnn.storage.provenance import Stopwatch
from lasnn.training.device import set_up
from lasnn.training.leaving import Result, leave
from lasnn.training.reading import read
from lasnn.training.resume import Remote, Saves
from lasnn.training.stages.ann import adopt_from, train_ann
from lasnn.training.stages.calibrated import calibrate
from lasnn.training.stages.converted import convert
from lasnn.training.stages.snn import run_snn
from lasnn.training.task import Task

Stage = Callable[[Task[Any, Any], Saves], Result]  # of a task of its own kind of run
STAGES: dict[str, Stage] = {"ann": train_ann, "converted": convert, "snn": run_snn}
METHOD_STAGES: dict[str, Stage] = {"calibration": calibrate}  # of spiking runs that neither choose nor train


def stage_of(run: Run) -> Stage:
    """What makes a run."""
    return METHOD_STAGES.get(getattr(run, "method", ""), STAGES[run.kind])


def remote(preset: Preset, folder: Path, console: Console) -> Remote | None:
    """Where a run's resume file is copied to, and what an earlier process left there; None if it stays here."""
    file, there = preset.config.file, bucket.passed_on()
    if there is None or not file.save_in_bucket:
        return None
    copy = Remote(there, folder / "resume.pt", file.save_minutes, console)
    copy.fetch()
    return copy


def make(preset: Preset, run: Run, settings: Settings, device: torch.device, console: Console) -> None:
    """Read what the run starts from, do its stage, leave its files: all of them, or what the run goes on from."""
    set_up(device, settings.compute)
    if device.type == "cpu" and library() is None:
        console.say(f"no compiled loops ({reason()}): torch's own operations do their work, more slowly")
    folder = Path(preset.folder(run))
    folder.mkdir(parents=True, exist_ok=True)
    files.sweep(folder)
    stopwatch = Stopwatch(device)
    task, origin = read(preset, run, settings, device)
    saves = Saves(folder, origin.tag, console, preset.config.file.save_minutes, remote(preset, folder, console))
    adopted = preset.adopted(run)
    stage: Stage = (
        adopt_from(weights_path(preset.config.file.folders.data, adopted), adopted) if adopted else stage_of(run)
    )
    result = stage(task, saves)
    leave(folder, task, origin, result, stopwatch, console)
