"""How a spiking network is trained by one of the methods, with what the training log says after each epoch."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from lasnn.datasets.batches import Batch, plain_batches
from lasnn.distillation.attention import VARIANTS
from lasnn.distillation.objectives import OBJECTIVES, Step
from lasnn.networks import TAPS, Net, Output, census
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.spiking.conversion import settle_thresholds, train_thresholds
from lasnn.spiking.encoders import batch_noise, encode, image_noise
from lasnn.spiking.evaluation import evaluate
from lasnn.training.choices import Choices
from lasnn.training.health import weight_norms
from lasnn.training.loop import Losses, Moment, Part, fit
from lasnn.training.training_log import TrainingLog
from lasnn.training.workplace import Workplace

SHOWN_MAPS = 8  # test images whose attention maps are looked at
MICRO_BATCH_BYTES = 1 << 30  # what `micro_batch: auto` lets the currents, spikes and gradients of a step take
STEPS = {  # T of a training by `spiking.steps_schedule`, at a share of the epochs
    "const": lambda steps, progress: steps,
    "double_first": lambda steps, progress: 2 * steps if progress < 0.5 else steps,
}


def train(place: Workplace, net: Net, teacher: Net | None, chosen: Choices) -> TrainingLog:
    """Train by the method's objective, with a look at the test images after each epoch (for the training log only)."""
    settings, run, (images, test) = place.settings, place.run, place.images
    net.taps = {}  # what is not tapped need not be kept for the backward pass
    if settings.attention:
        taps = TAPS[settings.attention.taps]
        for network in (net, teacher):
            network.taps = taps(network.sides, network.side)

    teacher_std = None
    if settings.label_kd:
        teacher_std = float(evaluate(teacher, test, "direct", 1, rows=settings.compute.rows).logits.std(1).mean())

    def look(epoch: int) -> dict:
        now = evaluate(net, test, run.encoder, run.steps, rows=settings.compute.rows, gain=settings.encoder.gain)
        by_layer = {name: layer.per_neuron / run.steps for name, layer in now.spikes.items()}
        seen = {"test_accuracy": now.accuracy, "rates": by_layer, "weight_norms": weight_norms(net)}
        if settings.label_kd:
            share = run.steps if chosen.logit_scale == "mean" else 1
            seen |= {"logit_std": float(now.logits.std(1).mean()) / share, "logit_std_teacher": teacher_std}
        if settings.attention:
            seen["silent_maps"] = silent_maps(place, net)
        return seen

    losses = student_losses(place, net, teacher, chosen.logit_scale)
    size = micro_batch(settings, run, net)
    if settings.spiking.train_thresholds:
        train_thresholds(net)
    with tf32(settings.compute.amp == "tf32"):
        log = fit(net, losses, images, place.job(size), look)
    settle_thresholds(net)
    return log


def student_losses(place: Workplace, net: Net, teacher: Net | None, logit_scale: str) -> Losses:
    """Encode, simulate, and ask the method's objective."""
    settings, run = place.settings, place.run
    objective, gain = OBJECTIVES[run.method], settings.encoder.gain
    steps_at = STEPS[settings.spiking.steps_schedule]

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        steps = steps_at(run.steps, moment.progress)
        noise = batch_noise(moment.draws("encoder", place.device), part.start, part.whole)
        # Spikes are exact in bfloat16; potentials stay float32 (the neuron sees to that).
        with torch.autocast(place.device.type, torch.bfloat16, enabled=settings.compute.amp == "bf16"):
            encoded = encode(run.encoder, part.batch.x, steps, noise, gain)
            output = net(encoded)
        logits = output.logits.float() / (steps if logit_scale == "mean" else 1)
        return objective(Step(part.batch, output, logits, teacher, moment.progress, encoded), settings)

    return losses


@contextlib.contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Products and convolutions in TF32 while the block runs, if wanted: forward and backward of a training."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if wanted:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def micro_batch(settings: SnnSettings, run: SnnRun, net: Net) -> int:
    """Images of a batch that are in memory at once. `auto` depends on settings only, never on free memory."""
    batch, asked = settings.training.batch, settings.compute.micro_batch
    if asked != "auto":
        return asked
    longest = STEPS[settings.spiking.steps_schedule](run.steps, 0.0)
    per_image = 12 * longest * census(net).neurons  # current, spikes and their gradient in float32
    if settings.attention and settings.attention.student_act == "per_step":
        per_image *= 2  # the running rate of each step and its gradient as well
    fits = max(1, MICRO_BATCH_BYTES // per_image)
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= fits)


@torch.no_grad()
def silent_maps(place: Workplace, net: Net) -> dict[str, float]:
    """The share of the first test images whose map at a level is zero throughout: there the loss pulls at nothing."""
    output, batch = shown_to(place, net)
    of_student, settings = VARIANTS[place.run.method].of_student, place.settings.attention
    maps = {level: of_student(spikes, settings)[-len(batch) :] for level, spikes in output.stages.items()}
    return {level: float((map_.flatten(1) == 0).all(1).double().mean()) for level, map_ in maps.items()}


def shown_to(place: Workplace, net: Net) -> tuple[Output, Batch]:
    """What a student makes of the first test images, under the first encoder seed of evaluation."""
    settings, run = place.settings, place.run
    batch = next(plain_batches(place.images[1].first(SHOWN_MAPS), SHOWN_MAPS))
    noise = image_noise(settings.evaluation.seeds[0], range(len(batch)), place.device)
    return net.eval()(encode(run.encoder, batch.x, run.steps, noise, settings.encoder.gain)), batch
