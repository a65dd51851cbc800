"""Residual networks: ResNet12 (student) and ResNet20 with batch norm (teacher)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lasnn.networks.layers import Conv, Dropout, Flatten, GlobalAverage, Linear, Neuron, Norm, Pool, Readout, ReLU
from lasnn.networks.net import Net, Synapses, Tappable, Wire
from lasnn.networks.plain import Layer, scaled
from lasnn.plan.vocabulary import Architecture, sides_of


class Sum(torch.autograd.Function):
    """a + b, written over a, which the operation that made it must not need again (a convolution doesn't).

    `a.add_(b)` would have autograd copy the gradient, because a is a view: time and images are folded apart.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        return a.detach().add_(b)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient


class Block(Tappable):
    """a = neuron(conv1(x)); b = neuron(conv2(dropout(a)) + shortcut(x)); the shortcut is the identity or a 1x1 conv."""

    between: nn.Sequential

    def __init__(self, channels_in: int, channels: int, stride: int, dropout: float, kernel: int = 3):
        super().__init__()
        same = channels_in == channels and stride == 1
        self.conv1 = Conv(channels_in, channels, kernel, stride)
        self.inner: Neuron = ReLU()
        self.dropout = Dropout(dropout)
        self.conv2 = Conv(channels, channels, kernel)
        self.shortcut = nn.Identity() if same else Conv(channels_in, channels, 1, stride)
        self.junction: Neuron = ReLU()
        self.between = nn.Sequential()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        activation = self.junction(self.drive(x, self.junction))
        return activation, self.between(activation)

    def wires(self) -> list[Wire]:
        both = Synapses("conv2", self.conv2, self.inner), Synapses("shortcut", self.shortcut)
        return [Wire("inner", self.inner, (Synapses("conv1", self.conv1),)), Wire("", self.junction, both)]

    def drive(self, x: Tensor, neuron: nn.Module) -> Tensor:
        """The current that reaches one of its two neurons."""
        first = self.conv1(x)
        if neuron is self.inner:
            return first
        both: Tensor = Sum.apply(self.conv2(self.inner(first, self.dropout.mask(first))), self.shortcut(x))
        return both


# What a block of a student is made of; one with `wires` and `drive` is enough for all that knows layers.
BLOCKS: dict[str, Callable[[int, int, int, float, int], Block]] = {"basic": Block}


def residual(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A stem, then blocks.

    ResNet12 has three convolutions in place of the 7x7 one with stride 2, and a pool, and its readout sees all pixels
    (stem `deep`). The networks of He et al. for small images have one convolution, and a global average (`single`).
    """
    rate, channels = arch.conv_dropout * dropout, scaled(arch.channels[0], width)
    layers: dict[str, Tappable] = {"p1": Layer(Conv(3, channels, arch.kernel), Dropout(rate))}
    if deep := arch.stem == "deep":
        layers["p2"] = Layer(Conv(channels, channels, arch.kernel), Dropout(rate))
        layers["p3"] = Layer(Conv(channels, channels, arch.kernel), Pool())
    sides = sides_of(arch, side)
    for index, (feature, stride) in enumerate(zip(arch.channels, arch.strides, strict=True)):
        wide = scaled(feature, width)
        layers[f"b{index + 1}"] = block = BLOCKS[arch.block](channels, wide, stride, rate, arch.kernel)
        channels = wide
    block.between.append(Flatten() if deep else GlobalAverage())
    pixels = [*sides.values()][-1] ** 2 if deep else 1
    return Net(layers, Readout(channels * pixels, classes, bias=False), sides, side)


class NormBlock(nn.Module):
    """The basic block of He et al. with batch norm; the shortcut is the identity or a 1x1 convolution (option B)."""

    def __init__(self, channels_in: int, channels: int, stride: int, kernel: int = 3):
        super().__init__()
        same = channels_in == channels and stride == 1
        self.conv1, self.norm1 = Conv(channels_in, channels, kernel, stride), Norm(channels)
        self.conv2, self.norm2 = Conv(channels, channels, kernel), Norm(channels)
        self.shortcut = nn.Identity() if same else nn.Sequential(Conv(channels_in, channels, 1, stride), Norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class Stage(Tappable):
    """Blocks at one resolution; the activation of the last may be tapped."""

    def __init__(self, *blocks: nn.Module, between: nn.Module | None = None):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.between = between or nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        activation = self.blocks(x)
        return activation, self.between(activation)


def residual_bn(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """ResNet20 and its like: a stem and stages of three blocks. Images of 64x64 get a stem with stride 2."""
    channels, stem = scaled(arch.channels[0], width), 2 if side > 32 else 1
    synapses = nn.Sequential(Conv(3, channels, arch.kernel, stem), Norm(channels))
    layers: dict[str, Tappable] = {"stem": Stage(synapses, nn.ReLU())}
    for index, (feature, stride) in enumerate(zip(arch.channels, arch.strides, strict=True)):
        wide = scaled(feature, width)
        blocks = [NormBlock(*sizes, arch.kernel) for sizes in ((channels, wide, stride), *((wide, wide, 1),) * 2)]
        last = index == len(arch.features) - 1
        layers[f"s{index + 1}"] = Stage(*blocks, between=GlobalAverage() if last else None)
        channels = wide
    return Net(layers, Linear(channels, classes), sides_of(arch, side), side)
