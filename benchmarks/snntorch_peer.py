"""snntorch: its usual loop over time, all layers one step after the other.

`Leaky` with reset by subtraction moves as Eq. (1), leak included (`sync`). Its library has no triangle surrogate, so it
gets one as any function may be given.
"""

from typing import ClassVar

import snntorch
import torch
from torch import Tensor, nn

from benchmarks.case import Subject
from benchmarks.peers import Peer, rebuilt, synapses
from lasnn.networks.layers import Conv, Dropout, Flatten, Linear, Pool
from lasnn.spiking.neurons import LIF


class Triangle(torch.autograd.Function):
    """1[x > 0] with the pseudo-derivative (1/θ) max(0, 1 - |x|/θ), x = v - θ."""

    @staticmethod
    def forward(ctx, x: Tensor, threshold: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.threshold = threshold
        return (x > 0).float()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        peak = 1 / ctx.threshold
        return x.abs().mul_(-peak * peak).add_(peak).clamp_(min=0).mul_(gradient), None


class HeldDropout(nn.Module):
    """Dropout whose mask is drawn once for all steps; `mask = None` asks for a new one."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate, self.mask = rate, None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.mask is None:
            self.mask = torch.empty_like(x).bernoulli_(1 - self.rate).div_(1 - self.rate)
        return x * self.mask


class Snntorch(Peer):
    """`variant`: memory format of weights and input; the faster is chosen by a trial before timing."""

    name = "snntorch"
    dynamics: ClassVar = {"order": "sync"}
    neuron = snntorch.Leaky
    variants = ("contiguous", "channels_last")

    def __init__(self, subject: Subject, variant: str = ""):
        self.variant = variant or self.variants[0]
        leak = subject.case.leak

        def part(module: nn.Module) -> nn.Module:
            if isinstance(module, Conv):
                kernel, stride, padding = module.kernel_size, module.stride, module.padding
                made = nn.Conv2d(module.in_channels, module.out_channels, kernel, stride, padding, bias=False)
                return synapses(module, made)
            if isinstance(module, Linear):
                return synapses(module, nn.Linear(module.in_features, module.out_features, bias=False))
            if isinstance(module, LIF):
                threshold = module.threshold.item()
                return snntorch.Leaky(
                    beta=leak,
                    threshold=threshold,
                    spike_grad=lambda x: Triangle.apply(x, threshold),
                    init_hidden=True,
                    reset_mechanism="subtract",
                )
            if isinstance(module, Pool):
                return nn.AvgPool2d(2)
            if isinstance(module, Dropout):
                return HeldDropout(module.rate)
            assert isinstance(module, Flatten)
            return nn.Flatten()

        readout = subject.net.readout
        made = nn.Linear(readout.in_features, readout.out_features, bias=False)
        super().__init__(subject, rebuilt(subject.net, part), synapses(readout, made))
        if self.variant == "contiguous":
            for weight in self.net.parameters():
                weight.data = weight.data.contiguous()

    def reset(self) -> None:
        for module in self.features.modules():
            if isinstance(module, HeldDropout):
                module.mask = None
            elif isinstance(module, snntorch.Leaky):
                module.reset_mem()

    def run(self, spikes: Tensor) -> Tensor:
        if self.variant == "contiguous":
            spikes = spikes.contiguous()
        total = 0.0
        for step in spikes:  # [B, 3, H, W]
            total = total + self.readout(self.features(step))
        return total
