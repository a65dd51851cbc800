"""The compiled scan against the torch scan: the same spikes and ψ, and gradients to rounding."""

import pytest
import torch
from oracle import ORDERS, close

from lasnn.compiled import library
from lasnn.networks.layers import Pool
from lasnn.spiking.kernels.compiled_scan import Scan as CompiledScan
from lasnn.spiking.kernels.compiled_scan import poolable
from lasnn.spiking.kernels.torch_scan import Scan
from lasnn.spiking.neurons import Dynamics

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled loops here")
THETA = 0.75
ROUNDING = 2e-6  # relative to the largest entry


def images(steps=7, batch=3, channels=5, side=6, seed=0):
    """Currents in channels-last order, multiples of 1/8: sums are exact, and some potentials tie with the threshold."""
    values = torch.randint(-6, 13, (steps, batch, side, side, channels), generator=torch.Generator().manual_seed(seed))
    return (values / 8).permute(0, 1, 4, 2, 3)


def through(scan, current, upstream):
    """What a scan gives, ψ or δ of it, and dL/dI for L = Σ upstream x output."""
    leaf = current.clone(memory_format=torch.preserve_format).requires_grad_()
    out = scan(leaf * 1)
    out.backward(upstream)
    return out.detach(), leaf.grad


def upstream_of(like, seed=1):
    drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
    return torch.empty_like(like).copy_(drawn)


@pytest.mark.parametrize(("channels", "side"), [(3, 8), (8, 8), (20, 8), (8192, 2)])  # the last: a pair beyond a block
@pytest.mark.parametrize("order", ORDERS)
def test_a_pool_taken_along(channels, side, order):
    dynamics, current = Dynamics(0.9, order), images(4, 2, channels, side)
    expected, gradient = through(
        lambda x: Pool()(Scan.apply(x, THETA, dynamics)), current, upstream := upstream_of(Pool()(current))
    )
    found, ours = through(lambda x: CompiledScan.apply(x, THETA, dynamics, None, True), current, upstream)
    assert torch.equal(found, expected)
    assert close(ours, gradient, ROUNDING)
    assert poolable(current, dynamics, None, Pool())
    assert not poolable(images(side=5), dynamics, None, Pool())
    assert not poolable(current, dynamics, None, Pool("max"))


def test_a_mask_rounds_as_a_product_of_its_own():
    current = images()
    mask = torch.empty_like(current[0]).copy_(images(1, seed=4)[0] > 0) / 0.7
    upstream = upstream_of(current)
    apart = through(lambda x: CompiledScan.apply(x, THETA, Dynamics(0.9)) * mask, current, upstream)
    taken = through(lambda x: CompiledScan.apply(x, THETA, Dynamics(0.9), mask), current, upstream)
    assert all(torch.equal(a, b) for a, b in zip(apart, taken, strict=True))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 40000), (9, 1, 3), (2, 1, 4, 1, 1), (3, 1, 2, 2, 2)])
def test_shapes(shape):
    values = torch.randint(-6, 13, shape, generator=torch.Generator().manual_seed(2)) / 8
    upstream = upstream_of(values)
    expected = through(lambda x: Scan.apply(x, THETA, Dynamics(0.9)), values, upstream)
    found = through(lambda x: CompiledScan.apply(x, THETA, Dynamics(0.9)), values, upstream)
    assert torch.equal(found[0], expected[0])
    assert close(found[1], expected[1], ROUNDING)


def test_more_threads_give_the_same_bits():
    current, threads = images(3, 4, 64, 16), torch.get_num_threads()
    upstream = upstream_of(Pool()(current))
    try:
        found = []
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(through(lambda x: CompiledScan.apply(x, THETA, Dynamics(0.9), None, True), current, upstream))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
