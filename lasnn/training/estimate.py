"""What runs cost: multiply-adds, whatever the device, and seconds for each of them on this one, by a timed call.

The call is one update of a run that trains, else one look at images: the run's own code on images of noise, of a large
network on a CPU with few of them. The networks are untrained, with thresholds from their activations, so that they
spike about as converted ones do.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lasnn.console import Console
from lasnn.datasets.batches import Images, plain_batches, training_batches
from lasnn.networks import Census, Net, census
from lasnn.networks.batch_norm import insert
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, Run, SnnRun
from lasnn.plan.settings import ConvertedSettings, Settings
from lasnn.plan.vocabulary import ENCODERS, NO_TEACHER, given, source_of
from lasnn.spiking.conversion import spiking, with_spiking_readout
from lasnn.spiking.evaluation import BATCH, evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import normalise
from lasnn.training.loop import Job, Moment, optimizer, update
from lasnn.training.resume import Saves
from lasnn.training.stages.ann import cross_entropy
from lasnn.training.stages.student import micro_batch, student_losses, tap
from lasnn.training.task import Task

# Multiply-adds a second of an H100 in float32: 125 s for an epoch (docs/performance.md) of 50,000 images, of which VGG5
# makes three passes in each of 100 steps and its teacher VGG16 one.
H100 = 50_000 * (3 * 100 * 108_765_184 + 313_201_664) / 125
SECONDS = 0.5  # how long a call is repeated that takes less
LARGEST = 5e10  # multiply-adds of a call on a CPU, if one image doesn't take more
NORMALISED = 16  # images that thresholds are found with
LONGEST = 100  # time steps of a timed look


class Estimates:
    """Multiply-adds, seconds and sizes of a preset's runs on one device."""

    def __init__(self, preset: Preset, device: torch.device):
        self.preset, self.device = preset, device
        self._networks: dict[tuple[object, ...], tuple[Net, Census]] = {}
        self._rates: dict[Run, float] = {}

    def sizes(self, run: Run) -> Census:
        """Weights, neurons and multiply-adds of one pass of a run's network."""
        return self._network(run)[1]

    def _network(self, run: Run) -> tuple[Net, Census]:
        """A run's network without its weights, which take gigabytes at the paper's size."""
        key = run.dataset, run.network_name, self.preset.settings(run).network
        if key not in self._networks:
            task = self._task(run)
            with torch.device("meta"):
                net = task.bare_network()
                self._networks[key] = net, census(net)
        return self._networks[key]

    def multiply_adds(self, run: Run) -> float:
        """Of dense layers, in all passes of the network and its teacher that the stages of the chain make."""
        settings, source, macs = self.preset.settings(run), source_of(run.dataset), self.sizes(run).macs
        data = settings.data
        train, test = data.train_images or source.train, data.test_images or source.test
        if isinstance(settings, ConvertedSettings):
            curve, balancing = settings.curve, settings.balancing
            # Every layer is simulated twice, for its threshold and for its output; learned clips are thresholds.
            simulated = 0 if balancing.norm == "clip" else 2 * balancing.images * balancing.batches * balancing.steps
            return macs * (simulated + len(curve.scales) * min(curve.images or test, test) * curve.steps)
        epochs = settings.training.epochs if settings.training else 0  # none of adopted weights
        looks = epochs * min(data.watched or test, test)  # for the training log
        seen = self._student_looks(run, looks, test) if isinstance(run, SnnRun) else looks + test
        return epochs * train * self._of_an_update(run) + macs * seen

    def _student_looks(self, run: SnnRun, logged: int, test: int) -> float:
        """Images times steps of a student's choices, log and end; of a calibration its simulations of the layers."""
        settings = self.preset.settings(run)
        if (recipe := settings.calibration) is not None:
            layers = sum(len(layer.wires()) for layer in self._network(run)[0].layers.values())
            # Each layer is corrected after all before it were simulated, before and after: half of the network, twice.
            passes = (test + layers * recipe.images) * run.steps
            if recipe.form != "advanced_weights":
                return passes
            weights = recipe.weights
            return passes + layers * weights.images * run.steps / 2 + 3 * weights.steps * weights.batch
        choices, scale = given(settings.choices), given(settings.spiking).scale
        tried = len(choices.scale_grid) if scale == "search" else 1
        chosen = (tried + (settings.training is not None)) * min(choices.images, settings.data.held_out)  # and its leak
        seeds = len(settings.evaluation.seeds) if ENCODERS[run.encoder].draws else 1
        return (logged + seeds * test + chosen) * run.steps

    def _of_an_update(self, run: Run) -> float:
        """Multiply-adds of an image's update: three passes at each time step, and one of the teacher."""
        passes, teacher = 3 * getattr(run, "steps", 1) * self.sizes(run).macs, self._teacher(run)
        return passes + getattr(teacher, "steps", 1) * self.sizes(teacher).macs if teacher else passes

    def seconds_each(self, run: Run) -> float:
        """Seconds for each multiply-add, as one call on this device takes; runs that differ in their seed share it."""
        run = replace(run, seed=0)
        if run not in self._rates:
            compute, recipe = self.preset.settings(run).compute, getattr(self.preset.settings(run), "training", None)
            steps = 1 if isinstance(run, AnnRun) else min(getattr(run, "steps", LONGEST), LONGEST)
            macs = self._of_an_update(run) if recipe else steps * self.sizes(run).macs
            count = recipe.batch if recipe else BATCH
            if self.device.type == "cpu":
                count = min(count, max(1, int(LARGEST / macs)))
            torch.set_num_threads(compute.threads)
            self._rates[run] = timed(self._call(self._task(run, count), steps), self.device) / (count * macs)
        return self._rates[run]

    def _call(self, task: Task[Any, Any], steps: int) -> Callable[[], object]:
        """An update of a run that trains, else a look at its images."""
        run, settings, net, taught = task.run, task.settings, untrained(task), self._teacher(task.run)
        if not (recipe := getattr(settings, "training", None)):
            encoder, rows = getattr(run, "encoder", "direct"), settings.compute.rows
            return lambda: evaluate(net, task.train, encoder, steps, rows=rows)
        if isinstance(run, AnnRun):
            losses = cross_entropy(net, settings.compute.amp if self.device.type == "cuda" else "off")
            part = recipe.batch
        else:
            teacher = untrained(self._task(taught, len(task.train))).requires_grad_(False) if taught else None
            tap(net, teacher, settings)
            losses, part = student_losses(net, teacher, run, settings, "mean"), micro_batch(settings, run, net)
        job = Job(recipe, settings.data, 0, part, Saves(Path(), "", Console()))
        optim = optimizer(net, recipe.model_copy(update={"lr": 0.0}))  # else repeated updates on noise may diverge
        (batch,) = training_batches(task.train, len(task.train), job.data, 0, 0)
        return lambda: update(net.train(), losses, batch, Moment(0, 0, 0, 0.0), optim, job)()

    def _teacher(self, run: Run) -> Run | None:
        taught = isinstance(run, SnnRun) and run.teacher != NO_TEACHER
        return self.preset.parents(run)[-1] if taught else None

    def _task(self, run: Run, images: int = 1) -> Task[Run, Settings]:
        """The run on so many images of noise, and on others that thresholds are found with; it has no parents."""
        side, classes = self.preset.config.side(run.dataset), source_of(run.dataset).classes
        whole = torch.arange(images + NORMALISED)
        pixels = torch.randint(0, 256, (len(whole), 3, side, side), dtype=torch.uint8, device=self.device)
        noise = Images(pixels, whole.to(self.device) % classes, whole)
        return Task(run, self.preset.settings(run), (), noise.first(images), noise.last(NORMALISED), classes, side)


def untrained(task: Task[Any, Any]) -> Net:
    """A run's network with initial weights; a spiking one has batch norm, or thresholds from their activations."""
    ann = task.new_network().eval()
    normed = getattr(task.settings, "training", None) and task.settings.network.batch_norm
    if isinstance(task.run, AnnRun):
        return insert(ann) if normed else ann
    net = spiking(ann, Dynamics())
    if normed:
        return insert(net)
    normalise(net, ann, next(plain_batches(task.test, NORMALISED)).x, "robust")
    return with_spiking_readout(net, Dynamics()) if getattr(task.settings, "spike_kd", None) else net


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call, after one that warms up; on one CPU thread of work, beside whatever else is at work."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        alone = device.type == "cpu" and torch.get_num_threads() == 1
        return time.process_time() if alone else time.perf_counter()

    call()
    start, count = clock(), 0
    while (passed := clock() - start) < SECONDS or not count:
        call()
        count += 1
    return passed / count
