"""DenseNet121 for small images: a 3x3 stem, four dense blocks, growth 32, compression 0.5 (Huang et al. 2017)."""

import torch
from torch import Tensor, nn

from lasnn.networks.layers import Conv, GlobalAverage, Linear, Norm, Pool
from lasnn.networks.net import Net, Tappable
from lasnn.networks.plain import scaled
from lasnn.plan.vocabulary import Architecture, sides_of

GROWTH = 32


class DenseLayer(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3; its `growth` new maps join its input."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.norm1, self.conv1 = Norm(channels), Conv(channels, 4 * growth, 1)
        self.norm2, self.conv2 = Norm(4 * growth), Conv(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(torch.relu(self.norm1(x)))
        new = self.conv2(torch.relu(self.norm2(inner)))
        return torch.cat([x, new], dim=2)  # [T, B, C + growth, H, W]


class DenseStage(Tappable):
    """A dense block, then BN-ReLU, which is the tapped activation, then the rest of the transition."""

    def __init__(self, dense: nn.Sequential, channels: int, between: nn.Module):
        super().__init__()
        self.dense, self.norm, self.between = dense, Norm(channels), between

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        activation = torch.relu(self.norm(self.dense(x)))
        return activation, self.between(activation)


class Stem(Tappable):
    """The first convolution; never tapped."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = Conv(3, channels, 3, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.conv(x)
        return maps, maps


def densenet(arch: Architecture, classes: int, side: int, width: float, fc: int | None, dropout: float) -> Net:
    """A teacher. Images of 64x64 get a stem with stride 2, so that the stages lie at 32, 16, 8 and 4."""
    growth, stride = scaled(GROWTH, width), 2 if side > 32 else 1
    channels = 2 * growth
    layers: dict[str, Tappable] = {"stem": Stem(channels, stride)}
    sides, last = sides_of(arch, side), len(arch.channels) - 1
    for index, depth in enumerate(arch.channels):
        dense = nn.Sequential(*(DenseLayer(channels + i * growth, growth) for i in range(depth)))
        channels += depth * growth
        pool = Pool() if sides[f"d{index + 1}"] > 1 else nn.Identity()
        smaller = nn.Sequential(Conv(channels, channels // 2, 1), pool)
        layers[f"d{index + 1}"] = DenseStage(dense, channels, GlobalAverage() if index == last else smaller)
        channels = channels if index == last else channels // 2
    return Net(layers, Linear(channels, classes), sides, side)
