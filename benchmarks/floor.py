"""The kernel floor: the convolutions and matrix products of a step and nothing else, on prepared random tensors.

Forward, gradient of the weights, and gradient of the input except in the first layer; the readout on the spike sum.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.case import Subject
from lasnn.networks import Net
from lasnn.networks.net import look, watched


@dataclass
class Kernel:
    """One convolution or product for one image and step: input [C, H, W] or [F], output likewise."""

    weight: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    once: bool  # for each image, not for each step: the readout
    first: bool  # no gradient of its input is needed

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass."""
        return math.prod(self.outputs) * self.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, None, self.stride, self.padding) if x.dim() == 4 else F.linear(x, self.weight)

    def backward(self, x: Tensor, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        """Gradients of the input (None in the first layer) and of the weight."""
        if x.dim() == 2:
            return None if self.first else torch.mm(gradient, self.weight), torch.mm(gradient.t(), x)
        wanted = [not self.first, True, False]
        return torch.ops.aten.convolution_backward(
            gradient, x, self.weight, None, self.stride, self.padding, (1, 1), False, (0, 0), 1, wanted
        )[:2]


def kernels(net: Net) -> list[Kernel]:
    """The kernels of a network by observation: one image is sent through."""
    found: list[Kernel] = []

    def note(module: nn.Module, x: Tensor, output: Tensor) -> None:
        convolution = isinstance(module, nn.Conv2d)
        found.append(
            Kernel(
                module.weight.detach(),
                module.stride if convolution else (1, 1),
                module.padding if convolution else (0, 0),
                tuple(x.shape[2:]),
                tuple(output.shape[2:]) if output.dim() > 2 else tuple(output.shape[1:]),
                module is net.readout,
                not found,
            )
        )

    with watched([m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)], note):
        look(net)
    return found


class Floor:
    """What no implementation that leaves every product to torch's dense float32 kernels can go below."""

    name, dtype = "floor", torch.float32

    def __init__(self, subject: Subject, variant: str = ""):
        self.subject, self.case = subject, subject.case
        self.kernels = kernels(subject.net)
        for kernel in self.kernels:
            kernel.weight = kernel.weight.to(self.dtype)
        self.x = self.gradient = None

    def train(self) -> None:
        """All kernels forward, then all backward."""
        rows = self.case.steps * self.case.batch
        inputs = [self._input(kernel, self.case.batch if kernel.once else rows) for kernel in self.kernels]
        for kernel, x in zip(self.kernels, inputs, strict=True):
            kernel.forward(x)
        for kernel, x in reversed(list(zip(self.kernels, inputs, strict=True))):
            kernel.backward(x, self._gradient(kernel, len(x)))

    @torch.no_grad()
    def infer(self) -> None:
        """All kernels forward, in chunks of as many rows as ours. The readout runs for each step, as curves need it."""
        total = self.case.steps * len(self.subject.images)
        for start in range(0, total, self.case.rows):
            for kernel in self.kernels:
                kernel.forward(self._input(kernel, min(self.case.rows, total - start)))

    @torch.no_grad()
    def balance(self) -> None:
        """All kernels but the readout forward, twice: for a layer's threshold, then for its spikes."""
        total = self.case.steps * len(self.subject.images)
        for kernel in self.kernels[:-1]:
            for start in 2 * [*range(0, total, self.case.rows)]:
                kernel.forward(self._input(kernel, min(self.case.rows, total - start)))

    def _input(self, kernel: Kernel, rows: int) -> Tensor:
        if self.x is None or self.x.numel() < rows * math.prod(kernel.inputs):
            largest = rows * max(math.prod(k.inputs) for k in self.kernels)
            self.x = torch.rand(largest, device=self.case.device).lt_(0.1).to(self.dtype)  # spikes
        return laid_out(self.x, rows, kernel.inputs)

    def _gradient(self, kernel: Kernel, rows: int) -> Tensor:
        if self.gradient is None or self.gradient.numel() < rows * math.prod(kernel.outputs):
            largest = rows * max(math.prod(k.outputs) for k in self.kernels)
            self.gradient = torch.randn(largest, device=self.case.device).to(self.dtype)
        return laid_out(self.gradient, rows, kernel.outputs)


class Bfloat16Floor(Floor):
    """The same products with both factors in bfloat16 already."""

    name, dtype = "floor bf16", torch.bfloat16


def laid_out(buffer: Tensor, rows: int, shape: tuple[int, ...]) -> Tensor:
    """The start of `buffer` as [rows, *shape], images channels last."""
    flat = buffer[: rows * math.prod(shape)]
    if len(shape) == 1:
        return flat.view(rows, *shape)
    channels, height, width = shape
    return flat.view(rows, height, width, channels).permute(0, 3, 1, 2)
