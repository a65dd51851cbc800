"""Stage 3: a spiking network at T steps, merely converted or trained by one of the methods."""

import numpy as np
import torch

from lasnn import seeding
from lasnn.distillation.attention import VARIANTS, as_compared
from lasnn.errors import InputError
from lasnn.networks import Net, initialise
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import METHODS, NO_TEACHER
from lasnn.spiking.conversion import (
    balance_readout,
    neurons,
    scale_thresholds,
    set_thresholds,
    spiking,
    thresholds,
    with_dynamics,
    with_spiking_readout,
)
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.operations import operations
from lasnn.spiking.surrogates import surrogate
from lasnn.training.choices import Choices, choose, rates
from lasnn.training.stages.converted import calibration
from lasnn.training.stages.student import shown_to, train
from lasnn.training.workplace import Workplace, best_of, spikes_of


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
