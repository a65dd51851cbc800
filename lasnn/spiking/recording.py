"""What every neuron did: spikes and membrane potentials of all layers, for rasters and for a look inside."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lasnn.networks.layers import written_out
from lasnn.networks.net import Net, look, watched
from lasnn.spiking import kinds
from lasnn.spiking.conversion import neurons
from lasnn.spiking.neurons import LIF


class Recording(NamedTuple):
    """One layer over T steps and B images: [T, B, C, H, W], or [T, B, F] of a linear layer."""

    spikes: Tensor  # 0 or 1: what the next layer sees (before any pooling)
    potentials: Tensor  # v^t of Eq. (1), after the step's current and before its reset: above the threshold it spikes
    threshold: float  # at rest: that of kind alif rises with a neuron's own spikes

    @property
    def rates(self) -> Tensor:
        """Spikes a step of each neuron and image: [B, ...]."""
        return self.spikes.mean(0)


@torch.no_grad()
def record(net: Net, encoded: Tensor) -> dict[str, Recording]:
    """Every spiking layer of `net`, from input to output, while it sees `encoded` [T, B, 3, H, W] from rest on.

    All of it is in memory: 8 bytes for each neuron, image and step.
    """
    layers = neurons(net)
    currents: dict[nn.Module, Tensor] = {}
    spikes: dict[nn.Module, Tensor] = {}
    with watched(
        layers.values(),
        before=lambda neuron, current: currents.update({neuron: written_out(current)}),
        after=lambda neuron, current, fired: spikes.update({neuron: fired}),
    ):
        look(net, encoded)
    return {
        name: Recording(spikes[neuron], potentials(neuron, currents[neuron]), neuron.threshold.item())
        for name, neuron in layers.items()
    }


def potentials(neuron: LIF, current: Tensor) -> Tensor:
    """v^t = u^{t-1} + I^t for each step of a current [T, B, ...], which is written over; u^0 is the neuron's start."""
    leak = neuron.dynamics.leak if neuron.leak_logit is None else neuron.leak_logit.sigmoid().item()
    current = neuron.with_trained(neuron.with_constants(current, leak))
    layer = kinds.Layer(neuron.threshold.item(), leak, neuron.dynamics)
    return kinds.stepped(current, layer, {})[1]
