"""What a number has to be seen with: start, ANN, teacher and spikes of the runs behind each cell, mean over seeds."""

from __future__ import annotations

import statistics

from lasnn.plan.config import Preset
from lasnn.plan.runs import parse
from lasnn.report import rows
from lasnn.report.exhibit import Table
from lasnn.report.late import pd
from lasnn.results.energy import averages

COLUMNS = ("start", "ann", "teacher_accuracy", "spikes")  # spikes: for each neuron of the network and image


def with_context(tidy: pd.DataFrame, preset: Preset) -> pd.DataFrame:
    """`tidy` with COLUMNS: percent and spikes per neuron and image; nothing where a run has no such number."""
    tidy = tidy.copy()
    found = [
        [rows.metrics_of(parse(run), preset) for run in line.split()] if isinstance(line, str) else []
        for line in tidy["runs"]
    ]
    seen = [[_of(metrics) for metrics in line] for line in found]
    for name in COLUMNS:
        tidy[name] = pd.Series([_mean(line, name) for line in seen], index=tidy.index, dtype=float)
    unconverted = [any(not _from_converted(metrics) for metrics in line) for line in found]
    tidy.loc[unconverted, "scale"] = None  # thresholds are 1, whatever was balanced
    return tidy


def _of(metrics: dict) -> dict[str, float | None]:
    """COLUMNS of one run."""
    start = metrics.get("choices", {}).get("start_accuracy") if _from_converted(metrics) else None
    spikes = averages(metrics["spikes"], batch=1).network if metrics.get("spikes") else None
    return {
        "start": start,
        "ann": metrics.get("ann_accuracy"),
        "teacher_accuracy": metrics.get("teacher_accuracy"),
        "spikes": spikes,
    }


def _mean(runs: list[dict], name: str) -> float | None:
    values = [run[name] for run in runs if run[name] is not None]
    return statistics.mean(values) if values else None


def _from_converted(metrics: dict) -> bool:
    """Whether a network starts as the converted or the calibrated one, thresholds included."""
    return (metrics.get("settings", {}).get("spiking") or {}).get("init") in (None, "converted", "calibrated")


class TableWithContext(Table):
    """A table that reads it too."""

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return [
            *super().notes(tidy, preset),
            "Start: the converted network at this T, s and leak before training, on the training images that automatic "
            "choices look at; its ANN has seen them, so it lies above the accuracy on new images.",
        ]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        return with_context(super().tidy(preset), preset)
