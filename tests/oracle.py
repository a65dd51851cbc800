"""The slow truth: a spiking network simulated step by step with plain autograd, and small things the tests share.

Nothing here calls the scan of `lasnn.spiking.neurons`: every neuron keeps its potential, one step after the other, in
the words of the equations. Convolutions and products are torch's own functions on one step at a time.
"""

import math
from functools import cache
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.networks import Net, build, initialise
from lasnn.networks.layers import Conv, Dropout, Flatten, GlobalAverage, Linear, Pool
from lasnn.networks.plain import Layer
from lasnn.networks.residual import Block
from lasnn.plan.config import Preset, read
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import Neuron as NeuronSettings
from lasnn.plan.settings import SnnSettings, Spiking
from lasnn.plan.vocabulary import METHODS
from lasnn.spiking.conversion import SpikingReadout, neurons, set_thresholds, spiking, with_spiking_readout
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.surrogates import surrogate

torch.set_num_threads(1)  # the tests' tensors are tiny: threads would only wait for each other

ORDERS = get_args(NeuronSettings.model_fields["order"].annotation)
SURROGATES = get_args(Spiking.model_fields["surrogate"].annotation)
GAMMA, STDB, WIDTH = 0.3, (0.3, 0.01), 1.0

# ψ by the name in config.yaml, from v, θ and the steps since the last spike (method.md 1.5).
PSI = {
    "bellec": lambda v, theta, since: GAMMA / theta * (1 - (v / theta - 1).abs() / WIDTH).clamp(min=0),
    "bellec_noscale": lambda v, theta, since: GAMMA * (1 - (v / theta - 1).abs() / WIDTH).clamp(min=0),
    "literal": lambda v, theta, since: torch.full_like(v, GAMMA * max(0.0, 1 - abs(theta))),
    "stdb": lambda v, theta, since: STDB[0] / theta * torch.exp(-STDB[1] * since),
}


class Spike(torch.autograd.Function):
    """1[v > θ], with ψ in place of its derivative."""

    @staticmethod
    def forward(ctx, v: Tensor, theta: float, psi: Tensor) -> Tensor:
        ctx.save_for_backward(psi)
        return (v > theta).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (psi,) = ctx.saved_tensors
        return gradient * psi, None, None


class Neuron:
    """One layer of neurons between two steps: `neuron(current [B, ...])` is what the next layer sees in this step."""

    def __init__(self, threshold: float, dynamics: Dynamics, psi: str, offsets: tuple = (), initial: object = 0):
        self.theta, self.dynamics, self.psi = threshold, dynamics, PSI[psi]
        self.offsets, self.initial, self.total = offsets, initial, 0  # currents of every step, each [C] or [F]; v^0
        self.v = self.o = None  # v^{t-1}, o^{t-1}; for the instant reset v is what is left after it
        self.currents, self.potentials, self.spikes = [], [], []

    def __call__(self, current: Tensor) -> Tensor:
        leak, theta, d = self.dynamics.leak, self.theta, self.dynamics
        if self.v is None:
            self.v, self.o = torch.zeros_like(current) + self.initial, torch.zeros_like(current)
            self.since = torch.full_like(current, 1000.0)
        for offset in self.offsets:
            current = current + offset.view(-1, *(1,) * (current.dim() - 2))
        seen_before = self.o
        reset = self.o if d.reset_grad else self.o.detach()
        if d.reset == "hard":
            v = leak * self.v * (1 - reset) + current
        elif d.order == "instant_reset":
            v = leak * self.v + current
        else:
            v = leak * self.v + current - theta * reset
        spikes = Spike.apply(v, theta, self.psi(v.detach(), theta, self.since))
        self.currents.append(current.detach())
        self.potentials.append(v.detach())
        self.spikes.append(spikes.detach())
        self.total = self.total + spikes.sum()  # with its gradient
        self.since = torch.where(spikes.detach() > 0, 1.0, self.since + 1)
        self.o = spikes
        if d.order == "instant_reset" and d.reset == "soft":
            v = v - theta * (spikes if d.reset_grad else spikes.detach())
        self.v = v
        return seen_before if d.order == "delayed" else spikes


class Trace:
    """Everything one simulation saw: lists over t are stacked to [T, B, ...]."""

    def __init__(self, logits: Tensor, outputs: list[Tensor], stages: dict[str, Tensor], inner: dict[str, Neuron]):
        self.logits, self.outputs, self.stages = logits, outputs, stages  # [B, K], T x [B, K], level -> [T, B, ...]
        self.currents = {name: torch.stack(neuron.currents) for name, neuron in inner.items()}
        self.potentials = {name: torch.stack(neuron.potentials) for name, neuron in inner.items()}
        self.spikes = {name: torch.stack(neuron.spikes) for name, neuron in inner.items()}
        self.totals = {name: neuron.total for name, neuron in inner.items()}


def simulate(net: Net, x: Tensor, psi: str = "bellec", masks: dict[nn.Module, Tensor] | None = None) -> Trace:
    """Step by step through encoded input x [T, B, 3, H, W]; `masks` are dropout masks [B, ...] by module."""
    inner = {
        name: Neuron(
            lif.threshold.item(),
            lif.dynamics,
            psi,
            [part for part in (lif.offset, lif.offset_change) if part is not None],
            0 if lif.initial is None else lif.initial,
        )
        for name, lif in neurons(net).items()
    }
    by_module = {lif: inner[name] for name, lif in neurons(net).items()}
    potential, outputs, features, stages = 0, [], [], {level: [] for level in net.taps}
    for now in x:
        h = now
        for name, layer in net.layers.items():
            if isinstance(layer, Block):
                a = by_module[layer.inner](apply(layer.conv1, h, masks))
                branch = apply(layer.conv2, apply(layer.dropout, a, masks), masks)
                activation = by_module[layer.junction](branch + apply(layer.shortcut, h, masks))
            else:
                activation = by_module[layer.activation](apply(layer.synapses, h, masks))
            for level, tapped in net.taps.items():
                if tapped == name:
                    stages[level].append(activation)
            h = apply(layer.between, activation, masks)
        features.append(h)
        outputs.append(F.linear(h, net.readout.weight))
        if isinstance(net.readout, SpikingReadout):
            outputs[-1] = by_module[net.readout.activation](outputs[-1])
        potential = potential + outputs[-1]
    found = Trace(potential, outputs, {level: torch.stack(seen) for level, seen in stages.items()}, inner)
    found.features = features  # T x [B, F], what the readout sees
    return found


def apply(module: nn.Module, x: Tensor, masks: dict[nn.Module, Tensor] | None = None) -> Tensor:
    """One module on one step [B, ...], in torch's own functions."""
    if isinstance(module, nn.Sequential):
        for part in module:
            x = apply(part, x, masks)
        return x
    if isinstance(module, Conv):
        return F.conv2d(x, module.weight, module.bias, module.stride, module.padding)
    if isinstance(module, Linear):
        return F.linear(x, module.weight, module.bias)
    if isinstance(module, Pool):
        return F.avg_pool2d(x, 2)
    if isinstance(module, Flatten):
        return x.flatten(1)
    if isinstance(module, GlobalAverage):
        return x.mean((-2, -1))
    if isinstance(module, Dropout):
        return x * masks[module] if masks else x
    assert isinstance(module, nn.Identity), f"the oracle does not know {type(module).__name__}"
    return x


# ---- small networks, inputs and settings -----------------------------------------------------------------------------


def small(name: str, side: int = 8, classes: int = 4, seed: int = 0, **more: object) -> Net:
    """The network `name` as narrow as it gets, with He weights, in evaluation mode."""
    net = build(name, classes, side, width=0.125, fc=12, **more)
    return initialise(net, name, "he", torch.Generator().manual_seed(seed)).eval()


@torch.no_grad()
def dyadic(net: Net, unit: float = 1 / 16) -> Net:
    """`net` itself with all weights rounded to multiples of `unit`: sums of products with spikes are then exact."""
    for parameter in net.parameters():
        parameter.copy_((parameter / unit).round() * unit)
    return net


def small_snn(
    name: str, dynamics: Dynamics | None = None, threshold: float = 0.25, spiking_readout: bool = False, **more: object
) -> Net:
    """A small spiking network with dyadic weights and one dyadic threshold for all layers."""
    net = spiking(dyadic(small(name, **more)), dynamics or Dynamics())
    if spiking_readout:
        with_spiking_readout(net, dynamics or Dynamics())
    set_thresholds(net, [threshold] * len(neurons(net)))
    return net.eval()


def dyadic_input(steps: int, batch: int, side: int = 8, seed: int = 0, unit: float = 1 / 4) -> Tensor:
    """Input [T, B, 3, side, side] in multiples of `unit` between -1 and 1, another one in each step."""
    high = round(1 / unit)
    values = torch.randint(
        -high, high + 1, (steps, batch, 3, side, side), generator=torch.Generator().manual_seed(seed)
    )
    return values.to(torch.float32) * unit


def two_layers(first: float, second: float) -> Net:
    """An ANN of two layers of one neuron each, on a 1x1 image of which only the first channel counts."""
    one, two = Layer(nn.Sequential(Flatten(), Linear(3, 1, bias=False))), Layer(Linear(1, 1, bias=False))
    net = Net({"f1": one, "f2": two}, Linear(1, 1, bias=False), {"a": 4, "b": 2, "c": 1}, 4)
    net.taps = {}
    one.synapses[1].weight.data = torch.tensor([[first, 0.0, 0.0]])
    two.synapses.weight.data = torch.tensor([[second]])
    return net.eval()


def pixels(*values: float) -> Tensor:
    """Images [B, 3, 1, 1] whose first channel takes these values."""
    x = torch.zeros(len(values), 3, 1, 1)
    x[:, 0, 0, 0] = torch.tensor(values)
    return x


def bright_input(steps: int, batch: int, side: int = 8, seed: int = 0) -> Tensor:
    """As `dyadic_input`, in eighths between 0 and 1: with a positive mean, spikes reach the last layer."""
    return (dyadic_input(steps, batch, side, seed) + 1) / 2


@cache
def quick() -> Preset:
    """The preset `quick` of config.yaml, read once: that takes a good part of a second."""
    return read().preset("quick")


def settings_of(method: str = "lasnn_act", encoder: str = "poisson", **sections: dict) -> SnnSettings:
    """Real settings from config.yaml; `attention={"alpha": 0.0}` changes that key of that section."""
    teacher = "vgg16bn" if METHODS[method].teacher and not METHODS[method].chained else "none"
    settings = quick().settings(SnnRun("digits", "vgg5", method, encoder, 4, teacher))
    changed = {name: getattr(settings, name).model_copy(update=update) for name, update in sections.items()}
    return settings.model_copy(update=changed)


def surrogate_of(name: str):
    """The surrogate that config.yaml calls `name`, with the parameters of `PSI`."""
    return surrogate(name, GAMMA, STDB)


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected entry."""
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-300)).item()


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree relative to the largest expected entry, which must not be zero."""
    return (
        math.isfinite(expected.abs().max().item())
        and expected.abs().max() > 0
        and relative(found, expected) < tolerance
    )
