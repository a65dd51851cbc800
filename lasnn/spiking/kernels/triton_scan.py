"""The scan as one GPU kernel for all time steps, with the potential kept in registers.

    forward     reads the current once, writes the spikes once and, if a gradient is wanted, ψ once
    backward    reads ψ and g = dL/do once, writes δ = dL/dI once

Potentials, ψ before it is stored and δ are float32 whatever the tensors are. Spikes, and if `exact`
also ψ, are those of the torch scan bit for bit (ψ of `Stdb` to 1e-5: another exponential). With ψ stored in bfloat16,
the default, each ψ is off by at most 2^-8 of itself, and δ by at most 2^-8 of what it would be with |ψ| and |g| in
their place (`reset_grad` left out).

To a kernel a tensor [T, B, ...] is T rows of N neurons in the order of its memory.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lasnn.networks.triton_pool import constexpr, jit, runs_on, tl, triton
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels.rows import empty, rows, step_strides
from lasnn.spiking.surrogates import Bellec, Literal, Stdb

# ---- kernels: one program for each block of neurons, with a loop over time inside ------------------------------------


@jit
def coefficients(threshold, A: constexpr, B: constexpr, SURROGATE: constexpr):
    """Height and slope of ψ, rounded once from float64 as Python's are."""
    theta, a = threshold.to(tl.float64), tl.full((), A, tl.float64)
    height, slope = a, tl.full((), B, tl.float64)
    if SURROGATE == "bellec":
        height = a / theta
        slope = -height / (theta * slope)
    elif SURROGATE == "bellec_noscale":
        slope = -height / (theta * slope)
    elif SURROGATE == "literal":
        height = a * tl.maximum(1 - tl.abs(theta), 0.0)
    elif SURROGATE == "stdb":
        height = a / theta
        slope = -slope
    return height.to(tl.float32), slope.to(tl.float32)


@jit
def pseudo_derivative(v, since, threshold, height, slope, SURROGATE: constexpr):
    if SURROGATE == "literal":
        psi = tl.zeros_like(v) + height
    elif SURROGATE == "stdb":
        psi = tl.exp(since * slope) * height
    else:
        psi = tl.maximum(tl.abs(v - threshold) * slope + height, 0.0)
    return psi


@jit
def forward_kernel(
    current, spikes, saved, start, end, mask, threshold, steps, neurons,
    LEAK: constexpr, INSTANT: constexpr, HARD: constexpr, SURROGATE: constexpr, A: constexpr, B: constexpr,
    CONSTANT: constexpr, BLOCK: constexpr, STAGES: constexpr,
):  # fmt: skip
    """Spikes and ψ [T, N] of a current [T, N], or [1, N] if CONSTANT; either may be written over the current.

    `saved` is None without a gradient, `start` [N] at rest, and `end` [N] where the last potential isn't wanted.
    A dropout mask [N] multiplies the spikes as they are stored; None is one without effect.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < neurons
    theta = tl.load(threshold).to(tl.float32)
    v = tl.full((BLOCK,), 0.0, tl.float32)
    if start is not None:
        v = tl.load(start + n, mask=inside, other=0.0)
    if saved is not None:
        height, slope = coefficients(theta, A, B, SURROGATE)
        since = tl.full((BLOCK,), 1000.0, tl.float32)
        saved += n
    kept = tl.full((BLOCK,), 1.0, tl.float32)
    if mask is not None:
        kept = tl.load(mask + n, mask=inside, other=0.0).to(tl.float32)
    # Pointers walk from row to row: T * N may exceed what 32 bits hold.
    current += n
    spikes += n
    if CONSTANT:
        row = tl.load(current, mask=inside, other=0.0).to(tl.float32)
    for _ in tl.range(0, steps, num_stages=STAGES):
        if not CONSTANT:
            row = tl.load(current, mask=inside, other=0.0).to(tl.float32)
            current += neurons
        v += row
        o = v > theta
        tl.store(spikes, tl.where(o, kept, 0.0).to(spikes.dtype.element_ty), mask=inside)
        spikes += neurons
        if saved is not None:
            psi = pseudo_derivative(v, since, theta, height, slope, SURROGATE)
            tl.store(saved, psi.to(saved.dtype.element_ty), mask=inside)
            saved += neurons
            since = tl.where(o, 1.0, since + 1.0)
        if HARD:
            v = tl.where(o, 0.0, v) * LEAK
        elif INSTANT:
            v = (v - tl.where(o, theta, 0.0)) * LEAK
        else:
            v = v * LEAK - tl.where(o, theta, 0.0)
    if end is not None:
        tl.store(end + n, v, mask=inside)


@jit
def backward_kernel(
    gradient, saved, spikes, result, mask, threshold, steps, neurons, last,
    LEAK: constexpr, INSTANT: constexpr, RESET_GRAD: constexpr,
    CONSTANT: constexpr, BLOCK: constexpr, STAGES: constexpr,
):  # fmt: skip
    """δ [T, N] of g [T, N], or [1, N] if CONSTANT, and ψ [T, N], which it may overwrite; `last` is (T - 1) N.

    `spikes` are given where a reset to zero cuts the way of δ through the potential. A dropout mask [N] multiplies g.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < neurons
    kept = tl.full((BLOCK,), 1.0, tl.float32)
    if mask is not None:
        kept = tl.load(mask + n, mask=inside, other=0.0).to(tl.float32)
    delta = tl.full((BLOCK,), 0.0, tl.float32)
    if RESET_GRAD:
        reset = tl.load(threshold).to(tl.float32)
        if INSTANT:
            reset *= LEAK
    saved += last + n
    result += last + n
    if spikes is not None:
        spikes += last + n
    if CONSTANT:
        g = tl.load(gradient + n, mask=inside, other=0.0).to(tl.float32) * kept
    else:
        gradient += last + n
    for _ in tl.range(0, steps, num_stages=STAGES):
        if not CONSTANT:
            g = tl.load(gradient, mask=inside, other=0.0).to(tl.float32) * kept
            gradient -= neurons
        psi = tl.load(saved, mask=inside, other=0.0).to(tl.float32)
        saved -= neurons
        if RESET_GRAD:
            delta = psi * (g - reset * delta) + LEAK * delta
        elif spikes is not None:
            o = tl.load(spikes, mask=inside, other=0.0).to(tl.float32)
            spikes -= neurons
            delta = psi * g + tl.where(o > 0, 0.0, LEAK * delta)
        else:
            delta = psi * g + LEAK * delta
        tl.store(result, delta.to(result.dtype.element_ty), mask=inside)
        result -= neurons


def launch(kernel, neurons: int, widest: Tensor, *arguments, **constants) -> None:
    """Run `kernel` over blocks of the neurons; `widest` is the tensor whose type sets the width of a load."""
    # A thread takes 16 bytes at a time, the widest load there is. The loop waits for memory only, so what
    # counts is the number of bytes on their way. Up to 4096 warps (32 programs on each multiprocessor of an H200, as
    # many as it holds) a program is one warp that fetches six rows ahead; beyond, four warps and three rows.
    lane = 16 // widest.element_size()
    warps, stages = (1, 6) if neurons <= 4096 * 32 * lane else (4, 3)
    block = 32 * warps * lane
    with torch.cuda.device_of(widest):
        kernel[(triton.cdiv(neurons, block),)](
            *arguments,
            **constants,
            BLOCK=block,
            STAGES=stages,
            num_warps=warps,
            enable_fp_fusion=False,  # round as torch does, so that the same neurons spike
        )


# ---- what the layer calls --------------------------------------------------------------------------------------------


# A surrogate as the kernels know it: the name of its formula and two numbers.
SURROGATES = {
    Bellec: lambda s: {"SURROGATE": "bellec" if s.by_threshold else "bellec_noscale", "A": s.gamma, "B": s.width},
    Literal: lambda s: {"SURROGATE": "literal", "A": s.gamma, "B": 0.0},
    Stdb: lambda s: {"SURROGATE": "stdb", "A": s.a, "B": s.b},
}
NO_SURROGATE = {"SURROGATE": "", "A": 0.0, "B": 0.0}


def available(current: Tensor, dynamics: Dynamics) -> bool:
    """Whether the kernels can run on this tensor, and know the surrogate of these dynamics."""
    return runs_on(current) and type(dynamics.surrogate) in SURROGATES


def scan_rows(
    row: Tensor,
    spikes: Tensor,
    psi: Tensor | None,
    more: tuple[Tensor | None, ...],
    threshold: Tensor,
    dynamics: Dynamics,
) -> None:
    """Forward over rows of currents; ψ is wanted with a gradient. `more`: potentials at both ends, dropout mask."""
    steps, neurons = len(spikes), spikes[0].numel()
    if neurons == 0:
        return
    launch(
        forward_kernel,
        neurons,
        row,
        *(row, spikes, psi, *more, threshold, steps, neurons),
        **(NO_SURROGATE if psi is None else SURROGATES[type(dynamics.surrogate)](dynamics.surrogate)),
        LEAK=dynamics.leak,
        INSTANT=dynamics.order == "instant_reset",
        HARD=dynamics.reset == "hard",
        CONSTANT=len(row) < steps,
    )


def fire(
    current: Tensor,
    start: Tensor | None,
    threshold: Tensor,
    dynamics: Dynamics,
    counts: Tensor | None = None,
    pool: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `torch_scan.fire`; the potential carried out is in float32.

    `current` [T, B, ...] is overwritten with its spikes, unless its steps share one row. `start` [B, ...] is the
    potential carried in. The threshold is read where it is, so that nothing waits for it.
    """
    strides = step_strides(current)
    row = rows(current, strides)
    spikes = row if len(row) == len(current) else empty(current, strides, current.dtype)
    end = empty(current[:1], strides, torch.float32)
    if start is not None:
        start = rows(start[None].to(torch.float32), strides)
    scan_rows(row, spikes, None, (start, end, None), threshold, dynamics)
    return spikes, end[0]


class FusedContext(FunctionCtx):
    """What the forward pass of `Scan` leaves for its backward pass, which lets go of it."""

    psi: Tensor | None
    spikes: Tensor | None
    mask: Tensor | None
    threshold: Tensor
    dynamics: Dynamics
    dtype: torch.dtype


class Scan(torch.autograd.Function):
    """`torch_scan.Scan` of a current of any layout and type, which is that of the spikes; if `exact`, ψ is in float32.

    Where the current has the type of ψ it is overwritten with ψ, and that with δ; the operation that made it must not
    need its output for its backward pass.
    """

    @staticmethod
    def forward(
        ctx: FusedContext,
        current: Tensor,
        threshold: Tensor,
        dynamics: Dynamics,
        mask: Tensor | None = None,
        pool: bool = False,
        exact: bool = False,
    ) -> Tensor:
        saved = torch.float32 if exact else torch.bfloat16
        strides = step_strides(current)
        row = rows(current.detach(), strides)
        spikes = empty(current, strides, current.dtype)
        psi = row if len(row) == len(current) and saved == row.dtype else empty(current, strides, saved)
        ctx.dynamics, ctx.threshold, ctx.dtype = dynamics, threshold, current.dtype
        ctx.psi, ctx.spikes = psi, spikes.detach() if dynamics.reset == "hard" and not dynamics.reset_grad else None
        ctx.mask = None if mask is None else rows(mask[None], strides)
        scan_rows(row, spikes, psi, (None, None, ctx.mask), ctx.threshold, dynamics)
        return spikes

    @staticmethod
    def backward(ctx: FusedContext, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        if ctx.psi is None:
            raise RuntimeError("the scan's saved state was overwritten by an earlier backward pass: run forward again")
        # Let go of what is kept: its memory is free as soon as this pass is through with it.
        psi, spikes = ctx.psi, ctx.spikes
        ctx.psi = ctx.spikes = None
        steps, neurons, strides = len(psi), psi[0].numel(), psi.stride()[1:]
        row = rows(gradient, strides)
        delta = psi if psi.dtype == ctx.dtype else empty(psi, strides, ctx.dtype)
        if neurons:
            launch(
                backward_kernel,
                neurons,
                delta,
                *(row, psi, spikes, delta, ctx.mask, ctx.threshold, steps, neurons, (steps - 1) * neurons),
                LEAK=ctx.dynamics.leak,
                INSTANT=ctx.dynamics.order == "instant_reset",
                RESET_GRAD=ctx.dynamics.reset_grad,
                CONSTANT=len(row) < steps,
            )
        return delta, None, None, None, None, None
