"""spikingjelly, multi-step: all time steps of a layer at once, as here, then its neuron's operator.

Its reset follows the spike at once and is leaked (`instant_reset`), which without a leak is Eq. (1). Its triangle
surrogate with α = 1/θ is ours with γ = 1. It fires at v >= θ, we at v > θ.
"""

from typing import ClassVar

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from benchmarks.case import Subject
from benchmarks.peers import Peer, rebuilt, synapses
from lasnn.networks.layers import Conv, Dropout, Flatten, Linear, Pool
from lasnn.spiking.neurons import LIF


class Reference(surrogate.PiecewiseQuadratic):
    """The same surrogate as a class of the user's own, for which spikingjelly takes its step-by-step autograd path."""


class Spikingjelly(Peer):
    """`variant`: memory format and neuron path; the fastest is chosen by a trial before timing."""

    name = "spikingjelly"
    dynamics: ClassVar = {"order": "instant_reset"}
    neuron = neuron.BaseNode
    variants = ("contiguous operator", "channels_last operator", "contiguous autograd", "channels_last autograd")

    def __init__(self, subject: Subject, variant: str = ""):
        self.variant = variant or self.variants[0]
        self.layout, path = self.variant.split()
        triangle = {"operator": surrogate.PiecewiseQuadratic, "autograd": Reference}[path]
        leak = subject.case.leak
        everywhere = {"step_mode": "m"}

        def part(module: nn.Module) -> nn.Module:
            if isinstance(module, Conv):
                kernel, stride, padding = module.kernel_size, module.stride, module.padding
                made = layer.Conv2d(
                    module.in_channels, module.out_channels, kernel, stride, padding, bias=False, **everywhere
                )
                return synapses(module, made)
            if isinstance(module, Linear):
                made = layer.Linear(module.in_features, module.out_features, bias=False, **everywhere)
                return synapses(module, made)
            if isinstance(module, LIF):
                threshold = module.threshold.item()
                words = {
                    "v_threshold": threshold,
                    "v_reset": None,
                    "surrogate_function": triangle(alpha=1 / threshold),
                    "detach_reset": True,
                    **everywhere,
                }
                if leak == 1:
                    return neuron.IFNode(**words)
                return neuron.LIFNode(tau=1 / (1 - leak), decay_input=False, **words)
            if isinstance(module, Pool):
                return layer.AvgPool2d(2, **everywhere)
            if isinstance(module, Dropout):
                return layer.Dropout(module.rate, **everywhere)
            assert isinstance(module, Flatten)
            return layer.Flatten(**everywhere)

        readout = subject.net.readout
        made = nn.Linear(readout.in_features, readout.out_features, bias=False)
        super().__init__(subject, rebuilt(subject.net, part), synapses(readout, made))
        if self.layout == "contiguous":
            self.net.to(memory_format=torch.contiguous_format)
            for weight in self.net.parameters():
                weight.data = weight.data.contiguous()

    def reset(self) -> None:
        functional.reset_net(self.features)

    def run(self, spikes: Tensor) -> Tensor:
        if self.layout == "contiguous":
            spikes = spikes.contiguous()
        return self.readout(self.features(spikes).sum(0))
