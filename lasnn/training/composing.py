"""Checkpoints that follow from other files without any training, byte for byte.

Kept results leave out two kinds. An untrained network's weights are draws of its seed. A converted network has its
ANN's weights, and its thresholds stand in metrics.json (as JSON spells a float32: exactly). Whoever composes one
compares its digest with the stated one: another version of torch may pack the same content in other bytes.
"""

import torch

from lasnn.networks import Net
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, Run
from lasnn.plan.settings import ConvertedSettings, Settings
from lasnn.spiking.conversion import neurons, set_thresholds, spiking
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import checkpoint
from lasnn.storage.files import Json
from lasnn.training.reading import read
from lasnn.training.task import Task

SAID = ("format", "preset", "run", "revision", "settings", "parents", "data", "accuracy")  # by metrics and checkpoint


def composed(preset: Preset, run: Run, metrics: Json) -> bytes:
    """The checkpoint of an untrained or a converted run whose parents and images are there.

    InputError if they are not.
    """
    task, _ = read(preset, run, preset.settings(run), torch.device("cpu"))
    more = {} if isinstance(run, AnnRun) else {"ann_accuracy": metrics["ann_accuracy"]}
    net = task.new_network() if isinstance(run, AnnRun) else _converted(task, metrics)
    return checkpoint.packed(net.state_dict(), {name: metrics[name] for name in SAID} | more)


def _converted(task: Task[Run, Settings], metrics: Json) -> Net:
    assert isinstance(task.settings, ConvertedSettings)
    neuron = task.settings.neuron
    net = spiking(task.network_of(task.parent(AnnRun)), Dynamics(order=neuron.order, reset=neuron.reset))
    set_thresholds(net, [metrics["thresholds"][layer] for layer in neurons(net)])
    return net
