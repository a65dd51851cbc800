"""The scan in torch's own operations, for any device, type and surrogate: what the other two are compared with.

It walks over blocks of neurons so that the few rows it works on stay in the cache of a core.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels.rows import rows as rows_of

BLOCK = 65536


def flat(x: Tensor) -> Tensor:
    """A view `[T, N]` of a dense `[T, B, ...]`, in the order of its memory; N may be expanded along T (stride 0)."""
    if x.dim() == 5 and not x[0].is_contiguous():
        x = x.permute(0, 1, 3, 4, 2)
    return x[:1].view(1, -1).expand(x.shape[0], -1) if x.stride(0) == 0 else x.view(x.shape[0], -1)


def blocks(rows: Tensor) -> Iterator["slice[int, int, None]"]:
    """Slices over the N of `[T, N]`: one for each block of neurons that a core's cache holds."""
    size = BLOCK * torch.get_num_threads() if rows.device.type == "cpu" else max(rows.shape[1], 1)
    for start in range(0, rows.shape[1], size):
        yield slice(start, start + size)


def carry(v: Tensor, spikes: Tensor, threshold: float, dynamics: Dynamics) -> Tensor:
    """The reset: turn `v` in place into the potential that the next step starts from."""
    if dynamics.rule == "hard":
        return v.addcmul_(v, spikes, value=-1).mul_(dynamics.leak)
    if dynamics.rule == "instant":
        return v.sub_(spikes, alpha=threshold).mul_(dynamics.leak)
    if dynamics.leak != 1:
        v.mul_(dynamics.leak)
    return v.sub_(spikes, alpha=threshold)


def fire(
    current: Tensor,
    start: Tensor | None,
    threshold: Tensor | float,
    dynamics: Dynamics,
    counts: Tensor | None = None,
    pool: bool = False,
) -> tuple[Tensor, Tensor]:
    """Spikes without a gradient: `current` [T, B, ...] is overwritten with them.

    `start` [B, ...] is the potential carried in; returns the spikes and the potential carried out. `counts` and `pool`
    are for the compiled loops alone.
    """
    rows, threshold = flat(current), float(threshold)
    end = torch.zeros_like(current[0]) if start is None else start.clone(memory_format=torch.preserve_format)
    carried = flat(rows_of(end[None], current.stride()[1:]))
    for block in blocks(rows):
        v = carried[0, block]
        for row in rows[:, block]:
            v.add_(row)
            torch.gt(v, threshold, out=row)
            carry(v, row, threshold, dynamics)
    return current, carried.view(-1).as_strided(current[0].shape, current[0].stride())


class ScanContext(FunctionCtx):
    """What the forward pass of `Scan` leaves for its backward pass."""

    psi: Tensor
    spikes: Tensor | None
    mask: Tensor | None  # [N]
    threshold: float
    dynamics: Dynamics
    spent: bool


class Scan(torch.autograd.Function):
    """Spikes with the surrogate gradient of backpropagation through time.

    The forward pass overwrites the input current with ψ, which is all that the backward pass needs; the backward pass
    overwrites ψ with δ = dL/dI. The operation that made the current must not need its own output for its backward
    pass (convolutions, products, sums and means don't).

    With a dropout `mask` [B, ...] the result is mask * o, and dL/do = mask g is formed row by row in the backward pass.
    It rounds as a product of its own after the scan would: a layer gives the same bits whether its spikes are asked
    for before the mask or not. `pool` is for the compiled loops alone, `exact` for a GPU.
    """

    @staticmethod
    def forward(
        ctx: ScanContext,
        current: Tensor,
        threshold: Tensor | float,
        dynamics: Dynamics,
        mask: Tensor | None = None,
        pool: bool = False,
        exact: bool = False,
    ) -> Tensor:
        spikes, threshold = torch.empty_like(current), float(threshold)
        psi, out = flat(current.detach()), flat(spikes)
        kept = None if mask is None else flat(rows_of(mask[None], current.stride()[1:]))[0]
        surrogate = dynamics.surrogate
        for block in blocks(psi):
            v = torch.zeros_like(psi[0, block])
            since = torch.full_like(v, 1000.0) if surrogate.needs_history else None
            for row, o in zip(psi[:, block], out[:, block], strict=True):
                v.add_(row)
                torch.sub(v, threshold, out=row)
                torch.gt(row, 0, out=o)  # the sign of v - θ is that of the comparison; ties give 0
                surrogate(row, threshold, since=since)
                carry(v, o, threshold, dynamics)
                if since is not None:
                    since.add_(1).masked_fill_(o > 0, 1.0)
                if kept is not None:  # while the row is in the cache
                    o.mul_(kept[block])
        ctx.mask, ctx.threshold, ctx.dynamics, ctx.spent = kept, threshold, dynamics, False
        ctx.psi = current.detach()
        ctx.spikes = spikes.detach() if dynamics.reset == "hard" else None
        return spikes

    @staticmethod
    def backward(ctx: ScanContext, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        if ctx.spent:
            raise RuntimeError("the scan's saved state was overwritten by an earlier backward pass: run forward again")
        ctx.spent = True
        dynamics, threshold = ctx.dynamics, ctx.threshold
        psi, g = flat(ctx.psi), flat(rows_of(gradient, ctx.psi.stride()[1:]).expand_as(ctx.psi))
        spikes = flat(ctx.spikes) if ctx.spikes is not None else None
        # Weight of the reset path: the reset is leaked too where it is instant.
        reset = threshold * (dynamics.leak if dynamics.order == "instant_reset" else 1.0)
        for block in blocks(psi):
            delta: Tensor | None = None  # δ^{t+1}
            masked = torch.empty_like(psi[0, block]) if ctx.mask is not None else None
            for t in reversed(range(psi.shape[0])):
                row, upstream = psi[t, block], g[t, block]
                if masked is not None and ctx.mask is not None:
                    upstream = torch.mul(upstream, ctx.mask[block], out=masked)
                if delta is None:
                    row.mul_(upstream)
                elif dynamics.reset_grad:
                    row.mul_(torch.sub(upstream, delta, alpha=reset)).add_(delta, alpha=dynamics.leak)
                else:
                    row.mul_(upstream).add_(delta, alpha=dynamics.leak)
                    if spikes is not None:
                        row.addcmul_(delta, spikes[t, block], value=-dynamics.leak)
                delta = row
        return ctx.psi, None, None, None, None, None
