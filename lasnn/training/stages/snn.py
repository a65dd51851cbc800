"""Stage 3: a spiking network at T steps, merely converted or trained by one of the methods."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor

from lasnn import seeding
from lasnn.console import Console
from lasnn.networks import Net, initialise
from lasnn.networks.quantised import set_clips
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun
from lasnn.plan.vocabulary import METHODS, NO_TEACHER, given
from lasnn.spiking.conversion import (
    balance_readout,
    leaks,
    neurons,
    scale_thresholds,
    set_thresholds,
    spiking,
    start_at,
    thresholds,
    with_leaks,
    with_spiking_readout,
    without_constants,
)
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import units
from lasnn.storage.marks import FROM_CONVERTED
from lasnn.training.choices import Choices, choose
from lasnn.training.leaving import Result
from lasnn.training.resume import Saves
from lasnn.training.stages.assessment import assess
from lasnn.training.stages.converted import calibration
from lasnn.training.stages.shown import maps_at_the_end
from lasnn.training.stages.student import train
from lasnn.training.task import Parent, Student, dynamics_of


def run_snn(task: Student, saves: Saves) -> Result:
    """Read what it starts from; choose scale, leak and logit scale; make the student; train it; assess it."""
    settings, console = task.settings, saves.console
    dynamics = dynamics_of(settings.neuron, given(settings.spiking))
    start = starting_networks(task, dynamics, console)
    teacher, teacher_accuracy = teacher_of(task, dynamics)
    weaker = compare(task.run, start.ann_accuracy, teacher_accuracy, console)

    shown = task.held_out.first(given(settings.choices).images)
    chosen = choose(task, start.ann, start.ready, shown, console)
    net = student_from(task, start, chosen, dynamics)
    trained, cost = train(net, teacher, task, chosen.logit_scale, saves) if settings.training else ({}, {})
    metrics, predictions = assess(net, task, console)
    if settings.training:  # beside the accuracy on new images: how far it fits what it has seen
        trained |= {"train_accuracy": task.simulated(net, shown).accuracy}
    if settings.attention:
        predictions |= maps_at_the_end(task, net, given(teacher))
    metrics |= {
        "ann_accuracy": start.ann_accuracy,
        "teacher_accuracy": teacher_accuracy,
        "teacher_weaker": weaker,
        "choices": asdict(chosen),
        "thresholds": thresholds(net),
        **trained,
    }
    meta = {"leak": chosen.leak, "logit_scale": chosen.logit_scale}
    if given(task.settings.spiking).train_leak:
        meta["leaks"] = metrics["leaks"] = leaks(net)
    return Result(net, metrics, predictions, meta, origin=cost)


@dataclass(frozen=True)
class Start:
    """What a student comes from: the intermediate ANN, and the spiking network of its weights at a threshold scale."""

    ann: Net
    ann_accuracy: float
    ready: Callable[[float], Net]


def starting_networks(task: Student, dynamics: Dynamics, console: Console) -> Start:
    """From the balanced network, or from the calibrated one, which is taken as it is."""
    spiked = given(task.settings.spiking)
    if spiked.init == "calibrated":
        return calibrated_start(task, dynamics)
    parent = task.parent(ConvertedRun)
    ann = task.network_of(parent, of_the_ann(parent))
    balanced = spiking(ann, dynamics)
    balanced.load_state_dict(parent.weights)
    if parent.network.levels is not None:
        set_clips(ann, units(balanced))
    if task.settings.spike_kd:
        balance_readout_of(task, balanced, dynamics)
        console.say(f"threshold of the spiking readout: {thresholds(balanced)['readout']:.3f}")
    residual = given(task.settings.balancing).residual
    return Start(
        ann,
        parent.meta["ann_accuracy"],
        lambda scale: start_at(scale_thresholds(balanced, scale, residual), spiked.potential),
    )


def calibrated_start(task: Student, dynamics: Dynamics) -> Start:
    """The network that calibration found, with its offsets and initial potentials, for the dynamics of a training."""
    student, calibrated = task.parent(AnnRun), task.parent(SnnRun)
    ann = task.network_of(student)
    net = spiking(ann, dynamics)
    net.load_state_dict(calibrated.weights)
    return Start(ann, student.meta["accuracy"], lambda scale: copy.deepcopy(net))


def of_the_ann(parent: Parent) -> dict[str, Tensor]:
    """A spiking parent's weights by the names of its ANN; the clips of a quantised one are still to be set."""
    weights = {name: value for name, value in parent.weights.items() if not name.startswith("readout.activation.")}
    if parent.network.levels is not None:
        return {name.replace(".threshold", ".clip"): value for name, value in weights.items()}
    return {name: value for name, value in weights.items() if not name.endswith(".threshold")}


def balance_readout_of(task: Student, net: Net, dynamics: Dynamics) -> None:
    """Make the readout of a balanced net spike, at the threshold that the same images and steps give."""
    balancing = given(task.settings.balancing)
    with_spiking_readout(net.eval(), dynamics)
    batches = range(balancing.batches)
    found = [balance_readout(net, calibration(task, batch), balancing.stat) for batch in batches]
    neurons(net)["readout"].threshold.fill_(max(found) if balancing.stat == "max" else sum(found) / len(found))


def teacher_of(task: Student, dynamics: Dynamics) -> tuple[Net | None, float | None]:
    """The frozen teacher and its test accuracy."""
    if task.run.teacher == NO_TEACHER:
        return None, None
    if METHODS[task.run.method].chained:
        parent = task.parent(SnnRun)
        ann = task.network_of(parent, of_the_ann(parent))
        teacher = with_spiking_readout(spiking(ann, dynamics), dynamics)
        teacher.load_state_dict(parent.weights)
        with_leaks(teacher, parent.meta.get("leaks", parent.meta["leak"]))
    else:
        parent = task.teacher()
        teacher = task.network_of(parent)
    teacher.eval().requires_grad_(False)
    return teacher, parent.meta["accuracy"]


def compare(run: SnnRun, ann_accuracy: float, teacher_accuracy: float | None, console: Console) -> bool:
    """Whether the teacher is weaker than the student's own ANN, which gets a warning."""
    if teacher_accuracy is None:
        return False
    teacher = run.teacher.removeprefix("snn_")
    compared = f"teacher {teacher} {teacher_accuracy:.2f} %, student's ANN {ann_accuracy:.2f} %"
    console.say(compared)
    if teacher_accuracy < ann_accuracy:
        console.warn(f"the teacher is the weaker: {compared}")
    return teacher_accuracy < ann_accuracy


def student_from(task: Student, start: Start, chosen: Choices, dynamics: Dynamics) -> Net:
    """The student before training: converted or calibrated, or a control (thresholds 1; random weights as well)."""
    settings, begun = task.settings, given(task.settings.spiking)
    if begun.init in FROM_CONVERTED:
        return with_leaks(start.ready(chosen.scale), chosen.leak)
    net = spiking(start.ann, dynamics)
    if settings.spike_kd:
        with_spiking_readout(net, dynamics)
    set_thresholds(net, [1.0] * len(neurons(net)))
    if begun.init == "scratch":
        device = next(net.parameters()).device
        draws = seeding.generator(task.run.seed, "scratch weights", task.run.student)
        net = initialise(without_constants(net).cpu(), task.architecture, settings.network.init, draws).to(device)
    return with_leaks(start_at(net, begun.potential), chosen.leak)
