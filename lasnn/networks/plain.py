"""Plain networks: convolutions and pools in a row, then linear layers (VGG and 3Conv2Linear; VGG16 with batch norm)."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from lasnn.networks.layers import Conv, Dropout, Flatten, GlobalAverage, Linear, Neuron, Norm, Pool, Readout, ReLU
from lasnn.networks.net import Net, Synapses, Tappable, Wire
from lasnn.plan.vocabulary import MAX_POOL, POOL, POOLS, Architecture, given, sides_of


class Layer(Tappable):
    """Synapses, a nonlinearity, and what lies between it and the next layer's synapses."""

    between: nn.Sequential

    def __init__(self, synapses: nn.Module, *between: nn.Module):
        super().__init__()
        self.synapses = synapses
        self.activation: Neuron = ReLU()
        self.between = nn.Sequential(*between)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        activation = self.activation(self.synapses(x))
        return activation, self.between(activation)

    def onward(self, x: Tensor) -> Tensor:
        """As the second of `forward`; a dropout mask or a pool costs no pass of its own here."""
        first, *rest = self.between or (None,)
        current: Tensor = self.synapses(x)
        if isinstance(first, Dropout):
            x = self.activation(current, first.mask(current))
        elif isinstance(first, Pool) and not self.activation._forward_hooks:  # nobody looks at the activation
            x = self.activation(current, pool=first)
        else:
            passed: Tensor = self.between(self.activation(current))
            return passed
        for module in rest:
            x = module(x)
        return x

    def wires(self) -> list[Wire]:
        return [Wire("", self.activation, (Synapses("synapses", self.synapses),))]

    def drive(self, x: Tensor, neuron: nn.Module) -> Tensor:
        """The current that reaches its neuron."""
        current: Tensor = self.synapses(x)
        return current


POOL_OF: dict[str, Callable[[], Pool]] = {POOL: Pool, MAX_POOL: partial(Pool, "max")}


class Place(NamedTuple):
    """One convolution of a feature list: its place and what follows it."""

    name: str
    channels_in: int
    channels: int
    side: int
    before_pool: str | None  # the pool that the list has after it
    pooled: bool  # and the side is still large enough for one


def convolutions(arch: Architecture, side: int, width: float) -> list[Place]:
    """The convolutions of a feature list, in order; pools stop at side 1."""
    places: list[Place] = []
    channels, sides = 3, sides_of(arch, side)
    for feature, following in pairwise((*arch.features, None)):
        if not isinstance(feature, int):
            continue
        pool = following if following in POOLS else None
        name, wide = f"c{len(places) + 1}", scaled(feature, width)
        places.append(Place(name, channels, wide, sides[name], pool, pool is not None and sides[name] > 1))
        channels = wide
    return places


def plain(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A student or intermediate ANN: no bias, no batch norm, average pools."""
    places, layers = convolutions(arch, side, width), {}
    for place in places:
        layers[place.name] = layer = Layer(Conv(place.channels_in, place.channels, arch.kernel))
        if place.pooled:
            layer.between.append(Pool())
        elif not place.before_pool:
            layer.between.append(Dropout(arch.conv_dropout * dropout))
    layer.between.append(Flatten())
    units = place.channels * (place.side // 2 if place.pooled else place.side) ** 2
    for index in range(arch.hidden):
        hidden = fc or arch.fc
        layers[f"f{index + 1}"] = Layer(Linear(units, hidden, bias=False), Dropout(arch.fc_dropout * dropout))
        units = hidden
    return Net(layers, Readout(units, classes, bias=False), sides_of(arch, side), side)


def plain_bn(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A teacher: convolution with bias, batch norm, global average, one linear layer."""
    places, layers = convolutions(arch, side, width), {}
    for place in places:
        synapses = nn.Sequential(Conv(place.channels_in, place.channels, arch.kernel, bias=True), Norm(place.channels))
        layers[place.name] = layer = Layer(synapses, *([POOL_OF[given(place.before_pool)]()] if place.pooled else []))
    layer.between.append(GlobalAverage())
    return Net(layers, Linear(place.channels, classes), sides_of(arch, side), side)


def scaled(channels: int, width: float) -> int:
    """Channels at a width: at least 8, below which a convolution of torch's CPU kernels was seen to crash."""
    return max(8, round(channels * width))
