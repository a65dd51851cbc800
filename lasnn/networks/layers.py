"""Building blocks over [T, B, ...]: each folds time into the batch, computes once, and unfolds it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.compiled import draws
from lasnn.compiled.products import convolve, multiply
from lasnn.networks.pools import AveragePool

Operation = Callable[[Tensor], Tensor]
Call = Callable[[nn.Module, Tensor], Tensor]  # of a module that takes and gives one tensor; torch's own may be any


def folded(operation: Operation, x: Tensor) -> Tensor:
    """`operation`, which knows [N, ...], applied to [T, B, ...]; once only where all steps are the same."""
    if x.stride(0) == 0 and x.shape[0] > 1:
        return folded(operation, x[:1]).expand(x.shape[0], *(-1,) * (x.dim() - 1))
    steps, batch = x.shape[:2]
    unfolded: Tensor = operation(x.flatten(0, 1)).unflatten(0, (steps, batch))
    return unfolded  # [T, B, ...]


def written_out(x: Tensor) -> Tensor:
    """A tensor that is the same in each step, written out for all of them, images channels last."""
    if x.dim() < 5:
        return x.clone(memory_format=torch.contiguous_format)
    steps, batch, channels, height, width = x.shape
    dense = x.new_empty(steps, batch, height, width, channels).permute(0, 1, 4, 2, 3)
    return dense.copy_(x)


class Conv(nn.Conv2d):
    """Convolution with padding that keeps the side at stride 1: [T, B, C, H, W]; batch norm behind it, if any."""

    __call__: Call

    def __init__(self, channels_in: int, channels: int, kernel: int = 3, stride: int = 1, bias: bool = False):
        super().__init__(channels_in, channels, kernel, stride, padding=kernel // 2, bias=bias)
        self.batch_norm: Norm | None = None  # while a student trains with one: lasnn.networks.batch_norm

    def forward(self, x: Tensor) -> Tensor:
        current = self._current(x)
        return current if self.batch_norm is None else self.batch_norm(current)

    def _current(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            # Only these pixels count. torch's CPU kernel for the backward pass of a strided 1x1 convolution in
            # channels-last format was seen to crash (2.13: 4 to 8 channels; 2.15: 8 to 16, batch 3, two threads).
            return folded(self._pointwise, x[..., :: self.stride[0], :: self.stride[1]])
        return folded(self._padded if x.is_cuda and self.in_channels % 8 else self._whole, x)

    def _padded(self, x: Tensor) -> Tensor:
        """With channels of zeros: tensor cores take eight at a time, and the three of an image make a detour."""
        channels = (0, 0, 0, 0, 0, -self.in_channels % 8)
        x = F.pad(x, channels).contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, F.pad(self.weight, channels), self.bias, self.stride, self.padding)

    def _pointwise(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return convolve(x, self.weight, 1, 0) if self.bias is None else F.conv2d(x, self.weight, self.bias)

    def _whole(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return convolve(x, self.weight, self.stride[0], self.kernel_size[0] // 2)
        return super().forward(x)


class Linear(nn.Linear):
    """Matrix product over the last axis: [T, B, F]. The weight [F_out, F_in] lies in memory input by input."""

    def __init__(self, units_in: int, units: int, bias: bool = True):
        super().__init__(units_in, units, bias)
        self.weight.data = self.weight.data.t().contiguous().t()

    __call__: Call

    def forward(self, x: Tensor) -> Tensor:
        return folded(self._whole, x)

    def _whole(self, x: Tensor) -> Tensor:
        return multiply(x, self.weight) if self.bias is None else super().forward(x)

    def total(self, x: Tensor) -> Tensor:
        """The sum over time of its output, [T, B, F] to [B, K]: one product, by linearity."""
        return self(x.sum(0, keepdim=True))[0]


class Norm(nn.BatchNorm2d):
    """Batch norm over [T, B, C, H, W]."""

    __call__: Call

    def forward(self, x: Tensor) -> Tensor:
        return folded(super().forward, x)


class Standardise(nn.Module):
    """Channels of x [T, B, 3, H, W] less the dataset's mean, over its deviation; both travel in the checkpoint."""

    __call__: Call
    mean: Tensor  # [3]
    std: Tensor  # [3]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def fit(self, x: Tensor) -> None:
        """Take both from images [N, 3, H, W]; a channel without any contrast is left as wide as it is."""
        std, mean = torch.std_mean(x.double(), (0, 2, 3), correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class Readout(Linear):
    """The last layer. A bias that an adopted network brought is in the state dict, is added in every step, and is never
    trained."""

    def __init__(self, units_in: int, units: int, bias: bool = True):
        super().__init__(units_in, units, bias)
        nn.Module.register_load_state_dict_pre_hook(self, make_room_for_bias)

    def total(self, x: Tensor) -> Tensor:
        if self.bias is None or len(x) == 1:
            return super().total(x)
        return F.linear(x.sum(0), self.weight) + len(x) * self.bias  # [B, K]


def make_room_for_bias(readout: Readout, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before a state dict is loaded: room for a bias that it has."""
    if readout._parameters["bias"] is None and prefix + "bias" in state:
        readout.bias = nn.Parameter(readout.weight.new_zeros(readout.out_features), requires_grad=False)


class Neuron(nn.Module):
    """A nonlinearity of a layer: the analog one, or the spiking one that takes its place.

    `offset` [C] or [F] is a constant current of every step: an adopted bias, or what a calibration found. It
    is in the state dict of those layers only that have it.
    """

    __call__: Callable[..., Tensor]  # of a current [T, B, ...] and, where there are, a dropout mask [B, ...] and a pool
    offset: Tensor | None
    constants: tuple[str, ...] = ("offset",)

    def __init__(self) -> None:
        super().__init__()
        nn.Module.register_load_state_dict_pre_hook(self, make_room)

    def with_offset(self, current: Tensor) -> Tensor:
        """A current [T, B, ...] with the constant one, in a tensor of its own."""
        return current if self.offset is None else current + along_channels(self.offset, current)


def make_room(neuron: Neuron, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before a state dict is loaded: room for the constants that the saved layer had, and none for others."""
    for name in neuron.constants:
        saved = state.get(prefix + name)
        device = getattr(neuron, "threshold", saved).device if saved is not None else None
        setattr(neuron, name, None if saved is None else torch.empty_like(saved, device=device))


class ReLU(Neuron):
    """The analog neuron; `spiking` puts a LIF neuron in its place. `mask` [B, ...] is a dropout mask."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", None)

    def forward(self, x: Tensor, mask: Tensor | None = None, pool: "Pool | None" = None) -> Tensor:
        x = F.relu(self.with_offset(x))
        x = x if mask is None else x * mask
        return x if pool is None else pool(x)


def along_channels(constant: Tensor, x: Tensor) -> Tensor:
    """A constant [C] or [F] as it is added to x [T, B, C, H, W] or [T, B, F]."""
    return constant.view(-1, *(1,) * (x.dim() - 3))


class Pool(nn.Module):
    """2x2 pooling with stride 2, `average` or `max`."""

    __call__: Call

    def __init__(self, kind: str = "average"):
        super().__init__()
        self.average = kind == "average"
        self.pool: Operation = {"average": AveragePool.apply, "max": lambda x: F.max_pool2d(x, 2)}[kind]

    def forward(self, x: Tensor) -> Tensor:
        return folded(self.pool, x)


class Flatten(nn.Module):
    """[T, B, C, H, W] to [T, B, C*H*W], in the order (C, H, W) whatever the memory format."""

    __call__: Call

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2)


class GlobalAverage(nn.Module):
    """[T, B, C, H, W] to [T, B, C]."""

    __call__: Call

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


class Dropout(nn.Module):
    """One mask for each image, the same in all time steps: [T, B, ...]; off in evaluation.

    `draw_from` says where the masks of the next batch come from: they are drawn for the whole batch, of which `x` may
    hold only a part, so that micro-batches change nothing. A neuron that takes the mask of `mask(current)` saves the
    pass over all steps, where nobody asks for its spikes before the mask.
    """

    __call__: Call

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate {rate}: expected 0 <= rate < 1")
        self.rate = rate
        self.generator: torch.Generator | None = None
        self.start = 0
        self.whole: int | None = None

    def draw_from(self, generator: torch.Generator, start: int, whole: int) -> None:
        """Draw the next mask from `generator`, for images `start` and following of a batch of `whole`."""
        self.generator, self.start, self.whole = generator, start, whole

    def forward(self, x: Tensor) -> Tensor:
        mask = self.mask(x)
        return x if mask is None else x * mask.to(x.dtype)  # [T, B, ...]

    def mask(self, x: Tensor) -> Tensor | None:
        """0 or 1 / (1 - rate) for each entry of a step of x: [B, ...], in its memory order; None: nothing to do."""
        if not self.training or self.rate == 0:
            return None
        batch, dtype = x.shape[1], torch.promote_types(x.dtype, torch.float32)
        if self.generator is not None and x.device.type == "cpu":
            kept = torch.empty_like(x[0], dtype=torch.float32)
            rows = kept.permute(0, 2, 3, 1) if kept.dim() == 4 else kept  # drawn in channels-last order
            drawn = draws.fill(torch.empty(batch, kept[0].numel()), self.generator.initial_seed(), self.start)
            rows.copy_(drawn.lt_(1 - self.rate).div_(1 - self.rate).view(rows.shape))
            return kept.to(dtype)
        mask = torch.empty(self.whole or batch, *x.shape[2:], dtype=dtype, device=x.device)
        mask.bernoulli_(1 - self.rate, generator=self.generator).div_(1 - self.rate)
        return torch.empty_like(x[0], dtype=dtype).copy_(mask[self.start : self.start + batch])
