"""What a finished spiking network is judged by: accuracy over time, spikes, operations, predictions."""

from dataclasses import asdict

import numpy as np

from lasnn.console import Console
from lasnn.networks import Net
from lasnn.plan.vocabulary import ENCODERS
from lasnn.spiking.evaluation import Evaluation
from lasnn.spiking.operations import operations
from lasnn.training.choices import rates
from lasnn.training.task import Student


def assess(net: Net, task: Student, console: Console) -> tuple[dict, dict[str, np.ndarray]]:
    """Metrics and predictions on the test images: accuracy is the mean over encoder seeds, the rest is the first's."""
    run, test, seeds = task.run, task.test, task.settings.evaluation.seeds
    seeds = seeds if ENCODERS[run.encoder].draws else seeds[:1]
    results = [task.simulated(net, test, seed) for seed in seeds]
    first = results[0]
    console.say("end: " + rates({name: layer.per_neuron / run.steps for name, layer in first.spikes.items()}))
    for name, layer in first.spikes.items():
        if layer.total == 0:
            console.warn(f"layer {name} is dead: no spike in {len(test)} test images")
    metrics = {
        "accuracy": float(np.mean([result.accuracy for result in results])),
        "accuracy_by_seed": {str(seed): result.accuracy for seed, result in zip(seeds, results, strict=True)},
        "accuracy_by_step": first.accuracy_by_step.tolist(),
        "spikes": spikes_of(first),
        "operations": operations(net, first),
        "logit_std": float(first.logits.std(1).mean()),
    }
    predictions = {
        "predicted": np.stack([result.predicted[-1] for result in results]),  # [seeds, N]
        "encoder_seeds": np.array(seeds),
        "labels": test.labels.cpu().numpy(),  # [N]
    }
    return metrics, predictions


def spikes_of(result: Evaluation) -> dict[str, dict]:
    """Spike counts of each layer for metrics.json: `per_neuron` is spikes for each neuron and image, at most T."""
    return {name: asdict(layer) | {"per_neuron": layer.per_neuron} for name, layer in result.spikes.items()}
