"""What one update and one look of a run cost: the run's own code on made-up images, timed for a moment.

The networks are untrained, with thresholds from their activations, so that they spike about as converted ones do.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn.console import Console
from lasnn.datasets.batches import Images, plain_batches, training_batches
from lasnn.networks import TAPS, Net
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import Data, SnnSettings, Training
from lasnn.spiking.conversion import neurons, scale_thresholds, spiking, with_spiking_readout
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import normalise
from lasnn.training.loop import Job, Losses, Moment, Part, _step, optimizer
from lasnn.training.resume import Saves
from lasnn.training.stages.student import student_losses

SCALE = 0.7  # s of a student whose own is searched for
NORMALISED = 16  # images that thresholds are found with
SECONDS = 0.5  # how long each measurement goes on at most, beyond its first calls


def made_up(count: int, side: int, classes: int, device: torch.device) -> Images:
    """Images of noise."""
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=device)
    labels = torch.arange(count, device=device) % classes
    return Images(pixels, labels, torch.arange(count))


def spiking_net(ann: Net, scale: float, readout: bool = False) -> Net:
    """A spiking network of a fresh ANN's weights, with thresholds from its activations, times `scale`."""
    net = spiking(ann, Dynamics()).eval()
    x = next(plain_batches(made_up(NORMALISED, net.side, 10, ann.readout.weight.device), NORMALISED)).x
    normalise(net, ann.eval(), x, "robust", NORMALISED)
    ready = scale_thresholds(net, scale)
    if readout:
        with_spiking_readout(ready, Dynamics())
        with torch.no_grad():
            neurons(ready)["readout"].threshold.fill_(scale * ann(x[None]).logits.amax())
    return ready


def ann_losses(net: Net) -> Losses:
    """Cross-entropy, as for teachers and intermediate ANNs."""

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(net(part.batch.x[None]).logits, part.batch.labels)}

    return losses


def distilling(net: Net, teacher: Net | None, run: SnnRun, settings: SnnSettings) -> Losses:
    """The losses of a student's method, with the taps that it compares."""
    net.taps = {}
    if settings.taps:
        for network in filter(None, (net, teacher)):
            network.taps = TAPS[settings.taps](network.sides, network.side)
    if teacher is not None:
        teacher.eval().requires_grad_(False)
    return student_losses(net, teacher, run, settings, "mean")


def update_seconds(net: Net, losses: Losses, recipe: Training, data: Data, batch: int, micro_batch: int) -> float:
    """Seconds for each image of an update: augmentation, encoding, losses, gradients, optimiser."""
    device, optim = net.readout.weight.device, optimizer(net, recipe)
    job = Job(recipe, data, 0, micro_batch, Saves(Path(), "", Console()))
    images, moment = made_up(batch, net.side, net.readout.out_features, device), Moment(0, 0, 0, 0.0)
    net.train()

    def call() -> None:
        for one in training_batches(images, batch, data, 0, 0):
            _step(net, losses, one, moment, optim, job).terms()

    return timed(call, device) / batch


def look_seconds(net: Net, encoder: str, steps: int, rows: int, count: int) -> float:
    """Seconds for each image and step of an evaluation."""
    images = made_up(count, net.side, net.readout.out_features, net.readout.weight.device)
    seconds = timed(lambda: evaluate(net, images, encoder, steps, rows=rows), net.readout.weight.device)
    return seconds / (count * steps)


def timed(call: Callable[[], object], device: torch.device) -> float:
    """The median of a few calls, in seconds; on one CPU thread seconds of work, beside whatever else is at work.

    Not the fastest: a run meets the same neighbours.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter

    def once() -> float:
        began = clock()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - began

    first = once()
    if first > SECONDS:  # long enough for its warm-up not to matter
        return first
    began, calls = clock(), [once()]
    while clock() - began < SECONDS:
        calls.append(once())
    return statistics.median(calls)
