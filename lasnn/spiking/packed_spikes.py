"""Spikes kept as one bit each: what threshold balancing remembers of a layer's output."""

import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import torch
from torch import Tensor

IN_MEMORY = 4 << 30  # bytes of one layer's spikes that stay in memory; the rest goes to a temporary file
STORE = 64 << 20  # bytes taken at once on a CPU: a small piece kept between large blocks that come and go pins each


def pack(spikes: Tensor) -> Tensor:
    """Spikes 0 or 1 of any shape to bytes, eight of them in each, the first in the highest bit; on their device."""
    spikes = spikes.reshape(-1) > 0
    if spikes.device.type == "cpu":
        return torch.from_numpy(np.packbits(spikes.numpy()))
    return pack_by_torch(spikes)


def pack_by_torch(spikes: Tensor) -> Tensor:
    """`pack` without numpy: for a GPU, where a copy to the CPU and back would take longer than the rest."""
    eights = torch.nn.functional.pad(spikes.to(torch.uint8), (0, -spikes.numel() % 8)).view(-1, 8)
    packed = torch.zeros_like(eights[:, 0])
    for place in range(8):
        packed.bitwise_left_shift_(1).bitwise_or_(eights[:, place])
    return packed


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    """The spikes of `pack` as float32 of this shape."""
    if packed.device.type == "cpu":
        return torch.from_numpy(np.unpackbits(packed.numpy(), count=shape.numel())).to(torch.float32).view(shape)
    return unpack_by_torch(packed, shape)


def unpack_by_torch(packed: Tensor, shape: torch.Size) -> Tensor:
    """`unpack` without numpy."""
    spikes = torch.empty(len(packed), 8, dtype=torch.float32, device=packed.device)
    for place in range(8):
        spikes[:, place] = packed.bitwise_right_shift(7 - place).bitwise_and_(1)
    return spikes.view(-1)[: shape.numel()].view(shape)


class SpikeStore:
    """Spike tensors put in one after the other and read again in that order, as often as wanted.

    Beyond `in_memory` bytes they are written to a temporary file without a name, which the system removes when this
    object goes.
    """

    def __init__(self, in_memory: int = IN_MEMORY):
        self.in_memory, self.bytes = in_memory, 0
        self.store, self.used = torch.empty(0, dtype=torch.uint8), 0
        self.entries: list[tuple[Tensor | int, torch.Size, torch.device]] = []
        self.file: IO[bytes] | None = None

    def add(self, spikes: Tensor) -> None:
        """Keep spikes 0 or 1."""
        packed = pack(spikes)
        self.bytes += packed.numel()
        entry: Tensor | int
        if self.bytes > self.in_memory:
            self.file = self.file or tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as this object
            self.file.seek(0, 2)
            self.file.write(packed.cpu().numpy().tobytes())
            entry = packed.numel()
        else:
            entry = self._stored(packed) if packed.device.type == "cpu" else packed
        self.entries.append((entry, spikes.shape, spikes.device))

    def _stored(self, packed: Tensor) -> Tensor:
        """A copy behind the last one, or at the start of a new store."""
        if self.used + len(packed) > len(self.store):
            self.store, self.used = torch.empty(max(STORE, len(packed)), dtype=torch.uint8), 0
        self.used += len(packed)
        return self.store[self.used - len(packed) : self.used].copy_(packed)

    def __iter__(self) -> Iterator[Tensor]:
        place = 0
        for packed, shape, device in self.entries:
            if isinstance(packed, int):
                assert self.file is not None  # since `add` wrote to it
                self.file.seek(place)
                place += packed
                packed = torch.frombuffer(bytearray(self.file.read(packed)), dtype=torch.uint8).to(device)
            yield unpack(packed, shape)
