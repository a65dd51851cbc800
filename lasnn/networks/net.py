"""A network: named layers in a row, three of them tapped, and a readout."""

import contextlib
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks.layers import Linear, Neuron, ReLU, Standardise
from lasnn.plan.vocabulary import taps_by_resolution


class Output(NamedTuple):
    """What a network returns: T steps, B images, K classes."""

    features: Tensor  # [T, B, F], input of the readout
    stages: dict[str, Tensor]  # tapped layer -> [T, B, C, H, W] after its nonlinearity, before dropout and pooling
    readout: Linear

    @property
    def logits(self) -> Tensor:
        """[B, K]: the output potential after T steps, Eq. (3): no leak, no spike; a spiking readout's spike counts."""
        return self.readout.total(self.features)

    @property
    def currents(self) -> Tensor:
        """[T, B, K]: what each step adds to the logits: current, or a spiking readout's spikes."""
        return self.readout(self.features)


class Synapses(NamedTuple):
    """Weights that give a current: a convolution, a linear layer, or the identity of a shortcut."""

    name: str  # within the layer
    module: nn.Module
    source: Neuron | None = None  # the neurons of the layer whose spikes they see; None: they see the layer's input


class Wire(NamedTuple):
    """Neurons of a layer, and all synapses whose currents they add up, the main ones first."""

    name: str  # within the layer; empty for the neurons whose spikes leave it
    neuron: Neuron
    synapses: tuple[Synapses, ...]


class Tappable(nn.Module):
    """A layer: its call returns its activation, which may be tapped, and the input of the next layer.

    `onward` rounds as the call does, so that a loss of weight 0 on the activation changes no bit of a training.
    """

    __call__: Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
    between: nn.Module  # what lies between its activation and the next layer's synapses

    def wires(self) -> list[Wire]:
        """Its neurons from input to output, of layers whose neurons may spike; none of others.

        Conversion, calibration, counts of operations, NIR and adopted weights know a layer by these alone.
        """
        return []

    def drive(self, x: Tensor, neuron: nn.Module) -> Tensor:
        """The current that reaches one of its neurons: of layers whose neurons may spike."""
        raise NotImplementedError

    def onward(self, x: Tensor) -> Tensor:
        """The input of the next layer alone, where nobody looks at the activation."""
        return self(x)[1]


def wired(module: nn.Module) -> Iterator[tuple[str, Wire]]:
    """Every wire of a module, from input to output, with the name of its neurons: `c1`, `b1.inner`, `b1`."""
    for name, layer in module.named_modules():
        if isinstance(layer, Tappable):
            for wire in layer.wires():
                yield ".".join(part for part in (name.removeprefix("layers."), wire.name) if part), wire


def replace_neurons(net: nn.Module, kind: type[Neuron], made: Callable[[Any], nn.Module]) -> None:
    """Put `made(neuron)` in the place of every neuron of a kind."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, kind):
                setattr(module, name, made(child))


def relus(module: nn.Module) -> dict[str, ReLU]:
    """The analog neurons, by the names that the spiking ones in their place have."""
    return {name: wire.neuron for name, wire in wired(module) if isinstance(wire.neuron, ReLU)}


class Layers(nn.ModuleDict):
    """The layers of a network by name, in order."""

    if TYPE_CHECKING:

        def items(self) -> ItemsView[str, Tappable]: ...

        def values(self) -> ValuesView[Tappable]: ...


class Net(nn.Module):
    """`layers` maps [T, B, 3, H, W] to features; an ANN is the same network with T = 1 and ReLU.

    `sides` holds, for each layer that may be tapped, the side of its activation.
    """

    __call__: Callable[[nn.Module, Tensor], Output]

    def __init__(self, layers: Mapping[str, Tappable], readout: Linear, sides: dict[str, int], side: int):
        super().__init__()
        self.objective: nn.Module | None = None  # weights of the loss, while it is trained; no part of what it computes
        self.standardise: Standardise | None = None  # an ANN's own normalisation of its input, if it has one
        self.layers = Layers(layers)
        self.readout = readout
        self.sides, self.side = sides, side
        try:
            self.taps = taps_by_resolution(sides, side)
        except InputError:  # a shallow network: attention, which asks for them, says so
            self.taps = {}

    def forward(self, x: Tensor) -> Output:
        stages: dict[str, Tensor] = {}
        levels = {layer: level for level, layer in self.taps.items()}
        if self.standardise is not None:
            x = self.standardise(x)
        for name, layer in self.layers.items():
            if name in levels:
                stages[levels[name]], x = layer(x)
            else:
                x = layer.onward(x)
        return Output(x.to(self.readout.weight.dtype), stages, self.readout)  # sums over time are never in bfloat16


@contextlib.contextmanager
def watched(
    modules: Iterable[nn.Module],
    after: Callable[[nn.Module, Tensor, Tensor], None] | None = None,
    before: Callable[[nn.Module, Tensor], None] | None = None,
) -> Iterator[None]:
    """Inside: `before(module, input)` and `after(module, input, output)` are told of each call of these modules.

    A spiking neuron writes its spikes over its input, so that only `before` sees that.
    """
    handles = []
    for module in modules:
        if before:
            handles.append(module.register_forward_pre_hook(lambda one, given: before(one, given[0])))
        if after:
            handles.append(module.register_forward_hook(lambda one, given, output: after(one, given[0], output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def look(net: Net, x: Tensor | None = None) -> None:
    """Send x [T, B, 3, H, W], or one image of zeros, through all of `net` in evaluation mode; its mode is kept."""
    mode = net.training
    try:
        x = torch.zeros(1, 1, 3, net.side, net.side, device=net.readout.weight.device) if x is None else x
        _ = net.eval()(x).logits  # which a spiking readout makes only when asked
    finally:
        net.train(mode)


class Census(NamedTuple):
    """Sizes of a network for one image and step."""

    weights: int
    neurons: int
    macs: int


def census(net: Net) -> Census:
    """Counts by observation: one image is sent through, in evaluation mode."""
    macs = neurons = 0

    def count(module: nn.Module, given: Tensor, output: Tensor) -> None:
        nonlocal macs, neurons
        if isinstance(module, nn.Conv2d):
            macs += output[0, 0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs += module.weight.numel()
        elif not isinstance(module, nn.BatchNorm2d):
            neurons += output[0, 0].numel()

    kinds = nn.Conv2d | nn.Linear | nn.BatchNorm2d
    with watched([module for module in net.modules() if isinstance(module, kinds) or is_neuron(module)], count):
        look(net)
    return Census(sum(p.numel() for p in net.parameters()), neurons, macs)


def is_neuron(module: nn.Module) -> bool:
    """Whether the module is a nonlinearity of a layer, or torch's own ReLU, as teachers have it."""
    return isinstance(module, Neuron | nn.ReLU)
