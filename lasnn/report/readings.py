"""Values of one run, from its metrics, training log and provenance; `columns.py` says which column each is."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report import finished
from lasnn.results.energy import ann_joules, averages, snn_joules
from lasnn.storage.files import Json
from lasnn.storage.marks import watched

LAST = 0.2  # share of the epochs over which a training must not change any more
Of = Callable[[Run, Json, Preset], Any]  # a value of a run, from its metrics


def field(name: str, default: object = None) -> Of:
    """A part of a run's path."""
    return lambda run, metrics, preset: getattr(run, name, default)


def said(*path: str) -> Of:
    """An entry of a run's metrics."""

    def of(run: Run, metrics: Json, preset: Preset) -> Any:
        found: Any = metrics
        for key in path:
            found = (found or {}).get(key)
        return found

    return of


def average(name: str) -> Of:
    """A reading of "average spikes"."""
    return lambda run, metrics, preset: (
        getattr(averages(metrics["spikes"], preset.energy.batch), name) if metrics.get("spikes") else None
    )


def joules(each: bool = False, unit: float = 1.0) -> Of:
    """Energy of a spiking network; of its analog first layer in `each` step; in joules times `unit`."""
    return lambda run, metrics, preset: (
        unit * snn_joules(metrics["operations"], run.encoder, run.steps, preset.energy, each=each)
        if isinstance(run, SnnRun) and "operations" in metrics
        else None
    )


def analog_joules(run: Run, metrics: Json, preset: Preset) -> float | None:
    """Energy of the analog network of the same shape."""
    return ann_joules(metrics["operations"], preset.energy) if "operations" in metrics else None


def silent(run: Run, metrics: Json, preset: Preset) -> float | None:
    """Percent of the neurons that never spike."""
    layers = (metrics.get("spikes") or {}).values()
    silent, neurons = (sum(layer.get(key, 0) for layer in layers) for key in ("silent", "neurons"))
    return 100 * silent / neurons if neurons else None


def share(run: Run, metrics: Json, preset: Preset) -> float | None:
    """The attention loss's share of the gradient before training, the largest level's."""
    return max((metrics.get("attention_share") or {}).values(), default=None)


def change(accuracies: list[float], images: int) -> dict[str, float]:
    """Accuracies in percent after each epoch: the one before the last fifth, the last, and its standard error."""
    before, end = accuracies[-1 - max(1, math.ceil(LAST * len(accuracies)))], accuracies[-1]
    share = end / 100
    error = 100 * math.sqrt(share * (1 - share) / images)
    best = max(accuracies) - end
    return {"epochs": len(accuracies), "before": before, "end": end, "standard_error": error, "best": best}


def level(name: str) -> Of:
    """An entry of `change`; None for a training with fewer than two epochs."""

    def of(run: Run, metrics: Json, preset: Preset) -> float | None:
        log = finished.training_log(run, preset) if preset.has_training_log(run) else []
        accuracies = [line["test_accuracy"] for line in log]
        return change(accuracies, watched(metrics))[name] if len(accuracies) > 1 else None

    return of


def epoch_minutes(run: Run, metrics: Json, preset: Preset) -> float | None:
    """Mean wall time of a training epoch in minutes."""
    if not preset.has_training_log(run):
        return None
    return statistics.mean(line["seconds"] for line in finished.training_log(run, preset)) / 60


def peak_gigabytes(run: Run, metrics: Json, preset: Preset) -> float | None:
    """Peak memory: the device's where there is one, else the process's."""
    cost = finished.provenance(run, preset)
    found = cost.get("peak_device_memory_bytes", cost.get("peak_memory_bytes"))
    return None if found is None else found / 1e9
