"""Tensors [T, ...] as a kernel reads them: T rows of neurons, in the order of their memory."""

import torch
from torch import Tensor


def rows(x: Tensor, strides: tuple[int, ...]) -> Tensor:
    """`x` [T, ...] with these strides within a step and no gaps between steps; [1, ...] if all steps share one.

    The memory of `x` itself where it is so, else a copy.
    """
    if x.stride(0) == 0:
        x = x[:1]
    gapless = len(x) == 1 or x.stride(0) == x[0].numel()
    own = x.stride()[1:]  # the stride of a dimension of size 1 says nothing
    if gapless and (own == strides or all(a == b or n == 1 for a, b, n in zip(own, strides, x.shape[1:], strict=True))):
        return x
    return empty(x, strides, x.dtype).copy_(x)


def empty(x: Tensor, strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Of the shape of `x` [T, ...], with these strides within a step."""
    return torch.empty_strided(x.shape, (x[0].numel(), *strides), dtype=dtype, device=x.device)


def step_strides(x: Tensor) -> tuple[int, ...]:
    """Strides of a gapless step in the memory order of `x` [T, ...]."""
    return torch.empty_like(x[0], device="meta").stride()
