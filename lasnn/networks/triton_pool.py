"""2x2 average pooling of images that lie channels last on a GPU, one pass over memory each way.

torch's own kernel for this layout moves a third of what the memory could (measured on an H100).
"""

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
    from triton.language import constexpr
except ImportError:  # torch for CPU comes without it
    triton, constexpr = None, object
__all__ = ["available", "constexpr", "jit", "pool", "runs_on", "tl", "triton", "unpool"]  # the scan uses the same door
INTERPRETED = triton is not None and triton.knobs.runtime.interpret  # TRITON_INTERPRET=1: kernels run in numpy
TYPES = (torch.float32, torch.bfloat16, torch.float16)
BLOCK = 1024


def jit(kernel):
    return triton.jit(kernel) if triton else kernel


@jit
def entries(LARGE: constexpr, BLOCK: constexpr):
    """The places in memory that a program writes: in 64 bits only where 32 can't count them, for division is slow."""
    first = tl.program_id(0)
    if LARGE:
        first = first.to(tl.int64)
    return first * BLOCK + tl.arange(0, BLOCK)


@jit
def pool_kernel(
    x, result, count, HEIGHT: constexpr, WIDTH: constexpr, CHANNELS: constexpr, LARGE: constexpr, BLOCK: constexpr
):
    """`result` [N, H/2, W/2, C] of x [N, H, W, C]; `count` is the number of entries of `result`."""
    entry = entries(LARGE, BLOCK)
    inside = entry < count
    channel, pixel = entry % CHANNELS, entry // CHANNELS
    column, line = pixel % (WIDTH // 2), pixel // (WIDTH // 2)
    row, image = line % (HEIGHT // 2), line // (HEIGHT // 2)
    corner = x + ((image * HEIGHT + 2 * row) * WIDTH + 2 * column) * CHANNELS + channel
    total = tl.load(corner, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(corner + CHANNELS, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(corner + WIDTH * CHANNELS, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(corner + (WIDTH + 1) * CHANNELS, mask=inside, other=0.0).to(tl.float32)
    tl.store(result + entry, (total * 0.25).to(result.dtype.element_ty), mask=inside)


@jit
def unpool_kernel(
    gradient,
    result,
    count,
    HEIGHT: constexpr,
    WIDTH: constexpr,
    CHANNELS: constexpr,
    LARGE: constexpr,
    BLOCK: constexpr,
):
    """`result` [N, H, W, C] of g [N, H/2, W/2, C]: a quarter each, 0 in an odd last row or column."""
    entry = entries(LARGE, BLOCK)
    channel, pixel = entry % CHANNELS, entry // CHANNELS
    column, line = pixel % WIDTH, pixel // WIDTH
    row, image = line % HEIGHT, line // HEIGHT
    covered = (entry < count) & (row < HEIGHT // 2 * 2) & (column < WIDTH // 2 * 2)
    source = ((image * (HEIGHT // 2) + row // 2) * (WIDTH // 2) + column // 2) * CHANNELS + channel
    quarter = tl.load(gradient + source, mask=covered, other=0.0).to(tl.float32) * 0.25
    tl.store(result + entry, quarter.to(result.dtype.element_ty), mask=entry < count)


def runs_on(x: Tensor) -> bool:
    """Whether triton's kernels can read this tensor, here or in the interpreter."""
    return triton is not None and (x.is_cuda or INTERPRETED) and x.dtype in TYPES


def available(x: Tensor) -> bool:
    """Whether the kernels can walk over these images [N, C, H, W]."""
    return runs_on(x) and x.is_contiguous(memory_format=torch.channels_last)


def launch(kernel, source: Tensor, result: Tensor, sides: tuple[int, int]) -> Tensor:
    count, (height, width) = result.numel(), sides
    if count:
        large = max(source.numel(), count) + BLOCK > 2**31 - 1
        sizes = {"HEIGHT": height, "WIDTH": width, "CHANNELS": result.shape[1], "LARGE": large, "BLOCK": BLOCK}
        with torch.cuda.device_of(result):
            kernel[(triton.cdiv(count, BLOCK),)](source, result, count, **sizes, enable_fp_fusion=False)
    return result


def pool(x: Tensor) -> Tensor:
    """[N, C, H, W] to [N, C, H/2, W/2], both channels last."""
    images, channels, height, width = x.shape
    result = x.new_empty(images, height // 2, width // 2, channels).permute(0, 3, 1, 2)
    return launch(pool_kernel, x, result, (height, width))


def unpool(gradient: Tensor, shape: torch.Size) -> Tensor:
    """The gradient of x [N, C, H, W] from that of `pool(x)`, channels last."""
    images, channels, height, width = shape
    result = gradient.new_empty(images, height, width, channels).permute(0, 3, 1, 2)
    return launch(unpool_kernel, gradient.contiguous(memory_format=torch.channels_last), result, (height, width))
