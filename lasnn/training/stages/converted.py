"""Stage 2b: thresholds for the intermediate ANN's weights, and the converted network's accuracy over time."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lasnn import seeding
from lasnn.console import Console
from lasnn.datasets.batches import Images, training_batches
from lasnn.errors import InputError
from lasnn.networks import Net
from lasnn.networks.quantised import clips
from lasnn.plan.runs import AnnRun, ConvertedRun
from lasnn.plan.settings import Data
from lasnn.plan.vocabulary import ENCODERS, given
from lasnn.spiking.conversion import Chunks, balance, scale_thresholds, set_thresholds, spiking, thresholds
from lasnn.spiking.encoders import Noise, batch_noise, encode
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.normalisation import normalise, set_units
from lasnn.spiking.operations import operations
from lasnn.training.leaving import Result
from lasnn.training.resume import Parts, Saves
from lasnn.training.stages.assessment import spikes_of
from lasnn.training.task import Balanced, Converted, dynamics_of


def convert(task: Converted, saves: Saves) -> Result:
    """Balance, draw the curves. The checkpoint will hold unscaled thresholds and unfolded weights."""
    run, settings, parent, console = task.run, task.settings, task.parent(AnnRun), saves.console
    ann = task.network_of(parent)
    check_gain(run, settings.encoder.gain, parent.weights)
    net = spiking(ann, dynamics_of(settings.neuron)).eval()
    parts = Parts(saves)  # at the paper's size balancing and each curve take hours
    by_batch, balanced = parts.made("balancing", lambda: balanced_anew(task, net, ann, console))
    set_thresholds(net, balanced.values())
    console.say("thresholds: " + ", ".join(f"{name} {value:.3f}" for name, value in balanced.items()))

    shown = task.test.first(settings.curve.images)
    analog = task.analog(ann, shown).accuracy
    grid = [moment for moment in settings.curve.grid if moment <= settings.curve.steps]
    curves, predicted = [], []
    for scale in settings.curve.scales:
        draw = partial(draw_curve, task, net, scale, shown, grid, console)
        curve, classes = parts.made(f"curve at s={scale:g}", draw)
        curves.append(curve)
        predicted.append(classes.numpy())
        points = ", ".join(f"T={moment} {accuracy:.1f}" for moment, accuracy in curve["accuracy"].items())
        console.say(f"s={scale:g}: {points} (ANN {analog:.1f}; {len(shown)} images)")
    metrics = {
        "accuracy": curves[0]["final"],
        "thresholds": balanced,
        "thresholds_by_batch": by_batch,
        "curves": curves,
        "curve_images": len(shown),
        "curve_ann_accuracy": analog,
        "ann_accuracy": parent.meta["accuracy"],
    }
    kept = {"predicted": np.stack(predicted), "steps": np.array(grid), "scales": np.array(settings.curve.scales)}
    return Result(net, metrics, kept, {"ann_accuracy": parent.meta["accuracy"]})


def check_gain(run: ConvertedRun, gain: float, weights: dict[str, Tensor]) -> None:
    """InputError if constant currents would meet an input that is scaled down and they are not."""
    constants = [name for name in weights if name.endswith(".offset") or name == "readout.bias"]
    if gain != 1 and constants and not ENCODERS[run.encoder].analog:
        raise InputError(
            f"encoder.gain is {gain:g}, but {run.student} has constant currents (adopted biases, such as "
            f"{constants[0]}), which are for an input that isn't scaled: set encoder.gain to 1 for {run.student}"
        )


def balanced_anew(task: Converted, net: Net, ann: Net, console: Console) -> tuple[list[list[float]], dict[str, float]]:
    """The thresholds that each calibration batch gives, and those that the net gets."""
    balancing = task.settings.balancing
    if balancing.norm == "tb":
        return balance_batches(task, net, console), thresholds(net)
    if balancing.norm == "clip":
        console.say("thresholds: where the ANN's activations were learned to be clipped, in units of a spike")
        learned = clips(ann)
        for name, clip in zip(thresholds(net), learned, strict=True):
            if not clip > 0:
                raise InputError(
                    f"balancing.norm: clip: the ANN's training took the clip of layer {name} to {clip:.3g}, where "
                    "nothing passes: train it at a lower ann.lr, or with another network.levels"
                )
        return [list(set_units(net, learned).values())], thresholds(net)
    x = calibration_images(task, balancing.norm_images)
    console.say(f"data-based normalisation ({balancing.norm}) on {len(x)} training images")
    return [list(normalise(net, ann, x, balancing.norm, task.settings.compute.rows).values())], thresholds(net)


def balance_batches(task: Converted, net: Net, console: Console) -> list[list[float]]:
    """Balance on each calibration batch; the net gets the maximum over batches (`max`) or the mean (`p99.7`)."""
    balancing, by_batch = task.settings.balancing, []
    for batch in range(balancing.batches):
        console.say(f"threshold balancing over {balancing.steps} steps, batch {batch + 1} of {balancing.batches}")
        encoded = calibration(task, batch)
        by_batch.append(list(balance(net, encoded, balancing.stat, balancing.residual).values()))
    combine = max if balancing.stat == "max" else lambda values: sum(values) / len(values)
    set_thresholds(net, [combine(values) for values in zip(*by_batch, strict=True)])
    return by_batch


def calibration(task: Balanced, batch: int) -> Chunks:
    """One batch of encoded training images, the same at every pass, in chunks [t, B, 3, H, W]."""
    settings, seed = task.settings, seeding.key(task.run.seed, "balancing", batch)
    balancing = given(settings.balancing)
    x = calibration_images(task, balancing.images, batch)
    rows, gain, repeated = settings.compute.rows, settings.encoder.gain, balancing.noise == "chunk"
    return in_chunks(task.run.encoder, x, balancing.steps, rows, seed, gain, repeated)


def in_chunks(encoder: str, x: Tensor, steps: int, rows: int, seed: int, gain: float, repeated: bool = False) -> Chunks:
    """Images x [B, 3, H, W], encoded alike at every pass, in chunks [t, B, 3, H, W] of about `rows` images x steps.

    Each step has noise of its own; `repeated`: each chunk that of the first.
    """
    chunk = max(1, rows // len(x))

    def noise() -> Noise:
        return batch_noise(seeding.generator(seed, "encoder", device=x.device))

    def encoded() -> Iterator[Tensor]:
        drawn = noise()
        for start in range(0, steps, chunk):
            yield encode(encoder, x, min(chunk, steps - start), noise() if repeated else drawn, gain)

    return encoded


def calibration_images(task: Balanced, count: int, batch: int = 0) -> Tensor:
    """The training images x [B, 3, H, W] of one calibration batch, B = `count` or as many as there are."""
    seed = seeding.key(task.run.seed, "balancing", batch)
    return drawn_images(task.train, count, task.settings.data, given(task.settings.balancing).augment, seed)


def drawn_images(train: Images, count: int, data: Data, augment: bool, seed: int) -> Tensor:
    """Shuffled training images x [B, 3, H, W], B = `count` or as many as there are."""
    plain = {} if augment else {"crop_padding": 0, "flip": False}
    return next(training_batches(train, count, data.model_copy(update=plain), seed, 0)).x


def draw_curve(
    task: Converted, net: Net, scale: float, shown: Images, grid: list[int], console: Console
) -> tuple[dict, Tensor]:
    """Accuracy at the steps of the grid, from one simulation, and the predicted classes there [G, N]."""
    settings, ready = task.settings, scale_thresholds(net, scale, task.settings.balancing.residual)
    with console.progress(len(shown), f"curve at s={scale:g}") as progress:
        result = evaluate(
            ready,
            shown,
            task.run.encoder,
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
