"""Stage 3 for calibration: the intermediate ANN's network corrected layer by layer, on training images, not trained."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from lasnn import seeding
from lasnn.networks import Net
from lasnn.plan.runs import AnnRun
from lasnn.plan.vocabulary import given
from lasnn.spiking.calibration import (
    Means,
    Station,
    activations,
    amplitude,
    average_thresholds,
    correct_bias,
    correct_potential,
    means,
    train_weights,
)
from lasnn.spiking.conversion import thresholds
from lasnn.training.leaving import Result
from lasnn.training.resume import Parts, Saves
from lasnn.training.stages.assessment import assess
from lasnn.training.stages.converted import drawn_images
from lasnn.training.task import Student, dynamics_of

Draw = Callable[[object, int], Tensor]  # a purpose and a number of images to x [B, 3, H, W]


def calibrate(task: Student, saves: Saves) -> Result:
    """Find amplitudes, correct weights, biases or potentials as the form says, assess."""
    run, settings, form = task.run, task.settings, given(task.settings.calibration).form
    parent, console = task.parent(AnnRun), saves.console
    ann, draw = task.network_of(parent).eval(), images_for(task)
    amplitudes = find_amplitudes(task, ann, draw)
    console.say("amplitudes: " + ", ".join(f"{name} {theta:.3f}" for name, theta in amplitudes.items()))
    dynamics = dynamics_of(settings.neuron)
    net, stations = amplitude(ann, amplitudes, run.steps, dynamics)
    if form == "advanced_weights":
        train_all_weights(task, ann, net, stations, draw, Parts(saves))
    errors = correct(task, ann, net, stations, draw)
    metrics, predictions = assess(net, task, console)
    metrics |= {
        "ann_accuracy": parent.meta["accuracy"],
        "teacher_accuracy": None,
        "teacher_weaker": False,
        "thresholds": thresholds(net),
        "calibration": {"form": form, "amplitudes": amplitudes, "mean_error": errors},
    }
    return Result(net, metrics, predictions, {"leak": 1.0, "logit_scale": "mean"})


def images_for(task: Student) -> Draw:
    """Draws training images for one purpose, shuffled and augmented."""

    def draw(purpose: object, images: int) -> Tensor:
        seed = seeding.key(task.run.seed, "calibration", purpose)
        return drawn_images(task.train, images, task.settings.data, given(task.settings.calibration).augment, seed)

    return draw


def find_amplitudes(task: Student, ann: Net, draw: Draw) -> dict[str, float]:
    """θ of each layer, in units of its activations; form `none` takes the largest activation."""
    calibration = given(task.settings.calibration)
    batches = (draw(index, calibration.images) for index in range(calibration.batches))
    candidates = 1 if calibration.form == "none" else calibration.candidates
    return average_thresholds(ann, batches, task.run.steps, candidates, calibration.momentum)


def train_all_weights(task: Student, ann: Net, net: Net, stations: list[Station], draw: Draw, parts: Parts) -> None:
    """Weights of one layer after the other; each is kept, as at the paper's size all of them take a while."""
    run, recipe, rows = task.run, given(task.settings.calibration).weights, task.settings.compute.rows
    x = draw("weights", recipe.images)
    targets = activations(ann, x)

    def anew(station: Station) -> Tensor:
        draws = seeding.generator(run.seed, "calibration weights", station.name)
        seen: Means = means(net, station, x, run.steps, rows)
        return train_weights(station, seen, targets[station.name], run.steps, recipe, draws)

    for station in stations:
        weight = parts.made(f"weights of {station.name}", partial(anew, station))
        station.synapses.weight.data.copy_(weight)


def correct(task: Student, ann: Net, net: Net, stations: list[Station], draw: Draw) -> dict[str, list[float]]:
    """Biases (`light`) or initial potentials (`advanced_*`) of each layer in order, on one batch.

    Returns each layer's mean error, SNN minus ANN, before and after its own correction, in units of its activations.
    """
    calibration, rows, steps = given(task.settings.calibration), task.settings.compute.rows, task.run.steps
    x, errors = draw("correction", calibration.images), {}
    targets = activations(ann, x)
    for station in stations:
        error = means(net, station, x, steps, rows).output - targets[station.name]
        errors[station.name] = [error.mean().item()]
        if calibration.form == "none":
            continue
        if calibration.form == "light":
            correct_bias(station, error)
        else:
            correct_potential(station, error, steps)
        left = means(net, station, x, steps, rows).output - targets[station.name]
        errors[station.name].append(left.mean().item())
    return errors
