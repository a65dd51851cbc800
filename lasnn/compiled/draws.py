"""Uniform numbers as a function of a key and a place: no state, so that any part can be drawn by itself.

Row r of a key's numbers are the outputs r P/2, r P/2 + 1 ... of SplitMix64 (Steele, Lea, Flood 2014) that starts at the
key, 24 bits from either half of each, P the length of a row. Compiled loops and torch's operations give the same.
"""

import torch
from torch import Tensor

from lasnn.compiled import library

GOLDEN, FIRST, SECOND = (
    word - (1 << 64) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)  # as signed 64-bit numbers; products wrap around


def fill(out: Tensor, key: int, start: int = 0, step: int = 1) -> Tensor:
    """Overwrite `out` [R, P] (float32, dense rows) with rows `start`, `start` + `step` ... of the key's draws."""
    rows, pixels = out.shape
    if rows and pixels:
        if (loops := library()) is not None and out.device.type == "cpu":
            loops.uniforms(out, key, pixels, out.stride(0), start, rows, step)
        else:
            out.copy_(by_torch(key, pixels, torch.arange(rows, device=out.device) * step + start))
    return out


def by_torch(key: int | Tensor, pixels: int, rows: Tensor) -> Tensor:
    """The same for these rows, in torch's operations: [R, P], or [R, K, P] for keys [K]."""
    pairs = (pixels + 1) // 2
    place = (rows[:, None] * pairs + torch.arange(1, pairs + 1, device=rows.device)) * GOLDEN
    z = place[:, None] + key[:, None] if isinstance(key, Tensor) else place + key
    for shift, factor in ((30, FIRST), (27, SECOND)):
        z = (z ^ _shifted(z, shift)) * factor
    z = z ^ _shifted(z, 31)
    halves = torch.stack([(z & 0xFFFFFFFF) >> 8, _shifted(z, 40)], -1)
    return halves.flatten(-2)[..., :pixels].to(torch.float32) * 2.0**-24


def _shifted(z: Tensor, places: int) -> Tensor:
    """z >> places, z being unsigned."""
    return (z >> places) & ((1 << (64 - places)) - 1)
