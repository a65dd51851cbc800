"""The files that a finished run leaves, and that nothing is left half.

A run's folder holds `model.pt` (weights and what made them), `metrics.json` (no clock in it), `predictions.npz`,
`provenance.json` (what differs between identical runs), `log.jsonl` (one line for each epoch), and, while it is
unfinished, `resume.pt`. In a job of Slurm that stays at first: a job that ends a moment after its time limit counts as
failed, Snakemake then removes what it made, and the next attempt goes on from there. So it is where results go to a
bucket, which may not take them. `lasnn.pipeline` drops it later.

Kept results leave out two kinds of checkpoint, which follow from other files without any training, byte for byte. An
untrained network's weights are draws of its seed. A converted network has its ANN's weights, and its thresholds are
in metrics.json (as JSON spells a float32: exactly). Code that composes one compares its digest with the stated one:
another version of torch may pack the same content in other bytes.
"""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lasnn.console import Console
from lasnn.networks import Net
from lasnn.plan.config import Preset, dump, identity
from lasnn.plan.runs import AnnRun, Run
from lasnn.plan.settings import ConvertedSettings, Settings
from lasnn.results.fits import RUN_FILES
from lasnn.results.scores import judged_on
from lasnn.spiking.conversion import neurons, set_thresholds, spiking
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import bucket, checkpoint, commit, files
from lasnn.storage.marks import marks_of
from lasnn.storage.provenance import Stopwatch, describe
from lasnn.training.device import implementation, loops
from lasnn.training.reading import Origin, read
from lasnn.training.task import Task

FORMAT = 1  # of metrics.json, provenance.json and predictions.npz
SAID = ("format", "preset", "run", "revision", "settings", "parents", "data", "accuracy")  # by metrics and checkpoint


@dataclass(frozen=True)
class Result:
    """What a stage found: the network, its numbers, its predictions.

    `meta` is what a child must know of it, `origin` what provenance.json says beyond the usual.
    """

    net: Net
    metrics: dict
    predictions: dict[str, np.ndarray]
    meta: dict = field(default_factory=dict)
    origin: dict = field(default_factory=dict)


def leave(
    folder: Path, task: Task[Run, Settings], origin: Origin, result: Result, stopwatch: Stopwatch, console: Console
) -> None:
    """Write the run's files, which appear at once; then drop the resume state if it can go."""
    prepared, settings = origin.prepared, task.settings
    data = {
        "dataset": prepared.name,
        "title": prepared.title,
        "digest": prepared.digest,
        "subset": prepared.subset,
        "classes": task.classes,
        "side": task.side,
        "train_images": len(task.train),
        "test_images": len(task.test),
        "assessed": settings.data.assess,
    }
    common = {
        "format": FORMAT,
        "preset": origin.preset,
        "run": identity(task.run),
        "revision": settings.revision,
        "settings": json.loads(dump(settings)),
        "parents": origin.parents,
        "data": data,
    }
    accuracy = result.metrics["accuracy"]
    predictions = packed(result.predictions)
    marks = marks_of(common | result.metrics)
    more = result.metrics | {"fingerprint": origin.fingerprint} | ({"warnings": marks} if marks else {})
    with files.together(folder, RUN_FILES) as scratch:
        files.write_bytes(scratch / "predictions.npz", predictions)
        files.write_json(scratch / "metrics.json", common | more, seal=True)
        checkpoint.save(scratch / "model.pt", result.net.state_dict(), common | {"accuracy": accuracy} | result.meta)
        cost = stopwatch.stop()
        digests = {name: files.sha256(scratch / name) for name in ("model.pt", "metrics.json", "predictions.npz")}
        made_by = {"implementation": implementation(task.device), "loops": loops(task.device)} | result.origin
        written = common | {"data": data | {"source": prepared.source}, "files": digests}
        where = describe(task.device)
        files.write_json(scratch / "provenance.json", written | where | made_by | cost, seal=True)
    if "SLURM_JOB_ID" not in os.environ and bucket.PASSED not in os.environ:
        (folder / "resume.pt").unlink(missing_ok=True)
    console.say(
        f"done: {accuracy:.2f} % on {judged_on(common | more)}, {cost['seconds']:.0f} s, "
        f"peak {cost['peak_memory_bytes'] / 2**20:.0f} MiB"
    )
    unknown = commit.warning(where["code"])
    for mark in [*marks, *([unknown] if unknown else [])]:
        console.warn(mark)


def packed(predictions: Mapping[str, np.ndarray]) -> bytes:
    """The .npz file of these arrays: integers in the narrowest type that holds them, attention maps in half precision.

    Not compressed: what compression makes of equal arrays differs from one build of zlib to the next.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"format": np.int64(FORMAT)} | {name: narrowed(of) for name, of in predictions.items()}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def narrowed(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iu" and values.size:
        narrowest = np.result_type(*map(np.min_scalar_type, (values.min(), values.max())))
        # No type of 64 bits holds the signed and the unsigned ones: numpy then says float64, which would round them.
        return values.astype(narrowest) if narrowest.kind in "iu" else values
    return values.astype(np.float16) if values.dtype == np.float32 else values


def composed(preset: Preset, run: Run, metrics: files.Json) -> bytes:
    """The checkpoint of an untrained or a converted run whose parents and images are there.

    InputError if they are not.
    """
    task, _ = read(preset, run, preset.settings(run), torch.device("cpu"))
    more = {} if isinstance(run, AnnRun) else {"ann_accuracy": metrics["ann_accuracy"]}
    net = task.new_network() if isinstance(run, AnnRun) else _converted(task, metrics)
    return checkpoint.packed(net.state_dict(), {name: metrics[name] for name in SAID} | more)


def _converted(task: Task[Run, Settings], metrics: files.Json) -> Net:
    assert isinstance(task.settings, ConvertedSettings)
    neuron = task.settings.neuron
    net = spiking(task.network_of(task.parent(AnnRun)), Dynamics(order=neuron.order, reset=neuron.reset))
    set_thresholds(net, [metrics["thresholds"][layer] for layer in neurons(net)])
    return net
