"""The activation of an ANN that is trained to be converted at few steps: clipped at a learned height, in L levels."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lasnn.networks.layers import Neuron, Pool, ReLU
from lasnn.networks.net import Net, replace_neurons, wired

FIRST_CLIP = 2.0  # of weights drawn by `he`, most activations lie below


class ClipFloor(ReLU):
    """λ clip(floor(z L/λ + 1/2) / L, 0, 1) (QCFS, Bu et al. 2022), of a current z [T, B, ...] in the ANN's units.

    That is the mean output of a neuron with threshold λ which starts at λ/2, sees z in each of L steps and is reset by
    subtraction. λ is learned, one a layer; the floor's gradient is taken as 1, so that with respect to λ it is 1 above
    the clip, 0 below zero, and (output - z)/λ between.
    """

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.clip = nn.Parameter(torch.tensor(FIRST_CLIP))

    def forward(self, x: Tensor, mask: Tensor | None = None, pool: Pool | None = None) -> Tensor:
        if self.offset is not None:
            raise TypeError("a quantised activation takes no constant current")
        share = (x / self.clip).clamp(0, 1)
        rounded = (share.detach() * self.levels + 0.5).floor() / self.levels
        x = (share + (rounded - share.detach())) * self.clip
        x = x if mask is None else x * mask
        return x if pool is None else pool(x)


def quantise(net: Net, levels: int) -> Net:
    """`net` itself with that activation in place of every ReLU; a clip of its own for each layer."""
    replace_neurons(net, Neuron, lambda neuron: ClipFloor(levels))
    return net


def clips(net: Net) -> list[float]:
    """The learned λ of each layer in forward order."""
    return [unit.clip.item() for unit in _quantised(net)]


def set_clips(net: Net, learned: Iterable[float]) -> None:
    """Give each layer its λ, in forward order."""
    for unit, clip in zip(_quantised(net), learned, strict=True):
        unit.clip.data.fill_(clip)


def _quantised(net: Net) -> list[ClipFloor]:
    return [wire.neuron for _, wire in wired(net) if isinstance(wire.neuron, ClipFloor)]
