"""The scan in compiled loops on a CPU: one pass over memory for all time steps each way.

Spikes and ψ are those of the torch scan bit for bit (ψ of `Stdb` to rounding: another exponential). An average pool may
be taken along: then the spikes themselves are never written to memory.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lasnn.compiled.machine_code import loops, over
from lasnn.networks.layers import Pool
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels.rows import rows
from lasnn.spiking.surrogates import Bellec, Literal, Stdb, Surrogate

SURROGATES = (Bellec, Literal, Stdb)
TYPES = (torch.float32, torch.bfloat16)  # the latter is written out in float32 first
BLOCK = 16384  # neurons whose potentials a core keeps at hand


def formula(surrogate: Surrogate, theta: float) -> tuple[str, float, float]:
    """The loops' name for a surrogate, and the height and slope of its formula."""
    if isinstance(surrogate, Bellec):
        peak = surrogate.gamma / theta if surrogate.by_threshold else surrogate.gamma
        return "triangle", peak, -peak / (theta * surrogate.width)
    if isinstance(surrogate, Literal):
        return "triangle", surrogate.gamma * max(0.0, 1 - abs(theta)), 0.0
    assert isinstance(surrogate, Stdb)
    return "decaying", surrogate.a / theta, -surrogate.b


def available(current: Tensor, dynamics: Dynamics) -> bool:
    """Whether the loops can scan this current [T, B, ...], once it is written out, of neurons with these dynamics.

    They take a current in one piece, images in either order of memory.
    """
    if current.dtype not in TYPES or type(dynamics.surrogate) not in SURROGATES or current.numel() == 0:
        return False
    same = current.stride(0) == 0 and len(current) > 1
    return same or current.is_contiguous() or (current.dim() == 5 and _channels_last(current))


def poolable(current: Tensor, dynamics: Dynamics, mask: Tensor | None, pool: Pool | None) -> bool:
    """Whether a pool may be taken along: an average of the spikes that the scan makes, of images with even sides."""
    if pool is None or not pool.average or dynamics.reset == "hard" or mask is not None:
        return False
    return current.dim() == 5 and current.shape[3] % 2 == current.shape[4] % 2 == 0 and _channels_last(current)


def _channels_last(x: Tensor) -> bool:
    return x.permute(0, 1, 3, 4, 2).is_contiguous()


class Plan:
    """How the loops walk over a current [T, B, ...]: its size, its blocks and, with a pool, its rows of pixels."""

    def __init__(self, current: Tensor, pool: bool):
        self.steps, self.neurons = len(current), current[0].numel()
        self.row, self.channels = (current.shape[4] * current.shape[2], current.shape[2]) if pool else (0, 0)
        pair = 2 * self.row
        self.size, self.pool = max(1, BLOCK // pair) * pair if pool else min(BLOCK, self.neurons), int(pool)
        self.blocks = -(-self.neurons // self.size)

    def run(self, work: Callable[[int, int, Tensor], None]) -> None:
        """`work(first, last, scratch)` over all blocks, on the threads that torch may use."""

        def piece(first: int, last: int) -> None:
            work(first, last, torch.empty(3 * self.size))

        over(self.blocks, torch.get_num_threads(), piece)


def pooled_like(current: Tensor) -> Tensor:
    """Room for the 2x2 averages of images [T, B, C, H, W], channels last."""
    steps, batch, channels, height, width = current.shape
    return current.new_empty(steps, batch, height // 2, width // 2, channels).permute(0, 1, 4, 2, 3)


def fire(
    current: Tensor,
    start: Tensor | None,
    threshold: Tensor,
    dynamics: Dynamics,
    counts: Tensor | None = None,
    pool: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `torch_scan.fire`; to `counts` [B, ...], laid out as a step, spikes are added."""
    plan = Plan(current, pool)
    end = torch.zeros_like(current[0]) if start is None else rows(start[None], current.stride()[1:])[0]
    out = pooled_like(current) if pool else current
    loop = getattr(loops(), f"fire_{dynamics.rule}")
    sizes, theta = (plan.steps, plan.neurons, plan.size), threshold.item()

    flags = plan.row, plan.channels, plan.pool, int(counts is not None)

    def work(first: int, last: int, scratch: Tensor) -> None:
        loop(current, out, end, counts, *sizes, first, last, *flags, theta, dynamics.leak)

    plan.run(work)
    return out, end


class CompiledContext(FunctionCtx):
    """What the forward pass of `Scan` leaves for its backward pass."""

    psi: Tensor | None
    spikes: Tensor | None
    mask: Tensor | None
    plan: Plan
    dynamics: Dynamics
    threshold: float
    kind: str
    layout: tuple[torch.Size, tuple[int, ...]]


class Scan(torch.autograd.Function):
    """`torch_scan.Scan`; with `pool` the result is the 2x2 average of the spikes."""

    @staticmethod
    def forward(
        ctx: CompiledContext,
        current: Tensor,
        threshold: Tensor | float,
        dynamics: Dynamics,
        mask: Tensor | None = None,
        pool: bool = False,
        exact: bool = False,
    ) -> Tensor:
        psi, threshold = current.detach(), float(threshold)
        mask = None if mask is None else rows(mask[None], psi.stride()[1:])[0]
        plan = Plan(psi, pool)
        out = pooled_like(psi) if pool else torch.empty_like(psi)
        surrogate, height, slope = formula(dynamics.surrogate, threshold)
        loop = getattr(loops(), f"scan_{dynamics.rule}_{surrogate}")
        sizes = plan.steps, plan.neurons, plan.size
        flags = plan.row, plan.channels, plan.pool, int(mask is not None)

        def work(first: int, last: int, scratch: Tensor) -> None:
            loop(psi, out, mask, scratch, *sizes, first, last, *flags, threshold, dynamics.leak, height, slope)

        plan.run(work)
        torch.autograd.graph.increment_version(current)  # which was overwritten out of torch's sight
        ctx.psi, ctx.mask, ctx.plan, ctx.dynamics, ctx.threshold = psi, mask, plan, dynamics, threshold
        ctx.kind = "reset" if dynamics.reset_grad else "hard" if dynamics.reset == "hard" else "plain"
        ctx.spikes = out.detach() if ctx.kind == "hard" else None
        ctx.layout = out.shape, out.stride()
        return out

    @staticmethod
    def backward(ctx: CompiledContext, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        if ctx.psi is None:
            raise RuntimeError("the scan's saved state was overwritten by an earlier backward pass: run forward again")
        (psi, spikes), ctx.psi, ctx.spikes = (ctx.psi, ctx.spikes), None, None
        plan, mask, dynamics = ctx.plan, ctx.mask, ctx.dynamics
        shape, strides = ctx.layout
        # The gradient may be the same in all steps (stride 0); else it must lie as the output does.
        same = gradient.stride(0) == 0 and plan.steps > 1
        if gradient.stride()[1:] != strides[1:] or not (same or gradient.stride(0) == strides[0]):
            gradient, same = torch.empty_strided(shape, strides).copy_(gradient), False
        stride = 0 if same else plan.neurons // (4 if plan.pool else 1)
        reset = ctx.threshold * (dynamics.leak if dynamics.order == "instant_reset" else 1.0)
        loop = getattr(loops(), f"back_{ctx.kind}")
        sizes = plan.steps, plan.neurons, stride, plan.size
        flags = plan.row, plan.channels, plan.pool, int(mask is not None)

        def work(first: int, last: int, scratch: Tensor) -> None:
            loop(psi, gradient, mask, spikes, scratch, *sizes, first, last, *flags, dynamics.leak, reset)

        plan.run(work)
        return psi, None, None, None, None, None
