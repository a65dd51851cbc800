"""Stage 2b: thresholds for the intermediate ANN's weights, and the converted network's accuracy over time."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lasnn import seeding
from lasnn.datasets.batches import training_batches
from lasnn.networks import Net
from lasnn.plan.runs import AnnRun
from lasnn.spiking.conversion import Chunks, balance, scale_thresholds, set_thresholds, spiking, thresholds
from lasnn.spiking.encoders import batch_noise, encode
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import normalise
from lasnn.spiking.operations import operations
from lasnn.training.workplace import Workplace, spikes_of


def convert(place: Workplace) -> None:
    """Balance, draw the curves, leave the files. The checkpoint holds unscaled thresholds and unfolded weights."""
    settings, (_, test) = place.settings, place.images
    parent, weights, meta = place.parent(AnnRun)
    ann = place.build(parent, weights)
    net = spiking(ann, Dynamics(order=settings.neuron.order, reset=settings.neuron.reset)).eval()
    parts = place.parts()  # at the paper's size balancing and each curve take hours
    by_batch, balanced = parts.made("balancing", lambda: balanced_anew(place, net, ann))
    set_thresholds(net, balanced.values())
    place.console.say("thresholds: " + ", ".join(f"{name} {value:.3f}" for name, value in balanced.items()))

    shown = test.first(settings.curve.images)
    analog = evaluate(ann, shown, "direct", 1, rows=settings.compute.rows).accuracy
    grid = [moment for moment in settings.curve.grid if moment <= settings.curve.steps]
    curves, predicted = [], []
    for scale in settings.curve.scales:
        curve, classes = parts.made(f"curve at s={scale:g}", lambda s=scale: draw_curve(place, net, s, grid))
        curves.append(curve)
        predicted.append(classes.numpy())
        points = ", ".join(f"T={moment} {accuracy:.1f}" for moment, accuracy in curve["accuracy"].items())
        place.console.say(f"s={scale:g}: {points} (ANN {analog:.1f}; {len(shown)} images)")
    metrics = {
        "accuracy": curves[0]["final"],
        "thresholds": balanced,
        "thresholds_by_batch": by_batch,
        "curves": curves,
        "curve_images": len(shown),
        "curve_ann_accuracy": analog,
        "ann_accuracy": meta["accuracy"],
    }
    kept = {"predicted": np.stack(predicted), "steps": np.array(grid), "scales": np.array(settings.curve.scales)}
    place.leave(net, metrics, kept, {"ann_accuracy": meta["accuracy"]})


def balanced_anew(place: Workplace, net: Net, ann: Net) -> tuple[list[list[float]], dict[str, float]]:
    """The thresholds that each calibration batch gives, and those that the net gets."""
    settings = place.settings.balancing
    if settings.norm == "tb":
        return balance_batches(place, net), thresholds(net)
    x = calibration_images(place, settings.norm_images)
    place.console.say(f"data-based normalisation ({settings.norm}) on {len(x)} training images")
    return [list(normalise(net, ann, x, settings.norm, place.settings.compute.rows).values())], thresholds(net)


def balance_batches(place: Workplace, net: Net) -> list[list[float]]:
    """Balance on each calibration batch; the net gets the maximum over batches (`max`) or the mean (`p99.7`)."""
    settings, by_batch = place.settings.balancing, []
    for batch in range(settings.batches):
        place.console.say(f"threshold balancing over {settings.steps} steps, batch {batch + 1} of {settings.batches}")
        found = balance(net, calibration(place, batch), settings.stat, settings.residual)
        by_batch.append(list(found.values()))
    combine = max if settings.stat == "max" else lambda values: sum(values) / len(values)
    set_thresholds(net, [combine(values) for values in zip(*by_batch, strict=True)])
    return by_batch


def calibration(place: Workplace, batch: int) -> Chunks:
    """One batch of encoded training images, the same at every pass, in chunks [t, B, 3, H, W]."""
    settings, run = place.settings, place.run
    seed, x = seeding.key(run.seed, "balancing", batch), calibration_images(place, settings.balancing.images, batch)
    chunk = max(1, settings.compute.rows // len(x))

    def encoded() -> Iterator[Tensor]:
        noise = batch_noise(seeding.generator(seed, "encoder", device=place.device))
        for start in range(0, settings.balancing.steps, chunk):
            yield encode(run.encoder, x, min(chunk, settings.balancing.steps - start), noise, settings.encoder.gain)

    return encoded


def calibration_images(place: Workplace, count: int, batch: int = 0) -> Tensor:
    """The training images x [B, 3, H, W] of one calibration batch, B = `count` or as many as there are."""
    settings = place.settings
    plain = {} if settings.balancing.augment else {"crop_padding": 0, "flip": False}
    data, seed = settings.data.model_copy(update=plain), seeding.key(place.run.seed, "balancing", batch)
    return next(training_batches(place.images[0], count, data, seed, 0)).x


def draw_curve(place: Workplace, net: Net, scale: float, grid: list[int]) -> tuple[dict, Tensor]:
    """Accuracy at the steps of the grid, from one simulation, and the predicted classes there [G, N]."""
    settings, shown = place.settings, place.images[1].first(place.settings.curve.images)
    ready = scale_thresholds(net, scale, settings.balancing.residual)
    with place.console.progress(len(shown), f"curve at s={scale:g}") as progress:
        result = evaluate(
            ready,
            shown,
            place.run.encoder,
            settings.curve.steps,
            rows=settings.compute.rows,
            grid=grid,
            gain=settings.encoder.gain,
            step=progress.step,
        )
    accuracy = {str(moment): float(result.accuracy_by_step[moment - 1]) for moment in grid}
    return {
        "scale": scale,
        "accuracy": accuracy,
        "final": result.accuracy,
        "spikes": spikes_of(result),
        "operations": operations(ready, result),
    }, torch.from_numpy(result.predicted)
