"""The automatic choices before a training: threshold scale, leak, logit scale. They look at training images only.

All methods that share a converted network, encoder and T make the same choices, because nothing here depends on the
method.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lasnn.console import Console
from lasnn.datasets.batches import Images
from lasnn.networks import Net
from lasnn.plan.vocabulary import given
from lasnn.spiking.conversion import with_leaks
from lasnn.spiking.evaluation import Evaluation
from lasnn.storage.marks import FROM_CONVERTED
from lasnn.training.health import state_of
from lasnn.training.task import Student


@dataclass(frozen=True)
class Choices:
    """What was decided and what it was decided on.

    Accuracies in percent, on `images` training images, which the ANN has seen.
    """

    scale: float  # s, of the thresholds
    leak: float  # λ
    logit_scale: str  # sum | mean
    images: int
    start_accuracy: float  # of the converted network with this scale and leak, untrained
    start_accuracy_without_leak: float
    start_cross_entropy: float  # with this logit scale
    start_cross_entropy_of: dict[str, float]  # with either logit scale
    ann_accuracy: float
    ann_cross_entropy: float
    accuracy_by_scale: dict[str, float] | None  # of a search for s, with leak 1
    start_rates: dict[str, float]  # spikes per neuron and step, by layer


def choose(task: Student, ann: Net, ready: Callable[[float], Net], images: Images, console: Console) -> Choices:
    """Decide scale, leak and logit scale for the network that `ready` gives at a scale, and say what was found."""
    settings, steps = task.settings, task.run.steps
    spiking, by_scale, plain = given(settings.spiking), None, None
    if spiking.scale == "search":
        grid = given(settings.choices).scale_grid
        tried = {s: task.simulated(ready(s), images) for s in grid}
        scale = max(tried, key=lambda s: (tried[s].accuracy, s))  # ties: the larger
        by_scale, plain = {str(s): found.accuracy for s, found in tried.items()}, tried[scale]
    else:
        scale = spiking.scale
    net = ready(scale)
    plain = plain or task.simulated(net, images)
    leak, found = 1.0, plain
    if spiking.leak < 1 and settings.training is not None:
        leaky = task.simulated(with_leaks(net, spiking.leak), images)
        if plain.accuracy - leaky.accuracy > spiking.leak_guard:
            console.warn(
                f"leak guard: leak {spiking.leak:g} takes the converted network from {plain.accuracy:.1f} % to "
                f"{leaky.accuracy:.1f} % on {len(images)} training images, so leak 1 is used"
            )
        else:
            leak, found = spiking.leak, leaky
    logit_scale: str = spiking.logit_scale
    if logit_scale == "auto":
        logit_scale = min(found.cross_entropy, key=found.cross_entropy.__getitem__)
    analog = task.analog(ann, images)
    chosen = Choices(
        scale=scale,
        leak=leak,
        logit_scale=logit_scale,
        images=len(images),
        start_accuracy=found.accuracy,
        start_accuracy_without_leak=plain.accuracy,
        start_cross_entropy=found.cross_entropy[logit_scale],
        start_cross_entropy_of=found.cross_entropy,
        ann_accuracy=analog.accuracy,
        ann_cross_entropy=analog.cross_entropy["sum"],
        accuracy_by_scale=by_scale,
        start_rates={name: layer.per_neuron / steps for name, layer in found.spikes.items()},
    )
    _report(chosen, found, steps, spiking.init in FROM_CONVERTED, console)
    return chosen


def _report(chosen: Choices, found: Evaluation, steps: int, starts: bool, console: Console) -> None:
    """What was found; a student that doesn't start as this network has no use for warnings of it."""
    network = "start" if starts else "converted network, not its start"
    console.say(
        f"{network}: s {chosen.scale:g}, leak {chosen.leak:g}, logits {chosen.logit_scale}; on {chosen.images} "
        f"training images {chosen.start_accuracy:.1f} %, cross-entropy {chosen.start_cross_entropy:.3f} "
        f"(ANN {chosen.ann_accuracy:.1f} %, {chosen.ann_cross_entropy:.3f})"
    )
    if not starts:
        return
    console.say("start: " + rates(chosen.start_rates))
    for name, layer in found.spikes.items():
        if found_ill := state_of(layer.per_neuron / steps):
            console.warn(f"layer {name} is {found_ill} before training")
    if chosen.start_cross_entropy > max(2 * chosen.ann_cross_entropy, 3.0):
        console.warn(
            f"the logits start saturated: cross-entropy {chosen.start_cross_entropy:.2f} against "
            f"{chosen.ann_cross_entropy:.2f} of the ANN; try spiking.logit_scale: mean"
        )


def rates(by_layer: dict[str, float]) -> str:
    """Firing rates in one line."""
    return "spikes per neuron and step: " + ", ".join(f"{name} {rate:.4f}" for name, rate in by_layer.items())
