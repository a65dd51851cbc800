"""Finished runs as tables for notebooks: they read metrics, and never train. No torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan import project
from lasnn.plan.config import Config, Preset, read
from lasnn.plan.overlays import merged
from lasnn.plan.runs import BASE, SnnRun
from lasnn.plan.vocabulary import given
from lasnn.report import runs_of_target
from lasnn.report.finished import metrics_of, same_images
from lasnn.report.frame import frame
from lasnn.report.late import pd
from lasnn.storage.marks import from_converted

FIELDS = ("student", "method", "encoder", "steps", "teacher", "seed")


def to_root() -> None:
    """Go to the folder that holds config.yaml, from wherever Jupyter was started; jobs are where they should be."""
    os.chdir(project.root())


def base_runs(preset: Preset) -> list[SnnRun]:
    """The planned runs of spiking networks without a variant.

    Nothing else that lies there counts, so that a page does not depend on what was tried before.
    """
    return sorted(run for run in runs_of_target(preset, "all") if isinstance(run, SnnRun) and run.variant == BASE)


def _finished(root: str, **energy: float) -> tuple[Preset, list[SnnRun]]:
    """The preset whose results are at `root` (results/<preset>), and its finished base runs."""
    name = Path(root).name
    there = {"folders": {"results": Path(root).parent.as_posix()}, "presets": {name: {"energy": energy}}}
    preset = Config(merged(read().content, there)).preset(name)
    found = [run for run in base_runs(preset) if Path(root, str(run), "metrics.json").exists()]
    if not found:
        raise InputError(f"no finished spiking run below {root}: `snakemake --cores 1 tables` makes them")
    return preset, found


def metrics(root: str) -> list[dict]:
    """The metrics of the finished base runs at `root`."""
    preset, runs = _finished(root)
    found = [metrics_of(run, preset) for run in runs]
    same_images(found)
    return found


def runs(root: str, **energy: float) -> pd.DataFrame:
    """The frame of the same runs, and how many times less energy than its ANN each takes.

    `energy`: keys of the section of that name, where others than the preset's are asked for.
    """
    preset, runs = _finished(root, **energy)
    found = frame(runs, preset)
    return found.assign(times_less=found["ann_joules"] / found["joules"])


def layers(found: list[dict]) -> pd.DataFrame:
    """A line for each run and layer: S_l before and after training (spikes for each neuron and image), silent share."""
    networks, lines = read().networks, []
    for one in found:
        start = (one.get("choices", {}).get("start_rates") if from_converted(one) else None) or {}
        for name, layer in sorted(one["spikes"].items(), key=lambda item: _depth(item[0])):
            lines.append(
                {field: one["run"][field] for field in FIELDS}
                | {
                    "network": networks.title(one["run"]["student"]),
                    "layer": name,
                    "S_l": layer["per_neuron"],
                    "before": start[name] * one["run"]["steps"] if name in start else None,
                    "silent": 100 * layer["silent"] / layer["neurons"],
                }
            )
    return pd.DataFrame(lines)


def _depth(layer: str) -> tuple:
    """Sorts layers from the input on: the stem and convolutions, then blocks (inner neuron first), then linear ones."""
    kind, number, inner = given(re.fullmatch(r"([a-z]+)(\d*)(.*)", layer)).groups()
    return {"c": 0, "p": 0, "b": 1, "f": 2}.get(kind, 3), int(number or 0), not inner


def note(found: list[dict]) -> str:
    """What every number below rests on, in one sentence."""
    data = {one["data"]["title"]: one["data"] for one in found}
    sets = ", ".join(f"{name} ({one['train_images']:,} + {one['test_images']:,} images)" for name, one in data.items())
    seeds = sorted({one["run"]["seed"] for one in found})
    return f"{len(found)} runs of preset {found[0]['preset']} on {sets}; seeds {', '.join(map(str, seeds))}."
