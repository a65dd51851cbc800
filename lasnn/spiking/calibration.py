"""SNN calibration (Li et al. 2021): a converted network whose mean outputs are brought closer to its ANN's.

Their neurons emit spikes of amplitude θ, so that every mean output is in units of the ANN's activations, and a constant
current θ/(2T) turns rounding down into rounding. The same network in unit spikes, which the engine simulates: with g
the amplitude of the layer before (1 for the image; pools pass it on), a layer's threshold is θ/g, its offset and
initial potential are divided by g and its weights stay; in a residual block, whose junction gets both the inner spikes
of amplitude θ_a and the shortcut's of amplitude g, W_2 becomes θ_a/g W_2. The readout's weights are multiplied by the
last amplitude, so that the logits estimate T times the ANN's.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks import Net
from lasnn.networks.layers import Neuron
from lasnn.networks.net import Wire, relus, watched
from lasnn.optimizers import eager
from lasnn.plan.vocabulary import given
from lasnn.spiking.conversion import neurons, spikes_of, spiking, weights_of
from lasnn.spiking.neurons import LIF, Dynamics, streaming

if TYPE_CHECKING:
    from lasnn.plan.settings import WeightCalibration

BATCH = 64  # images that are simulated at once


@dataclass(frozen=True)
class Station:
    """One layer of neurons of the spiking network: what drives it, and the units that this is counted in."""

    name: str
    layer: nn.Module  # of the network: a plain layer or a block
    wire: Wire
    neuron: LIF
    threshold: float  # θ, in units of the ANN's activations
    unit: float  # g: what one unit of this neuron's potential is
    input_unit: float  # what one input spike of its synapses is: g, or θ_a behind an inner neuron
    constant: Tensor | None = None  # [C] or [F], of an adopted network, in units of the ANN's activations

    @property
    def synapses(self) -> nn.Conv2d | nn.Linear:
        """The main ones: a shortcut is none."""
        assert isinstance(self.wire.synapses[0].module, nn.Conv2d | nn.Linear)
        return self.wire.synapses[0].module


@dataclass(frozen=True)
class Means:
    """What a station sees and gives, as means over T, in units of the ANN's activations."""

    output: Tensor  # [B, ...]
    input: Tensor  # [B, ...] of its synapses
    layer_input: Tensor  # [B, ...]


@torch.no_grad()
def activations(ann: Net, x: Tensor) -> dict[str, Tensor]:
    """What each ReLU of the ANN gives for images [B, 3, H, W]: [B, ...] by the layer's name."""
    units, found = relus(ann), dict[nn.Module, Tensor]()
    with watched(units.values(), lambda unit, current, output: found.update({unit: output[0]})):
        ann.eval()(x[None])
    return {name: found[unit] for name, unit in units.items()}


def best_threshold(x: Tensor, steps: int, candidates: int) -> float:
    """The θ that rounds activations x best: min mean (x - clip(floor(x T/θ), 0, T) θ/T)² over max(x) (1 - i/100)."""
    largest, best = x.max().item(), (math.inf, 0.0)
    for i in range(candidates if largest > 0 else 0):
        theta = largest * (1 - 0.01 * i)
        rounded = (x * (steps / theta)).floor_().clamp_(0, steps).mul_(theta / steps)
        best = min(best, (rounded.sub_(x).square_().mean().item(), -theta))  # ties: the larger
    return -best[1]


def average_thresholds(
    ann: Net, batches: Iterable[Tensor], steps: int, candidates: int, momentum: float
) -> dict[str, float]:
    """θ of each layer, averaged exponentially over batches [B, 3, H, W]; one candidate is the plain maximum.

    A layer that is silent in a batch is an InputError.
    """
    found: dict[str, float] = {}
    for x in batches:
        for name, activation in activations(ann, x).items():
            theta = best_threshold(activation, steps, candidates)
            if not theta > 0:
                raise InputError(
                    f"calibration: layer {name} of the ANN is silent in {len(x)} calibration images: the network is "
                    "dead; train it longer, or use network.init: he"
                )
            found[name] = momentum * found[name] + (1 - momentum) * theta if name in found else theta
    return found


@torch.no_grad()
def amplitude(ann: Net, thresholds: dict[str, float], steps: int, dynamics: Dynamics) -> tuple[Net, list[Station]]:
    """The unit-spike network that equals neurons with spikes of amplitude θ and a shift of θ/(2T), and its layers."""
    net, stations, unit = spiking(ann, dynamics).eval(), [], 1.0
    names = {id(neuron): name for name, neuron in neurons(net).items()}
    for layer in net.layers.values():
        theta = unit
        amplitudes: dict[Neuron | None, float] = {None: unit}  # of the spikes that synapses of the layer see
        for wire in layer.wires():
            neuron, main = spikes_of(wire), wire.synapses[0]
            for synapses in wire.synapses:
                if synapses.source is not None:
                    weights_of(synapses).mul_(amplitudes[synapses.source] / unit)
            theta, constant = thresholds[names[id(neuron)]], neuron.offset
            neuron.threshold.fill_(theta / unit)
            shift = neuron.threshold.new_full((len(weights_of(main)),), theta / (2 * steps) / unit)
            neuron.offset = shift if constant is None else shift + constant / unit
            seen = amplitudes[main.source]
            stations.append(Station(names[id(neuron)], layer, wire, neuron, theta, unit, seen, constant))
            amplitudes[neuron] = theta
        unit = theta
    net.readout.weight.mul_(unit)
    return net, stations


@torch.no_grad()
def means(net: Net, station: Station, x: Tensor, steps: int, rows: int) -> Means:
    """Simulate images [B, 3, H, W], the same in each of T steps, as far as a station."""
    parts = [_means(net, station, part, steps, rows) for part in x.split(BATCH)]
    return Means(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _means(net: Net, station: Station, x: Tensor, steps: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    neuron, synapses, layer = seen = station.neuron, station.synapses, station.layer
    totals: dict[nn.Module, Tensor] = {}

    def add(module: nn.Module, given: Tensor, output: Tensor) -> None:
        total = (output if module is neuron else given).sum(0)
        totals[module] = totals[module] + total if module in totals else total

    with watched(seen, add), streaming(net):
        for h in x[None].expand(steps, *x.shape).split(max(1, rows // len(x))):
            for each in net.layers.values():
                _, h = each(h)
                if each is layer:
                    break
    units = {neuron: station.threshold, synapses: station.input_unit, layer: station.unit}
    output, given, of_layer = (totals[module] / steps * units[module] for module in seen)
    return output, given, of_layer


@torch.no_grad()
def correct_bias(station: Station, error: Tensor) -> None:
    """b_c <- b_c - mean error of the channel: `error` [B, C, ...] is the mean SNN output minus the ANN's."""
    by_channel = error.mean(0).flatten(1).mean(1) if error.dim() > 2 else error.mean(0)  # [C]
    given(station.neuron.offset).sub_(by_channel / station.unit)


@torch.no_grad()
def correct_potential(station: Station, error: Tensor, steps: int) -> None:
    """v_0 = -T times each neuron's mean error over images, so that T steps give back what is missing."""
    station.neuron.initial = (-steps * error.mean(0) / station.unit).contiguous()  # [C, H, W] or [F]


def train_weights(
    station: Station, seen: Means, target: Tensor, steps: int, recipe: "WeightCalibration", draws: torch.Generator
) -> Tensor:
    """New weights of a station's synapses (returned and written): Adam, cosine, on

        mean over images and space of sum_c (floor(clip((W x + b) T/θ, 0, T)) θ/T - ANN output)²

    with the floor's gradient taken as 1. x is the mean SNN input; a junction also gets the shortcut's mean current; b
    is a constant that an adopted network brought.
    """
    scale, theta = station.input_unit / station.unit, station.threshold
    weight = (station.synapses.weight.detach() / scale).requires_grad_()
    extra = _extra(station, seen.layer_input)
    optim = eager(torch.optim.Adam)([weight], lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, max(1, recipe.steps))
    for _ in range(recipe.steps):
        chosen = torch.randint(len(target), (min(recipe.batch, len(target)),), generator=draws).to(target.device)
        current = torch.func.functional_call(station.synapses, {"weight": weight}, (seen.input[chosen][None],))[0]
        counts = ((current if extra is None else current + extra[chosen]) * (steps / theta)).clamp(0, steps)
        rounded = counts + (counts.floor() - counts).detach()
        loss = (rounded * (theta / steps) - target[chosen]).square().sum(1).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        schedule.step()
    with torch.no_grad():
        station.synapses.weight.copy_(weight * scale)
    return station.synapses.weight.detach().clone()


@torch.no_grad()
def _extra(station: Station, layer_input: Tensor) -> Tensor | None:
    """The mean current beside that of the synapses, [B, ...]: of a junction's shortcut; the constant."""
    extra: Tensor | None = None
    for synapses in station.wire.synapses[1:]:
        reached: Tensor = synapses.module(layer_input[None])[0]
        extra = reached if extra is None else extra + reached
    if station.constant is not None:
        constant = station.constant.view(-1, *(1,) * (station.synapses.weight.dim() - 2))  # [C, 1, 1] or [F]
        extra = constant.expand(len(layer_input), *constant.shape) if extra is None else extra + constant
    return extra
