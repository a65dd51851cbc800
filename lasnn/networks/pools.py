"""The one door to 2x2 average pooling: by triton on a GPU, by compiled loops on a CPU, else in torch's operations."""

import os
from types import ModuleType

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from lasnn.compiled import library
from lasnn.compiled.machine_code import loops


def backend(x: Tensor) -> str:
    """Which pools these images [N, C, H, W], channels last: triton, numba or torch."""
    if pool_kernels(x):
        return "triton"
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0
    even = x.shape[2] % 2 == x.shape[3] % 2 == 0
    return "numba" if plain and even and x.permute(0, 2, 3, 1).is_contiguous() and library() else "torch"


def pool_kernels(x: Tensor) -> ModuleType | None:
    """The kernels of a GPU, where they can take these images; loaded only there, since a CPU can't use them."""
    if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return None
    from lasnn.networks import triton_pool

    return triton_pool if triton_pool.available(x) else None


class PoolContext(FunctionCtx):
    """What the forward pass of `AveragePool` leaves for its backward pass."""

    shape: torch.Size
    strides: tuple[int, ...]
    kernels: ModuleType | None


class AveragePool(torch.autograd.Function):
    """2x2 average pooling with stride 2 over [N, C, H, W], an odd last row or column left out.

    torch's own keeps its whole input for the backward pass, which needs only its shape: for a spiking layer that is
    all spikes of all steps.
    """

    @staticmethod
    def forward(ctx: PoolContext, x: Tensor) -> Tensor:
        ctx.shape, ctx.strides, ctx.kernels = x.shape, x.stride(), pool_kernels(x)
        if ctx.kernels:
            pooled: Tensor = ctx.kernels.pool(x)
            return pooled
        if backend(x) == "numba":
            count, channels, height, width = x.shape
            out = x.new_empty(count, height // 2, width // 2, channels).permute(0, 3, 1, 2)
            loops().pool(x, out, height, width * channels, channels, 0, count)
            return out
        return F.avg_pool2d(x, 2)

    @staticmethod
    def backward(ctx: PoolContext, gradient: Tensor) -> Tensor:
        if ctx.kernels:
            spread: Tensor = ctx.kernels.unpool(gradient, ctx.shape)
            return spread
        height, width = gradient.shape[2:]
        result = gradient.new_empty_strided(ctx.shape, ctx.strides)
        if gradient.permute(0, 2, 3, 1).is_contiguous() and backend(result) == "numba":
            count, channels, tall, wide = ctx.shape
            loops().unpool(gradient, result, tall, wide * channels, channels, 0, count)
            return result
        if (2 * height, 2 * width) != ctx.shape[2:]:
            result.zero_()
        covered = result[:, :, : 2 * height, : 2 * width]
        quarter = (gradient * 0.25)[:, :, :, None, :, None]
        covered.unflatten(3, (width, 2)).unflatten(2, (height, 2)).copy_(quarter)  # [N, C, H/2, 2, W/2, 2]
        return result
