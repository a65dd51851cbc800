"""What runs spend: spikes in four readings, synaptic operations, joules. From metrics.json, mean over seeds."""

import statistics
from collections.abc import Callable
from dataclasses import asdict

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report import rows
from lasnn.results.energy import ann_joules, averages, snn_joules

COLUMNS = (
    "network_spikes",
    "layers_added",
    "batch_added",
    "spikes_per_image",
    "synops",
    "joules",
    "joules_pessimistic",
    "ann_joules",
)


def spent(run: SnnRun, preset: Preset) -> dict[str, float]:
    """Of one run, for one image in T steps; `joules_pessimistic` computes an analog first layer in every step."""
    metrics, energy = rows.metrics_of(run, preset), preset.energy
    if "operations" not in metrics:
        raise InputError(f"{run} counted no operations: it is of an older version; make the run again")
    counts, how = metrics["operations"], (run.encoder, run.steps)
    average = averages(metrics["spikes"], energy.batch)
    return {
        "network_spikes": average.network,
        "layers_added": average.layers_added,
        "batch_added": average.batch_added,
        "spikes_per_image": average.per_image,
        "synops": counts["synops"],
        "joules": snn_joules(counts, *how, energy),
        "joules_pessimistic": snn_joules(counts, *how, energy, each=True),
        "ann_joules": ann_joules(counts, energy),
    }


def mean(runs: list[Run], measure: Callable[[Run], dict[str, float]]) -> dict[str, float | None]:
    """The mean over runs of each entry; None where there are no runs."""
    found = [measure(run) for run in runs]
    return {name: statistics.mean(one[name] for one in found) if found else None for name in COLUMNS}


def by_layer(run: SnnRun, preset: Preset) -> dict[str, float]:
    """S_l of each spiking layer: spikes for each neuron and image."""
    return asdict(averages(rows.metrics_of(run, preset)["spikes"], preset.energy.batch))["by_layer"]
