"""What every neuron did: spikes and membrane potentials of all layers, for rasters and for a look inside."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lasnn.networks.layers import written_out
from lasnn.networks.net import Net
from lasnn.spiking.conversion import neurons
from lasnn.spiking.kernels.torch_scan import fire
from lasnn.spiking.neurons import LIF


class Recording(NamedTuple):
    """One layer over T steps and B images: [T, B, C, H, W], or [T, B, F] of a linear layer."""

    spikes: Tensor  # 0 or 1: what the next layer sees (before any pooling)
    potentials: Tensor  # v^t of Eq. (1), after the step's current and before its reset: above `threshold` it spikes
    threshold: float

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
    currents: dict[str, Tensor] = {}
    spikes: dict[str, Tensor] = {}

    def before(name: str, neuron: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        currents[name] = written_out(inputs[0])  # the neuron writes its spikes over it

    def after(name: str, neuron: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spikes[name] = output

    handles = [neuron.register_forward_pre_hook(partial(before, name)) for name, neuron in layers.items()]
    handles += [neuron.register_forward_hook(partial(after, name)) for name, neuron in layers.items()]
    mode = net.training
    try:
        _ = net.eval()(encoded).logits  # which a spiking readout makes only when asked
    finally:
        net.train(mode)
        for handle in handles:
            handle.remove()
    return {
        name: Recording(spikes[name], potentials(neuron, currents[name]), neuron.threshold.item())
        for name, neuron in layers.items()
    }


def potentials(neuron: LIF, current: Tensor) -> Tensor:
    """v^t = u^{t-1} + I^t for each step of a current [T, B, ...], which is used up; u^0 is the neuron's start."""
    current = neuron.with_trained(neuron.with_constants(current, neuron.dynamics.leak))
    found, carried, threshold = torch.empty_like(current), torch.zeros_like(current[0]), neuron.threshold.item()
    for row, step in zip(found, current, strict=True):
        torch.add(carried, step, out=row)
        _, carried = fire(step[None], carried, threshold, neuron.dynamics)
    return found
