"""Convolutions and matrix products where they are fastest: from events where the input is sparse enough, else dense.

They are those of torch up to the order of a sum. On a CPU they may be in bfloat16, `precision`; a GPU, and whatever
isn't float32, gets torch's own.
"""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from lasnn.compiled import events, library
from lasnn.compiled.events import Events, Geometry

SMALL = 1 << 20  # multiplications below which a matrix product isn't worth a choice
PRECISIONS = {  # by `compute.amp`: of the forward pass and of both gradients
    "off": (torch.float32, torch.float32),
    "bf16_grad": (torch.float32, torch.bfloat16),
    "bf16": (torch.bfloat16, torch.bfloat16),
}
Types = tuple[torch.dtype, torch.dtype]
OFF = PRECISIONS["off"]
_precision: ContextVar[Types] = ContextVar("precision", default=OFF)  # of this thread


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Products of dense inputs that are made while the block runs, and their gradients later, in this precision."""
    before = _precision.set(PRECISIONS[name])
    try:
        yield
    finally:
        _precision.reset(before)


def convolve(x: Tensor, weight: Tensor, stride: int, pad: int) -> Tensor:
    """A convolution of images [N, C, H, W] without bias."""
    rows, found = x.permute(0, 2, 3, 1), None
    if not _plain(x, weight) or not rows.is_contiguous():
        return F.conv2d(x, weight, None, stride, pad)
    most = _most(events.limit(x.shape[1], len(weight), stride))
    if most and library():
        found = events.events_of(rows.view(-1, x.shape[1]), most)
    if found is None and _precision.get() is OFF:
        return F.conv2d(x, weight, None, stride, pad)
    product: Tensor = Convolution.apply(x, weight, found, Geometry.of(x, weight, stride, pad), _precision.get())
    return product


def multiply(x: Tensor, weight: Tensor) -> Tensor:
    """[N, C] times a weight [F, C]."""
    if not _plain(x, weight) or x.numel() * len(weight) < SMALL:
        return F.linear(x, weight)
    laid_out, found = x.is_contiguous() and weight.t().is_contiguous() and len(weight) >= 64, None
    most = _most(events.MATRIX) if laid_out and len(weight) % 16 == 0 else 0.0
    if most and library():
        found = events.events_of(x, most)
    if found is None and _precision.get() is OFF and not onednn():
        return F.linear(x, weight)
    product: Tensor = Product.apply(x, weight, found, _precision.get())
    return product


def _plain(*tensors: Tensor) -> bool:
    return all(x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() for x in tensors)


def _most(share: float) -> float:
    """Dense products in bfloat16 take half the time, so events win up to half as many."""
    return share / 2 if _precision.get()[0] == torch.bfloat16 else share


class Context(FunctionCtx):
    """What a forward pass leaves for its backward pass, beside the saved tensors."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    type: torch.dtype
    events: Events | None
    at: Geometry  # of a convolution


class Convolution(torch.autograd.Function):
    """From events, if they are given: the output and the weight's gradient. All else is dense."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, found: Events | None, at: Geometry, types: Types) -> Tensor:
        forward, ctx.type = types
        ctx.events, ctx.at = found, at
        if found:
            ctx.save_for_backward(weight)
            return events.convolution(found, weight.detach(), at)
        given = x.detach().to(ctx.type)  # spikes are exact in either type
        ctx.save_for_backward(weight, given)
        return F.conv2d(x.detach().to(forward), weight.detach().to(forward), None, at.stride, at.pad).float()

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        at, (of_x, of_weight) = ctx.at, ctx.needs_input_grad[:2]
        weight, *given = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        small = gradient.to(ctx.type)
        x = input_gradient(small, weight.to(ctx.type), at).float() if of_x else None
        if not of_weight:
            return x, None, None, None, None
        if ctx.events:
            return x, events.convolution_weight(ctx.events, gradient, at), None, None, None
        return x, backward_of(small, given[0], weight.to(ctx.type), at, 1).float(), None, None, None


def input_gradient(gradient: Tensor, weight: Tensor, at: Geometry) -> Tensor:
    """dL/dx [N, C, H, W] of a convolution."""
    if at.stride == 1:
        return F.conv2d(gradient, weight.flip(2, 3).transpose(0, 1), None, 1, at.kernel_size - 1 - at.pad)
    shape = at.images, at.channels, at.height, at.width
    unread = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last)  # only its shape matters
    return backward_of(gradient, unread, weight, at, 0)


def backward_of(gradient: Tensor, x: Tensor, weight: Tensor, at: Geometry, which: int) -> Tensor:
    """torch's own gradient of a convolution: of its input (0) or its weight (1)."""
    wanted = [which == 0, which == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [at.stride] * 2, [at.pad] * 2, [1, 1], False, [0, 0], 1, wanted
    )[which]
    return found


class Product(torch.autograd.Function):
    """As `Convolution`, for a matrix."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, found: Events | None, types: Types) -> Tensor:
        forward, ctx.type = types
        ctx.events = found
        if found:
            ctx.save_for_backward(weight)
            return events.matrix_product(found, weight.detach())
        ctx.save_for_backward(weight, x.detach().to(ctx.type))
        return dense(x.detach().to(forward), weight.detach().to(forward)).float()

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        of_x, of_weight = ctx.needs_input_grad[:2]
        weight, *given = ctx.saved_tensors
        small = gradient.to(ctx.type)
        x = dense(small, weight.t().to(ctx.type)).float() if of_x else None
        if not of_weight:
            return x, None, None, None
        if ctx.events:
            return x, events.matrix_weight(ctx.events, gradient), None, None
        if weight.is_contiguous():
            return x, dense(small.t(), given[0].t()).float(), None, None
        return x, dense(given[0].t(), small.t()).float().t(), None, None


def dense(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, C] times weight [F, C], by the library that is fastest on this processor.

    torch has no public call that hands a float32 product to oneDNN without a copy of the weight; where its private one
    is gone, `onednn` is false and provenance says BLAS.
    """
    if x.dtype == torch.float32 and onednn():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        return product
    return F.linear(x, weight)


@functools.cache
def onednn() -> bool:
    """Whether float32 products go through oneDNN: on AMD's processors, where the default library takes a slow path.

    That library, MKL, itself chooses by the vendor's name, so that nothing else tells where it is slow.
    """
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and "AuthenticAMD" in _processor()


def bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 itself (AVX512-BF16, AMX, or Arm's extension)."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(_processor().split()))


@functools.cache
def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
