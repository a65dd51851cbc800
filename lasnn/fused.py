"""The scan of `lasnn.neurons` as one GPU kernel for all time steps, with the potential kept in registers.

    forward     reads the current once, writes the spikes once and, if a gradient is wanted, ψ once
    backward    reads ψ and g = dL/do once, writes δ = dL/dI once

Potentials, ψ before it is stored and δ are float32 whatever the tensors are. Spikes, and with `saved=torch.float32`
also ψ, are those of the torch scan bit for bit (ψ of `Stdb` to 1e-5: another exponential). With ψ stored in bfloat16,
the default, each ψ is off by at most 2^-8 of itself, and δ by at most 2^-8 of what it would be with |ψ| and |g| in
their place (`reset_grad` left out).

The kernels know nothing of images: a tensor [T, B, ...] is T rows of N neurons in the order of its memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lasnn.surrogates import Bellec, Literal, Stdb, Surrogate

try:
    import triton
    import triton.language as tl
except ImportError:  # torch for CPU comes without it
    triton = None

INTERPRETED = triton is not None and triton.knobs.runtime.interpret  # TRITON_INTERPRET=1: kernels run in numpy
TYPES = (torch.float32, torch.bfloat16, torch.float16)


# ---- kernels: one program for each block of neurons, with a loop over time inside ------------------------------------


def jit(kernel):
    return triton.jit(kernel) if triton else kernel


@jit
def coefficients(threshold, A: "tl.constexpr", B: "tl.constexpr", SURROGATE: "tl.constexpr"):
    """Height and slope of ψ, rounded once from float64 as Python's are."""
    theta, a = threshold.to(tl.float64), tl.full((), A, tl.float64)
    height, slope = a, tl.full((), B, tl.float64)
    if SURROGATE == "bellec":
        height = a / theta
        slope = -height / theta
    elif SURROGATE == "bellec_noscale":
        slope = -height / theta
    elif SURROGATE == "literal":
        height = a * tl.maximum(1 - tl.abs(theta), 0.0)
    elif SURROGATE == "stdb":
        height = a / theta
        slope = -slope
    return height.to(tl.float32), slope.to(tl.float32)


@jit
def pseudo_derivative(v, since, threshold, height, slope, SURROGATE: "tl.constexpr"):
    if SURROGATE == "literal":
        psi = tl.zeros_like(v) + height
    elif SURROGATE == "stdb":
        psi = tl.exp(since * slope) * height
    else:
        psi = tl.maximum(tl.abs(v - threshold) * slope + height, 0.0)
    return psi


@jit
def forward_kernel(
    current,  # [T, N], or [1, N] if CONSTANT
    spikes,  # [T, N]; may be `current`
    saved,  # ψ [T, N]; may be `current`; None without a gradient
    start,  # [N] float32 or None: at rest
    end,  # [N] float32 or None
    threshold,  # [1]
    steps,
    neurons,
    LEAK: "tl.constexpr",
    INSTANT: "tl.constexpr",
    HARD: "tl.constexpr",
    SURROGATE: "tl.constexpr",
    A: "tl.constexpr",
    B: "tl.constexpr",
    CONSTANT: "tl.constexpr",
    BLOCK: "tl.constexpr",
    STAGES: "tl.constexpr",
):
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
        tl.store(spikes, tl.where(o, 1.0, 0.0).to(spikes.dtype.element_ty), mask=inside)
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
    gradient,  # g [T, N], or [1, N] if CONSTANT
    saved,  # ψ [T, N]
    spikes,  # [T, N]; None where the reset passes δ on
    result,  # δ [T, N]; may be `saved`
    threshold,  # [1]
    steps,
    neurons,
    last,  # (T - 1) N
    LEAK: "tl.constexpr",
    INSTANT: "tl.constexpr",
    RESET_GRAD: "tl.constexpr",
    CONSTANT: "tl.constexpr",
    BLOCK: "tl.constexpr",
    STAGES: "tl.constexpr",
):
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < neurons
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
        g = tl.load(gradient + n, mask=inside, other=0.0).to(tl.float32)
    else:
        gradient += last + n
    for _ in tl.range(0, steps, num_stages=STAGES):
        if not CONSTANT:
            g = tl.load(gradient, mask=inside, other=0.0).to(tl.float32)
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
    # A thread takes 16 bytes at a time, the widest load there is. Few neurons go into one-warp programs, so that they
    # spread over all multiprocessors; from 2^18 on four warps a program spare the scheduler. Four rows are in flight
    # (STAGES), because the loop itself waits for nothing but memory.
    warps = 4 if neurons >= 2**18 else 1
    block = 32 * warps * (16 // widest.element_size())
    with torch.cuda.device_of(widest):
        kernel[(triton.cdiv(neurons, block),)](*arguments, **constants, BLOCK=block, STAGES=4, num_warps=warps)


# ---- tensors as rows of neurons --------------------------------------------------------------------------------------


def rows(x: Tensor, strides: tuple[int, ...]) -> Tensor:
    """`x` [T, ...] with these strides within a step and no gaps between steps; [1, ...] if all steps share one.

    The memory of `x` itself where it is so, else a copy.
    """
    if x.stride(0) == 0:
        x = x[:1]
    gapless = len(x) == 1 or x.stride(0) == x[0].numel()
    # The stride of a dimension of size 1 says nothing.
    if gapless and all(a == b for a, b, size in zip(x.stride()[1:], strides, x.shape[1:], strict=True) if size > 1):
        return x
    return empty(x, strides, x.dtype).copy_(x)


def empty(x: Tensor, strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Of the shape of `x` [T, ...], with these strides within a step."""
    return torch.empty_strided(x.shape, (x[0].numel(), *strides), dtype=dtype, device=x.device)


def step_strides(x: Tensor) -> tuple[int, ...]:
    """Strides of a gapless step in the memory order of `x` [T, ...]."""
    return torch.empty_like(x[0], device="meta").stride()


def on_device(threshold: Tensor | float, current: Tensor) -> Tensor:
    """The threshold where the kernel reads it; one that is on the device stays there, and nothing waits for it."""
    if isinstance(threshold, Tensor):
        return threshold.to(current.device)
    return torch.full((), threshold, dtype=torch.float32, device=current.device)


# ---- what the layer calls --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A surrogate as the kernel knows it: its formula's name and two numbers."""

    SURROGATE: str
    A: float
    B: float = 0.0


SHAPES = {
    Bellec: lambda s: Shape("bellec" if s.by_threshold else "bellec_noscale", s.gamma),
    Literal: lambda s: Shape("literal", s.gamma),
    Stdb: lambda s: Shape("stdb", s.a, s.b),
}
