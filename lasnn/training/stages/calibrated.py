"""Stage 3 for calibration: the intermediate ANN's network corrected layer by layer, on training images, not trained."""

from torch import Tensor

from lasnn import seeding
from lasnn.datasets.batches import training_batches
from lasnn.networks import Net
from lasnn.plan.runs import AnnRun
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
from lasnn.spiking.neurons import Dynamics
from lasnn.training.stages.snn import assess
from lasnn.training.workplace import Workplace


def calibrate(place: Workplace) -> None:
    """Find amplitudes, correct weights, biases or potentials as the form says, evaluate, leave the files."""
    settings, run, form = place.settings, place.run, place.settings.calibration.form
    parent, weights, meta = place.parent(AnnRun)
    ann = place.build(parent, weights).eval()
    amplitudes = find_amplitudes(place, ann)
    place.console.say("amplitudes: " + ", ".join(f"{name} {theta:.3f}" for name, theta in amplitudes.items()))
    dynamics = Dynamics(order=settings.neuron.order, reset=settings.neuron.reset)
    net, stations = amplitude(ann, amplitudes, run.steps, dynamics)
    if form == "advanced_weights":
        train_all_weights(place, ann, net, stations)
    errors = correct(place, ann, net, stations)
    metrics, predictions = assess(place, net)
    metrics |= {
        "ann_accuracy": meta["accuracy"],
        "teacher_accuracy": None,
        "teacher_weaker": False,
        "thresholds": thresholds(net),
        "calibration": {"form": form, "amplitudes": amplitudes, "mean_error": errors},
    }
    place.leave(net, metrics, predictions, {"leak": 1.0, "logit_scale": "mean"})


def batch_of(place: Workplace, purpose: object, images: int) -> Tensor:
    """Training images for one purpose, shuffled and augmented: [B, 3, H, W]."""
    plain = {} if place.settings.calibration.augment else {"crop_padding": 0, "flip": False}
    data = place.settings.data.model_copy(update=plain)
    seed = seeding.key(place.run.seed, "calibration", purpose)
    return next(training_batches(place.images[0], images, data, seed, 0)).x


def find_amplitudes(place: Workplace, ann: Net) -> dict[str, float]:
    """θ of each layer, in units of its activations; form `none` takes the largest activation."""
    settings = place.settings.calibration
    batches = (batch_of(place, index, settings.images) for index in range(settings.batches))
    candidates = 1 if settings.form == "none" else settings.candidates
    return average_thresholds(ann, batches, place.run.steps, candidates, settings.momentum)


def train_all_weights(place: Workplace, ann: Net, net: Net, stations: list[Station]) -> None:
    """Weights of one layer after the other; each is kept, as at the paper's size all of them take a while."""
    recipe, steps, rows = place.settings.calibration.weights, place.run.steps, place.settings.compute.rows
    x, parts = batch_of(place, "weights", recipe.images), place.parts()
    targets = activations(ann, x)

    def anew(station: Station) -> Tensor:
        draws = seeding.generator(place.run.seed, "calibration weights", station.name)
        seen: Means = means(net, station, x, steps, rows)
        return train_weights(station, seen, targets[station.name], steps, recipe, draws)

    for station in stations:
        weight = parts.made(f"weights of {station.name}", lambda station=station: anew(station))
        station.synapses.weight.data.copy_(weight)


def correct(place: Workplace, ann: Net, net: Net, stations: list[Station]) -> dict[str, list[float]]:
    """Biases (`light`) or initial potentials (`advanced_*`) of each layer in order, on one batch.

    Returns each layer's mean error, SNN minus ANN, before and after its own correction, in units of its activations.
    """
    settings, steps, rows = place.settings.calibration, place.run.steps, place.settings.compute.rows
    x, errors = batch_of(place, "correction", settings.images), {}
    targets = activations(ann, x)
    for station in stations:
        error = means(net, station, x, steps, rows).output - targets[station.name]
        errors[station.name] = [error.mean().item()]
        if settings.form == "none":
            continue
        if settings.form == "light":
            correct_bias(station, error)
        else:
            correct_potential(station, error, steps)
        left = means(net, station, x, steps, rows).output - targets[station.name]
        errors[station.name].append(left.mean().item())
    return errors
