"""Why a spiking network is bad at its T: each layer beside its analog limit, the first that goes wrong, what may help.

The analog limit of a network has max(I, 0)/θ in place of every neuron: the rate that the neuron would have without
rounding, leak and ceiling. Of a converted network it is the ANN itself, in the units of its thresholds. With r the
rates in T steps and a those of the limit, over images and neurons of a layer:

    error = Σ|r - a| / Σa      lost = 1 - Σr / Σa      clipped = Σ max(a - 1, 0) / Σa (more than a spike a step)
"""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.datasets.batches import Images, plain_batches
from lasnn.networks.layers import Neuron, Pool
from lasnn.networks.net import Net, replace_neurons, watched, wired
from lasnn.plan.vocabulary import ENCODERS
from lasnn.spiking.conversion import divide_constants, inner_weights, neurons
from lasnn.spiking.encoders import encode, image_noise, mean_input
from lasnn.spiking.evaluation import BATCH
from lasnn.spiking.neurons import LIF, streaming
from lasnn.storage.files import Json

BOUND = 0.5  # error of a layer from which on it counts as wrong
LARGE = 0.25  # share of a layer's activity that is much to lose or to clip
DEAD = 0.99  # share of a layer's activity that is lost from which on it counts as dead
SATURATED = 0.95  # spikes for each step
CERTAIN = 0.999  # probability of the first class from which on an image's logits count as saturated


@dataclass(frozen=True)
class LayerReport:
    """One layer, over all images and steps; shares from 0 to 1."""

    name: str
    threshold: float
    leak: float
    rate: float  # spikes for each neuron and step
    expected: float  # the same in the analog limit
    silent: float  # share of neurons without any spike
    saturated: float  # share of neurons that spike in almost every step
    above: float  # share of currents above the threshold
    negative: float  # share of the currents' mass that is negative
    largest: float  # current over threshold
    error: float
    lost: float
    clipped: float


@dataclass(frozen=True)
class Diagnosis:
    """What was seen, on how many images; accuracies in percent."""

    images: int
    steps: int
    accuracy: float
    limit_accuracy: float
    cross_entropy: dict[str, float]  # of the summed and of the averaged logits
    certain: float  # share of images whose summed logits are saturated
    layers: tuple[LayerReport, ...]

    @property
    def first(self) -> LayerReport | None:
        """The first layer that goes wrong."""
        return next((layer for layer in self.layers if layer.error > BOUND), None)

    def json(self) -> Json:
        first = self.first
        return asdict(self) | {"first": first.name if first else None, "bound": BOUND, "cause": cause(self)}


class Analog(Neuron):
    """The analog limit of a neuron."""

    def __init__(self, neuron: LIF):
        super().__init__()
        self.threshold, self.offset = neuron.threshold, neuron.offset

    def forward(self, current: Tensor, mask: Tensor | None = None, pool: Pool | None = None) -> Tensor:
        rate = F.relu(self.with_offset(current)) / self.threshold
        rate = rate if mask is None else rate * mask
        return rate if pool is None else pool(rate)


def analog_limit(net: Net) -> Net:
    """A copy of a spiking network with rates in place of spikes."""
    net = copy.deepcopy(net)
    replace_neurons(net, LIF, Analog)
    return net


class _Seen:
    """Sums over images and steps of one layer."""

    def __init__(self, neuron: LIF):
        self.neuron = neuron
        self.counts: list[Tensor] = []  # of each batch, [B, ...]
        self.limits: list[Tensor] = []
        self.above = self.positive = self.negative = self.entries = self.largest = 0.0

    def current(self, current: Tensor) -> None:
        current, theta = self.neuron.with_offset(current), self.neuron.threshold.item()
        self.above += (current > theta).sum().item()
        self.positive += F.relu(current).sum(dtype=torch.float64).item()
        self.negative += F.relu(-current).sum(dtype=torch.float64).item()
        self.entries += current.numel()
        self.largest = max(self.largest, current.max().item() / theta)

    def spikes(self, spikes: Tensor) -> None:
        self.counts[-1] = self.counts[-1] + spikes.sum(0)

    def report(self, name: str, steps: int) -> LayerReport:
        rates, limits = torch.cat(self.counts).double() / steps, torch.cat(self.limits).double()
        by_neuron, mass = rates.mean(0), max(limits.sum().item(), 1e-30)
        return LayerReport(
            name=name,
            threshold=self.neuron.threshold.item(),
            leak=self.neuron.dynamics.leak,
            rate=rates.mean().item(),
            expected=limits.mean().item(),
            silent=(by_neuron == 0).double().mean().item(),
            saturated=(by_neuron > SATURATED).double().mean().item(),
            above=self.above / self.entries,
            negative=self.negative / max(self.positive + self.negative, 1e-30),
            largest=self.largest,
            error=(rates - limits).abs().sum().item() / mass,
            lost=1 - rates.sum().item() / mass,
            clipped=F.relu(limits - 1).sum().item() / mass,
        )


@torch.no_grad()
def diagnose(
    net: Net,
    images: Images,
    encoder: str,
    steps: int,
    *,
    gain: float = 1.0,
    rows: int = 512,
    step: Callable[[int], None] | None = None,
) -> Diagnosis:
    """Simulate `net` and its analog limit on all images; `step` is called with the number of those just done."""
    net.eval()
    limit, device = analog_limit(net), net.readout.weight.device
    seen: dict[nn.Module, _Seen] = {neuron: _Seen(neuron) for neuron in neurons(net).values()}
    rates = dict(zip(_analogs(limit), seen.values(), strict=True))
    logits, analog, labels, done = [], [], images.labels.cpu(), 0
    with (
        watched(
            seen,
            before=lambda neuron, current: seen[neuron].current(current),
            after=lambda neuron, current, spikes: seen[neuron].spikes(spikes),
        ),
        watched(rates, lambda neuron, current, rate: rates[neuron].limits.append(rate[0])),
    ):
        for batch in plain_batches(images, min(BATCH, rows)):
            noise = image_noise(0, range(done, done + len(batch)), device) if ENCODERS[encoder].draws else None
            potential, chunk = torch.zeros((), device=device), max(1, rows // len(batch))
            for one in seen.values():
                one.counts.append(torch.zeros((), device=device))
            with streaming(net):
                for start in range(0, steps, chunk):
                    output = net(encode(encoder, batch.x, min(chunk, steps - start), noise, gain))
                    potential = potential + output.currents.sum(0)
            logits.append(potential.cpu())
            analog.append(limit(mean_input(encoder, batch.x, gain)[None]).currents[0].cpu())
            done += len(batch)
            if step:
                step(len(batch))
    summed, of_limit = torch.cat(logits), torch.cat(analog)

    def share(found: Tensor) -> float:
        return 100 * (found.argmax(1) == labels).double().mean().item()

    return Diagnosis(
        images=len(labels),
        steps=steps,
        accuracy=share(summed),
        limit_accuracy=share(of_limit),
        cross_entropy={
            "sum": F.cross_entropy(summed, labels).item(),
            "mean": F.cross_entropy(summed / steps, labels).item(),
        },
        certain=(summed.softmax(1).amax(1) > CERTAIN).double().mean().item(),
        layers=tuple(seen[neuron].report(name, steps) for name, neuron in neurons(net).items()),
    )


def _analogs(limit: Net) -> list[nn.Module]:
    """The neurons of the analog limit, in the order of those that spike."""
    layers: list[nn.Module] = [wire.neuron for _, wire in wired(limit)]
    return layers + [module for module in limit.readout.modules() if isinstance(module, Analog)]


def cause(found: Diagnosis) -> str:
    """What is wrong, in one word of `WORDS`."""
    first = found.first
    if found.limit_accuracy - found.accuracy <= 2 or first is None:
        return "none"
    if first.lost > DEAD:
        return "dead"
    if first.clipped > LARGE:
        return "saturated"
    if first.lost > LARGE:
        return "leaking" if first.leak < 1 and first.expected * found.steps > 1 else "starved"
    return "noisy"


WORDS: dict[str, str] = {
    "none": "no layer goes wrong: the network gives what its weights can give",
    "dead": "hardly spikes at all ({rate:.2g} a step): its thresholds are too high for {steps} steps",
    "saturated": "would need more than one spike a step for {clipped:.0%} of its activity: its thresholds are too low",
    "leaking": "loses {lost:.0%} of its activity: with leak {leak:g} potentials fade below the threshold",
    "starved": "loses {lost:.0%} of its activity: {steps} steps are too few for its thresholds",
    "noisy": "spikes as often as it should, but at other neurons: in {steps} steps rates are too coarse",
}


def words(found: Diagnosis) -> str:
    """The same as a sentence."""
    why, first = cause(found), found.first
    if first is None or why == "none":
        return WORDS[why]
    return (
        f"layer {first.name} is the first that goes wrong: it {WORDS[why].format(steps=found.steps, **asdict(first))}"
    )


@torch.no_grad()
def rescaled(net: Net, factor: float) -> Net:
    """A copy with all thresholds times `factor`: of a network converted at s, the one converted at s `factor`."""
    net = copy.deepcopy(net)
    for neuron in neurons(net.layers).values():
        neuron.threshold.mul_(factor)
    for layer in net.layers.values():
        for _, weight in inner_weights(layer):
            weight.mul_(factor)
    divide_constants(net, lambda neuron: factor)
    return net


FACTORS = {"lower": (0.7, 0.5, 0.35, 0.25, 0.1, 0.05), "higher": (1.4, 2.0, 4.0, 10.0, 30.0, 50.0, 100.0)}


def advice(found: Diagnosis, trained: bool, rebalance: bool) -> list[str]:
    """The settings most likely to help, likeliest first: `lower` and `higher` are of the scale s."""
    leaky = found.layers[0].leak < 1
    by_cause = {
        "none": [],
        "dead": ["leak"] * leaky + ["lower", "T"] + ["stat"] * rebalance,
        "starved": ["leak"] * leaky + ["lower", "T"] + ["stat"] * rebalance,
        "leaking": ["leak", "lower", "T"],
        "saturated": ["higher"],
        "noisy": ["T", "higher", "lower"] if found.layers[0].rate > 0.3 else ["T", "lower"],
    }
    picked = by_cause[cause(found)][:3]
    if trained and found.certain > 0.5 and found.cross_entropy["sum"] > 2 * found.cross_entropy["mean"]:
        picked = [*picked[:2], "logit_scale"]
    return picked


def best_factor(net: Net, direction: str, judge: Callable[[Net], float]) -> tuple[float, float]:
    """The factor of the scale with the highest accuracy in one direction, and that accuracy; ties: nearest to 1."""
    tried = [(judge(rescaled(net, factor)), -index) for index, factor in enumerate(FACTORS[direction])]
    accuracy, index = max(tried)
    return FACTORS[direction][-index], accuracy
