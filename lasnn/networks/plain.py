"""Plain networks: convolutions and pools in a row, then linear layers (VGG and 3Conv2Linear; VGG16 with batch norm)."""

from torch import Tensor, nn

from lasnn.networks.layers import Conv, Dropout, Flatten, GlobalAverage, Linear, Norm, Pool, ReLU
from lasnn.networks.net import Net
from lasnn.vocabulary import POOL, Architecture


class Layer(nn.Module):
    """Synapses, a nonlinearity, and what stands between it and the next layer's synapses."""

    def __init__(self, synapses: nn.Module, *between: nn.Module):
        super().__init__()
        self.synapses = synapses
        self.activation = ReLU()
        self.between = nn.Sequential(*between)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        activation = self.activation(self.synapses(x))
        return activation, self.between(activation)

    def drive(self, x: Tensor, neuron: nn.Module) -> Tensor:
        """The current that reaches its neuron."""
        return self.synapses(x)


def plain(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A student or intermediate ANN: no bias, no batch norm, average pools."""
    layers, sides, channels, now = {}, {}, 3, side
    for feature, following in zip(arch.features, (*arch.features[1:], None), strict=True):
        if feature == POOL:
            continue
        name, pooled = f"c{len(layers) + 1}", following == POOL and now > 1
        wide = scaled(feature, width)
        between = [Pool()] if pooled else [] if following == POOL else [Dropout(arch.conv_dropout * dropout)]
        layers[name] = Layer(Conv(channels, wide, arch.kernel), *between)
        sides[name], channels = now, wide
        now = now // 2 if pooled else now
    layers[name].between.append(Flatten())
    units = channels * now * now
    for index in range(arch.hidden):
        hidden = fc or arch.fc
        layers[f"f{index + 1}"] = Layer(Linear(units, hidden, bias=False), Dropout(arch.fc_dropout * dropout))
        units = hidden
    return Net(layers, Linear(units, classes, bias=False), sides, side)


def plain_bn(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A teacher: convolution with bias, batch norm, max pools, global average, one linear layer."""
    layers, sides, channels, now = {}, {}, 3, side
    for feature, following in zip(arch.features, (*arch.features[1:], None), strict=True):
        if feature == POOL:
            continue
        name, pooled = f"c{len(layers) + 1}", following == POOL and now > 1
        wide = scaled(feature, width)
        synapses = nn.Sequential(Conv(channels, wide, arch.kernel, bias=True), Norm(wide))
        layers[name] = Layer(synapses, *([Pool("max")] if pooled else []))
        sides[name], channels = now, wide
        now = now // 2 if pooled else now
    layers[name].between.append(GlobalAverage())
    return Net(layers, Linear(channels, classes), sides, side)


def scaled(channels: int, width: float) -> int:
    """Channels at a width: at least 8, below which a convolution of torch's CPU kernels was seen to crash."""
    return max(8, round(channels * width))
