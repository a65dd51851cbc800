"""The few numbers of a run that people and DVC compare, and its accuracies from kept predictions. No torch.

`scores.json` is a reading of metrics.json, with the picojoules of `energy` in the configuration: it can be lost or
deleted, nothing rests on it and nothing is judged by it. What finishes a run, takes one up, or records one writes it.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.cells import Energy
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, ConvertedRun, Run
from lasnn.results.energy import averages, snn_joules
from lasnn.results.fits import whole_metrics
from lasnn.storage import files
from lasnn.storage.files import Array, Json
from lasnn.storage.marks import start_of

NAME = "scores.json"


def scores(metrics: Json, energy: Energy) -> dict[str, float]:
    """At most seven numbers from a run's metrics; what a run does not have is left out.

    Accuracies in %; `start_accuracy` is the spiking network's before training, on the images of its choices. For one
    test image in T steps: `spikes`, of each neuron on average; `synaptic_operations`; `microjoules`. A converted run's
    are those after all steps of its first curve, on the images of that.
    """
    curve = next(iter(metrics.get("curves", ())), metrics)
    found = {
        "accuracy": metrics.get("accuracy"),
        "start_accuracy": start_of(metrics),
        "ann_accuracy": metrics.get("ann_accuracy"),
        "teacher_accuracy": metrics.get("teacher_accuracy"),
    }
    if "spikes" in curve:
        found["spikes"] = averages(curve["spikes"], batch=1).network
    if "operations" in curve:
        found["synaptic_operations"] = curve["operations"]["synops"]
        run = metrics["run"]  # microjoules, as DVC shows five digits
        steps = run["steps"] if run["kind"] == "snn" else max(map(int, curve["accuracy"]))
        found["microjoules"] = 1e6 * snn_joules(curve["operations"], run["encoder"], steps, energy)
    return {name: float(value) for name, value in found.items() if value is not None}


def write(preset: Preset, runs: Iterable[Run]) -> int:
    """Write the scores of these runs where they are missing or others; how many were written.

    Runs that are not there, or whose metrics can't be read, are passed over: the judge of the workflow names them.
    """
    count = 0
    for run in runs:
        folder = Path(preset.folder(run))
        try:
            metrics = whole_metrics(folder)
        except (InputError, OSError):
            continue
        found = scores(metrics, preset.energy)
        text = json.dumps(found, indent=1) + "\n"
        path = folder / NAME
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.write_text(path, text)
            count += 1
    return count


def judged_on(metrics: Json) -> str:
    """What a run's accuracy is of, in words: a converted network's is the end of its curve, on the images of that."""
    if metrics["run"]["kind"] != "converted":
        return f"{metrics['data']['test_images']} test images"
    curve = metrics["curves"][0]
    return f"{metrics['curve_images']} test images, T = {max(map(int, curve['accuracy']))}, s = {curve['scale']:g}"


def judged_by(data: Json) -> tuple[str, slice]:
    """The split of a dataset, and the places in it, of the images that a run was judged by, as `data` of metrics says.

    The first test images, or the training images after those that the run was trained on, in canonical order.
    """
    first = data["train_images"] if data["assessed"] == "held_out" else 0
    return "train" if data["assessed"] == "held_out" else "test", slice(first, first + data["test_images"])


def accuracies(run: Run, metrics: Json, predicted: Array, labels: Array) -> Iterator[tuple[str, float, float]]:
    """Each accuracy in %: its name, what metrics say, and what follows from predicted classes [..., N] and labels."""
    right = 100 * (predicted == labels[: predicted.shape[-1]]).mean(axis=-1)
    if isinstance(run, ConvertedRun):
        for curve, found in zip(metrics["curves"], right, strict=True):
            for steps, now in zip(sorted(curve["accuracy"], key=int), found, strict=True):
                yield f"accuracy at T = {steps}, s = {curve['scale']:g}", curve["accuracy"][steps], float(now)
        return
    yield "accuracy", metrics["accuracy"], float(right.mean())
    if not isinstance(run, AnnRun):
        for seed, now in zip(sorted(metrics["accuracy_by_seed"], key=int), right, strict=True):
            yield f"accuracy of encoder seed {seed}", metrics["accuracy_by_seed"][seed], float(now)
