"""Stage 3: a spiking network at T steps, merely converted or trained by one of the methods."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lasnn import seeding
from lasnn.attention import VARIANTS, as_compared
from lasnn.choices import Choices, choose, rates
from lasnn.conversion import (
    balance_readout,
    neurons,
    scale_thresholds,
    set_thresholds,
    spiking,
    thresholds,
    with_dynamics,
    with_spiking_readout,
)
from lasnn.encoders import batch_noise, encode, image_noise
from lasnn.errors import InputError
from lasnn.evaluation import evaluate
from lasnn.health import weight_norms
from lasnn.images import Batch, plain_batches
from lasnn.journal import Journal
from lasnn.networks import TAPS, Net, Output, census, initialise
from lasnn.neurons import Dynamics
from lasnn.objectives import OBJECTIVES, Step
from lasnn.operations import operations
from lasnn.runs import AnnRun, ConvertedRun, SnnRun
from lasnn.settings import SnnSettings
from lasnn.stages.converted import calibration
from lasnn.surrogates import surrogate
from lasnn.training import Losses, Moment, Part, fit
from lasnn.vocabulary import METHODS, NO_TEACHER
from lasnn.workplace import Workplace, best_of, spikes_of

SHOWN_MAPS = 8  # test images whose attention maps are kept
MICRO_BATCH_BYTES = 1 << 30  # what `micro_batch: auto` lets the currents, spikes and gradients of a step take


def run_snn(place: Workplace) -> None:
    """Choose scale, leak and logit scale, train if the method trains, evaluate, leave the files."""
    settings, run = place.settings, place.run
    check_window(run, settings)
    parent, weights, meta = place.parent(ConvertedRun)
    ann = place.build(parent, {name: value for name, value in weights.items() if not name.endswith(".threshold")})
    balanced = spiking(ann, dynamics(settings))
    balanced.load_state_dict(weights)
    teacher, teacher_accuracy = load_teacher(place, meta["ann_accuracy"])
    if settings.spike_kd:
        with_balanced_readout(place, balanced)

    shown = place.held_out.first(settings.choices.images)
    chosen = choose(ann, balanced, shown, run.encoder, run.steps, settings, place.console)
    net = start(place, ann, balanced, chosen)
    trained = train(place, net, teacher, chosen) if settings.training else None
    metrics, predictions = assess(place, net)
    if settings.attention:
        predictions |= attention_maps(place, net, teacher)
    metrics |= {
        "ann_accuracy": meta["ann_accuracy"],
        "teacher_accuracy": teacher_accuracy,
        "teacher_weaker": teacher_accuracy is not None and teacher_accuracy < meta["ann_accuracy"],
        "choices": chosen.json(),
        "thresholds": thresholds(net),
        **(best_of(trained) if trained else {}),
    }
    place.leave(net, metrics, predictions, {"leak": chosen.leak, "logit_scale": chosen.logit_scale})


def check_window(run: SnnRun, settings: SnnSettings) -> None:
    """InputError if spike KD sums over more steps than there are."""
    if settings.spike_kd and settings.spike_kd.window > run.steps:
        raise InputError(
            f"spike_kd.window is {settings.spike_kd.window}, but {run} has {run.steps} time steps: set a window of at "
            f"most {run.steps}"
        )


def with_balanced_readout(place: Workplace, net: Net) -> None:
    """Make the readout of a balanced net spike, at the threshold that the same images and steps give."""
    settings = place.settings.balancing
    with_spiking_readout(net.eval(), dynamics(place.settings))
    found = [balance_readout(net, calibration(place, batch), settings.stat) for batch in range(settings.batches)]
    net.readout.activation.threshold.fill_(max(found) if settings.stat == "max" else sum(found) / len(found))
    place.console.say(f"threshold of the spiking readout: {thresholds(net)['readout']:.3f}")


def dynamics(settings: SnnSettings) -> Dynamics:
    """The neurons' dynamics, with leak 1 until it is chosen."""
    spiking = settings.spiking
    return Dynamics(
        order=settings.neuron.order,
        reset=settings.neuron.reset,
        surrogate=surrogate(spiking.surrogate, spiking.gamma, spiking.stdb),
        reset_grad=spiking.reset_grad,
    )


def load_teacher(place: Workplace, ann_accuracy: float) -> tuple[Net | None, float | None]:
    """The frozen teacher and its test accuracy; one that is weaker than the student's own ANN gets a warning."""
    if place.run.teacher == NO_TEACHER:
        return None, None
    if METHODS[place.run.method].chained:
        run, weights, meta = place.parent(SnnRun)
        teacher = with_spiking_readout(spiking(place.build(run), dynamics(place.settings)), dynamics(place.settings))
        teacher.load_state_dict(weights)
        with_dynamics(teacher, leak=meta["leak"])
    else:
        run, weights, meta = place.parent(AnnRun)
        teacher = place.build(run, weights)
    teacher.eval().requires_grad_(False)
    compared = f"teacher {run.network_name} {meta['accuracy']:.2f} %, student's ANN {ann_accuracy:.2f} %"
    place.console.say(compared)
    if meta["accuracy"] < ann_accuracy:
        place.console.warn(f"the teacher is the weaker: {compared}")
    return teacher, meta["accuracy"]


def start(place: Workplace, ann: Net, balanced: Net, chosen: Choices) -> Net:
    """The student before training: converted, or one of the controls (thresholds 1; random weights as well)."""
    settings, run = place.settings, place.run
    if settings.spiking.init == "converted":
        net = scale_thresholds(balanced, chosen.scale, settings.balancing.residual)
    else:
        net = spiking(ann, dynamics(settings))
        if settings.spike_kd:
            with_spiking_readout(net, dynamics(settings))
        set_thresholds(net, [1.0] * len(neurons(net)))
    if settings.spiking.init == "scratch":
        draws = seeding.generator(run.seed, "scratch weights", run.student)
        net = initialise(net.cpu(), run.student, settings.network.init, draws).to(place.device)
    return with_dynamics(net, leak=chosen.leak)


def train(place: Workplace, net: Net, teacher: Net | None, chosen: Choices) -> Journal:
    """Train by the method's objective, with a look at the test images after each epoch (for the journal only)."""
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
    with tf32(settings.compute.amp == "tf32"):
        return fit(net, losses, images, place.job(micro_batch(settings, run, net)), look)


def student_losses(place: Workplace, net: Net, teacher: Net | None, logit_scale: str) -> Losses:
    """Encode, simulate, and ask the method's objective."""
    settings, run = place.settings, place.run
    objective, gain = OBJECTIVES[run.method], settings.encoder.gain

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        noise = batch_noise(moment.draws("encoder", place.device), part.start, part.whole)
        # Spikes are exact in bfloat16; potentials stay float32 (the neuron sees to that).
        with torch.autocast(place.device.type, torch.bfloat16, enabled=settings.compute.amp == "bf16"):
            encoded = encode(run.encoder, part.batch.x, run.steps, noise, gain)
            output = net(encoded)
        logits = output.logits.float() / (run.steps if logit_scale == "mean" else 1)
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
    per_image = 12 * run.steps * census(net).neurons  # current, spikes and their gradient in float32
    fits = max(1, MICRO_BATCH_BYTES // per_image)
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= fits)


def assess(place: Workplace, net: Net) -> tuple[dict, dict[str, np.ndarray]]:
    """Metrics and predictions on the test images: accuracy is the mean over encoder seeds, the rest is the first's."""
    settings, run, (_, test) = place.settings, place.run, place.images
    seeds = settings.evaluation.seeds if run.encoder != "direct" else settings.evaluation.seeds[:1]
    words = {"rows": settings.compute.rows, "gain": settings.encoder.gain}
    results = [evaluate(net, test, run.encoder, run.steps, seed=seed, **words) for seed in seeds]
    first = results[0]
    place.console.say("end: " + rates({name: layer.per_neuron / run.steps for name, layer in first.spikes.items()}))
    for name, layer in first.spikes.items():
        if layer.total == 0:
            place.console.warn(f"layer {name} is dead: no spike in {len(test)} test images")
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
        "logits": first.logits,  # [N, K]
        "labels": test.labels.cpu().numpy(),  # [N]
    }
    return metrics, predictions


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


@torch.no_grad()
def attention_maps(place: Workplace, net: Net, teacher: Net) -> dict[str, np.ndarray]:
    """What the attention loss compares at the end, on the first test images: unit maps [8, h, w] of each level."""
    settings, (output, batch) = place.settings, shown_to(place, net)
    variant, maps = VARIANTS[place.run.method], {}
    of_teacher = variant.of_teacher(teacher, batch.x, batch.labels, settings.attention)
    for level, spikes in output.stages.items():
        of_student = variant.of_student(spikes, settings.attention)[-len(batch) :]  # of maps for each step the last
        pair = as_compared(of_teacher[level], of_student)
        maps[f"maps_teacher_{level}"], maps[f"maps_student_{level}"] = (map_.cpu().numpy() for map_ in pair)
    return maps
