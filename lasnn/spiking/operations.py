"""Synaptic operations from spike counts: each spike meets the weights of the next layer, also through a pool.

    SynOps = (1/N) Σ_l Σ_{spikes of l} fan-out        l = 0 (the encoder's spikes) .. L-1

The fan-out is exact at the borders and under strides, and both branches of a residual block count, an identity
shortcut as one operation. Firing rates enter only through the counts, so that nothing has to be simulated again.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.networks import Net, census
from lasnn.networks.layers import GlobalAverage, Neuron, Pool
from lasnn.networks.net import Tappable, look, watched
from lasnn.plan.vocabulary import halved
from lasnn.spiking.conversion import neurons
from lasnn.spiking.evaluation import INPUT, Evaluation


def operations(net: Net, seen: Evaluation) -> dict[str, object]:
    """What one image costs, for metrics.json: synaptic operations in T steps, and the MACs of one pass of the ANN.

    `macs_first` is the part of the first layer, which is analog under direct encoding. Layers are named as in
    `spikes`; `input` is the encoder's spikes, absent where it sends none.
    """
    met = fan_outs(net)
    by_layer = {
        name: (count * met[name]).sum().item() / seen.images for name, count in seen.counts.items() if name in met
    }
    sizes = census(net)
    return {
        "synops": sum(by_layer.values()),
        "synops_by_layer": by_layer,
        "encoder_spikes": seen.counts[INPUT].sum().item() / seen.images if INPUT in seen.counts else 0.0,
        "macs": sizes.macs,
        "macs_first": first_macs(net),
        "neurons": sizes.neurons,
    }


def first_macs(net: Net) -> int:
    """Multiplications of the first layer, for one image and step."""
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    return first.weight.numel() * halved(net.side, first.stride[0]) ** 2


def fan_outs(net: Net) -> dict[str, Tensor]:
    """For each spiking layer, and `input`, the weights that one spike of each neuron meets: [C, H, W] or [F]."""
    names = {id(neuron): name for name, neuron in neurons(net).items()}
    shapes, layers = _shapes(net, names), list(net.layers.values())
    device = net.readout.weight.device
    met = {INPUT: _met(_receivers(layers[0]), (3, net.side, net.side), device)}
    for layer, following in zip(layers, [*layers[1:], net.readout], strict=True):
        for wire in layer.wires():
            name = names[id(wire.neuron)]
            if wire.name:
                met[name] = _met(_receivers(layer, wire.neuron), shapes[name], device)
            else:
                met[name] = _met(_receivers(following), shapes[name], device, layer.between)
    return met


def _receivers(layer: nn.Module, source: Neuron | None = None) -> list[nn.Module]:
    """The synapses that read a layer's input, or the spikes of its inner neurons `source`."""
    if not isinstance(layer, Tappable):  # the readout
        return [layer]
    found = [synapses for wire in layer.wires() for synapses in wire.synapses]
    return [synapses.module for synapses in found if synapses.source is source]


@torch.no_grad()
def _shapes(net: Net, names: dict[int, str]) -> dict[str, torch.Size]:
    """The shape of each spiking layer, by observation of one step."""
    shapes: dict[str, torch.Size] = {}

    def note(module: nn.Module, given: Tensor, output: Tensor) -> None:
        shapes[names[id(module)]] = output.shape[2:]

    with watched(neurons(net).values(), note):
        look(net)
    return shapes


@torch.enable_grad()
def _met(
    synapses: Iterable[nn.Module], shape: Iterable[int], device: torch.device, between: nn.Module | None = None
) -> Tensor:
    """The weights that meet each entry of spikes of this shape, behind what lies `between`, added over all synapses.

    It is the gradient of the sum of all currents, each weight being 1: integers, so that every sum is exact. A pool
    hands a spike on to one entry: an average's gradient is a share for each entry that it covers, and 0 for an odd row
    that a pool leaves out.
    """
    spikes = torch.zeros(1, 1, *shape, dtype=torch.float64, device=device, requires_grad=True)
    arrived, total = spikes, spikes.new_zeros(())
    for module in between.children() if between is not None else ():
        covered = {Pool: 4, GlobalAverage: math.prod(arrived.shape[3:])}.get(type(module), 1)
        arrived = module.eval()(arrived) * covered
    for module in synapses:
        if isinstance(module, nn.Conv2d):
            ones = arrived.new_ones(1, module.in_channels, *module.kernel_size)  # all outputs are alike
            total = total + module.out_channels * F.conv2d(arrived[0], ones, None, module.stride, module.padding).sum()
        elif isinstance(module, nn.Linear):
            total = total + module.out_features * arrived.sum()
        else:  # the identity
            total = total + arrived.sum()
    return torch.autograd.grad(total, spikes)[0][0, 0]
