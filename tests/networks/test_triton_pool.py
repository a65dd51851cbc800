"""The pooling kernels against torch: in Triton's interpreter (started by spiking/test_triton_scan.py) and on a GPU."""

import os

import pytest
import torch
from torch.nn import functional as F

from lasnn.networks import triton_pool
from lasnn.networks.pools import AveragePool, pool_kernels

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICES = ["cpu"] if INTERPRETED else [pytest.param("cuda", marks=on_gpu)]
SHAPES = [(3, 8, 4, 4), (2, 5, 7, 6), (1, 64, 2, 3), (2, 16, 32, 32)]


def images(shape, device, dtype=torch.float32):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_passes_are_those_of_torch(shape, dtype, device):
    """In bfloat16 they are those of float32, rounded once (which the interpreter cuts off)."""
    x = images(shape, device, dtype).requires_grad_()
    assert pool_kernels(x) is triton_pool
    found = AveragePool.apply(x)
    theirs = x.detach().float().requires_grad_()
    expected = F.avg_pool2d(theirs, 2)
    tolerance = {"atol": 1e-6, "rtol": 1e-6 if dtype == torch.float32 else 2**-7}
    torch.testing.assert_close(found.float(), expected.detach(), **tolerance)
    assert found.is_contiguous(memory_format=torch.channels_last)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    for laid_out in (weight, weight.contiguous(memory_format=torch.channels_last), weight[:1, :1].expand_as(weight)):
        x.grad = theirs.grad = None
        found.backward(laid_out, retain_graph=True)
        expected.backward(laid_out.float(), retain_graph=True)
        assert torch.equal(x.grad.float(), theirs.grad)  # a quarter of each is exact
        assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("device", DEVICES)
def test_spikes_are_pooled_exactly(device):
    spikes = (images((5, 8, 6, 6), device) > 0.5).to(torch.bfloat16)
    found = AveragePool.apply(AveragePool.apply(spikes))
    assert torch.equal(found.float(), F.avg_pool2d(F.avg_pool2d(spikes.float(), 2), 2))


def test_other_images_go_to_torch():
    assert pool_kernels(torch.zeros(2, 8, 4, 4)) is None  # in the interpreter too: channels are not last
    assert pool_kernels(torch.zeros(2, 8, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)) is None
    channels_last = torch.zeros(2, 8, 4, 4).to(memory_format=torch.channels_last)
    assert (pool_kernels(channels_last) is not None) == INTERPRETED
    assert triton_pool.pool(torch.zeros(0, 8, 4, 4)).shape == (0, 8, 2, 2)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < 14 * 2**30, reason="needs 14 GB on a CUDA device"
)
def test_more_pixels_than_32_bits_can_count():
    x = torch.zeros(1 << 15, 32, 32, 64, dtype=torch.bfloat16, device="cuda").add_(1).permute(0, 3, 1, 2)
    x[-1, :, 30:, 30:] = 5
    pooled = triton_pool.pool(x)
    assert pooled[-1, :, -1, -1].eq(5).all()
    assert pooled.sum(dtype=torch.float64).item() == pooled.numel() + 4 * 64
    gradient = triton_pool.unpool(pooled, x.shape)
    assert gradient[-1, :, 30:, 30:].eq(1.25).all()
    assert gradient.sum(dtype=torch.float64).item() == pooled.numel() + 4 * 64
