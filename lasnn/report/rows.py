"""Metrics files of runs to one tidy table: a line for each cell, the paper's value beside ours."""

from __future__ import annotations

import json
import statistics
from functools import cache
from pathlib import Path

from lasnn.errors import InputError, again
from lasnn.plan.cells import DATASETS, KEYS, Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.known_datasets import KNOWN
from lasnn.plan.runs import Run
from lasnn.report.answers import answering, same_images
from lasnn.report.late import pd
from lasnn.results.energy import averages
from lasnn.storage import files
from lasnn.storage.marks import marks_of


@cache
def metrics(path: str) -> dict:
    """One run's metrics.json; InputError if it is missing or damaged."""
    return files.read_json(path)


def metrics_of(run: Run, preset: Preset) -> dict:
    """The metrics of a run of this preset; InputError if it does not answer the plan."""
    return answering(run, preset)


def training_log(run: Run, preset: Preset) -> list[dict]:
    """A line for each epoch of a training."""
    path = Path(preset.folder(run), "log.jsonl")
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {again(f'{preset.folder(run)}/metrics.json')}") from None


def _provenance(run: Run, preset: Preset) -> dict:
    return metrics(f"{preset.folder(run)}/provenance.json")


def epoch_minutes(run: Run, preset: Preset) -> float:
    """Mean wall time of a training epoch in minutes."""
    return statistics.mean(line["seconds"] for line in training_log(run, preset)) / 60


def peak_gigabytes(run: Run, preset: Preset) -> float:
    """Peak memory: the device's where there is one, else the process's."""
    cost = _provenance(run, preset)
    return cost.get("peak_device_memory_bytes", cost["peak_memory_bytes"]) / 1e9


# What a metric of paper.csv is called in a run's files.
METRICS = {
    "top1": lambda run, preset: metrics_of(run, preset)["accuracy"],
    "avg_spikes": lambda run, preset: averages(metrics_of(run, preset)["spikes"], batch=1).network,
    "epoch_time": epoch_minutes,
    "gpu_memory": peak_gigabytes,
}


def row(cell: Cell, runs: list[Run], preset: Preset) -> dict:
    """One line: the nine keys, the paper's value, ours over seeds, and what a number has to be seen with."""
    line = {key: getattr(cell, key) for key in KEYS}
    line |= {"variant": cell.variant, "unit": cell.unit, "paper": cell.paper, "quoted": cell.quoted}
    runs = list(dict.fromkeys(runs))
    line |= {"ours": None, "sd": None, "n": len(runs), "preset": preset.name}
    if not runs:
        return line
    values = [METRICS[cell.metric](run, preset) for run in runs]
    found = [metrics_of(run, preset) for run in runs]
    same_images(found)
    first, choices = found[0], found[0].get("choices", {})
    return line | {
        "ours": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "ran_dataset": first["data"]["title"],
        "subset": first["data"]["subset"],
        "ran_steps": getattr(runs[0], "steps", None),
        "train_images": first["data"]["train_images"],
        "test_images": first["data"]["test_images"],
        "assessed": first["data"]["assessed"],
        "scale": choices.get("scale"),
        "leak": choices.get("leak"),
        "logit_scale": choices.get("logit_scale"),
        "warnings": " | ".join(
            f"{run}: {mark}" for run, one in zip(runs, found, strict=True) for mark in marks_of(one)
        ),
        "as_printed": as_printed(cell, runs[0], found[0]),
        "teacher_weaker": any(one.get("teacher_weaker") for one in found),
        "revision": " ".join(sorted({f"{one['run']['kind']}{one['revision']}" for one in found})),
        "runs": " ".join(str(run) for run in runs),
    }


# Columns of `row` that only a cell with runs fills; words first, so that an empty column of theirs is no number.
WORDS = ("ran_dataset", "assessed", "logit_scale", "revision", "runs", "warnings")
MARK = "†"  # behind a number that a note says more of
FILLED = ("subset", "ran_steps", "train_images", "test_images", "scale", "leak", "as_printed", "teacher_weaker")


def as_printed(cell: Cell, run: Run, metrics: dict) -> bool:
    """Whether a run is of the paper's own size: the cell's dataset and all of its images, the network's width, T."""
    known, data, network = KNOWN.get(run.dataset), metrics["data"], metrics.get("settings", {}).get("network") or {}
    whole = known is not None and (data["train_images"], data["test_images"]) == (known.train, known.test)
    wide = network.get("width") == 1 and network.get("fc") is None
    steps = str(getattr(run, "steps", cell.timesteps))
    return whole and wide and DATASETS.get(cell.dataset) == run.dataset and cell.timesteps in ("", steps)


def table(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """The tidy table of an exhibit's cells."""
    own = [*KEYS, "variant", "unit", "paper", "quoted", "ours", "sd", "n", "preset"]
    lines = [row(cell, runs_of(cell, preset), preset) for cell in cells]
    frame = pd.DataFrame(lines, columns=[*own, *WORDS, *FILLED])
    return frame.astype(dict.fromkeys(WORDS, object) | dict.fromkeys(("ours", "sd", "paper"), float))


def number(
    mean: float | None, sd: float | None = None, n: int | None = None, warnings: object = None, *, digits: int = 2
) -> str:
    """A value as a table shows it: `-` where nothing was run, `±` where several seeds were, `†` with a warning."""
    if mean is None or pd.isna(mean):
        return "-"
    spread = "" if sd is None or pd.isna(sd) else f" ± {sd:.{digits}f}"
    count = "" if n is None else f" (n={n:g})"
    return f"{mean:.{digits}f}{spread}{count}{MARK if isinstance(warnings, str) and warnings else ''}"
