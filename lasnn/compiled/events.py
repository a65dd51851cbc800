"""Products of a sparse input, computed from its events: the forward pass and the weight gradient; the input's is dense.

Of the input nothing but its events is kept for the backward pass. Whether events win is decided by the share of
non-zero inputs and the number of outputs, which are part of the run, so that the same command takes the same way.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lasnn.compiled.machine_code import loops, over

# Share of non-zero inputs up to which events win, by the number of outputs (benchmarks/README.md has the measurement).
NARROW, WIDE, MATRIX = {16: 0.12, 32: 0.18}, 0.3, 0.22
FEW = 8  # input channels below which the dense kernels always win
PANEL, INNER, CHANNELS = 128, 1024, 128  # columns and rows of a matrix, channels of a gradient, taken at a time


def limit(inputs: int, outputs: int, stride: int = 1) -> float:
    """The share of non-zero inputs up to which events are taken; 0: never."""
    if inputs < FEW:
        return 0.0
    if outputs in NARROW:
        return NARROW[outputs] / (stride if inputs >= 16 else 1.5)
    return WIDE if outputs >= 64 and outputs % 16 == 0 else 0.0


@dataclass
class Events:
    """The non-zero entries of rows [R, C] in order; row r has those from `start[r]` to `start[r + 1]`."""

    start: Tensor  # int32 [R + 1]
    channel: Tensor  # uint16
    value: Tensor  # float32
    rows: int
    channels: int

    @property
    def lists(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.start, self.channel, self.value


def events_of(rows: Tensor, most: float) -> Events | None:
    """The events of dense rows [R, C] in float32; None where more than the share `most` of the entries is non-zero."""
    size = rows.numel()
    if size == 0 or size >= 1 << 31 or rows.shape[1] >= 1 << 16:
        return None
    found = torch.empty(1, dtype=torch.int32)
    loops().count(rows, size, found)
    number = int(found)
    if number > most * size:
        return None
    start = torch.empty(len(rows) + 1, dtype=torch.int32)
    channel, value = torch.empty(number + 16, dtype=torch.uint16), torch.empty(number + 16)
    events = Events(start, channel, value, len(rows), rows.shape[1])
    loops().listed(rows, events.rows, events.channels, *events.lists)
    return events


@dataclass(frozen=True)
class Geometry:
    """A convolution: N images [C, H, W] to [K, OH, OW]."""

    images: int
    channels: int
    height: int
    width: int
    outputs: int
    tall: int
    wide: int
    kernel_size: int
    stride: int
    pad: int

    @classmethod
    def of(cls, x: Tensor, weight: Tensor, stride: int, pad: int) -> "Geometry":
        count, channels, height, width = x.shape
        kernel_size = weight.shape[2]
        tall, wide = ((side + 2 * pad - kernel_size) // stride + 1 for side in (height, width))
        return cls(count, channels, height, width, len(weight), tall, wide, kernel_size, stride, pad)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output in channels-last order."""
        return self.images, self.tall, self.wide, self.outputs


def convolution(events: Events, weight: Tensor, at: Geometry) -> Tensor:
    """[N, K, OH, OW], channels last."""
    out = torch.zeros(at.shape)
    # [C, kh, kw, K] or [kh, kw, C, K]
    taps = weight.permute(1, 2, 3, 0).contiguous() if at.outputs in NARROW else weight.permute(2, 3, 1, 0).contiguous()
    sizes, kernel = (at.height, at.width, at.channels), (at.tall, at.wide, at.kernel_size, at.stride, at.pad)

    def part(first: int, last: int) -> None:
        if at.outputs in NARROW:
            loop = getattr(loops(), f"sow_{at.outputs}")
            loop(*events.lists, taps, out, *sizes, *kernel, first, last, 0, at.channels)
            return
        room = at.kernel_size**2 * at.channels
        scratch = torch.empty(room, dtype=torch.int32), torch.empty(room)
        loops().convolved(*events.lists, taps, out, *scratch, *sizes, at.outputs, *kernel, first, last)

    over(at.images, torch.get_num_threads(), part)
    return out.permute(0, 3, 1, 2)


def convolution_weight(events: Events, gradient: Tensor, at: Geometry) -> Tensor:
    """The weight's gradient [K, C, kh, kw] from that of the output [N, K, OH, OW]."""
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    kernel_size, channels = at.kernel_size, at.channels
    if at.outputs in NARROW:
        weight = torch.zeros(channels, kernel_size, kernel_size, at.outputs).permute(3, 0, 1, 2)
    else:
        weight = torch.zeros(kernel_size, kernel_size, channels, at.outputs).permute(3, 2, 0, 1)
    sizes, kernel = (at.height, at.width, at.channels), (at.tall, at.wide, at.kernel_size, at.stride, at.pad)

    def narrow(first: int, last: int) -> None:
        loop = getattr(loops(), f"reap_{at.outputs}")
        loop(*events.lists, weight, gradient, *sizes, *kernel, 0, at.images, first, last)

    def wide(first: int, last: int) -> None:
        padded = torch.empty((at.tall + 2 * at.kernel_size) * (at.wide + 2 * at.kernel_size) * CHANNELS)
        begin = torch.empty(at.channels * at.stride**2 + 1, dtype=torch.int32)
        room = at.height * at.width * at.channels
        scratch = begin, torch.empty(room, dtype=torch.int32), torch.empty(room), padded
        lists = *events.lists, gradient, weight, *scratch
        for piece in range(first, last):
            columns = piece * CHANNELS, min((piece + 1) * CHANNELS, at.outputs)
            loops().correlated(*lists, *sizes, at.outputs, *kernel, at.images, *columns)

    if at.outputs in NARROW:
        over(at.channels, torch.get_num_threads(), narrow)
    else:
        over(-(-at.outputs // CHANNELS), torch.get_num_threads(), wide)
    return weight


def matrix_product(events: Events, weight: Tensor) -> Tensor:
    """[R, F] of events [R, C] and a weight [F, C] that lies input by input, as `Linear` keeps it."""
    return _product(events.start, events.channel, events.value, weight.t().contiguous(), events.rows)


def matrix_weight(events: Events, gradient: Tensor) -> Tensor:
    """The weight's gradient [F, C], input by input, from that of the output [R, F]."""
    number = len(events.value)
    start, row = torch.empty(events.channels + 1, dtype=torch.int32), torch.empty(number, dtype=torch.int32)
    factor, cursor = torch.empty(number), torch.empty(events.channels, dtype=torch.int32)
    loops().by_channel(*events.lists, events.rows, events.channels, start, row, factor, cursor)
    return _product(start, row, factor, gradient.contiguous(), events.channels).t()


def _product(start: Tensor, column: Tensor, value: Tensor, matrix: Tensor, rows: int) -> Tensor:
    width = matrix.shape[1]
    offset, out = column.to(torch.int32).mul_(width), matrix.new_zeros(rows, width)

    def part(first: int, last: int) -> None:
        columns, cursor = (first * PANEL, min(last * PANEL, width)), torch.empty(rows, dtype=torch.int32)
        loops().product(start, offset, value, matrix, out, rows, width, PANEL, INNER, *columns, cursor)

    over(-(-width // PANEL), torch.get_num_threads(), part)
    return out
